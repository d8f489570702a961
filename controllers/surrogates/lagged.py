r"""Data-driven models on a window of the past, as processes.

The window phi(k) holds past outputs, past inputs, and inputs filtered by cascades of first-order lags,

    f_1 <- a f_1 + (1 - a) u,    f_s <- a f_s + (1 - a) f_(s-1),    a = exp(-period/tau)

and the map g between them is a sparse polynomial or a neural network:

    y(k+1) = D g((phi(k) - c)/s) + o                  an output at rest follows the filters (no past outputs in phi)
    y(k+1) = y(k) + D g((phi(k) - c)/s) + o           one that integrates; all of them where phi has past outputs

Filters cannot become unstable in free simulation and reach far back with few states; past outputs carry what a batch
begins with.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import casadi as ca
import numpy as np

from controllers.estimation.model import Output, Process, State
from controllers.surrogates.linear_surrogate import SurrogateInput, SurrogateOutput
from controllers.surrogates.records import Record
from cosim.component import FloatArray


class Map(Protocol):
    """What is between the scaled window and the scaled outputs."""

    @property
    def parameters(self) -> FloatArray:
        """All its numbers, flat."""

    def with_parameters(self, parameters: FloatArray) -> Map:
        """The same map with other numbers."""

    def expression(self, phi: Any, parameters: Any | None = None) -> Any:
        """In CasADi, a column; with symbols in place of its numbers where given."""


@dataclass(frozen=True)
class Window:
    """Which past the model sees.

    Args:
        outputs: how many past values of each output, the present one included.
        inputs: lags of the inputs in periods; 0 is what is held from now on.
        filters: time constants in s.
        stages: of each cascade.
    """

    outputs: int
    inputs: tuple[int, ...]
    filters: tuple[float, ...] = ()
    stages: int = 2

    @property
    def deepest(self) -> int:
        """The oldest input that is needed."""
        return max(self.inputs, default=0)

    def poles(self, period: float) -> list[float]:
        """Of the filters."""
        return [math.exp(-period / tau) for tau in self.filters]

    def regressors(self, record: Record, period: float) -> FloatArray:
        """Windows of a run, shape (N, n_phi); before its start everything was at rest."""
        u, y, count = record.inputs, record.outputs, len(record.inputs)
        columns = [np.vstack([np.tile(y[0], (back, 1)), y[: count - back]])[:count] for back in range(self.outputs)]
        columns += [np.vstack([np.tile(record.rest, (back, 1)), u[: count - back]])[:count] for back in self.inputs]
        for pole in self.poles(period):
            source = u
            for _ in range(self.stages):
                source = _filtered(source, record.rest, pole)
                columns.append(source)
        return np.hstack(columns)

    def states(self, record: Record, period: float) -> FloatArray:
        """The states of a run by its data, shape (N + 1, n)."""
        u, y, count = record.inputs, record.outputs, len(record.inputs)
        columns = [np.vstack([np.tile(y[0], (back, 1)), y])[: count + 1] for back in range(max(self.outputs, 1))]
        for back in range(1, self.deepest + 1):
            columns.append(np.vstack([np.tile(record.rest, (back, 1)), u])[: count + 1])
        for pole in self.poles(period):
            source = u
            for _ in range(self.stages):
                source = _filtered(source, record.rest, pole)
                columns.append(np.vstack([record.rest, source]))
        return np.hstack(columns)

    def changes(self, integrating: Sequence[bool]) -> FloatArray:
        """1 for outputs whose change is predicted, 0 for those whose value is, shape (p,)."""
        return np.array([1.0 if self.outputs or flag else 0.0 for flag in integrating])

    def state(self, outputs: FloatArray, inputs: FloatArray) -> FloatArray:
        """The state of a plant that has been at rest, shape (n,)."""
        remembered = self.deepest + len(self.filters) * self.stages
        return np.concatenate([np.tile(outputs, max(self.outputs, 1)), np.tile(inputs, remembered)])


@dataclass(frozen=True)
class Scale:
    """Centre and size of the window's entries, shape (n_phi,); size and mean of what is predicted, shape (p,)."""

    center: FloatArray
    size: FloatArray
    change: FloatArray
    offset: FloatArray

    @classmethod
    def of(cls, phi: FloatArray, target: FloatArray) -> Scale:
        """From training data."""
        size, moves = phi.std(axis=0), target.std(axis=0)
        sizes = np.where(size > 0.0, size, 1.0), np.where(moves > 0.0, moves, 1.0)
        return cls(phi.mean(axis=0), sizes[0], sizes[1], target.mean(axis=0))


