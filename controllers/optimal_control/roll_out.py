"""What inputs lead to by the problem's own dynamics: its cost and violations, apart from any engine."""

from __future__ import annotations

from dataclasses import dataclass

import casadi
import numpy as np

from controllers.optimal_control.problem import OptimalControlProblem
from controllers.optimal_control.stage_functions import StageFunctions
from cosim.component import FloatArray


@dataclass(frozen=True)
class Rolled:
    """States, shape (K + 1, nx), with the cost and the largest violations: soft in scales, hard in state scales.

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
        functions, count = StageFunctions(problem), len(problem.stages)
        state, before = casadi.MX.sym("state", problem.nx), casadi.MX.sym("before", problem.nu)
        inputs = casadi.MX.sym("inputs", problem.nu, count)
        values = casadi.MX.sym("values", problem.np + problem.ny, count + 1)
        scale, input_scale = casadi.DM(problem.state_scale), casadi.DM(problem.input_scale)
        x, v = state / scale, before / input_scale
        low, high = casadi.DM(problem.state_lower) / scale, casadi.DM(problem.state_upper) / scale
        states, cost, soft, hard = [x], casadi.MX(0), casadi.MX(0), casadi.MX(0)
        for k in range(count + 1):
            u = inputs[:, k] / input_scale if k < count else v
            duration = problem.stages[k].duration if k < count else 0.0
            following, rows, part = functions.rolled(k)(x, v, u, values[:, k], duration, problem.weights[k])
            cost += part
            moves, (lower, upper) = functions.moves(k), functions.row_bounds(k)
            for i, one in enumerate(problem.constraints_at(k), start=moves):
                over = casadi.fmax(casadi.fmax(float(lower[i]) - rows[i], rows[i] - float(upper[i])), 0.0)
                soft = casadi.fmax(soft, over)
                cost += problem.weights[k] * (one.l1 * over + one.l2 / 2 * over**2)
            if k < count:
                x, v = following, u
                states.append(x)
                hard = casadi.fmax(hard, casadi.fmax(casadi.mmax(low - x), casadi.mmax(x - high)))
        path = casadi.horzcat(*states) * casadi.repmat(scale, 1, count + 1)
        self._function = casadi.Function("roll_out", [state, before, values, inputs], [path, cost, soft, hard])

    def __call__(self, state: FloatArray, previous_input: FloatArray, values: FloatArray, inputs: FloatArray) -> Rolled:
        """The plan ``inputs``, shape (K, nu), with parameters and references by node, shape (K + 1, np + ny)."""
        path, cost, soft, hard = self._function(state, previous_input, values.T, inputs.T)
        states = np.array(path, dtype=np.float64).reshape(self.problem.nx, -1).T
        return Rolled(states, float(cost), (float(soft), float(hard)))
