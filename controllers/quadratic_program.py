"""A convex quadratic program, built once and solved in every period, with its answer checked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import casadi
import numpy as np

from cosim.component import FloatArray
from fmus.errors import GalenicError

_HPIPM_TOLERANCES = ("res_g_max", "res_b_max", "res_d_max", "res_m_max")
_OPTIONS: dict[str, dict[str, Any]] = {
    "daqp": {"daqp": {"primal_tol": 1e-9}},  # with its default first moves are off by up to 3e-5 of the range
    "qrqp": {"print_iter": False, "print_header": False, "print_info": False, "max_iter": 300},
    "osqp": {"osqp": {"verbose": False, "eps_abs": 1e-7, "eps_rel": 1e-7, "max_iter": 20000, "polish": True}},
    # an interior point wants "no bound" to be large, not huge; answers are checked against the true bounds
    "hpipm": {"inf": 1e4, "hpipm": {"iter_max": 60, **dict.fromkeys(_HPIPM_TOLERANCES, 1e-8)}},
}
#: Solvers that may be named.
SOLVERS = tuple(_OPTIONS)


@dataclass(frozen=True)
class QPSolution:
    """``x`` is to be used only where ``converged``; ``residual`` is the largest scaled violation of optimality."""

    x: FloatArray
    converged: bool
    residual: float
    message: str = ""


class QuadraticProgram:
    r"""min 1/2 x' H x + g' x  subject to  lbx <= x <= ubx,  lba <= A x <= uba,  with H and A fixed.

    The solver is one of CasADi's ``conic`` interfaces; daqp (a dense dual active-set method) is the fastest on the
    small dense programs of this package. Whatever it reports, an answer counts as converged only when it fulfils the
    conditions of Karush, Kuhn and Tucker, which are necessary and sufficient here, to a tolerance:

        H x + g + A' l_a + l_x = 0,   bounds kept,   l+ (x - ub) = 0,   l- (lb - x) = 0,   l = l+ - l-

    The last answer and its multipliers start the next solve, and are forgotten after a failure.

    Args:
        h: shape (n, n), symmetric positive definite.
        a: shape (k, n).
        solver: one of `SOLVERS`.
        tolerance: relative to the size of the terms in each condition.

    Raises:
        GalenicError: an unknown solver, or H not positive definite.
    """

    def __init__(self, h: FloatArray, a: FloatArray, *, solver: str = "daqp", tolerance: float = 1e-5) -> None:
        if solver not in _OPTIONS:
            raise GalenicError(f"unknown QP solver '{solver}'", cure=f"use one of {', '.join(SOLVERS)}")
        if np.linalg.eigvalsh(h).min() <= 0.0:
            raise GalenicError("the quadratic program is not strictly convex", cure="give every input a weight")
        self._h, self._a, self._tolerance = h, a, tolerance
        options = {**_OPTIONS[solver], "error_on_fail": False}
        h_dm, a_dm = casadi.DM(h), casadi.DM(a)
        if solver == "hpipm":  # a dense problem is one stage whose state holds every variable
            options |= {"N": 0, "nx": [h.shape[0]], "nu": [0], "ng": [a.shape[0]]}
        self._solver = casadi.conic("qp", solver, {"h": h_dm.sparsity(), "a": a_dm.sparsity()}, options)
        self._fixed = {"h": h_dm, "a": a_dm}
        self._warm: dict[str, Any] = {}

    def reset(self) -> None:
        """Forget the last answer."""
        self._warm = {}

    def snapshot(self) -> dict[str, FloatArray]:
        """The last answer, from which the next solution starts."""
        return {name: np.asarray(value, dtype=np.float64) for name, value in self._warm.items()}

    def recall(self, snapshot: Mapping[str, FloatArray]) -> None:
        """Start from an answer that `snapshot` gave."""
        self._warm = {name: casadi.DM(value) for name, value in snapshot.items()}

    def solve(
        self,
        g: FloatArray,
        lbx: FloatArray,
        ubx: FloatArray,
        lba: FloatArray,
        uba: FloatArray,
        a: FloatArray | None = None,
    ) -> QPSolution:
        """Solve; never raises for what the numbers are.

        Args:
            g: shape (n,).
            lbx: shape (n,), may be -inf; likewise ``ubx``.
            ubx: see ``lbx``.
            lba: shape (k,), may be -inf; likewise ``uba``.
            uba: see ``lba``.
            a: in place of A, for this solution and those that follow.
        """
        if a is not None:
            self._a, self._fixed["a"] = a, casadi.DM(a)
        failed = np.full(len(g), math.nan)
        if not np.isfinite(g).all() or (lbx > ubx).any() or (lba > uba).any() or np.isnan([lba, uba]).any():
            self.reset()
            return QPSolution(failed, False, math.inf, "not finite, or bounds that cross")
        try:
            answer = self._solver(g=g, lbx=lbx, ubx=ubx, lba=lba, uba=uba, **self._fixed, **self._warm)
        except Exception as error:  # a solver may raise anything; the caller has a fallback
            self.reset()
            return QPSolution(failed, False, math.inf, str(error).splitlines()[-1])
        x = np.asarray(answer["x"], dtype=np.float64).ravel()
        lam_x = np.asarray(answer["lam_x"], dtype=np.float64).ravel()
        lam_a = np.asarray(answer["lam_a"], dtype=np.float64).ravel()
        residual = self._residual(x, lam_x, lam_a, g, lbx, ubx, lba, uba)
        if not residual <= self._tolerance:
            self.reset()
            return QPSolution(x, False, residual, f"optimality violated by {residual:.1e}")
        self._warm = {"x0": answer["x"], "lam_x0": answer["lam_x"], "lam_a0": answer["lam_a"]}
        return QPSolution(x, True, residual)

    def _residual(
        self,
        x: FloatArray,
        lam_x: FloatArray,
        lam_a: FloatArray,
        g: FloatArray,
        lbx: FloatArray,
        ubx: FloatArray,
        lba: FloatArray,
        uba: FloatArray,
    ) -> float:
        if not (np.isfinite(x).all() and np.isfinite(lam_x).all() and np.isfinite(lam_a).all()):
            return math.inf
        row, hx = self._a @ x, self._h @ x
        lam = self._a.T @ lam_a
        size = 1.0 + max(np.abs(v).max(initial=0.0) for v in (hx, g, lam, lam_x))
        stationarity = np.abs(hx + g + lam + lam_x).max(initial=0.0) / size
        value = np.concatenate([x, row])
        low, high = np.concatenate([lbx, lba]), np.concatenate([ubx, uba])
        multiplier = np.concatenate([lam_x, lam_a])
        width = 1.0 + np.abs(value)
        primal = max(((low - value) / width).max(initial=0.0), ((value - high) / width).max(initial=0.0))
        side = np.where(multiplier > 0.0, high, low)
        gap = np.where(multiplier == 0.0, 0.0, np.abs(value - np.where(np.isfinite(side), side, np.inf)))
        tiny = np.abs(multiplier) <= 1e-9 * size
        complementary = np.where(tiny, 0.0, np.minimum(np.abs(multiplier) / size, gap / width)).max(initial=0.0)
        return float(max(stationarity, primal, complementary))
