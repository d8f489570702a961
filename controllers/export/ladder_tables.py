"""The fallback ladder as tables for ladder.c."""

from __future__ import annotations

import math

import numpy as np

from controllers.export.c_tables import CTables
from controllers.operation import ladder
from controllers.operation.law import ControlLaw
from controllers.operation.reasons import Rung
from controllers.operation.rules import OperationRules


def ladder_tables(law: ControlLaw, rules: OperationRules, period: float, tables: CTables) -> int:
    """Add them; returns how many numbers the ladder remembers, beside the plan."""
    from controllers.operation.guard import GuardedLaw

    made = ladder.Ladder(GuardedLaw(law, 0), rules, period)
    tables.size(NO_WORSE=ladder._NO_WORSE, MODE_START=int(rules.mode))
    tables.integers(RELAXABLE=[rank in made._relaxable for rank in range(4)])
    tables.reals(
        RUNG_USES=[float(rules.uses.get(rung, math.inf)) for rung in Rung],
        QUALITY_LOW=made._limits[:, 0],
        QUALITY_HIGH=made._limits[:, 1],
        QUALITY_SCALE=made._scale,
        SAFE_INPUTS=np.asarray(made._safe, dtype=np.float64),
    )
    return 1 + len(Rung) + 2
