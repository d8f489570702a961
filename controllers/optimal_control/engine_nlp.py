"""Engines on CasADi's solvers of nonlinear programs: slower, and nothing is compiled."""

from __future__ import annotations

import math
import threading
import time
from typing import Any

import casadi
import numpy as np
import numpy.typing as npt

from controllers.optimal_control.answer import Answer, Status, no_plan
from controllers.optimal_control.problem import OptimalControlProblem
from controllers.optimal_control.roll_out import RollOut
from controllers.optimal_control.transcription import Transcription
from cosim.component import FloatArray

#: What a solver says, as a status. Anything else is a failure.
_STATUS = {
    "Solve_Succeeded": Status.SOLVED,
    "Solved_To_Acceptable_Level": Status.SOLVED,
    "Maximum_Iterations_Exceeded": Status.ITERATED,
    "Maximum_CpuTime_Exceeded": Status.OUT_OF_TIME,
    "Maximum_WallTime_Exceeded": Status.OUT_OF_TIME,
    "Infeasible_Problem_Detected": Status.INFEASIBLE,
}


class _ProgramEngine:
    """What CasADi's engines share: guess, call, check."""

    def __init__(self, transcription: Transcription, solver: Any, tolerance: float, feasible: float) -> None:
        self.problem = transcription.problem
        self._program, self._solver = transcription, solver
        self._tolerance, self._feasible = tolerance, feasible
        self._roll_out = RollOut(self.problem)
        self._lock = threading.Lock()
        self._last: dict[str, FloatArray] = {}
        w, q, g = transcription.w, casadi.vec(transcription.q), transcription.g
        lam_g = casadi.SX.sym("lam_g", g.numel())
        lam_w = casadi.SX.sym("lam_w", w.numel())
        lagrangian = transcription.f + casadi.dot(lam_g, g)
        gradient = casadi.gradient(lagrangian, w) + lam_w
        self._conditions = casadi.Function("conditions", [w, q, lam_w, lam_g], [gradient, g])
        times = self.problem.node_steps
        self._next_node = np.searchsorted(times, times + 1, side="right") - 1

    def reset(self) -> None:
        """Forget the last plan."""
        with self._lock:
            self._last = {}

    def solve(
        self,
        state: npt.ArrayLike,
        previous_input: npt.ArrayLike,
        parameters: npt.ArrayLike = (),
        references: npt.ArrayLike = (),
        *,
        elapsed: int = 1,
    ) -> Answer:
        """See `Engine.solve`."""
        problem, began = self.problem, time.perf_counter()
        with self._lock:
            x, v = (np.array(a, dtype=np.float64) for a in (state, previous_input))
            values = np.empty((len(problem.stages) + 1, problem.np + problem.ny))
            problem.fill_node_values(values, parameters, references)
            if not (np.isfinite(x).all() and np.isfinite(v).all() and np.isfinite(values).all()):
                self._last = {}
                return no_plan(problem, Status.NOT_FINITE, seconds=time.perf_counter() - began)
            try:
                answer, stats = self._call(x, v, values, elapsed)
            except Exception as error:  # a solver may raise anything; the caller has a fallback
                self._last = {}
                return no_plan(problem, Status.FAILED, str(error).splitlines()[-1], time.perf_counter() - began)
            return self._checked(x, v, values, answer, stats, began)

    def _call(self, x: FloatArray, v: FloatArray, values: FloatArray, elapsed: int) -> tuple[dict[str, Any], Any]:
        program = self._program
        program.fix_start(x, v)
        guess: dict[str, Any]
        if self._last:
            inputs, states = self._last["inputs"], self._last["states"]
            for _ in range(elapsed):
                states = states[self._next_node]
                inputs = inputs[np.minimum(self._next_node[:-1], len(inputs) - 1)]
            states = np.vstack([x, states[1:]])
            guess = {"lam_x0": self._last["lam_w"], "lam_g0": self._last["lam_g"]}
        else:
            held = np.clip(v, self.problem.input_lower, self.problem.input_upper)
            inputs = np.tile(held, (len(self.problem.stages), 1))
            states = self._roll_out(x, v, values, inputs).states
            guess = {}
        answer = self._solver(
            x0=program.guess(states, inputs, v),
            p=values.ravel(),
            lbx=program.lower,
            ubx=program.upper,
            lbg=program.g_lower,
            ubg=program.g_upper,
            **guess,
        )
        return {
            name: np.asarray(value, dtype=np.float64).ravel() for name, value in answer.items()
        }, self._solver.stats()

    def _checked(
        self, x: FloatArray, v: FloatArray, values: FloatArray, answer: dict[str, Any], stats: Any, began: float
    ) -> Answer:
        problem, program = self.problem, self._program
        said = str(stats["return_status"])
        status = _STATUS.get(said, Status.FAILED)
        w, lam_w, lam_g = answer["x"], answer["lam_x"], answer["lam_g"]
        if not np.isfinite(w).all():
            self._last = {}
            return no_plan(problem, Status.FAILED, said, time.perf_counter() - began)
        residual, outside = self._residual(w, values, lam_w, lam_g)
        if status in (Status.FAILED, Status.INFEASIBLE) or outside > self._feasible:
            self._last = {}
            status = Status.INFEASIBLE if outside > self._feasible else status
            return no_plan(problem, status, said, time.perf_counter() - began)
        if status is Status.ITERATED and residual < self._tolerance:
            status = Status.SOLVED
        inputs = program.inputs_of(w)
        rolled = self._roll_out(x, v, values, inputs)
        if not math.isfinite(rolled.cost):
            self._last = {}
            return no_plan(problem, Status.FAILED, said, time.perf_counter() - began)
        self._last = {"inputs": inputs, "states": rolled.states, "lam_w": lam_w, "lam_g": lam_g}
        return Answer(
            status,
            inputs,
            rolled.states,
            rolled.cost,
            rolled.violation,
            int(stats["iter_count"]),
            residual=residual,
            seconds=time.perf_counter() - began,
            message=said,
        )

    def _residual(self, w: FloatArray, values: FloatArray, lam_w: FloatArray, lam_g: FloatArray) -> tuple[float, float]:
        """Largest residual of the conditions of optimality, and the largest violation of a hard limit."""
        program, parts = self._program, self._conditions(w, values.ravel(), lam_w, lam_g)
        gradient, g = (np.asarray(part, dtype=np.float64).ravel() for part in parts)
        value, multiplier = np.r_[w, g], np.r_[lam_w, lam_g]
        low, high = np.r_[program.lower, program.g_lower], np.r_[program.upper, program.g_upper]
        outside = np.maximum(low - value, value - high)
        distance = np.where(multiplier > 0.0, high - value, value - low)
        # a multiplier of a bound that is none is as wrong as it is large
        product = np.abs(multiplier * np.where(np.isfinite(distance), distance, 1.0))
        free = gradient[self.problem.nx + self.problem.nu :]  # z_0 is given
        residual = max(float(a.max(initial=0.0)) for a in (np.abs(free), outside, product))
        return residual, float(outside[program.hard].max(initial=0.0))


