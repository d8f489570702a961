"""Tuning of a scenario's PI and PID loops by step tests: what `galenic tune` does."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from controllers.regulatory.loop_margins import PassedOn, Robustness, passed_on, robustness
from controllers.regulatory.open_loop import StepTest, step_response
from controllers.regulatory.tuning import StepModel, Tuning, fit_step_model, simc
from controllers.surrogates.realization import looks_integrating
from fmus.errors import GalenicError
from fmus.quantity import parse_quantity

if TYPE_CHECKING:
    from cosim import Scenario
    from cosim.component import FloatArray

_FIRST_HORIZON = 30  # controller periods
_MOST_SAMPLES = 4000
_SETTLED = 0.02
_RAMP_BEYOND_DEAD_TIME = 8.0
_STEP_OF_LIMITS = 0.05
_STEP_OF_VALUE = 0.02
_WORST_FIT = 0.1
_FASTER = 1.25
_SLOWEST = 200.0
_KINDS = ("pi", "pid")


@dataclass(frozen=True)
class Loop:
    """A PI or PID controller as the scenario has it.

    Args:
        name: of the controller.
        measured: the signal that it controls, behind its sensor.
        unit: of that.
        output_unit: of the controller's output.
        period: in s.
        delay: of the sensor in s, with the mean age of its last sample.
        noise: of the sensor, standard deviation in ``unit``.
        limits: of the output.
        derivative: whether it may have a derivative (``type: pid``).
        present: its tuning.
        outer: the loop whose output is its setpoint, or None.
    """

    name: str
    measured: str
    unit: str
    output_unit: str
    period: float
    delay: float
    noise: float
    limits: tuple[float | None, float | None]
    derivative: bool
    present: Tuning
    outer: str | None = None

    def step(self, present: float) -> float:
        """How far to step the output from where it is. Raises GalenicError where nothing says so."""
        low, high = self.limits
        span = _STEP_OF_LIMITS * (high - low) if low is not None and high is not None else _STEP_OF_VALUE * abs(present)
        if not span > 0.0:
            raise GalenicError(
                f"how far to step '{self.name}' is not known: it is at zero and has no limits", cure="give it 'limits'"
            )
        return span


@dataclass(frozen=True)
class Wishes:
    """What a tuning is to be.

    Args:
        slower: tau_c in effective dead times, the smallest to try.
        most_sensitive: largest Ms.
        most_noise: largest share of its sensor's noise that the loop may pass on to what it controls.
    """

    slower: float = 1.0
    most_sensitive: float = 1.7
    most_noise: float = np.inf


@dataclass(frozen=True)
class Choice:
    """A tuning and what it does; ``slower`` is tau_c in effective dead times. Noise is in shares of the sensor's."""

    tuning: Tuning
    margins: Robustness
    noise: PassedOn | None
    slower: float = np.nan


@dataclass(frozen=True)
class TunedLoop:
    """What the step test of a loop gave."""

    loop: Loop
    model: StepModel
    horizon: float
    before: Choice
    choices: tuple[Choice, ...]

    @property
    def gain_unit(self) -> str:
        """Unit of the gain."""
        return f"({self.loop.output_unit})/({self.loop.unit})"


def loops_of(scenario: Scenario, without: Sequence[str], wanted: Sequence[str]) -> list[Loop]:
    """The PI and PID loops of a scenario, all or those wanted; the inner loop of a cascade before its outer one.

    Raises:
        GalenicError: there is none, or one of that name is none.
    """
    from cosim import Simulation

    names = [n for n, c in scenario.controllers.items() if c.get("type") in _KINDS and n not in without]
    for name in wanted:
        if name not in names:
            other = scenario.controllers.get(name, {}).get("type")
            raise GalenicError(
                f"--loop: '{name}' is no PI or PID controller of '{scenario.name}'"
                + (f", but of type {other}" if other else ""),
                cure=f"its PI and PID controllers: {', '.join(names)}" if names else "it has none",
            )
    if not names:
        others = [n for n, c in scenario.controllers.items() if c.get("type") == "split_range"]
        also = f"; {', '.join(others)} (split_range: two actuators) are tuned by hand" if others else ""
        raise GalenicError(
            f"'{scenario.name}' has no PI or PID controller to tune{also}",
            cure="a loop is a controller of type pi or pid: docs/regulatory.md",
            file=scenario.file,
        )
    with Simulation(scenario, without=without) as simulation:
        system = simulation.system
        ports = dict(system.ports)
        noises = {s.name: s.measurement.noise for s in system.sampled if hasattr(s, "measurement")}
    drives = {f"{name}.value": name for name in names}
    loops = []
    for name in names:
        section: Mapping[str, Any] = scenario.controllers[name]
        sensor_name = str(section["measurement"]).partition(".")[0]
        sensor = scenario.sensors.get(sensor_name)
        output, measurement = ports[f"{name}.value"], ports[f"{name}.measurement"]
        period = parse_quantity(section["period"], "s")
        age = 0.0
        if sensor is not None:
            late = (sensor.period or 0.0) / 2.0 if (sensor.period or 0.0) > period else 0.0
            age = sensor.delay + late
        loops.append(
            Loop(
                name,
                sensor.measures if sensor is not None else str(section["measurement"]),
                measurement.unit,
                output.unit,
                period,
                age,
                noises.get(sensor_name, 0.0),
                (output.min, output.max),
                section["type"] == "pid",
                _present(section, output.unit, measurement.unit),
                drives.get(str(section["setpoint"])),
            )
        )
    return [loop for loop in _inner_first(loops) if not wanted or loop.name in wanted]


