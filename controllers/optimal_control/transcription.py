"""The whole problem as one nonlinear program, and its conditions of optimality."""

from __future__ import annotations

from typing import Any

import casadi
import numpy as np
import numpy.typing as npt

from controllers.optimal_control.problem import OptimalControlProblem
from controllers.optimal_control.stage_functions import StageFunctions
from controllers.optimal_control.terms import Terms
from controllers.optimal_control.tree import edge_values, node_values
from cosim.component import FloatArray
from fmus.errors import GalenicError


class Transcription:
    """min f(w, q)  subject to  lower <= w <= upper,  g_lower <= g(w, q) <= g_upper.

    w holds by node z = (x, v), u where it is free, a slack for each limit of each soft constraint, and with collocation
    the states inside the stages that follow; g by node, for each that follows, the gap F(z, u) - z+ or the equations of
    collocation, then the rows: moves and soft constraints. All are scaled as in `StageFunctions`. q holds what a solve
    may change: parameters and references, durations and weights, factors of prices.

    Without collocation this is multiple shooting with the stages' own integrator (Bock & Plitt 1984). Collocation takes
    the polynomials through Radau's points, exact to order 2 d - 1 and stiffly stable (Biegler 2010, Nonlinear
    Programming, ch. 10); there is an element for each substep.

    Args:
        problem: what to transcribe.
        gauss_newton: make the block-diagonal Hessian of Gauss-Newton too.
        all_moves: have rows for moves of every input.
        collocation: degree of the polynomials; 0: multiple shooting.

    Raises:
        GalenicError: collocation of discrete dynamics.
    """

    def __init__(
        self,
        problem: OptimalControlProblem,
        *,
        gauss_newton: bool = False,
        all_moves: bool = False,
        collocation: int = 0,
    ) -> None:
        if collocation and problem.discrete:
            raise GalenicError("discrete dynamics have nothing to collocate", cure="leave out 'collocation'")
        self.problem, self._collocation = problem, collocation
        self._functions = functions = StageFunctions(problem, all_moves=all_moves)
        sx, nodes, stages = casadi.SX, problem.nodes, len(problem.stages)
        nz, width = problem.nx + problem.nu, problem.np + problem.ny
        values, of_edges = sx.sym("values", width, len(nodes)), sx.sym("of_edges", width, len(nodes))
        durations, weights = sx.sym("durations", stages + 1), sx.sym("weights", stages + 1)
        prices = sx.sym("prices", len(problem.soft_constraints))
        self.q = casadi.vertcat(casadi.vec(values), casadi.vec(of_edges), durations, weights, prices)
        z = [sx.sym(f"z_{n}", nz) for n in range(len(nodes))]
        w: list[Any] = []
        g: list[Any] = []
        blocks: list[Any] = []
        f = sx(0)
        lower: list[FloatArray] = []
        upper: list[FloatArray] = []
        self.controls: list[int] = []  # u and slacks by node, as HPIPM's interface wants to know
        self.rows: list[int] = []
        self._w_at, self._g_at, self._u_at = [0], [0], []
        self._row_at: list[int] = []
        gap: list[bool] = []  # equations; the others are rows
        hard: list[bool] = []  # rows of g that are moves; gaps close while the iterations go on
        infinite = np.full(problem.nu, np.inf)
        for n, node in enumerate(nodes):
            k = node.depth
            held = k == stages or problem.stages[k].held
            x, v = z[n][: problem.nx], z[n][problem.nx :]
            u = v if held else sx.sym(f"u_{n}", problem.nu)
            arguments = (
                x,
                v,
                u,
                values[:, n],
                durations[k],
                weights[k] * node.share,
                node.share * problem.move_shares[k],
            )
            following, rows, cost = functions.rolled(k)(*arguments)
            moves, slacks, l2 = functions.moves(k), [], []
            for i, number in enumerate(problem.constraint_numbers_at(k)):
                soft = problem.soft_constraints[number]
                price = weights[k] * node.share * prices[number]
                for sign in [s for s, bound in ((1, soft.lower), (-1, soft.upper)) if np.isfinite(bound)]:
                    slack = sx.sym(f"s_{n}_{i}")
                    slacks.append(slack)
                    rows[moves + i] += sign * slack
                    cost += price * (soft.l1 * slack + soft.l2 / 2 * slack**2)
                    l2.append(price * soft.l2)
            f += cost
            self._u_at.append(self._w_at[-1] + (problem.nx if held else nz))
            inside: list[Any] = []
            for child in (c for c, other in enumerate(nodes) if other.parent == n):
                arrived = following
                if collocation:
                    made = self._collocate(x, u, of_edges[: problem.np, child], durations[k], k)
                    inside += made[0]
                    g.append(made[1])
                    gap += [True] * int(made[1].numel())
                    arrived = made[2]
                elif nodes[child].scenario != node.scenario:
                    on_edge = (*arguments[:3], of_edges[:, child], durations[k], 1.0, 1.0)
                    arrived = functions.rolled(k)(*on_edge)[0]
                g.append(casadi.vertcat(arrived, u) - z[child])
                gap += [True] * nz
            free = [] if held else [u]
            w += [z[n], *free, *slacks, *inside]
            self.controls.append((0 if held else problem.nu) + len(slacks))
            self.rows.append(int(rows.numel()))
            lower += [problem.state_lower / problem.state_scale, -infinite]
            upper += [problem.state_upper / problem.state_scale, infinite]
            if not held:
                lower.append(problem.input_lower / problem.input_scale)
                upper.append(problem.input_upper / problem.input_scale)
            lower.append(np.zeros(len(slacks)))
            upper.append(np.full(len(slacks), np.inf))
            lower += [np.full(problem.nx, -np.inf)] * len(inside)
            upper += [np.full(problem.nx, np.inf)] * len(inside)
            self._row_at.append(len(gap))
            g.append(rows)
            gap += [False] * self.rows[-1]
            hard += [False] * (len(gap) - len(hard) - self.rows[-1]) + [i < moves for i in range(self.rows[-1])]
            self._w_at.append(sum(len(part) for part in lower))
            self._g_at.append(len(gap))
            if gauss_newton:
                blocks += self._hessian(k, arguments, l2)
        self.w, self.f, self.g = casadi.vertcat(*w), f, casadi.vertcat(*g)
        self.lower, self.upper = np.concatenate(lower), np.concatenate(upper)
        self.g_lower, self.g_upper = np.zeros(len(gap)), np.zeros(len(gap))
        self.hard = np.array([True] * len(self.lower) + hard)
        self.hessian: Any = casadi.diagcat(*blocks) if gauss_newton else None

    def fix_start(self, state: FloatArray, previous_input: FloatArray) -> None:
        """Set z_0 by its bounds."""
        problem = self.problem
        start = np.r_[state / problem.state_scale, previous_input / problem.input_scale]
        self.lower[: len(start)] = self.upper[: len(start)] = start

    def fix_terms(self, terms: Terms) -> None:
        """Set the bounds of the rows."""
        rows, limited = self._functions.rows(terms), self._functions.limited
        for n, node in enumerate(self.problem.nodes):
            at, count, k = self._row_at[n], self.rows[n], node.depth
            self.g_lower[at : at + count] = rows.lower[k, :count]
            self.g_upper[at : at + count] = rows.upper[k, :count]
            for i in range(self._functions.moves(k)):
                if terms.held[k, limited[i]]:
                    self.g_lower[at + i] = self.g_upper[at + i] = 0.0

    def parameters(self, values: FloatArray, terms: Terms) -> FloatArray:
        """The vector q of parameters and references by stage, shape (K + 1, np + ny)."""
        nodes, scenarios = self.problem.nodes, self.problem.scenarios
        of_nodes, of_edges = node_values(nodes, values, scenarios), edge_values(nodes, values, scenarios)
        factors = np.where(terms.prices > 0.0, terms.prices, 1.0)
        q: FloatArray = np.r_[of_nodes.ravel(), of_edges.ravel(), terms.durations, 0.0, terms.weights, factors]
        return q

    def inputs_of(self, w: FloatArray) -> FloatArray:
        """The inputs of every node, shape (N, nu)."""
        problem = self.problem
        scaled = [w[at : at + problem.nu] for at in self._u_at]
        return np.clip(np.array(scaled) * problem.input_scale, problem.input_lower, problem.input_upper)

    def guess(self, states: FloatArray, inputs: FloatArray, previous_input: FloatArray) -> FloatArray:
        """The vector w of a plan by node, shapes (N, nx) and (N, nu), with slacks of zero."""
        problem = self.problem
        w = np.zeros(self._w_at[-1])
        x, u = states / problem.state_scale, inputs / problem.input_scale
        for n, node in enumerate(problem.nodes):
            at = self._w_at[n]
            before = previous_input / problem.input_scale if n == 0 else u[node.parent]
            w[at : at + problem.nx + problem.nu] = np.r_[x[n], before]
            w[self._u_at[n] : self._u_at[n] + problem.nu] = u[n] if self._u_at[n] > at + problem.nx else before
            inside = at + problem.nx + problem.nu + self.controls[n]
            w[inside : self._w_at[n + 1]] = np.tile(x[n], (self._w_at[n + 1] - inside) // problem.nx)
        return w

    def shifted(self, vector: FloatArray, sources: npt.NDArray[np.int64], *, of_w: bool) -> FloatArray:
        """A vector like w or g in which each node has what another one had, where they are of one size."""
        at = self._w_at if of_w else self._g_at
        result = vector.copy()
        for n, source in enumerate(sources):
            size = at[n + 1] - at[n]
            if at[source + 1] - at[source] == size:
                result[at[n] : at[n + 1]] = vector[at[source] : at[source + 1]]
        return result

    def _collocate(self, x: Any, u: Any, parameters: Any, duration: Any, stage: int) -> tuple[list[Any], Any, Any]:
        """Scaled states inside a stage, their equations, and the state at its end."""
        p, degree = self.problem, self._collocation
        points = casadi.collocation_points(degree, "radau")
        by_point, *_ = casadi.collocation_coeff(points)  # (degree + 1, degree): derivatives at the points
        rates = casadi.Function("rates", [p.x, p.u, p.p], [p.dynamics])
        elements = p.stages[stage].substeps
        inside: list[Any] = []
        equations: list[Any] = []
        for element in range(elements):
            made = [casadi.SX.sym(f"c_{stage}_{element}_{j}", p.nx) for j in range(degree)]
            slopes = casadi.horzcat(x, *made) @ by_point
            for j, state in enumerate(made):
                rate = rates(state * p.state_scale, u * p.input_scale, parameters) / p.state_scale
                equations.append(slopes[:, j] - duration / elements * rate)
            inside += made
            x = made[-1]
        return inside, casadi.vertcat(*equations), x

    def _hessian(self, stage: int, arguments: tuple[Any, ...], prices: list[Any]) -> list[Any]:
        problem = self.problem
        nz = problem.nx + problem.nu
        _, _, _, r, s, q, *_ = self._functions.linearised(stage)(*arguments)
        if stage == 0:  # z_0 is fixed
            q, s = casadi.SX(nz, nz), casadi.SX(problem.nu, nz)
        block = q if int(r.numel()) == 0 else casadi.blockcat([[q, s.T], [s, r]])
        return [block, casadi.diag(casadi.vertcat(*prices))] if prices else [block]
