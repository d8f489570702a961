"""Values that agree with what they cause: u = G(u), by Newton's method or by repeated insertion."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cosim.component import FloatArray

#: u - G(u), shape (n,) -> (n,).
Residual = Callable[[FloatArray], FloatArray]

#: A step of Newton's method that leaves more than this part of the residual asks for a new Jacobian.
_SLOW = 0.5
_DIFFERENCE = 1e-7
_SHORTEST = 1e-4
#: Two values that differ by less agree, whatever their size.
_NOTHING = 1e-12


class FixedPoint:
    """Solves u = G(u) again and again, each time from where the last one was.

    ``newton``: u <- u - J^-1 (u - G(u)) with J = I - dG/du, kept from solution to solution, corrected by Broyden's
    update after each step, computed anew where convergence is slow; a step that makes the residual larger is
    shortened. ``fixed_point``: u <- u + w (G(u) - u).

    Args:
        tolerance: what u and G(u) may differ by, relative to the largest value that u ever had.
        most: evaluations of G in one solution, those for the Jacobian not counted.
        relaxation: w.
        newton: which method.

    Attributes:
        jacobian: J, shape (n, n), or None before it was needed.
        largest: the largest absolute value of each u so far, shape (n,).
    """

    def __init__(self, tolerance: float, most: int, relaxation: float = 1.0, newton: bool = True) -> None:
        self._tolerance, self._most = tolerance, most
        self._relaxation, self._newton = relaxation, newton
        self.jacobian: FloatArray | None = None
        self.largest: FloatArray = np.zeros(0)

    def solve(
        self, residual: Residual, u: FloatArray, derivatives: Callable[[], FloatArray | None] = lambda: None
    ) -> FloatArray:
        """The residual at the last u; `agrees` tells whether that is the solution.

        Args:
            residual: u - G(u); what it was called with last is the result.
            u: first guess, shape (n,).
            derivatives: dG/du where it was evaluated last, shape (n, n); None: by finite differences.
        """
        if len(self.largest) != len(u):
            self.largest = np.zeros(len(u))
        r = residual(u)
        for _ in range(self._most):
            if self.agrees(u, r):
                break
            if self._newton:
                u, r = self._step(u, r, residual, derivatives)
            else:
                u = u - self._relaxation * r
                r = residual(u)
        return r

    def agrees(self, u: FloatArray, r: FloatArray) -> bool:
        """Whether the residual is within the tolerance."""
        if not np.isfinite(u).all():
            return False
        self.largest = np.maximum(self.largest, np.abs(u))
        return bool(np.all(np.abs(r) <= self._tolerance * self.largest + _NOTHING))

    def differentiate(self, u: FloatArray, r: FloatArray, residual: Residual) -> FloatArray:
        """I - dG/du by finite differences."""
        jacobian = np.empty((len(u), len(u)))
        for column in range(len(u)):
            shifted = u.copy()
            # r tells how large G(u) is, in whose rounding errors a smaller difference would drown
            shifted[column] += _DIFFERENCE * max(abs(u[column]), abs(r[column]), self.largest[column], 1e-3)
            jacobian[:, column] = (residual(shifted) - r) / (shifted[column] - u[column])
        return jacobian

    def _fresh(
        self, u: FloatArray, r: FloatArray, residual: Residual, derivatives: Callable[[], FloatArray | None]
    ) -> FloatArray:
        own = derivatives()
        return self.differentiate(u, r, residual) if own is None else np.eye(len(u)) - own

    def _step(
        self, u: FloatArray, r: FloatArray, residual: Residual, derivatives: Callable[[], FloatArray | None]
    ) -> tuple[FloatArray, FloatArray]:
        fresh = self.jacobian is None
        if self.jacobian is None:
            self.jacobian = self._fresh(u, r, residual, derivatives)
        change, length = _solved(self.jacobian, r), 1.0
        size = float(np.linalg.norm(r))
        while True:
            tried = u - length * change
            found = residual(tried)
            if np.isfinite(found).all() and np.linalg.norm(found) <= 1.0001 * size:
                break
            if not fresh:  # an old Jacobian has misled
                residual(u)  # the derivatives are those of the last evaluation
                self.jacobian = self._fresh(u, r, residual, derivatives)
                change, length, fresh = _solved(self.jacobian, r), 1.0, True
            elif (length := 0.5 * length) < _SHORTEST:
                return tried, found
        moved = tried - u
        if (scale := float(moved @ moved)) > 0.0:
            self.jacobian = self.jacobian + np.outer(found - r - self.jacobian @ moved, moved) / scale
        if not fresh and np.linalg.norm(found) > _SLOW * size and not self.agrees(tried, found):
            self.jacobian = None
        return tried, found


def _solved(matrix: FloatArray, right: FloatArray) -> FloatArray:
    try:
        found = np.linalg.solve(matrix, right)
    except np.linalg.LinAlgError:
        found = np.linalg.lstsq(matrix, right, rcond=None)[0]
    return np.asarray(found, dtype=np.float64)
