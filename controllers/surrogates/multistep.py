"""Training on free runs: what a model is used for, and what training on single steps does not see."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import casadi as ca
import numpy as np
from scipy.optimize import minimize

from controllers.surrogates.lagged import Map, Window
from controllers.surrogates.records import Record
from cosim.component import FloatArray

MapT = TypeVar("MapT", bound=Map)
#: Lengths of the free runs in which the error is made small, as shares of a run, one after the other.
_LENGTHS = (0.05, 0.2, 0.5)
_SEGMENTS = 60
_ITERATIONS = 60
_PENALTY = 1e-4
_ABSURD = 1e12


def refine(
    mapping: MapT,
    records: Sequence[Record],
    period: float,
    step_with: Callable[[Any], Any],
    window: Window,
    progress: Callable[[float], None],
) -> MapT:
    """Move a map's numbers so that free runs from states of the data come out right.

    The mean square error of the outputs, relative to their spread, over segments of the runs, with its gradient through
    the simulation, by L-BFGS; first over short segments, then over longer ones.

    Args:
        mapping: trained on single steps.
        records: training runs.
        period: in s.
        step_with: gives (x, u, p) -> x with symbols p for the map's numbers.
        window: what the state is.
        progress: told the finished share.
    """
    numbers = mapping.parameters
    begin = numbers.copy()
    outputs = records[0].outputs.shape[1]
    spread = np.vstack([r.outputs for r in records]).std(axis=0)
    spread = np.where(spread > 0.0, spread, 1.0)
    symbols = ca.SX.sym("p", len(numbers))
    step = step_with(symbols)
    for part, share in enumerate(_LENGTHS):
        length = max(2, round(share * min(len(r.inputs) for r in records)))
        starts, inputs, targets = _segments(records, window, period, length)
        objective = _objective(step, outputs, length, starts, inputs, targets, spread)

        def value(p: Any, objective: Any = objective) -> tuple[float, Any]:
            loss, slope = (v.full().ravel() for v in objective(p))
            away = p - begin
            if not (np.isfinite(loss).all() and np.isfinite(slope).all()):
                return _ABSURD, np.zeros_like(p)
            return float(loss[0]) + _PENALTY * float(away @ away) / len(p), slope + 2.0 * _PENALTY * away / len(p)

        done = iter(range(_ITERATIONS))

        def told(_numbers: Any, done: Any = done, part: int = part) -> None:
            progress((part + next(done, _ITERATIONS) / _ITERATIONS) / len(_LENGTHS))

        options: dict[str, Any] = {"jac": True, "callback": told, "options": {"maxiter": _ITERATIONS}}
        found = minimize(value, numbers, method="L-BFGS-B", **options)
        if np.isfinite(found.x).all() and found.fun < _ABSURD:
            numbers = found.x
    return mapping.with_parameters(numbers)  # type: ignore[return-value]


def _segments(
    records: Sequence[Record], window: Window, period: float, length: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """States at their starts (n, S), inputs (m, S * length) and outputs (p, S * length), evenly over all runs."""
    places = [(r, k) for r in range(len(records)) for k in range(0, len(records[r].inputs) - length + 1, length)]
    if len(places) > _SEGMENTS:
        places = [places[round(i)] for i in np.linspace(0, len(places) - 1, _SEGMENTS)]
    states = [window.states(r, period) for r in records]
    starts = np.stack([states[r][k] for r, k in places], axis=1)
    inputs = np.hstack([records[r].inputs[k : k + length].T for r, k in places])
    targets = np.hstack([records[r].outputs[k + 1 : k + 1 + length].T for r, k in places])
    return starts, inputs, targets


def _objective(
    step: Any,
    outputs: int,
    length: int,
    starts: FloatArray,
    inputs: FloatArray,
    targets: FloatArray,
    spread: FloatArray,
) -> Any:
    """Function p -> (mean square error, gradient)."""
    n, count = starts.shape
    m = inputs.shape[0]
    x, u, y = ca.MX.sym("x", n), ca.MX.sym("u", m, length), ca.MX.sym("y", outputs, length)
    p = ca.MX.sym("p", step.size1_in(2))
    path = step.mapaccum(length)(x, u, ca.repmat(p, 1, length))
    error = (path[:outputs, :] - y) / ca.repmat(ca.DM(spread), 1, length)
    loss = ca.sumsqr(error)
    mapped = ca.Function("slope", [x, u, y, p], [loss, ca.gradient(loss, p)]).map(count)
    every = ca.MX.sym("p", step.size1_in(2))
    loss, gradient = mapped(starts, inputs, targets, ca.repmat(every, 1, count))
    size = float(count * length * outputs)
    return ca.Function("objective", [every], [ca.sum2(loss) / size, ca.sum2(gradient) / size])
