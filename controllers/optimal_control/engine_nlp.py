"""Engines on CasADi's solvers of nonlinear programs: slower, and nothing is compiled."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import casadi
import numpy as np
import numpy.typing as npt

from controllers.optimal_control.answer import Answer, Status, branches_in, no_plan
from controllers.optimal_control.problem import OptimalControlProblem
from controllers.optimal_control.roll_out import RollOut
from controllers.optimal_control.terms import Terms, terms_of, vector
from controllers.optimal_control.transcription import Transcription
from cosim.component import FloatArray
from fmus.errors import GalenicError

#: What a solver says, as a status. Anything else is a failure.
_STATUS = {
    "Solve_Succeeded": Status.SOLVED,
    "Solved_To_Acceptable_Level": Status.SOLVED,
    "Maximum_Iterations_Exceeded": Status.ITERATED,
    "Maximum_CpuTime_Exceeded": Status.OUT_OF_TIME,
    "Maximum_WallTime_Exceeded": Status.OUT_OF_TIME,
    "User_Requested_Stop": Status.OUT_OF_TIME,
    "Infeasible_Problem_Detected": Status.INFEASIBLE,
}


class _Deadline(casadi.Callback):
    """Stops a solver at a time; it is asked once an iteration."""

    def __init__(self, program: Transcription) -> None:
        super().__init__()
        self.time = math.inf
        sizes = {"x": program.w.numel(), "f": 1, "g": program.g.numel(), "lam_x": program.w.numel()}
        sizes |= {"lam_g": program.g.numel(), "lam_p": program.q.numel()}
        self._sizes = [int(sizes[casadi.nlpsol_out(i)]) for i in range(casadi.nlpsol_n_out())]
        self.construct("deadline")

    def get_n_in(self) -> int:
        """As CasADi asks."""
        return len(self._sizes)

    def get_sparsity_in(self, i: int) -> Any:
        """As CasADi asks."""
        return casadi.Sparsity.dense(self._sizes[i])

    def eval(self, _: Any) -> list[int]:
        """Not zero: stop."""
        return [int(time.perf_counter() > self.time)]


class _Program:
    """A transcription with its solvers and conditions of optimality."""

    def __init__(
        self, transcription: Transcription, solver: str, options: dict[str, Any], warm: dict[str, Any]
    ) -> None:
        self.transcription, self.deadline = transcription, _Deadline(transcription)
        w, q, g = transcription.w, transcription.q, transcription.g
        nlp = {"x": w, "p": q, "f": transcription.f, "g": g}
        options = {**options, "iteration_callback": self.deadline}
        self.cold = casadi.nlpsol("nlp", solver, nlp, options)
        together = {**options, solver: {**options.get(solver, {}), **warm}}
        self.warm = casadi.nlpsol("nlp", solver, nlp, together) if warm else self.cold
        lam_g, lam_w = casadi.SX.sym("lam_g", g.numel()), casadi.SX.sym("lam_w", w.numel())
        gradient = casadi.gradient(transcription.f + casadi.dot(lam_g, g), w) + lam_w
        self.conditions = casadi.Function("conditions", [w, q, lam_w, lam_g], [gradient, g])


@dataclass
class _Last:
    """What a solve left to start the next one from."""

    held: bool  # whether the program has rows for the moves of every input
    w: FloatArray
    lam_w: FloatArray
    lam_g: FloatArray
    weights: FloatArray


class _ProgramEngine:
    """What CasADi's engines share: guess, call, check."""

    def __init__(self, problem: OptimalControlProblem, tolerance: float, feasible: float, budget: float) -> None:
        self.problem = problem
        self._tolerance, self._feasible, self._budget = tolerance, feasible, budget
        self._roll_out = RollOut(problem)
        self._lock = threading.Lock()
        self._programs = {False: self._make_program(all_moves=False)}
        self._last: _Last | None = None

    def reset(self) -> None:
        """Forget the last plan."""
        with self._lock:
            self._last = None

    def snapshot(self) -> dict[str, Any]:
        """See `Engine.snapshot`."""
        with self._lock:
            last = self._last
            return {} if last is None else {f.name: getattr(last, f.name) for f in fields(last)}

    def recall(self, snapshot: Mapping[str, Any]) -> None:
        """See `Engine.recall`."""
        with self._lock:
            last = _Last(**snapshot) if snapshot else None
            if last is not None and len(last.w) != len(self._programs[False].transcription.lower):
                raise GalenicError(f"a snapshot of {len(last.w)} variables is not of this problem", cure="solve anew")
            self._last = last

    def solve(
        self,
        state: npt.ArrayLike,
        previous_input: npt.ArrayLike,
        parameters: npt.ArrayLike = (),
        references: npt.ArrayLike = (),
        *,
        elapsed: int = 1,
        move_limits: npt.ArrayLike | None = None,
        durations: npt.ArrayLike | None = None,
        prices: npt.ArrayLike | None = None,
        budget: float | None = None,
    ) -> Answer:
        """See `Engine.solve`."""
        problem, began = self.problem, time.perf_counter()
        with self._lock:
            x, v = vector(state, problem.nx, "state"), vector(previous_input, problem.nu, "previous_input")
            values = np.empty((len(problem.stages) + 1, problem.np + problem.ny))
            problem.fill_node_values(values, parameters, references)
            terms = terms_of(problem, move_limits, durations, prices)
            if terms is None or not all(np.isfinite(a).all() for a in (x, v, values)):
                self._last = None
                return no_plan(problem, Status.NOT_FINITE, seconds=time.perf_counter() - began)
            held = bool(terms.held.any())
            if held not in self._programs:  # an input that is held needs its move as an equation
                self._programs[held] = self._make_program(all_moves=True)
            program = self._programs[held]
            program.deadline.time = began + (self._budget if budget is None else budget)
            try:
                guess = self._guess(program, x, v, values, terms, elapsed)
                answer, said, count = self._call(program, values, terms, guess)
            except Exception as error:  # a solver may raise anything; the caller has a fallback
                self._last = None
                return no_plan(problem, Status.FAILED, str(error).splitlines()[-1], time.perf_counter() - began)
            answered = self._checked(program, x, v, values, terms, guess, answer, said)
            return replace(answered, iterations=count, message=said, seconds=time.perf_counter() - began)

    def _make_program(self, *, all_moves: bool) -> _Program:
        raise NotImplementedError

    def _guess(
        self, program: _Program, x: FloatArray, v: FloatArray, values: FloatArray, terms: Terms, elapsed: int
    ) -> dict[str, FloatArray]:
        problem, transcription, last = self.problem, program.transcription, self._last
        transcription.fix_start(x, v)
        transcription.fix_terms(terms)
        if last is None or elapsed > last.weights[:-1].sum():
            held = np.clip(v, problem.input_lower, problem.input_upper)
            inputs = np.tile(held, (len(problem.nodes), 1))
            states = self._roll_out(x, v, values, inputs, terms).states
            return {"x0": transcription.guess(states, inputs, v)}
        ends, times = np.cumsum(last.weights[:-1]), np.r_[0.0, np.cumsum(terms.weights[:-1])]
        later = np.searchsorted(ends, times + elapsed + 1e-9, side="right")
        sources = problem.branches[problem.first_branch, later[[node.depth for node in problem.nodes]]]
        w = transcription.shifted(last.w, sources, of_w=True)
        w[: problem.nx + problem.nu] = transcription.lower[: problem.nx + problem.nu]
        guess = {"x0": w, "lam_x0": transcription.shifted(last.lam_w, sources, of_w=True)}
        if program is self._programs.get(last.held):
            guess["lam_g0"] = transcription.shifted(last.lam_g, sources, of_w=False)
        return guess

    def _call(
        self, program: _Program, values: FloatArray, terms: Terms, guess: dict[str, FloatArray]
    ) -> tuple[dict[str, FloatArray], str, int]:
        transcription = program.transcription
        given = {
            "p": transcription.parameters(values, terms),
            "lbx": transcription.lower,
            "ubx": transcription.upper,
            "lbg": transcription.g_lower,
            "ubg": transcription.g_upper,
        }
        solver = program.warm if "lam_g0" in guess else program.cold
        answer, stats = solver(**given, **guess), solver.stats()
        started_far = _STATUS.get(str(stats["return_status"]), Status.FAILED) in (Status.FAILED, Status.ITERATED)
        if solver is not program.cold and started_far:
            answer, stats = program.cold(**given, x0=guess["x0"]), program.cold.stats()
        found = {name: np.asarray(value, dtype=np.float64).ravel() for name, value in answer.items()}
        return found, str(stats["return_status"]), int(stats["iter_count"])

    def _checked(
        self,
        program: _Program,
        x: FloatArray,
        v: FloatArray,
        values: FloatArray,
        terms: Terms,
        guess: dict[str, FloatArray],
        answer: dict[str, FloatArray],
        said: str,
    ) -> Answer:
        problem, transcription = self.problem, program.transcription
        status = _STATUS.get(said, Status.FAILED)
        w, lam_w, lam_g = answer["x"], answer["lam_x"], answer["lam_g"]
        self._last = None
        if not np.isfinite(w).all():
            return no_plan(problem, Status.FAILED)
        residual, outside = self._residual(program, w, transcription.parameters(values, terms), lam_w, lam_g)
        inputs = transcription.inputs_of(w)
        rolled = self._roll_out(x, v, values, inputs, terms)
        if status is Status.OUT_OF_TIME:
            before = transcription.inputs_of(guess["x0"])
            of_guess = self._roll_out(x, v, values, before, terms)
            # an iterate may break what is hard; the plan before does so as little as can be told
            if outside > self._feasible or not rolled.cost <= of_guess.cost:
                w, lam_w, lam_g, residual = guess["x0"], 0.0 * lam_w, 0.0 * lam_g, math.nan
                inputs, rolled = before, of_guess
        elif status in (Status.FAILED, Status.INFEASIBLE) or outside > self._feasible:
            return no_plan(problem, Status.INFEASIBLE if outside > self._feasible else status)
        elif status is Status.ITERATED and residual < self._tolerance:
            status = Status.SOLVED
        if not math.isfinite(rolled.cost):
            return no_plan(problem, Status.FAILED)
        self._last = _Last(program is not self._programs[False], w, lam_w, lam_g, terms.weights)
        count = len(problem.stages)
        return Answer(
            status,
            inputs[:count],
            rolled.states[: count + 1],
            rolled.cost,
            rolled.violation,
            residual=residual,
            branches=branches_in(problem, inputs, rolled.states),
        )

    def _residual(
        self, program: _Program, w: FloatArray, q: FloatArray, lam_w: FloatArray, lam_g: FloatArray
    ) -> tuple[float, float]:
        """Largest residual of the conditions of optimality, and the largest violation of a hard limit."""
        transcription = program.transcription
        gradient, g = (np.asarray(a, dtype=np.float64).ravel() for a in program.conditions(w, q, lam_w, lam_g))
        value, multiplier = np.r_[w, g], np.r_[lam_w, lam_g]
        low = np.r_[transcription.lower, transcription.g_lower]
        high = np.r_[transcription.upper, transcription.g_upper]
        outside = np.maximum(low - value, value - high)
        distance = np.where(multiplier > 0.0, high - value, value - low)
        # a multiplier of a bound that is none is as wrong as it is large
        product = np.abs(multiplier * np.where(np.isfinite(distance), distance, 1.0))
        free = gradient[self.problem.nx + self.problem.nu :]  # z_0 is given
        residual = max(float(a.max(initial=0.0)) for a in (np.abs(free), outside, product))
        return residual, float(outside[transcription.hard].max(initial=0.0))


