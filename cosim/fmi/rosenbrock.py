"""A solver for where CVODE is not shipped: the linearly implicit pair that also checks FMUs, under the same contract.

Of orders 2 and 3, so far slower than CVODE at the same tolerance; roots are found by the caller between the steps.
"""

from __future__ import annotations

import math

import numpy as np

from cosim.component import FloatArray
from cosim.fmi.cvode import ABSOLUTE, Evaluate, SolverError

_SMALLEST = 1e-14
_GROWTH, _SHRINK, _SAFETY = 5.0, 0.2, 0.8


class Rosenbrock:
    """The solution of ``states' = rhs(t, states)`` from one starting point on; arguments as of `Cvode`."""

    def __init__(
        self,
        time: float,
        states: FloatArray,
        nominals: FloatArray,
        rhs: Evaluate,
        indicators: Evaluate,  # noqa: ARG002 - the caller finds their roots
        count: int,  # noqa: ARG002
        tolerance: float,
    ) -> None:
        from fmus.check.ode import OdeStep, ode_step

        self.time = time
        self.states = states.copy()
        self._ode_step, self._evaluate = ode_step, rhs
        self._tolerance = tolerance
        self._absolute = ABSOLUTE * tolerance * np.where(nominals > 0.0, nominals, 1.0)
        self._size = 0.0
        self._last: OdeStep | None = None

    def step(self, end: float) -> bool:
        """One step of its own choice, not beyond ``end``. Returns that it found no root: it looks for none.

        Raises:
            SolverError: it cannot go on.
        """
        left = end - self.time
        smallest = _SMALLEST * max(abs(end), abs(self.time), left)
        size = self._size or 1e-3 * left
        while True:
            tried = left if size >= 0.999 * left else size
            scale = self._tolerance * np.abs(self.states) + self._absolute
            try:
                step = self._ode_step(self._rhs, self.time, self.states, tried, scale)
                error = step.error if math.isfinite(step.error) else math.inf
            except (_TooFarError, np.linalg.LinAlgError):
                error = math.inf
            if error <= 1.0:
                break
            size = tried * max(_SHRINK, _SAFETY / error ** (1.0 / 3.0))
            if size <= smallest:
                raise SolverError(f"the states cannot be integrated past t = {self.time:.9g} s")
        grown = tried * min(_GROWTH, _SAFETY / max(error, 1e-9) ** (1.0 / 3.0))
        self._size = max(grown, size) if tried == left else grown
        self.time = end if tried == left else self.time + tried
        self.states, self._last = step.after, step
        return False

    def between(self, time: float) -> FloatArray:
        """The states at a time within the last step, interpolated."""
        assert self._last is not None
        return self._last.at((time - self._last.start) / self._last.size)

    def free(self) -> None:
        """Nothing to free."""

    def _rhs(self, time: float, states: FloatArray) -> FloatArray:
        given, found = np.ascontiguousarray(states), np.empty(len(states))
        if self._evaluate(time, given.ctypes.data, found.ctypes.data):
            raise _TooFarError
        if not np.all(np.isfinite(found)):
            raise _TooFarError
        return found


class _TooFarError(Exception):
    """The FMU cannot be evaluated there; a shorter step may do."""
