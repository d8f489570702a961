"""What inputs lead to by the problem's own dynamics: its cost and violations, apart from any engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import casadi
import numpy as np

from controllers.optimal_control.problem import OptimalControlProblem
from controllers.optimal_control.stage_functions import StageFunctions
from controllers.optimal_control.terms import Terms, terms_of
from controllers.optimal_control.tree import edge_values, node_values
from cosim.component import FloatArray


@dataclass(frozen=True)
class Rolled:
    """States by node, shape (N, nx), (K + 1, nx) without scenarios; cost; largest violations, soft and hard, in scales.

    All are NaN or infinite where the dynamics leave the range of numbers.
    """

    states: FloatArray
    cost: float
    violation: tuple[float, float]


class RollOut:
    """Evaluates plans.

    Args:
        problem: the dynamics, costs and constraints.
    """

    def __init__(self, problem: OptimalControlProblem) -> None:
        self.problem = problem
        self._functions = functions = StageFunctions(problem)
        self.terms = terms_of(problem)
        nodes, mx = problem.nodes, casadi.MX
        count, rows_shape = len(nodes), functions.rows(cast("Terms", self.terms)).lower.shape
        state, before = mx.sym("state", problem.nx), mx.sym("before", problem.nu)
        inputs = mx.sym("inputs", problem.nu, count)
        values = mx.sym("values", problem.np + problem.ny, count)
        of_edges = mx.sym("of_edges", problem.np + problem.ny, count)
        times = mx.sym("times", len(problem.stages) + 1, 2)
        lower, upper, l1, l2 = (mx.sym(name, *rows_shape) for name in ("lower", "upper", "l1", "l2"))
        scale, input_scale = casadi.DM(problem.state_scale), casadi.DM(problem.input_scale)
        low, high = casadi.DM(problem.state_lower) / scale, casadi.DM(problem.state_upper) / scale
        x, u, v = [state / scale], [], [before / input_scale]
        cost, soft, hard = mx(0), mx(0), mx(0)
        for n, node in enumerate(nodes):
            k, function = node.depth, functions.rolled(node.depth)
            u.append(inputs[:, n] / input_scale if k < len(problem.stages) else v[n])
            weights: tuple[Any, ...] = (times[k, 0], times[k, 1] * node.share, node.share * problem.move_shares[k])
            following, rows, part = function(x[n], v[n], u[n], values[:, n], *weights)
            cost += part
            moves = functions.moves(k)
            for i in range(len(problem.constraint_numbers_at(k))):
                row = moves + i
                over = casadi.fmax(casadi.fmax(lower[k, row] - rows[row], rows[row] - upper[k, row]), 0.0)
                soft = casadi.fmax(soft, over)
                cost += node.share * (l1[k, i] * over + l2[k, i] / 2 * over**2)
            if n + 1 < count:  # the next node, which may follow an earlier one
                parent = nodes[n + 1].parent
                p, depth = parent, nodes[parent].depth
                if nodes[n + 1].scenario != node.scenario or parent != n:
                    weights = (times[depth, 0], 1.0, 1.0)
                    following = functions.rolled(depth)(x[p], v[p], u[p], of_edges[:, n + 1], *weights)[0]
                x.append(following)
                v.append(u[p])
                hard = casadi.fmax(hard, casadi.fmax(casadi.mmax(low - following), casadi.mmax(following - high)))
        path = casadi.horzcat(*x) * casadi.repmat(scale, 1, count)
        arguments = [state, before, values, of_edges, inputs, times, lower, upper, l1, l2]
        self._function = casadi.Function("roll_out", arguments, [path, cost, soft, hard])

    def __call__(
        self,
        state: FloatArray,
        previous_input: FloatArray,
        values: FloatArray,
        inputs: FloatArray,
        terms: Terms | None = None,
    ) -> Rolled:
        """What a plan leads to.

        Args:
            state: shape (nx,).
            previous_input: shape (nu,).
            values: parameters and references by stage, shape (K + 1, np + ny).
            inputs: shape (K, nu), the same in every scenario; or by node, shape (N, nu).
            terms: of the solve; None: the problem's.
        """
        problem, nodes = self.problem, self.problem.nodes
        if len(inputs) != len(nodes):
            inputs = np.vstack([inputs, inputs[-1:]])[[node.depth for node in nodes]]
        path, cost, soft, hard = self._function(*self._arguments(state, previous_input, values, inputs.T, terms))
        states = np.array(path, dtype=np.float64).reshape(problem.nx, -1).T
        return Rolled(states, float(cost), (float(soft), float(hard)))

    def expressions(
        self, state: FloatArray, previous_input: FloatArray, values: FloatArray, inputs: Any
    ) -> tuple[Any, Any]:
        """States, shape (nx, K + 1), and cost as CasADi expressions of ``inputs``, MX (nu, K); no scenarios."""
        given = self._arguments(state, previous_input, values, casadi.horzcat(inputs, inputs[:, -1]), None)
        path, cost, *_ = self._function(*given)
        return path, cost

    def _arguments(
        self, state: FloatArray, previous_input: FloatArray, values: FloatArray, inputs: Any, terms: Terms | None
    ) -> list[Any]:
        """Of the function of all nodes; ``inputs`` of shape (nu, N)."""
        problem, nodes = self.problem, self.problem.nodes
        terms = cast("Terms", terms or self.terms)
        of_nodes = node_values(nodes, values, problem.scenarios)
        of_edges = edge_values(nodes, values, problem.scenarios)
        rows = self._functions.rows(terms)
        times = np.column_stack([np.r_[terms.durations, 0.0], terms.weights])
        limits = (rows.lower, rows.upper, rows.l1, rows.l2)
        return [state, previous_input, of_nodes.T, of_edges.T, inputs, times, *limits]
