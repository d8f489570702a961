"""A scenario's line as a plant for step tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from controllers.surrogates.values import typical
from cosim import Scenario, Simulation
from cosim.component import FloatArray
from cosim.scenario import ComponentSpec
from fmus.errors import GalenicError, nearest


class SimulationPlant:
    """A `controllers.surrogates.step_tests.Plant` on a scenario's FMUs, without controllers, noise and disturbances.

    Each one loads its own FMUs at t = 0; `close` frees them. A feeder that refills within a test puts a disturbance
    into the responses: set its parameters so that the hopper lasts for settling and horizon.

    Args:
        scenario: the line; its components and connections are used.
        parameters: replaces parameters of components, ``{component: {parameter: quantity}}``; what a scenario draws is
            at its mean.
        controllers: those that stay, with the sensors, which have no noise then: the recipe of a batch.
        free: inputs that a recipe that stays leaves alone.

    Raises:
        GalenicError: the system cannot be built.
    """

    def __init__(
        self,
        scenario: Scenario,
        parameters: Mapping[str, Mapping[str, Any]] | None = None,
        controllers: Sequence[str] = (),
        free: Sequence[str] = (),
    ) -> None:
        for name in controllers:
            if name not in scenario.controllers:
                raise GalenicError(f"there is no controller '{name}'", cure=nearest(name, scenario.controllers))
        exact = {"noise": 0.0, "bias": 0.0, "drift": 0.0}
        bare: dict[str, Any] = {
            "disturbances": [],
            "actions": [],
            "stop_when": [],
            "sensors": {n: s.model_copy(update=exact) for n, s in scenario.sensors.items()} if controllers else {},
            "controllers": {n: _without(scenario.controllers[n], free) for n in controllers},
            "plot": [],
            "kpis": {},
            "record": "all",
        }
        components = {n: _at_means(spec) for n, spec in scenario.components.items()}
        for name, values in (parameters or {}).items():
            if name not in components:
                raise GalenicError(f"there is no component '{name}'", cure=nearest(name, components))
            spec = components[name]
            components[name] = spec.model_copy(update={"parameters": {**spec.parameters, **values}})
        self._simulation = Simulation(scenario.model_copy(update={**bare, "components": components}))
        self._simulation.initialize()

    def unit(self, name: str) -> str:
        """Unit of a signal."""
        return self._simulation.system.ports[self._known(name)].unit

    def set(self, name: str, value: float) -> None:
        """Hold an input from now on."""
        self._simulation.set(self._known(name), value)

    def advance(self, seconds: float) -> None:
        """Simulate on, in whole communication steps."""
        steps = seconds / self._simulation.step_size
        if abs(steps - round(steps)) > 1e-6:
            raise GalenicError(
                f"{seconds:g} s is not a multiple of the communication step of {self._simulation.step_size:g} s",
                cure="choose the identification's period, horizon and settling time as multiples of it",
            )
        self._simulation.step(round(steps))

    def means(self, seconds: float, names: Sequence[str]) -> FloatArray:
        """Simulate on; the means of signals over that time, shape (len(names),), by the communication steps."""
        steps = round(seconds / self._simulation.step_size)
        total = np.zeros(len(names))
        for _ in range(steps):
            self.advance(self._simulation.step_size)
            total += self.get(names)
        return total / max(steps, 1)

    def get(self, names: Sequence[str]) -> FloatArray:
        """Present values of signals, shape (len(names),)."""
        return np.array([self._simulation.get(self._known(name)) for name in names])

    def close(self) -> None:
        """Free the FMUs. May be called twice."""
        self._simulation.close()

    def _known(self, name: str) -> str:
        return self._simulation.system.select([name])[0]


def _at_means(spec: ComponentSpec) -> ComponentSpec:
    values = {
        section: {k: typical(v) for k, v in getattr(spec, section).items()} for section in ("parameters", "start")
    }
    return spec.model_copy(update=values)


def _without(config: dict[str, Any], free: Sequence[str]) -> dict[str, Any]:
    """A controller's section without profiles of ``free`` inputs."""
    profiles = config.get("profiles")
    if not isinstance(profiles, Mapping):
        return config
    return {**config, "profiles": {name: value for name, value in profiles.items() if name not in free}}
