"""From the runs of an ensemble to a design space: fit, ranges, file."""

from __future__ import annotations

import datetime
import importlib.metadata
import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import cycle, islice, product
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from controllers.design_space.box import acceptable_alone, inscribed_box, safest_point
from controllers.design_space.fit import LogisticFit, fit_probability
from controllers.design_space.ranges import Range
from controllers.design_space.region import ProbabilityRegion
from controllers.design_space.space import SCHEMA
from cosim.component import FloatArray
from fmus.errors import GalenicError
from galenic.design_space_ensemble import Sample
from galenic.design_space_plan import Plan


@dataclass(frozen=True)
class Verification:
    """Fresh runs at the corners of the ranges that hold together; ``low`` and ``high`` bound the share with 95 %."""

    runs: int
    passed: int
    low: float
    high: float


@dataclass(frozen=True)
class Outcome:
    """What the runs say.

    Args:
        plan: the ensemble.
        samples: its runs.
        region: where the probability is high enough.
        fit: how it was found, and its error.
        box: ranges that hold together; None where no setpoint is inside the region.
        alone: ranges of each setpoint while the others stay at the scenario's.
        safest: the setpoint with the largest margin.
    """

    plan: Plan
    samples: Sequence[Sample]
    region: ProbabilityRegion
    fit: LogisticFit
    box: Mapping[str, Range] | None
    alone: Mapping[str, Range | None]
    safest: FloatArray

    @property
    def passed(self) -> list[bool]:
        """By run, whether it was in specification."""
        return [s.passed(self.plan.allowed) for s in self.samples]


def learn(plan: Plan, samples: Sequence[Sample], at_least: float, confidence: float) -> Outcome:
    """Fit the probability and derive the ranges. Raises GalenicError where too few runs passed or failed."""
    points = np.array([s.point for s in samples])
    passed = np.array([s.passed(plan.allowed) for s in samples])
    fit = fit_probability(points, passed, plan.domain, seed=plan.seed)
    region = ProbabilityRegion(plan.domain, fit.coefficients, fit.covariance, at_least, confidence)
    safest, margin = safest_point(region)
    box: Mapping[str, Range] | None = None
    if margin > 0.0:
        try:
            box = inscribed_box(region, _within(plan))
        except GalenicError:  # too thin for ranges: as good as none
            box = None
    return Outcome(plan, samples, region, fit, box, acceptable_alone(region, _within(plan)), safest)


def _within(plan: Plan) -> FloatArray:
    low, high = (np.array([getattr(s, side) for s in plan.setpoints]) for side in ("low", "high"))
    result: FloatArray = np.clip(plan.present, low, high)
    return result


def corners(outcome: Outcome, count: int) -> list[tuple[float, ...]]:
    """``count`` setpoints, one corner of the ranges that hold together after the other."""
    assert outcome.box is not None
    sides = [(r.min, r.max) for r in outcome.box.values()]
    return list(islice(cycle(product(*sides)), count))


def verified(plan: Plan, samples: Sequence[Sample]) -> Verification:
    """What fresh runs show (interval of Clopper and Pearson)."""
    from scipy.stats import binomtest

    passed = sum(s.passed(plan.allowed) for s in samples)
    interval = binomtest(passed, len(samples)).proportion_ci(0.95, "exact")
    return Verification(len(samples), passed, float(interval.low), float(interval.high))


def save(outcome: Outcome, file: Path, verification: Verification | None = None) -> None:
    """Write the design-space file, with all that was computed and what it was computed from.

    Raises:
        GalenicError: no setpoint is inside the region, or the file cannot be written.
    """
    from galenic.session import write_text

    plan, region, fit = outcome.plan, outcome.region, outcome.fit
    if outcome.box is None:
        raise GalenicError("there is no design space to write")
    percent = f"{100 * region.at_least:g} %"
    content: dict[str, Any] = {
        "design_space": SCHEMA,
        "description": f"P(CQAs in specification) at least {percent} with {100 * region.confidence:g} % confidence; "
        f"{len(outcome.samples)} runs of {Path(plan.scenario).stem}",
        "setpoints": {name: _entry(r) for name, r in outcome.box.items()},
        "critical_quality_attributes": {
            a.signal: _entry(Range(a.low, a.high, a.unit)) for a in plan.attributes if not a.final
        },
        **({} if not any(a.final for a in plan.attributes) else {"final_attributes": {
            a.signal: _entry(Range(a.low, a.high, a.unit)) for a in plan.attributes if a.final
        }}),
        "region": {
            "kind": "probability",
            "at_least": region.at_least,
            "confidence": region.confidence,
            "domain": {name: _entry(r) for name, r in region.domain.items()},
            "coefficients": [float(v) for v in region.coefficients],
            "covariance": [[float(v) for v in row] for row in region.covariance],
        },
        "proven_acceptable_ranges": {name: _entry(r) for name, r in outcome.alone.items() if r is not None},
        "provenance": {
            "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "versions": versions(),
            "method": "logistic regression with quadratic terms, ridge penalty by cross-validation",
            "penalty": fit.penalty,
            "cross_validation": asdict(fit.error) | {"calibration": [asdict(c) for c in fit.error.calibration]},
            "safest": {s.name: float(v) for s, v in zip(plan.setpoints, outcome.safest, strict=True)},
            "runs": len(outcome.samples),
            "passed": sum(outcome.passed),
            "ended_early": sum(bool(s.error) for s in outcome.samples),
            **({} if verification is None else {"verification_at_corners": asdict(verification)}),
            "plan": plan.to_json(),
        },
        "samples": {
            "columns": ["seed", *(s.name for s in plan.setpoints), "passed", "share_outside",
                        *(f"{a.signal} {side}" for side in ("lowest", "highest") for a in plan.attributes)],
            "rows": [
                [s.seed, *s.point, int(ok), s.outside, *(v if math.isfinite(v) else None for v in (*s.lows, *s.highs))]
                for s, ok in zip(outcome.samples, outcome.passed, strict=True)
            ],
        },
    }  # fmt: skip
    text = yaml.safe_dump(content, sort_keys=False, default_flow_style=None, width=120, allow_unicode=True)
    write_text(file, text)


def _entry(known: Range) -> dict[str, Any]:
    sides = {side: float(v) for side, v in (("min", known.min), ("max", known.max)) if math.isfinite(v)}
    return {**sides, "unit": known.unit}


def versions() -> dict[str, str]:
    """Of what computed it."""
    found = {"python": platform.python_version()}
    for name in ("galenic", "numpy", "scipy", "casadi", "fmpy"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found
