"""The master: steps a system with a fixed communication step.

For each communication step k, from t_k = k h:

1. tasks due: disturbances, actions, then sensors, then controllers; their outputs hold until they are due again;
2. the program of the algorithm (`cosim.algorithms`): every connected FMU input from the signals, converted to its unit;
   every FMU advances to t_{k+1} and writes its outputs;
3. the recorder keeps the signals: outputs of FMUs at t_{k+1}, what was in force during the step.

A kernel executes 2 and 3, for as many steps at once as no task is due (`cosim.kernel`).

The first row, at t = 0, has the FMUs' initial outputs and what is in force in the first step.
"""

from __future__ import annotations

import time as clock
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from cosim import checkpoint
from cosim.actions import RunStopped
from cosim.algorithms import LAGGING, program, refuse_loop
from cosim.component import Component, FloatArray, KeepsRecord, SampledComponent
from cosim.fmi.instance import FmuEndedError
from cosim.initial_values import initialise
from cosim.interrupts import deferred_interrupt
from cosim.kernel.native import NativeKernel
from cosim.kernel.program import Gather, Kernel, KernelFactory, Schedule
from cosim.kernel.python_kernel import PythonKernel
from cosim.pacing import Pacer
from cosim.parts import RECORDS
from cosim.recorder import Recorder
from cosim.recording import selections
from cosim.results import Results
from cosim.run_record import run_record
from cosim.scenario import Scenario
from cosim.system import Task
from cosim.system_builder import build_system
from fmus.errors import GalenicError, nearest

#: Told the simulated time in s.
Progress = Callable[[float], None]

_PROGRESS_INTERVAL = 0.1
_BLOCK_TIME = 0.05  # s


def simulate(
    scenario: Scenario,
    *,
    out: Path | str,
    seed: int | None = None,
    without: Sequence[str] = (),
    real_time: float | None = None,
    progress: Progress | None = None,
) -> Results:
    """Run a scenario to its end.

    Args:
        scenario: the validated scenario.
        out: folder of the results; earlier results in it are replaced.
        seed: replaces the scenario's seed.
        without: names of controllers to leave out.
        real_time: keep simulated time at this many times the clock's; None for as fast as it goes.
        progress: told the simulated time about ten times a second.

    Raises:
        GalenicError: the system cannot be built, or fails while it runs. KeyboardInterrupt passes through. In both
            cases the results up to then are sealed in ``out`` with ``complete: false``.
    """
    with Simulation(scenario, out=out, seed=seed, without=without, real_time=real_time) as simulation:
        simulation.run(progress)
    return Results.open(out)


