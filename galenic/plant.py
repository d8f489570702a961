"""A scenario's line as the plant of step tests: no controllers, no disturbances, no sensors."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cosim import Simulation

if TYPE_CHECKING:
    from cosim import Scenario
    from cosim.component import FloatArray


class OpenLoopPlant:
    """Fulfils `controllers.identify.Plant` with a fresh simulation.

    Args:
        scenario: what it says about components and connections counts; the rest is left out.
    """

    def __init__(self, scenario: Scenario) -> None:
        bare = scenario.model_copy(
            update={"controllers": {}, "disturbances": [], "sensors": {}, "plot": [], "record": "all", "kpis": {}}
        )
        self._simulation = Simulation(bare)
        self._ports = self._simulation.system.ports
        self._simulation.initialize()

    def unit(self, name: str) -> str:
        """Unit of a signal. Raises GalenicError for an unknown one."""
        self._simulation.get(name)
        return self._ports[name].unit

    def set(self, name: str, value: float) -> None:
        """Hold an input at ``value`` from now on."""
        self._simulation.set(name, value)

    def advance(self, seconds: float) -> None:
        """Simulate on, in whole communication steps."""
        self._simulation.step(max(1, round(seconds / self._simulation.step_size)))

    def get(self, names: Sequence[str]) -> FloatArray:
        """Present values, shape (len(names),)."""
        return np.array([self._simulation.get(name) for name in names])

    def __del__(self) -> None:
        """Free the FMUs; a test makes many plants."""
        simulation = self.__dict__.get("_simulation")
        if simulation is not None:
            simulation.close()


def provenance_of(scenario: Scenario) -> dict[str, Any]:
    """What a surrogate keeps about the scenario that it comes from."""
    return {"scenario": scenario.name, "scenario_sha256": hashlib.sha256(scenario.text.encode()).hexdigest()}
