"""Proven acceptable ranges: boxes inside a region, and how far one setpoint alone may go."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np

from controllers.design_space.ranges import Range, sides_of
from controllers.design_space.region import Region
from cosim.component import FloatArray
from fmus.errors import GalenicError

_MOST_POINTS = 4096
_HALVINGS = 30
_LEVELS = 401


def worst_in_box(region: Region, low: FloatArray, high: FloatArray) -> tuple[FloatArray, float]:
    """The point of a box with the smallest margin, shape (n,), and that margin.

    A lattice with all corners, and from its three worst points a bounded quasi-Newton search: exact for a polytope,
    whose smallest margin is at a corner.
    """
    from scipy.optimize import minimize

    points = _lattice(low, high)
    margins = region.margin(points)
    order = np.argsort(margins)[:3]
    best, worst = points[order[0]], float(margins[order[0]])
    width = np.where(high > low, high - low, 1.0)

    def at(z: FloatArray) -> float:
        return float(region.margin((low + z * width)[None, :])[0])

    sides = [(0.0, 1.0 if top > bottom else 0.0) for bottom, top in zip(low, high, strict=True)]
    for start in points[order]:
        found = minimize(at, (start - low) / width, method="L-BFGS-B", bounds=sides)
        if found.fun < worst:
            best, worst = low + np.asarray(found.x) * width, float(found.fun)
    return best, worst


def _lattice(low: FloatArray, high: FloatArray) -> FloatArray:
    n = len(low)
    levels = max(2, min(9, int(_MOST_POINTS ** (1.0 / n))))
    unit = np.array(list(itertools.product(np.linspace(0.0, 1.0, levels), repeat=n)))
    result: FloatArray = low + unit * (high - low)
    return result


def safest_point(region: Region) -> tuple[FloatArray, float]:
    """The setpoint of the domain with the largest margin, shape (n,), and that margin."""
    from scipy.optimize import minimize

    low, high = sides_of(region.domain)
    points = _lattice(low, high)
    margins = region.margin(points)
    start = points[int(np.argmax(margins))]

    def negative(z: FloatArray) -> float:
        return -float(region.margin((low + z * (high - low))[None, :])[0])

    z0 = (start - low) / (high - low)
    found = minimize(
        negative, z0, method="Nelder-Mead" if len(low) == 1 else "L-BFGS-B", bounds=[(0.0, 1.0)] * len(low)
    )
    if -found.fun > margins.max():
        return low + np.asarray(found.x) * (high - low), -float(found.fun)
    return start, float(margins.max())


def inscribed_box(region: Region, around: FloatArray | None = None) -> dict[str, Range]:
    """Ranges within which every combination of setpoints is inside the region.

    The box grows about its centre in proportion to the domain as far as it can, then each side by itself; it is maximal
    (no side can move further out alone), not always the largest there is.

    Args:
        region: the region.
        around: where it starts, shape (n,); where that is not inside, the safest point.

    Raises:
        GalenicError: no point of the domain is inside.
    """
    low, high = sides_of(region.domain)
    start = around
    if start is None or region.margin(start[None, :])[0] <= 0.0:
        start, margin = safest_point(region)
        if margin <= 0.0:
            raise GalenicError(
                "no setpoint of the domain is inside the region", cure="ask for less, or sample elsewhere"
            )

    def fits(bottom: FloatArray, top: FloatArray) -> bool:
        return worst_in_box(region, bottom, top)[1] >= 0.0

    share = _furthest(lambda t: fits(start + t * (low - start), start + t * (high - start)))
    bottom, top = start + share * (low - start), start + share * (high - start)
    for j in range(len(start)):
        for side, end in ((bottom, low[j]), (top, high[j])):
            begin = side[j]

            def moved(t: float, side: FloatArray = side, j: int = j, begin: float = begin, end: float = end) -> bool:
                side[j] = begin + t * (end - begin)
                return fits(bottom, top)

            side[j] = begin + _furthest(moved) * (end - begin)
    if not (top > bottom).all():
        raise GalenicError("the region is too thin for ranges of setpoints", cure="ask for less probability")
    return {
        n: Range(float(a), float(b), r.unit) for (n, r), a, b in zip(region.domain.items(), bottom, top, strict=True)
    }


def acceptable_alone(region: Region, at: FloatArray) -> dict[str, Range | None]:
    """How far each setpoint may go from ``at`` while the others stay there; None where ``at`` is not inside.

    The connected range about ``at``, shape (n,), found to 1/400 of the domain's width.
    """
    low, high = sides_of(region.domain)
    result: dict[str, Range | None] = {}
    for j, (name, known) in enumerate(region.domain.items()):
        values = np.union1d(np.linspace(low[j], high[j], _LEVELS), at[j])
        points = np.tile(at, (len(values), 1))
        points[:, j] = values
        inside = region.margin(points) >= 0.0
        here = int(np.searchsorted(values, at[j]))
        if not inside[here]:
            result[name] = None
            continue
        outside = np.flatnonzero(~inside)
        below, above = outside[outside < here], outside[outside > here]
        first = int(below[-1]) + 1 if len(below) else 0
        last = int(above[0]) - 1 if len(above) else len(values) - 1
        result[name] = Range(float(values[first]), float(values[last]), known.unit) if last > first else None
    return result


def _furthest(fits: Callable[[float], bool]) -> float:
    """The largest share in 0..1 that fits, by bisection; 0 fits."""
    if fits(1.0):
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2.0
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low