def _present(section: Mapping[str, Any], unit: str, measured: str) -> Tuning:
    times = {key: section.get(key) for key in ("integral_time", "derivative_time")}
    integral, derivative = (None if v is None else parse_quantity(v, "s") for v in times.values())
    return Tuning(
        parse_quantity(section["gain"], f"({unit})/({measured})"),
        integral,
        derivative or 0.0,
        float(section.get("derivative_filter", 8.0)),
    )


def _inner_first(loops: Sequence[Loop]) -> list[Loop]:
    ordered: list[Loop] = []
    waiting = list(loops)
    while waiting:
        names = {loop.outer for loop in waiting}
        # a loop waits while another one is inside it, that is names it as its outer loop
        ready = [loop for loop in waiting if loop.name not in names] or waiting
        ordered += ready
        waiting = [loop for loop in waiting if loop not in ready]
    return ordered


def tune_loop(
    scenario: Scenario,
    loop: Loop,
    without: Sequence[str],
    wishes: Sequence[Wishes] = (Wishes(),),
    *,
    settle: float | None = None,
    progress: Callable[[float], None] | None = None,
) -> TunedLoop:
    """Step test, model, SIMC, margins.

    tau_c grows from ``slower`` effective dead times until the sampled loop's sensitivity is at most ``most_sensitive``,
    and the noise that it passes on at most ``most_noise``: SIMC's rules are of continuous loops without noise, and a
    process quicker than the sampling needs less gain than they give.

    Args:
        scenario: the line.
        loop: what to tune.
        without: controllers left out.
        wishes: one for each tuning.
        settle: time in s before the step; 60 periods by default, half the scenario's duration at most.
        progress: told the finished fraction of a test.

    Raises:
        GalenicError: no response, one that neither settles nor ramps within the scenario's duration, or no such gain.
    """
    rest = resting_time(scenario, loop, settle)
    response, sampling, model = open_response(scenario, loop, without, rest, progress)
    if model.error > _WORST_FIT:
        raise GalenicError(
            f"the step response of '{loop.measured}' to '{loop.name}' is not that of a lag or a ramp with dead time "
            f"(fit error {100 * model.error:.0f} %)",
            cure="test it at another time: --settle, for a batch the point of its course; or with a 'type: pid'",
        )
    sampled = response[:: round(loop.period / sampling)]
    choices = [_choose(loop, model, sampled, wish) for wish in wishes]
    before = _judge(loop, sampled, loop.present)
    return TunedLoop(loop, model, (len(response) - 1) * sampling, before, tuple(choices))


def _judge(loop: Loop, sampled: FloatArray, tuning: Tuning, slower: float = np.nan) -> Choice:
    margins = robustness(sampled, loop.period, tuning, loop.delay)
    stable = np.isfinite(margins.sensitivity)
    return Choice(tuning, margins, passed_on(sampled, loop.period, tuning, loop.delay) if stable else None, slower)


