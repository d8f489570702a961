"""Jacobi: every component steps with what the others were at the step's begin.

The error of the coupling is of first order in the communication step: an input is held over the step. With
``extrapolation: 1`` an input takes the value that its source would have in the middle of the step if it grew on as in
the last one, or at its end where an output depends on the input at once. That makes it of second order where signals
are smooth. Where a component hands its events to the master
(FMI 3.0 Event Mode, Model Exchange), steps are divided at the events (`event_steps`), after which inputs are held
until the next communication point.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cosim.algorithms.event_steps import EventSteps
from cosim.algorithms.gauss_seidel import target_time
from cosim.kernel.program import Call, Gather, Program, Step

if TYPE_CHECKING:
    from cosim.system import System


def events_divide(system: System) -> bool:
    """Whether a component hands its events to the master, and somebody else could learn of them."""
    eventful = any(component.stops_at_events for component in system.components)
    return eventful and len(system.components) > 1 and set(system.every) == {1}


def program(system: System) -> Program:
    """All inputs, then all steps."""
    if events_divide(system):
        stepper = EventSteps(system)
        return Program([Call(stepper.step)], np.zeros(len(system.gather.source)), [stepper])
    numbers = range(len(system.components))
    ahead = target_time(system) * system.scenario.master.extrapolation
    return Program([*(Gather(n) for n in numbers), *(Step(n) for n in numbers)], ahead)
