"""Tuning of a scenario's PI loops by step tests: what `galenic tune` does."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from controllers.identification_plan import IdentificationPlan, InputPlan
from controllers.identify import step_responses
from controllers.open_loop import OpenLoop, resting_value
from controllers.realization import looks_integrating
from controllers.tuning import FirstOrder, Robustness, Tuning, fit_first_order, robustness, simc
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


@dataclass(frozen=True)
class Loop:
    """A PI controller as the scenario has it; ``delay`` is its sensor's, with the mean age of its last sample."""

    name: str
    measured: str
    unit: str
    output_unit: str
    period: float
    delay: float
    step: float
    resting: float
    present: Tuning


@dataclass(frozen=True)
class TunedLoop:
    """What the step test of a loop gave; ``slower`` is tau_c in effective dead times."""

    loop: Loop
    model: FirstOrder
    horizon: float
    tuning: Tuning
    slower: float
    before: Robustness
    after: Robustness

    @property
    def gain_unit(self) -> str:
        """Unit of the gain."""
        return f"({self.loop.output_unit})/({self.loop.unit})"


def loops_of(scenario: Scenario, without: Sequence[str], wanted: Sequence[str]) -> list[Loop]:
    """The PI loops of a scenario, all or those wanted.

    Raises:
        GalenicError: there is none, or one of that name is none.
    """
    from cosim import Simulation

    names = [n for n, c in scenario.controllers.items() if c.get("type") == "pi" and n not in without]
    for name in wanted:
        if name not in names:
            raise GalenicError(
                f"--loop: '{name}' is no PI controller of '{scenario.name}'",
                cure=f"its PI controllers: {', '.join(names)}" if names else "it has none",
            )
    if not names:
        raise GalenicError(f"'{scenario.name}' has no PI controller to tune", file=scenario.file)
    with Simulation(scenario, without=without) as simulation:
        ports = dict(simulation.system.ports)
    loops = []
    for name in wanted or names:
        section: Mapping[str, Any] = scenario.controllers[name]
        sensor = scenario.sensors.get(str(section["measurement"]).partition(".")[0])
        output, measurement = ports[f"{name}.value"], ports[f"{name}.measurement"]
        period = parse_quantity(section["period"], "s")
        age = 0.0
        if sensor is not None:
            late = (sensor.period or 0.0) / 2.0 if (sensor.period or 0.0) > period else 0.0
            age = sensor.delay + late
        limits = (output.min, output.max)
        resting = resting_value(scenario, name, without)
        span = _STEP_OF_VALUE * abs(resting)
        if limits[0] is not None and limits[1] is not None:
            span = _STEP_OF_LIMITS * (limits[1] - limits[0])
            resting = min(max(resting, limits[0] + span), limits[1] - span)  # room for both steps
        integral = section.get("integral_time")
        loops.append(
            Loop(
                name,
                sensor.measures if sensor is not None else str(section["measurement"]),
                measurement.unit,
                output.unit,
                period,
                age,
                span,
                resting,
                Tuning(
                    parse_quantity(section["gain"], f"({output.unit})/({measurement.unit})"),
                    None if integral is None else parse_quantity(integral, "s"),
                ),
            )
        )
    return loops


