"""Real-time iteration on HPIPM: the engine for operation."""

from __future__ import annotations

import ctypes
import math
import threading
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from controllers.optimal_control.answer import Answer, Status, branches_in, no_plan
from controllers.optimal_control.native_library import link_hpipm, load_compiled
from controllers.optimal_control.problem import OptimalControlProblem
from controllers.optimal_control.rti_setup import Told, make_setup, source_of
from controllers.optimal_control.stage_functions import StageFunctions
from controllers.optimal_control.terms import Terms, terms_of, vector
from fmus.errors import GalenicError

_pointer, _int, _real = ctypes.c_void_p, ctypes.c_int64, ctypes.c_double
# the order of the enumeration in rti_solver.c
_STATUS = tuple(Status)
_USABLE = (Status.SOLVED, Status.ITERATED, Status.OUT_OF_TIME)
#: Where in their bounds the inputs are at first in solves that look for a better optimum, in turn; None: as they are.
_STARTS = (None, 0.5, 0.1, 0.9)


class HPIPMEngine:
    r"""Sequential quadratic programming with Gauss-Newton Hessians; one iteration a period by default.

    Each iteration linearises every stage at the present plan and solves for the deviations the quadratic program

        min sum 1/2 [du; dz]' H [du; dz] + g' [du; dz] + l' s + 1/2 s' L s   s.t.   dz+ = A dz + B du + b,   bounds

    by HPIPM's interior-point method (Frison & Diehl 2020), which keeps the structure of stages, with the slacks s as
    its own. The plan shifted by the elapsed time, with its multipliers, starts the next solve, so that one iteration
    follows the optimum (real-time iteration; Diehl, Bock & Schloder 2005, SIAM J. Control Optim. 43, 1714). x_0 is
    not a variable. After a failure the multipliers are forgotten and the next solve starts from a roll-out with the
    inputs held.

    Inequalities are kept to ``qp_tolerance`` in scaled units; inputs are clipped to their bounds after that.

    Args:
        problem: what to solve.
        iterations: at most so many a solve. The first solve after `reset` may take ``first_iterations``.
        first_iterations: see ``iterations``.
        tolerance: scaled step at which a solve counts as converged.
        budget: wall time in s of a solve, by what iterations took so far; the interior-point method is cut short too.
        qp_tolerance: of all residuals of the quadratic program.
        hot: after a solve of few interior-point iterations start from its multipliers and slacks as they are, 1e-6 at
            least (HPIPM's ``warm_start`` 3): one iteration where the active limits stay. After 10 without an answer,
            and always where this is false, they are pushed inwards (2).
        restart_every: after so many solves, or one that failed, solve a second time from inputs that are held over the
            horizon (those in force, or far in their bounds), if at least as much of the budget is left as the first
            solve took, and go on with the better plan: local optima are real. 0: never. ``improved`` counts.
        verify: measure the residual of the nonlinear conditions of optimality of the answer; costs a linearisation.
        riccati: solve the quadratic programs with the interior-point method of `riccati_ipm.c`, which is compiled for
            the problem's sizes and this processor, and with HPIPM where it gives up; scenarios are HPIPM's in any case.
            Two to five times as fast an iteration. A hot start is given up too where a step is barred.

    Raises:
        GalenicError: no compiler or no HPIPM here.
    """

    def __init__(
        self,
        problem: OptimalControlProblem,
        *,
        iterations: int = 1,
        first_iterations: int = 20,
        tolerance: float = 1e-4,
        budget: float = math.inf,
        qp_tolerance: float = 1e-4,
        hot: bool = True,
        verify: bool = False,
        restart_every: int = 0,
        riccati: bool = False,
    ) -> None:
        self.problem, self.riccati = problem, riccati and problem.scenarios is None
        self.iterations, self.first_iterations = iterations, first_iterations
        self.budget, self.verify = budget, verify
        self._lock, self._warm = threading.Lock(), False
        # bounds of inputs alone can always be kept
        hard = (problem.state_lower, problem.state_upper, problem.move_limits)
        self._can_be_infeasible = any(np.isfinite(bounds).any() for bounds in hard)
        self._functions = functions = StageFunctions(problem)
        self._library, self.compiled = load_compiled(
            source_of(functions, self.riccati), "rti", for_this_processor=self.riccati
        )
        link_hpipm(self._library)
        self._solve_c = self._library.galenic_rti_solve
        self._solve_c.argtypes = (*[_pointer] * 4, _int, _int, _real, _int, _pointer)
        self._solve_c.restype = _int
        self._keep: list[Any] = []
        self._changing: dict[str, npt.NDArray[Any]] = {}
        self._depth = np.array([node.depth for node in problem.nodes])
        self._share = np.array([node.share for node in problem.nodes])
        self._usual = cast("Terms", terms_of(problem))
        self._set_terms(self._usual)
        self._setup = make_setup(functions, self._changing, self._keep, (qp_tolerance, tolerance), hot)
        self._solver = self._create()
        self.restart_every, self.improved = restart_every, 0
        self._since_restart, self._start, self._guess = 0, 0, np.zeros(problem.nu)
        if restart_every:
            self._spare = self._create()
            self._library.galenic_rti_guess(self._spare, self._guess.ctypes.data)
        count, nodes = len(problem.stages), len(problem.nodes)
        self._values = np.zeros((count + 1, problem.np + problem.ny))
        self._x, self._v = np.zeros(problem.nx), np.zeros(problem.nu)
        self._inputs, self._states = np.zeros((nodes, problem.nu)), np.zeros((nodes, problem.nx))
        self._told = Told()
        self._arguments = (
            *(_pointer(a.ctypes.data) for a in (self._x, self._v, self._values)),
            ctypes.byref(self._told),
        )
        self._plan = tuple(_pointer(a.ctypes.data) for a in (self._inputs, self._states))

    def reset(self) -> None:
        """Forget the last plan and its multipliers."""
        with self._lock:
            self._forget()

    def snapshot(self) -> dict[str, Any]:
        """See `Engine.snapshot`."""
        with self._lock:
            memory = np.zeros(self._state_c(self._solver, None, 0))
            self._state_c(self._solver, memory.ctypes.data, 0)
            return {"warm": self._warm, "memory": memory, "restarts": (self._since_restart, self._start)}

    def recall(self, snapshot: Mapping[str, Any]) -> None:
        """See `Engine.recall`."""
        with self._lock:
            memory = np.array(snapshot["memory"], dtype=np.float64)
            if memory.shape != (self._state_c(self._solver, None, 0),):
                raise GalenicError(f"a snapshot of {memory.size} numbers is not of this problem", cure="solve anew")
            self._forget()
            self._state_c(self._solver, memory.ctypes.data, 1)
            self._warm = bool(snapshot["warm"])
            self._since_restart, self._start = snapshot["restarts"]

    @property
    def qp_iterations(self) -> int:
        """Interior-point iterations of the last solve."""
        return int(self._told.qp_iterations)

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
        problem, told = self.problem, self._told
        with self._lock:
            np.divide(vector(state, problem.nx, "state"), problem.state_scale, out=self._x)
            np.divide(vector(previous_input, problem.nu, "previous_input"), problem.input_scale, out=self._v)
            problem.fill_node_values(self._values, parameters, references)
            if not self._follow_terms(move_limits, durations, prices):
                self._forget()
                return no_plan(problem, Status.NOT_FINITE)
            most = self.iterations if self._warm else self.first_iterations
            seconds = self.budget if budget is None else float(budget)
            status = self._run(self._solver, elapsed, most, seconds)
            if self.restart_every:
                status = self._restart(status, seconds)
            self._warm = status in _USABLE
            if not self._warm:
                if status is Status.INFEASIBLE and not self._can_be_infeasible:
                    status = Status.FAILED
                return no_plan(problem, status, f"{told.qp_iterations} interior-point iterations", told.seconds)
            self._plan_c(self._solver, *self._plan)
            inputs = self._inputs * problem.input_scale
            np.maximum(inputs, problem.input_lower, out=inputs)
            np.minimum(inputs, problem.input_upper, out=inputs)
            states = self._states * problem.state_scale
            count = len(problem.stages)
            return Answer(
                status,
                inputs[:count],
                states[: count + 1],
                told.cost,
                (told.soft_violation, told.hard_violation),
                told.iterations,
                told.step,
                told.residual,
                told.seconds,
                branches=branches_in(problem, inputs, states),
            )

    def _run(self, solver: Any, elapsed: int, most: int, budget: float) -> Status:
        x, v, values, out = self._arguments
        code: int = self._solve_c(solver, x, v, values, elapsed, most, budget, self.verify, out)
        return _STATUS[code]

    def _restart(self, status: Status, budget: float) -> Status:
        """Now and then solve anew from other inputs, in the time that is left, and go on with the better plan."""
        self._since_restart += 1
        told = self._told
        if (status in _USABLE and self._since_restart < self.restart_every) or budget < 2.0 * told.seconds:
            return status
        self._since_restart = 0
        kept = Told.from_buffer_copy(told)
        spare, share = self._spare, _STARTS[self._start % len(_STARTS)]
        self._start += 1
        p = self.problem
        width = np.where(np.isfinite(p.input_upper - p.input_lower), p.input_upper - p.input_lower, 0.0)
        low = np.where(width > 0.0, p.input_lower, np.clip(self._v * p.input_scale, p.input_lower, p.input_upper))
        self._guess[:] = self._v if share is None else (low + share * width) / p.input_scale
        self._library.galenic_rti_reset(spare)
        found = self._run(spare, 0, self.first_iterations, budget - told.seconds)
        seconds = kept.seconds + told.seconds
        worst = max(kept.hard_violation, 1e-6) if status in _USABLE else math.inf
        better = status not in _USABLE or told.cost < kept.cost - 1e-3 * abs(kept.cost)
        if found in _USABLE and better and told.hard_violation <= worst:
            self._solver, self._spare = spare, self._solver
            self._library.galenic_rti_guess(self._solver, None)
            self._library.galenic_rti_guess(self._spare, self._guess.ctypes.data)
            self.improved += 1
            status = found
        else:
            ctypes.memmove(ctypes.byref(told), ctypes.byref(kept), ctypes.sizeof(Told))
        told.seconds = seconds
        return status

    def _forget(self) -> None:
        self._library.galenic_rti_reset(self._solver)
        self._warm = False

    def _follow_terms(
        self, move_limits: npt.ArrayLike | None, durations: npt.ArrayLike | None, prices: npt.ArrayLike | None
    ) -> bool:
        """Take over what differs in this solve; false where it is no number."""
        if move_limits is None and durations is None and prices is None:
            terms = self._usual
            if terms is self._terms:
                return True
        else:
            found = terms_of(self.problem, move_limits, durations, prices)
            if found is None:
                return False
            terms = found
        self._set_terms(terms)
        self._library.galenic_rti_update(self._solver)
        return True

    def _set_terms(self, terms: Terms) -> None:
        """Write what C reads at each solve; the arrays stay where they are."""
        p, rows = self.problem, self._functions.rows(terms)
        depth, share = self._depth, self._share
        held = np.vstack([terms.held, np.zeros((1, p.nu), dtype=bool)])
        new: dict[str, npt.NDArray[Any]] = {
            "held": held[depth].astype(np.int64),
            "duration": np.append(terms.durations, 0.0)[depth],
            "weight": terms.weights[depth] * share,
            "length": terms.weights[:-1],
            "row_lower": rows.lower[depth],
            "row_upper": rows.upper[depth],
            "l1": rows.l1[depth] * share[:, np.newaxis],
            "l2": rows.l2[depth] * share[:, np.newaxis],
        }
        for name, array in new.items():
            if name in self._changing:
                self._changing[name][:] = array
            else:
                self._changing[name] = np.array(array, order="C")
        self._terms = terms

    def _create(self) -> Any:
        """A solver in memory of ours; its C code never allocates."""
        create = self._library.galenic_rti_create
        create.argtypes, create.restype = (_pointer, _pointer, _pointer), _int
        p = self.problem
        nodes = len(p.nodes)
        scratch = np.zeros(64 * nodes + 16 * (p.nx + p.nu + self._setup.max_rows) + 4096, dtype=np.int64)
        setup = ctypes.addressof(self._setup)
        size = create(setup, None, scratch.ctypes.data)
        memory = np.zeros(size + 128, dtype=np.uint8)
        start = -(-memory.ctypes.data // 64) * 64
        create(setup, start, scratch.ctypes.data)
        self._keep += [memory]
        self._library.galenic_rti_reset.argtypes = (_pointer,)
        self._library.galenic_rti_reset.restype = None
        self._library.galenic_rti_guess.argtypes = (_pointer, _pointer)
        self._library.galenic_rti_guess.restype = None
        self._library.galenic_rti_update.argtypes = (_pointer,)
        self._library.galenic_rti_update.restype = None
        self._state_c = self._library.galenic_rti_state
        self._state_c.argtypes, self._state_c.restype = (_pointer, _pointer, _int), _int
        self._plan_c = self._library.galenic_rti_plan
        self._plan_c.argtypes, self._plan_c.restype = (_pointer, _pointer, _pointer), None
        return _pointer(start)
