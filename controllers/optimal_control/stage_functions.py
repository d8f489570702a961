"""The functions of one stage, with derivatives, that a stage-structured solver needs."""

from __future__ import annotations

from typing import Any

import casadi
import numpy as np

from controllers.optimal_control.problem import OptimalControlProblem
from cosim.component import FloatArray

#: Added to the Hessian's diagonal: inputs without a price keep the Riccati recursion regular.
DAMPING = 1e-8


class StageFunctions:
    """CasADi functions of a stage, in scaled variables x / scale and u / scale.

    Stages that differ only in numbers share them, so their count does not grow with the horizon. With the augmented
    state z = (x, v), v the previous input, and w = (z, u), Gauss-Newton's quadratic model at (z, u) is

        A, B = dF/dz, dF/du   H = J' W J + damping   g = J' W (y - r) + grad e   C, D = dc/dz, dc/du

    Every function takes (x, v, u, [p; r], duration, weight). ``linearised`` returns (z+, A, B, R, S, Q, r, q, c, C, D),
    ``rolled`` (x+, c, cost), the cost without that of slacks. The rows c are the moves, then the soft constraints.

    Args:
        problem: what is to be solved.
    """

    def __init__(self, problem: OptimalControlProblem) -> None:
        self.problem = problem
        self.limited = [i for i in range(problem.nu) if np.isfinite(problem.move_limits[i])]
        self._made: dict[str, Any] = {}

    def key(self, node: int) -> str:
        """The name of the functions of a node: nodes of one name share them."""
        stages = self.problem.stages
        if node == len(stages):
            return "last"
        stage = stages[node]
        return f"{'first' if node == 0 else 'held' if stage.held else 'free'}_{stage.substeps}"

    def moves(self, node: int) -> int:
        """How many rows of c at a node are moves."""
        stages = self.problem.stages
        return len(self.limited) if node < len(stages) and not stages[node].held else 0

    def linearised(self, node: int) -> Any:
        """The derivatives at a node."""
        return self._function(node, "linearised")

    def rolled(self, node: int) -> Any:
        """The values at a node."""
        return self._function(node, "rolled")

    def row_bounds(self, node: int) -> tuple[FloatArray, FloatArray]:
        """Lower and upper bounds of c at a node, scaled."""
        p = self.problem
        moves = (p.move_limits / p.input_scale)[self.limited][: self.moves(node)]
        soft = p.constraints_at(node)
        lower = np.array([c.lower / c.scale for c in soft])
        upper = np.array([c.upper / c.scale for c in soft])
        return np.r_[-moves, lower], np.r_[moves, upper]

    def _function(self, node: int, kind: str) -> Any:
        name = f"{kind}_{self.key(node)}"
        if name not in self._made:
            self._made[name] = self._build(node, kind, name)
        return self._made[name]

    def _build(self, node: int, kind: str, name: str) -> Any:
        p, sx = self.problem, casadi.SX
        x, v, u = sx.sym("x", p.nx), sx.sym("v", p.nu), sx.sym("u", p.nu)
        pr, duration, weight = sx.sym("pr", p.np + p.ny), sx.sym("duration"), sx.sym("weight")
        parameters, reference = pr[: p.np], pr[p.np :]
        last = node == len(p.stages)
        held = last or p.stages[node].held
        applied = v if held else u
        state, inputs = x * p.state_scale, applied * p.input_scale
        soft = p.constraints_at(node)
        symbols = casadi.vertcat(p.x, p.u, p.p)
        values = casadi.vertcat(state, inputs, parameters)
        economic = p.terminal_economic if last else p.economic
        given = casadi.vertcat(p.y, economic, *(c.expression / c.scale for c in soft))
        outputs = casadi.Function("outputs", [symbols], [given])(values)
        tracked, rows = outputs[: p.ny] - reference, outputs[p.ny + 1 :]
        squares = casadi.sqrt(weight * (p.terminal_weights if last else p.output_weights)) * tracked
        if not held:
            move = u - v
            squares = casadi.vertcat(squares, np.sqrt(p.move_weights) * p.input_scale * move)
            rows = casadi.vertcat(*(move[i] for i in self.limited), rows)
        linear = weight * outputs[p.ny]
        arguments = [x, v, u, pr, duration, weight]
        following = (
            x if last else p.next_state(state, inputs, parameters, duration, p.stages[node].substeps) / p.state_scale
        )
        if kind == "rolled":
            return casadi.Function(name, arguments, [following, rows, casadi.sumsqr(squares) / 2 + linear])
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
        unused = {1, 4, 5, 7, 9} if node == 0 else {0, 1, 2} if last else set()
        results = [sx(0, 1) if i in unused else casadi.densify(r) for i, r in enumerate(results)]
        return casadi.Function(name, arguments, results)
