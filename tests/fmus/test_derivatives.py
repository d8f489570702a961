"""Directional derivatives of a step: exact, through implicit equations and through located events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from fmpy.fmi1 import FMICallException

import fmus
from fmus.codegen import unit_functions_quietly

Drive = Callable[..., Any]

# of central differences over runs whose integrator keeps 1e-8: truncation and noise
DIFFERENCES = 2e-4

CASES = {
    "continuous_blender": ("inlet_1.mass_flow", "outlet.api_fraction", 1e-5),
    "feed_frame": ("inlet.api_fraction", "holdup.api_mass", 1e-4),
    "loss_in_weight_feeder": ("mass_flow_setpoint", "holdup.mass", 1e-3),
    "tablet_press": ("fill_depth_setpoint", "main_compression_force", 1e-4),
}


def derivative(driver: Any, unknown: str, known: str) -> float:
    (value,) = driver.fmu.getDirectionalDerivative([driver.reference(unknown)], [driver.reference(known)], [1.0])
    return float(value)


def by_differences(driver: Any, state: Any, time: float, size: float, unknown: str, known: str, change: float) -> float:
    values = []
    for sign in (1.0, -1.0):
        driver.fmu.setFMUState(state)
        driver.time = time
        driver.set(**{known: driver.get(known) + sign * change})
        driver.step(size)
        values.append(driver.get(unknown))
    return float(values[0] - values[1]) / (2 * change)


@pytest.mark.parametrize("unit", CASES)
def test_derivative_of_a_step_equals_central_differences(unit: str, drive: Drive) -> None:
    known, unknown, change = CASES[unit]
    driver = drive(unit).start()
    driver.record(5.0, 20, [])
    state = driver.fmu.getFMUState()
    driver.step(60.0)
    exact = derivative(driver, unknown, known)
    assert exact != 0
    assert exact == pytest.approx(by_differences(driver, state, 100.0, 60.0, unknown, known, change), rel=DIFFERENCES)


@pytest.mark.parametrize("unit", CASES)
def test_derivative_equals_casadi_in_process(unit: str, drive: Drive) -> None:
    model = fmus.unit_model(unit)
    f = unit_functions_quietly(model)
    driver = drive(unit).start()
    driver.record(5.0, 20, [])
    x = [driver.get(s.variable.name) for s in model.states]
    u, p = [v.start for v, _ in model.inputs], [v.start for v, _ in model.parameters]
    driver.step(5.0)
    seeds = np.linspace(1.0, 2.0, len(u))
    _, expected = f.sensitivity(100.0, 5.0, x, u, p, np.zeros(len(x)), seeds)
    reals = [i for i, (v, _) in enumerate(model.outputs) if v.kind == "Real"]
    names = [model.outputs[i][0].name for i in reals]
    found = driver.fmu.getDirectionalDerivative(
        [driver.reference(n) for n in names], [driver.reference(v.name) for v, _ in model.inputs], list(seeds)
    )
    np.testing.assert_allclose(found, np.asarray(expected).ravel()[reals], rtol=1e-9, atol=1e-12)


def test_derivative_sees_how_a_refill_moves_in_time(drive: Drive) -> None:
    feeder = drive("loss_in_weight_feeder").start()
    while feeder.get("holdup.mass") > 3.05:
        feeder.step(1.0)
    state, time = feeder.fmu.getFMUState(), feeder.time
    feeder.step(30.0)
    assert feeder.get("refill_count") == 1
    for unknown in ("last_refill_time", "refilled.mass"):
        exact = derivative(feeder, unknown, "mass_flow_setpoint")
        feeder.fmu.setFMUState(state)
        differences = by_differences(feeder, state, time, 30.0, unknown, "mass_flow_setpoint", 0.05)
        assert exact == pytest.approx(differences, rel=DIFFERENCES, abs=1e-6)
        feeder.fmu.setFMUState(state)
        feeder.time = time
        feeder.step(30.0)
    assert derivative(feeder, "last_refill_time", "mass_flow_setpoint") < 0


def test_derivative_by_a_state_and_several_at_once(drive: Drive) -> None:
    press = drive("tablet_press").start()
    press.step(1.0)
    unknown = [press.reference(n) for n in ("tablet_weight", "main_compression_force")]
    known = [press.reference(n) for n in ("fill_depth_actual", "gap_setpoint")]
    both = np.array(press.fmu.getDirectionalDerivative(unknown, known, [0.5, -2.0]))
    single = [np.array(press.fmu.getDirectionalDerivative(unknown, [k], [1.0])) for k in known]
    np.testing.assert_allclose(both, 0.5 * single[0] - 2.0 * single[1], rtol=1e-7)


@pytest.mark.parametrize(
    ("unknown", "known", "words"),
    [
        ("tablet_weight", "yield_pressure", "derivatives are taken by inputs and the states at the step's start"),
        ("gap_setpoint", "gap_setpoint", "derivatives are taken of outputs and the states at the step's end"),
    ],
)
def test_what_cannot_be_derived_is_refused(unknown: str, known: str, words: str, drive: Drive) -> None:
    press = drive("tablet_press").start()
    press.step(1.0)
    with pytest.raises(FMICallException):
        derivative(press, unknown, known)
    assert words in press.messages[-1]
    assert "'yield_pressure'" in press.messages[-1] or "'gap_setpoint'" in press.messages[-1]


def test_before_the_first_step_the_derivative_is_that_of_the_instant(drive: Drive) -> None:
    press = drive("tablet_press").start()
    assert derivative(press, "tensile_strength", "strength_factor") == pytest.approx(press.get("tensile_strength"))
    assert derivative(press, "tablet_weight", "gap_setpoint") == 0.0


def test_in_initialization_mode_the_derivative_is_that_of_the_start(drive: Drive) -> None:
    press = drive("tablet_press")
    press.fmu.setupExperiment(startTime=0.0)
    press.fmu.enterInitializationMode()
    found = {k: derivative(press, "tablet_weight", k) for k in ("fill_depth_setpoint", "fill_volume_offset")}
    weight = press.get("tablet_weight")
    for name, step in (("fill_depth_setpoint", 1e-4), ("fill_volume_offset", 1e-2)):
        start = press.get(name)
        press.set(**{name: start + step})
        assert (press.get("tablet_weight") - weight) / step == pytest.approx(found[name], rel=1e-6)
        press.set(**{name: start})
