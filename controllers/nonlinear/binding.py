"""What binds in a plan."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from controllers.nonlinear.specification import Controlled, Manipulated, Region
from controllers.operation.law import ActiveConstraint
from cosim.component import FloatArray

#: A limit counts as reached within this share of the width or scale.
_NEAR = 1e-3


def active_constraints(
    manipulated: Sequence[Manipulated],
    controlled: Sequence[Controlled],
    columns: Sequence[int],
    inputs: FloatArray,
    previous: FloatArray,
    outputs: FloatArray,
    region: Region | None = None,
) -> tuple[ActiveConstraint, ...]:
    """All that bind somewhere in a plan, each with the first stage at which it does.

    Args:
        manipulated: inputs.
        controlled: outputs with limits.
        columns: where each controlled output stands in ``outputs``.
        inputs: of the plan, shape (K, m).
        previous: in force before it, shape (m,).
        outputs: at the ends of the stages, shape (K, p).
        region: of setpoints.
    """
    found: list[ActiveConstraint] = []
    moves = np.diff(np.vstack([previous, inputs]), axis=0)
    for j, u in enumerate(manipulated):
        near = _NEAR * (u.bounds[1] - u.bounds[0])
        for side, distance in (("low", inputs[:, j] - u.bounds[0]), ("high", u.bounds[1] - inputs[:, j])):
            _add(found, u.input, "bound", side, distance <= near, 1)
        if np.isfinite(u.max_move):
            for side, distance in (("low", moves[:, j] + u.max_move), ("high", u.max_move - moves[:, j])):
                _add(found, u.input, "move", side, distance <= _NEAR * u.max_move, 1)
    for y, column in zip(controlled, columns, strict=True):
        for side, distance in (("low", outputs[:, column] - y.limits[0]), ("high", y.limits[1] - outputs[:, column])):
            _add(found, y.output, "limit", side, distance <= _NEAR * y.scale, y.rank, max(0.0, -float(distance.min())))
    if region is not None:
        place = [[u.input for u in manipulated].index(i) for i in region.inputs]
        margins = np.array([float(region.expression(row[place])) for row in inputs])
        _add(found, "design space", "design space", "low", margins <= _NEAR, 2, max(0.0, -float(margins.min())))
    return tuple(found)


def _add(
    found: list[ActiveConstraint],
    name: str,
    kind: Literal["bound", "move", "limit", "design space"],
    side: str,
    binds: npt.NDArray[np.bool_],
    rank: int,
    excess: float = 0.0,
) -> None:
    if binds.any():
        where = int(np.argmax(binds))
        found.append(ActiveConstraint(name, kind, "low" if side == "low" else "high", where, rank, excess))
