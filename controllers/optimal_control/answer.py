"""What every engine returns, and what every engine offers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from controllers.optimal_control.problem import OptimalControlProblem
from cosim.component import FloatArray


class Status(Enum):
    """How a solve ended. A plan exists for the first three only."""

    SOLVED = "solved"  # the last step was below the tolerance
    ITERATED = "iterated"  # the permitted iterations were made: one is a real-time iteration
    OUT_OF_TIME = "out of time"  # at least one iteration was made within the budget
    INFEASIBLE = "infeasible"  # the bounds cannot be kept
    FAILED = "failed"  # the solver gave up
    NOT_FINITE = "not finite"  # NaN or infinity in what was given


@dataclass(frozen=True)
class Answer:
    """A plan over the grid, in the units of the problem.

    Attributes:
        status: see `Status`.
        inputs: shape (K, nu): u_k of every stage; NaN without a plan.
        states: shape (K + 1, nx): what the inputs lead to by the problem's own dynamics; NaN without a plan.
        cost: of inputs and states, soft constraints included; NaN without a plan.
        violation: the largest violation of a soft constraint, in scales, and of a hard state bound, in state scales.
        iterations: of the outer method.
        step: the largest scaled change that the last iteration made; NaN where the engine does not tell.
        residual: the largest residual of the conditions of Karush, Kuhn and Tucker; NaN where it was not asked for.
        seconds: wall time of the solve.
        message: the solver's own words, where it has some.
        branches: with scenarios the inputs, shape (branches, K, nu), and states, shape (branches, K + 1, nx), of every
            branch. ``inputs`` and ``states`` are those of the first, the cost is the expected one.
    """

    status: Status
    inputs: FloatArray
    states: FloatArray
    cost: float = math.nan
    violation: tuple[float, float] = (math.nan, math.nan)
    iterations: int = 0
    step: float = math.nan
    residual: float = math.nan
    seconds: float = math.nan
    message: str = ""
    branches: tuple[FloatArray, FloatArray] | None = None

    @property
    def usable(self) -> bool:
        """Whether there is a plan."""
        return self.status in (Status.SOLVED, Status.ITERATED, Status.OUT_OF_TIME)


def no_plan(problem: OptimalControlProblem, status: Status, message: str = "", seconds: float = math.nan) -> Answer:
    """An answer without a plan."""
    count = len(problem.stages)
    return Answer(
        status,
        np.full((count, problem.nu), math.nan),
        np.full((count + 1, problem.nx), math.nan),
        message=message,
        seconds=seconds,
    )


def branches_in(
    problem: OptimalControlProblem, inputs: FloatArray, states: FloatArray
) -> tuple[FloatArray, FloatArray] | None:
    """Inputs and states by node, shapes (N, nu) and (N, nx), as those by branch, where there are several."""
    return None if problem.scenarios is None else (inputs[problem.branches[:, :-1]], states[problem.branches])


class Engine(Protocol):
    """Constructed once with a problem, executed each sampling period."""

    problem: OptimalControlProblem

    def solve(
        self,
        state: npt.ArrayLike,
        previous_input: npt.ArrayLike,
        parameters: npt.ArrayLike = (),
        references: npt.ArrayLike = (),
        *,
        elapsed: int = 1,
        move_limits: npt.ArrayLike | None = None,
        durations: npt.ArrayLike | None = None,
        prices: npt.ArrayLike | None = None,
        budget: float | None = None,
    ) -> Answer:
        """Solve from here; the values of numbers never cause an exception.

        Args:
            state: shape (nx,).
            previous_input: shape (nu,): what is applied now, from which moves are counted.
            parameters: shape (np,), or (K + 1, np) by node.
            references: shape (ny,), or (K + 1, ny) by node.
            elapsed: sampling periods since the last solve, by which its plan is shifted to start from.
            move_limits: in this solve instead of the problem's, shape (nu,), or (K, nu) by stage. Zero holds an input
                at what it was in the stage before, exactly; a finite limit needs one of the problem, of any size.
            durations: of the stages in this solve, in time, shape (K,); stages weigh what they last.
            prices: factors on the prices of the soft constraints, in their order; zero leaves one out.
            budget: wall time in s instead of the engine's. At its end the better of the iterate and the last plan is
                the answer.

        Raises:
            GalenicError: an argument of the wrong shape, or what the problem or the engine lacks.
        """
        ...

    def reset(self) -> None:
        """Forget the last plan."""
        ...

    def snapshot(self) -> dict[str, Any]:
        """What the next solve starts from: arrays and plain values."""
        ...

    def recall(self, snapshot: Mapping[str, Any]) -> None:
        """Go on from what `snapshot` gave, in this engine or another one of the same problem, bit-identically.

        Raises:
            GalenicError: it is not of this problem.
        """
        ...
