"""How an initialised instance goes on in time: Co-Simulation of both versions, with Event Mode where it is used."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol

from cosim.fmi.instance import EventInfo, FmuFailureError, Instance, StepEnd

_ITERATIONS = 100
#: what is left of rounding is no step
TINY = 1e-12


class Stepper(Protocol):
    """What the component drives, whatever the interface.

    ``next_event`` is the time of the next event that is known in advance, in s.
    """

    next_event: float

    def begin(self, t: float) -> None:
        """After initialisation mode at ``t``."""

    def set_inputs(self, write: Callable[[], None], *, discrete: bool) -> None:
        """Inputs changed: ``write`` sets them; ``discrete`` says that such of discrete variability did."""

    def advance(self, t: float, h: float, *, keep_states: bool) -> StepEnd:
        """Go on from ``t`` by ``h``; the end says how far it came, with its events handled."""

    def state(self) -> dict[str, Any]:
        """What goes on with a state of the FMU, as plain data."""

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`, after the FMU's own was restored."""

    def free(self) -> None:
        """Free what is beside the instance."""


def settle(instance: Instance) -> EventInfo:
    """In Event Mode, update the discrete states until they rest; changes are gathered over all iterations.

    Raises:
        FmuFailureError: they do not come to rest.
    """
    states = nominals = False
    for _ in range(_ITERATIONS):
        info = instance.update_discrete_states()
        states, nominals = states or info.states_changed, nominals or info.nominals_changed
        if info.terminate or not info.again:
            return EventInfo(False, info.terminate, nominals, states, info.next_event)
    raise FmuFailureError(f"{instance.label('UpdateDiscreteStates')} asked for another update {_ITERATIONS} times")


class CoSimulation:
    """FMI 2.0 or 3.0 Co-Simulation.

    Args:
        instance: an instance for Co-Simulation.
        event_mode: whether it was instantiated to leave its events to us.
    """

    def __init__(self, instance: Instance, *, event_mode: bool) -> None:
        self.instance = instance
        self.event_mode = event_mode
        self.next_event = math.inf
        self._ended = False

    def begin(self, t: float) -> None:  # noqa: ARG002
        """See `Stepper`."""
        if self.event_mode:  # initialisation mode leads into Event Mode
            self._leave_event_mode()

    def set_inputs(self, write: Callable[[], None], *, discrete: bool) -> None:
        """See `Stepper`. In step mode, an instance that leaves its events to us takes continuous inputs only."""
        if not (self.event_mode and discrete):
            write()
            return
        self.instance.need("EnterEventMode")
        write()
        self._leave_event_mode()

    def advance(self, t: float, h: float, *, keep_states: bool) -> StepEnd:
        """See `Stepper`."""
        if self._ended:
            return StepEnd(t, terminate=True)
        size, variable = h, self.instance.description.can.variable_step
        if self.event_mode and variable and t < self.next_event < t + h * (1.0 - TINY):
            size = self.next_event - t
        end = self.instance.step(t, size, keep_states=keep_states)
        due = self.event_mode and (end.event or end.time >= self.next_event)
        if due and not end.terminate:
            self.instance.need("EnterEventMode")
            self._leave_event_mode()
            return StepEnd(end.time, event=True, terminate=self._ended)
        return end

    def state(self) -> dict[str, Any]:
        """See `Stepper`."""
        return {"next_event": self.next_event, "ended": self._ended}

    def restore(self, state: dict[str, Any]) -> None:
        """See `Stepper`."""
        self.next_event, self._ended = state["next_event"], state["ended"]

    def free(self) -> None:
        """See `Stepper`: there is nothing."""

    def _leave_event_mode(self) -> None:
        info = settle(self.instance)
        self.next_event, self._ended = info.next_event, info.terminate
        if not info.terminate:
            self.instance.need("EnterStepMode")
