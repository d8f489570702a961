r"""Data-driven models on a window of the past, as processes.

    phi(k) = (y(k), .., y(k-n+1), u(k-l) for l in the input lags),     y(k+1) = y(k) + D g((phi(k) - c) / s)

with g a sparse polynomial or a neural network. The state is the window, so a controller can start anywhere; its
values are outputs and inputs themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import casadi as ca
import numpy as np

from controllers.estimation.model import Output, Process, State
from controllers.surrogate import SurrogateInput, SurrogateOutput
from controllers.surrogates.records import Record
from cosim.component import FloatArray


class Map(Protocol):
    """What is between the scaled window and the scaled change of the outputs."""

    def expression(self, phi: Any) -> Any:
        """In CasADi, a column."""


@dataclass(frozen=True)
class Window:
    """Which past the model sees.

    Args:
        outputs: how many past values of each output, the present one included.
        inputs: lags of the inputs in periods; 0 is what is held from now on.
    """

    outputs: int
    inputs: tuple[int, ...]

    @property
    def deepest(self) -> int:
        """The oldest input that is needed."""
        return max(self.inputs)

    def regressors(self, record: Record) -> FloatArray:
        """Windows of a run, shape (N, n_phi); before its start everything was as at its start."""
        u, y = record.inputs, record.outputs
        count = len(u)
        columns = [np.vstack([np.tile(y[0], (back, 1)), y[: count - back]]) for back in range(self.outputs)]
        columns += [np.vstack([np.tile(u[0], (back, 1)), u[: count - back]])[:count] for back in self.inputs]
        return np.hstack(columns)

    def state(self, outputs: FloatArray, inputs: FloatArray) -> FloatArray:
        """The state of a plant that has been at rest, shape (n,)."""
        return np.concatenate([np.tile(outputs, self.outputs), np.tile(inputs, self.deepest)])


@dataclass(frozen=True)
class Scale:
    """Centre and size of the window's entries, shape (n_phi,), and size of the outputs' changes, shape (p,)."""

    center: FloatArray
    size: FloatArray
    change: FloatArray

    @classmethod
    def of(cls, phi: FloatArray, change: FloatArray) -> Scale:
        """From training data."""
        size, moves = phi.std(axis=0), change.std(axis=0)
        return cls(phi.mean(axis=0), np.where(size > 0.0, size, 1.0), np.where(moves > 0.0, moves, 1.0))


def process_of(
    period: float,
    inputs: Sequence[SurrogateInput],
    outputs: Sequence[SurrogateOutput],
    window: Window,
    scale: Scale,
    mapping: Map,
) -> Process:
    """The process of a trained map."""
    p, m = len(outputs), len(inputs)
    n_y, n_u = p * window.outputs, m * window.deepest
    x, u, q = ca.SX.sym("x", n_y + n_u), ca.SX.sym("u", m), ca.SX.sym("p", 0)
    past = [u, *(x[n_y + m * back : n_y + m * (back + 1)] for back in range(window.deepest))]
    phi = ca.vertcat(x[:n_y], *(past[back] for back in window.inputs))
    moved = ca.DM(scale.change) * mapping.expression((phi - ca.DM(scale.center)) / ca.DM(scale.size))
    end = ca.vertcat(x[:p] + moved, x[: n_y - p])
    if window.deepest:
        end = ca.vertcat(end, u, x[n_y : n_y + n_u - m])
    states = [
        State(o.name if back == 0 else f"{o.name}[-{back}]", o.unit, _size(o.operating_point, scale, back * p + i))
        for back in range(window.outputs)
        for i, o in enumerate(outputs)
    ]
    widths = [(i.max - i.min) / 2.0 for i in inputs]
    states += [
        State(f"{i.name}[-{back + 1}]", i.unit, max(abs(i.operating_point), width) or 1.0)
        for back in range(window.deepest)
        for i, width in zip(inputs, widths, strict=True)
    ]
    return Process(
        period,
        tuple(states),
        tuple(i.name for i in inputs),
        tuple(Output(o.name, o.unit, _size(o.operating_point, scale, j)) for j, o in enumerate(outputs)),
        ca.Function("step", [x, u, q], [ca.densify(end)], {"cse": True}),
        ca.Function("measure", [x, u, q], [ca.densify(x[:p])]),
    )


def _size(point: float, scale: Scale, column: int) -> float:
    return float(max(abs(point), scale.size[column]))


def data_of(window: Window, records: Sequence[Record]) -> tuple[FloatArray, FloatArray]:
    """Windows and the outputs' changes that followed, shapes (N, n_phi) and (N, p)."""
    phi = np.vstack([window.regressors(r) for r in records])
    change = np.vstack([np.diff(r.outputs, axis=0) for r in records])
    return phi, change