class CasADiEngine(_ProgramEngine):
    """CasADi's ``sqpmethod`` with HPIPM and Gauss-Newton Hessians: where nothing can be compiled.

    Args:
        problem: what to solve.
        iterations: of sequential quadratic programming; 1 is a real-time iteration.
        tolerance: of the conditions of optimality, scaled.
    """

    def __init__(self, problem: OptimalControlProblem, *, iterations: int = 1, tolerance: float = 1e-5) -> None:
        program = Transcription(problem, gauss_newton=True)
        q = casadi.vec(program.q)
        factor = casadi.SX.sym("factor")
        lam_g = casadi.SX.sym("lam_g", program.g.numel())
        hessian = casadi.Function("hessian", [program.w, q, factor, lam_g], [program.hessian])
        quiet = {"print_iteration": False, "print_header": False, "print_status": False, "print_time": False}
        options: dict[str, Any] = {
            **quiet,
            "hess_lag": hessian,
            "max_iter": iterations,
            "tol_pr": tolerance,
            "tol_du": tolerance,
            "min_step_size": 0.0,  # a guess that is the optimum still needs its multipliers
            "error_on_fail": False,
            "qpsol": "hpipm",
            # the interface knows no inputs, so no slacks, in the last stage: an empty one follows
            "qpsol_options": {
                "N": len(problem.stages) + 1,
                "nx": [*[problem.nx + problem.nu] * (len(problem.stages) + 1), 0],
                "nu": [*program.controls, 0],
                "ng": [*program.rows, 0],
                "error_on_fail": False,
                "print_time": False,
                "hpipm": {"iter_max": 100, **dict.fromkeys(("res_g_max", "res_b_max", "res_d_max", "res_m_max"), 1e-7)},
            },
        }
        nlp = {"x": program.w, "p": q, "f": program.f, "g": program.g}
        super().__init__(program, casadi.nlpsol("sqp", "sqpmethod", nlp, options), tolerance, feasible=1e-2)


class IPOPTEngine(_ProgramEngine):
    """IPOPT with exact Hessians: the reference.

    Args:
        problem: what to solve.
        iterations: at most so many.
        tolerance: IPOPT's ``tol``.
        budget: wall time in s; IPOPT looks at it once an iteration.
    """

    def __init__(
        self,
        problem: OptimalControlProblem,
        *,
        iterations: int = 300,
        tolerance: float = 1e-7,
        budget: float = math.inf,
    ) -> None:
        program = Transcription(problem)
        options: dict[str, Any] = {"tol": tolerance, "max_iter": iterations, "print_level": 0, "sb": "yes"}
        # the bounds of fixed variables are equalities, and no bound is relaxed: answers are compared to the bounds
        options |= {"bound_relax_factor": 0.0, "honor_original_bounds": "yes"}
        if math.isfinite(budget):
            options["max_wall_time"] = budget
        nlp = {"x": program.w, "p": casadi.vec(program.q), "f": program.f, "g": program.g}
        quiet = {"print_time": False, "error_on_fail": False}
        super().__init__(
            program, casadi.nlpsol("nlp", "ipopt", nlp, {**quiet, "ipopt": options}), tolerance, feasible=1e-5
        )
