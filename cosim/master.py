"""The master: steps a system's FMUs in parallel (Jacobi) with a fixed communication step.

For each communication step k, from t_k = k h:

1. tasks due: disturbances, then sensors, then controllers; their outputs hold until they are due again;
2. inputs: every connected FMU input from the signals at t_k, converted to its unit;
3. every FMU advances to t_{k+1} and writes its outputs;
4. the recorder keeps all signals: outputs of FMUs at t_{k+1}, what was in force during the step.

The first row, at t = 0, has the FMUs' initial outputs and what is in force in the first step.
"""

from __future__ import annotations

import platform
import sys
import time as clock
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from importlib import metadata as distributions
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from cosim.actions import RunStopped
from cosim.component import Component, FloatArray, SampledComponent
from cosim.initial_values import initialise
from cosim.recorder import Recorder
from cosim.recording import selections
from cosim.results import Results
from cosim.scenario import Scenario
from cosim.system import build_system
from fmus.errors import GalenicError, nearest

#: Told the simulated time in s.
Progress = Callable[[float], None]

_PROGRESS_INTERVAL = 0.1


def simulate(
    scenario: Scenario,
    *,
    out: Path,
    seed: int | None = None,
    without: Sequence[str] = (),
    progress: Progress | None = None,
) -> Results:
    """Run a scenario to its end.

    Args:
        scenario: the validated scenario.
        out: folder of the results; earlier results in it are replaced.
        seed: replaces the scenario's seed.
        without: names of controllers to leave out.
        progress: told the simulated time about ten times a second.

    Raises:
        GalenicError: the system cannot be built, or fails while it runs. KeyboardInterrupt passes through. In both
            cases the results up to then are sealed in ``out`` with ``complete: false``.
    """
    with Simulation(scenario, out=out, seed=seed, without=without) as simulation:
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
    """

    def __init__(
        self,
        scenario: Scenario,
        *,
        out: Path | None = None,
        seed: int | None = None,
        without: Sequence[str] = (),
    ) -> None:
        self.scenario = scenario
        self.system = build_system(scenario, seed=seed, without=without)
        self.step_size = scenario.communication_step
        self.steps = round(scenario.duration / scenario.communication_step)
        self.completed_steps = 0
        self._out = out
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
        name, _, variable = signal.partition(".")
        if variable not in self._inputs_of(name):
            raise GalenicError(f"'{signal}' is an output", cure="only inputs that nothing drives can be set")
        if signal in self.system.drivers:
            driver = self.system.drivers[signal] or "a disturbance"
            raise GalenicError(f"'{signal}' is driven by {driver}", cure="leave its driver out, then set it")
        self.system.signals[position] = value

    def initialize(self) -> None:
        """Load and initialise the FMUs at t = 0 and begin the results. `step` and `run` do it when it was not done.

        Raises:
            GalenicError: an FMU cannot be loaded or fails to initialise.
        """
        if self._initialized:
            return
        self._began = clock.perf_counter()
        try:
            initialise(self.system)
            if self._out is not None:
                self._recorder = Recorder(self._out, self._recorded, self._metadata())
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
            with np.errstate(invalid="ignore"):  # a NaN is reported below, with its signal
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

    def close(self) -> None:
        """Seal the results and free the FMUs. May be called twice."""
        recorder, self._recorder = self._recorder, None
        try:
            if recorder is not None:
                recorder.close(
                    complete=(self.completed_steps >= self.steps or bool(self.stopped)) and not self._error,
                    simulated_time=self.time,
                    wall_time=clock.perf_counter() - self._began,
                    error=self._error,
                    stopped=self.stopped,
                    **self.system.notes,
                )
        finally:
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

    def _advance(self, count: int, progress: Progress | None) -> None:
        """The loop. Everything that it needs is in local variables: a step costs a few microseconds beside the FMUs."""
        system, h = self.system, self.step_size
        signals, gather = system.signals, system.gather
        source, target, factor, offset = gather.source, gather.target, gather.factor, gather.offset
        converts = gather.converts
        physical = signals[: system.physical]
        zeros = np.zeros(system.physical)
        tasks = tuple((task.every, task.execute) for task in system.tasks)
        do_steps = tuple(component.do_step for component in system.components)
        record = None if self._recorder is None else self._recorder.record
        now, next_report = clock.perf_counter, clock.perf_counter()

        for k in range(self.completed_steps, self.completed_steps + (0 if self.stopped else count)):
            t = k * h
            try:
                for every, execute in tasks:
                    if k % every == 0:
                        execute(t)
            except RunStopped as stop:
                self.stopped = str(stop)
                return
            values = signals[source]
            if converts:
                values *= factor
                values += offset
            signals[target] = values
            if k == 0 and record is not None:
                record(0, 0.0, signals)
            for do_step in do_steps:
                do_step(t, h)
            # zero times anything finite is zero: one dot product finds every NaN and infinity
            if physical.dot(zeros) != 0.0:
                self._report_not_finite(t + h)
            if record is not None:
                record(k + 1, (k + 1) * h, signals)
            self.completed_steps = k + 1
            if progress is not None and now() >= next_report:
                next_report = now() + _PROGRESS_INTERVAL
                progress(self.time)

    def _report_not_finite(self, t: float) -> None:
        system = self.system
        position = int(np.flatnonzero(~np.isfinite(system.signals[: system.physical]))[0])
        signal = system.names[position]
        value, name = system.signals[position], signal.partition(".")[0]
        driver = system.drivers.get(signal)
        raise self.scenario.error(
            ("components", name),
            f"'{signal}' became {value} in the step to t = {t:.6g} s" + (f", driven by '{driver}'" if driver else ""),
            "look at the component's inputs and parameters; the results up to the step before are kept",
        )

    def _position(self, signal: str) -> int:
        if signal not in self.system.index:
            raise GalenicError(f"there is no signal '{signal}'", cure=nearest(signal, self.system.names))
        return self.system.index[signal]

    def _inputs_of(self, name: str) -> AbstractSet[str]:
        everything: list[Component | SampledComponent] = [*self.system.components, *self.system.sampled]
        return {port.name for component in everything if component.name == name for port in component.inputs}

    def _metadata(self) -> dict[str, Any]:
        scenario, system = self.scenario, self.system
        return {
            "scenario": scenario.name,
            "scenario_file": str(scenario.file or ""),
            "scenario_text": scenario.text,
            "description": scenario.description,
            "seed": system.seed,
            "without": sorted(system.removed),
            "step_size": self.step_size,
            "duration": scenario.duration,
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            **system.notes,
            "fmus": {
                c.name: {"file": c.archive.file.name, "sha256": c.archive.sha256, "values": c.values}
                for c in system.components
            },
            "versions": {
                "python": sys.version.split()[0],
                "platform": platform.platform(),
                **{name: _version(name) for name in ("galenic", "numpy", "fmpy", "duckdb", "casadi")},
            },
        }


def _version(distribution: str) -> str:
    try:
        return distributions.version(distribution)
    except distributions.PackageNotFoundError:
        return "not installed"
