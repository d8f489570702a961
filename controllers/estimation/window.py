"""The nonlinear program of a moving horizon estimator: built once for a horizon, solved for any data."""

from __future__ import annotations

from typing import Any, Literal

import casadi as ca
import numpy as np

from controllers.estimation.model import EstimationModel
from cosim.component import FloatArray
from fmus.errors import GalenicError

Engine = Literal["qrqp", "hpipm", "ipopt"]

_QP_OPTIONS: dict[str, dict[str, Any]] = {
    "qrqp": {"print_iter": False, "print_header": False, "print_info": False, "error_on_fail": False},
    "hpipm": {
        "error_on_fail": False,
        "hpipm": {"res_g_max": 1e-11, "res_b_max": 1e-11, "res_d_max": 1e-11, "res_m_max": 1e-11, "iter_max": 60},
    },
}


class Window:
    r"""Least squares over N periods with bounds, as a sparse program of stages.

        min  1/2 |W (x_0 - x_prior)|^2 + 1/2 sum_k |w_k|^2 + 1/2 sum_k,i  m_ki^2 (y_ki - H_i(x_k, u_k))^2
        s.t. x_{k+1} = x_k + a_k (F(x_k, u_{k+1}) - x_k) + g_k w_k,    low <= x_k <= high

    with W' W = P^-1 of the prior, g_k the standard deviations of the process noise, m_ki = 1/std of a value or 0 where
    there is none. a_k = 0, g_k = 0 makes a stage a copy: so one program serves a window that is not full yet. States
    are scaled by their nominals. The Hessian is Gauss-Newton's, so every quadratic program is convex.

    Args:
        model: with its disturbances.
        outputs: index of the output of each channel.
        horizon: N, in periods.
        engine: ``qrqp`` or ``hpipm`` below CasADi's SQP method, or ``ipopt`` as the reference.
        iterations: of the SQP method at most.
        tolerance: of primal and dual infeasibility, scaled.

    Attributes:
        prior, weight, inputs, active, noise, values, precision: the data, to be filled before `solve`; shapes (n,),
            (n, n), (N + 1, m), (N,), (N, n), (N + 1, c), (N + 1, c).
        guess: where the search begins, then the solution: x_0 ... x_N, shape (N + 1, n).
        iterations: that the last solution took.
    """

    def __init__(
        self,
        model: EstimationModel,
        outputs: list[int],
        horizon: int,
        *,
        engine: Engine = "qrqp",
        iterations: int = 20,
        tolerance: float = 1e-8,
    ) -> None:
        if horizon < 1:
            raise GalenicError(f"a horizon of {horizon} periods is not above 0")
        if engine not in ("qrqp", "hpipm", "ipopt"):
            raise GalenicError(f"there is no engine '{engine}'", cure="qrqp, hpipm or ipopt")
        n, m, c, self._n, self._horizon = model.size, len(model.inputs), len(outputs), model.size, horizon
        self._nominal = model.nominal
        shapes = ((n,), (n, n), (horizon + 1, m), (horizon,), (horizon, n), (horizon + 1, c), (horizon + 1, c))
        self._data = np.zeros(sum(int(np.prod(s)) for s in shapes))
        ends = np.cumsum([0, *(int(np.prod(s)) for s in shapes)])
        views = [self._data[a:b].reshape(s) for a, b, s in zip(ends[:-1], ends[1:], shapes, strict=True)]
        self.prior, self.weight, self.inputs, self.active, self.noise, self.values, self.precision = views
        self.guess: FloatArray = np.zeros((horizon + 1, n))
        self.iterations = 0
        self._pick = [(n + n) * k + i for k in range(horizon + 1) for i in range(n)]
        free = [(n + n) * k + n + i for k in range(horizon) for i in range(n)]
        size = (n + n) * horizon + n
        self._x: FloatArray = np.zeros(size)
        self._free = np.array(free)
        self._low, self._high = np.full(size, -np.inf), np.full(size, np.inf)
        self._low[self._pick] = np.tile(model.low / model.nominal, horizon + 1)
        self._high[self._pick] = np.tile(model.high / model.nominal, horizon + 1)
        self._solver = _build(model, outputs, horizon, list(shapes), engine, iterations, tolerance)

    def solve(self) -> bool:
        """Solve with the data that are there; whether the solution fulfils the program's conditions.

        ``guess`` holds the solution, or is untouched where there is none.
        """
        self._x[self._pick] = (self.guess / self._nominal).ravel()
        self._x[self._free] = 0.0
        try:
            found = self._solver(x0=self._x, p=self._data, lbx=self._low, ubx=self._high, lbg=0.0, ubg=0.0)
        except RuntimeError:  # the model or its integrator gives up
            return False
        stats = self._solver.stats()
        self.iterations = int(stats["iter_count"])
        x = found["x"].full().ravel()
        if not (stats["success"] and np.isfinite(x).all()):
            return False
        states = x[self._pick].reshape(self._horizon + 1, self._n) * self._nominal
        self.guess[:] = states
        return True


