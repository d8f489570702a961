"""What may differ from solve to solve without building anything anew."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from cosim.component import FloatArray
from fmus.errors import GalenicError

if TYPE_CHECKING:
    from controllers.optimal_control.problem import OptimalControlProblem


@dataclass(frozen=True)
class Terms:
    """Limits of moves, the grid in time, and prices, of one solve.

    Attributes:
        held: the input is that of the stage before, shape (K, nu).
        move_limits: in the inputs' units, infinite where there is none and where the input is held, shape (K, nu).
        durations: of the stages in time, shape (K,).
        weights: of the nodes by stage, in sampling periods, 1 at the end, shape (K + 1,).
        prices: factor on each soft constraint's prices, shape (n_soft,); zero: it does not hold.
    """

    held: npt.NDArray[np.bool_]
    move_limits: FloatArray
    durations: FloatArray
    weights: FloatArray
    prices: FloatArray


def terms_of(
    problem: OptimalControlProblem,
    move_limits: npt.ArrayLike | None = None,
    durations: npt.ArrayLike | None = None,
    prices: npt.ArrayLike | None = None,
) -> Terms | None:
    """The terms of a solve, or None where one is NaN; arguments as of `Engine.solve`.

    Raises:
        GalenicError: a wrong shape, a negative number, or a limit of a move that the problem does not limit.
    """
    count = len(problem.stages)
    limits = _array("move_limits", problem.move_limits if move_limits is None else move_limits)
    if limits.shape not in ((problem.nu,), (count, problem.nu)):
        raise _misfit("move_limits", limits, f"({problem.nu},), or ({count}, {problem.nu}) by stage")
    limits = np.array(np.broadcast_to(limits, (count, problem.nu)))
    times = np.array([s.duration for s in problem.stages])
    weights = problem.weights
    if durations is not None:
        if problem.discrete:
            raise GalenicError("stages of a discrete problem last one period each", cure="leave out 'durations'")
        times = _array("durations", durations)
        if times.shape != (count,):
            raise _misfit("durations", times, f"({count},)")
        weights = np.r_[times / problem.step, 1.0]
    factors = np.ones(len(problem.soft_constraints)) if prices is None else _array("prices", prices)
    if factors.shape != (len(problem.soft_constraints),):
        raise _misfit("prices", factors, f"({len(problem.soft_constraints)},)")
    if np.isnan(limits).any() or not np.isfinite(times).all() or not np.isfinite(factors).all():
        return None
    if (limits < 0.0).any() or (times <= 0.0).any() or (factors < 0.0).any():
        raise GalenicError(
            "a limit of a move or a price is negative, or a duration not positive", cure="give zero or more"
        )
    held = limits == 0.0
    limits[held] = np.inf
    unlimited = np.isfinite(limits).any(axis=0) & ~np.isfinite(problem.move_limits)
    if unlimited.any():
        raise GalenicError(
            f"the moves of input {int(np.argmax(unlimited))} have a limit in this solve and none in the problem",
            cure="give the problem a finite limit of any size, which makes the constraint; or 0, which holds the input",
        )
    return Terms(held, limits, times, weights, factors)


def vector(values: npt.ArrayLike, size: int, name: str) -> FloatArray:
    """As an array of its own, shape (size,).

    Raises:
        GalenicError: another shape, or no numbers.
    """
    array = _array(name, values)
    if array.shape != (size,):
        raise _misfit(name, array, f"({size},)")
    return array


def _array(name: str, values: npt.ArrayLike) -> FloatArray:
    try:
        return np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise GalenicError(f"{name} are not numbers", cure="give an array of floats") from error


def _misfit(name: str, array: FloatArray, wanted: str) -> GalenicError:
    return GalenicError(f"{name}: the shape is {array.shape}", cure=f"give {wanted}")
