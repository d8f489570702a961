"""The same problem in do-mpc: a second opinion, and the yardstick."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import casadi
import numpy as np
import numpy.typing as npt

from controllers.optimal_control.answer import Answer, Status, no_plan
from controllers.optimal_control.problem import OptimalControlProblem
from controllers.optimal_control.roll_out import RollOut
from controllers.optimal_control.terms import vector
from cosim.component import FloatArray
from fmus.errors import GalenicError


class DoMPCEngine:
    """do-mpc (Fiedler et al. 2023, Control Engineering Practice 140) with its defaults: collocation and IPOPT.

    do-mpc differs in three points, so that its optimum is near ours and not the same: its collocation is not our
    Runge-Kutta; its soft constraints have the L1 part of the penalty alone; they hold at k = 0..K-1. Its scenarios have
    equal probabilities; ``states`` and ``cost`` of an answer are then of its first branch's inputs in every scenario.

    Args:
        problem: what to solve. Its grid must be uniform, without blocks and limits of moves, which do-mpc lacks.
        scaled: give do-mpc the problem's scales, which is not its default.
        **settings: for ``MPC.set_param``, over the defaults.

    Raises:
        GalenicError: do-mpc is not installed, or the problem has what it lacks.
    """

    def __init__(self, problem: OptimalControlProblem, *, scaled: bool = False, **settings: Any) -> None:
        try:
            do_mpc = import_module("do_mpc")
        except ImportError as error:
            raise GalenicError("do-mpc is not installed", cure="pip install do-mpc") from error
        scenarios = problem.scenarios
        if scenarios is not None and np.ptp(scenarios.probabilities) > 1e-9:
            raise GalenicError("do-mpc's scenarios are equally probable", cure="use another engine for this problem")
        lacking = any(s.steps != 1 or s.held for s in problem.stages) or np.isfinite(problem.move_limits).any()
        if lacking:
            raise GalenicError(
                "do-mpc has neither non-uniform grids nor move blocking nor limits of moves",
                cure="use another engine for this problem",
            )
        self.problem = problem
        self._roll_out, self._lock, self._warm = RollOut(problem), threading.Lock(), False
        self._values = np.zeros((len(problem.stages) + 1, problem.np + problem.ny))
        model = do_mpc.model.Model("discrete" if problem.discrete else "continuous", "SX")
        x = model.set_variable("_x", "x", shape=(problem.nx, 1))
        u = model.set_variable("_u", "u", shape=(problem.nu, 1))
        q = model.set_variable("_tvp", "q", shape=(self._values.shape[1] or 1, 1))
        offset = model.set_variable("_p", "offset", shape=(problem.np, 1)) if scenarios is not None else 0.0
        symbols = casadi.vertcat(problem.x, problem.u, problem.p)
        rates = casadi.Function("rates", [symbols], [problem.dynamics])
        model.set_rhs("x", rates(casadi.vertcat(x, u, q[: problem.np] + offset)))
        model.setup()
        # the set-up model has symbols of its own
        x, u, q = model.x["x"], model.u["u"], model.tvp["q"]
        offset = model.p["offset"] if scenarios is not None else 0.0
        values, ny = casadi.vertcat(x, u, q[: problem.np] + offset), problem.ny
        costs = casadi.vertcat(problem.y, problem.economic, problem.terminal_economic)
        at = casadi.Function("costs", [symbols], [costs])(values)
        tracked = at[:ny] - q[problem.np : problem.np + ny]
        self._mpc = mpc = do_mpc.controller.MPC(model)
        mpc.set_param(**{"n_horizon": len(problem.stages), "t_step": problem.step, **settings})
        if scenarios is not None:
            mpc.set_param(n_robust=scenarios.robust_horizon)
        mpc.settings.supress_ipopt_output()
        mpc.set_objective(
            lterm=casadi.dot(problem.output_weights, tracked**2) / 2 + at[ny],
            mterm=casadi.dot(problem.terminal_weights, tracked**2) / 2 + at[ny + 1],
        )
        self._input_scale = problem.input_scale if scaled else np.ones(problem.nu)
        mpc.set_rterm(u=problem.move_weights / 2 * self._input_scale**2)  # do-mpc counts moves in scales
        mpc.bounds["lower", "_u", "u"], mpc.bounds["upper", "_u", "u"] = problem.input_lower, problem.input_upper
        mpc.bounds["lower", "_x", "x"], mpc.bounds["upper", "_x", "x"] = problem.state_lower, problem.state_upper
        if scaled:
            mpc.scaling["_x", "x"], mpc.scaling["_u", "u"] = problem.state_scale, problem.input_scale
        for number, soft in enumerate(problem.soft_constraints):
            c = casadi.Function("c", [symbols], [soft.expression])(values)
            for side, expression, bound in (("high", c, soft.upper), ("low", -c, -soft.lower)):
                if math.isfinite(bound):
                    mpc.set_nl_cons(
                        f"{side}_{number}",
                        expression / soft.scale,
                        bound / soft.scale,
                        soft_constraint=True,
                        penalty_term_cons=soft.l1,
                    )
        template = mpc.get_tvp_template()

        def values_of_nodes(_: float) -> Any:
            for k, row in enumerate(self._values):
                if len(row):
                    template["_tvp", k, "q"] = row
            return template

        mpc.set_tvp_fun(values_of_nodes)
        if scenarios is not None:
            sets = mpc.get_p_template(scenarios.count)
            for number, row in enumerate(scenarios.offsets):
                sets["_p", number, "offset"] = row
            mpc.set_p_fun(lambda _: sets)
        mpc.setup()

    def reset(self) -> None:
        """Forget the last plan."""
        with self._lock:
            self._warm = False

    def snapshot(self) -> dict[str, Any]:
        """Nothing: do-mpc's own is not restored, so the next solve starts from the beginning."""
        return {}

    def recall(self, snapshot: Mapping[str, Any]) -> None:  # noqa: ARG002
        """See `snapshot`."""
        self.reset()

    def solve(
        self,
        state: npt.ArrayLike,
        previous_input: npt.ArrayLike,
        parameters: npt.ArrayLike = (),
        references: npt.ArrayLike = (),
        *,
        elapsed: int = 1,  # noqa: ARG002
        move_limits: npt.ArrayLike | None = None,
        durations: npt.ArrayLike | None = None,
        prices: npt.ArrayLike | None = None,
        budget: float | None = None,
    ) -> Answer:
        """See `Engine.solve`; do-mpc does not shift its plan, so ``elapsed`` changes nothing."""
        if not (move_limits is None and durations is None and prices is None and budget is None):
            raise GalenicError(
                "do-mpc takes no limits of moves, durations, prices or budget by solve", cure="use another engine"
            )
        problem, mpc, began = self.problem, self._mpc, time.perf_counter()
        with self._lock:
            x, v = vector(state, problem.nx, "state"), vector(previous_input, problem.nu, "previous_input")
            problem.fill_node_values(self._values, parameters, references)
            if not (np.isfinite(x).all() and np.isfinite(v).all() and np.isfinite(self._values).all()):
                self._warm = False
                return no_plan(problem, Status.NOT_FINITE, seconds=time.perf_counter() - began)
            mpc.u0 = v
            if not self._warm:
                mpc.reset_history()
                mpc.x0 = x
                mpc.set_initial_guess()
            try:
                mpc.make_step(x)
            except Exception as error:  # a solver may raise anything; the caller has a fallback
                self._warm = False
                return no_plan(problem, Status.FAILED, str(error).splitlines()[-1], time.perf_counter() - began)
            spent = time.perf_counter() - began
            inputs = self._plan()
            self._warm = bool(mpc.solver_stats["success"])
            said = str(mpc.solver_stats["return_status"])
            if not self._warm:
                status = Status.INFEASIBLE if "nfeasible" in said else Status.FAILED
                return no_plan(problem, status, said, spent)
            rolled = self._roll_out(x, v, self._values, inputs)
            return Answer(
                Status.SOLVED,
                inputs,
                rolled.states,
                rolled.cost,
                rolled.violation,
                int(mpc.solver_stats["iter_count"]),
                seconds=spent,
                message=said,
            )

    def _plan(self) -> FloatArray:
        problem, plan = self.problem, self._mpc.opt_x_num
        rows = [np.asarray(plan["_u", k, 0], dtype=np.float64).ravel() for k in range(len(problem.stages))]
        return np.clip(np.array(rows) * self._input_scale, problem.input_lower, problem.input_upper)
