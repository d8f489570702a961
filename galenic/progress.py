"""Progress bars: simulated time, how much faster than the clock, time left."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

Report = Callable[[float], None]


def clock_text(seconds: float) -> str:
    """A duration as ``1:02:03``."""
    whole = int(seconds)
    return f"{whole // 3600}:{whole % 3600 // 60:02d}:{whole % 60:02d}"


class _SimulatedTime(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{clock_text(task.completed)} of {clock_text(task.total or 0.0)} simulated")


class _RealTimeFactor(ProgressColumn):
    def render(self, task: Task) -> Text:
        elapsed = task.elapsed or 0.0
        return Text(f"{task.completed / elapsed:,.0f} x real time" if elapsed > 0.2 else "")


@contextmanager
def simulation_progress(console: Console, description: str, duration: float, quiet: bool = False) -> Iterator[Report]:
    """A bar over the simulated time of one run; yields what to tell the simulated time in s.

    Where the output is not a terminal, one line in ten seconds at most, so that a log shows that it lives.
    """
    if quiet:
        yield lambda _t: None
    elif console.is_terminal:
        columns = (TextColumn("{task.description}"), BarColumn(), _SimulatedTime(), _RealTimeFactor())
        with Progress(*columns, TextColumn("left"), TimeRemainingColumn(), console=console, transient=True) as bar:
            task = bar.add_task(description, total=duration)
            yield lambda t: bar.update(task, completed=t)
    else:
        yield _LinesOfText(console, description, duration)


class _LinesOfText:
    def __init__(self, console: Console, description: str, duration: float) -> None:
        self._console, self._description, self._duration = console, description, duration
        self._began = self._last = time.monotonic()

    def __call__(self, t: float) -> None:
        now = time.monotonic()
        if now - self._last < 10.0 or t <= 0.0:
            return
        self._last = now
        left = (now - self._began) * (self._duration - t) / t
        self._console.print(
            f"{self._description}: {clock_text(t)} of {clock_text(self._duration)} simulated, about "
            f"{clock_text(left)} left"
        )


@contextmanager
def count_progress(console: Console, description: str, total: float) -> Iterator[Report]:
    """A bar over ``total`` pieces of work; yields what to tell how many are done (fractions are fine)."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("left"))
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as bar:
        task = bar.add_task(description, total=total)
        yield lambda done: bar.update(task, completed=done)
