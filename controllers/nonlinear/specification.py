"""What a nonlinear law is asked for, in the units of its process."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from controllers.estimation.model import Kind
from fmus.errors import GalenicError

#: Price of leaving a limit of each rank by one scale, beside ``limit_weight`` 100; a better rank costs more.
RANK_FACTOR = {1: 100.0, 2: 10.0, 3: 1.0}


@dataclass(frozen=True)
class Controlled:
    """An output with a reference, soft limits, or both.

    Args:
        output: its name in the process.
        scale: the deviation that counts as one, in the output's unit.
        tracked: whether it has a reference.
        weight: of its deviation from the reference in each period.
        terminal_weight: of its deviation at the end of the horizon.
        limits: soft limits; infinite where there is none.
        limit_weight: price of leaving them by one ``scale`` for a period, times `RANK_FACTOR`.
        rank: what gives way last has rank 1, see `controllers.operation.law.RANKS`.
    """

    output: str
    scale: float
    tracked: bool = True
    weight: float = 1.0
    terminal_weight: float = 0.0
    limits: tuple[float, float] = (-math.inf, math.inf)
    limit_weight: float = 100.0
    rank: int = 2

    @property
    def price(self) -> float:
        """L1 price of leaving the limits."""
        return self.limit_weight * RANK_FACTOR[self.rank]


@dataclass(frozen=True)
class Manipulated:
    """An input that the law decides.

    Args:
        input: its name in the process.
        bounds: hard bounds.
        scale: the change that counts as one, in the input's unit.
        unit: what its values are in.
        max_move: hard limit of the change in one period; may be infinite.
        weight_move: of a change.
        ideal: where it rests when the outputs leave a choice; None: where it is.
        weight_ideal: of the deviation from there, in the steady target.
        weight_target: of the deviation from the target (without one: from the ideal, if there is one) in each period.
        period: time between changes in s where that is longer than the law's; None: the law's.
    """

    input: str
    bounds: tuple[float, float]
    scale: float
    unit: str = "1"
    max_move: float = math.inf
    weight_move: float = 1.0
    ideal: float | None = None
    weight_ideal: float = 0.001
    weight_target: float = 0.001
    period: float | None = None


@dataclass(frozen=True)
class EconomicTerm:
    """A linear term of the objective.

    Args:
        signal: an output or an input of the process.
        value: what one unit of it is worth (negative: what it costs); ``running``: one unit for an hour.
        at: ``running`` over the horizon, or at its ``end`` (outputs alone).
    """

    signal: str
    value: float
    at: Literal["running", "end"] = "running"


@dataclass(frozen=True)
class Batch:
    """A horizon that ends with the batch.

    Args:
        duration: when it is harvested, in s from its start; where the harvest is a decision, where the search begins.
        min_harvest: the earliest harvest, in s; None: the harvest is no decision.
        max_harvest: the latest, in s.
        value_per_hour: of an hour, negative: what the occupied vessel costs.
        horizon: a plan looks no further, in s: it recedes until the harvest comes into sight, then it shrinks.
    """

    duration: float
    min_harvest: float | None = None
    max_harvest: float | None = None
    value_per_hour: float = 0.0
    horizon: float = math.inf

    @property
    def decides(self) -> bool:
        """Whether the harvest time is a decision."""
        return self.min_harvest is not None and self.max_harvest is not None

    @property
    def earliest(self) -> float:
        """In s."""
        return self.duration if self.min_harvest is None else self.min_harvest

    @property
    def latest(self) -> float:
        """In s."""
        return self.duration if self.max_harvest is None else self.max_harvest


@dataclass(frozen=True)
class KnownInput:
    """An input that others decide and that is known: ``values[i]`` holds from ``times[i]`` (s) on.

    With one value and ``measured`` it is told by `NonlinearLaw.set_known` and held over the horizon.
    """

    input: str
    times: tuple[float, ...] = (0.0,)
    values: tuple[float, ...] = (0.0,)
    measured: bool = False


@dataclass(frozen=True)
class Branch:
    """What may be instead of what the model says.

    Args:
        probability: of it, in (0, 1).
        changes: what is added to inputs, outputs, rates of states or parameters of the process: kind, name, offset.
    """

    probability: float
    changes: tuple[tuple[Kind, str, float], ...]


@dataclass(frozen=True)
class ScenarioTree:
    """Parametric uncertainty; what is left of the probabilities is the model's as it is, and comes first."""

    branches: tuple[Branch, ...]
    robust_horizon: int = 1

    @property
    def uncertain(self) -> tuple[tuple[Kind, str], ...]:
        """What changes in some branch."""
        return tuple(dict.fromkeys((kind, name) for b in self.branches for kind, name, _ in b.changes))

    @property
    def offsets(self) -> tuple[tuple[float, ...], ...]:
        """Of each branch, in the order of ``uncertain``; first those of the model as it is, if it has a share."""
        rows = [tuple(sum(o for k, n, o in b.changes if (k, n) == u) for u in self.uncertain) for b in self.branches]
        return ((0.0,) * len(self.uncertain), *rows) if len(self.probabilities) > len(rows) else tuple(rows)

    @property
    def probabilities(self) -> tuple[float, ...]:
        """In the order of ``offsets``."""
        given = tuple(b.probability for b in self.branches)
        rest = 1.0 - sum(given)
        return (rest, *given) if rest > 1e-9 else given


