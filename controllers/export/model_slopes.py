"""A nonlinear law's model with its derivatives, as functions that stay small when they are compiled."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import casadi
import numpy as np

from controllers.estimation.model import EstimationModel, Output, Process
from controllers.nonlinear.law import NonlinearLaw

#: How well steps of the integration map have to give the model's period, relative to nominals.
_SAME = 1e-12


def step_function(model: EstimationModel, name: str) -> Any:
    """(s, u) -> s after one period, its Jacobians with respect to s and u.

    Where the period is so many steps of the integration map, it is a chain of calls of one function whose derivatives
    are multiplied; written out, such functions have a hundred thousand operations and take minutes to compile.
    """
    chained = _chain(model, name)
    return _written_out(model.step, name) if chained is None else chained


def measure_function(model: EstimationModel, name: str) -> Any:
    """(s, u) -> y, its Jacobians with respect to s and u."""
    return _written_out(model.measure, name)


def steady_function(law: NonlinearLaw, step: Any, measure: Any, name: str) -> Any:
    """What `controllers.nonlinear.steady_target` evaluates, on functions of this module."""
    assert law._target is not None
    f, mx = law._f, casadi.MX
    target: Any = law._target._evaluate._function
    n = len(law.model.process.states)
    arguments = [mx.sym(f"i{i}", target.size1_in(i)) for i in range(4)]
    x, d, u, known = arguments
    both, full = casadi.vertcat(x, d), f.inputs_of(u, known)
    end, end_s, end_u = step(both, full)
    y, y_s, y_u = measure(both, full)
    slope = casadi.horzcat(end_s[:n, :n] - casadi.DM.eye(n), end_u[:n, f.manipulated])
    gain = casadi.horzcat(y_s[:, :n], y_u[:, f.manipulated])
    symbols = [casadi.SX.sym(f"v{i}", target.size1_in(i)) for i in range(4)]
    worth = casadi.Function("worth", symbols, [casadi.densify(r) for r in target.call(symbols)[4:]])
    results = [end[:n] - x, slope, y, gain, *worth.call(arguments)]
    return casadi.Function(name, arguments, [casadi.densify(r) for r in results])


def _written_out(function: Any, name: str) -> Any:
    sx = casadi.SX
    s, u = sx.sym("s", function.size1_in(0)), sx.sym("u", function.size1_in(1))
    value = function(s, u)
    results = [value, casadi.jacobian(value, s), casadi.jacobian(value, u)]
    return casadi.Function(name, [s, u], [casadi.densify(r) for r in results])


def _chain(model: EstimationModel, name: str) -> Any | None:
    process, mx = model.process, casadi.MX
    if process.advance is None or process.substeps < 2 or not process.advance.is_a("SXFunction"):
        return None
    n, m, k = len(process.states), len(process.inputs), len(process.parameters)
    x, v, h = casadi.SX.sym("x", n), casadi.SX.sym("v", m + k), casadi.SX.sym("h")
    after = process.advance(x, v[:m], v[m:], h)
    jacobians = [casadi.densify(casadi.jacobian(after, w)) for w in (x, v)]
    part = casadi.Function("part", [x, v, h], [casadi.densify(after), *jacobians])
    moved, rates = _moved(model)
    s, u = mx.sym("s", model.size), mx.sym("u", m)
    at = moved(s, u)
    zero = np.zeros(model.size), np.zeros(m)
    at_s, at_u, rates_s = (casadi.DM(f(*zero)) for f in (_slope(moved, 0), _slope(moved, 1), _slope(rates, 0)))
    end, by_s, by_u = s[:n], mx(casadi.DM.eye(model.size)[:n, :]), mx(casadi.DM(n, m))
    for _ in range(process.substeps):
        end, a, b = part(end, at, process.period / process.substeps)
        by_s, by_u = a @ by_s + b @ at_s, a @ by_u + b @ at_u
    stays = casadi.DM.eye(model.size)[n:, :]
    results = [
        casadi.vertcat(end + rates(s, u), s[n:]),
        casadi.vertcat(by_s + rates_s, stays),
        casadi.vertcat(by_u, casadi.DM(model.size - n, m)),
    ]
    made = casadi.Function(name, [s, u], [casadi.densify(r) for r in results])
    middle = np.clip(model.nominal, model.low, model.high), np.ones(m)
    off = (made(*middle)[0] - model.step(*middle)) / model.nominal
    return made if float(casadi.norm_inf(off)) < _SAME else None


def _moved(model: EstimationModel) -> tuple[Any, Any]:
    """(s, u) -> inputs and parameters as disturbances move them; (s, u) -> what rates add in a period.

    Read from the model of a process that does nothing and shows its inputs and parameters.
    """
    process, sx = model.process, casadi.SX
    symbols = [sx.sym(name, size) for name, size in zip("xup", _sizes(process), strict=True)]
    x, u, p = symbols
    more = tuple(Output(f"moved {i}", "1", 1.0) for i in range(int(u.numel() + p.numel())))
    shown = casadi.vertcat(sx(len(process.outputs), 1), u, p)
    idle = replace(
        process,
        outputs=process.outputs + more,
        step=casadi.Function("step", symbols, [casadi.densify(0.0 * x)]),
        measure=casadi.Function("measure", symbols, [casadi.densify(shown)]),
        advance=None,
    )
    seen = EstimationModel(idle, model.disturbances)
    s, full = sx.sym("s", model.size), sx.sym("u", len(process.inputs))
    moved = seen.measure(s, full)[len(process.outputs) :]
    rates = seen.step(s, full)[: len(process.states)]
    return casadi.Function("moved", [s, full], [moved]), casadi.Function("rates", [s, full], [rates])


def _sizes(process: Process) -> tuple[int, int, int]:
    return len(process.states), len(process.inputs), len(process.parameters)


def _slope(function: Any, of: int) -> Any:
    """Of a function that is linear."""
    symbols = [casadi.SX.sym(f"i{i}", function.size1_in(i)) for i in range(2)]
    slope = casadi.jacobian(function(*symbols), symbols[of])
    return casadi.Function("slope", symbols, [casadi.densify(slope)])