def tune_loop(
    scenario: Scenario,
    loop: Loop,
    without: Sequence[str],
    *,
    slower: float = 1.0,
    most_sensitive: float = 1.7,
    settle: float | None = None,
    progress: Callable[[float], None] | None = None,
) -> TunedLoop:
    """Step test, model, SIMC, margins.

    tau_c grows from ``slower`` effective dead times until the sampled loop's sensitivity is at most ``most_sensitive``:
    SIMC's rules are of continuous loops, and a process quicker than the sampling needs less gain than they give.

    Args:
        scenario: the line.
        loop: what to tune.
        without: controllers left out.
        slower: tau_c in effective dead times, the smallest to try.
        most_sensitive: largest Ms.
        settle: time in s before the step; 60 periods by default, half the scenario's duration at most.
        progress: told the finished fraction of a test.

    Raises:
        GalenicError: no response, one that neither settles nor ramps within the scenario's duration, or no such gain.
    """
    if not loop.step:
        raise GalenicError(
            f"how far to step '{loop.name}' is not known: it starts at zero and has no limits",
            cure="give it 'limits'",
        )
    rest = settle if settle is not None else min(60 * loop.period, scenario.duration / 2.0)
    rest = loop.period * max(1, round(rest / loop.period))
    response, sampling, model = _response(scenario, loop, without, rest, progress)
    if model.error > _WORST_FIT:
        raise GalenicError(
            f"the step response of '{loop.measured}' to '{loop.name}' is not that of a lag or a ramp with dead time "
            f"(fit error {100 * model.error:.0f} %)",
            cure="bring the line to its operating point first: a longer --settle, or start values with --set",
        )
    every = round(loop.period / sampling)
    sampled = response[::every]
    horizon = (len(response) - 1) * sampling
    factor = slower
    while True:
        tuning = simc(model, loop.delay + loop.period / 2.0, slower=factor)
        tuning = Tuning(_round(tuning.gain), None if tuning.integral_time is None else _round(tuning.integral_time))
        after = robustness(sampled, loop.period, tuning, loop.delay)
        if after.sensitivity <= most_sensitive:
            break
        factor *= _FASTER
        if factor > _SLOWEST:
            raise GalenicError(
                f"no SIMC tuning of '{loop.name}' has a sensitivity of at most {most_sensitive:g}",
                cure="allow a larger --max-sensitivity, or look at the loop's step response",
            )
    before = robustness(sampled, loop.period, loop.present, loop.delay)
    return TunedLoop(loop, model, horizon, tuning, factor, before, after)


def _response(
    scenario: Scenario, loop: Loop, without: Sequence[str], settle: float, progress: Callable[[float], None] | None
) -> tuple[FloatArray, float, FirstOrder]:
    """Unit-step response, its sampling period and its model; the horizon doubles until it says enough."""
    step, horizon = scenario.communication_step, _FIRST_HORIZON * loop.period
    while True:
        sampling = step if horizon / step <= _MOST_SAMPLES else loop.period
        signal = f"{loop.name}.feed_forward"
        plan = IdentificationPlan(
            {signal: InputPlan(loop.step)}, {loop.measured: None}, sampling, horizon, settle, validations=0
        )
        response = step_responses(
            lambda: OpenLoop(scenario, loop.name, loop.resting, without),
            plan,
            progress=None if progress is None else lambda share, _label: progress(share),
        )[:, 0, 0]
        size = float(np.abs(response).max())
        if size > 0.0:
            model = fit_first_order(response, sampling)
            if looks_integrating(response[:, None, None])[0]:
                enough = horizon >= _RAMP_BEYOND_DEAD_TIME * model.dead_time
            else:
                late = response[round(0.8 * (len(response) - 1)) :]
                enough = float(np.ptp(late)) <= _SETTLED * size
            if enough:
                return response, sampling, model
        if 2.0 * horizon > scenario.duration:
            raise GalenicError(
                f"the step response of '{loop.measured}' to '{loop.name}' neither settles nor ramps "
                f"within {horizon:g} s",
                cure="allow longer tests with --set 'duration=...'",
            )
        horizon *= 2.0


def _round(value: float) -> float:
    return float(f"{value:.3g}")


def write_variant(file: Path, base: str, scenario: Scenario, tuned: Sequence[TunedLoop]) -> None:
    """Write a scenario that extends ``base`` and has the new tunings.

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
        "description": f"{scenario.name} with its PI loops tuned by SIMC rules on step tests",
        "controllers": {
            t.loop.name: {
                "gain": f"{t.tuning.gain:g} {t.gain_unit}",
                **({} if t.tuning.integral_time is None else {"integral_time": f"{t.tuning.integral_time:g} s"}),
            }
            for t in tuned
        },
    }
    write_text(file, yaml.safe_dump(content, sort_keys=False, width=120, allow_unicode=True))
