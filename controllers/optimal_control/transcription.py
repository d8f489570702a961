"""The whole problem as one nonlinear program: multiple shooting with the stages' own integrator."""

from __future__ import annotations

from typing import Any

import casadi
import numpy as np

from controllers.optimal_control.problem import OptimalControlProblem
from controllers.optimal_control.stage_functions import StageFunctions
from cosim.component import FloatArray


class Transcription:
    """min f(w, q)  subject to  lower <= w <= upper,  g_lower <= g(w, q) <= g_upper  (Bock & Plitt 1984).

    w holds by stage z_k = (x_k, u_{k-1}), u_k where it is free, and a slack for each limit of each soft constraint;
    g by stage the gap F_k(z_k, u_k) - z_{k+1}, then the rows: moves and soft constraints. q holds the parameters and
    references by node. All are scaled as in `StageFunctions`, so that what the engines report can be compared.

    Args:
        problem: what to transcribe.
        gauss_newton: make the block-diagonal Hessian of Gauss-Newton too.
    """

    def __init__(self, problem: OptimalControlProblem, *, gauss_newton: bool = False) -> None:
        self.problem = problem
        functions = StageFunctions(problem)
        sx, count = casadi.SX, len(problem.stages)
        nz = problem.nx + problem.nu
        self.q = sx.sym("q", problem.np + problem.ny, count + 1)
        z = [sx.sym(f"z_{k}", nz) for k in range(count + 1)]
        w: list[Any] = []
        g: list[Any] = []
        blocks: list[Any] = []
        f = sx(0)
        lower, upper = [], []
        g_lower, g_upper = [], []
        self.controls: list[int] = []  # u and slacks by stage, as HPIPM's interface wants to know
        self.rows: list[int] = []
        hard: list[bool] = []  # rows of g that are moves; gaps close while the iterations go on
        self._z_at: list[int] = []
        self._u_at: list[int] = []
        at = 0
        infinite = np.full(problem.nu, np.inf)
        for k in range(count + 1):
            held = k == count or problem.stages[k].held
            x, v = z[k][: problem.nx], z[k][problem.nx :]
            u = v if held else sx.sym(f"u_{k}", problem.nu)
            duration = 0.0 if k == count else problem.stages[k].duration
            arguments = (x, v, u, self.q[:, k], duration, problem.weights[k])
            following, rows, cost = functions.rolled(k)(*arguments)
            low, high = functions.row_bounds(k)
            moves = functions.moves(k)
            slacks = []
            for i, soft in enumerate(problem.constraints_at(k)):
                row = moves + i
                for sign in [s for s, bound in ((1, low[row]), (-1, high[row])) if np.isfinite(bound)]:
                    slack = sx.sym(f"s_{k}_{i}")
                    slacks.append(slack)
                    rows[row] += sign * slack
                    cost += problem.weights[k] * (soft.l1 * slack + soft.l2 / 2 * slack**2)
            f += cost
            self._z_at.append(at)
            self._u_at.append(at + problem.nx if held else at + nz)
            free = [] if held else [u]
            w += [z[k], *free, *slacks]
            self.controls.append((0 if held else problem.nu) + len(slacks))
            self.rows.append(len(low))
            at += nz + self.controls[-1]
            lower += [problem.state_lower / problem.state_scale, -infinite]
            upper += [problem.state_upper / problem.state_scale, infinite]
            if not held:
                lower.append(problem.input_lower / problem.input_scale)
                upper.append(problem.input_upper / problem.input_scale)
            lower.append(np.zeros(len(slacks)))
            upper.append(np.full(len(slacks), np.inf))
            if k < count:
                g.append(casadi.vertcat(following, u) - z[k + 1])
                g_lower.append(np.zeros(nz))
                g_upper.append(np.zeros(nz))
                hard += [False] * nz
            g.append(rows)
            g_lower.append(low)
            g_upper.append(high)
            hard += [i < moves for i in range(len(low))]
            if gauss_newton:
                blocks += self._hessian(functions, k, arguments, slacks)
        self.w, self.f, self.g = casadi.vertcat(*w), f, casadi.vertcat(*g)
        self.lower, self.upper = np.concatenate(lower), np.concatenate(upper)
        self.g_lower, self.g_upper = np.concatenate(g_lower), np.concatenate(g_upper)
        self.hard = np.array([True] * at + hard)
        self.hessian: Any = casadi.diagcat(*blocks) if gauss_newton else None

    def fix_start(self, state: FloatArray, previous_input: FloatArray) -> None:
        """Set z_0 by its bounds."""
        problem = self.problem
        start = np.r_[state / problem.state_scale, previous_input / problem.input_scale]
        self.lower[: len(start)] = self.upper[: len(start)] = start

    def inputs_of(self, w: FloatArray) -> FloatArray:
        """u_k of every stage, shape (K, nu)."""
        problem = self.problem
        scaled = [w[at : at + problem.nu] for at in self._u_at[:-1]]
        return np.clip(np.array(scaled) * problem.input_scale, problem.input_lower, problem.input_upper)

    def guess(self, states: FloatArray, inputs: FloatArray, previous_input: FloatArray) -> FloatArray:
        """The vector w of a plan, with slacks of zero."""
        problem = self.problem
        w = np.zeros(int(self.w.numel()))
        before = np.vstack([previous_input, inputs]) / problem.input_scale
        for k, at in enumerate(self._z_at):
            w[at : at + problem.nx] = states[k] / problem.state_scale
            w[at + problem.nx : at + problem.nx + problem.nu] = before[k]
            if k < len(inputs):
                w[self._u_at[k] : self._u_at[k] + problem.nu] = inputs[k] / problem.input_scale
        return w

    @staticmethod
    def _hessian(functions: StageFunctions, k: int, arguments: tuple[Any, ...], slacks: list[Any]) -> list[Any]:
        problem = functions.problem
        nz = problem.nx + problem.nu
        _, _, _, r, s, q, *_ = functions.linearised(k)(*arguments)
        price = [problem.weights[k] * c.l2 for c in problem.constraints_at(k) for b in (c.lower, c.upper) if _finite(b)]
        if k == 0:  # z_0 is fixed
            q, s = casadi.SX(nz, nz), casadi.SX(problem.nu, nz)
        block = q if int(r.numel()) == 0 else casadi.blockcat([[q, s.T], [s, r]])
        return [block, casadi.diag(casadi.SX(price))] if slacks else [block]


def _finite(bound: float) -> bool:
    return bool(np.isfinite(bound))