class CasADiEngine(_ProgramEngine):
    """CasADi's ``sqpmethod`` with HPIPM and Gauss-Newton Hessians: where nothing can be compiled.

    Args:
        problem: what to solve, without scenarios.
        iterations: of sequential quadratic programming; 1 is a real-time iteration.
        tolerance: of the conditions of optimality, scaled.
        budget: wall time in s of a solve, looked at once an iteration.

    Raises:
        GalenicError: the problem has scenarios.
    """

    def __init__(
        self,
        problem: OptimalControlProblem,
        *,
        iterations: int = 1,
        tolerance: float = 1e-5,
        budget: float = math.inf,
    ) -> None:
        if problem.scenarios is not None:
            raise GalenicError(
                "CasADi's interface to HPIPM knows chains of stages, no trees",
                cure="use HPIPMEngine or IPOPTEngine for a problem with scenarios",
            )
        self._iterations = iterations
        super().__init__(problem, tolerance, feasible=1e-2, budget=budget)

    def _make_program(self, *, all_moves: bool) -> _Program:
        problem = self.problem
        made = Transcription(problem, gauss_newton=True, all_moves=all_moves)
        factor, lam_g = casadi.SX.sym("factor"), casadi.SX.sym("lam_g", made.g.numel())
        hessian = casadi.Function("hessian", [made.w, made.q, factor, lam_g], [made.hessian])
        quiet = {"print_iteration": False, "print_header": False, "print_status": False, "print_time": False}
        options: dict[str, Any] = {
            **quiet,
            "hess_lag": hessian,
            "max_iter": self._iterations,
            "tol_pr": self._tolerance,
            "tol_du": self._tolerance,
            "min_step_size": 0.0,  # a guess that is the optimum still needs its multipliers
            "error_on_fail": False,
            "qpsol": "hpipm",
            # the interface knows no inputs, so no slacks, in the last stage: an empty one follows
            "qpsol_options": {
                "N": len(problem.stages) + 1,
                "nx": [*[problem.nx + problem.nu] * (len(problem.stages) + 1), 0],
                "nu": [*made.controls, 0],
                "ng": [*made.rows, 0],
                "error_on_fail": False,
                "print_time": False,
                "hpipm": {"iter_max": 100, **dict.fromkeys(("res_g_max", "res_b_max", "res_d_max", "res_m_max"), 1e-7)},
            },
        }
        return _Program(made, "sqpmethod", options, {})


