"""Size of granules that leave a barrel at rest, as a smooth function of two numbers, for the fast granulator.

The sizes by which nuclei leave the chain of cells of the detailed granulator depend on nothing but how much they
aggregated (factor of the kernel times residence time) and how much they broke (breakage rate times residence time).
The map is fitted to solutions of the same balance when the unit is built, so that it has no data of its own.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import casadi as ca
import numpy as np
from numpy.polynomial import chebyshev

from fmus.physics import population_balance as pb
from fmus.physics.granulation import CELLS, GRID, NUCLEI, operators

#: aggregation [m^5/kg] and breakage [1] at the defaults; the map spans a factor of e^width both ways
CENTRE = (1.79e-6, 7.2)
WIDTH = (3.0, 1.2)
_DEGREE = (6, 3)
_NODES = (10, 6)
# far smaller than what can be seen of a size class; keeps the logarithm finite
_TRACE = 1e-7


def sizes_at_rest(aggregation: float, breakage: float) -> np.ndarray:
    """Mass fractions of the nuclei that leave the barrel, by Picard iteration in each cell."""
    n = len(GRID)
    aggregating, breaking = operators(tuple(GRID.edges))
    fractions = pb.lognormal(GRID.edges, *NUCLEI)
    for _ in range(CELLS):
        arriving = fractions
        for iteration in range(500):
            united = aggregating.operator(ca.DM(fractions / GRID.volumes)).full()
            new = np.linalg.solve(np.eye(n) - (aggregation * united + breakage * breaking) / CELLS, arriving)
            change = np.abs(new - fractions).sum()
            fractions = 0.5 * (new + fractions) if iteration > 3 else new  # large steps would swing
            if change < 1e-10:
                break
    return fractions


@cache
def coefficients() -> np.ndarray:
    """Of Chebyshev polynomials in the logarithms of both numbers: a row for each class, of its logarithm."""
    nodes = [np.cos(np.pi * (np.arange(n) + 0.5) / n) for n in _NODES]
    points = [(a, b) for a in nodes[0] for b in nodes[1]]
    solved = np.array(
        [sizes_at_rest(*(c * np.exp(w * x) for c, w, x in zip(CENTRE, WIDTH, point, strict=True))) for point in points]
    )
    terms = np.array([np.outer(*(_values(x, d) for x, d in zip(p, _DEGREE, strict=True))).ravel() for p in points])
    rows = []
    for share in solved.T:
        weight = np.sqrt(share + 1e-4)
        rows.append(np.linalg.lstsq(terms * weight[:, None], np.log(share + _TRACE) * weight, rcond=None)[0])
    # rounded: the same on every machine, whatever its linear algebra
    return np.round(np.array(rows), 7)


def sizes(aggregation: Any, breakage: Any) -> Any:
    """The map: mass fractions, a CasADi column that sums to 1. Beyond its domain its edge stands in."""
    series = []
    for value, centre, width, degree in zip((aggregation, breakage), CENTRE, WIDTH, _DEGREE, strict=True):
        x = ca.fmin(ca.fmax(ca.log(ca.fmax(value, 1e-12) / centre) / width, -1.0), 1.0)
        polynomials = [1.0, x]
        for _ in range(degree - 1):
            polynomials.append(2.0 * x * polynomials[-1] - polynomials[-2])
        series.append(ca.vertcat(*polynomials))
    terms = ca.vec(ca.mtimes(series[1], series[0].T))
    weights = ca.exp(ca.mtimes(ca.DM(coefficients()), terms))
    return weights / ca.sum1(weights)


def _values(x: float, degree: int) -> np.ndarray:
    return np.array([chebyshev.chebval(x, np.eye(degree + 1)[i]) for i in range(degree + 1)])
