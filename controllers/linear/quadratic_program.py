"""A convex quadratic program, built once and solved in every period, with its answer checked."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
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
_WARM = ("x0", "lam_x0", "lam_a0")
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
        sizes = {"g": len(h), "lbx": len(h), "ubx": len(h), "lba": len(a), "uba": len(a)}
        self._given = {name: np.zeros(size) for name, size in sizes.items()}
        self._given |= {"h": h.ravel(order="F").copy(), "a": a.ravel(order="F").copy()}
        self._given |= {"x0": np.zeros(len(h)), "lam_x0": np.zeros(len(h)), "lam_a0": np.zeros(len(a))}
        self._found = {"x": np.zeros(len(h)), "lam_x": np.zeros(len(h)), "lam_a": np.zeros(len(a))}
        self._keeps_buffer = solver == "daqp"  # others do not clear the memory that they are given
        self._run = self._connected()

    def _connected(self) -> Callable[[], None]:
        """The solver on fixed arrays: five times less overhead than passing arguments."""
        buffer, run = self._solver.buffer()
        for name, values in self._given.items():
            buffer.set_arg(self._solver.index_in(name), memoryview(values))  # type: ignore[call-arg,arg-type]
        for name, values in self._found.items():
            buffer.set_res(self._solver.index_out(name), memoryview(values))  # type: ignore[call-arg,arg-type]

        def solve() -> None:
            run()
            assert buffer is not None  # it owns what is run

        return solve

    def reset(self) -> None:
        """Forget the last answer."""
        for name in _WARM:
            self._given[name][:] = 0.0

    def snapshot(self) -> dict[str, FloatArray]:
        """The last answer, from which the next solution starts."""
        return {name: self._given[name].copy() for name in _WARM}

    def recall(self, snapshot: Mapping[str, FloatArray]) -> None:
        """Start from an answer that `snapshot` gave."""
        for name in _WARM:
            self._given[name][:] = np.asarray(snapshot[name]).ravel()

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
        given, found = self._given, self._found
        if a is not None:
            self._a = a
            given["a"][:] = a.ravel(order="F")
        if not np.isfinite(g).all() or (lbx > ubx).any() or (lba > uba).any() or np.isnan([lba, uba]).any():
            self.reset()
            return QPSolution(np.full(len(g), math.nan), False, math.inf, "not finite, or bounds that cross")
        for name, values in (("g", g), ("lbx", lbx), ("ubx", ubx), ("lba", lba), ("uba", uba)):
            given[name][:] = values
        try:
            run = self._run if self._keeps_buffer else self._connected()
            run()
        except Exception as error:  # a solver may raise anything; the caller has a fallback
            self.reset()
            return QPSolution(np.full(len(g), math.nan), False, math.inf, str(error).splitlines()[-1])
        x = found["x"].copy()
        residual = self._residual(x, found["lam_x"], found["lam_a"], g, lbx, ubx, lba, uba)
        if not residual <= self._tolerance:
            self.reset()
            return QPSolution(x, False, residual, f"optimality violated by {residual:.1e}")
        given["x0"][:], given["lam_x0"][:], given["lam_a0"][:] = x, found["lam_x"], found["lam_a"]
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