class Simulation:
    """A scenario's system, built and ready to be stepped.

    Building checks everything and raises before anything runs; `initialize` loads the FMUs. Use it as a context
    manager, or call `close`: FMUs and their unpacked files are then freed, and the results sealed.

    Args:
        scenario: the validated scenario.
        out: folder of the results, or None to record nothing.
        seed: replaces the scenario's seed.
        without: names of controllers to leave out.
        real_time: keep simulated time at this many times the clock's; None for as fast as it goes.
        checkpoint_every: simulated time in s between checkpoints, a multiple of the communication step; None: none.
    """

    def __init__(
        self,
        scenario: Scenario,
        *,
        out: Path | str | None = None,
        seed: int | None = None,
        without: Sequence[str] = (),
        real_time: float | None = None,
        checkpoint_every: float | None = None,
    ) -> None:
        self.scenario = scenario
        self._pacer = None if real_time is None else Pacer(real_time)
        self.system = build_system(scenario, seed=seed, without=without)
        self._program = program(self.system)
        if scenario.master.algorithm in LAGGING:
            for loop in self.system.graph.loops:
                if loop.declared:
                    raise refuse_loop(self.system, loop)
        self._kernel: Kernel | None = None
        self.step_size = scenario.communication_step
        self.steps = round(scenario.duration / scenario.communication_step)
        self.completed_steps = 0
        self._checkpoint_every = self._steps_between_checkpoints(checkpoint_every, out)
        self._out = None if out is None else Path(out)
        self._recorded = selections(self.system)
        self._recorder: Recorder | None = None
        self._initialized = False
        self._error = ""
        self.stopped = ""  # why a stop condition ended the run before its duration
        self._began = 0.0

    @property
    def time(self) -> float:
        """Simulated time in s."""
        return self.completed_steps * self.step_size

    @property
    def keeps_checkpoints(self) -> bool:
        """Whether the run keeps checkpoints."""
        return self._checkpoint_every > 0

    @property
    def signals(self) -> FloatArray:
        """All signals, shape (len(system.names),), in the order of ``system.names``. Do not write."""
        return self.system.signals

    def get(self, signal: str) -> float:
        """The present value of ``component.port`` in its port's unit."""
        return float(self.system.signals[self._position(signal)])

    def set(self, signal: str, value: float) -> None:
        """Hold an input that nothing drives at ``value``, in its port's unit, from the next step on.

        Raises:
            GalenicError: no such signal, not an input, or something drives it.
        """
        position = self._position(signal)
        if signal not in self._inputs():
            raise GalenicError(f"'{signal}' is an output", cure="only inputs that nothing drives can be set")
        if signal in self.system.drivers:
            driver = self.system.drivers[signal] or "a disturbance"
            raise GalenicError(f"'{signal}' is driven by {driver}", cure="leave its driver out, then set it")
        self.system.signals[position] = value

    @property
    def results(self) -> Results:
        """What is recorded so far.

        Raises:
            GalenicError: nothing is recorded, or nothing yet.
        """
        if self._out is None:
            raise GalenicError("this simulation records nothing", cure="give it a folder: Simulation(..., out=...)")
        if self._recorder is not None:
            self._recorder.flush()
        return Results.open(self._out)

    def initialize(self) -> None:
        """Load and initialise the FMUs at t = 0 and begin the results. `step` and `run` do it when it was not done.

        Raises:
            GalenicError: an FMU cannot be loaded or fails to initialise.
        """
        if self._initialized:
            return
        self._load(None)

    def resume(self) -> None:
        """Go on from the checkpoint in ``out`` instead of beginning at t = 0. `step` and `run` then go on from there.

        Raises:
            GalenicError: there is no checkpoint, it is of another system, or an FMU refuses its state.
        """
        assert self._out is not None
        self._load(checkpoint.read(self._out))

    def _load(self, kept: Mapping[str, Any] | None) -> None:
        self._began = clock.perf_counter()
        try:
            initialise(self.system)
            if kept is not None:
                assert self._out is not None
                checkpoint.reinstate(self, kept, self._out)
                self.completed_steps = kept["completed_steps"]
                self._began -= kept["wall_time"]
            if self._out is not None:
                resumed = None if kept is None else kept["recorder"]
                self._recorder = Recorder(self._out, self._recorded, self._record(kept), resume=resumed)
                for keeper in self._keepers():
                    keeper.open_record(self._out / RECORDS)
            made: KernelFactory = NativeKernel if self.scenario.master.kernel == "native" else PythonKernel
            groups = [] if self._recorder is None else self._recorder.groups
            self._kernel = made(self.system, self._program, groups)
            if kept is not None:
                self._kernel.restore(kept["kernel"])
                for part, state in zip(self._program.remembering, kept["algorithm"], strict=True):
                    part.restore(state)
        except BaseException:
            self.close()
            raise
        self._initialized = True

    def step(self, count: int = 1) -> None:
        """Advance by ``count`` communication steps. It may go beyond the scenario's duration.

        Raises:
            GalenicError: a component or controller fails; the simulation is then closed.
        """
        self.initialize()
        try:
            with np.errstate(invalid="ignore"):  # a NaN is reported with its signal
                self._advance(count, None)
        except BaseException as error:
            self._error = str(error) or type(error).__name__
            self.close()
            raise

    def run(self, progress: Progress | None = None) -> None:
        """Advance to the scenario's duration. Raises like `step`; KeyboardInterrupt passes through, results sealed."""
        try:
            self.initialize()
            with np.errstate(invalid="ignore"):
                self._advance(self.steps - self.completed_steps, progress)
            if progress is not None:
                progress(self.time)
        except BaseException as error:
            self._error = str(error) or type(error).__name__
            raise
        finally:
            self.close()

    def checkpoint(self) -> Path:
        """Keep the whole state in ``out``, so that `resume` goes on from here in another process.

        Raises:
            GalenicError: an FMU cannot keep its state.
        """
        assert self._kernel is not None
        assert self._recorder is not None
        content = {
            **checkpoint.collect(self),
            "kernel": self._kernel.state(),
            "algorithm": [part.state() for part in self._program.remembering],
            "recorder": self._recorder.state(),
            "started": self._recorder.metadata["started"],
            "wall_time": clock.perf_counter() - self._began,
        }
        with deferred_interrupt():
            return checkpoint.write(self._recorder.folder, content)

    def _record(self, kept: Mapping[str, Any] | None) -> dict[str, Any]:
        record = {**run_record(self.system), "checkpoint_every": self._checkpoint_every * self.step_size or None}
        return record if kept is None else {**record, "started": kept["started"], "resumed": record["started"]}

    def _steps_between_checkpoints(self, every: float | None, out: Path | str | None) -> int:
        """0 where none are wanted. Raises GalenicError where none can be made."""
        if every is None:
            return 0
        if out is None:
            raise GalenicError("a run that keeps no results keeps no checkpoints", cure="give a folder for them")
        checkpoint.check(self.system)
        steps = every / self.step_size
        if round(steps) < 1 or abs(steps - round(steps)) > 1e-6:
            raise GalenicError(
                f"{every:g} s between checkpoints is not a whole number of communication steps of {self.step_size:g} s",
                cure="choose a multiple of the communication step",
            )
        return round(steps)

    def seconds(self) -> dict[str, float]:
        """Wall time in s spent in each component so far, by name."""
        spent = [] if self._kernel is None else self._kernel.seconds()
        return {component.name: s for component, s in zip(self.system.components, spent, strict=False)}

    def close(self) -> None:
        """Seal the results and free the FMUs. May be called twice."""
        recorder, self._recorder = self._recorder, None
        try:
            if recorder is not None:
                if not self._error:
                    recorder.finish(self.completed_steps, self.time, self.system.signals)
                recorder.close(
                    complete=(self.completed_steps >= self.steps or bool(self.stopped)) and not self._error,
                    simulated_time=self.time,
                    wall_time=clock.perf_counter() - self._began,
                    error=self._error,
                    stopped=self.stopped,
                    cpu_time=self.seconds(),
                    real_time=None if self._pacer is None else self._pacer.summary(),
                    **self.system.notes,
                )
        finally:
            for keeper in self._keepers():
                keeper.close_record()
            for component in self.system.components:
                component.terminate()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and not self._error:
            self._error = str(error) or type(error).__name__
        self.close()

    def _keepers(self) -> list[KeepsRecord]:
        return [component for component in self.system.sampled if isinstance(component, KeepsRecord)]

    def _advance(self, count: int, progress: Progress | None) -> None:
        """Blocks of communication steps: tasks that are due, then the kernel until the next task."""
        end = self.completed_steps + (0 if self.stopped else count)
        kernel = self._kernel
        assert kernel is not None
        scheduled, tasks = _divided(self.system.tasks)
        slots = np.array([task.slot for task in scheduled], dtype=np.int64)
        now, next_report = clock.perf_counter, clock.perf_counter()
        longest, stride, pacer = 1, count, self._pacer
        until_kept = self._checkpoint_every or count + 1
        if pacer is not None:
            pacer.start(self.time)
            stride = pacer.stride(self.step_size)
        while self.completed_steps < end:
            k = self.completed_steps
            until_checkpoint = until_kept - k % until_kept
            block = min([end - k, longest, stride, until_checkpoint, *(task.every - k % task.every for task in tasks)])
            schedule = Schedule(slots, np.zeros((block, len(slots))))
            for column, task in enumerate(scheduled):
                assert task.values is not None
                schedule.values[:, column] = task.values(k, block)
            self.system.signals[slots] = schedule.values[0]
            try:
                for task in tasks:
                    if k % task.every == 0:
                        task.execute(k * self.step_size)
            except RunStopped as stop:
                self.stopped = str(stop)
                return
            if k == 0:
                self._record_start()
            began = now()
            try:
                kernel.run(k, block, schedule)
            except FmuEndedError as end_of_model:  # no failure
                self.stopped = end_of_model.message
                return
            finally:
                self.completed_steps = kernel.completed
            ended = now()
            # a Ctrl-C and the progress bar wait for a block
            longest = max(1, min(2 * longest, int(block * _BLOCK_TIME / max(ended - began, 1e-9))))
            if self._checkpoint_every and self.completed_steps % self._checkpoint_every == 0:
                self.checkpoint()
            if pacer is not None:
                pacer.wait(self.time)
            if progress is not None and ended >= next_report:
                next_report = ended + _PROGRESS_INTERVAL
                progress(self.time)

    def _record_start(self) -> None:
        """The first row: the FMUs' initial outputs, and what is in force in the first step."""
        system = self.system
        for stage in self._program.stages:
            if isinstance(stage, Gather):
                system.gather.apply(system.signals, slice(*system.row_spans[stage.component]))
        if self._recorder is not None:
            self._recorder.record(0, 0.0, system.signals)

    def _position(self, signal: str) -> int:
        if signal not in self.system.index:
            raise GalenicError(f"there is no signal '{signal}'", cure=nearest(signal, self.system.names))
        return self.system.index[signal]

    def _inputs(self) -> AbstractSet[str]:
        everything: list[Component | SampledComponent] = [*self.system.components, *self.system.sampled]
        return {f"{component.name}.{port.name}" for component in everything for port in component.inputs}


def _divided(tasks: Sequence[Task]) -> tuple[list[Task], list[Task]]:
    """Those whose values are known ahead, and the others; none of the first where one is due at every step anyway."""
    ahead = [task for task in tasks if task.values is not None]
    others = [task for task in tasks if task.values is None]
    if any(task.every == 1 for task in others):
        return [], list(tasks)
    return ahead, others