def data_of(
    window: Window, records: Sequence[Record], period: float, integrating: Sequence[bool]
) -> tuple[FloatArray, FloatArray]:
    """Windows and what followed them, shapes (N, n_phi) and (N, p)."""
    phi = np.vstack([window.regressors(r, period) for r in records])
    flags = window.changes(integrating)
    return phi, np.vstack([r.outputs[1:] - flags * r.outputs[:-1] for r in records])


def process_of(
    period: float,
    inputs: Sequence[SurrogateInput],
    outputs: Sequence[SurrogateOutput],
    window: Window,
    scale: Scale,
    mapping: Map,
) -> Process:
    """The process of a trained map."""
    step, measure = step_of(period, inputs, outputs, window, scale, mapping), len(outputs)
    x, u, q = ca.SX.sym("x", step.size1_in(0)), ca.SX.sym("u", len(inputs)), ca.SX.sym("p", 0)
    return Process(
        period,
        _states(inputs, outputs, window, scale),
        tuple(i.name for i in inputs),
        tuple(Output(o.name, o.unit, _size(o, scale, j)) for j, o in enumerate(outputs)),
        step,
        ca.Function("measure", [x, u, q], [ca.densify(x[:measure])]),
    )


def step_of(
    period: float,
    inputs: Sequence[SurrogateInput],
    outputs: Sequence[SurrogateOutput],
    window: Window,
    scale: Scale,
    mapping: Map,
    parameters: Any | None = None,
) -> Any:
    """(x, u, p) -> x a period later; the state is past outputs, then past inputs, then the filters.

    Where symbols are given for the map's numbers, p is these.
    """
    p, m = len(outputs), len(inputs)
    n_y, n_u = p * max(window.outputs, 1), m * window.deepest
    poles = window.poles(period)
    n_f = m * len(poles) * window.stages
    x, u = ca.SX.sym("x", n_y + n_u + n_f), ca.SX.sym("u", m)
    q = ca.SX.sym("p", 0) if parameters is None else parameters
    past = [u, *(x[n_y + m * back : n_y + m * (back + 1)] for back in range(window.deepest))]
    filtered = []
    for j, pole in enumerate(poles):
        source = u
        for stage in range(window.stages):
            at = n_y + n_u + m * (j * window.stages + stage)
            source = pole * x[at : at + m] + (1.0 - pole) * source
            filtered.append(source)
    seen = x[: p * window.outputs] if window.outputs else ca.SX(0, 1)
    phi = ca.vertcat(seen, *(past[back] for back in window.inputs), *filtered)
    moved = mapping.expression((phi - ca.DM(scale.center)) / ca.DM(scale.size), parameters)
    flags = window.changes([o.integrating for o in outputs])
    y = ca.DM(flags) * x[:p] + ca.DM(scale.change) * moved + ca.DM(scale.offset)
    end = y
    if n_y > p:
        end = ca.vertcat(y, x[: n_y - p])
    if window.deepest:
        end = ca.vertcat(end, u, x[n_y : n_y + n_u - m])
    end = ca.vertcat(end, *filtered)
    return ca.Function("step", [x, u, q], [ca.densify(end)], {"cse": True})


def _states(
    inputs: Sequence[SurrogateInput], outputs: Sequence[SurrogateOutput], window: Window, scale: Scale
) -> tuple[State, ...]:
    states = [
        State(o.name if back == 0 else f"{o.name}[-{back}]", o.unit, _size(o, scale, j))
        for back in range(max(window.outputs, 1))
        for j, o in enumerate(outputs)
    ]
    labels = [f"[-{back + 1}]" for back in range(window.deepest)]
    labels += [f"[{tau:g} s, {stage + 1}]" for tau in window.filters for stage in range(window.stages)]
    states += [
        State(f"{i.name}{label}", i.unit, max(abs(i.operating_point), (i.max - i.min) / 2.0) or 1.0)
        for label in labels
        for i in inputs
    ]
    return tuple(states)


def _filtered(source: FloatArray, rest: FloatArray, pole: float) -> FloatArray:
    result, last = np.empty_like(source), rest
    for k, value in enumerate(source):
        last = pole * last + (1.0 - pole) * value
        result[k] = last
    return result


def _size(output: SurrogateOutput, scale: Scale, at: int) -> float:
    return float(max(abs(output.operating_point), scale.change[at])) or 1.0
