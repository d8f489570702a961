"""What happens in a run at a time or on a condition: values set, ramped or overridden, faults, the end of the run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from cosim.component import FloatArray, Port

if TYPE_CHECKING:
    from cosim.scenario import Scenario
    from cosim.system import System
    from cosim.wiring import Wiring

NAME = "actions"


class RunStopped(Exception):  # noqa: N818 (no error)
    """A stop condition holds: the run ends here, as the scenario wants. The text is the reason."""


class Actions:
    """The actions of a scenario, executed at every communication point before sensors and controllers.

    Args:
        outputs: a port for each signal that it shows.
        period: the communication step in s.
    """

    name = NAME
    inputs: tuple[Port, ...] = ()

    def __init__(self, outputs: Sequence[Port], period: float) -> None:
        self.period = period
        self.outputs = tuple(outputs)
        self.input_values: FloatArray = np.zeros(0)
        self.output_values: FloatArray = np.zeros(len(self.outputs))

    def bind(self, system: System) -> None:
        """Work on this system from now on. Called once, when it is built."""

    def begin(self, t: float) -> None:
        """Apply what holds from the start, before the components initialise."""

    def do_step(self, communication_point: float, step_size: float) -> None:  # noqa: ARG002 (the contract's signature)
        """Like `execute`."""
        self.execute(communication_point)

    def execute(self, t: float) -> None:
        """Begin and end actions at ``t`` in s. Raises RunStopped where the run ends here."""


def build_actions(scenario: Scenario, wiring: Wiring) -> Actions | None:  # noqa: ARG001
    """The actions of a scenario, None where it has none."""
    return None
