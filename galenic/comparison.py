"""Paired comparison: what the same seeds gave under two or more variants.

All variants of a seed meet the same lots, noise and disturbances, so the difference of a KPI within a seed is free of
them. The last variant is judged against each of the others. Reported are mean and standard deviation of each, the mean
difference with its 95 % confidence interval (Student's t with n - 1 degrees of freedom on the paired differences), and
how many seeds the last variant won.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from galenic.indicator import Kpi

_ROUNDING = 1e-12


@dataclass(frozen=True)
class Variant:
    """One side of the comparison: a scenario, without some of its controllers."""

    label: str
    scenario: str
    without: tuple[str, ...] = ()


@dataclass(frozen=True)
class Trial:
    """The indicators of one seed under each variant."""

    seed: int
    sides: tuple[list[Kpi], ...]


@dataclass(frozen=True)
class Difference:
    """The last variant less another over the seeds at which both have a number.

    ``low`` and ``high`` bound the mean difference with 95 % confidence; ``won`` counts the seeds at which the last
    variant was better, None where no direction is.
    """

    pairs: int
    mean: float
    low: float
    high: float
    won: int | None
    tied: int


@dataclass(frozen=True)
class Row:
    """One indicator over all seeds; means and standard deviations by variant, differences by other variant."""

    name: str
    label: str
    unit: str
    definition: str
    better: str | None
    means: tuple[float, ...]
    spreads: tuple[float, ...]
    differences: tuple[Difference, ...]


def statistics(trials: Sequence[Trial]) -> list[Row]:
    """The rows of the comparison: indicators that the last variant has and another one too, in the last one's order.

    Where an indicator is not finite on one side, that seed does not count for the difference of the two.
    """
    if not trials:
        return []
    *others, last = trials[0].sides
    common = {k.name for side in others for k in side}
    return [_row(kpi, trials) for kpi in last if kpi.name in common]


def _row(kpi: Kpi, trials: Sequence[Trial]) -> Row:
    values = np.array([[_value(side, kpi.name) for side in trial.sides] for trial in trials])
    known = [column[np.isfinite(column)] for column in values.T]
    means = tuple(float(v.mean()) if len(v) else math.nan for v in known)
    spreads = tuple(float(v.std(ddof=1)) if len(v) > 1 else math.nan for v in known)
    differences = tuple(_difference(kpi, values[:, [side, -1]]) for side in range(values.shape[1] - 1))
    return Row(kpi.name, kpi.label, kpi.unit, kpi.definition, kpi.better, means, spreads, differences)


def _difference(kpi: Kpi, values: npt.NDArray[np.float64]) -> Difference:
    from scipy.stats import t as student

    values = values[np.isfinite(values).all(axis=1)]
    n = len(values)
    difference = values[:, 1] - values[:, 0]
    # what only rounding sets apart is equal
    difference[np.abs(difference) <= _ROUNDING * np.abs(values).max(axis=1)] = 0.0
    mean = float(difference.mean()) if n else math.nan
    half = math.nan
    if n > 1:
        half = float(student.ppf(0.975, n - 1) * difference.std(ddof=1) / math.sqrt(n))
    won = None
    if kpi.better is not None:
        won = int((difference < 0.0).sum() if kpi.better == "lower" else (difference > 0.0).sum())
    return Difference(n, mean, mean - half, mean + half, won, int((difference == 0.0).sum()))


def _value(kpis: Sequence[Kpi], name: str) -> float:
    return next((k.value for k in kpis if k.name == name), math.nan)