class Region(Protocol):
    """A region of setpoints, such as a design space."""

    @property
    def inputs(self) -> Sequence[str]:
        """Names of the process's inputs that it is about."""

    def project(self, values: Any) -> Any:
        """The nearest setpoints inside, shape (len(inputs),)."""

    def expression(self, values: Any) -> Any:
        """CasADi SX scalar, not negative inside."""


@dataclass(frozen=True)
class Specification:
    """All of it.

    Args:
        controlled: outputs; the references are in the order of those that are tracked.
        manipulated: inputs.
        economic: linear terms.
        known: the other inputs that vary; those that appear nowhere keep ``operating``.
        operating: of inputs that nobody varies, by name; 0 by default.
        batch: the horizon ends with the batch; None: it recedes.
        region: of setpoints, rank 2.
        tree: what may be instead of what the model says; None: nothing.

    Raises:
        GalenicError: numbers that make no sense.
    """

    controlled: tuple[Controlled, ...]
    manipulated: tuple[Manipulated, ...]
    economic: tuple[EconomicTerm, ...] = ()
    known: tuple[KnownInput, ...] = ()
    operating: Mapping[str, float] = field(default_factory=dict)
    batch: Batch | None = None
    region: Region | None = None
    tree: ScenarioTree | None = None

    def __post_init__(self) -> None:
        if not self.manipulated:
            raise GalenicError("nothing is manipulated", cure="name at least one input")
        for u in self.manipulated:
            if not (u.bounds[0] < u.bounds[1] and all(map(math.isfinite, u.bounds))):
                raise GalenicError(f"'{u.input}' has no finite bounds, lower below upper", cure="give limits")
            if min(u.scale, u.max_move) <= 0.0 or min(u.weight_move, u.weight_ideal, u.weight_target) < 0.0:
                raise GalenicError(f"'{u.input}': scale and max_move are above 0, weights not below 0")
        for y in self.controlled:
            if not y.limits[0] < y.limits[1]:
                raise GalenicError(f"the limits {y.limits[0]:g} to {y.limits[1]:g} of '{y.output}' leave nothing")
            if y.rank not in RANK_FACTOR:
                raise GalenicError(f"'{y.output}': there is no rank {y.rank}", cure="1, 2 or 3")
            if min(y.scale, y.limit_weight) <= 0.0 or min(y.weight, y.terminal_weight) < 0.0:
                raise GalenicError(f"'{y.output}': scale and limit_weight are above 0, weights not below 0")
        inputs = [u.input for u in self.manipulated] + [k.input for k in self.known]
        for names in (inputs, [y.output for y in self.controlled]):
            twice = {n for n in names if names.count(n) > 1}
            if twice:
                raise GalenicError(f"'{min(twice)}' is given twice", cure="remove one of the two")
        b = self.batch
        if b is not None and not 0.0 < b.earliest <= b.duration <= b.latest:
            raise GalenicError(
                f"harvest between {b.earliest / 3600:g} and {b.latest / 3600:g} h, duration {b.duration / 3600:g} h",
                cure="0 < min_harvest <= duration <= max_harvest",
            )
        if b is not None and (b.horizon <= 0.0 or (b.decides and math.isfinite(b.horizon))):
            raise GalenicError(
                "where the harvest is a decision the plan looks as far as it",
                cure="leave out 'horizon', or min_harvest and max_harvest",
            )

        if self.tree is not None:
            shares = [b.probability for b in self.tree.branches]
            if not shares or min(shares) <= 0.0 or sum(shares) > 1.0 + 1e-9 or self.tree.robust_horizon < 1:
                raise GalenicError(
                    "the probabilities of the scenario tree are not above 0 with a sum of 1 at most",
                    cure="what is left to 1 is the probability of the model as it is",
                )

    @property
    def tracked(self) -> tuple[Controlled, ...]:
        """Outputs with a reference."""
        return tuple(y for y in self.controlled if y.tracked)