def _build(
    model: EstimationModel,
    outputs: list[int],
    horizon: int,
    shapes: list[tuple[int, ...]],
    engine: Engine,
    iterations: int,
    tolerance: float,
) -> Any:
    n = model.size
    data = ca.MX.sym("data", sum(int(np.prod(s)) for s in shapes))
    ends = np.cumsum([0, *(int(np.prod(s)) for s in shapes)])
    parts = []
    for a, b, s in zip(ends[:-1], ends[1:], shapes, strict=True):
        part = data[int(a) : int(b)]
        parts.append(part if len(s) == 1 else ca.reshape(part, s[1], s[0]).T)  # CasADi stores columns, numpy rows
    prior, weight, inputs, active, noise, values, precision = parts
    scale = ca.DM(model.nominal)
    xs = [ca.MX.sym(f"x{k}", n) for k in range(horizon + 1)]
    ws = [ca.MX.sym(f"w{k}", n) for k in range(horizon)]
    residuals, gaps = [weight @ (xs[0] * scale - prior)], []
    for k, x in enumerate(xs):
        y = model.measure(x * scale, inputs[k, :].T)[outputs]
        residuals.append(precision[k, :].T * (values[k, :].T - y))
        if k < horizon:
            end = model.step(x * scale, inputs[k + 1, :].T) / scale
            gaps.append(xs[k + 1] - (x + active[k] * (end - x) + noise[k, :].T / scale * ws[k]))
            residuals.append(ws[k])
    unknowns = ca.vertcat(*(part for pair in zip(xs, ws, strict=False) for part in pair), xs[-1])
    residual = ca.vertcat(*residuals)
    cost, g = ca.sumsqr(residual) / 2.0, ca.vertcat(*gaps)
    nlp = {"x": unknowns, "p": data, "f": cost, "g": g}
    if engine == "ipopt":
        ipopt: dict[str, Any] = {
            "print_time": False,
            "ipopt": {"print_level": 0, "sb": "yes", "tol": tolerance, "max_iter": 200},
        }
        return ca.nlpsol("window", "ipopt", nlp, ipopt)
    slope = ca.jacobian(residual, unknowns)
    lam_f, lam_g = ca.MX.sym("lam_f"), ca.MX.sym("lam_g", g.numel())
    hessian = ca.Function(
        "hessian",
        [unknowns, data, lam_f, lam_g],
        [lam_f * (slope.T @ slope)],
        ["x", "p", "lam_f", "lam_g"],
        ["hess_gamma_x_x"],
    )
    options: dict[str, Any] = {
        "qpsol": engine,
        "qpsol_options": _QP_OPTIONS[engine],
        "hess_lag": hessian,
        "max_iter": iterations,
        "tol_pr": tolerance,
        "tol_du": tolerance,
        "min_step_size": 1e-12,
        "show_eval_warnings": False,
        "print_header": False,
        "print_iteration": False,
        "print_time": False,
        "print_status": False,
        "error_on_fail": False,
    }
    return ca.nlpsol("window", "sqpmethod", nlp, options)
