"""The stages of a horizon and how long each is: fixed where it recedes, scaled where it ends with a batch."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from controllers.nonlinear.specification import Batch
from cosim.component import FloatArray
from fmus.errors import GalenicError


def spaced(periods: int, most: int = 24) -> list[int]:
    """Stage lengths in periods that add up to ``periods``: one period each, or growing where there are too many."""
    if periods <= most:
        return [1] * periods
    low, high = 1.0, 2.0
    for _ in range(60):  # the ratio of a geometric series of ``most`` terms with this sum
        ratio = (low + high) / 2.0
        low, high = (ratio, high) if _total(ratio, most) < periods else (low, ratio)
    ends = np.round(np.cumsum(ratio ** np.arange(most)) * periods / _total(ratio, most)).astype(int)
    lengths = [max(1, int(n)) for n in np.diff(np.r_[0, ends])]
    lengths[-1] += periods - sum(lengths)
    return lengths


def _total(ratio: float, count: int) -> float:
    return float((ratio ** np.arange(count)).sum())


class Horizon:
    """K stages; ``counts`` says how often the integration map is applied in each, ``durations`` how long each is.

    A batch has the first ``head`` stages of one period while the rest is longer than that; the others share what is
    left until the harvest equally, so that the same compiled problem serves a horizon of any length. One that looks
    only so far (`Batch.horizon`) shares that much among all its stages, and what is left where that is less.

    Args:
        period: of the law in s.
        grid: length of each stage in periods; for a batch only how many stages there are.
        step: the largest step of the integration map in s.
        batch: see above; None: the horizon recedes.
        head: see above.
    """

    def __init__(
        self, period: float, grid: Sequence[int], step: float, batch: Batch | None = None, *, head: int = 4
    ) -> None:
        if not grid or min(grid) < 1:
            raise GalenicError("a horizon needs stages of one period or more", cure="give 'grid' lengths from 1 on")
        self.period, self.batch, self.stages = period, batch, len(grid)
        self.head = min(head, self.stages - 1)
        self._fixed: FloatArray = period * np.array(grid, dtype=np.float64)
        longest = self._fixed if batch is None else self._shared(batch.latest)
        #: applications of the map in each stage
        self.counts = tuple(max(1, math.ceil(d / step - 1e-9)) for d in longest)

    def durations(self, remaining: float = math.inf) -> FloatArray:
        """Of each stage in s, shape (K,), with ``remaining`` s until the harvest."""
        if self.batch is None:
            return self._fixed
        return self._shared(remaining)

    def _shared(self, remaining: float) -> FloatArray:
        sight = math.inf if self.batch is None else self.batch.horizon
        left = max(min(remaining, sight), 1e-3 * self.period)
        each = left / self.stages
        if each <= self.period or math.isfinite(sight):
            return np.full(self.stages, each)
        rest = (left - self.head * self.period) / (self.stages - self.head)
        return np.asarray(np.r_[np.full(self.head, self.period), np.full(self.stages - self.head, rest)])


class Profile:
    """Values that hold from their times on; before the first time the first one does."""

    def __init__(self, times: Sequence[float], values: Sequence[float]) -> None:
        self._times: FloatArray = np.array(times, dtype=np.float64)
        self._values: FloatArray = np.array(values, dtype=np.float64)
        self._area: FloatArray = np.r_[0.0, np.cumsum(self._values[:-1] * np.diff(self._times))]

    def mean(self, starts: FloatArray, ends: FloatArray) -> FloatArray:
        """Over intervals, shape (K,); over one of no length its value there."""
        if len(self._values) == 1:
            return np.full(len(starts), self._values[0])
        here, length = self._place(starts), ends - starts
        area = self._until(ends, self._place(ends)) - self._until(starts, here)
        return np.asarray(np.where(length > 1e-9, area / np.maximum(length, 1e-9), self._values[here]))

    def _place(self, times: FloatArray) -> npt.NDArray[np.int64]:
        place = np.searchsorted(self._times, times, side="right") - 1
        return np.asarray(np.clip(place, 0, len(self._times) - 1), dtype=np.int64)

    def _until(self, times: FloatArray, place: npt.NDArray[np.int64]) -> FloatArray:
        return np.asarray(self._area[place] + self._values[place] * (times - self._times[place]))
