"""Gauss-Seidel: one component after the other, sources before what depends on them.

A component sees its sources at the end of the step where these come before it, at its begin where a cycle had to be
cut. With ``extrapolation: 1`` both are taken as they are in the middle of the step, the first by the mean of begin and
end, the second carried on by half a step; where an output depends on the input at once, as they are at its end. That
makes the coupling of second order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cosim.component import FloatArray
from cosim.kernel.program import Gather, Program, Step

if TYPE_CHECKING:
    from cosim.system import System


def program(system: System) -> Program:
    """Gather and step, component by component."""
    order = system.order
    stages = [stage for number in order for stage in (Gather(number), Step(number))]
    return Program(stages, halfway(system))


def halfway(system: System) -> FloatArray:
    """For each connection how far its value has to be carried on, see `target_time`."""
    if system.scenario.master.extrapolation == 0:
        return np.zeros(len(system.gather.source))
    return target_time(system) - comes_first(system)


def target_time(system: System) -> FloatArray:
    """For each connection which value its input should have: 0.5 that of the step's middle, 1 that of its end.

    States want the middle; an output that depends on the input at once is read at the step's end, and wants that.
    """
    wanted = np.full(len(system.gather.source), 0.5)
    for component, (begin, _middle, _end), (first, end) in zip(
        system.components, system.spans, system.row_spans, strict=True
    ):
        if component.feedthrough_declared:
            through = {begin + entry for entries in component.feedthrough.values() for entry in entries}
            for row in range(first, end):
                if int(system.gather.target[row]) in through:
                    wanted[row] = 1.0
    return wanted


def comes_first(system: System) -> FloatArray:
    """For each connection 1 where its source steps before its target, and so is at the step's end already; else 0."""
    place = {number: at for at, number in enumerate(system.order)}
    first = np.zeros(len(system.gather.source))
    for number, (begin, end) in enumerate(system.row_spans):
        for row in range(begin, end):
            source = system.owner_of(int(system.gather.source[row]))
            first[row] = source is not None and place[source] < place[number]
    return first
