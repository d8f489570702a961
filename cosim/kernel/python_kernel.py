"""The kernel in Python: the same numbers as the one in C, to debug with and where no compiler runs."""

from __future__ import annotations

import math
import time as clock
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cosim.kernel.program import Gather, Program, Schedule, Stage, Step

if TYPE_CHECKING:
    from cosim.recorder import RecordingGroup
    from cosim.system import System


class PythonKernel:
    """Executes a program in Python; see `NativeKernel`."""

    def __init__(self, system: System, program: Program, recordings: Sequence[RecordingGroup]) -> None:
        self._system, self._recordings = system, recordings
        self._seconds = [0.0] * len(system.components)
        self._previous = np.full(len(program.ahead), np.nan)
        self.completed = 0
        self._stages = [self._stage(program, stage) for stage in program.stages]

    def run(self, first: int, count: int, schedule: Schedule) -> None:
        """Execute ``count`` communication steps from number ``first``. Raises what a component raises."""
        signals, h = self._system.signals, self._system.step_size
        for offset in range(count):
            step = self.completed = first + offset
            if len(schedule.slots):
                signals[schedule.slots] = schedule.values[offset]
            for stage in self._stages:
                stage(step)
            self.completed = step + 1
            for group in self._recordings:
                if (step + 1) % group.every == 0:
                    group.record((step + 1) * h, signals)

    def seconds(self) -> list[float]:
        """Wall time spent in each component so far."""
        return list(self._seconds)

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"previous": self._previous.copy(), "seconds": list(self._seconds)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
        self._previous[:] = state["previous"]
        self._seconds[:] = state["seconds"]

    def _stage(self, program: Program, stage: Stage) -> Callable[[int], None]:
        if isinstance(stage, Gather):
            return self._gather(program, stage.component)
        if isinstance(stage, Step):
            return stepper(self._system, stage.component, self._timer(stage.component))
        return stage.function

    def _timer(self, number: int) -> Callable[[float], None]:
        def add(spent: float) -> None:
            self._seconds[number] += spent

        return add

    def _gather(self, program: Program, number: int) -> Callable[[int], None]:
        signals, gather, ahead = self._system.signals, self._system.gather, program.ahead
        source, target, factor, offset = gather.source, gather.target, gather.factor, gather.offset
        begin, end = self._system.row_spans[number]
        every = self._system.every[number]
        previous, physical = self._previous, self._system.physical

        def one_by_one(step: int) -> None:
            if step % every:
                return
            for i in range(begin, end):
                value = signals[source[i]]
                if ahead[i]:
                    grows = source[i] < physical  # what is no component's is held: it jumps
                    grown = value - previous[i] if grows and not math.isnan(previous[i]) else 0.0
                    previous[i] = value if grows else math.nan
                    value = value + ahead[i] * grown
                signals[target[i]] = value * factor[i] + offset[i]

        return one_by_one


def stepper(system: System, number: int, spent: Callable[[float], None] = lambda _: None) -> Callable[[int], None]:
    """A function of the communication step that steps a component when it is due, and checks its outputs."""
    component, h, every = system.components[number], system.step_size, system.every[number]

    def step(k: int) -> None:
        if (k + 1) % every:
            return
        began = clock.perf_counter()
        component.do_step((k + 1 - every) * h, every * h)
        spent(clock.perf_counter() - began)
        system.check_finite(number, (k + 1 - every) * h + every * h)

    return step
