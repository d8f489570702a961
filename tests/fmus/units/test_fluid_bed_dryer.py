"""The fluid-bed dryer: loss on drying, wet bulb, balances, and a carousel that turns by events, in both fidelities."""

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
from in_process import Equations
from scipy.optimize import brentq

import fmus
from fmus.granules import HEAT_CAPACITY_SOLID, HEAT_CAPACITY_WATER, N_SIZES, lognormal_fractions

Drive = Callable[..., Any]
UNITS = ("fluid_bed_dryer", "fluid_bed_dryer_fast")
FILLING, DISCHARGE = 180.0, 20.0


def table() -> list[dict[str, float]]:
    text = Path(__file__).with_name("fluid_bed_dryer.csv").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(lines)]


def set_sizes(dryer: Any, fractions: np.ndarray) -> None:
    references = [dryer.reference(f"inlet.size[{i + 1}]") for i in range(N_SIZES)]
    dryer.fmu.setReal(references, fractions.tolist())


def sizes(dryer: Any, name: str = "outlet.size") -> np.ndarray:
    return np.array(dryer.fmu.getReal([dryer.reference(f"{name}[{i + 1}]") for i in range(N_SIZES)]))


def first_lod(dryer: Any, drying_time: float) -> float:
    """Of the first cell: step over its discharge in steps that fit nothing."""
    dryer.record(37.0, math.ceil((FILLING + drying_time + 5.0) / 37.0), [])
    assert dryer.get("discharge_count") == 1
    return float(dryer.get("lod"))


@pytest.mark.parametrize("unit", UNITS)
def test_loss_on_drying_is_the_tables(unit: str, drive: Drive) -> None:
    dryer = drive(unit)
    for row in table():
        dryer.fmu.reset()
        dryer.start(
            drying_time=row["drying_time"],
            inlet_air__temperature=row["air_temperature"] + 273.15,
            inlet_air__flow=row["air_flow"],
            inlet_air__humidity=row["humidity"],
            inlet__moisture=row["moisture"],
            inlet__mass_flow=row["load"] / FILLING * (1.0 + row["moisture"]),
        )
        # the table's feed temperature, heat capacities and air density are not known: they move it by as much
        assert first_lod(dryer, row["drying_time"]) == pytest.approx(row["lod"], abs=0.1), row


def ashrae_wet_bulb(celsius: float, humidity: float) -> float:
    """Thermodynamic wet bulb at 101.325 kPa: ASHRAE's equations, saturation pressure after Hyland and Wexler."""

    def saturated(t: float) -> float:
        kelvin = t + 273.15
        logarithm = (
            -5.8002206e3 / kelvin
            + 1.3914993
            - 4.8640239e-2 * kelvin
            + 4.1764768e-5 * kelvin**2
            - 1.4452093e-8 * kelvin**3
            + 6.5459673 * math.log(kelvin)
        )
        vapour = math.exp(logarithm)
        return 0.621945 * vapour / (101325.0 - vapour)

    def excess(t: float) -> float:
        at = (2501.0 - 2.326 * t) * saturated(t) - 1.006 * (celsius - t)
        return at / (2501.0 + 1.86 * celsius - 4.186 * t) - humidity

    return float(brentq(excess, 0.0, celsius))


@pytest.mark.parametrize(("celsius", "humidity"), [(60.0, 0.008), (50.0, 0.012), (75.0, 0.004)])
def test_wet_granules_are_at_the_wet_bulb(celsius: float, humidity: float, drive: Drive) -> None:
    dryer = drive("fluid_bed_dryer").start(
        inlet_air__temperature=celsius + 273.15, inlet_air__humidity=humidity, inlet__moisture=0.35, heat_loss=0.0
    )
    dryer.record(30.0, 16, [])
    assert dryer.get("bed.lod[1]") > 10.0
    assert dryer.get("bed.temperature[1]") - 273.15 == pytest.approx(ashrae_wet_bulb(celsius, humidity), abs=0.05)


def test_a_bed_that_loses_heat_is_a_little_cooler(drive: Drive) -> None:
    dryer = drive("fluid_bed_dryer").start(inlet__moisture=0.35)
    dryer.record(30.0, 16, [])
    assert dryer.get("bed.temperature[1]") - 273.15 == pytest.approx(26.4, abs=0.05)


