"""The solvers behind Model Exchange: each at the accuracy it is asked for, with its events, and what stops it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from foreign_fmu import write_odd
from test_fmi_events import bounces, height

from cosim.fmi import cvode, model_exchange
from cosim.fmi.cvode import Cvode, SolverError
from cosim.fmi.rosenbrock import Rosenbrock
from cosim.fmu_archive import open_archive
from cosim.fmu_component import FmuComponent

SOLVERS = [
    pytest.param(Cvode, marks=pytest.mark.skipif(not cvode.available(), reason="CVODE is not shipped here")),
    Rosenbrock,
]


def equation(function):
    """A right-hand side on addresses, as an FMU's."""
    import ctypes

    def evaluate(time: float, states: int, out: int) -> int:
        size = len(function(0.0, np.ones(2)))
        x, dx = ((ctypes.c_double * size).from_address(place) for place in (states, out))
        result = np.array(function(time, np.array(x)), dtype=float)
        if np.any(np.isnan(result)):
            return 1
        dx[:] = result.tolist()
        return 0

    return evaluate


def none(_time: float, _states: int, _out: int) -> int:
    return 0


def solve(solver, function, start, end, tolerance):
    made = solver(0.0, np.array(start), np.ones(len(start)), equation(function), none, 0, tolerance)
    steps = 0
    while made.time < end:
        made.step(end)
        steps += 1
    result = made.states.copy()
    made.free()
    made.free()
    return result, steps


@pytest.mark.parametrize("solver", SOLVERS)
def test_the_error_follows_the_tolerance(solver):
    """Oscillator; the global error stays within a few hundred tolerances."""
    for tolerance in (1e-4, 1e-6, 1e-8):
        found, _ = solve(solver, lambda _, x: [x[1], -x[0]], [1.0, 0.0], 3.0, tolerance)
        assert np.max(np.abs(found - [math.cos(3.0), -math.sin(3.0)])) < 300.0 * tolerance


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_stiff_equation_takes_few_steps(solver):
    """Prothero & Robinson (1974): explicit methods would need 1e6 steps."""
    found, steps = solve(solver, lambda t, x: [-1e6 * (x[0] - math.cos(t)) - math.sin(t), -x[1]], [1.0, 1.0], 1.0, 1e-6)
    assert found == pytest.approx([math.cos(1.0), math.exp(-1.0)], rel=1e-5)
    assert steps < 1000


@pytest.mark.parametrize("solver", SOLVERS)
def test_an_equation_without_a_solution_is_an_error_with_its_time(solver):
    """x' = x^2 goes to infinity at t = 1."""
    with pytest.raises(SolverError, match=r"t = (1|0\.99)"):
        solve(solver, lambda _, x: [x[0] ** 2, 0.0] if x[0] < 1e12 else [math.nan, 0.0], [1.0, 0.0], 2.0, 1e-6)


@pytest.mark.parametrize("solver", SOLVERS)
def test_what_a_callback_raises_comes_through(solver):
    def broken(_time: float, _states: int, _out: int) -> int:
        raise KeyError("broken")

    made = solver(0.0, np.ones(2), np.ones(2), broken, none, 0, 1e-6)
    with pytest.raises(KeyError, match="broken"):
        made.step(1.0)
    made.free()


@pytest.mark.parametrize("solver", SOLVERS)
def test_events_are_located_by_either_solver(solver, tmp_path, monkeypatch):
    monkeypatch.setattr(model_exchange, "available", lambda: solver is Cvode)
    component = FmuComponent(
        "ball", open_archive(write_odd(tmp_path / "odd.fmu")), interface="model_exchange", tolerance=1e-7
    )
    component.initialize(0.0)
    for k in range(12):
        component.do_step(0.1 * k, 0.1)
        values = dict(zip([port.name for port in component.outputs], component.output_values.tolist(), strict=True))
        assert values["h"] == pytest.approx(height(0.1 * (k + 1)), abs=2e-6)
    assert values["bounces"] == len(bounces(1.2))
    assert values["ticks"] == 4
    assert component.verify_state(1.2, 0.1) == 0.0
    component.terminate()
