"""A design space's region as a constraint of a predictive controller: rows, an expression, the nearest point inside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from controllers.base import unit_factor
from controllers.design_space.ranges import sides_of
from controllers.design_space.region import Polytope, ProbabilityRegion, Region
from cosim.component import FloatArray

if TYPE_CHECKING:
    from controllers.design_space import DesignSpace

#: Of the smooth minimum over the rows of a polytope.
_SHARPNESS = 50.0
#: Under a square root, whose derivative has no bound at zero.
_LEAST_VARIANCE = 1e-12
#: Of linearisations of the margin, until the point moves less than this share of half the domain's width.
_ROUNDS, _NEAR = 25, 1e-6
_HALVINGS = 30
#: How far inside a point is put that comes from outside, in shares of half the domain's width times the gradient.
_INSIDE = 1e-7


def region_constraint(space: DesignSpace, names: Sequence[str], units: Sequence[str]) -> RegionConstraint | None:
    """The region of a design space as a constraint on inputs of a controller.

    Args:
        space: with its back-off, where it has one.
        names: of the controller's inputs, as signals.
        units: of their values.

    Returns:
        None where the file has no region, or where a setpoint of it is no input of the controller: then the ranges of
        ``space.setpoints``, a box inside the region, are what it may use.
    """
    region = space.region
    if region is None or any(name not in names for name in region.domain):
        return None
    where = [list(names).index(name) for name in region.domain]
    conversions = [unit_factor(units[i], r.unit) for i, r in zip(where, region.domain.values(), strict=True)]
    return RegionConstraint(
        region,
        tuple(region.domain),
        np.array(where, dtype=np.intp),
        np.array([factor for factor, _ in conversions]),
        np.array([offset for _, offset in conversions]),
        space.back_off.region if space.back_off is not None else 0.0,
        np.array([(space.setpoints[n].min + space.setpoints[n].max) / 2.0 for n in region.domain]),
    )


@dataclass(frozen=True, eq=False)
class RegionConstraint:
    """``margin(u) >= back_off`` on inputs u of a controller, in its units; the margin is the region's.

    ``rows`` and ``margin`` take all the controller's inputs, shape (m,), ``project`` and ``expression`` those of
    ``inputs``, shape (n,).

    Args:
        region: in the units of its domain.
        inputs: names of the setpoints that it is about, in its order.
        places: their positions among the controller's inputs.
        factors: from the controller's units to those of the domain.
        offsets: the same.
        back_off: by how much the margin has to be above zero.
        centre: a point inside, in the domain's units.
    """

    region: Region
    inputs: tuple[str, ...]
    places: Any
    factors: FloatArray
    offsets: FloatArray
    back_off: float
    centre: FloatArray

    @property
    def size(self) -> int:
        """How many rows there are."""
        return len(self.region.bounds) if isinstance(self.region, Polytope) else 1

    def margin(self, values: FloatArray) -> float:
        """Of the controller's inputs (m,), less the back-off; not negative where they are allowed."""
        return self._margin(self._point(np.asarray(values, dtype=np.float64)[self.places]))

    def rows(self, values: FloatArray) -> tuple[FloatArray, FloatArray]:
        """G (size, m) and h (size,) with G u <= h: exact for a polytope, else linear at the nearest point inside."""
        values = np.asarray(values, dtype=np.float64)
        point = self._point(values[self.places])
        if not isinstance(self.region, Polytope):
            point = self._nearest_inside(point, *sides_of(self.region.domain))
        inner, bounds = self._cuts(point)
        rows = np.zeros((self.size, len(values)))
        rows[:, self.places] = inner * self.factors
        return rows, bounds - inner @ self.offsets

    def expression(self, values: Any) -> Any:
        """A CasADi scalar that is not negative inside, of a CasADi vector or numbers (n,); smooth.

        Of several rows of a polytope a smooth minimum, ln(size) / 50 below the least margin at most.
        """
        import casadi as ca

        point = ca.vertcat(*[self.factors[i] * values[i] + self.offsets[i] for i in range(len(self.inputs))])
        if isinstance(self.region, Polytope):
            margins = (ca.DM(self.region.bounds) - ca.DM(self.region.rows) @ point) / ca.DM(self._widths())
            return -ca.logsumexp(-_SHARPNESS * margins) / _SHARPNESS - self.back_off
        region = self._probability()
        low, high = sides_of(self.region.domain)
        z = (point - ca.DM((low + high) / 2.0)) / ca.DM((high - low) / 2.0)
        features = [1.0, *(z[i] for i in range(len(self.inputs)))]
        features += [z[i] * z[j] for i, j in zip(*np.triu_indices(len(self.inputs)), strict=True)]
        phi = ca.vertcat(*features)
        variance = ca.dot(phi, ca.DM(region.covariance) @ phi)
        asked = region.asked + self.back_off
        return ca.dot(ca.DM(region.coefficients), phi) - region.quantile * ca.sqrt(variance + _LEAST_VARIANCE) - asked

    def project(self, values: FloatArray, low: FloatArray | None = None, high: FloatArray | None = None) -> FloatArray:
        """The nearest setpoints inside the region and ``[low, high]``, shape (n,).

        Distances are in shares of the domain. Where the two have no point in common, the point of ``[low, high]`` that
        is nearest to the region: the way back, within the moves. Numbers never cause an exception; what is not finite
        becomes the centre.
        """
        bottom, top = sides_of(self.region.domain)
        if low is not None:
            bottom = np.maximum(bottom, self._ordered(low, high, np.minimum))
        if high is not None:
            top = np.minimum(top, self._ordered(high, low, np.maximum))
        with np.errstate(over="ignore"):
            point = self._point(np.asarray(values, dtype=np.float64))
        point = np.where(np.isfinite(point), point, self.centre)
        if (bottom > top).any():  # the moves end before the domain begins: as far towards it as they go
            bottom, top = np.minimum(bottom, top), np.maximum(bottom, top)
            outer = [self._point(np.asarray(v, dtype=np.float64)) for v in (low, high) if v is not None]
            least, most = np.minimum(outer[0], outer[-1]), np.maximum(outer[0], outer[-1])
            return self._back(np.clip(np.clip(point, *sides_of(self.region.domain)), least, most))
        return self._back(self._nearest_inside(point, bottom, top))

    def _ordered(self, side: FloatArray, other: FloatArray | None, choose: Any) -> FloatArray:
        """A side of the box in the domain's units; a negative factor would swap it with the other one."""
        mine = self._point(np.asarray(side, dtype=np.float64))
        if other is None or (self.factors > 0.0).all():
            return mine
        return np.asarray(choose(mine, self._point(np.asarray(other, dtype=np.float64))))

    # ---- in the domain's units ---------------------------------------------------------------------------------------

    def _point(self, values: FloatArray) -> FloatArray:
        return np.asarray(self.factors * values + self.offsets)

    def _back(self, point: FloatArray) -> FloatArray:
        return np.asarray((point - self.offsets) / self.factors)

    def _margin(self, point: FloatArray) -> float:
        if isinstance(self.region, Polytope):
            return float(self.region.margin(point[None, :])[0]) - self.back_off
        return self._probability().tangent(point)[0] - self.back_off

    def _widths(self) -> FloatArray:
        assert isinstance(self.region, Polytope)
        low, high = sides_of(self.region.domain)
        return np.asarray(np.abs(self.region.rows) @ ((high - low) / 2.0))

    def _probability(self) -> ProbabilityRegion:
        if not isinstance(self.region, ProbabilityRegion):
            raise TypeError(f"{type(self.region).__name__} has no expression")
        return self.region

    def _cuts(self, point: FloatArray) -> tuple[FloatArray, FloatArray]:
        """G w <= h in the domain's units: the rows, or the margin's linearisation."""
        if isinstance(self.region, Polytope):
            return self.region.rows, self.region.bounds - self.back_off * self._widths()
        margin, gradient = self._probability().tangent(point)
        return -gradient[None, :], np.array([margin - self.back_off - float(gradient @ point)])

    def _nearest_inside(self, point: FloatArray, low: FloatArray, high: FloatArray) -> FloatArray:
        clipped = np.clip(point, low, high)
        if self._margin(clipped) >= 0.0:
            return np.asarray(clipped)
        bottom, top = sides_of(self.region.domain)
        for least, most in ((low, high), (bottom, top)):
            found = self._search(point, least, most)
            if found is not None:
                return np.asarray(np.clip(found, low, high))
        return np.asarray(np.clip(self.centre, low, high))

    def _search(self, point: FloatArray, low: FloatArray, high: FloatArray) -> FloatArray | None:
        """Inside region and box, the nearest where the linearisations converge; None where nothing was found."""
        half = np.subtract(*sides_of(self.region.domain)[::-1]) / 2.0
        here = np.clip(point, low, high)
        for _ in range(_ROUNDS):
            rows, bounds = self._cuts(here)
            scaled = rows * half
            bounds = bounds - _INSIDE * np.linalg.norm(scaled, axis=1)
            moved = nearest_in_polytope(
                np.zeros_like(point),
                np.vstack([scaled, np.eye(len(half)), -np.eye(len(half))]),
                np.concatenate([bounds - rows @ point, (high - point) / half, (point - low) / half]),
            )
            if moved is None:
                break
            there = np.clip(point + half * moved, low, high)
            arrived = float(np.abs((there - here) / half).max()) < _NEAR
            here = there
            if arrived or (isinstance(self.region, Polytope) and self._margin(here) >= 0.0):
                break
        if self._margin(here) >= 0.0:
            return np.asarray(here)
        inner = np.clip(self.centre, low, high)
        if self._margin(inner) < 0.0:
            return None
        share, outside = 0.0, 1.0  # on the line from a point inside: always an answer
        for _ in range(_HALVINGS):
            middle = (share + outside) / 2.0
            if self._margin(inner + middle * (here - inner)) >= 0.0:
                share = middle
            else:
                outside = middle
        return np.asarray(inner + share * (here - inner))


def nearest_in_polytope(point: FloatArray, rows: FloatArray, bounds: FloatArray) -> FloatArray | None:
    """The point with ``rows @ w <= bounds`` that is nearest to ``point``, or None where there is none.

    Least-distance programming by non-negative least squares (Lawson and Hanson 1974, chapter 23).

    Args:
        point: shape (n,).
        rows: shape (k, n).
        bounds: shape (k,).
    """
    from scipy.optimize import nnls

    sizes = np.linalg.norm(rows, axis=1)
    kept = sizes > 0.0
    if (bounds[~kept] < 0.0).any():
        return None
    matrix = -rows[kept] / sizes[kept, None]
    right = -(bounds[kept] - rows[kept] @ point) / sizes[kept]
    if (right <= 0.0).all():
        return point
    system = np.vstack([matrix.T, right[None, :]])
    goal = np.zeros(len(point) + 1)
    goal[-1] = 1.0
    try:
        weights, _ = nnls(system, goal)
    except RuntimeError:  # it cycles
        return None
    residual = system @ weights - goal
    if abs(residual[-1]) < 1e-12:
        return None
    found: FloatArray = point - residual[:-1] / residual[-1]
    return found if (rows @ found <= bounds + 1e-7 * sizes).all() else None
