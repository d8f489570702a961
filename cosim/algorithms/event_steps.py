"""Jacobi with events: what an event changes in one component reaches the others at the time of the event.

A communication step is divided where a component stops before its end, because an event happened there:

1. all inputs from the signals;
2. the components with events advance first; one that stops at an event tells its time;
3. those that came further than the earliest event go back, as far as they can save their state, and advance to it;
4. all others advance to it, if their steps may have any size, and all outputs are read;
5. on from there, until the end of the communication step.

A component whose steps have one size only takes the whole step with the inputs of its begin; one that cannot go back
and came further than the event stays there until the others have caught up.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cosim.algorithms.gauss_seidel import target_time
from cosim.algorithms.growth import Point, growth, point_at
from cosim.fmi.state import State
from cosim.fmi.stepping import TINY
from cosim.fmu_component import FmuComponent
from cosim.isolation.isolated import PlantComponent

if TYPE_CHECKING:
    from cosim.system import System

_TRIES = 10


class EventSteps:
    """Steps a system from event to event.

    Args:
        system: the system.

    Attributes:
        events: how many have divided a step so far.
    """

    def __init__(self, system: System) -> None:
        self._system = system
        self.events = 0
        self._eventful: list[FmuComponent] = []
        self._followers: list[PlantComponent] = []
        self._rigid: list[PlantComponent] = []
        for component in system.components:
            if not component.can_variable_step:
                self._rigid.append(component)
            elif isinstance(component, FmuComponent) and component.stops_at_events:
                self._eventful.append(component)
            else:
                self._followers.append(component)
        # with one alone there is nobody that could have come too far
        self._able = [c for c in self._eventful if c.can_save_state] if len(self._eventful) > 1 else []
        self._at: dict[str, float] = {}
        self._carries_on = system.scenario.master.extrapolation == 1
        self._earlier: Point | None = None
        self._wanted = target_time(system)

    def step(self, k: int) -> None:
        """Advance over communication step number ``k``. Raises what a component raises."""
        system = self._system
        begin, h = k * system.step_size, system.step_size
        t, end = begin, begin + h
        self._gather(begin, h)
        for component in self._rigid:
            component.do_step(begin, h)
        self._at = {component.name: begin for component in self._eventful}
        while t < end - TINY * h:
            t = self._piece(t, end)
            if t < end - TINY * h:
                self.events += 1
                self._earlier = None  # what grew before an event does not tell how it grows after it
                self._gather(t, end - t)
        for number in range(len(system.components)):
            system.check_finite(number, end)

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"events": self.events, "earlier": self._earlier}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
        self.events = state["events"]
        self._earlier = None if state["earlier"] is None else tuple(state["earlier"])

    def _gather(self, t: float, size: float) -> None:
        """The inputs for a step from ``t``; carried on to its middle where the scenario wants it."""
        system, gather = self._system, self._system.gather
        if not self._carries_on:
            gather.apply(system.signals)
            return
        now = point_at(system, t)
        carried = now[1] + self._wanted * growth(system, now, self._earlier, size)
        self._earlier = now
        system.signals[gather.target] = gather.convert(carried)

    def _piece(self, t: float, end: float) -> float:
        """From ``t`` to the first event, at most to ``end``; returns how far it came."""
        saved = {component.name: component.save_state() for component in self._able if self._at[component.name] <= t}
        try:
            reached = self._to_first_event(t, end, saved)
        finally:
            for component in self._able:
                if component.name in saved:
                    component.free_state(saved[component.name])
        for follower in self._followers:
            follower.do_step(t, reached - t)
        for component in self._eventful:
            component.get_outputs()
        return reached

    def _to_first_event(self, t: float, end: float, saved: Mapping[str, State]) -> float:
        """Bring the eventful components to the first event among them."""
        tiny = TINY * (end - t)
        for component in self._eventful:
            if self._at[component.name] < end:
                component.set_inputs()
                self._advance(component, end)
        first = min(self._at.values(), default=end)
        for _ in range(_TRIES):
            ahead = [c for c in self._eventful if c.name in saved and self._at[c.name] > first + tiny]
            if not ahead:
                break
            for component in ahead:
                component.restore_state(saved[component.name])
                component.set_inputs()
                self._at[component.name] = t
                self._advance(component, first)
            # one may have stopped short of it, at an event that it finds only now
            first = min(self._at.values(), default=end)
        return first

    def _advance(self, component: FmuComponent, end: float) -> None:
        begin = self._at[component.name]
        reached = component.advance(begin, end - begin)
        self._at[component.name] = end if reached is None else reached
