"""What an estimator remembers of the last periods, in a ring of fixed size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from cosim.component import FloatArray


class History:
    """One slot for each of the last ``memory`` periods and the present; time k stands in slot k mod (memory + 1).

    Attributes:
        prior: estimate before the values of that time, shape (slots, n).
        covariance: its covariance, shape (slots, n, n).
        inputs: held in the period before that time, shape (slots, m).
        noise: standard deviation of the process noise of the period that begins there, shape (slots, n).
        values: measurements of that time, NaN where there is none, shape (slots, c).
        used: whether they corrected the estimate, shape (slots, c).
        std: standard deviation of the measurement noise with which they did, shape (slots, c).
        misses: outliers in a row before and after that time's values, shape (slots, 2, c).
        now: the present time, in periods since the start.
    """

    _ARRAYS = ("prior", "covariance", "inputs", "noise", "values", "used", "std", "misses")

    def __init__(self, memory: int, states: int, inputs: int, channels: int) -> None:
        self.memory, slots = memory, memory + 1
        self.prior: FloatArray = np.zeros((slots, states))
        self.covariance: FloatArray = np.zeros((slots, states, states))
        self.inputs: FloatArray = np.zeros((slots, inputs))
        self.noise: FloatArray = np.zeros((slots, states))
        self.values: FloatArray = np.full((slots, channels), np.nan)
        self.used: npt.NDArray[np.bool_] = np.zeros((slots, channels), dtype=np.bool_)
        self.std: FloatArray = np.ones((slots, channels))
        self.misses: npt.NDArray[np.int64] = np.zeros((slots, 2, channels), dtype=np.int64)
        self.now = 0

    def slot(self, time: int) -> int:
        """Where ``time`` stands."""
        return time % (self.memory + 1)

    @property
    def oldest(self) -> int:
        """The oldest time that is remembered."""
        return max(0, self.now - self.memory)

    def clear(self) -> None:
        """Begin at time 0 without values."""
        self.now = 0
        self._empty(0)

    def advance(self) -> int:
        """Go on to the next time, which takes the place of the oldest one; returns its slot."""
        self.now += 1
        slot = self.slot(self.now)
        self._empty(slot)
        return slot

    def _empty(self, slot: int) -> None:
        self.values[slot], self.used[slot], self.misses[slot] = np.nan, False, 0

    def snapshot(self) -> dict[str, Any]:
        """All of it."""
        return {"now": self.now, **{name: getattr(self, name).copy() for name in self._ARRAYS}}

    def recall(self, snapshot: Mapping[str, Any]) -> None:
        """Remember what `snapshot` gave."""
        self.now = int(snapshot["now"])
        for name in self._ARRAYS:
            getattr(self, name)[...] = snapshot[name]
