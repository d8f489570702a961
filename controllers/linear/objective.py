"""What a predictive controller is asked for, in the surrogate's units: references, limits, bounds and weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from controllers.surrogates.linear_surrogate import LinearSurrogate
from cosim.component import FloatArray
from fmus.errors import GalenicError


@dataclass(frozen=True)
class ControlledOutput:
    """An output with a reference, soft limits, or both.

    Args:
        index: in the surrogate.
        tracked: whether it has a reference.
        weight: of its deviation from the reference, in units of ``scale``.
        limits: soft limits; infinite where there is none.
        limit_weight: of leaving them, in units of ``scale``.
        scale: the deviation that counts as one, in the output's unit.
        rank: of the limits, see `controllers.operation.law.RANKS`.
    """

    index: int
    scale: float
    tracked: bool = True
    weight: float = 1.0
    limits: tuple[float, float] = (-math.inf, math.inf)
    limit_weight: float = 100.0
    rank: int = 2

    @property
    def limited(self) -> bool:
        """Whether it has a soft limit."""
        return any(math.isfinite(side) for side in self.limits)

    def limits_of(self, relax: int) -> tuple[float, float]:
        """Its limits, or none where ranks from ``relax`` on are left out."""
        return self.limits if self.rank < relax else (-math.inf, math.inf)


@dataclass(frozen=True)
class ManipulatedInput:
    """An input with its hard bounds; in the order of the surrogate's inputs.

    Args:
        bounds: hard bounds.
        scale: the change that counts as one, in the input's unit.
        max_move: hard limit of the change in one period; may be infinite.
        weight_move: of a change, in units of ``scale``.
        ideal: where it rests when the outputs leave a choice.
        weight_ideal: of the deviation from there, in units of ``scale``, in the target optimiser.
        weight_target: of the deviation from the target, in units of ``scale``, in each period of the dynamic optimiser.
    """

    bounds: tuple[float, float]
    scale: float
    max_move: float = math.inf
    weight_move: float = 1.0
    ideal: float = 0.0
    weight_ideal: float = 0.001
    weight_target: float = 0.001


@dataclass(frozen=True)
class Objective:
    """All of it. Raises GalenicError where a bound or weight makes no sense."""

    outputs: tuple[ControlledOutput, ...]
    inputs: tuple[ManipulatedInput, ...]

    def __post_init__(self) -> None:
        for u in self.inputs:
            if not (u.bounds[0] < u.bounds[1] and all(math.isfinite(b) for b in u.bounds)):
                raise GalenicError(
                    f"an input needs finite bounds, lower below upper, not {u.bounds[0]:g} to {u.bounds[1]:g}",
                    cure="add it to the design space",
                )
            if min(u.scale, u.max_move, u.weight_move, u.weight_ideal, u.weight_target) <= 0.0:
                raise GalenicError("an input's scale, move limit and weights have to be greater than zero")
        for y in self.outputs:
            if y.limits[0] >= y.limits[1]:
                raise GalenicError(f"soft limits {y.limits[0]:g} to {y.limits[1]:g} leave nothing")
            if min(y.scale, y.weight, y.limit_weight) <= 0.0:
                raise GalenicError("an output's scale and weights have to be greater than zero")

    @property
    def low(self) -> FloatArray:
        """Lower bounds, shape (m,)."""
        return np.array([u.bounds[0] for u in self.inputs])

    @property
    def high(self) -> FloatArray:
        """Upper bounds, shape (m,)."""
        return np.array([u.bounds[1] for u in self.inputs])

    @property
    def max_move(self) -> FloatArray:
        """Move limits, shape (m,)."""
        return np.array([u.max_move for u in self.inputs])

    @property
    def input_scale(self) -> FloatArray:
        """Shape (m,)."""
        return np.array([u.scale for u in self.inputs])

    @property
    def tracked(self) -> list[ControlledOutput]:
        """Outputs with a reference."""
        return [y for y in self.outputs if y.tracked]

    @property
    def limited(self) -> list[ControlledOutput]:
        """Outputs with soft limits."""
        return [y for y in self.outputs if y.limited]


def check_sizes(surrogate: LinearSurrogate, objective: Objective) -> None:
    """Raises GalenicError unless the objective has every input of the surrogate, and known outputs once."""
    if len(objective.inputs) != len(surrogate.inputs):
        raise GalenicError(f"{len(objective.inputs)} inputs are given, the surrogate has {len(surrogate.inputs)}")
    indices: Sequence[int] = [y.index for y in objective.outputs]
    if len(set(indices)) != len(indices) or not all(0 <= i < len(surrogate.outputs) for i in indices):
        raise GalenicError("an output is controlled twice, or is not in the surrogate")
