"""The bioreactor around its kinetics: balances, gas, loops, effects, filter, the fast variant, positivity."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from bioreactor_runs import HOUR, PUBLISHED, fed_batch, run_to
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fmus
from fmus.bioreactor import KINETICS, bioreactor, parameter_set
from fmus.codegen import unit_functions_quietly

Drive = Callable[..., Any]
DETAILED = [f"bioreactor_{name}" for name in KINETICS]


def perfused(driver: Any, **start: float) -> Any:
    volume = driver.variables["initial.volume"].start
    flow = 0.05 * float(volume)
    return driver.start(
        medium__flow=flow,
        medium__glucose=30.0,
        medium__glutamine=4.0,
        feed__flow=0.1 * flow,
        feed__glucose=300.0,
        bleed_flow_setpoint=0.2 * flow,
        harvest_flow_setpoint=0.9 * flow,
        filter__cell_retention=0.9,
        filter__sieving=0.8,
        **start,
    )


@pytest.mark.parametrize("size", [60.0, 3600.0])
@pytest.mark.parametrize("unit", [*DETAILED, "bioreactor_badr2021_fast"])
def test_what_enters_leaves_or_stays(unit: str, size: float, drive: Drive) -> None:
    driver = perfused(drive(unit))
    contents = ("volume", "mab", "glucose")
    held = np.array([driver.get(f"holdup.{name}") for name in contents])
    medium, feed = (driver.get(f"{inlet}.flow") for inlet in ("medium", "feed"))
    balance = np.zeros(3)
    hours = size / HOUR
    for _ in range(round(48 / hours)):
        driver.step(size)
        out = np.zeros(3)
        for stream in ("harvest", "bleed"):
            flow = driver.get(f"{stream}.flow")
            out += flow * np.array([1.0, driver.get(f"{stream}.mab"), driver.get(f"{stream}.glucose")])
        balance += hours * (np.array([medium + feed, 0.0, 30.0 * medium + 300.0 * feed]) - out)
    balance += [driver.get("added.base"), driver.get("produced.mab"), -driver.get("consumed.glucose")]
    now = np.array([driver.get(f"holdup.{name}") for name in contents])
    assert np.max(np.abs(balance - (now - held)) / now) < 1e-9


def test_cells_leave_through_a_leaky_filter_and_the_bleed(drive: Drive) -> None:
    driver = perfused(drive("bioreactor_badr2021"), growth_rate_factor=0.0, initial__viable_cells=10e6)
    before = driver.get("amount.viable_cells") + driver.get("amount.dead_cells")
    left = 0.0
    for _ in range(48):
        driver.step(HOUR)
        # the filter keeps nine tenths, so that a tenth of the broth's cells is in the harvest
        densities = [driver.get(f"{stream}.viable_cells") for stream in ("harvest", "bleed")]
        assert densities[0] == pytest.approx(0.1 * densities[1], rel=1e-6)
        for stream in ("harvest", "bleed"):
            cells = sum(driver.get(f"{stream}.{kind}_cells") for kind in ("viable", "dead"))
            left += 1000.0 * cells * driver.get(f"{stream}.flow")
    now = driver.get("amount.viable_cells") + driver.get("amount.dead_cells")
    assert driver.get("amount.dead_cells") > 0
    assert left > 0.1 * before
    assert before - now - left == pytest.approx(0.0, abs=1e-9 * before)


def test_osmolality_is_what_was_in_the_vessel_and_fed(drive: Drive) -> None:
    driver = drive("bioreactor_badr2021").start(**PUBLISHED, inoculum_factor=0.0)
    volume = driver.get("broth_volume")
    assert driver.get("osmolality") == pytest.approx(300.0, rel=1e-9)
    driver.set(supplement__flow=0.2, supplement__glucose=722.0, supplement__osmolality=1000.0)
    driver.set(feed__flow=0.1, feed__osmolality=1500.0)
    driver.record(HOUR, 24, [])
    expected = (300.0 * volume + 24 * (0.2 * 1000.0 + 0.1 * 1500.0)) / (volume + 24 * 0.3)
    assert driver.get("osmolality") == pytest.approx(expected, rel=1e-8)


def test_oxygen_transfer_follows_agitation_gas_and_volume(drive: Drive) -> None:
    """kLa ~ (P/V)^0.4 v_s^0.5 with P ~ N^3: van 't Riet's equation."""
    still = {"oxygen_loop__manual": 1.0, "ph_loop__manual": 1.0}

    def kla(**start: float) -> float:
        return float(drive("bioreactor_badr2021").start(**still, **start).get("kla"))

    usual = kla()
    assert kla(agitation_setpoint=200.0) / usual == pytest.approx(2.0**1.2, rel=1e-3)
    assert kla(air_flow_setpoint=0.02) / usual == pytest.approx(2.0**0.5, rel=1e-3)
    # half the broth has twice the power per volume and, under less of a head, somewhat larger bubbles
    assert kla(initial__volume=25.0) / usual == pytest.approx(2.0**0.4, rel=0.02)


def test_off_gas_holds_what_was_sparged_and_not_taken_up() -> None:
    model = bioreactor("badr2021")
    f = unit_functions_quietly(model)
    u = np.array([v.start for v, _ in model.inputs])
    p = np.array([v.start for v, _ in model.parameters])
    x = np.asarray(f.initial(u, p, [s.variable.start or 0.0 for s in model.states])).ravel()
    states = [s.variable.name for s in model.states]
    x[states.index("amount.viable_cells")] *= 60.0
    rates = np.asarray(f.derivative(0.0, x, [], u, p)).ravel() * HOUR
    y = np.asarray(f.outputs(0.0, x, [], u, p, f.integrand(0.0, x, [], u, p))).ravel()
    out = dict(zip((v.name for v, _ in model.outputs), y, strict=True))
    sparged = 0.01 * 100.0 * 60.0 / 22.414e-3  # 1 L/min of air in mmol/h
    assert out["oxygen_flow"] == out["co2_flow"] == 0.0
    # the oxygen loop sees 100 %, 60 above its setpoint, and adds nitrogen: 0.8 of 60 % of 0.02 1/min
    nitrogen = 0.48 * 0.02 * 100.0 * 60.0 / 22.414e-3
    inert = sparged * (1.0 - 0.2095 - 4e-4) + nitrogen
    leaving = inert / (1.0 - out["off_gas.oxygen"] - out["off_gas.carbon_dioxide"])
    uptake = out["oxygen_uptake_rate"] * 50.0
    assert uptake > 100.0
    stored = rates[states.index("amount.oxygen")]
    assert sparged * 0.2095 - leaving * out["off_gas.oxygen"] == pytest.approx(stored + uptake, rel=1e-9)
    stored = rates[states.index("amount.carbonate")]
    released = leaving * out["off_gas.carbon_dioxide"] - sparged * 4e-4
    assert uptake - released == pytest.approx(stored, rel=1e-9)


@pytest.mark.parametrize("volume", [2.0, 15000.0])
def test_the_jacket_takes_away_what_cells_and_stirrer_make(volume: float, drive: Drive) -> None:
    driver = drive("bioreactor_badr2021").start(
        initial__volume=volume,
        working_volume=2 * volume,
        agitation_setpoint=100.0 * (50.0 / volume) ** (2 / 9),
        initial__viable_cells=10e6,
        growth_rate_factor=0.0,
        effect__death_per_kelvin=0.0,
    )
    run_to(driver, 12.0)
    diameter = (4e-3 * 2 * volume / (math.pi * 1.5)) ** (1 / 3)
    wall = 4e-3 * volume / diameter
    taken = 300.0 * wall * (driver.get("temperature") - driver.get("jacket.temperature"))
    respired = 0.46e3 * driver.get("oxygen_uptake_rate") * volume / HOUR
    stirred = driver.get("power_input") * 1e-3 * volume
    assert respired > 0.3 * volume
    assert taken == pytest.approx(respired + stirred, rel=0.01)


def test_unknown_kinetics_and_parameter_sets_are_refused() -> None:
    with pytest.raises(fmus.GalenicError, match="no bioreactor kinetics 'badr2012'"):
        bioreactor("badr2012")
    with pytest.raises(fmus.GalenicError, match="no parameter set 'perfusion'"):
        parameter_set("perfusion")


@pytest.mark.parametrize(("volume", "stirrer"), [(2.0, 205.0), (50.0, 100.0), (1000.0, 51.0), (15000.0, 28.0)])
def test_the_inner_loops_hold_at_every_scale(volume: float, stirrer: float, drive: Drive) -> None:
    driver = drive("bioreactor_badr2021").start(
        initial__volume=volume,
        working_volume=2 * volume,
        agitation_setpoint=stirrer,
        supplement__glucose=722.0,
        supplement__flow=4e-3 * volume,
    )
    run_to(driver, 72.0)
    rows = driver.record(900.0, 4 * 96, ["temperature", "ph", "oxygen", "viable_cell_density"])
    assert np.all(np.abs(rows[:, 0] - 310.15) < 0.05)
    assert np.all(np.abs(rows[:, 1] - 7.0) < 0.1)
    assert np.all(np.abs(rows[:, 2] - 40.0) < 2.0)
    assert rows[-1, 3] > 10e6


def test_a_large_vessel_strips_less_carbon_dioxide_and_mixes_more_slowly(drive: Drive) -> None:
    found = []
    for volume, stirrer in ((2.0, 205.0), (15000.0, 28.0)):
        driver = drive("bioreactor_badr2021").start(
            initial__volume=volume, working_volume=2 * volume, agitation_setpoint=stirrer, initial__viable_cells=10e6
        )
        run_to(driver, 12.0)
        found.append([driver.get(n) for n in ("dissolved_co2", "mixing_time", "power_input")])
    small, large = np.array(found)
    assert large[0] > small[0]
    assert large[1] > 5 * small[1]
    assert large[2] == pytest.approx(small[2], rel=0.1)


def test_a_temperature_shift_slows_growth_and_raises_productivity(drive: Drive) -> None:
    driver = drive("bioreactor_badr2021").start()
    run_to(driver, 40.0)
    growth = driver.get("growth_rate")
    driver.set(temperature_setpoint=306.15)
    run_to(driver, 44.0)
    assert driver.get("temperature") == pytest.approx(306.15, abs=0.05)
    assert 0.3 < driver.get("growth_rate") / growth < 0.7
    before, cells = driver.get("produced.mab"), driver.get("amount.viable_cells")
    driver.step(60.0)
    specific = (driver.get("produced.mab") - before) / cells * 60.0
    assert 1.1 < specific / 8.18e-13 < 1.5


def specific_rates(driver: Any) -> np.ndarray:
    """Growth [1/h], death [1/h] and productivity [g/h per cell] now, the last over a second."""
    growth, death = driver.get("growth_rate"), driver.get("death_rate")
    before, cells = driver.get("produced.mab"), driver.get("amount.viable_cells")
    driver.step(1.0)
    return np.array([growth, death, (driver.get("produced.mab") - before) / cells * HOUR])


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        # growth, death, productivity by the equations of `declare_effects`
        ({"temperature_setpoint": 306.15}, (math.exp(-((4 / 4.8) ** 2)), math.exp(-0.48), math.exp(0.26))),
        ({"temperature_setpoint": 312.15}, (math.exp(-((2 / 4.8) ** 2)), math.exp(0.24), math.exp(-0.13))),
        ({"ph_setpoint": 6.7}, (math.exp(-((0.3 / 0.45) ** 2)), 1 + 0.75**2, math.exp(-0.25))),
        ({"ph_setpoint": 7.3}, (math.exp(-((0.3 / 0.45) ** 2)), 1 + 0.75**2, math.exp(-0.25))),
        ({"oxygen_setpoint": 4.0}, ((1 - math.exp(-0.25)) / (1 - math.exp(-25.0)), 1.0, 1.0)),
    ],
)
def test_temperature_ph_and_oxygen_act_on_growth_death_and_productivity(
    inputs: dict[str, float], expected: tuple[float, ...], drive: Drive
) -> None:
    """The fast variant has them at their setpoints at once; some lactate and little glucose make cells die."""
    start = {"initial__viable_cells": 10e6, "initial__lactate": 20.0, "initial__glucose": 5.0}
    usual, moved = (drive("bioreactor_badr2021_fast").start(**start, **change) for change in ({}, inputs))
    reference = specific_rates(usual)
    assert np.all(reference > 0)
    np.testing.assert_allclose(specific_rates(moved) / reference, expected, rtol=1e-3)


@pytest.mark.parametrize("kinetics", KINETICS)
def test_reference_conditions_leave_the_published_kinetics_alone(kinetics: str) -> None:
    rates = []
    for sensitivity in (0.0, 1.0):
        model = bioreactor(kinetics, "fast").with_starts({"effect.sensitivity": sensitivity})
        f = unit_functions_quietly(model)
        u, p = ([v.start for v, _ in declared] for declared in (model.inputs, model.parameters))
        x = f.initial(u, p, [s.variable.start or 0.0 for s in model.states])
        rates.append(np.asarray(f.derivative(0.0, x, [], u, p)).ravel())
    assert np.max(np.abs(rates[0])) > 0
    np.testing.assert_allclose(rates[1], rates[0], rtol=1e-9)


def test_loops_can_be_taken_over_by_hand(drive: Drive) -> None:
    driver = drive("bioreactor_badr2021").start(
        oxygen_loop__manual=1.0,
        oxygen_loop__output=100.0,
        ph_loop__manual=1.0,
        ph_loop__output=-50.0,
        temperature_loop__manual=1.0,
        temperature_loop__output=300.15,
    )
    run_to(driver, 6.0)
    assert driver.get("agitation") == pytest.approx(160.0)
    assert driver.get("oxygen_flow") == pytest.approx(0.05)
    assert driver.get("base_flow") == pytest.approx(0.5)
    assert driver.get("ph") > 7.2
    assert driver.get("temperature") < 302.0


def test_a_drifting_probe_misleads_its_loop(drive: Drive) -> None:
    driver = drive("bioreactor_badr2021").start(initial__viable_cells=5e6)
    driver.set(oxygen_probe_drift=10.0, ph_probe_drift=-0.2, temperature_probe_drift=1.0)
    run_to(driver, 12.0)
    assert driver.get("measured.oxygen") == pytest.approx(40.0, abs=1.0)
    assert driver.get("oxygen") == pytest.approx(30.0, abs=1.0)
    assert driver.get("ph") == pytest.approx(7.2, abs=0.06)
    assert driver.get("temperature") == pytest.approx(309.15, abs=0.05)


def test_a_blocked_filter_limits_the_harvest(drive: Drive) -> None:
    driver = drive("bioreactor_badr2021").start(harvest_flow_setpoint=2.0, medium__flow=2.0)
    driver.step(60.0)
    assert driver.get("harvest.flow") == pytest.approx(2.0, rel=1e-6)
    free = driver.get("filter.pressure")
    driver.set(filter_blockage=0.5)
    driver.step(60.0)
    assert driver.get("filter.pressure") == pytest.approx(2 * free, rel=1e-3)
    driver.set(filter_blockage=0.999)
    driver.step(60.0)
    assert driver.get("harvest.flow") < 0.2
    assert driver.get("filter.pressure") == pytest.approx(driver.get("filter.pressure_max"), rel=1e-9)


def test_an_emptied_vessel_keeps_its_heel(drive: Drive) -> None:
    driver = drive("bioreactor_badr2021").start(bleed_flow_setpoint=20.0)
    rows = driver.record(600.0, 60, ["broth_volume", "bleed.flow", "temperature", "titre"])
    assert np.all(np.isfinite(rows))
    assert 0.4 < rows[-1, 0] < 1.0
    assert np.all(np.diff(rows[:, 0]) <= 1e-9)
    assert np.sum(rows[:, 1]) / 6 == pytest.approx(50.0 - rows[-1, 0], abs=0.1)


def test_fast_and_detailed_offer_the_same_inputs_and_outputs_and_differ_little(drive: Drive) -> None:
    detailed, fast = bioreactor("badr2021"), bioreactor("badr2021", "fast")
    assert [v for v, _ in detailed.inputs] == [v for v, _ in fast.inputs]
    assert [v for v, _ in detailed.outputs] == [v for v, _ in fast.outputs]
    found, ideal = (fed_batch(drive(m), [200.0, 336.0])[336.0] for m in (detailed, fast))
    for quantity in ("viable_cells", "mab", "lactate"):
        # base dilutes the broth of the detailed one, which the fast one leaves out
        assert 0.045 < ideal[quantity] / found[quantity] - 1.0 < 0.085


admissible = st.fixed_dictionaries(
    {
        "medium__flow": st.floats(0, 5),
        "feed__flow": st.floats(0, 1),
        "feed__glucose": st.floats(0, 700),
        "feed__glutamine": st.floats(0, 100),
        "feed__ph": st.floats(5.5, 8.5),
        "feed__temperature": st.floats(275, 315),
        "harvest_flow_setpoint": st.floats(0, 8),
        "bleed_flow_setpoint": st.floats(0, 8),
        "level_control": st.floats(0, 1),
        "agitation_setpoint": st.floats(0, 300),
        "air_flow_setpoint": st.floats(0, 0.1),
        "oxygen_setpoint": st.floats(0, 150),
        "ph_setpoint": st.floats(6, 8),
        "temperature_setpoint": st.floats(290, 315),
        "growth_rate_factor": st.floats(0, 1.5),
        "filter_blockage": st.floats(0, 1),
        "ph_probe_drift": st.floats(-0.5, 0.5),
    }
)


@pytest.mark.parametrize("unit", [*DETAILED, "bioreactor_badr2021_fast"])
@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(admissible, min_size=2, max_size=5), st.floats(0, 3))
def test_amounts_stay_positive_and_finite(
    unit: str, drive: Drive, moves: list[dict[str, float]], inoculum: float
) -> None:
    model = fmus.unit_model(unit)
    driver = drive(unit).start(inoculum_factor=inoculum)
    names = [v.name for v, _ in model.outputs]
    kept = [i for i, n in enumerate(names) if n != "carbon_dioxide_transfer_rate"]
    shares = [i for i, n in enumerate(names) if n in ("off_gas.oxygen", "off_gas.carbon_dioxide")]
    for move in moves:
        driver.set(**move)
        rows = driver.record(3 * HOUR, 4, names)
        assert np.all(np.isfinite(rows))
        low = -1e-6 * np.array([v.nominal for v, _ in model.outputs])
        assert np.all(rows[:, kept] >= low[kept]), [names[i] for i in kept if np.any(rows[:, i] < low[i])]
        assert np.all(rows[:, shares] >= -1e-6)
        assert np.all(rows[:, shares] <= 1 + 1e-6)
