"""A problem in acados (Verschueren et al. 2022, Math. Program. Comput. 14, 147), where that is installed.

It needs acados_template with acados' libraries, ACADOS_SOURCE_DIR as acados wants it, and a C compiler. Times have what
its Python interface takes to shift the last plan.
"""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
import time
from importlib import import_module
from typing import Any

import casadi
import numpy as np

from controllers.optimal_control import Answer, OptimalControlProblem, Status
from controllers.optimal_control.answer import no_plan
from controllers.optimal_control.roll_out import RollOut

#: An economic term e enters the sum of squares as (K + e / K)^2 / 2 - K^2 / 2 = e + (e / K)^2 / 2.
_LARGE = 300.0


def acados_template() -> Any:
    """The package, under the name that it is installed by, or None."""
    for name in ("acados_template", "acados.acados_template"):
        with contextlib.suppress(ImportError, OSError):
            return import_module(name)
    return None


class AcadosEngine:
    """SQP_RTI with Gauss-Newton Hessians and HPIPM on the same problem: uniform grid, no scenarios.

    The states are z = (x, u_{k-1}), scaled as ours; soft constraints hold at k = 0..K.
    """

    def __init__(self, problem: OptimalControlProblem) -> None:
        template = acados_template()
        self.problem, self._roll_out, self._warm = problem, RollOut(problem), False
        p, count = problem, len(problem.stages)
        z, u = casadi.SX.sym("z", p.nx + p.nu), casadi.SX.sym("u", p.nu)
        r = casadi.SX.sym("r", p.ny)
        state, inputs, nominal = z[: p.nx] * p.state_scale, u * p.input_scale, np.zeros(p.np)
        following = p.next_state(state, inputs, nominal, p.stages[0].duration, p.stages[0].substeps)
        symbols, given = casadi.vertcat(p.x, p.u, p.p), casadi.vertcat(state, inputs, nominal)
        outputs = casadi.Function("outputs", [symbols], [casadi.vertcat(p.y, p.economic)])(given)
        soft = casadi.Function(
            "soft", [symbols], [casadi.vertcat(*(c.expression / c.scale for c in p.soft_constraints))]
        )
        tracked = outputs[: p.ny] - r
        residuals = casadi.vertcat(
            np.sqrt(p.output_weights) * tracked,
            np.sqrt(p.move_weights) * p.input_scale * (u - z[p.nx :]),
            _LARGE + outputs[p.ny] / _LARGE,
        )
        ocp = template.AcadosOcp()
        model = ocp.model
        model.name, model.x, model.u, model.p = "galenic_benchmark", z, u, r
        model.disc_dyn_expr = casadi.vertcat(following / p.state_scale, u)
        model.cost_y_expr, model.cost_y_expr_e = residuals, np.sqrt(p.terminal_weights) * tracked
        model.con_h_expr = model.con_h_expr_e = soft(given)
        ocp.cost.cost_type = ocp.cost.cost_type_e = "NONLINEAR_LS"
        ocp.cost.W, ocp.cost.W_e = np.eye(int(residuals.numel())), np.eye(p.ny)
        ocp.cost.yref, ocp.cost.yref_e = np.zeros(int(residuals.numel())), np.zeros(p.ny)
        ocp.parameter_values = np.zeros(p.ny)
        limits = ocp.constraints
        low = np.array([max(c.lower / c.scale, -1e6) for c in p.soft_constraints])
        high = np.array([min(c.upper / c.scale, 1e6) for c in p.soft_constraints])
        limits.lh, limits.uh, limits.lh_e, limits.uh_e = low, high, low, high
        limits.idxsh = limits.idxsh_e = np.arange(len(low))
        l1, l2 = (np.array([getattr(c, name) for c in p.soft_constraints]) for name in ("l1", "l2"))
        cost = ocp.cost
        cost.zl = cost.zu = cost.zl_e = cost.zu_e = l1
        cost.Zl = cost.Zu = cost.Zl_e = cost.Zu_e = l2
        limits.lbu, limits.ubu = p.input_lower / p.input_scale, p.input_upper / p.input_scale
        limits.idxbu, limits.x0 = np.arange(p.nu), np.zeros(p.nx + p.nu)
        options = ocp.solver_options
        options.tf, options.integrator_type, options.nlp_solver_type = float(count), "DISCRETE", "SQP_RTI"
        options.hessian_approx, options.qp_solver = "GAUSS_NEWTON", "PARTIAL_CONDENSING_HPIPM"
        options.qp_solver_warm_start, options.qp_solver_iter_max, options.print_level = 1, 50, 0
        # costs are sums over stages, not integrals
        with contextlib.suppress(AttributeError):
            options.cost_scaling = np.ones(count + 1)
        if hasattr(ocp, "dims") and hasattr(ocp.dims, "N"):
            ocp.dims.N = count
        with contextlib.suppress(AttributeError):
            options.N_horizon = count
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        before = os.getcwd()
        try:
            os.chdir(self._folder.name)
            with contextlib.redirect_stdout(io.StringIO()):
                self._solver = template.AcadosOcpSolver(ocp, json_file="acados_ocp.json")
        finally:
            os.chdir(before)

    def reset(self) -> None:
        """Forget the last plan."""
        self._warm = False

    def solve(self, state: Any, previous_input: Any, _: Any = (), references: Any = (), **__: Any) -> Answer:
        """One iteration, after the last plan was shifted by one stage; ten at first."""
        began, p, solver, count = time.perf_counter(), self.problem, self._solver, len(self.problem.stages)
        start = np.r_[state / p.state_scale, previous_input / p.input_scale]
        if self._warm:
            for k in range(1, count):
                solver.set(k, "x", solver.get(k + 1, "x"))
                solver.set(k - 1, "u", solver.get(k, "u"))
        else:
            held = np.clip(start[p.nx :], p.input_lower / p.input_scale, p.input_upper / p.input_scale)
            for k in range(count + 1):
                solver.set(k, "x", start)
                if k < count:
                    solver.set(k, "u", held)
        for k in range(count + 1):
            solver.set(k, "p", np.asarray(references))
        solver.set(0, "lbx", start)
        solver.set(0, "ubx", start)
        for _ in range(1 if self._warm else 10):
            code = solver.solve()
        inputs = np.array([solver.get(k, "u") for k in range(count)]) * p.input_scale
        seconds = time.perf_counter() - began
        self._warm = code in (0, 2) and bool(np.isfinite(inputs).all())
        if not self._warm:
            return no_plan(p, Status.FAILED, f"acados status {code}", seconds)
        return Answer(Status.ITERATED, inputs, np.full((count + 1, p.nx), np.nan), seconds=seconds)
