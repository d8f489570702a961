"""Real-time pacing: a simulation that keeps step with the clock, or with a multiple of it."""

from __future__ import annotations

import time as clock
from collections.abc import Callable
from typing import Any

from fmus.errors import GalenicError

#: A step that ends this much after its time (s) is late; less is what an operating system's timer may cost.
LATE = 1e-3
_SHORTEST_WAIT = 0.01  # s


class Pacer:
    """Keeps simulated time at ``factor`` times the clock's, and counts the deadlines that were missed.

    The schedule is absolute: time lost in a late step is made up by the steps after it as fast as they can, so that the
    simulation does not drift from the clock. An overrun is a deadline missed by more than a millisecond. A deadline is
    the end of a step, or of several where steps are shorter than what a wait is good for.

    Args:
        factor: simulated time per time of the clock; 1 is real time.
        now: the clock, in s.
        sleep: waits for a time in s.

    Raises:
        GalenicError: the factor is not a positive number.
    """

    def __init__(
        self, factor: float, now: Callable[[], float] = clock.perf_counter, sleep: Callable[[float], None] = clock.sleep
    ) -> None:
        if not 0.0 < factor < float("inf"):
            raise GalenicError(f"a real-time factor of {factor:g} is not possible", cure="give a positive number")
        self.factor = factor
        self.deadlines = 0
        self.overruns = 0
        self.worst_lateness = 0.0
        self.slept = 0.0
        self._now, self._sleep = now, sleep
        self._origin: float | None = None

    def start(self, time: float) -> None:
        """The simulated time (s) that belongs to this moment."""
        self._origin = self._now() - time / self.factor

    def wait(self, time: float) -> None:
        """Wait until the clock comes to a simulated time (s); call it when the step to that time is computed."""
        if self._origin is None:
            raise RuntimeError("start() comes before wait()")
        self.deadlines += 1
        ahead = self._origin + time / self.factor - self._now()
        if ahead > 0.0:
            self.slept += ahead
            self._sleep(ahead)
        elif ahead < -LATE:
            self.overruns += 1
            self.worst_lateness = max(self.worst_lateness, -ahead)

    def stride(self, step_size: float) -> int:
        """Communication steps of ``step_size`` (s) between calls of `wait`, so that a call waits 10 ms or more."""
        return max(1, round(_SHORTEST_WAIT * self.factor / step_size))

    def summary(self) -> dict[str, Any]:
        """For the run's metadata: the factor, deadlines, those missed, the worst lateness and the time slept in s."""
        return {
            "factor": self.factor,
            "deadlines": self.deadlines,
            "overruns": self.overruns,
            "worst_lateness": self.worst_lateness,
            "slept": self.slept,
        }


def parse_factor(text: str) -> float:
    """A real-time factor such as ``10x``, ``10`` or ``0.5``.

    Raises:
        GalenicError: it is none.
    """
    try:
        factor = float(text.strip().lower().removesuffix("x"))
    except ValueError as error:
        raise GalenicError(f"'{text}' is not a real-time factor", cure="write for example 1 or 10x") from error
    return Pacer(factor).factor
