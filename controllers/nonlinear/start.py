"""Where a process is when an estimator begins."""

from __future__ import annotations

import numpy as np

from controllers.estimation.evaluation import Evaluation
from controllers.estimation.model import Process
from cosim.component import FloatArray

#: Periods over which the model is run at most.
_LONGEST = 3000


class Start:
    """Where a process comes to under held inputs.

    Args:
        process: the model.
        start: where it begins, shape (n,); None: at the nominals, and until it rests.
    """

    def __init__(self, process: Process, start: FloatArray | None) -> None:
        self._nominal = np.array([x.nominal for x in process.states])
        self._low, self._high = (np.array([getattr(x, side) for x in process.states]) for side in ("low", "high"))
        self._until_rest = start is None
        begin = self._nominal if start is None else np.asarray(start, dtype=np.float64)
        self._begin = np.clip(begin, self._low, self._high)
        self._step = Evaluation(process.step)
        self._step.arguments[2][:] = [v for _, v in process.parameters]

    def settled(self, inputs: FloatArray, periods: int = 0) -> FloatArray:
        """The state, shape (n,), after ``periods`` or at rest; where it leaves the range of numbers, that before.

        Args:
            inputs: shape (m,).
            periods: how long it runs from a start that was given.
        """
        step, nominal, state = self._step, self._nominal, self._begin
        step.arguments[1][:] = inputs
        for _ in range(_LONGEST if self._until_rest else min(_LONGEST, periods)):
            step.arguments[0][:] = state
            after = step.results[0]
            if not step.run() or (np.abs(after) > 1e3 * nominal).any():
                break
            moved = np.abs((after - state) / nominal).max(initial=0.0)
            state = np.minimum(np.maximum(after, self._low), self._high)
            if moved < 1e-9:
                break
        return np.array(state)
