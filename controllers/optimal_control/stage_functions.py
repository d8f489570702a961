"""The functions of one stage, with derivatives, that a stage-structured solver needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import casadi
import numpy as np
import numpy.typing as npt

from controllers.optimal_control.problem import OptimalControlProblem
from controllers.optimal_control.terms import Terms
from cosim.component import FloatArray

#: Added to the Hessian's diagonal: inputs without a price keep the Riccati recursion regular.
DAMPING = 1e-8
#: Operations in the substeps of a stage above which they are calls of one function, and not written out: code that fits
#: the caches, and is compiled in seconds whatever their number.
CHAINED = 1500
#: Substeps above which they are a loop, which is compiled in constant time but knows no zeros in the derivatives.
UNROLLED = 12


@dataclass(frozen=True)
class Rows:
    """Of every stage and the end, each shape (K + 1, R): scaled bounds of the rows c, and prices of the constraints.

    The prices stand by constraint, so before the number of moves; they are weighted by the stage's length.
    """

    lower: FloatArray
    upper: FloatArray
    l1: FloatArray
    l2: FloatArray


@dataclass(frozen=True)
class _Table:
    """What `Rows` are made of; ``constraint`` (by row) and ``price`` are numbers of soft constraints, or -1."""

    moves: npt.NDArray[np.int64]
    lower: FloatArray
    upper: FloatArray
    l1: FloatArray
    l2: FloatArray
    constraint: npt.NDArray[np.int64]
    price: npt.NDArray[np.int64]


class StageFunctions:
    """CasADi functions of a stage, in scaled variables x / scale and u / scale.

    Stages that differ only in numbers share them, so their count does not grow with the horizon. With the augmented
    state z = (x, v), v the previous input, and w = (z, u), Gauss-Newton's quadratic model at (z, u) is

        A, B = dF/dz, dF/du   H = J' W J + damping   g = J' W (y - r) + grad e   C, D = dc/dz, dc/du

    Every function takes (x, v, u, [p; r], duration, weight, share): the weight of what lasts and that of the moves.
    ``linearised`` returns (z+, A, B, R, S, Q, r, q, c, C, D), ``rolled`` (x+, c, cost without that of slacks).
    The rows c are the moves, then the soft constraints.

    Args:
        problem: what is to be solved.
        all_moves: moves of every input are rows, not of those alone that the problem limits.
    """

    def __init__(self, problem: OptimalControlProblem, *, all_moves: bool = False) -> None:
        self.problem = problem
        self.limited = [i for i in range(problem.nu) if all_moves or np.isfinite(problem.move_limits[i])]
        self._made: dict[str, Any] = {}
        self._rows: _Table | None = None
        self._step: Any = None

    def key(self, stage: int) -> str:
        """The name of a stage's functions: stages of one name share them."""
        stages = self.problem.stages
        if stage == len(stages):
            return "last"
        one = stages[stage]
        return f"{'first' if stage == 0 else 'held' if one.held else 'free'}_{one.substeps}"

    @property
    def kinds(self) -> dict[str, int]:
        """The first stage of each name, in the order of the stages."""
        first: dict[str, int] = {}
        for stage in range(len(self.problem.stages) + 1):
            first.setdefault(self.key(stage), stage)
        return first

    def moves(self, stage: int) -> int:
        """How many rows of c are moves."""
        stages = self.problem.stages
        return len(self.limited) if stage < len(stages) and not stages[stage].held else 0

    def linearised(self, stage: int) -> Any:
        """The derivatives at a stage's start, or at the end."""
        return self._function(stage, "linearised")

    def rolled(self, stage: int) -> Any:
        """The values there."""
        return self._function(stage, "rolled")

    def rows(self, terms: Terms) -> Rows:
        """Bounds of c and prices in a solve."""
        p, table = self.problem, self._table()
        low, high = table.lower.copy(), table.upper.copy()
        dropped = np.append(terms.prices == 0.0, [False])[table.constraint]
        low[dropped], high[dropped] = -np.inf, np.inf
        free = table.moves > 0
        if self.limited and free.any():
            limits = (terms.move_limits / p.input_scale)[free[:-1]][:, self.limited]
            low[free, : len(self.limited)], high[free, : len(self.limited)] = -limits, limits
        # a price of zero would leave the slack without a bound from above
        factors = np.append(np.where(terms.prices > 0.0, terms.prices, 1.0), [0.0])[table.price]
        factors *= terms.weights[:, np.newaxis]
        return Rows(low, high, table.l1 * factors, table.l2 * factors)

    def _table(self) -> _Table:
        if self._rows is None:
            p, nodes = self.problem, range(len(self.problem.stages) + 1)
            moves = np.array([self.moves(k) for k in nodes])
            numbers = [p.constraint_numbers_at(k) for k in nodes]
            shape = (len(numbers), max(1, *(len(n) + m for n, m in zip(numbers, moves, strict=True))))
            table = _Table(
                moves,
                *(np.full(shape, sign * np.inf) for sign in (-1, 1)),
                *(np.zeros(shape) for _ in range(2)),
                *(np.full(shape, -1) for _ in range(2)),
            )
            for k, (m, found) in enumerate(zip(moves, numbers, strict=True)):
                for i, number in enumerate(found):
                    soft = p.soft_constraints[number]
                    table.lower[k, m + i], table.upper[k, m + i] = soft.lower / soft.scale, soft.upper / soft.scale
                    table.constraint[k, m + i] = table.price[k, i] = number
                    table.l1[k, i], table.l2[k, i] = soft.l1, soft.l2
            self._rows = table
        return self._rows

    def _function(self, stage: int, kind: str) -> Any:
        name = f"{kind}_{self.key(stage)}"
        if name not in self._made:
            self._made[name] = self._build(stage, kind, name)
        return self._made[name]

    def _build(self, stage: int, kind: str, name: str) -> Any:
        p, sx = self.problem, casadi.SX
        x, v, u = sx.sym("x", p.nx), sx.sym("v", p.nu), sx.sym("u", p.nu)
        pr = sx.sym("pr", p.np + p.ny)
        duration, weight, share = (sx.sym(name) for name in ("duration", "weight", "share"))
        parameters, reference = pr[: p.np], pr[p.np :]
        last = stage == len(p.stages)
        held = last or p.stages[stage].held
        applied = v if held else u
        state, inputs = x * p.state_scale, applied * p.input_scale
        soft = p.constraints_at(stage)
        symbols = casadi.vertcat(p.x, p.u, p.p)
        values = casadi.vertcat(state, inputs, parameters)
        economic = p.terminal_economic if last else p.economic
        given = casadi.vertcat(p.y, economic, *(c.expression / c.scale for c in soft))
        outputs = casadi.Function("outputs", [symbols], [given])(values)
        tracked, rows = outputs[: p.ny] - reference, outputs[p.ny + 1 :]
        squares = casadi.sqrt(weight * (p.terminal_weights if last else p.output_weights)) * tracked
        if not held:
            move = u - v
            squares = casadi.vertcat(squares, casadi.sqrt(share) * np.sqrt(p.move_weights) * p.input_scale * move)
            rows = casadi.vertcat(*(move[i] for i in self.limited), rows)
        linear = weight * outputs[p.ny]
        arguments = [x, v, u, pr, duration, weight, share]
        steps = 0 if last else p.stages[stage].substeps
        chained = steps > 1 and steps * p.one_step.n_instructions() > CHAINED
        inline = last or chained
        following = x if inline else p.next_state(state, inputs, parameters, duration, steps) / p.state_scale
        if kind == "rolled":
            results = [following, rows, casadi.sumsqr(squares) / 2 + linear]
            made = casadi.Function(name, arguments, results)
            return self._chain_rolled(made, steps, held) if chained else made
        z = casadi.vertcat(x, v)
        z_next = casadi.vertcat(following, applied)
        free = sx(0, 1) if held else u
        w = casadi.vertcat(free, z)
        nu = int(free.numel())
        jacobian, rows_by_w, next_by_w = (casadi.jacobian(e, w) for e in (squares, rows, z_next))
        hessian = jacobian.T @ jacobian + DAMPING * sx.eye(w.numel())
        gradient = jacobian.T @ squares + casadi.jacobian(linear, w).T
        results = [
            *(z_next, next_by_w[:, nu:], next_by_w[:, :nu]),
            *(hessian[:nu, :nu], hessian[:nu, nu:], hessian[nu:, nu:], gradient[:nu], gradient[nu:]),
            *(rows, rows_by_w[:, nu:], rows_by_w[:, :nu]),
        ]
        # the first stage has no states that are free, the last no dynamics
        unused = {1, 4, 5, 7, 9} if stage == 0 else {0, 1, 2} if last else set()
        results = [sx(0, 1) if i in unused else casadi.densify(r) for i, r in enumerate(results)]
        made = casadi.Function(name, arguments, results)
        return self._chain_linearised(made, steps, held=held, first=stage == 0) if chained else made

    def _scaled_step(self) -> Any:
        """(x, [u; p], h) -> scaled x a substep later, and its derivatives by scaled x and u."""
        if self._step is None:
            p, sx = self.problem, casadi.SX
            x, u, q, h = sx.sym("x", p.nx), sx.sym("u", p.nu), sx.sym("q", p.np), sx.sym("h")
            after = p.one_step(x * p.state_scale, u * p.input_scale, q, h) / p.state_scale
            results = [after, casadi.jacobian(after, x), casadi.jacobian(after, u)]
            given = [x, casadi.vertcat(u, q), h]
            self._step = casadi.Function("step", given, results)
            self._step_alone = casadi.Function("step_alone", given, [after])
        return self._step

    def _symbols(self, held: bool) -> tuple[list[Any], Any]:
        """Arguments, and the inputs that are applied."""
        p, mx = self.problem, casadi.MX
        sizes = {"x": p.nx, "v": p.nu, "u": p.nu, "pr": p.np + p.ny, "duration": 1, "weight": 1, "share": 1}
        arguments = [mx.sym(name, size) for name, size in sizes.items()]
        return arguments, arguments[1 if held else 2]

    def _chain_rolled(self, local: Any, steps: int, held: bool) -> Any:
        """The same with substeps as calls of one function."""
        self._scaled_step()
        arguments, applied = self._symbols(held)
        x, _, _, pr, duration, *_ = arguments
        _, rows, cost = local(*arguments)
        given = casadi.vertcat(applied, pr[: self.problem.np])
        x = self._step_alone.fold(steps)(x, given, duration / steps)
        return casadi.Function(local.name(), arguments, [x, rows, cost])

    def _chain_linearised(self, local: Any, steps: int, *, held: bool, first: bool) -> Any:
        """The same with substeps as calls of one function, whose derivatives are multiplied."""
        step, p, mx = self._scaled_step(), self.problem, casadi.MX
        arguments, applied = self._symbols(held)
        x, _, _, pr, duration, *_ = arguments
        _, _, _, *rest = local(*arguments)
        inputs = casadi.vertcat(applied, pr[: p.np])
        if steps <= UNROLLED:
            x, by_x, by_u = step(x, inputs, duration / steps)
            for _ in range(steps - 1):
                x, a, b = step(x, inputs, duration / steps)
                by_x, by_u = a if first else a @ by_x, a @ by_u + b
        else:
            # columns: the state, its derivatives by u, and but for the first stage by x
            joint = mx.sym("joint", p.nx, 1 + p.nu + (0 if first else p.nx))
            given, h = mx.sym("given", p.nu + p.np), mx.sym("h")
            after, a, b = step(joint[:, 0], given, h)
            own = b if first else casadi.horzcat(b, mx(p.nx, p.nx))
            one = casadi.Function("chain", [joint, given, h], [casadi.horzcat(after, a @ joint[:, 1:] + own)])
            begin = [x, mx.zeros(p.nx, p.nu)] if first else [x, mx.zeros(p.nx, p.nu), mx.eye(p.nx)]
            end = one.fold(steps)(casadi.horzcat(*begin), inputs, duration / steps)
            x, by_u, by_x = end[:, 0], end[:, 1 : 1 + p.nu], None if first else end[:, 1 + p.nu :]
        unit, nothing = mx.eye(p.nu), mx(p.nu, p.nx)
        none, square = mx(p.nx, p.nu), mx(p.nu, p.nu)
        b = mx(0, 1) if held else casadi.densify(casadi.vertcat(by_u, unit))
        a = mx(0, 1)
        if not first:
            by_z = [[by_x, by_u], [nothing, unit]] if held else [[by_x, none], [nothing, square]]
            a = casadi.densify(casadi.blockcat(by_z))
        return casadi.Function(local.name(), arguments, [casadi.vertcat(x, applied), a, b, *rest])
