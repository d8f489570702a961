"""The freeze dryer: the published drying time, an independent solution, balances, its end by an event."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fmpy
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

import fmus

Drive = Callable[..., Any]
HOUR = 3600.0


def test_the_default_recipe_dries_as_published(drive: Drive) -> None:
    dryer = drive("freeze_dryer").start()
    run = dryer.record(30.0, 840, ["product_temperature", "sublimation_flux", "is_finished"])
    drying = run[:, 2] == 0
    lines = Path(__file__).with_name("freeze_dryer.csv").read_text(encoding="utf-8").splitlines()
    expected = {r["quantity"]: float(r["value"]) for r in csv.DictReader(x for x in lines if not x.startswith("#"))}
    # half of the last digit given
    assert dryer.get("drying_time") / HOUR == pytest.approx(expected["drying_time"], abs=0.005)
    assert np.max(run[drying, 0]) - 273.15 == pytest.approx(expected["product_temperature"], abs=0.05)
    assert np.max(run[:, 1]) == pytest.approx(expected["sublimation_flux"], abs=0.005)
    assert dryer.get("progress") == pytest.approx(100.0, abs=1e-6)
    assert run[-1, 1] == 0.0


def independent(pressure: float, resistance: float) -> tuple[float, Callable[[float], float]]:
    """Drying time [h] and dried height [cm] at a time [h], by another root finder and another integrator."""
    vial_area, product_area, height = 3.80, 3.14, 2.0 / (3.14 * 0.918) * (1.0 - 0.05 * (1.0 - 0.918) / 1.5)
    heat_transfer = 2.75e-4 + 8.93e-4 * pressure / (1.0 + 0.46 * pressure)

    def rate(hours: float, dried: float) -> float:
        shelf = min(-35.0 + 60.0 * hours, 20.0)

        def heat_and_rate(front: float) -> tuple[float, float]:
            excess = 2.698e10 * math.exp(-6144.96 / (front + 273.15)) - pressure
            grams = product_area / (resistance * (1.4 + 16.0 * dried)) * excess
            return 678.0 * grams / 3600.0, grams

        def balance(front: float) -> float:
            heat, _ = heat_and_rate(front)
            bottom = front + heat / product_area / 0.0059 * (height - dried)
            return heat_transfer * vial_area * (shelf - bottom) - heat

        return max(heat_and_rate(brentq(balance, -80.0, 30.0, xtol=1e-12))[1], 0.0)

    def growth(hours: float, y: np.ndarray) -> list[float]:
        return [rate(hours, float(y[0])) / (product_area * 0.918 * (1.0 - 0.05 / 1.5))]

    def full(_: float, y: np.ndarray) -> float:
        return float(y[0]) - height

    full.terminal = True  # type: ignore[attr-defined]
    found = solve_ivp(growth, (0.0, 30.0), [0.0], events=full, rtol=1e-9, atol=1e-11, max_step=0.05, dense_output=True)
    return float(found.t[-1]), lambda hours: float(found.sol(hours)[0])


@pytest.mark.parametrize(("torr", "resistance"), [(0.15, 1.0), (0.06, 1.0), (0.10, 2.5)])
def test_it_agrees_with_an_independent_solution(torr: float, resistance: float, drive: Drive) -> None:
    # a shelf that follows its ramp as closely as the recipe's
    dryer = drive("freeze_dryer").start(
        chamber_pressure=torr * 101325.0 / 760.0, resistance_factor=resistance, shelf_time_constant=1.0
    )
    hours, dried = independent(torr, resistance)
    for k in range(1, 6):
        dryer.step(HOUR)
        assert dryer.get("dried_height") == pytest.approx(dried(k), rel=2e-5)
    dryer.record(600.0, math.ceil((hours - 5.0) * 6.0) + 1, [])
    assert dryer.get("drying_time") / HOUR == pytest.approx(hours, rel=2e-5)


def test_the_vapour_is_the_ice_that_is_gone(drive: Drive) -> None:
    dryer = drive("freeze_dryer").start()
    ice = dryer.get("balance.ice")
    vapour = 0.0
    for k in range(700):
        dryer.set(chamber_pressure=15.0 + k % 10, shelf_temperature_setpoint=273.15 + k % 7)
        dryer.step(60.0)
        vapour += 60.0 * dryer.get("vapour_flow")
    assert dryer.get("is_finished") == 1
    assert vapour == pytest.approx(ice - dryer.get("balance.ice"), rel=1e-9)
    assert dryer.get("balance.ice") == pytest.approx(0.0, abs=1e-8 * ice)


@pytest.mark.parametrize("step", [7.0, 100.0, 3600.0])
def test_drying_ends_at_the_same_time_whatever_the_step(step: float, drive: Drive) -> None:
    dryer = drive("freeze_dryer").start()
    dryer.record(step, math.ceil(7.0 * HOUR / step), [])
    assert dryer.get("drying_time") == pytest.approx(23893.727, abs=1e-3)


def test_nothing_sublimes_into_a_chamber_above_its_vapour_pressure(drive: Drive) -> None:
    dryer = drive("freeze_dryer").start(chamber_pressure=100.0, shelf_temperature_setpoint=238.15)
    dryer.record(600.0, 12, [])
    assert dryer.get("sublimation_flux") == pytest.approx(0.0, abs=1e-5)
    assert dryer.get("progress") == pytest.approx(0.0, abs=1e-3)
    assert dryer.get("product_temperature") == pytest.approx(238.15, abs=1e-3)


def test_a_dry_vial_warms_up_to_the_shelf(drive: Drive) -> None:
    dryer = drive("freeze_dryer").start()
    dryer.record(600.0, 40, [])
    assert dryer.get("is_finished") == 1
    dryer.record(600.0, 20, [])
    assert dryer.get("product_temperature") == pytest.approx(293.15, abs=0.01)
    assert dryer.get("collapse_margin") < 0.0


def test_recipe_and_disturbances_act_as_they_should(drive: Drive) -> None:
    def run(**inputs: float) -> tuple[float, float]:
        """Progress [%] and product temperature [K] after four hours."""
        dryer = drive("freeze_dryer").start(**inputs)
        dryer.record(600.0, 24, [])
        return dryer.get("progress"), dryer.get("product_temperature")

    progress, temperature = run()
    cases = {
        "more resistance": ({"resistance_factor": 1.5}, -1, +1),
        "better heat transfer": ({"heat_transfer_factor": 1.3}, +1, +1),
        "colder shelf": ({"shelf_temperature_setpoint": 273.15}, -1, -1),
        "slower ramp": ({"shelf_ramp_rate": 0.2}, -1, -1),
        "higher pressure": ({"chamber_pressure": 30.0}, None, +1),
    }
    for name, (inputs, faster, warmer) in cases.items():
        found = run(**inputs)
        if faster is not None:
            assert faster * (found[0] - progress) > 0.5, name
        assert warmer * (found[1] - temperature) > 0.1, name


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.floats(213.15, 333.15),
            st.floats(0.0, 5.0),
            st.floats(1.0, 200.0),
            st.floats(0.2, 5.0),
            st.floats(0.2, 5.0),
        ),
        min_size=2,
        max_size=6,
    )
)
def test_it_stays_positive_and_finite(drive: Drive, moves: list[tuple[float, ...]]) -> None:
    dryer = drive("freeze_dryer").start()
    names = ("shelf_temperature_setpoint", "shelf_ramp_rate", "chamber_pressure", "resistance_factor")
    names += ("heat_transfer_factor",)
    read = ["sublimation_flux", "vapour_flow", "progress", "balance.ice", "product_temperature", "shelf_temperature"]
    for move in moves:
        dryer.set(**dict(zip(names, move, strict=True)))
        values = dryer.record(300.0, 16, read)
        assert np.all(np.isfinite(values))
        assert np.all(values >= -1e-9)
        assert np.all(values[:, 2] <= 100.0 + 1e-6)
        # evaporation cools: the product never gets warmer than the shelf has been
        assert np.all(values[:, 4] <= 333.15 + 1e-6)


@pytest.mark.parametrize("fmi", [2, 3])
def test_model_exchange_ends_drying_too(fmi: int) -> None:
    kinds = [
        fmpy.simulate_fmu(
            str(fmus.build_fmu(fmus.unit_model("freeze_dryer"), fmi=fmi)),
            fmi_type=kind,
            stop_time=7.0 * HOUR,
            output_interval=60.0,
            relative_tolerance=1e-8,
            output=["drying_time", "progress"],
        )
        for kind in ("CoSimulation", "ModelExchange")
    ]
    assert kinds[1]["drying_time"][-1] == pytest.approx(kinds[0]["drying_time"][-1], abs=0.1)
    progress = np.interp(kinds[0]["time"], kinds[1]["time"], kinds[1]["progress"])
    np.testing.assert_allclose(progress, kinds[0]["progress"], atol=1e-3)
