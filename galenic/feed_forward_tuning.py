"""Feed-forward gains and their lead-lag from step tests on the disturbance."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from controllers.regulatory.open_loop import StepTest, step_response
from controllers.regulatory.tuning import StepModel, fit_step_model
from fmus.errors import GalenicError
from fmus.quantity import parse_quantity
from galenic.loop_tuning import Loop, conclusive, open_response, resting_time

if TYPE_CHECKING:
    from cosim import Scenario
    from cosim.component import FloatArray

_STEP = 0.05
_FIRST_HORIZON = 30
_MOST_SAMPLES = 4000
_WORST_FIT = 0.15
_QUICKEST_LAG = 0.2  # of the lead
_NO_LEAD = 0.1  # relative difference of two lags that is none


@dataclass(frozen=True)
class Feed:
    """A signal of a feed-forward controller, and the loop whose base it moves.

    Args:
        controller: its name.
        signal: as the scenario names it, such as ``humidity_probe.value``.
        loop: which takes the output as its ``feed_forward``.
        cause: the input that is stepped to see what the disturbance does.
        measured: what the signal shows, behind its sensor.
        delay: of the sensor in s.
        unit: of the signal.
        period: of the controller in s.
        present: its gain, in the output's unit per ``unit``.
    """

    controller: str
    signal: str
    loop: Loop
    cause: str
    measured: str
    delay: float
    unit: str
    period: float
    present: float


@dataclass(frozen=True)
class TunedFeed:
    """What the tests gave: (lead s + 1) / (lag s + 1) with dead time, times in s."""

    feed: Feed
    gain: float
    lead: float
    lag: float
    dead_time: float
    late: float
    disturbance: StepModel

    @property
    def gain_unit(self) -> str:
        """Unit of the gain."""
        return f"({self.feed.loop.output_unit})/({self.feed.unit})"

    def keys(self) -> dict[str, Any]:
        """What a scenario file has to say of it."""
        times = {"lead": self.lead, "lag": self.lag, "dead_time": self.dead_time}
        return {"gain": f"{self.gain:g} {self.gain_unit}", **{k: f"{v:g} s" for k, v in times.items()}}


def feeds_of(
    scenario: Scenario, loops: Sequence[Loop], without: Sequence[str], causes: Mapping[str, str]
) -> list[Feed]:
    """The signals of a scenario's feed-forward controllers whose loop is among ``loops``.

    Args:
        scenario: the line.
        loops: its loops.
        without: controllers left out.
        causes: the input that moves a signal, by signal; needed where what is measured is no free input itself.

    Raises:
        GalenicError: what to step is not known, or no such signal.
    """
    from cosim import Simulation

    sections = {
        name: c for name, c in scenario.controllers.items() if c.get("type") == "feed_forward" and name not in without
    }
    signals = [signal for section in sections.values() for signal in section["signals"]]
    for signal in causes:
        if signal not in signals:
            raise GalenicError(f"--disturb: no feed-forward reads '{signal}'",
                               cure=f"its signals: {', '.join(signals)}" if signals else "there is none")  # fmt: skip
    feeds = []
    with Simulation(scenario, without=without) as simulation:
        system = simulation.system
        disturbed = {d.signal for d in scenario.disturbances}
        for name, section in sections.items():
            taken = [lo for lo in loops if scenario.controllers[lo.name].get("feed_forward") == f"{name}.value"]
            for loop in taken:
                for signal, entry in section["signals"].items():
                    sensor = scenario.sensors.get(signal.partition(".")[0])
                    measured = signal if sensor is None else sensor.measures
                    cause = causes.get(signal, measured)
                    driver = system.drivers.get(cause)
                    known = cause in system.ports and (driver is None or cause in disturbed)
                    if not known or cause not in _inputs(system):
                        raise GalenicError(
                            f"what to step to see what '{signal}' does is not known: '{cause}' is no free input",
                            cure=f"--disturb {signal}=component.input",
                        )
                    unit = system.ports[signal].unit
                    gain = parse_quantity(entry["gain"], f"({loop.output_unit})/({unit})")
                    period = parse_quantity(section["period"], "s")
                    delay = 0.0 if sensor is None else sensor.delay
                    feeds.append(Feed(name, signal, loop, cause, measured, delay, unit, period, gain))
    return feeds


def _inputs(system: Any) -> set[str]:
    return {f"{c.name}.{p.name}" for c in system.components for p in c.inputs}


def tune_feed(
    scenario: Scenario,
    feed: Feed,
    without: Sequence[str],
    *,
    settle: float | None = None,
    progress: Callable[[float], None] | None = None,
) -> TunedFeed:
    r"""Gain, lead, lag and dead time that cancel the disturbance as far as delays let them.

    With the models G_u of the loop's output and G_d of the disturbance as it is measured, both of first order, the
    compensation is -G_d / G_u: the gain -K_d / K_u, the lead tau_u, the lag tau_d, and the dead time theta_d - theta_u,
    zero where the disturbance is quicker than that (``late`` says by how much).

    Raises:
        GalenicError: a response that is not that of a lag or ramp, or a ramp beside a lag.
    """
    loop, share = feed.loop, progress or (lambda _: None)
    rest = resting_time(scenario, loop, settle)
    _, _, control = open_response(scenario, loop, without, rest, lambda done: share(done / 2.0))
    control = _first_order(control)
    response, sampling = _disturbed(scenario, feed, without, rest, lambda done: share(0.5 + done / 2.0))
    upset = fit_step_model(response[:, 0], sampling)
    for what, model in ((loop.name, control), (feed.cause, upset)):
        if model.error > _WORST_FIT:
            raise GalenicError(
                f"the response of '{loop.measured}' to '{what}' is not that of a lag or a ramp with dead time "
                f"(fit error {100 * model.error:.0f} %)",
                cure="test it at another time: --settle",
            )
    if control.integrating != upset.integrating:
        raise GalenicError(
            f"'{loop.measured}' ramps after a step of '{loop.name}' or '{feed.cause}', and settles after the other",
            cure="give the gain by hand",
        )
    if feed.cause == feed.measured:
        shown, wait = 1.0, 0.0
    else:
        seen = fit_step_model(response[:, 1], sampling)
        shown, wait = seen.gain, seen.dead_time + (0.0 if math.isinf(seen.time_constant) else seen.time_constant)
    gain = -upset.gain / shown / control.gain
    lead = 0.0 if control.integrating else control.time_constant
    lag = 0.0 if upset.integrating else max(upset.time_constant - wait, 0.0)
    if abs(lead - lag) <= _NO_LEAD * max(lead, lag):
        lead = lag = 0.0
    elif lead > 0.0:
        lag = max(lag, _QUICKEST_LAG * lead)
    apart = upset.dead_time - feed.delay - control.dead_time - feed.period / 2.0
    waits = max(0, math.floor(apart / feed.period + 0.5)) * feed.period
    return TunedFeed(feed, _round(gain), _round(lead), _round(lag), waits, max(-apart, 0.0), upset)


def _first_order(model: StepModel) -> StepModel:
    """By the half rule: half of the second lag is lag, half is dead time."""
    if not model.second:
        return model
    half = model.second / 2.0
    if model.integrating:
        return StepModel(model.gain, model.time_constant, model.dead_time + model.second, model.error)
    return StepModel(model.gain, model.time_constant + half, model.dead_time + half, model.error)


def _disturbed(
    scenario: Scenario, feed: Feed, without: Sequence[str], settle: float, progress: Callable[[float], None]
) -> tuple[FloatArray, float]:
    """What a unit step of the cause does to the controlled variable and to what is measured of it."""
    loop, step, horizon = feed.loop, scenario.communication_step, _FIRST_HORIZON * feed.loop.period
    while True:
        sampling = step if horizon / step <= _MOST_SAMPLES else loop.period
        test = StepTest(loop.name, [loop.measured, feed.measured], settle, horizon, sampling, feed.cause)
        response = step_response(scenario, test, _share, without, progress)
        if np.abs(response[:, 0]).max() > 0.0:
            model = fit_step_model(response[:, 0], sampling)
            if conclusive(response[:, 0], model, horizon):
                return response, sampling
        if settle + 2.0 * horizon > scenario.duration:
            raise GalenicError(
                f"the response of '{loop.measured}' to '{feed.cause}' neither settles nor ramps within {horizon:g} s",
                cure="allow longer tests with --set 'duration=...'",
            )
        horizon *= 2.0


def _share(present: float) -> float:
    return _STEP * abs(present) if present else _STEP


def _round(value: float) -> float:
    return float(f"{value:.3g}")
