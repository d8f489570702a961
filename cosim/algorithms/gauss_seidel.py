"""Gauss-Seidel: one component after the other, sources before what depends on them.

A component sees its sources at the end of the step where these come before it, at its begin where a cycle had to be
cut. With ``extrapolation: 1`` the first are taken as the mean of begin and end, the second carried on by half a step:
both are then of second order.
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
    return Program(stages, system.every, halfway(system))


def halfway(system: System) -> FloatArray:
    """For each connection how far its value has to be carried on to stand for the middle of the step."""
    ahead = np.zeros(len(system.gather.source))
    if system.scenario.master.extrapolation == 0:
        return ahead
    place = {number: at for at, number in enumerate(system.order)}
    for number, (begin, end) in enumerate(system.row_spans):
        for row in range(begin, end):
            source = system.owner_of(int(system.gather.source[row]))
            earlier = source is not None and place[source] < place[number]
            ahead[row] = -0.5 if earlier else 0.5
    return ahead
