"""Finite differences, and how far a stated derivative may lie from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from fmus.check.job import Variable

_SHARE = 1e-3
_TOLERANCE = 0.02
_NOISE = 1e-6
_ROUNDING, _LEAST = 1e-9, 1e-5


@dataclass(frozen=True)
class Slope:
    """A derivative from differences; ``doubt`` is how far those of two step sizes lie apart."""

    value: float
    doubt: float
    noise: float

    def allows(self, claim: float, rounding: float) -> bool:
        """Whether a stated derivative may be right."""
        relative = _TOLERANCE * max(abs(self.value), abs(claim))
        return abs(claim - self.value) <= relative + 3.0 * self.doubt + self.noise + rounding

    @property
    def certain(self) -> bool:
        """Whether it is surely not zero."""
        return abs(self.value) > 10.0 * (3.0 * self.doubt + self.noise)


@dataclass(frozen=True)
class Element:
    """One value of a variable."""

    variable: Variable
    place: int

    @property
    def name(self) -> str:
        """Its name."""
        return self.variable.element(self.place)

    def seed(self) -> list[float]:
        """1 for this value of its variable, else 0."""
        return [float(k == self.place) for k in range(self.variable.size)]


def elements_of(variables: Sequence[Variable]) -> list[Element]:
    """Each value of each variable."""
    return [Element(v, k) for v in variables for k in range(v.size)]


def slopes(
    known: Variable, at: float, values: Sequence[float], evaluate: Callable[[float], Sequence[float]]
) -> list[Slope]:
    """The slope of each of ``values`` over one value of a variable. ``evaluate`` gives them for another value of it."""
    far = known.moved(at, _SHARE) - at
    if far == 0.0:
        return [Slope(0.0, float("inf"), 0.0)] * len(values)
    inside = known.low <= at - 0.5 * far <= known.high
    lower, middle, half, upper = (evaluate(at + share * far) for share in (-0.5 * inside, 0.0, 0.5, 1.0))
    found = []
    for value, low, mid, near, end in zip(values, lower, middle, half, upper, strict=True):
        one_sided, wide = (near - mid) / (0.5 * far), (end - mid) / far
        slope = (near - low) / far if inside else 2.0 * one_sided - wide
        found.append(Slope(slope, abs(slope - wide), _NOISE * abs(value) / (0.5 * abs(far))))
    return found


def rounding(
    unknowns: Sequence[Element], columns: Mapping[Element, Sequence[float]], values: Sequence[float]
) -> dict[Element, list[float]]:
    """How much of each derivative may be rounding, beside what the others make of the same unknown.

    Args:
        unknowns: what is derived.
        columns: the derivatives of all unknowns by each known.
        values: the knowns' values.
    """
    scales = [max(abs(x), known.variable.nominal) for known, x in zip(columns, values, strict=True)]
    rows = [
        max(
            [_LEAST * unknown.variable.nominal, *(abs(c[i]) * s for c, s in zip(columns.values(), scales, strict=True))]
        )
        for i, unknown in enumerate(unknowns)
    ]
    return {known: [_ROUNDING * row / scale for row in rows] for known, scale in zip(columns, scales, strict=True)}


def wrong(name: str, known: str, claim: float, slope: Slope) -> str:
    """What is said of a derivative that is off."""
    return f"d '{name}' / d '{known}' is {claim:.6g}, finite differences give {slope.value:.6g}"
