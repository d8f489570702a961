"""What is checked of measurements before a control law sees them, and of its model afterwards."""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from controllers.operation.border import MeasuredChannel
from cosim.component import FloatArray

#: A jump of so many standard deviations of the noise is no rate.
_NOISE = 6.0
#: Prediction errors count as this many standard deviations at most.
_CAP = 10.0


class Verdict(enum.IntEnum):
    """What became of a value. The first ones are those of `controllers.estimation.channels.Reason`."""

    USED = 0
    REOPENED = 1
    NOT_FRESH = 2
    NOT_FINITE = 3
    OUT_OF_RANGE = 4
    FROZEN = 5
    OUTLIER = 6
    TOO_OLD = 7
    NOT_USABLE = 8
    TOO_FAST = 9
    BAD_QUALITY = 10


VERDICT_WORDS = {
    Verdict.USED: "used",
    Verdict.REOPENED: "used: outside its gate too often to be an outlier",
    Verdict.NOT_FRESH: "no new value was due",
    Verdict.NOT_FINITE: "no number: the prediction stands for it",
    Verdict.OUT_OF_RANGE: "out of range: the prediction stands for it",
    Verdict.FROZEN: "frozen: the prediction stands for it",
    Verdict.OUTLIER: "an outlier by the innovation gate: the prediction stands for it",
    Verdict.TOO_OLD: "too old",
    Verdict.NOT_USABLE: "the model has no prediction of it",
    Verdict.TOO_FAST: "changed faster than it can: the prediction stands for it",
    Verdict.BAD_QUALITY: "of bad quality: the prediction stands for it",
}


class MeasurementChecks:
    """Screens values one by one: finite, good by its quality code, in range, not too fast, not frozen, not too old.

    A value that fails is left out, so that the model's prediction stands for it and the estimate's covariance grows by
    itself. A rate counts from the last good value, so a real step is believed after a while.

    Args:
        channels: in the order of the law's measurements.
    """

    def __init__(self, channels: Sequence[MeasuredChannel]) -> None:
        self._channels = tuple(channels)
        n = len(channels)
        #: As they arrived, in the model's units, shape (n,).
        self.raw: FloatArray = np.full(n, math.nan)
        #: What the law is given: NaN where a check failed, shape (n,).
        self.values: FloatArray = np.full(n, math.nan)
        self.fresh = [False] * n
        self.verdicts = [Verdict.NOT_FRESH] * n
        self._seen = [0.0] * n
        self._good = [math.nan] * n
        self._good_at = [math.nan] * n
        self._last = [math.nan] * n
        self._equal = [0] * n
        self._missed = [0] * n
        self._since = math.nan

    def begin(self, time: float) -> None:
        """Nothing was measured before ``time`` (s)."""
        n = len(self._channels)
        self._good, self._good_at, self._last = [math.nan] * n, [math.nan] * n, [math.nan] * n
        self._equal, self._missed, self._since = [0] * n, [0] * n, time

    def read(self, time: float, port_values: FloatArray) -> None:
        """Take what arrived at ``time`` (s); the results are attributes."""
        for i, c in enumerate(self._channels):
            value = c.factor * float(port_values[c.index]) + c.offset
            self.raw[i] = value
            fresh = True
            if c.sample is not None:
                count = float(port_values[c.sample])
                fresh, self._seen[i] = count != self._seen[i], count
            self.fresh[i] = fresh
            verdict = self._check(i, c, value, time, port_values) if fresh else Verdict.NOT_FRESH
            self.verdicts[i] = verdict
            good = verdict is Verdict.USED
            self.values[i] = value if good else math.nan
            if good:
                self._good[i], self._good_at[i], self._missed[i] = value, time, 0
            elif fresh:
                self._missed[i] += 1

    def missing(self, time: float) -> int | None:
        """The first needed measurement that has been missing for too long, or None."""
        for i, c in enumerate(self._channels):
            if not c.needed:
                continue
            if self._missed[i] > c.max_missed:
                return i
            since = self._good_at[i]
            if time - (self._since if math.isnan(since) else since) > c.max_age:
                return i
        return None

    def _check(self, i: int, c: MeasuredChannel, value: float, time: float, port_values: FloatArray) -> Verdict:
        if not math.isfinite(value):
            return Verdict.NOT_FINITE
        if c.quality is not None and not port_values[c.quality] >= c.good_from:
            return Verdict.BAD_QUALITY
        if not c.low <= value <= c.high:
            return Verdict.OUT_OF_RANGE
        if c.frozen_after:
            self._equal[i] = self._equal[i] + 1 if value == self._last[i] else 1
            self._last[i] = value
            if self._equal[i] >= c.frozen_after:
                return Verdict.FROZEN
        if c.max_rate < math.inf and not math.isnan(self._good[i]):
            allowed = c.max_rate * (time - self._good_at[i]) + _NOISE * c.noise
            if abs(value - self._good[i]) > allowed:
                return Verdict.TOO_FAST
        return Verdict.USED

    def snapshot(self) -> dict[str, Any]:
        """What it remembers."""
        names = ("_seen", "_good", "_good_at", "_last", "_equal", "_missed")
        return {**{name: list(getattr(self, name)) for name in names}, "_since": self._since}

    def recall(self, snapshot: Mapping[str, Any]) -> None:
        """Remember what `snapshot` gave."""
        for name, value in snapshot.items():
            setattr(self, name, list(value) if isinstance(value, list) else value)


class MismatchMonitor:
    r"""The smoothed size of one-step prediction errors in their own standard deviations.

    With the normalised innovations e of a period and the weight w = exp(-h / tau),

        s <- w s + sum e^2,     n <- w n + (number of values),      size = sqrt(s / n)

    which is about 1 where model and plant agree as the filter believes. Errors beyond 10 count as 10: one absurd
    value is an outlier, no mismatch.

    Args:
        period: h in s.
        time_constant: tau in s.
        sigmas: plant and model differ from this size on.
    """

    def __init__(self, period: float, time_constant: float, sigmas: float) -> None:
        self._weight, self._sigmas = math.exp(-period / time_constant), sigmas
        self._least = 1.0 / (1.0 - self._weight)  # what a full memory of one value a period holds
        self.restart()

    def restart(self) -> None:
        """Forget."""
        self._sum, self._count = 0.0, 0.0

    def update(self, innovations: FloatArray) -> None:
        """By the innovations of a period, NaN where no value came."""
        self._sum *= self._weight
        self._count *= self._weight
        for e in innovations.tolist():
            if math.isfinite(e):
                self._sum += min(abs(e), _CAP) ** 2
                self._count += 1.0

    @property
    def size(self) -> float:
        """1 where all is well; NaN before the first value."""
        return math.sqrt(self._sum / self._count) if self._count > 0.0 else math.nan

    @property
    def differs(self) -> bool:
        """Whether plant and model differ, once the memory is half full."""
        return self._count > 0.5 * self._least and self.size > self._sigmas

    def snapshot(self) -> list[float]:
        """What it remembers."""
        return [self._sum, self._count]

    def recall(self, snapshot: Sequence[float]) -> None:
        """Remember what `snapshot` gave."""
        self._sum, self._count = snapshot