PARTS = ("mass_flow", "api_fraction", "moisture", "temperature")
MOVES: list[dict[str, float]] = [
    {"inlet__mass_flow": 6e-3, "inlet__moisture": 0.22, "inlet__api_fraction": 0.10},
    {"inlet__mass_flow": 7e-3, "inlet__moisture": 0.18, "inlet_air__temperature": 328.15},
    {"inlet__mass_flow": 5e-3, "inlet__api_fraction": 0.14, "filter_blockage": 0.2},
    {"inlet_air__humidity": 0.012, "inlet__temperature": 305.0, "ambient_temperature": 288.0},
]


@pytest.mark.parametrize("step", [1.0, 13.0])
@pytest.mark.parametrize("unit", UNITS)
def test_balances_close_over_a_turn_of_the_carousel(unit: str, step: float, drive: Drive) -> None:
    dryer = drive(unit).start(inlet__mass_flow=6e-3)
    dryer.record(7.0, 200, [])
    names = ["holdup.mass", "holdup.api_mass", "balance.water", "balance.heat"]
    grown = ["balance.evaporated", "balance.air_heat", "balance.lost_heat"]
    before = np.array([dryer.get(n) for n in names + grown])
    into, out = np.zeros(4), np.zeros(4)
    state = {"inlet__moisture": 0.2, "inlet__api_fraction": 0.1, "inlet__temperature": 298.15}
    for k in range(math.ceil(6 * FILLING / step)):
        state |= MOVES[(k * 4 * int(step) // 1080) % 4]
        dryer.set(**state)
        dryer.step(step)
        wet, api, moisture = state["inlet__mass_flow"], state["inlet__api_fraction"], state["inlet__moisture"]
        into += step * _carried(wet, api, moisture, state["inlet__temperature"])
        outlet = (dryer.get(f"outlet.{part}") for part in PARTS)
        out += step * _carried(*outlet)
    change = np.array([dryer.get(n) for n in names + grown]) - before
    evaporated, air_heat, lost_heat = change[4:]
    expected = into - out + np.array([-evaporated, 0.0, -evaporated, air_heat - lost_heat])
    assert out[0] > 3.0
    np.testing.assert_allclose((change[:4] - expected) / np.max([into, out], axis=0), 0.0, atol=1e-9)


def _carried(wet: float, api: float, moisture: float, temperature: float) -> np.ndarray:
    """Mass, API, water and enthalpy of a flow."""
    dry = wet / (1.0 + moisture)
    heat = dry * (HEAT_CAPACITY_SOLID + moisture * HEAT_CAPACITY_WATER) * (temperature - 273.15)
    return np.array([wet, dry * api, dry * moisture, heat])


@given(
    st.floats(0.0, 0.01), st.floats(0.0, 0.5), st.floats(303.0, 360.0), st.floats(0.0, 0.02), st.floats(10.0, 1000.0)
)
@settings(max_examples=25, deadline=None)
def test_the_air_that_leaves_carries_what_the_beds_give(
    flow: float, moisture: float, temperature: float, humidity: float, air: float
) -> None:
    """Water and enthalpy of the air, from the psychrometry of its temperature and humidity, at one instant."""
    held = {
        "inlet.mass_flow": flow,
        "inlet.moisture": moisture,
        "inlet_air.temperature": temperature,
        "inlet_air.humidity": humidity,
        "inlet_air.flow": air,
    }
    names = [s.variable.name for s in FAST.model.states]
    cells = dict(zip(names, np.array(FAST.x).ravel(), strict=True))
    for k in range(1, 7):
        dry, water, celsius = 0.15 * k, 0.04 * k * moisture, 20.0 + 4.0 * k
        heat = (dry * HEAT_CAPACITY_SOLID + water * HEAT_CAPACITY_WATER) * celsius
        cells |= {f"cell.dry[{k}]": dry, f"cell.water[{k}]": water, f"cell.heat[{k}]": heat}
    u, x = FAST.inputs(held), list(cells.values())
    rates = dict(zip(names, np.array(FAST.f.derivative(0.0, x, [], u, FAST.p)).ravel(), strict=True))
    outputs = FAST.f.outputs(0.0, x, [], u, FAST.p, FAST.f.integrand(0.0, x, [], u, FAST.p))
    out = dict(zip([v.name for v, _ in FAST.model.outputs], np.array(outputs).ravel(), strict=True))

    dry_air = max(air / 3600.0 * 1.2 / 6.0, 1e-6) * 6.0
    leaving, y = out["outlet_air.temperature"] - 273.15, out["outlet_air.humidity"]
    given = 1006.0 * (temperature - 273.15) + humidity * (2.501e6 + 1860.0 * (temperature - 273.15))
    taken = 1006.0 * leaving + y * (2.501e6 + 1860.0 * leaving)
    water = sum(rates[f"cell.water[{k}]"] for k in range(1, 7))
    heat = sum(rates[f"cell.heat[{k}]"] for k in range(1, 7))
    fed = flow / (1.0 + moisture)
    fed_heat = fed * (HEAT_CAPACITY_SOLID + moisture * HEAT_CAPACITY_WATER) * 25.0
    lost = rates["so_far.lost_heat"]
    assert water == pytest.approx(fed * moisture - dry_air * (y - humidity), abs=1e-9 * dry_air)
    assert heat == pytest.approx(fed_heat + dry_air * (given - taken) - lost, abs=1e-9 * dry_air * given)


FAST = Equations(fmus.unit_model("fluid_bed_dryer_fast"))


def test_size_classes_are_conserved_through_the_carousel(drive: Drive) -> None:
    dryer = drive("fluid_bed_dryer").start(inlet__mass_flow=6e-3, inlet__moisture=0.2)
    batches = [lognormal_fractions(median, 0.5) for median in (300e-6, 600e-6, 900e-6)]
    fed, out = np.zeros(N_SIZES), np.zeros(N_SIZES)
    start = sizes(dryer) * 0.009 * 6
    for k in range(400):
        fractions = batches[k // 20 % 3]
        set_sizes(dryer, fractions)
        dryer.step(7.0)
        fed += 7.0 * 5e-3 * fractions
        out += 7.0 * dryer.get("outlet.mass_flow") / (1.0 + dryer.get("outlet.moisture")) * sizes(dryer)
    filled = int(dryer.get("index"))
    held = sizes(dryer, "collected.size")
    for k in range(1, 7):
        if k != filled:
            held = held + dryer.get(f"cell.dry[{k}]") * sizes(dryer, f"batch_{k}.size")
    np.testing.assert_allclose(held, start + fed - out, rtol=0, atol=1e-9 * np.sum(fed))


# --- carousel ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("drying_time", [0.0, 5.0, 360.0, 500.0, 540.0, 860.0, 2000.0])
def test_the_carousel_turns_alike_whatever_the_step(drying_time: float, drive: Drive) -> None:
    runs = []
    for step in (1.0, 7.0, 60.0):
        dryer = drive("fluid_bed_dryer").start(drying_time=drying_time)
        dryer.record(step, round(2940 / step), [])
        runs.append([dryer.get(n) for n in ("index", "discharge_count", "cut_short_count", "lod", "holdup.mass")])
    np.testing.assert_allclose(runs[1:], [runs[0]] * 2, rtol=2e-5)
    index, discharged, cut_short, _, _ = runs[0]
    assert index == 1 + (2940 // FILLING) % 6
    # a cell is emptied before the inlet comes back to it
    dried = min(drying_time, 5 * FILLING - DISCHARGE)
    assert discharged == sum(FILLING * (k + 1) + dried <= 2940 for k in range(20))
    assert cut_short == (discharged if drying_time > 5 * FILLING - DISCHARGE else 0)


def test_each_batch_leaves_at_a_constant_rate(drive: Drive) -> None:
    dryer = drive("fluid_bed_dryer").start()
    flow = dryer.record(1.0, 1800, ["outlet.mass_flow", "outlet.moisture"])
    dry = flow[:, 0] / (1.0 + flow[:, 1])
    starts = FILLING * np.arange(1, 10) + 500.0
    for k, start in enumerate(starts[starts < 1780]):
        batch = dry[int(start) : int(start) + 20]
        # with the heel that the cell was filled on: at first what it held at the start
        heel = 0.009 if k < 6 else 0.01 * (0.9 + 0.009)
        assert np.sum(batch) == pytest.approx((0.9 + heel) * 0.99, rel=1e-8), k
        np.testing.assert_allclose(batch, np.mean(batch), rtol=1e-6)
    assert np.count_nonzero(dry > 1e-9) == 20 * np.count_nonzero(starts < 1780)


def test_cells_report_what_they_do(drive: Drive) -> None:
    dryer = drive("fluid_bed_dryer").start()
    empty, filling, drying, discharging = range(4)
    dryer.record(10.0, 69, [])  # 690 s: cell 1 discharges, 4 is filled
    cells = [dryer.get(f"cell_state[{k}]") for k in range(1, 7)]
    assert cells == [discharging, drying, drying, filling, empty, empty]


def test_model_exchange_turns_the_carousel_too() -> None:
    names = ["index", "discharge_count", "lod", "holdup.mass", "balance.evaporated"]
    kinds = [
        fmpy.simulate_fmu(
            str(fmus.build_fmu(fmus.unit_model("fluid_bed_dryer_fast"))),
            fmi_type=kind,
            stop_time=1100.0,
            output_interval=10.0,
            relative_tolerance=1e-8,
            start_values={"drying_time": 360.0},
            output=names,
        )
        for kind in ("CoSimulation", "ModelExchange")
    ]
    for name in names:
        np.testing.assert_allclose(kinds[1][name][-1], kinds[0][name][-1], rtol=1e-5, err_msg=name)
    assert kinds[0]["discharge_count"][-1] == 4


# --- what moves the loss on drying ------------------------------------------------------------------------------------


def test_disturbances_slow_drying_down(drive: Drive) -> None:
    dryer = drive("fluid_bed_dryer")

    def lod(median: float = 500e-6, **inputs: float) -> float:
        dryer.fmu.reset()
        dryer.fmu.setupExperiment(startTime=0.0)
        set_sizes(dryer, lognormal_fractions(median, 0.6))
        dryer.start(drying_time=400.0, **inputs)
        return first_lod(dryer, 400.0)

    usual = lod()
    assert lod(filter_blockage=0.1) == pytest.approx(lod(inlet_air__flow=324.0), rel=1e-9)
    assert lod(filter_blockage=0.1) > usual + 1.0
    assert lod(ambient_temperature=283.15) > usual + 0.01
    assert lod(median=900e-6) > usual + 0.3
    assert lod(median=250e-6) < usual
    assert lod(transfer_air_share=1.0) == pytest.approx(usual, rel=1e-9)  # only the cell that is emptied lacks air


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.sampled_from([0.0, 1e-3, 6e-3, 2e-2]),
            st.floats(0.0, 2.0),
            st.floats(283.15, 368.15),
            st.floats(0.0, 1000.0),
            st.floats(0.0, 0.05),
            st.floats(60.0, 600.0),
            st.floats(0.0, 3000.0),
            st.floats(0.0, 1.0),
        ),
        min_size=2,
        max_size=6,
    )
)
@pytest.mark.parametrize("unit", UNITS)
def test_it_stays_positive_and_finite(unit: str, drive: Drive, moves: list[tuple[float, ...]]) -> None:
    dryer = drive(unit).start()
    names = ("inlet__mass_flow", "inlet__moisture", "inlet_air__temperature", "inlet_air__flow", "inlet_air__humidity")
    names += ("filling_time", "drying_time", "filter_blockage")
    read = ["outlet.mass_flow", "outlet.moisture", "outlet.temperature", "lod", "holdup.mass", "balance.water"]
    read += [f"cell.{kind}[{k}]" for kind in ("dry", "water") for k in range(1, 7)]
    for move in moves:
        dryer.set(**dict(zip(names, move, strict=True)))
        values = dryer.record(25.0, 12, read)
        assert np.all(np.isfinite(values))
        assert np.all(values >= -1e-9)
        assert np.all(np.isfinite(sizes(dryer)))
        assert np.sum(sizes(dryer)) == pytest.approx(1.0, abs=1e-9)


def test_fidelities_differ_as_documented(drive: Drive) -> None:
    """Alike for a log-normal size; for two populations the fast one has another median, and other class fractions."""
    two = 0.7 * lognormal_fractions(700e-6, 0.5) + 0.3 * lognormal_fractions(90e-6, 0.5)
    found: dict[str, list[Any]] = {}
    for unit in UNITS:
        found[unit] = []
        for fractions in (lognormal_fractions(500e-6, 0.6), two):
            dryer = drive(unit)
            dryer.fmu.setupExperiment(startTime=0.0)
            set_sizes(dryer, fractions)
            dryer.start(drying_time=400.0)
            found[unit] += [first_lod(dryer, 400.0), sizes(dryer)]
    detailed, fast = found["fluid_bed_dryer"], found["fluid_bed_dryer_fast"]
    assert fast[0] == pytest.approx(detailed[0], abs=0.001)
    assert np.max(np.abs(np.cumsum(fast[1] - detailed[1]))) < 0.005
    np.testing.assert_allclose(detailed[3], two, atol=1e-9)
    assert fast[2] - detailed[2] == pytest.approx(-0.14, abs=0.02)
    assert np.max(np.abs(np.cumsum(fast[3] - detailed[3]))) == pytest.approx(0.13, abs=0.01)
