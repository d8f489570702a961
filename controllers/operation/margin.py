"""How far setpoints are from the edge of the design space."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from controllers.base import unit_factor
from controllers.design_space import DesignSpace
from controllers.design_space.constraint import region_constraint
from controllers.operation.law import LawInput
from cosim.component import FloatArray


def margin_of(space: DesignSpace | None, inputs: Sequence[LawInput]) -> Callable[[FloatArray], float] | None:
    """A function from inputs (m,) in the law's units to `DesignSpace.margin`; None without a design space of them."""
    if space is not None:
        constraint = region_constraint(space, [u.name for u in inputs], [u.unit for u in inputs])
        if constraint is not None:  # with the back-off
            return constraint.margin
    if space is None or not any(u.name in space.setpoints for u in inputs):
        return None
    known = [
        (i, u.name, *unit_factor(u.unit, space.setpoints[u.name].unit))
        for i, u in enumerate(inputs)
        if u.name in space.setpoints
    ]

    def margin(values: FloatArray) -> float:
        return space.margin({name: factor * float(values[i]) + offset for i, name, factor, offset in known})

    return margin