def _choose(loop: Loop, model: StepModel, sampled: FloatArray, wish: Wishes) -> Choice:
    factor = wish.slower
    while True:
        exact = simc(model, loop.delay + loop.period / 2.0, slower=factor)
        tuning = replace(
            exact,
            gain=_round(exact.gain),
            integral_time=None if exact.integral_time is None else _round(exact.integral_time),
            derivative_time=_round(exact.derivative_time),
        )
        found = _judge(loop, sampled, tuning, factor)
        if (
            found.noise is not None
            and found.margins.sensitivity <= wish.most_sensitive
            and found.noise.measured <= wish.most_noise
        ):
            return found
        factor *= _FASTER
        if factor > _SLOWEST * max(1.0, wish.slower):
            raise GalenicError(
                f"no SIMC tuning of '{loop.name}' has a sensitivity of at most {wish.most_sensitive:g}"
                + (f" and passes on at most {wish.most_noise:g} of the noise" if np.isfinite(wish.most_noise) else ""),
                cure="allow a larger --max-sensitivity or --max-noise, or look at the loop's step response",
            )


def resting_time(scenario: Scenario, loop: Loop, settle: float | None) -> float:
    """How long a test waits before its step, in whole periods, in s."""
    rest = settle if settle is not None else min(60 * loop.period, scenario.duration / 2.0)
    return loop.period * max(1, round(rest / loop.period))


def open_response(
    scenario: Scenario, loop: Loop, without: Sequence[str], settle: float, progress: Callable[[float], None] | None
) -> tuple[FloatArray, float, StepModel]:
    """Unit-step response, its sampling period and its model; the horizon doubles until it says enough.

    Raises:
        GalenicError: the loop cannot be opened, or it neither settles nor ramps within the scenario's duration.
    """
    step, horizon = scenario.communication_step, _FIRST_HORIZON * loop.period
    while True:
        sampling = step if horizon / step <= _MOST_SAMPLES else loop.period
        test = StepTest(loop.name, [loop.measured], settle, horizon, sampling)
        response = step_response(scenario, test, loop.step, without, progress)[:, 0]
        if np.abs(response).max() > 0.0:
            model = fit_step_model(response, sampling, order=2 if loop.derivative else 1)
            if conclusive(response, model, horizon):
                return response, sampling, model
        if settle + 2.0 * horizon > scenario.duration:
            raise GalenicError(
                f"the step response of '{loop.measured}' to '{loop.name}' neither settles nor ramps "
                f"within {horizon:g} s",
                cure="allow longer tests with --set 'duration=...', or test earlier: --settle",
            )
        horizon *= 2.0


def conclusive(response: FloatArray, model: StepModel, horizon: float) -> bool:
    """Whether a response has come to rest, or ramps long enough beyond its dead time."""
    if looks_integrating(response[:, None, None])[0]:
        return horizon >= _RAMP_BEYOND_DEAD_TIME * model.dead_time
    late = response[round(0.8 * (len(response) - 1)) :]
    return float(np.ptp(late)) <= _SETTLED * float(np.abs(response).max())


def with_tuning(scenario: Scenario, name: str, keys: Mapping[str, Any]) -> Scenario:
    """The scenario with other values of a controller's keys."""
    section = {**scenario.controllers[name], **keys}
    return scenario.model_copy(update={"controllers": {**scenario.controllers, name: section}})


def tuning_keys(tuned: TunedLoop, choice: Choice) -> dict[str, Any]:
    """What a scenario file has to say of a tuning."""
    tuning = choice.tuning
    keys: dict[str, Any] = {"gain": f"{tuning.gain:g} {tuned.gain_unit}"}
    if tuning.integral_time is not None:
        keys["integral_time"] = f"{tuning.integral_time:g} s"
    if tuned.loop.derivative:
        keys["derivative_time"] = f"{tuning.derivative_time:g} s" if tuning.derivative_time else None
    return keys


def _round(value: float) -> float:
    return float(f"{value:.3g}")


def write_variant(file: Path, base: str, scenario: Scenario, controllers: Mapping[str, Mapping[str, Any]]) -> None:
    """Write a scenario that extends ``base`` and has other values of its controllers' keys.

    Raises:
        GalenicError: the file exists, or cannot be written.
    """
    from galenic.session import write_text

    if file.exists():
        raise GalenicError(f"--write: '{file}' is there already", cure="give a new file")
    name = base
    if scenario.file is not None and Path(base).suffix:
        try:
            name = Path(os.path.relpath(scenario.file, file.resolve().parent)).as_posix()
        except ValueError:  # on another drive
            name = scenario.file.as_posix()
    content = {
        "extends": name,
        "description": f"{scenario.name} with its loops tuned by SIMC rules on step tests",
        "controllers": {controller: dict(keys) for controller, keys in controllers.items()},
    }
    write_text(file, yaml.safe_dump(content, sort_keys=False, width=120, allow_unicode=True))
