"""The reference of these tests: a unit's equations stepped by CasADi in this process, without any FMU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import fmus
from fmus.codegen import unit_functions_quietly
from fmus.variable import Variable

Held = Callable[[int], dict[str, float]]  # step -> inputs that are not at their start values


def moved(start: float, k: int) -> float:
    """An input's value in step ``k``, as `fmu_host.c` moves it."""
    return start * (1 + 0.05 * ((k % 7) - 3) / 3)


def movable(variable: Variable) -> bool:
    """Whether these tests move an input: it is real and stays in its range."""
    start = variable.start or 0.0
    low, high = sorted((0.95 * start, 1.05 * start))
    inside = (variable.minimum is None or variable.minimum <= low) and (
        variable.maximum is None or high <= variable.maximum
    )
    return variable.kind == "Real" and inside


class Equations:
    """A unit at its start."""

    def __init__(self, model: fmus.UnitModel) -> None:
        self.model, self.f = model, unit_functions_quietly(model)
        self.start = {v.name: v.start or 0.0 for v in model.variables}
        self.p = [self.start[v.name] for v, _ in model.parameters]
        self.x = self.f.initial(self.inputs({}), self.p, [self.start[s.variable.name] for s in model.states])

    def inputs(self, held: dict[str, float]) -> list[float]:
        return [(self.start | held)[v.name] for v, _ in self.model.inputs]

    def instant(self, t: float, states: list[float], held: dict[str, float]) -> dict[str, float]:
        """The outputs at one instant, means being present values."""
        f, p, u = self.f, self.p, self.inputs(held)
        z = f.algebraic(t, states, u, p)
        y = f.outputs(t, states, z, u, p, f.integrand(t, states, z, u, p))
        return dict(zip([v.name for v, _ in self.model.outputs], np.asarray(y).ravel().tolist(), strict=True))

    def _named(self, rows: list[Any]) -> dict[str, np.ndarray]:
        names = [v.name for v in self.model.variables[len(self.model.inputs) + len(self.p) :]]
        names += [f"der({s.variable.name})" for s in self.model.states][: len(rows[0]) - len(names)]
        return dict(zip(names, np.array(rows).T, strict=True))

    def co_simulation(self, steps: int, size: float, held: Held) -> dict[str, np.ndarray]:
        """States, unknowns and outputs at the end of each step: name -> trajectory."""
        f, p, rows = self.f, self.p, []
        for k in range(steps):
            t, end, u = k * size, (k + 1) * size, self.inputs(held(k))
            self.x = f.settle(t, self.x, u, p)
            self.x, _, means = f.step(t, size, self.x, f.algebraic(t, self.x, u, p), u, p)
            self.x = f.settle(end, self.x, u, p)
            z = f.algebraic(end, self.x, u, p)
            y = f.outputs(end, self.x, z, u, p, means)
            rows.append(_row(self.x, z, y))
        return self._named(rows)

    def euler(self, steps: int, size: float, held: Held) -> dict[str, np.ndarray]:
        """The same and ``der(state)`` at the start of each step, by Euler's explicit method and without events."""
        f, p, rows = self.f, self.p, []
        for k in range(steps):
            t, end, u = k * size, (k + 1) * size, self.inputs(held(k))
            rates = f.derivative(t, self.x, f.algebraic(t, self.x, u, p), u, p)
            self.x = self.x + size * rates
            z = f.algebraic(end, self.x, u, p)
            assert np.all(np.asarray(f.indicators(end, self.x, z, u, p)) >= 0), "an event: choose a shorter run"
            y = f.outputs(end, self.x, z, u, p, f.integrand(end, self.x, z, u, p))
            rows.append(_row(self.x, z, y, rates))
        return self._named(rows)


def _row(*columns: Any) -> np.ndarray:
    return np.concatenate([np.asarray(column).ravel() for column in columns])
