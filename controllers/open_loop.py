"""One PI loop of a scenario, opened for step tests on its output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cosim import Scenario, Simulation
from cosim.component import FloatArray
from fmus.errors import GalenicError

_NO_GAIN = 1e-12


class OpenLoop:
    """A `controllers.identify.Plant` of a scenario in which one PI controller only passes its feed-forward on.

    The other loops stay closed, supervisors are left out, there are no disturbances, actions and noise. The one input
    is the opened controller's output; what it drives (another controller, an actuator) stays as it is.

    Args:
        scenario: the line.
        loop: name of the PI controller.
        resting: its output before the first step, in its unit; see `resting_value`.
        without: controllers to leave out, so all supervisors.

    Raises:
        GalenicError: the system cannot be built.
    """

    def __init__(self, scenario: Scenario, loop: str, resting: float, without: Sequence[str] = ()) -> None:
        section: dict[str, Any] = dict(scenario.controllers[loop])
        for key in ("integral_time", "tracking_time", "max_move", "track"):
            section.pop(key, None)
        section.update(gain=_NO_GAIN, feed_forward=resting)
        quiet = {name: spec.model_copy(update={"noise": 0.0}) for name, spec in scenario.sensors.items()}
        self._simulation = Simulation(
            scenario.model_copy(
                update={
                    "controllers": {**scenario.controllers, loop: section},
                    "sensors": quiet,
                    "disturbances": [],
                    "actions": [],
                    "stop_when": [],
                    "plot": [],
                    "kpis": {},
                    "record": "all",
                }
            ),
            without=without,
        )
        self._loop = loop
        self._simulation.initialize()

    def unit(self, name: str) -> str:
        """Unit of a signal. Raises GalenicError for an unknown one."""
        return self._simulation.system.ports[self._simulation.system.select([name])[0]].unit

    def set(self, name: str, value: float) -> None:
        """Hold the controller's output, which is its feed-forward, from its next action on."""
        self._simulation.set(name, value)

    def advance(self, seconds: float) -> None:
        """Simulate on, in whole communication steps."""
        self._simulation.step(round(seconds / self._simulation.step_size))

    def get(self, names: Sequence[str]) -> FloatArray:
        """Present values of signals, shape (len(names),)."""
        import numpy as np

        return np.array([self._simulation.get(name) for name in names])

    def close(self) -> None:
        """Free the FMUs. May be called twice."""
        self._simulation.close()


def resting_value(scenario: Scenario, loop: str, without: Sequence[str] = ()) -> float:
    """What a PI controller puts out before anything happens, in the unit of its output.

    Raises:
        GalenicError: the system cannot be built, or the value is not known.
    """
    with Simulation(scenario, without=without) as simulation:
        value = simulation.system.ports[f"{loop}.value"].start
    if value is None:
        raise GalenicError(f"what '{loop}' starts with is not known", cure="give it a 'feed_forward'")
    return value
