"""Real-time iteration on HPIPM: the engine for operation."""

from __future__ import annotations

import ctypes
import math
import threading
from importlib import resources
from typing import Any

import casadi
import numpy as np
import numpy.typing as npt

from controllers.optimal_control.answer import Answer, Status, no_plan
from controllers.optimal_control.native_library import link_hpipm, load_compiled
from controllers.optimal_control.problem import OptimalControlProblem
from controllers.optimal_control.stage_functions import StageFunctions

# the order of the enumeration in rti_kernel.c
_STATUS = tuple(Status)
_pointer, _int, _real = ctypes.c_void_p, ctypes.c_int64, ctypes.c_double
_INTEGERS = ("stages", "nx", "nu", "values", "arguments", "results", "integers", "doubles", "max_rows")
_BY_NODE = ("function", "free", "moves", "soft", "shift", "shift_part", "duration", "weight")
_BOUNDS = ("u_lower", "u_upper", "x_lower", "x_upper", "row_lower", "row_upper", "l1", "l2")


class _Setup(ctypes.Structure):
    _fields_ = [
        *((name, _int) for name in _INTEGERS),
        *((name, _pointer) for name in _BY_NODE + _BOUNDS),
        *((name, _real) for name in ("mu0", "qp_tolerance", "tolerance")),
        ("qp_iterations", _int),
        ("warm_start", _int),
    ]


