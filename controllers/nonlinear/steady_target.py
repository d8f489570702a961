"""The steady state that meets the references best, on the nonlinear model, by the disturbances as estimated now."""

from __future__ import annotations

import math
import time as clock
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import casadi as ca
import numpy as np

from controllers.estimation.evaluation import Evaluation
from controllers.nonlinear.formulation import Formulation
from cosim.component import FloatArray

#: Price of one nominal of drift in a period: a state that cannot rest drifts rather than leave no target.
_DRIFT = 1e4
_SMALL = 1e-6
#: Iterations from the last target on, and how often a step is halved.
_FEW, _HALVINGS = 3, 6


@dataclass(frozen=True)
class SteadyTarget:
    """States (without disturbances), manipulated inputs and all outputs at rest; to be used where ``found``."""

    states: FloatArray
    inputs: FloatArray
    outputs: FloatArray
    found: bool
    iterations: int = 0


class SteadyTargetOptimizer:
    r"""Sequential quadratic programming on an exact penalty function, with the QP made elastic (Sl1QP, Fletcher 1987).

        min  sum w (|e| + 1/2 e^2) + sum v ((u - ideal) / scale)^2 + sum q l + rho |f(x, u) - x|_1 - value
        s.t. e = (y - r) / scale,   u_min <= u <= u_max,   y_min - l <= y <= y_max + l

    all scaled. The absolute values make references and rest exact wherever they can be reached, as in
    `controllers.linear.target.TargetOptimizer`; each QP has a solution whatever the point of linearisation. A step is
    halved until the penalty function falls. From the last target few iterations are made in a solve, so that a target
    that moves is followed as in a real-time iteration. Numbers never raise.

    Args:
        formulation: model and specification.
        iterations: at most.
        tolerance: scaled step at which it ends.
    """

    def __init__(self, formulation: Formulation, *, iterations: int = 12, tolerance: float = 1e-7) -> None:
        self._f, s, model = formulation, formulation.specification, formulation.model
        self._iterations, self._tolerance = iterations, tolerance
        n, nd, m = len(model.process.states), len(model.disturbances), len(s.manipulated)
        x, d, u = ca.SX.sym("x", n), ca.SX.sym("d", nd), ca.SX.sym("u", m)
        known = ca.SX.sym("known", len(formulation.others))
        full, both = formulation.inputs_of(u, known), ca.vertcat(x, d)
        drift = model.step(both, full)[:n] - x
        y, w = model.measure(both, full), ca.vertcat(x, u)
        value, _ = formulation._economics(y, u, ca.SX(1))
        results = [drift, ca.jacobian(drift, w), y, ca.jacobian(y, w), value, ca.jacobian(value, w)]
        self._evaluate = Evaluation(ca.Function("target", [x, d, u, known], [ca.densify(r) for r in results]))
        self._tracked = [model.output_index(c.output) for c in s.tracked]
        limited = [c for c in s.controlled if any(map(math.isfinite, c.limits))]
        self._limited = [model.output_index(c.output) for c in limited]
        self._scale_t = np.array([c.scale for c in s.tracked])
        self._scale_l = np.array([c.scale for c in limited])
        self._limits = np.array([c.limits for c in limited], dtype=np.float64).reshape(-1, 2)
        self._weight = np.array([c.weight + c.terminal_weight for c in s.tracked])
        self._price = np.array([c.price for c in limited])
        self._size_x, self._size_u = model.nominal[:n], np.array([c.scale for c in s.manipulated])
        self._pull = np.array([c.weight_ideal for c in s.manipulated])
        self._ideal = np.array([math.nan if c.ideal is None else c.ideal for c in s.manipulated])
        self._low, self._high = (np.array([c.bounds[i] for c in s.manipulated]) for i in (0, 1))
        self._shape = n, m, len(s.tracked), len(limited)
        self._qp = self._make_program()
        self.reset()

    def reset(self) -> None:
        """Forget the last target."""
        self._last: tuple[FloatArray, FloatArray] | None = None

    def snapshot(self) -> dict[str, Any]:
        """The last target."""
        return {"last": None if self._last is None else [a.copy() for a in self._last]}

    def recall(self, snapshot: Mapping[str, Any]) -> None:
        """Start from what `snapshot` gave."""
        last = snapshot["last"]
        self._last = None if last is None else (np.array(last[0]), np.array(last[1]))

    def solve(
        self,
        state: FloatArray,
        disturbances: FloatArray,
        inputs: FloatArray,
        known: FloatArray,
        references: FloatArray,
        on: FloatArray,
        deadline: float = math.inf,
    ) -> SteadyTarget:
        """The target; ``state``, ``inputs`` are where the search begins for the first time.

        Args:
            state: shape (n,).
            disturbances: shape (n_d,).
            inputs: manipulated, in force, shape (m,).
            known: other inputs, shape (k,).
            references: shape (n_t,).
            on: 0 or 1 for each rank: which limits hold.
            deadline: time of the clock (`time.perf_counter`) after which no iteration begins.
        """
        x, u = self._last if self._last is not None else (state.copy(), inputs.copy())
        u = np.clip(u, self._low, self._high)
        ideal = np.where(np.isfinite(self._ideal), self._ideal, inputs)
        limit_on = np.array([on[c.rank - 1] for c in self._f.specification.controlled if _limited(c.limits)])
        data = (disturbances, known, references, ideal, limit_on)
        nothing = SteadyTarget(x, u, np.full(len(self._f.model.outputs), math.nan), False)
        merit = self._at(x, u, data)
        if not math.isfinite(merit):
            x, u = state.copy(), np.clip(inputs, self._low, self._high)
            merit = self._at(x, u, data)
        k, most = 0, _FEW if self._last is not None else self._iterations
        for k in range(1, most + 1):  # noqa: B007
            if not math.isfinite(merit):
                return nothing
            step = self._step(u, data)
            if step is None:
                self.reset()
                return nothing
            dx, du = step
            length = 1.0
            for _ in range(_HALVINGS):
                new_x, new_u = x + length * dx, np.clip(u + length * du, self._low, self._high)
                new = self._at(new_x, new_u, data)
                if math.isfinite(new) and not self._better(new, merit):
                    new_x = self._settled(new_x)
                    new = self._at(new_x, new_u, data)
                if self._better(new, merit):
                    break
                length /= 2.0
            else:
                break
            change = max(_size((new_x - x) / self._size_x), _size((new_u - u) / self._size_u))
            x, u, merit = new_x, new_u, new
            if change < self._tolerance or clock.perf_counter() > deadline:
                break
        self._at(x, u, data)
        outputs = self._evaluate.results[2].copy()
        drift = _size(self._evaluate.results[0] / self._size_x)
        found = bool(np.isfinite(outputs).all()) and drift < 1e-4
        self._last = (x.copy(), u.copy()) if math.isfinite(merit) else None
        return SteadyTarget(x, u, outputs, found, k)

    @staticmethod
    def _better(new: float, old: float) -> bool:
        return math.isfinite(new) and new <= old + 1e-9 * max(1.0, abs(old))

    def _settled(self, x: FloatArray) -> FloatArray:
        """A second-order correction: one step of Newton's method towards rest, at the inputs evaluated last."""
        n = len(x)
        slope = self._evaluate.results[1].reshape((n, -1), order="F")[:, :n] * self._size_x / self._size_x[:, None]
        if not np.isfinite(slope).all():
            return x
        change = np.linalg.lstsq(slope, -self._evaluate.results[0] / self._size_x, rcond=1e-9)[0]
        return np.asarray(x + change * self._size_x)

    def _at(self, x: FloatArray, u: FloatArray, data: tuple[FloatArray, ...]) -> float:
        """Evaluate there; the penalty function."""
        d, known, references, ideal, on = data
        a = self._evaluate.arguments
        a[0][:], a[1][:], a[2][:], a[3][:] = x, d, u, known
        if not self._evaluate.run():
            return math.inf
        drift, _, y, _, value, _ = self._evaluate.results
        with np.errstate(over="ignore", invalid="ignore"):
            e = np.abs(y[self._tracked] - references) / self._scale_t
            rest = (u - ideal) / self._size_u
            over = np.maximum(y[self._limited] - self._limits[:, 1], self._limits[:, 0] - y[self._limited])
            over = np.maximum(over / self._scale_l, 0.0) * on
            cost = self._weight @ (e + e**2 / 2) + self._pull @ rest**2 + self._price @ (over + 0.005 * over**2)
            return float(cost + _DRIFT * np.abs(drift / self._size_x).sum() + value[0])

    def _step(self, u: FloatArray, data: tuple[FloatArray, ...]) -> tuple[FloatArray, FloatArray] | None:
        """The QP at the point that was evaluated last, in scaled changes (x, u, e+, e-, l, drift+, drift-)."""
        _, _, references, ideal, on = data
        n, m, nt, nl = self._shape
        drift, slope, y, gain, _, worth = self._evaluate.results
        w, errors, slacks = n + m, n + m + 2 * nt, n + m + 2 * nt + nl
        h, g, a, low, high, lower, upper = self._parts
        h[errors:slacks] = 0.01 * np.maximum(self._price * on, 1.0)
        g[:w] = worth * self._size
        g[n:w] += 2.0 * self._pull * (u - ideal) / self._size_u
        g[errors:slacks] = self._price * on
        np.multiply(slope.reshape((n, w), order="F"), self._slope_scale, out=a[:n, :w])
        outputs = gain.reshape((-1, w), order="F")
        np.multiply(outputs[self._tracked], self._gain_scale_t, out=a[n : n + nt, :w])
        np.multiply(outputs[self._limited], self._gain_scale_l, out=a[n + nt : n + nt + nl, :w])
        a[n + nt + nl :, :w] = a[n + nt : n + nt + nl, :w]
        lower[:n] = upper[:n] = -drift / self._size_x
        lower[n : n + nt] = upper[n : n + nt] = (references - y[self._tracked]) / self._scale_t
        here = y[self._limited]
        upper[n + nt : n + nt + nl] = (self._limits[:, 1] - here) / self._scale_l
        lower[n + nt + nl :] = (self._limits[:, 0] - here) / self._scale_l
        low[n:w], high[n:w] = (self._low - u) / self._size_u, (self._high - u) / self._size_u
        if not (np.isfinite(a).all() and np.isfinite(g).all() and not np.isnan(lower).any()):
            return None
        if not self._qp.run():
            return None
        answer = self._qp.results[0]
        return answer[:n] * self._size_x, answer[n:w] * self._size_u

    def _make_program(self) -> Evaluation:
        """The QP on fixed arrays; what never changes in them is written here."""
        n, m, nt, nl = self._shape
        total, rows = n + m + 2 * nt + nl + 2 * n, n + nt + 2 * nl
        shapes = {"h": ca.Sparsity.diag(total), "a": ca.Sparsity.dense(rows, total)}
        qp = Evaluation(ca.conic("target", "daqp", shapes, {"error_on_fail": False}))
        h, g, flat, lower, upper, low, high = qp.arguments[:7]
        a = flat.reshape((rows, total), order="F")
        self._parts = h, g, a, low, high, lower, upper
        h[:n], h[n : n + m] = _SMALL, 2.0 * self._pull + _SMALL
        h[n + m : n + m + 2 * nt] = np.repeat(np.maximum(self._weight, 1e-3), 2)
        h[total - 2 * n :] = 1.0
        g[n + m : n + m + 2 * nt], g[total - 2 * n :] = np.repeat(self._weight, 2), _DRIFT
        index = np.arange(n)
        a[index, total - 2 * n + index], a[index, total - n + index] = -1.0, 1.0
        for i in range(nt):
            a[n + i, n + m + 2 * i : n + m + 2 * i + 2] = [-1.0, 1.0]
        for i in range(nl):
            a[n + nt + i, n + m + 2 * nt + i], a[n + nt + nl + i, n + m + 2 * nt + i] = -1.0, 1.0
        low[:n], high[:n], low[n + m :], high[n + m :] = -1e3, 1e3, 0.0, math.inf
        lower[n + nt : n + nt + nl], upper[n + nt + nl :] = -math.inf, math.inf
        self._size = np.r_[self._size_x, self._size_u]
        self._slope_scale = self._size / self._size_x[:, None]
        self._gain_scale_t = self._size / self._scale_t[:, None]
        self._gain_scale_l = self._size / self._scale_l[:, None]
        return qp


def _limited(limits: tuple[float, float]) -> bool:
    return any(map(math.isfinite, limits))


def _size(vector: FloatArray) -> float:
    return float(np.abs(vector).max(initial=0.0))