class IPOPTEngine(_ProgramEngine):
    """IPOPT (Waechter & Biegler 2006, Math. Program. 106, 25) with exact Hessians: the reference.

    A solve after another starts from its plan and multipliers, with the barrier already low.

    Args:
        problem: what to solve.
        iterations: at most so many.
        tolerance: IPOPT's ``tol``.
        budget: wall time in s of a solve, looked at once an iteration.
        collocation: take Radau collocation of this degree (True: 3) and not the problem's own Runge-Kutta steps.
            ``states`` and ``cost`` of an answer are still what the inputs lead to by the problem's own dynamics.

    Raises:
        GalenicError: collocation of discrete dynamics.
    """

    def __init__(
        self,
        problem: OptimalControlProblem,
        *,
        iterations: int = 300,
        tolerance: float = 1e-7,
        budget: float = math.inf,
        collocation: int | bool = 0,
    ) -> None:
        self._iterations = iterations
        self._degree = 3 if collocation is True else int(collocation)
        super().__init__(problem, tolerance, feasible=1e-5, budget=budget)

    def _make_program(self, *, all_moves: bool) -> _Program:
        made = Transcription(self.problem, all_moves=all_moves, collocation=self._degree)
        ipopt: dict[str, Any] = {"tol": self._tolerance, "max_iter": self._iterations, "print_level": 0, "sb": "yes"}
        # the bounds of fixed variables are equalities, and no bound is relaxed: answers are compared to the bounds
        ipopt |= {"bound_relax_factor": 0.0, "honor_original_bounds": "yes"}
        pushes = ("bound_push", "bound_frac", "slack_bound_push", "slack_bound_frac", "mult_bound_push")
        warm: dict[str, Any] = {"warm_start_init_point": "yes", "mu_init": 1e-3, "max_iter": min(self._iterations, 40)}
        warm |= {f"warm_start_{name}": 1e-4 for name in pushes}
        return _Program(made, "ipopt", {"print_time": False, "error_on_fail": False, "ipopt": ipopt}, warm)