class _Told(ctypes.Structure):
    _fields_ = [
        *((name, _real) for name in ("cost", "soft_violation", "hard_violation", "step", "residual", "seconds")),
        *((name, _int) for name in ("iterations", "qp_iterations")),
    ]


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
        budget: wall time in s after which no further iteration is begun, by the time that the last one took.
        qp_tolerance: of all residuals of the quadratic program.
        hot: start the interior-point method from the last multipliers and slacks as they are (HPIPM's ``warm_start`` 3)
            instead of pushed inwards (2). The median falls, most of all where the active limits stay the same; the
            slowest solves take longer.
        verify: measure the residual of the nonlinear conditions of optimality of the answer; costs a linearisation.

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
        hot: bool = False,
        verify: bool = False,
    ) -> None:
        self.problem = problem
        self.iterations, self.first_iterations = iterations, first_iterations
        self.budget, self.verify = budget, verify
        self._lock, self._warm = threading.Lock(), False
        # bounds of inputs alone can always be kept
        hard = (problem.state_lower, problem.state_upper, problem.move_limits)
        self._can_be_infeasible = any(np.isfinite(bounds).any() for bounds in hard)
        functions = StageFunctions(problem)
        self._library, self.compiled = load_compiled(_source(functions), "rti")
        link_hpipm(self._library)
        self._solve_c = self._library.galenic_rti_solve
        self._solve_c.argtypes = (*[_pointer] * 4, _int, _int, _real, _int, _pointer)
        self._solve_c.restype = _int
        self._keep: list[Any] = []
        self._setup = self._make_setup(functions, tolerance, qp_tolerance, hot)
        self._solver = self._create()
        count = len(problem.stages)
        self._values = np.zeros((count + 1, problem.np + problem.ny))
        self._x, self._v = np.zeros(problem.nx), np.zeros(problem.nu)
        self._inputs, self._states = np.zeros((count, problem.nu)), np.zeros((count + 1, problem.nx))
        self._told = _Told()
        self._arguments = (
            *(_pointer(a.ctypes.data) for a in (self._x, self._v, self._values)),
            ctypes.byref(self._told),
        )
        self._plan = tuple(_pointer(a.ctypes.data) for a in (self._inputs, self._states))

    def reset(self) -> None:
        """Forget the last plan and its multipliers."""
        with self._lock:
            self._library.galenic_rti_reset(self._solver)
            self._warm = False

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
    ) -> Answer:
        """See `Engine.solve`."""
        problem, told = self.problem, self._told
        with self._lock:
            np.divide(state, problem.state_scale, out=self._x)
            np.divide(previous_input, problem.input_scale, out=self._v)
            problem.fill_node_values(self._values, parameters, references)
            most = self.iterations if self._warm else self.first_iterations
            x, v, values, out = self._arguments
            code = self._solve_c(self._solver, x, v, values, elapsed, most, self.budget, self.verify, out)
            status = _STATUS[code]
            self._warm = status in (Status.SOLVED, Status.ITERATED, Status.OUT_OF_TIME)
            if not self._warm:
                if status is Status.INFEASIBLE and not self._can_be_infeasible:
                    status = Status.FAILED
                return no_plan(problem, status, f"{told.qp_iterations} interior-point iterations", told.seconds)
            self._plan_c(self._solver, *self._plan)
            inputs = self._inputs * problem.input_scale
            np.maximum(inputs, problem.input_lower, out=inputs)
            np.minimum(inputs, problem.input_upper, out=inputs)
            return Answer(
                status,
                inputs,
                self._states * problem.state_scale,
                told.cost,
                (told.soft_violation, told.hard_violation),
                told.iterations,
                told.step,
                told.residual,
                told.seconds,
            )

    # ---- construction ------------------------------------------------------------------------------------------------

    def _make_setup(self, functions: StageFunctions, tolerance: float, qp_tolerance: float, hot: bool) -> _Setup:
        p = self.problem
        nodes = range(len(p.stages) + 1)
        keys = _keys(functions)
        used = [f(n) for f in (functions.linearised, functions.rolled) for n in nodes]
        bounds = [functions.row_bounds(n) for n in nodes]
        most = max(1, *(len(low) for low, _ in bounds))
        rows = {name: np.zeros((len(nodes), most)) for name in ("row_lower", "row_upper", "l1", "l2")}
        for n in nodes:
            soft, count = p.constraints_at(n), len(bounds[n][0])
            rows["row_lower"][n, :count], rows["row_upper"][n, :count] = bounds[n]
            rows["l1"][n, : len(soft)] = [p.weights[n] * c.l1 for c in soft]
            rows["l2"][n, : len(soft)] = [p.weights[n] * c.l2 for c in soft]
        times = p.node_steps
        shift = np.searchsorted(times, times + 1, side="right") - 1
        lengths = np.r_[np.diff(times), 1]
        integers = {
            "function": [keys.index(functions.key(n)) for n in nodes],
            "free": [int(n < len(p.stages) and not p.stages[n].held) for n in nodes],
            "moves": [functions.moves(n) for n in nodes],
            "soft": [len(p.constraints_at(n)) for n in nodes],
            "shift": shift,
        }
        reals = {
            "shift_part": np.where(shift < len(p.stages), (times + 1 - times[shift]) / lengths[shift], 0.0),
            "duration": [*(s.duration for s in p.stages), 0.0],
            "weight": p.weights,
            "u_lower": p.input_lower / p.input_scale,
            "u_upper": p.input_upper / p.input_scale,
            "x_lower": p.state_lower / p.state_scale,
            "x_upper": p.state_upper / p.state_scale,
            **rows,
        }
        return _Setup(
            stages=len(p.stages),
            nx=p.nx,
            nu=p.nu,
            values=p.np + p.ny,
            arguments=max(f.sz_arg() for f in used),
            results=max(f.sz_res() for f in used),
            integers=max(f.sz_iw() for f in used),
            doubles=max(f.sz_w() for f in used),
            max_rows=most,
            mu0=10.0,
            qp_tolerance=qp_tolerance,
            tolerance=tolerance,
            qp_iterations=50,
            warm_start=3 if hot else 2,
            **{name: self._address(np.array(v, dtype=np.int64)) for name, v in integers.items()},
            **{name: self._address(np.array(v, dtype=np.float64)) for name, v in reals.items()},
        )

    def _address(self, array: npt.NDArray[Any]) -> int:
        array = np.ascontiguousarray(array)
        self._keep.append(array)
        return array.ctypes.data

    def _create(self) -> Any:
        """A solver in memory of ours; its C code never allocates."""
        create = self._library.galenic_rti_create
        create.argtypes, create.restype = (_pointer, _pointer, _pointer), _int
        p = self.problem
        nodes = len(p.stages) + 1
        scratch = np.zeros(64 * nodes + 16 * (p.nx + p.nu + self._setup.max_rows) + 4096, dtype=np.int64)
        setup = ctypes.addressof(self._setup)
        size = create(setup, None, scratch.ctypes.data)
        memory = np.zeros(size + 128, dtype=np.uint8)
        start = -(-memory.ctypes.data // 64) * 64
        create(setup, start, scratch.ctypes.data)
        self._keep += [memory]
        self._library.galenic_rti_reset.argtypes = (_pointer,)
        self._library.galenic_rti_reset.restype = None
        self._plan_c = self._library.galenic_rti_plan
        self._plan_c.argtypes, self._plan_c.restype = (_pointer, _pointer, _pointer), None
        return _pointer(start)


def _keys(functions: StageFunctions) -> list[str]:
    nodes = range(len(functions.problem.stages) + 1)
    return list(dict.fromkeys(functions.key(n) for n in nodes))


def _source(functions: StageFunctions) -> str:
    """Generated functions, their tables, and the kernel."""
    generator = casadi.CodeGenerator("stages", {"with_header": False, "with_export": False})
    seen: set[str] = set()
    for node in range(len(functions.problem.stages) + 1):
        if functions.key(node) not in seen:
            seen.add(functions.key(node))
            generator.add(functions.linearised(node))
            generator.add(functions.rolled(node))
    tables = "\ntypedef int (*StageFunction)(const double**, double**, long long*, double*, int);\n"
    for table, kind in (("stage_functions", "linearised"), ("rolled_functions", "rolled")):
        entries = ", ".join(f"{kind}_{key}" for key in _keys(functions))
        tables += f"static const StageFunction {table}[] = {{{entries}}};\n"
    kernel = resources.files("controllers.optimal_control").joinpath("rti_kernel.c").read_text(encoding="utf-8")
    return str(generator.dump()) + tables + kernel
