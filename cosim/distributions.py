"""Parameters and start values that a run draws, from the seed and the variable's name: comparisons stay paired."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Any, Literal, Self

import numpy as np
import pydantic
from pydantic import Discriminator, Field, Tag
from scipy.special import ndtr, ndtri

from cosim.component import KeyPath
from cosim.values import Quantity, Section, fail
from fmus.errors import GalenicError

_ATTEMPTS = 100

Kind = Literal["normal", "lognormal", "uniform", "choice"]


class _Bounded(Section):
    mean: Quantity
    std: Quantity
    min: Quantity | None = None
    max: Quantity | None = None


class NormalSpec(_Bounded):
    """A normal distribution."""


class LognormalSpec(_Bounded):
    """A lognormal distribution with this mean and standard deviation of the value itself."""


class UniformSpec(Section):
    """Every value between two equally likely."""

    min: Quantity
    max: Quantity


class ChoiceSpec(Section):
    """One of some values."""

    values: Annotated[list[Quantity], Field(min_length=1)]
    weights: list[Annotated[float, Field(ge=0.0)]] | None = None

    @pydantic.model_validator(mode="after")
    def _weights_fit(self) -> Self:
        if self.weights is not None and (len(self.weights) != len(self.values) or sum(self.weights) <= 0.0):
            raise fail("the weights do not fit the values", "give one weight for each value, not all of them zero")
        return self


class DistributionSpec(Section):
    """A value that is drawn when the system is built."""

    normal: NormalSpec | None = None
    lognormal: LognormalSpec | None = None
    uniform: UniformSpec | None = None
    choice: ChoiceSpec | None = None

    @property
    def kind(self) -> Kind:
        """Which of the four it is."""
        kinds: tuple[Kind, ...] = ("normal", "lognormal", "uniform", "choice")
        return next(kind for kind in kinds if getattr(self, kind) is not None)

    @pydantic.model_validator(mode="after")
    def _one_kind(self) -> Self:
        if len(self.model_fields_set) != 1:
            raise fail("a drawn value has one distribution", "give one of normal, lognormal, uniform and choice")
        return self


def _form(value: Any) -> str:
    return "drawn" if isinstance(value, dict | DistributionSpec) else "given"


#: A quantity, or a distribution that it is drawn from.
Drawable = Annotated[
    Annotated[Quantity, Tag("given")] | Annotated[DistributionSpec, Tag("drawn")], Discriminator(_form)
]
#: Reads the quantity of a key within the distribution, in the variable's unit.
Read = Callable[[KeyPath, Any], float]
#: Reads a change; text in per cent is of the last argument.
ReadChange = Callable[[KeyPath, Any, float], float]
Error = Callable[[KeyPath, str, str], GalenicError]


def draw(
    spec: DistributionSpec,
    random: np.random.Generator,
    read: Read,
    read_change: ReadChange,
    bounds: tuple[float, float],
    error: Error,
) -> float:
    """Draw a value from what of the distribution lies within the bounds.

    Args:
        spec: the distribution.
        random: of this value alone.
        read: see `Read`.
        read_change: see `ReadChange`.
        bounds: of the variable, in its unit.
        error: makes an error at a key within the distribution.

    Raises:
        GalenicError: a quantity is not valid, or nothing of the distribution is within the bounds.
    """
    kind = spec.kind
    if spec.choice is not None:
        values = [read((kind, "values", i), value) for i, value in enumerate(spec.choice.values)]
        weights = np.array(spec.choice.weights if spec.choice.weights is not None else [1.0] * len(values))
        # searching the sum of the weights needs one number, however numpy's own choice may change
        position = int(np.searchsorted(np.cumsum(weights), random.random() * weights.sum(), side="right"))
        return values[min(position, len(values) - 1)]
    if spec.uniform is not None:
        low, high = (read((kind, key), getattr(spec.uniform, key)) for key in ("min", "max"))
        if not low < high:
            raise error((kind, "max"), f"the upper limit {high:g} is not above the lower one {low:g}", "swap them")
        return low + (high - low) * random.random()
    bounded: _Bounded | None = spec.normal or spec.lognormal
    assert bounded is not None
    mean = read((kind, "mean"), bounded.mean)
    std = read_change((kind, "std"), bounded.std, mean)
    if std < 0.0:
        raise error((kind, "std"), "the standard deviation must not be negative", "give 0 or more")
    low, high = bounds
    if bounded.min is not None:
        low = max(low, read((kind, "min"), bounded.min))
    if bounded.max is not None:
        high = min(high, read((kind, "max"), bounded.max))
    if spec.lognormal is not None and mean <= 0.0:
        raise error((kind, "mean"), f"the mean of a lognormal distribution is {mean:g}", "give a mean above zero")
    if std == 0.0 and low <= mean <= high:
        return mean
    logarithmic = spec.lognormal is not None
    for _ in range(_ATTEMPTS):
        deviate = float(random.standard_normal())
        value = lognormal(mean, std / mean, deviate) if logarithmic else mean + std * deviate
        if low <= value <= high:
            return value
    # only a tail or a sliver is within the bounds
    deviates = [_deviate(bound, mean, std, logarithmic) for bound in (low, high)]
    truncated = _truncated(random.random(), *deviates) if std > 0.0 and low <= high else None
    if truncated is None:
        raise error((kind,), f"nothing of this distribution is within {low:g} .. {high:g}", "widen its limits")
    value = lognormal(mean, std / mean, truncated) if logarithmic else mean + std * truncated
    return min(max(value, low), high)


def _deviate(value: float, mean: float, std: float, logarithmic: bool) -> float:
    """How many standard deviations a value lies above the mean; of its logarithm, where that is normal."""
    if not logarithmic:
        return (value - mean) / std if std > 0.0 else math.nan
    if value <= 0.0 or std <= 0.0:
        return -math.inf
    variance = math.log1p((std / mean) ** 2)
    return (math.log(value / mean) + 0.5 * variance) / math.sqrt(variance)


def _truncated(part: float, low: float, high: float) -> float | None:
    """The standard normal deviate below which ``part`` of what lies within the limits is; None where nothing does."""
    if low > 0.0:  # the lower tail has the digits
        mirrored = _truncated(1.0 - part, -high, -low)
        return None if mirrored is None else -mirrored
    below, above = float(ndtr(low)), float(ndtr(high))
    return float(ndtri(below + part * (above - below))) if above > below else None


def lognormal(mean: float, rsd: float, deviate: float) -> float:
    """The value of a lognormal variable with this mean and relative standard deviation at a standard normal deviate."""
    variance = math.log1p(rsd * rsd)
    return mean * math.exp(math.sqrt(variance) * deviate - 0.5 * variance)
