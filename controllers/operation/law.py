"""What a control law offers, so that it can be operated: the seam between what computes and what answers for it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal, Protocol

from controllers.estimation.channels import Reason
from cosim.component import FloatArray

ConstraintKind = Literal["bound", "move", "limit", "design space"]
Side = Literal["low", "high"]

#: What a constraint protects, best first: what gives way last stands first.
RANKS = {1: "equipment", 2: "quality and design space", 3: "economics"}


class Outcome(Enum):
    """How a solution ended. The first three give a plan."""

    SOLVED = "solved"
    OUT_OF_TIME = "out of time"  # the budget ended first; the plan has not converged
    RELAXED = "relaxed"  # solved after constraints were given up by rank
    TARGET_FAILED = "no target"
    INFEASIBLE = "infeasible"
    FAILED = "failed"
    NOT_FINITE = "not finite"
    LATE = "late"  # not back when an answer was due


@dataclass(frozen=True)
class LawInput:
    """A manipulated variable: hard bounds and the largest move in one period, in ``unit``."""

    name: str
    unit: str
    low: float
    high: float
    max_move: float = math.inf


@dataclass(frozen=True)
class LawOutput:
    """An output of the law's model: soft limits, and whether it has a reference, in ``unit``."""

    name: str
    unit: str
    limits: tuple[float, float] = (-math.inf, math.inf)
    tracked: bool = False
    rank: int = 2


@dataclass(frozen=True)
class LawDisturbance:
    """A disturbance that the law estimates."""

    name: str
    unit: str


@dataclass(frozen=True)
class ActiveConstraint:
    """A constraint that binds in a plan.

    Attributes:
        name: of the signal, or of the design space.
        kind: what it is.
        side: which side of it.
        first: the first stage at which it binds.
        rank: see `RANKS`; hard bounds and moves are of rank 1.
        excess: by how much it is left, in the signal's unit; 0 where it is kept.
    """

    name: str
    kind: ConstraintKind
    side: Side
    first: int
    rank: int = 1
    excess: float = 0.0


@dataclass(frozen=True)
class Plan:
    """What a law intends, in the units of its model; K stages, m inputs, p outputs.

    Attributes:
        outcome: see `Outcome`; without a plan the arrays are empty.
        inputs: of each stage, shape (K, m).
        ends: when each stage ends, in s from now, shape (K,).
        outputs: predicted at these ends, shape (K, p).
        outputs_std: of the prediction, by the estimate's covariance and the disturbances' wander, shape (K, p); empty
            where the law has a method ``spread(stages)`` that gives them for the present estimate when they are needed.
        target_inputs: where it is going, shape (m,); NaN without a target.
        target_outputs: the same, shape (p,).
        active: the constraints that bind.
        cost: of the plan.
        iterations: of the outer method.
        decisions: what else was decided, such as ``harvest_time`` in s.
        message: the solver's own words.
        parts: of the first move by what they come from, shape (m,) each, for people; empty where a law cannot tell.
    """

    outcome: Outcome
    inputs: FloatArray
    ends: FloatArray
    outputs: FloatArray
    outputs_std: FloatArray
    target_inputs: FloatArray
    target_outputs: FloatArray
    active: tuple[ActiveConstraint, ...] = ()
    cost: float = math.nan
    iterations: int = 0
    decisions: Mapping[str, float] = field(default_factory=dict)
    message: str = ""
    parts: Mapping[str, FloatArray] = field(default_factory=dict)

    @property
    def usable(self) -> bool:
        """Whether there is a plan."""
        return self.outcome in (Outcome.SOLVED, Outcome.OUT_OF_TIME, Outcome.RELAXED)


class ControlLaw(Protocol):
    """Estimator, target and dynamic optimisation on one model; it neither reads ports nor decides what is applied.

    One period is ``predict(what was applied)``, ``correct(what arrived)``, ``solve``. Numbers never cause an exception.
    Arrays are in the order and the units of ``inputs``, ``outputs`` and ``disturbances``.
    """

    inputs: Sequence[LawInput]
    outputs: Sequence[LawOutput]
    disturbances: Sequence[LawDisturbance]

    @property
    def decisions(self) -> Sequence[tuple[str, str, float]]:
        """Name, unit and start of what `Plan.decisions` has beside the inputs."""

    @property
    def estimate(self) -> FloatArray:
        """Estimated outputs, measured or not, shape (p,)."""

    @property
    def estimate_std(self) -> FloatArray:
        """Their standard deviations, shape (p,)."""

    @property
    def disturbance_estimate(self) -> FloatArray:
        """Shape (n_d,)."""

    @property
    def innovations(self) -> FloatArray:
        """Of the last `correct` in standard deviations, rejected ones too; NaN where none came; (measurements,)."""

    def initialize(self, time: float, inputs: FloatArray) -> None:
        """Begin at ``time`` (s) from the inputs in force, shape (m,); everything before is forgotten."""

    def predict(self, inputs: FloatArray) -> bool:
        """Over one period with the inputs that were applied in it; whether the model had a finite answer."""

    def correct(
        self, values: FloatArray, fresh: Sequence[bool] | None = None, ages: Sequence[int | None] | None = None
    ) -> list[Reason]:
        """By what arrived, one value for each measurement (NaN: missing); what became of each.

        Args:
            values: in the outputs' units.
            fresh: whether each is new.
            ages: in periods, where it differs from the measurement's own delay (late laboratory values).
        """

    def instants(self, time: float) -> FloatArray:
        """Times (s from now) to which references by stage belong, shape (K,), at ``time`` (s).

        It may be asked from another thread while a method computes.
        """

    def solve(
        self, time: float, previous: FloatArray, references: FloatArray, *, budget: float = math.inf, relax: int = 4
    ) -> Plan:
        """The plan from here.

        Args:
            time: of this execution in s.
            previous: inputs in force, from which moves are counted, shape (m,).
            references: of the tracked outputs in their order, shape (n_t,); or (n_t, K), see `instants`.
            budget: wall time in s; at its end the iterate at hand is the plan (`Outcome.OUT_OF_TIME`).
            relax: soft constraints of this rank and worse are left out (4: none are).
        """

    def roll_out(self, inputs: FloatArray) -> FloatArray:
        """Outputs at the ends of the stages, shape (K, p), from the present estimate under ``inputs`` (K, m)."""

    def backup(self, previous: FloatArray, references: FloatArray) -> FloatArray | None:
        """Inputs by a linear law that needs no solver, shape (m,), or None; of references by stage the first count."""

    def admissible(self, inputs: FloatArray, previous: FloatArray) -> FloatArray:
        """The nearest inputs inside bounds, move limits and the design space's region, shape (m,).

        Where ``previous`` itself is outside, the way back inside is limited by the moves. It may be asked from another
        thread while a method computes, and so rests on nothing that they change.
        """

    def reset(self) -> None:
        """Forget the last plan and what solvers keep, not the estimate."""

    def snapshot(self) -> dict[str, Any]:
        """All it knows."""

    def recall(self, snapshot: Mapping[str, Any]) -> None:
        """Go on from what `snapshot` gave, bit-identically."""
