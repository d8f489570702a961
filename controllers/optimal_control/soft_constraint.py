"""A limit that may give way, at a price."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from fmus.errors import GalenicError

#: The L1 price of one scale of violation, where none is given, by rank: equipment, quality and design space, economics.
PENALTY_OF_RANK = {1: 1e4, 2: 1e3, 3: 1e2}


@dataclass(frozen=True)
class SoftConstraint:
    """lower <= c(x, u, p) <= upper, with price s * penalty + 1/2 s^2 * quadratic of a violation of s scales.

    The L1 part makes the penalty exact: where the limits can be kept at all they are kept, provided that ``penalty``
    exceeds the constraint's multiplier (in cost per scale). The small L2 part makes the slack unique.

    Args:
        name: for messages.
        expression: CasADi SX scalar of the problem's symbols.
        lower: may be -inf.
        upper: may be inf.
        scale: a violation that matters, in the unit of the expression.
        rank: 1 gives way last (equipment), then 2 (quality and design space), then 3 (economics).
        penalty: cost of one scale of violation for one step; None takes the rank's.
        quadratic: cost of the squared violation; None takes a hundredth of the penalty.

    Raises:
        GalenicError: an unknown rank, limits that cross or are both infinite, or a scale or price that is not positive.
    """

    name: str
    expression: Any
    lower: float = -math.inf
    upper: float = math.inf
    scale: float = 1.0
    rank: int = 2
    penalty: float | None = None
    quadratic: float | None = None

    def __post_init__(self) -> None:
        if self.rank not in PENALTY_OF_RANK:
            raise GalenicError(f"soft constraint '{self.name}': there is no rank {self.rank}", cure="1, 2 or 3")
        if not self.lower < self.upper or (math.isinf(self.upper) and math.isinf(self.lower)):
            raise GalenicError(
                f"soft constraint '{self.name}': lower {self.lower:g}, upper {self.upper:g}",
                cure="give a lower limit below the upper one; leave out at most one of them",
            )
        if not (self.scale > 0.0 and self.l1 > 0.0 and self.l2 > 0.0):
            raise GalenicError(
                f"soft constraint '{self.name}': scale {self.scale:g}, penalties {self.l1:g} and {self.l2:g}",
                cure="give positive numbers",
            )

    @property
    def l1(self) -> float:
        """Cost of one scale of violation."""
        return PENALTY_OF_RANK[self.rank] if self.penalty is None else self.penalty

    @property
    def l2(self) -> float:
        """Cost of one squared scale of violation, times two."""
        return 0.01 * self.l1 if self.quadratic is None else self.quadratic
