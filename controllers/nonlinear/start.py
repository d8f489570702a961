"""Where a process is when an estimator begins."""

from __future__ import annotations

import numpy as np

from controllers.estimation.model import Process
from cosim.component import FloatArray

#: Periods over which the model is run at most.
_LONGEST = 3000


def settled(process: Process, inputs: FloatArray, start: FloatArray | None, periods: int = 0) -> FloatArray:
    """Where a process comes to under held inputs.

    Args:
        process: the model.
        inputs: shape (m,).
        start: where it begins, shape (n,); None: at the nominals, and until it rests.
        periods: how long it runs from ``start``; where it leaves the range of numbers it stays before that.
    """
    nominal = np.array([x.nominal for x in process.states])
    low, high = (np.array([getattr(x, side) for x in process.states]) for side in ("low", "high"))
    state = np.clip(nominal if start is None else np.asarray(start, dtype=np.float64), low, high)
    for _ in range(_LONGEST if start is None else min(_LONGEST, periods)):
        found = process.step(state, inputs, [v for _, v in process.parameters])
        after: FloatArray = np.asarray(found, dtype=np.float64).ravel()
        if not np.isfinite(after).all() or (np.abs(after) > 1e3 * nominal).any():
            break
        moved, state = np.abs((after - state) / nominal).max(initial=0.0), np.clip(after, low, high)
        if moved < 1e-9:
            break
    return np.asarray(state)
