"""Jacobi: every component steps with what the others were at the step's begin.

The error of the coupling is of first order in the communication step: an input is held over the step. With
``extrapolation: 1`` an input takes the value that its source would have in the middle of the step if it grew on as in
the last one, which makes it of second order where signals are smooth.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cosim.kernel.program import Gather, Program, Step

if TYPE_CHECKING:
    from cosim.system import System


def program(system: System) -> Program:
    """All inputs, then all steps."""
    numbers = range(len(system.components))
    ahead = np.full(len(system.gather.source), 0.5 * system.scenario.master.extrapolation)
    return Program([*(Gather(n) for n in numbers), *(Step(n) for n in numbers)], system.every, ahead)
