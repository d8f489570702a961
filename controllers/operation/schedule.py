"""References that are known in advance, because a recipe gives them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from controllers.base import Key, Quantity, is_signal, unit_factor_at
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
        found = cls.of(reference, unit, context, key) if isinstance(reference, str) and is_signal(reference) else None
        if found is None:
            told = (
                "there is no reference" if reference is None else f"nobody knows in advance what '{reference}' will be"
            )
            raise context.error(
                key, f"{told}, so there is nothing to preview",
                "name a profile of a recipe under 'reference:' (reference: schedule.speed), or remove 'preview'",
            )  # fmt: skip
        return found

    @classmethod
    def of(cls, signal: str, unit: str, context: ControllerContext, key: Key) -> ReferenceSchedule | None:
        """What a signal will be, in ``unit``, where a recipe gives it. Raises GalenicError where units do not fit."""
        found = context.schedule(signal)
        if found is None:
            return None
        times, values = found
        factor, offset = unit_factor_at(context.port(signal).unit, unit, context, key)
        return cls(np.asarray(times, dtype=np.float64), factor * np.asarray(values, dtype=np.float64) + offset)


def by_stage(
    schedules: Sequence[ReferenceSchedule | None],
    present: FloatArray,
    times: FloatArray,
    low: FloatArray,
    high: FloatArray,
) -> FloatArray:
    """References by stage, shape (n_t, K).

    Args:
        schedules: for each reference, None where only the present value is known.
        present: shape (n_t,).
        times: to which they belong, in s, shape (K,), see `controllers.operation.law.ControlLaw.instants`.
        low: what is below, shape (n_t,), is no reference: the present one stands for it.
        high: likewise above.
    """
    result = np.tile(present[:, None], len(times))
    for i, schedule in enumerate(schedules):
        if schedule is not None:
            ahead = schedule.at(times)
            result[i] = np.where((ahead >= low[i]) & (ahead <= high[i]), ahead, present[i])
    return result
