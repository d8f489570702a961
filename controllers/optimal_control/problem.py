"""What is to be optimised, apart from how: every engine takes this one object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import casadi
import numpy as np
import numpy.typing as npt

from controllers.optimal_control.soft_constraint import SoftConstraint
from controllers.optimal_control.tree import Scenarios, branches_of, nodes_of
from cosim.component import FloatArray
from fmus.errors import GalenicError


@dataclass(frozen=True)
class Stage:
    """One interval of the grid.

    Attributes:
        steps: its length in sampling periods.
        substeps: Runge-Kutta steps in it; for discrete dynamics how often they are applied.
        duration: its length in time; 1 for discrete dynamics.
        held: the inputs are those of the stage before (move blocking).
    """

    steps: int
    substeps: int
    duration: float
    held: bool


class OptimalControlProblem:
    r"""A finite-horizon optimal control problem on a grid of K stages.

    With states x, inputs u, parameters p and references r (p and r may differ from node to node), d_k sampling periods
    in stage k and u_{-1} the input that is applied now:

        min   sum_{k<K} { d_k [ 1/2 |y(x_k, u_k, p_k) - r_k|^2_W + e(x_k, u_k, p_k) ] + 1/2 |u_k - u_{k-1}|^2_M }
              + 1/2 |y(x_K, p_K) - r_K|^2_{W_K} + e_K(x_K, p_K) + sum_k d_k sum_i ( l_i s_ik + 1/2 q_i s_ik^2 )
        s.t.  x_{k+1} = F_k(x_k, u_k, p_k),   x_0 given
              u_min <= u_k <= u_max,   |u_k - u_{k-1}| <= m,   x_min <= x_k <= x_max  (k > 0)
              c_min,i - s_ik <= c_i(x_k, u_k, p_k) <= c_max,i + s_ik,   s_ik >= 0   (s in scales, d_K = 1)

    - F_k integrates dx/dt = f(x, u, p) with the classical Runge-Kutta method of order 4 and equal substeps, u and p
      held (Hairer, Norsett & Wanner 1993, II.1), or applies x+ = f(x, u, p) d_k times.
    - A soft constraint without inputs holds at k = 1..K; one with inputs at k = 0..K-1. Its L1 price makes it exact
      (Kerrigan & Maciejowski 2000); its rank says what gives way first.
    - The cost of moves and their limits couple stages, so engines augment the state: z = (x, u_{k-1}). Stages keep
      their structure. Where inputs are held, u_k = u_{k-1} is that state, and the stage has no inputs.
    - The tracking cost is a sum of squares, so Gauss-Newton's J'WJ approximates its Hessian; e enters with its exact
      gradient. The optimum is not affected, only the way to it: keep strong curvature in the squares.

    Args:
        states: CasADi SX symbols, shape (nx,).
        inputs: SX symbols, shape (nu,).
        dynamics: SX, shape (nx,): dx/dt, or the next state if ``discrete``.
        step: sampling period in the unit of time of ``dynamics``.
        parameters: SX symbols, shape (np,), or None.
        discrete: ``dynamics`` is a map of one sampling period.
        integrator: CasADi function (x, u, p, h) -> x after one substep of h, instead of Runge-Kutta's; of symbols that
            can be expanded (SX).
        grid: d_k of each stage.
        substeps: Runge-Kutta steps in each sampling period, or, as a sequence, in each stage.
        blocks: how many stages each input is held; None: one. The last block is extended to the horizon's end.
        outputs: SX, shape (ny,), with ``output_weights`` W's diagonal; none by default.
        output_weights: see ``outputs``.
        terminal_weights: W_K's diagonal; None: no terminal tracking. Outputs with one must be free of inputs.
        economic: SX scalar e.
        terminal_economic: SX scalar e_K, free of inputs.
        move_weights: M's diagonal, shape (nu,), not negative.
        ramps: in a grid of long stages, price a move as the ramp that it stands for, M 2 / (d_{k-1} + d_k) with
            d_{-1} = 1: what it would cost in single periods. Otherwise long stages make moves dear.
        move_limits: m, shape (nu,), may be inf; None: none.
        input_bounds: u_min and u_max, each shape (nu,).
        state_bounds: x_min and x_max, each shape (nx,), may be infinite; hard, so prefer soft constraints.
        soft_constraints: in any order.
        state_scale: a change in each state that matters, shape (nx,); engines work with x / scale.
        input_scale: the same for the inputs; None: the width of their bounds.
        scenarios: what the parameters may be; None: what they are said to be. See `Scenarios` for how the sums above
            become expected values over the nodes of a tree.

    Raises:
        GalenicError: shapes, signs or symbols that do not fit.
    """

    def __init__(
        self,
        *,
        states: Any,
        inputs: Any,
        dynamics: Any,
        step: float,
        parameters: Any | None = None,
        discrete: bool = False,
        integrator: Any | None = None,
        grid: Sequence[int] = (1,) * 30,
        substeps: int | Sequence[int] = 2,
        blocks: Sequence[int] | None = None,
        outputs: Any | None = None,
        output_weights: npt.ArrayLike = (),
        terminal_weights: npt.ArrayLike | None = None,
        economic: Any = 0.0,
        terminal_economic: Any = 0.0,
        move_weights: npt.ArrayLike,
        ramps: bool = False,
        move_limits: npt.ArrayLike | None = None,
        input_bounds: tuple[npt.ArrayLike, npt.ArrayLike],
        state_bounds: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
        soft_constraints: Sequence[SoftConstraint] = (),
        state_scale: npt.ArrayLike | None = None,
        input_scale: npt.ArrayLike | None = None,
        scenarios: Scenarios | None = None,
    ) -> None:
        self.x, self.u = casadi.SX(states), casadi.SX(inputs)
        self.p = casadi.SX(0, 1) if parameters is None else casadi.SX(parameters)
        self.y = casadi.SX(0, 1) if outputs is None else casadi.vertcat(outputs)
        self.nx, self.nu, self.np, self.ny = (int(v.numel()) for v in (self.x, self.u, self.p, self.y))
        self.dynamics, self.discrete, self.step = casadi.vertcat(dynamics), discrete, float(step)
        self.economic, self.terminal_economic = casadi.SX(economic), casadi.SX(terminal_economic)
        nx, nu, ny = self.nx, self.nu, self.ny
        infinite = np.full(nx, np.inf)
        self.output_weights = _vector(output_weights, ny, "output_weights")
        self.terminal_weights = _vector(np.zeros(ny) if terminal_weights is None else terminal_weights, ny, "terminal")
        self.move_weights = _vector(move_weights, nu, "move_weights")
        self.move_limits = _vector(np.full(nu, np.inf) if move_limits is None else move_limits, nu, "move_limits")
        self.input_lower, self.input_upper = (_vector(b, nu, "input_bounds") for b in input_bounds)
        self.state_lower, self.state_upper = (
            _vector(b, nx, "state_bounds") for b in (state_bounds or (-infinite, infinite))
        )
        width = np.where(np.isfinite(self.input_upper - self.input_lower), self.input_upper - self.input_lower, 1.0)
        self.state_scale = _vector(np.ones(nx) if state_scale is None else state_scale, nx, "state_scale")
        self.input_scale = _vector(width if input_scale is None else input_scale, nu, "input_scale")
        self.soft_constraints = tuple(soft_constraints)
        self.scenarios = scenarios
        self._check()
        self.one_step = self._one_step(integrator)
        self.stages = self._stages(tuple(grid), substeps, blocks)
        self.weights = np.array([stage.steps for stage in self.stages] + [1], dtype=np.float64)
        lengths = self.weights[:-1]
        spread = 2.0 / (np.r_[1.0, lengths[:-1]] + lengths) if ramps else np.ones(len(lengths))
        self.move_shares = np.append(spread, 1.0)  # factors on M by stage
        self.nodes = nodes_of(len(self.stages), scenarios)
        self.branches = branches_of(self.nodes)
        on_branch = (self.branches[:, :, np.newaxis] == np.arange(len(self.nodes))).any(axis=1)
        self.first_branch = np.argmax(on_branch, axis=0)  # of each node
        bound = [self.needs_inputs(c.expression) for c in self.soft_constraints]
        self._with_inputs = [i for i, needs in enumerate(bound) if needs]
        self._without_inputs = [i for i, needs in enumerate(bound) if not needs]

    @property
    def horizon(self) -> int:
        """Sampling periods from the first node to the last."""
        return sum(stage.steps for stage in self.stages)

    @property
    def node_steps(self) -> npt.NDArray[np.int64]:
        """The sampling period at which each node stands, shape (K + 1,)."""
        return np.cumsum([0, *(stage.steps for stage in self.stages)])

    def next_state(self, x: Any, u: Any, p: Any, duration: Any, substeps: int) -> Any:
        """F_k as an expression."""
        for _ in range(substeps):
            x = self.one_step(x, u, p, duration / substeps)
        return x

    def _one_step(self, integrator: Any | None) -> Any:
        """(x, u, p, h) -> x a substep later, or a sampling period later if discrete."""
        x, u, p, h = self.x, self.u, self.p, casadi.SX.sym("h")
        if integrator is not None:
            following = integrator(x, u, p, h)
        elif self.discrete:
            following = self.dynamics
        else:
            f = casadi.Function("f", [x, u, p], [self.dynamics])
            k1 = f(x, u, p)
            k2 = f(x + h / 2 * k1, u, p)
            k3 = f(x + h / 2 * k2, u, p)
            k4 = f(x + h * k3, u, p)
            following = x + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        return casadi.Function("one_step", [x, u, p, h], [following])

    def constraint_numbers_at(self, stage: int) -> list[int]:
        """Which of the soft constraints hold at a stage's start (K: at the end): those with inputs first."""
        return (self._with_inputs if stage < len(self.stages) else []) + (self._without_inputs if stage > 0 else [])

    def constraints_at(self, stage: int) -> list[SoftConstraint]:
        """See `constraint_numbers_at`."""
        return [self.soft_constraints[i] for i in self.constraint_numbers_at(stage)]

    def prices_without(self, rank: int) -> FloatArray:
        """Factors on prices that leave out the soft constraints of this rank and worse, for `Engine.solve`."""
        return np.array([float(c.rank < rank) for c in self.soft_constraints])

    def needs_inputs(self, expression: Any) -> bool:
        """Whether the inputs appear in it."""
        return bool(casadi.depends_on(casadi.SX(expression), self.u))

    def fill_node_values(self, into: FloatArray, parameters: npt.ArrayLike, references: npt.ArrayLike) -> None:
        """Write parameters and references of every node into ``into``, shape (K + 1, np + ny).

        Raises:
            GalenicError: neither one vector nor one for each node.
        """
        for name, given, part in (
            ("parameters", parameters, into[:, : self.np]),
            ("references", references, into[:, self.np :]),
        ):
            try:
                array = np.asarray(given, dtype=np.float64)
            except (TypeError, ValueError) as error:
                raise GalenicError(f"{name} are not numbers", cure="give an array of floats") from error
            shape = part.shape
            if array.shape != shape[1:] and array.shape != shape:
                raise GalenicError(f"{name} have the shape {array.shape}", cure=f"give {shape[1:]}, or {shape} by node")
            if shape[1]:
                part[:] = array

    def _stages(
        self, grid: tuple[int, ...], substeps: int | Sequence[int], blocks: Sequence[int] | None
    ) -> tuple[Stage, ...]:
        count = len(grid)
        counts = [substeps * d for d in grid] if isinstance(substeps, int) else list(substeps)
        if self.discrete:
            counts = list(grid)
        if not count or min(grid) < 1 or len(counts) != count or min(counts) < 1:
            raise GalenicError(
                f"a grid of {count} stages with {len(counts)} numbers of substeps",
                cure="give every stage at least one sampling period and one substep",
            )
        starts = {0} if blocks is not None else set(range(count))
        for end in np.cumsum(blocks if blocks is not None else [])[:-1]:
            starts.add(int(end))
        length = 1.0 if self.discrete else self.step
        return tuple(
            Stage(d, n, 1.0 if self.discrete else d * length, k not in starts)
            for k, (d, n) in enumerate(zip(grid, counts, strict=True))
        )

    def _check(self) -> None:
        known = casadi.vertcat(self.x, self.u, self.p)
        expressions = [self.dynamics, self.y, self.economic, self.terminal_economic]
        expressions += [casadi.SX(c.expression) for c in self.soft_constraints]
        for symbol in casadi.symvar(casadi.vertcat(*expressions)):
            if not casadi.depends_on(known, symbol):
                raise GalenicError(
                    f"the symbol '{symbol}' is neither a state, an input nor a parameter",
                    cure="add it to the parameters",
                )
        if int(self.dynamics.numel()) != self.nx:
            raise GalenicError(
                f"{self.nx} states, but {self.dynamics.numel()} equations", cure="give one equation for each state"
            )
        at_the_end = [self.y[i] for i in range(self.ny) if self.terminal_weights[i] > 0.0]
        if self.needs_inputs(casadi.vertcat(*at_the_end, self.terminal_economic)):
            raise GalenicError("the terminal cost depends on inputs", cure="there are none at the end of the horizon")
        if self.scenarios is not None and self.scenarios.offsets.shape[1] != self.np:
            raise GalenicError(
                f"the scenarios change {self.scenarios.offsets.shape[1]} parameters; there are {self.np}",
                cure="give each scenario a number for each parameter, zero where nothing changes",
            )
        weights = np.r_[self.output_weights, self.terminal_weights, self.move_weights]
        if not (np.isfinite(weights).all() and (weights >= 0.0).all()):
            raise GalenicError("a weight is negative or not finite", cure="give weights of zero or more")
        if (self.input_lower > self.input_upper).any() or (self.state_lower > self.state_upper).any():
            raise GalenicError("a lower bound is above its upper bound", cure="exchange them")
        scales = np.r_[self.state_scale, self.input_scale, self.move_limits, self.step]
        if not (scales > 0.0).all():
            raise GalenicError("scales, move limits and the step must be positive", cure="leave out limits of zero")
        ranks = sorted(self.soft_constraints, key=lambda c: c.rank)
        for better, worse in pairwise(ranks):
            if better.rank < worse.rank and better.l1 < worse.l1:
                raise GalenicError(
                    f"soft constraint '{better.name}' of rank {better.rank} costs less than '{worse.name}' of rank "
                    f"{worse.rank}",
                    cure="a better rank needs a penalty that is not smaller",
                )


def _vector(values: npt.ArrayLike, size: int, name: str) -> FloatArray:
    vector = np.array(values, dtype=np.float64)
    if vector.shape != (size,) or np.isnan(vector).any():
        raise GalenicError(f"{name} has the shape {vector.shape} or holds NaN", cure=f"give {size} numbers")
    return vector
