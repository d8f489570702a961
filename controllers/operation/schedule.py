"""References that are known in advance, because a recipe gives them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from controllers.base import Key, Quantity, is_signal, unit_factor
from cosim.component import ControllerContext, FloatArray


@dataclass(frozen=True)
class ReferenceSchedule:
    """A reference that holds each of its values until the next one's time.

    Attributes:
        times: in s, rising.
        values: in the output's unit, as many.
    """

    times: FloatArray
    values: FloatArray

    def at(self, times: FloatArray) -> FloatArray:
        """Values at some times (s), shape of ``times``."""
        now = times + 1e-9 * np.maximum(times, 1.0)  # t = k h is rounded, as in the recipe
        return np.asarray(self.values[np.maximum(np.searchsorted(self.times, now, side="right") - 1, 0)])

    @classmethod
    def read(cls, reference: Quantity | None, unit: str, context: ControllerContext, key: Key) -> ReferenceSchedule:
        """What the signal ``reference`` will be, in ``unit``. Raises GalenicError where nobody knows."""
        found = context.schedule(reference) if isinstance(reference, str) and is_signal(reference) else None
        if found is None:
            told = (
                "there is no reference" if reference is None else f"nobody knows in advance what '{reference}' will be"
            )
            raise context.error(
                key, f"{told}, so there is nothing to preview",
                "name a profile of a recipe under 'reference:' (reference: schedule.speed), or remove 'preview'",
            )  # fmt: skip
        times, values = found
        factor, offset = unit_factor(context.port(str(reference)).unit, unit)
        return cls(np.asarray(times, dtype=np.float64), factor * np.asarray(values, dtype=np.float64) + offset)


def by_stage(
    schedules: Sequence[ReferenceSchedule | None],
    present: FloatArray,
    times: FloatArray,
    low: FloatArray,
    high: FloatArray,
) -> FloatArray:
    """References at the ends of stages, shape (n_t, K).

    Args:
        schedules: for each reference, None where only the present value is known.
        present: shape (n_t,).
        times: of the stages' ends in s, shape (K,).
        low: what is below, shape (n_t,), is no reference: the present one stands for it.
        high: likewise above.
    """
    result = np.tile(present[:, None], len(times))
    for i, schedule in enumerate(schedules):
        if schedule is not None:
            ahead = schedule.at(times)
            result[i] = np.where((ahead >= low[i]) & (ahead <= high[i]), ahead, present[i])
    return result
