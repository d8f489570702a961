"""Regions of setpoints that are no box: a polytope, or where the probability of being in specification is high."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from controllers.design_space.ranges import Range, read_ranges, sides_of
from cosim.component import FloatArray
from cosim.yaml_lines import Source
from fmus.errors import GalenicError, nearest


class Region(Protocol):
    """What all regions answer; points are rows in the units of ``domain``, in its order."""

    @property
    def domain(self) -> Mapping[str, Range]:
        """By setpoint: where something is known about it. Outside the domain is outside the region."""

    def margin(self, points: FloatArray) -> FloatArray:
        """How far inside, shape (N,) for points (N, n): zero on the edge, negative outside. Smooth in the domain."""


@dataclass(frozen=True)
class Polytope:
    """Half spaces a . u <= b within ranges; each row's margin is (b - a . u) / sum_j |a_j| half_j, without unit.

    Args:
        domain: ranges by setpoint; half_j is half a range's width.
        rows: a, shape (k, n), in the units of the domain.
        bounds: b, shape (k,).
    """

    domain: Mapping[str, Range]
    rows: FloatArray
    bounds: FloatArray

    def margin(self, points: FloatArray) -> FloatArray:
        """The smallest margin of all rows."""
        low, high = sides_of(self.domain)
        half = (high - low) / 2.0
        result: FloatArray = ((self.bounds - points @ self.rows.T) / (np.abs(self.rows) @ half)).min(axis=1)
        return result


def quadratic_features(z: FloatArray) -> FloatArray:
    """1, z_i, z_i z_j (i <= j) for rows z, shape (N, n) -> (N, 1 + n + n (n + 1) / 2)."""
    first, second = np.triu_indices(z.shape[1])
    return np.hstack([np.ones((len(z), 1)), z, z[:, first] * z[:, second]])


def scaled(points: FloatArray, domain: Mapping[str, Range]) -> FloatArray:
    """Points, shape (N, n), with the domain as [-1, 1]^n."""
    low, high = sides_of(domain)
    result: FloatArray = (points - (low + high) / 2.0) / ((high - low) / 2.0)
    return result


@dataclass(frozen=True)
class ProbabilityRegion:
    r"""Where P(all CQAs in specification | setpoint) is high enough, by a quadratic logistic surrogate.

    With z the setpoints scaled to [-1, 1] over the domain and phi(z) = (1, z_i, z_i z_j),

        logit P = beta' phi,    s^2 = phi' C phi,    margin = beta' phi - q(confidence) s - logit(at_least)

    q is the normal quantile and C the covariance of beta, so that the edge keeps off by what few samples leave unknown
    (confidence 0.5: the best estimate itself).

    Args:
        domain: ranges that were sampled, by setpoint.
        coefficients: beta, shape (k,).
        covariance: C, shape (k, k).
        at_least: the probability asked for.
        confidence: one-sided, that P is at least that.
    """

    domain: Mapping[str, Range]
    coefficients: FloatArray
    covariance: FloatArray
    at_least: float
    confidence: float = 0.5

    def logit(self, points: FloatArray) -> FloatArray:
        """Best estimate of logit P, shape (N,)."""
        result: FloatArray = quadratic_features(scaled(points, self.domain)) @ self.coefficients
        return result

    def probability(self, points: FloatArray) -> FloatArray:
        """Best estimate of P, shape (N,)."""
        from scipy.special import expit

        return np.asarray(expit(self.logit(points)), dtype=np.float64)

    def standard_error(self, points: FloatArray) -> FloatArray:
        """Of the logit, shape (N,)."""
        phi = quadratic_features(scaled(points, self.domain))
        return np.asarray(np.sqrt(np.maximum(np.einsum("ni,ij,nj->n", phi, self.covariance, phi), 0.0)))

    def margin(self, points: FloatArray) -> FloatArray:
        """In logits."""
        result: FloatArray = self.logit(points) - self.quantile * self.standard_error(points) - self.asked
        return result

    def tangent(self, point: FloatArray) -> tuple[float, FloatArray]:
        """Margin at a point (n,), and its gradient in logits per unit of each setpoint, shape (n,)."""
        middle, half, first, second = self._frame
        z, n = (point - middle) / half, len(point)
        phi = np.concatenate([[1.0], z, z[first] * z[second]])
        spread = self.covariance @ phi
        error = math.sqrt(max(float(phi @ spread), 0.0))
        margin = float(self.coefficients @ phi) - self.quantile * error - self.asked
        weights = self.coefficients - (self.quantile / error * spread if error > 0.0 else 0.0)
        slopes = weights[1 : n + 1].copy()
        np.add.at(slopes, first, weights[n + 1 :] * z[second])
        np.add.at(slopes, second, weights[n + 1 :] * z[first])
        return margin, slopes / half

    @cached_property
    def _frame(self) -> tuple[FloatArray, FloatArray, Any, Any]:
        low, high = sides_of(self.domain)
        return (low + high) / 2.0, (high - low) / 2.0, *np.triu_indices(len(low))

    @property
    def asked(self) -> float:
        """The logit of ``at_least``."""
        return math.log(self.at_least / (1.0 - self.at_least))

    @cached_property
    def quantile(self) -> float:
        """Of the normal distribution at ``confidence``."""
        from statistics import NormalDist

        return NormalDist().inv_cdf(self.confidence)


def read_region(source: Source) -> Region | None:
    """The section ``region`` of a design-space file; None where there is none.

    Raises:
        GalenicError: with file, line and cure.
    """
    data = source.data.get("region")
    if data is None:
        return None
    reader = _Reader(source, data)
    kinds: dict[str, Callable[[], Region]] = {"polytope": reader.polytope, "probability": reader.probability}
    kind = str(data.get("kind")) if isinstance(data, dict) else "?"
    if kind not in kinds:
        raise source.error(("region", "kind"), f"there is no kind of region '{kind}'", f"one of {', '.join(kinds)}")
    return kinds[kind]()


@dataclass
class _Reader:
    source: Source
    data: Any
    names: list[str] = field(default_factory=list)

    def polytope(self) -> Polytope:
        domain = self._domain(("rows",))
        rows, bounds = [], []
        for index, entry in enumerate(self._list("rows")):
            path = ("region", "rows", index)
            if not isinstance(entry, dict) or not isinstance(entry.get("coefficients"), dict):
                raise self.source.error(path, "a row is a mapping", "write {coefficients: {signal: 1}, at_most: 2}")
            for name in entry["coefficients"]:
                if name not in domain:
                    raise self.source.error((*path, "coefficients", name), f"'{name}' is not in 'domain'",
                                            nearest(str(name), domain))  # fmt: skip
            row = [self._number((*path, "coefficients"), entry["coefficients"].get(name, 0.0)) for name in domain]
            if not any(row):
                raise self.source.error(path, "a row needs a coefficient that is not zero", "give one, or remove it")
            rows.append(row)
            bounds.append(self._number((*path, "at_most"), entry.get("at_most")))
        return Polytope(domain, np.array(rows), np.array(bounds))

    def probability(self) -> ProbabilityRegion:
        domain = self._domain(("at_least", "confidence", "coefficients", "covariance"))
        size = quadratic_features(np.zeros((1, len(domain)))).shape[1]
        for key in ("at_least", "confidence"):
            value = self._number(("region", key), self.data.get(key))
            if not 0.0 < value < 1.0:
                raise self.source.error(("region", key), f"'{key}' lies between 0 and 1", "write for example 0.95")
        return ProbabilityRegion(
            domain,
            self._numbers(("region", "coefficients"), self._list("coefficients"), size),
            np.array(
                [
                    self._numbers(("region", "covariance", i), row, size)
                    for i, row in enumerate(self._list("covariance", size))
                ]
            ),
            float(self.data["at_least"]),
            float(self.data["confidence"]),
        )

    def _domain(self, others: Sequence[str]) -> dict[str, Range]:
        known = ("kind", "domain", *others)
        for key in self.data:
            if key not in known:
                raise self.source.error(("region", key), f"unknown key '{key}'", nearest(str(key), known))
        domain = read_ranges(self.source, ("region", "domain"), self.data.get("domain"), both=True)
        if not domain:
            raise self.source.error(("region",), "'domain' is missing", "add 'domain: {signal: {min, max, unit}}'")
        return domain

    def _list(self, key: str, size: int | None = None) -> list[Any]:
        value = self.data.get(key)
        if not isinstance(value, list) or not value or (size is not None and len(value) != size):
            wanted = f"a list of {size} entries" if size is not None else "a list"
            raise self.source.error(("region", key), f"'{key}' is {wanted}", "make the file again, or correct it")
        return value

    def _numbers(self, path: tuple[str | int, ...], values: Any, size: int) -> FloatArray:
        if not isinstance(values, list) or len(values) != size:
            raise self.source.error(path, f"{size} numbers are needed here", "make the file again, or correct it")
        return np.array([self._number(path, value) for value in values])

    def _number(self, path: tuple[str | int, ...], value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise self.source.error(path, f"{value!r} is not a number", "write a number, in the units of 'domain'")
        return float(value)


def check_box(region: Region, ranges: Mapping[str, Range]) -> None:
    """Refuse ranges that are not inside the region, or that lack one of its setpoints.

    Raises:
        GalenicError: with the setpoints of a corner outside.
    """
    from controllers.design_space.box import worst_in_box

    low, high = [], []
    for name, known in region.domain.items():
        if name not in ranges:
            raise GalenicError(f"the region has '{name}', 'setpoints' has not", cure="add its range")
        inside = ranges[name]
        if inside.unit != known.unit:
            raise GalenicError(f"'{name}' is in {inside.unit} in 'setpoints', in {known.unit} in 'region'",
                               cure="use one unit")  # fmt: skip
        low.append(inside.min)
        high.append(inside.max)
    point, margin = worst_in_box(region, np.array(low), np.array(high))
    if margin < -1e-6:
        where = ", ".join(f"{n} {v:.6g} {r.unit}" for (n, r), v in zip(region.domain.items(), point, strict=True))
        raise GalenicError(
            f"the ranges of 'setpoints' are not inside the region: {where} is not",
            cure="make them narrower, or leave 'setpoints' out: the ranges are then found from the region",
        )
