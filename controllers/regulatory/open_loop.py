"""One loop of a scenario, put in manual for a step test on its output."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cosim import Scenario, Simulation
from cosim.component import FloatArray
from fmus.errors import GalenicError


@dataclass(frozen=True)
class StepTest:
    """A test: the loop in automatic for ``settle``, then by hand, and a step up in one run, down in another.

    Args:
        loop: name of the controller.
        observed: signals to record.
        settle: in s before the step; for a batch the point of its trajectory.
        horizon: in s after it.
        sampling: in s between records.
        stepped: the input that is stepped instead of the loop's output; the output then holds.
    """

    loop: str
    observed: Sequence[str]
    settle: float
    horizon: float
    sampling: float
    stepped: str | None = None


def step_response(
    scenario: Scenario,
    test: StepTest,
    size: Callable[[float], float],
    without: Sequence[str] = (),
    progress: Callable[[float], None] | None = None,
) -> FloatArray:
    """Response to a unit step, half the difference of a step up and a step down, shape (samples + 1, observed).

    Other loops stay closed; there are no disturbances, actions and noise. What both runs share, such as the course of a
    batch, cancels.

    Args:
        scenario: the line.
        test: what to do.
        size: how far to step, from the value before; in the stepped signal's unit.
        without: controllers to leave out, so all supervisors.
        progress: told the finished fraction.

    Raises:
        GalenicError: the system cannot be built, the loop cannot be opened, or a response is not finite.
    """
    share = progress or (lambda _: None)
    halves, span = [], 0.0
    for number, sign in enumerate((1.0, -1.0)):
        values, span = _run(scenario, test, size, sign, without, lambda done, n=number: share((n + done) / 2.0))  # type: ignore[misc]
        halves.append(values)
    response = (halves[0] - halves[1]) / (2.0 * span)
    result: FloatArray = response - response[:1]
    if not np.isfinite(result).all():
        raise GalenicError(f"what '{test.loop}' does to '{', '.join(test.observed)}' is not finite",
                           cure="test it at another time: --settle")  # fmt: skip
    return result


def _run(
    scenario: Scenario,
    test: StepTest,
    size: Callable[[float], float],
    sign: float,
    without: Sequence[str],
    progress: Callable[[float], None],
) -> tuple[FloatArray, float]:
    loop, samples = test.loop, round(test.horizon / test.sampling)
    with Simulation(_quiet(scenario, loop), without=without) as simulation:
        simulation.step(round(test.settle / simulation.step_size))
        simulation.set(f"{loop}.manual.active", 1.0)  # its output holds from its next execution on
        signal = test.stepped or f"{loop}.value"
        present = simulation.get(signal)
        span = size(present)
        if test.stepped is None:
            port = simulation.system.ports[f"{loop}.value"]
            target = max(present, -np.inf if port.min is None else port.min + span)  # room for both steps
            target = min(target, np.inf if port.max is None else port.max - span) + sign * span
            simulation.set(f"{loop}.manual.value", target)
        else:
            target = present + sign * span
            simulation.set(test.stepped, target)
        result = np.empty((samples + 1, len(test.observed)))
        every = round(test.sampling / simulation.step_size)
        result[0] = [simulation.get(name) for name in test.observed]
        for k in range(samples):
            simulation.step(every)
            result[k + 1] = [simulation.get(name) for name in test.observed]
            progress((k + 1) / samples)
        if test.stepped is None and abs(simulation.get(signal) - target) > 1e-9 * max(1.0, abs(target)):
            raise GalenicError(
                f"'{loop}' cannot be opened at this time: something else drives its output",
                cure="test it later: --settle, where a recipe drives it at first; --without NAME for a supervisor",
            )
    return result, span


def _quiet(scenario: Scenario, loop: str) -> Scenario:
    """Without noise, disturbances, actions and reports; the loop's output moves freely."""
    section: Mapping[str, Any] = {k: v for k, v in scenario.controllers[loop].items() if k != "max_move"}
    sensors = {name: spec.model_copy(update={"noise": 0.0}) for name, spec in scenario.sensors.items()}
    return scenario.model_copy(
        update={
            "controllers": {**scenario.controllers, loop: section},
            "sensors": sensors,
            "disturbances": [],
            "actions": [],
            "stop_when": [],
            "plot": [],
            "kpis": {},
            "record": "all",
        }
    )
