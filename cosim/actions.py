"""What happens in a run at a time or on a condition: values set, ramped or overridden, faults, the end of the run.

An action that is in force holds inputs; where several hold one input the latest counts, and when it ends the one before
it does again, at last the input's own driver.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from cosim.component import FloatArray, Port
from cosim.conditions import SLACK, Condition
from cosim.sensors import Fault, Sensor

if TYPE_CHECKING:
    from cosim.system import System

NAME = "actions"
_LOGGED = 1000


class RunStopped(Exception):  # noqa: N818 (no error)
    """A stop condition holds: the run ends here, as the scenario wants. The text is the reason."""


@dataclass(eq=False)
class Hold:
    """What an action does to an input: a value, from the present one over ``over`` s; None: the present one.

    Attributes:
        signal: the input.
        value: in the input's unit, or None.
        over: time in s from the value at the beginning to ``value``.
    """

    signal: str
    value: float | None
    over: float = 0.0
    began: float = 0.0
    begin_value: float = 0.0

    def at(self, t: float) -> float:
        """Its value at ``t`` in s."""
        if self.value is None:
            return self.begin_value
        share = 1.0 if self.over <= 0.0 else min(max((t - self.began) / self.over, 0.0), 1.0)
        return self.value if share >= 1.0 else self.begin_value + share * (self.value - self.begin_value)


class Effect(Protocol):
    """What an action does beside holding inputs."""

    def begin(self, t: float) -> None:
        """Begin at ``t`` in s."""

    def end(self) -> None:
        """Undo it."""


class SensorFault:
    """A fault of a sensor, while an action is in force."""

    def __init__(self, sensor: Sensor, fault: Fault) -> None:
        self._sensor, self._fault = sensor, fault
        sensor.add_fault(fault)

    def begin(self, t: float) -> None:
        """See `Effect`."""
        self._sensor.begin_fault(self._fault, t)

    def end(self) -> None:
        """See `Effect`."""
        self._sensor.end_fault(self._fault)


@dataclass
class Action:
    """One action.

    Attributes:
        name: for the record, and of its signal.
        at: when it begins in s; of a condition, from when on that counts.
        condition: on which it begins, None where the time decides.
        once: whether the condition counts only the first time.
        until, lasting: when it ends in s, and how long it lasts; infinite where neither is told.
        until_condition: on which it ends.
        holds, effects: what it does.
    """

    name: str
    at: float
    condition: Condition | None
    once: bool
    until: float
    lasting: float
    until_condition: Condition | None
    holds: list[Hold]
    effects: list[Effect] = field(default_factory=list)
    active: bool = False
    armed: bool = True
    began: float = 0.0

    @property
    def ends(self) -> bool:
        """Whether it ends at all."""
        return self.until_condition is not None or min(self.until, self.lasting) < math.inf

    def due(self, t: float) -> bool:
        """Whether it begins at ``t``: at its time once, on a condition each time that comes true."""
        if t < self.at - SLACK:
            return False
        if self.condition is None:
            return self.armed
        holds = self.condition.holds(t)
        if not holds:
            self.armed = self.armed or not self.once
        return holds and self.armed and not (self.active and self.ends)

    def over(self, t: float) -> bool:
        """Whether it ends at ``t``."""
        if t >= min(self.until, self.began + self.lasting) - SLACK:
            return True
        return self.until_condition is not None and self.until_condition.holds(t)


@dataclass
class Stop:
    """A condition that ends the run, from ``at`` s on."""

    condition: Condition
    at: float
    reason: str


class Actions:
    """The actions of a scenario, executed at every communication point before sensors and controllers.

    Args:
        actions: what may happen, in the order of the file.
        stops: what ends the run.
        driven: inputs that are held although something drives them, with their ports.
        undriven: inputs that are held and nothing drives; their value before is theirs again when they are let go.
        period: the communication step in s.

    It shows 1 for each action while it is in force, and what it writes to inputs that something else drives.
    """

    name = NAME
    inputs: tuple[Port, ...] = ()

    def __init__(
        self,
        actions: Sequence[Action],
        stops: Sequence[Stop],
        driven: Mapping[str, Port],
        undriven: Sequence[str],
        period: float,
    ) -> None:
        self.actions, self._stops, self.period = list(actions), list(stops), period
        self._driven, self._undriven = list(driven), set(undriven)
        flags = [Port(a.name, "1", 0.0, 0.0, 1.0, f"1 while action '{a.name}' is in force") for a in actions]
        slots = [
            Port(signal, port.unit, port.start, port.min, port.max, f"what actions write to {signal}", port.kind)
            for signal, port in driven.items()
        ]
        self.outputs = (*flags, *slots)
        self.input_values: FloatArray = np.zeros(0)
        self.output_values: FloatArray = np.array([port.start or 0.0 for port in self.outputs])
        self._held: dict[str, list[Hold]] = {}
        self._before: dict[str, float] = {}

    def bind(self, system: System) -> None:
        """Work on this system from now on. Called once, when it is built."""
        self._system, self._signals = system, system.signals
        self._index = system.index
        for condition in self._conditions():
            condition.bind(system.index, system.signals)
        system.notes["actions"] = []

    def begin(self, t: float) -> None:
        """Apply what holds from the start, before the components initialise and conditions can be told."""
        for action in self.actions:
            if action.condition is None and action.due(t):
                self._begin(action, t)
        self._write(t)

    def do_step(self, communication_point: float, step_size: float) -> None:  # noqa: ARG002 (the contract's signature)
        """Like `execute`."""
        self.execute(communication_point)

    def execute(self, t: float) -> None:
        """Begin and end actions at ``t`` in s. Raises RunStopped where the run ends here."""
        for stop in self._stops:
            if t >= stop.at - SLACK and stop.condition.holds(t):
                self._note(t, "stop", stop.reason)
                raise RunStopped(f"{stop.reason} (t = {t:.6g} s)")
        for action in self.actions:
            if action.active and action.ends and action.over(t):
                self._end(action, t)
        for action in self.actions:
            if action.due(t):
                self._begin(action, t)
        self._write(t)

    def state(self) -> dict[str, Any]:
        """All that changes while it runs, as plain numbers, lists and mappings; the system keeps signals and notes."""
        return {
            "actions": [
                [a.active, a.armed, a.began, [[h.began, h.begin_value] for h in a.holds]] for a in self.actions
            ],
            "conditions": [condition.state() for condition in self._conditions()],
            "held": {
                signal: [self._number_of(hold) for hold in holds] for signal, holds in self._held.items() if holds
            },
            "before": dict(self._before),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state`. Faults of sensors are part of the sensors' own states."""
        for action, (active, armed, began, holds) in zip(self.actions, state["actions"], strict=True):
            action.active, action.armed, action.began = active, armed, began
            for hold, (hold_began, value) in zip(action.holds, holds, strict=True):
                hold.began, hold.begin_value = hold_began, value
        for condition, its in zip(self._conditions(), state["conditions"], strict=True):
            condition.restore(its)
        for signal in [*self._held, *state["held"]]:
            if signal in self._driven:
                self._system.redirect(signal, f"{NAME}.{signal}" if signal in state["held"] else None)
        self._held = {
            signal: [self.actions[number].holds[position] for number, position in numbers]
            for signal, numbers in state["held"].items()
        }
        self._before = dict(state["before"])

    def _number_of(self, hold: Hold) -> tuple[int, int]:
        return next(
            (number, position)
            for number, action in enumerate(self.actions)
            for position, other in enumerate(action.holds)
            if other is hold
        )

    def _conditions(self) -> list[Condition]:
        own = [c for action in self.actions for c in (action.condition, action.until_condition) if c is not None]
        return own + [stop.condition for stop in self._stops]

    def _begin(self, action: Action, t: float) -> None:
        action.armed = False
        action.began = t
        for hold in action.holds:
            # what a sampled component or an FMU saw last is where a ramp begins
            hold.began, hold.begin_value = t, float(self._signals[self._index[hold.signal]])
            holds = self._held.setdefault(hold.signal, [])
            if not holds and hold.signal in self._undriven:
                self._before[hold.signal] = hold.begin_value
            if hold in holds:
                holds.remove(hold)
            holds.append(hold)
            if hold.signal in self._driven:
                self._system.redirect(hold.signal, f"{NAME}.{hold.signal}")
        if not action.active:
            for effect in action.effects:
                effect.begin(t)
        if action.until_condition is not None:
            action.until_condition.forget()
        action.active = True
        self._show(action)
        self._note(t, "begins", action.name)

    def _end(self, action: Action, t: float) -> None:
        action.active = False
        for effect in action.effects:
            effect.end()
        for hold in action.holds:
            holds = self._held.get(hold.signal, [])
            if hold in holds:
                holds.remove(hold)
            if not holds:
                self._held.pop(hold.signal, None)
                if hold.signal in self._driven:
                    self._system.redirect(hold.signal, None)
                elif hold.signal in self._before:
                    self._signals[self._index[hold.signal]] = self._before.pop(hold.signal)
        self._show(action)
        self._note(t, "ends", action.name)

    def _write(self, t: float) -> None:
        for signal, holds in self._held.items():
            name = f"{NAME}.{signal}" if signal in self._driven else signal
            self._signals[self._index[name]] = holds[-1].at(t)

    def _show(self, action: Action) -> None:
        self._signals[self._index[f"{NAME}.{action.name}"]] = float(action.active)

    def _note(self, t: float, what: str, name: str) -> None:
        log = self._system.notes["actions"]  # a checkpoint puts another list there
        if len(log) < _LOGGED:
            log.append({"time": t, "event": what, "name": name})
