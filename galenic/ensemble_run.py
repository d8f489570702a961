"""One run of an ensemble, in a worker: step by step, with what is to be kept of each step."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from fmus.errors import GalenicError
from galenic.executors import tell_share, told_to_stop

if TYPE_CHECKING:
    from cosim import Simulation
    from cosim.component import FloatArray

_STEPS_BETWEEN_LOOKS = 200


def record_steps(
    simulation: Simulation, width: int, row: Callable[[FloatArray], FloatArray]
) -> tuple[FloatArray, str] | None:
    """Simulate to the end.

    Args:
        simulation: initialised, at its start.
        width: of a row.
        row: of the vector of all signals after a step, shape (width,).

    Returns:
        the rows of the steps that were made, shape (steps, width), and why the run ended early (empty where it did
        not, or where the scenario asks for it); None where this worker was told to stop.
    """
    rows = np.full((simulation.steps, width), math.nan)
    for step in range(simulation.steps):
        if step % _STEPS_BETWEEN_LOOKS == 0:
            if told_to_stop():
                return None
            tell_share(step / simulation.steps)
        try:
            simulation.step()
        except GalenicError as failure:
            return rows[:step], " ".join(failure.message.split())
        if simulation.stopped:
            return rows[:step], ""
        rows[step] = row(simulation.signals)
    return rows, ""
