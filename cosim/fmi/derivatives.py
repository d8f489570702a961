"""How outputs move with inputs at one instant: the FMU's own derivatives, or differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from cosim.component import FloatArray, Port
from cosim.fmi.description import REALS, Variable
from cosim.fmi.instance import Instance

#: of central differences: the cube root of the rounding error
_SHARE = 6e-6


def own_derivative(
    instance: Instance,
    outputs: Sequence[Variable],
    inputs: Sequence[Variable],
    seed: FloatArray,
) -> FloatArray:
    """The FMU's directional derivative of all outputs along a seed of all inputs; what is not real does not move.

    Args:
        instance: where the standard allows it.
        outputs: all of them.
        inputs: all of them.
        seed: shape (scalars of the inputs,).

    Returns:
        Shape (scalars of the outputs,).

    Raises:
        FmuFailureError: the FMU refuses.
    """
    known, seeds = _chosen(inputs, seed != 0.0)
    unknown, places = _chosen(outputs, np.ones(sum(v.size for v in outputs), np.bool_))
    result = np.zeros(sum(v.size for v in outputs))
    if known and unknown:
        result[places] = instance.directional_derivative(unknown, known, seed[seeds])
    return result


def _chosen(variables: Sequence[Variable], wanted: npt.NDArray[np.bool_]) -> tuple[list[Variable], list[int]]:
    chosen: list[Variable] = []
    places: list[int] = []
    first = 0
    for variable in variables:
        block = range(first, first + variable.size)
        first += variable.size
        if variable.type in REALS and wanted[block.start : block.stop].any():
            chosen.append(variable)
            places += block
    return chosen, places


def difference(
    evaluate: Callable[[FloatArray], FloatArray],
    here: FloatArray,
    seed: FloatArray,
    ports: Sequence[Port],
    nominals: FloatArray,
) -> FloatArray:
    """A central difference along a seed, or one to a side where a bound is near.

    Args:
        evaluate: the outputs for inputs, both of all scalars.
        here: the inputs now.
        seed: the direction.
        ports: the inputs, with their bounds.
        nominals: the inputs' orders of magnitude.
    """
    moving = np.array([port.kind == "real" for port in ports], np.bool_) & (seed != 0.0)
    if not moving.any():
        return evaluate(here) * 0.0
    direction = np.where(moving, seed, 0.0)
    step = float(np.min(_SHARE * np.maximum(np.abs(here), nominals)[moving] / np.abs(seed[moving])))
    low = np.array([-np.inf if port.min is None else port.min for port in ports])
    high = np.array([np.inf if port.max is None else port.max for port in ports])

    def allowed(values: FloatArray) -> bool:
        return bool(np.all((values >= low) & (values <= high) | ~moving))

    ahead, behind = here + step * direction, here - step * direction
    if not allowed(ahead):
        ahead = here
    elif not allowed(behind):
        behind = here
    # what rounding left of the step
    size = float((ahead - behind)[moving][0] / direction[moving][0])
    return np.asarray((evaluate(ahead) - evaluate(behind)) / size)
