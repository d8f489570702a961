"""One step of an ordinary differential equation, stiff or not, with an estimate of its error.

The pair of orders 2 and 3 of Shampine & Reichelt, The MATLAB ODE Suite (1997): linearly implicit, L-stable, with an
interpolant. Derivatives of the right-hand side are differences.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Rhs = Callable[[float, Array], Array]

_D = 1.0 / (2.0 + 2.0**0.5)
_E = 6.0 + 2.0**0.5


@dataclass(frozen=True)
class OdeStep:
    """A step that was tried; ``error`` is in units of the scale."""

    start: float
    size: float
    before: Array
    after: Array
    error: float
    stages: tuple[Array, Array]

    def at(self, share: float) -> Array:
        """The states at a share of the step."""
        if share == 1.0:
            return self.after
        first, second = self.stages
        s = share
        part = (s * (1.0 - s) * first + s * (s - 2.0 * _D) * second) / (1.0 - 2.0 * _D)
        return np.asarray(self.before + self.size * part)


def ode_step(rhs: Rhs, time: float, states: Array, size: float, scale: Array) -> OdeStep:
    """Try one step. ``scale`` is the error that is tolerated in each state."""
    if not len(states):
        return OdeStep(time, size, states, states, 0.0, (states, states))
    here = rhs(time, states)
    matrix = np.eye(len(states)) - size * _D * _jacobian(rhs, time, states, here, scale)
    change = 1e-6 * size
    drift = size * _D * (rhs(time + change, states) - here) / change
    first = np.linalg.solve(matrix, here + drift)
    middle = rhs(time + 0.5 * size, states + 0.5 * size * first)
    second = np.linalg.solve(matrix, middle - first) + first
    after = states + size * second
    there = rhs(time + size, after)
    third = np.linalg.solve(matrix, there - _E * (second - middle) - 2.0 * (first - here) + drift)
    error = float(np.max(np.abs(size / 6.0 * (first - 2.0 * second + third)) / scale))
    return OdeStep(time, size, states, np.asarray(after), error, (np.asarray(first), np.asarray(second)))


def _jacobian(rhs: Rhs, time: float, states: Array, here: Array, scale: Array) -> Array:
    found = np.empty((len(states), len(states)))
    for k in range(len(states)):
        change = 1e-8 * max(abs(states[k]), 1e4 * scale[k])
        moved = states.copy()
        moved[k] += change
        found[:, k] = (rhs(time, moved) - here) / (moved[k] - states[k])
    return found
