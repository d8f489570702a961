"""How an output is measured, and what becomes of each value that arrives."""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import gammaincinv

from controllers.estimation.model import FAR, EstimationModel
from cosim.component import FloatArray
from fmus.errors import GalenicError


class Reason(enum.IntEnum):
    """What became of a value."""

    USED = 0
    REOPENED = 1  # outside its gate once too often: used, and the covariance widened
    NOT_FRESH = 2  # no value was due
    NOT_FINITE = 3
    OUT_OF_RANGE = 4
    FROZEN = 5
    OUTLIER = 6  # outside its gate
    TOO_OLD = 7  # older than the estimator's memory, or than its start
    NOT_USABLE = 8  # the model has no finite prediction of it


@dataclass(frozen=True)
class Channel:
    """How one output is measured.

    Args:
        output: its name in the model.
        std: standard deviation of the noise, in the output's unit.
        relative_std: the same as a share of the value; both are added.
        delay: age of a value when it arrives, in periods, unless it is told with the value.
        gate: a value whose normalised innovation squared exceeds this quantile of chi-square (one degree of freedom)
            is an outlier; None accepts all.
        max_rejections: outliers in a row before a value is believed after all.
        low: a value below is no measurement.
        high: a value above is no measurement.
        frozen_after: so many equal values in a row are a frozen probe; None where equal values are usual.
    """

    output: str
    std: float
    relative_std: float = 0.0
    delay: int = 0
    gate: float | None = 0.9999
    max_rejections: int = 3
    low: float = -math.inf
    high: float = math.inf
    frozen_after: int | None = None

    @property
    def gate_squared(self) -> float:
        """The largest normalised innovation squared that passes."""
        return math.inf if self.gate is None else 2.0 * float(gammaincinv(0.5, self.gate))

    def check(self) -> None:
        """Refuse numbers out of range. Raises GalenicError naming the channel."""
        fine = self.std >= 0.0 and self.relative_std >= 0.0 and 0.0 < self.std + self.relative_std < math.inf
        fine = fine and self.delay >= 0 and self.max_rejections >= 0
        fine = fine and (self.gate is None or 0.0 < self.gate < 1.0)
        fine = fine and (self.frozen_after is None or self.frozen_after >= 2)
        if not fine:
            raise GalenicError(
                f"the measurement of '{self.output}' has a number out of range",
                cure="std or relative_std above 0, delay and max_rejections not negative, gate between 0 and 1,"
                " frozen_after 2 or more",
            )


class Screen:
    """The checks of a value that need no model: finite, in range, not frozen."""

    def __init__(self, channels: Sequence[Channel], model: EstimationModel) -> None:
        nominal = [model.outputs[model.output_index(c.output)].nominal for c in channels]
        self._low = [max(c.low, -FAR * n) for c, n in zip(channels, nominal, strict=True)]
        self._high = [min(c.high, FAR * n) for c, n in zip(channels, nominal, strict=True)]
        self._frozen_after = [c.frozen_after or 0 for c in channels]
        self.reset()

    def reset(self) -> None:
        """Forget the last values."""
        self._last: FloatArray = np.full(len(self._low), math.nan)
        self._equal = np.zeros(len(self._low), dtype=np.int64)

    def check(self, channel: int, value: float) -> Reason:
        """USED, or why not."""
        if not math.isfinite(value):
            return Reason.NOT_FINITE
        if not self._low[channel] <= value <= self._high[channel]:
            return Reason.OUT_OF_RANGE
        self._equal[channel] = self._equal[channel] + 1 if value == self._last[channel] else 1
        self._last[channel] = value
        if 0 < self._frozen_after[channel] <= self._equal[channel]:
            return Reason.FROZEN
        return Reason.USED

    def snapshot(self) -> dict[str, Any]:
        """What it remembers."""
        return {"last": self._last.copy(), "equal": self._equal.copy()}

    def recall(self, snapshot: Mapping[str, Any]) -> None:
        """Remember what `snapshot` gave."""
        self._last, self._equal = np.array(snapshot["last"]), np.array(snapshot["equal"])
