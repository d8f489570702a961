"""The target optimiser: where the plant should rest, given the disturbances as estimated now."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.linalg import null_space

from controllers.linear.disturbance_model import DisturbanceModel, integrating_directions
from controllers.linear.objective import Objective, check_sizes
from controllers.linear.quadratic_program import QuadraticProgram
from controllers.surrogates.linear_surrogate import LinearSurrogate
from cosim.component import FloatArray
from fmus.errors import GalenicError

_CURVATURE = 1e-4
_IMBALANCE = 1e4
#: Of leaving the design space by half the inputs' ranges.
EDGE_PRICE = 1e3
#: G (r, m) and h (r,) of half spaces G u <= h.
Edges = tuple[FloatArray, FloatArray]


@dataclass(frozen=True)
class Target:
    """Steady inputs (m,) and outputs (p,), absolute; to be used only where ``converged``.

    Of a path of targets, one for each period of the horizon, shapes (N, m) and (N, p).
    """

    inputs: FloatArray
    outputs: FloatArray
    converged: bool
    message: str = ""


class TargetOptimizer:
    r"""The steady state that meets the references best, inside hard bounds.

    With deviations from the operating point, and s the drift that an integrating output may be left with,

        min   sum_i w_i (|e_i| + 1/2 e_i^2) + sum_j v_j (u_j - ideal_j)^2 + sum_i q_i (l_i + 1/2 l_i^2) + rho |s|^2
        s.t.  (I - A) x - B u - V s = B_d d,        y = C x + C_d d                  (rest)
              e_i = y_i - r_i                                                        (references)
              u_min <= u <= u_max                                                    (hard: design space)
              y_min - l <= y <= y_max + l,  l >= 0                                   (soft: quality attributes)

    all scaled. The absolute value makes the references exact wherever they can be reached: a penalty on the resting
    values of the inputs (v small) then only settles what the references leave open, such as the throughput. V spans the
    integrating modes: a level that cannot be balanced inside the bounds drifts, at a high price, rather than leave
    no answer. So the problem always has a solution.

    The states are eliminated once: all (x, u, s) at rest are Z theta + particular solution of d, with Z a basis of the
    null space of [I - A, -B, -V].

    Args:
        surrogate: with D = 0.
        disturbances: B_d and C_d.
        objective: references, limits, bounds, weights.
        solver: a solver of `QuadraticProgram`.
        edges: how many half spaces G u <= h of a design space there are; soft, each with a slack and a high price.

    Raises:
        GalenicError: sizes that do not fit.
    """

    def __init__(
        self,
        surrogate: LinearSurrogate,
        disturbances: DisturbanceModel,
        objective: Objective,
        *,
        solver: str = "daqp",
        edges: int = 0,
    ) -> None:
        check_sizes(surrogate, objective)
        self._edges = edges
        self._surrogate, self._disturbances, self._objective = surrogate, disturbances, objective
        n, m = surrogate.a.shape[0], len(surrogate.inputs)
        scale = objective.input_scale
        directions = list(integrating_directions(surrogate).values())
        v = np.array(directions).T if directions else np.zeros((n, 0))
        balance = np.hstack([np.eye(n) - surrogate.a, -surrogate.b * scale, -v])
        basis = null_space(balance, rcond=1e-10)
        # theta are the coordinates: combinations that are u itself first, so that they are of size one
        particular = np.linalg.pinv(balance, rcond=1e-10) @ disturbances.b
        residue = balance @ particular - disturbances.b
        if np.abs(residue).max(initial=0.0) > 1e-6 * max(1.0, np.abs(disturbances.b).max(initial=0.0)):
            raise GalenicError("a disturbance acts on a mode that no input reaches", cure="choose other disturbances")
        self._u_theta, self._u_d = basis[n : n + m], particular[n : n + m]
        self._s_theta, self._s_d = basis[n + m :], particular[n + m :]
        self._y_theta = surrogate.c @ basis[:n]
        self._y_d = surrogate.c @ particular[:n] + disturbances.c
        self._normalize()
        self._build(solver)

    def _normalize(self) -> None:
        """Scale theta so that each coordinate moves the scaled inputs and controlled outputs by about one."""
        rows = [self._u_theta, self._s_theta] + [self._y_theta[[y.index]] / y.scale for y in self._objective.outputs]
        stacked = np.vstack(rows)
        _, values, right = np.linalg.svd(stacked, full_matrices=False)
        transform = right.T / np.maximum(values, 1e-9 * values[0])
        self._u_theta, self._s_theta, self._y_theta = (
            self._u_theta @ transform,
            self._s_theta @ transform,
            self._y_theta @ transform,
        )

    def _build(self, solver: str) -> None:
        tracked, limited = self._objective.tracked, self._objective.limited
        m, k = len(self._objective.inputs), self._u_theta.shape[1]
        nt, nl, ng = len(tracked), len(limited), self._edges
        size = k + 2 * nt + nl + ng
        self._k, self._nt, self._nl, self._size = k, nt, nl, size
        weight = np.array([u.weight_ideal for u in self._objective.inputs])
        h = np.zeros((size, size))
        h[:k, :k] = 2.0 * (self._u_theta.T * weight) @ self._u_theta + 1e-10 * np.eye(k)
        h[:k, :k] += 2.0 * _IMBALANCE * self._s_theta.T @ self._s_theta
        errors = np.repeat([y.weight for y in tracked], 2)
        limits = np.array([y.limit_weight for y in limited])
        edges = np.full(ng, EDGE_PRICE)
        h[k:, k:] = np.diag(np.maximum(np.concatenate([errors, limits, edges]), _CURVATURE))
        self._linear = np.concatenate([np.zeros(k), errors, limits, edges])
        # rows: inputs; y - e+ + e- = r; y - l <= max; y + l >= min; G u - l <= h
        a = np.zeros((m + nt + 2 * nl + ng, size))
        a[m + nt + 2 * nl :, k + 2 * nt + nl :] = -np.eye(ng)
        a[:m, :k] = self._u_theta
        for i, y in enumerate(tracked):
            a[m + i, :k] = self._y_theta[y.index] / y.scale
            a[m + i, k + 2 * i : k + 2 * i + 2] = [-1.0, 1.0]
        for i, y in enumerate(limited):
            for row, sign in ((m + nt + i, -1.0), (m + nt + nl + i, 1.0)):
                a[row, :k] = self._y_theta[y.index] / y.scale
                a[row, k + 2 * nt + i] = sign
        self._qp = QuadraticProgram(h, a, solver=solver)
        self._a = a
        self._weight = weight
        rows = a[m : m + nt, :k]
        self._kkt = np.linalg.pinv(np.block([[h[:k, :k], rows.T], [rows, np.zeros((nt, nt))]]), rcond=1e-12)[:k]

    def reset(self) -> None:
        """Forget the last answer."""
        self._qp.reset()

    def snapshot(self) -> dict[str, FloatArray]:
        """The last answer, from which the next solution starts."""
        return self._qp.snapshot()

    def recall(self, snapshot: Mapping[str, FloatArray]) -> None:
        """Start from an answer that `snapshot` gave."""
        self._qp.recall(snapshot)

    def solve(self, d: FloatArray, references: FloatArray, relax: int = 4, edges: Edges | None = None) -> Target:
        """Target for a disturbance estimate.

        Args:
            d: shape (n_d,).
            references: absolute, of the tracked outputs in their order, shape (n_t,).
            relax: limits of this rank and worse are left out.
            edges: G and h of the design space, scaled so that a row counts a share of the inputs' ranges.
        """
        s, o = self._surrogate, self._objective
        scale, u0, y0 = o.input_scale, s.u0, s.y0
        u_free, y_free = self._u_d @ d, y0 + self._y_d @ d
        ideal = (np.array([u.ideal for u in o.inputs]) - u0) / scale
        g = self._linear.copy()
        g[: self._k] = self._gradient(u_free, ideal, d)
        low, high = (o.low - u0) / scale - u_free, (o.high - u0) / scale - u_free
        reference = np.array(
            [(r - y_free[y.index]) / y.scale for y, r in zip(o.tracked, references, strict=True)], dtype=np.float64
        )
        limits = [y.limits_of(relax) for y in o.limited]
        below, above = (
            np.array(
                [(pair[side] - y_free[y.index]) / y.scale for y, pair in zip(o.limited, limits, strict=True)], float
            )
            for side in (0, 1)
        )
        infinite, matrix = np.full(self._nl, math.inf), None
        edge = np.full(self._edges, math.inf)
        if edges is not None:
            matrix = self._a
            matrix[-self._edges :, : self._k] = (edges[0] * scale) @ self._u_theta
            if relax > 2:
                edge = edges[1] - edges[0] @ (u0 + scale * u_free)
        lbx = np.concatenate([np.full(self._k, -math.inf), np.zeros(self._size - self._k)])
        answer = self._qp.solve(
            g,
            lbx,
            np.full(self._size, math.inf),
            np.concatenate([low, reference, -infinite, below, np.full(self._edges, -math.inf)]),
            np.concatenate([high, reference, above, infinite, edge]),
            matrix,
        )
        theta = answer.x[: self._k]
        inputs = u0 + scale * (u_free + self._u_theta @ theta)
        return Target(np.clip(inputs, o.low, o.high), y_free + self._y_theta @ theta, answer.converged, answer.message)

    def path(self, d: FloatArray, references: FloatArray, relax: int = 4, edges: Edges | None = None) -> Target:
        """A target for each period of the horizon, see `Target`.

        Args:
            d: shape (n_d,).
            references: of the tracked outputs in their order, by period, shape (n_t, N).
            relax: as of `solve`.
            edges: as of `solve`.
        """
        targets: list[Target] = []
        for k in range(references.shape[1]):
            same = k > 0 and np.array_equal(references[:, k], references[:, k - 1])
            targets.append(targets[-1] if same else self.solve(d, references[:, k], relax, edges))
            if not targets[-1].converged:
                return targets[-1]
        return Target(np.array([t.inputs for t in targets]), np.array([t.outputs for t in targets]), True)

    def unconstrained(self, d: FloatArray, references: FloatArray) -> Target:
        """The target where no bound and no limit is heard: linear in both arguments, see `solve`; no solver."""
        s, o = self._surrogate, self._objective
        scale, u0 = o.input_scale, s.u0
        u_free, y_free = self._u_d @ d, s.y0 + self._y_d @ d
        ideal = (np.array([u.ideal for u in o.inputs]) - u0) / scale
        asked = [(r - y_free[y.index]) / y.scale for y, r in zip(o.tracked, references, strict=True)]
        theta = self._kkt @ np.concatenate([-self._gradient(u_free, ideal, d), asked])
        return Target(u0 + scale * (u_free + self._u_theta @ theta), y_free + self._y_theta @ theta, True)

    def _gradient(self, u_free: FloatArray, ideal: FloatArray, d: FloatArray) -> FloatArray:
        drift = _IMBALANCE * self._s_theta.T @ (self._s_d @ d)
        return np.asarray(2.0 * (self._u_theta.T @ (self._weight * (u_free - ideal)) + drift))
