"""The dynamic layer: the path to the target, as a condensed quadratic program with move blocking."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from controllers.linear.disturbance_model import DisturbanceModel
from controllers.linear.objective import Objective, check_sizes
from controllers.linear.quadratic_program import QuadraticProgram
from controllers.linear.target import EDGE_PRICE, Edges, Target
from controllers.surrogates.linear_surrogate import LinearSurrogate
from cosim.component import FloatArray
from fmus.errors import GalenicError


@dataclass(frozen=True)
class Moves:
    """Inputs of each block, absolute, shape (blocks, m); to be used only where ``converged``.

    ``parts`` has the parts of the first move, shape (m,) each, see `DynamicOptimizer.first_move`.
    """

    inputs: FloatArray
    converged: bool
    message: str = ""
    parts: Mapping[str, FloatArray] = field(default_factory=dict)


def move_blocks(control_steps: int) -> list[int]:
    """Lengths of the blocks in periods: 1, 1, 2, 4, 8, .. up to ``control_steps`` in all; the last one holds on."""
    blocks: list[int] = []
    while sum(blocks) < control_steps:
        length = 1 if len(blocks) < 2 else 2 * blocks[-1]
        blocks.append(min(length, control_steps - sum(blocks)))
    return blocks


def checkpoints(steps: int) -> list[int]:
    """Instants at which soft limits are checked: every one up to 10, then further and further apart, and the last."""
    result, k = [], 1
    while k < steps:
        result.append(k)
        k += max(1, k // 8)
    return [*result, steps]


class DynamicOptimizer:
    r"""Moves over the control horizon that bring the outputs to the target along the best path.

    The inputs are constant over blocks b = 1 .. n_b, the last of which lasts to the end of the prediction horizon N.
    With the step response S of the surrogate and [s_b, e_b) the block b,

        Y = O_x x + O_d d + Theta U,       Theta_kb = S_{k - s_b} - S_{k - e_b}
        O_x,k = C A^k,   O_d,k = C_d + C sum_{i<k} A^i B_d

    and U, all scaled, minimises

        sum_k sum_i w_i (y_i,k - y_i,target)^2  +  sum_b sum_j r_j (u_j,b - u_j,b-1)^2
          + sum_b n_b v_j (u_j,b - u_j,target)^2  +  sum_i q_i (l_i + l_i^2)
        s.t.  u_min <= u_b <= u_max,      |u_b - u_{b-1}| <= max_move                (hard)
              y_min - l <= y_k <= y_max + l,  l >= 0    at the checkpoints           (soft, one slack per output)

    A linear and a quadratic price on l: the first keeps the limits exactly where that is possible, the second spreads
    what is not. Hard constraints act on inputs alone, so there always is a solution. Where references to come are known
    the targets differ from period to period; a block then rests on the mean of its own.

    Args:
        surrogate: with D = 0.
        disturbances: B_d and C_d.
        objective: limits, bounds, weights.
        steps: prediction horizon N in periods.
        blocks: lengths in periods, the first ones first; their sum is the control horizon.
        solver: a solver of `QuadraticProgram`.
        edges: how many half spaces G u <= h of a design space there are, see `TargetOptimizer`.

    Raises:
        GalenicError: sizes that do not fit, or a control horizon longer than the prediction horizon.
    """

    def __init__(
        self,
        surrogate: LinearSurrogate,
        disturbances: DisturbanceModel,
        objective: Objective,
        *,
        steps: int,
        blocks: Sequence[int],
        solver: str = "daqp",
        edges: int = 0,
    ) -> None:
        check_sizes(surrogate, objective)
        if not blocks or min(blocks) < 1 or sum(blocks) > steps:
            raise GalenicError(
                f"blocks of {list(blocks)} periods do not fit into a prediction horizon of {steps}",
                cure="shorten the control horizon or lengthen the prediction horizon",
            )
        self._surrogate, self._objective = surrogate, objective
        self._shape, self._edges = (len(blocks), len(surrogate.inputs)), edges
        self._predict(surrogate, disturbances, steps, blocks)
        self._build(steps, blocks, solver)

    def _predict(
        self, surrogate: LinearSurrogate, disturbances: DisturbanceModel, steps: int, blocks: Sequence[int]
    ) -> None:
        """Prediction matrices of the controlled outputs at k = 1 .. N, scaled."""
        outputs, inputs = self._objective.outputs, self._objective.inputs
        index, scale = [y.index for y in outputs], np.array([y.scale for y in outputs])
        c, cd = surrogate.c[index] / scale[:, None], disturbances.c[index] / scale[:, None]
        input_scale = np.array([u.scale for u in inputs])
        response = surrogate.step_response(steps)[:, index] / scale[None, :, None] * input_scale
        starts = np.concatenate([[0], np.cumsum(blocks)[:-1]])
        ends = [*starts[1:], steps]
        m = len(inputs)
        self._theta = np.zeros((steps, len(index), len(blocks) * m))
        for b, (start, end) in enumerate(zip(starts, ends, strict=True)):
            part = self._theta[:, :, b * m : (b + 1) * m]
            part[start:] += response[1 : steps - start + 1]
            part[end:] -= response[1 : steps - end + 1]
        self._free_x = np.empty((steps, len(index), surrogate.a.shape[0]))
        self._free_d = np.empty((steps, len(index), disturbances.b.shape[1]))
        power, driven = np.eye(surrogate.a.shape[0]), np.zeros_like(disturbances.b)
        for k in range(steps):
            power, driven = power @ surrogate.a, surrogate.a @ driven + disturbances.b
            self._free_x[k], self._free_d[k] = c @ power, cd + c @ driven
        self._index = index
        self._hold = self._theta.reshape(steps, len(index), len(blocks), m).sum(axis=2)
        self._scale, self._y0, self._input_scale = scale, surrogate.y0[index] / scale, input_scale

    def _build(self, steps: int, blocks: Sequence[int], solver: str) -> None:
        outputs, inputs = self._objective.outputs, self._objective.inputs
        nb, m = self._shape
        self._limited = [i for i, y in enumerate(outputs) if y.limited]
        nu, nl, ng = nb * m, len(self._limited), self._edges
        weight = np.array([y.weight if y.tracked else 0.0 for y in outputs])
        theta = self._theta.reshape(-1, nu)
        weighted = (self._theta * weight[None, :, None]).reshape(-1, nu)
        lengths = [*blocks[:-1], steps - sum(blocks[:-1])]
        self._lengths, self._starts = np.array(lengths), np.cumsum([0, *lengths[:-1]])
        rest = np.concatenate([n * np.array([u.weight_target for u in inputs]) for n in lengths])
        move = np.tile([u.weight_move for u in inputs], nb)
        difference = np.eye(nu) - np.eye(nu, k=-m)
        price = np.array([*(outputs[i].limit_weight for i in self._limited), *[EDGE_PRICE] * ng])
        h = np.zeros((nu + nl + ng, nu + nl + ng))
        h[:nu, :nu] = 2.0 * (theta.T @ weighted + (difference.T * move) @ difference + np.diag(rest))
        h[:nu, :nu] = (h[:nu, :nu] + h[:nu, :nu].T) / 2.0
        h[nu:, nu:] = 2.0 * np.diag(price)
        self._gradient = 2.0 * weighted.T
        self._rest, self._move, self._price = 2.0 * rest, 2.0 * move[:m], price
        self._checks = np.array(checkpoints(steps)) - 1
        rows = self._theta[self._checks][:, self._limited].reshape(-1, nu)
        slack = np.tile(np.eye(nl, nl + ng), (len(self._checks), 1))
        moving = [j for j, u in enumerate(inputs) if math.isfinite(u.max_move)]
        kept = [b * m + j for b in range(1, nb) for j in moving]  # the first move is a bound on the first block
        moves = np.hstack([difference[kept], np.zeros((len(kept), nl + ng))])
        inside = np.hstack([np.zeros((nb * ng, nu)), np.tile(-np.eye(ng, nl + ng, nl), (nb, 1))])
        a = np.vstack([np.hstack([rows, -slack]), np.hstack([rows, slack]), moves, inside])
        self._a = a
        self._move_rows = np.array([inputs[j].max_move / inputs[j].scale for _ in range(1, nb) for j in moving])
        self._qp = QuadraticProgram(h, a, solver=solver)
        first = np.linalg.inv(h[:nu, :nu])[:m]
        self._feedback = np.ascontiguousarray(-(first @ self._gradient).reshape(m, steps, -1).transpose(2, 0, 1))
        self._toward_rest = (first * self._rest).reshape(m, nb, m)
        names = [self._surrogate.outputs[y.index].name for y in outputs]
        self._tracked = [(i, names[i]) for i, y in enumerate(outputs) if y.tracked]

    def reset(self) -> None:
        """Forget the last answer."""
        self._qp.reset()

    def snapshot(self) -> dict[str, FloatArray]:
        """The last answer, from which the next solution starts."""
        return self._qp.snapshot()

    def recall(self, snapshot: Mapping[str, FloatArray]) -> None:
        """Start from an answer that `snapshot` gave."""
        self._qp.recall(snapshot)

    def solve(
        self,
        x: FloatArray,
        d: FloatArray,
        previous: FloatArray,
        target: Target,
        relax: int = 4,
        edges: Edges | None = None,
    ) -> Moves:
        """Plan from an estimate.

        Args:
            x: surrogate state, shape (n,).
            d: disturbances, shape (n_d,).
            previous: inputs as applied before, absolute, shape (m,).
            target: of the target optimiser.
            relax: limits of this rank and worse are left out.
            edges: see `TargetOptimizer.solve`.
        """
        o, scale, u0 = self._objective, self._input_scale, self._surrogate.u0
        nb, m = self._shape
        free, goal = self._free(x, d), target.outputs[..., self._index] / self._scale
        low, high = (o.low - u0) / scale, (o.high - u0) / scale
        last = np.clip((previous - u0) / scale, low, high)
        move = o.max_move / scale
        rest = self._resting((target.inputs - u0) / scale)
        g_u = self._gradient @ (free - goal).ravel() - self._rest * rest.ravel()
        g_u[:m] -= self._move * last
        lbx = np.concatenate([np.maximum(low, last - move), np.tile(low, nb - 1), np.zeros(len(self._price))])
        ubx = np.concatenate(
            [np.minimum(high, last + move), np.tile(high, nb - 1), np.full(len(self._price), math.inf)]
        )
        limits = np.array([o.outputs[i].limits_of(relax) for i in self._limited], dtype=np.float64).reshape(-1, 2)
        limits = limits / self._scale[self._limited][:, None]
        checked = free[self._checks][:, self._limited]
        above, below = (limits[:, 1] - checked).ravel(), (limits[:, 0] - checked).ravel()
        infinite = np.full(above.shape, math.inf)
        edge, matrix = np.full(nb * self._edges, math.inf), None
        if edges is not None:
            matrix = self._a
            matrix[-nb * self._edges :, : nb * m] = np.kron(np.eye(nb), edges[0] * scale)
            if relax > 2:
                edge = np.tile(edges[1] - edges[0] @ u0, nb)
        answer = self._qp.solve(
            np.concatenate([g_u, self._price]),
            lbx,
            ubx,
            np.concatenate([-infinite, below, -self._move_rows, np.full(len(edge), -math.inf)]),
            np.concatenate([above, infinite, self._move_rows, edge]),
            matrix,
        )
        plan = u0 + scale * answer.x[: nb * m].reshape(nb, m)
        inputs = np.clip(plan, o.low, o.high)
        if not answer.converged:
            return Moves(inputs, False, answer.message)
        parts = self._parts(free, goal, last, rest)
        parts["constraints"] = inputs[0] - (u0 + scale * last) - sum(parts.values())
        return Moves(inputs, True, answer.message, parts)

    def first_move(self, x: FloatArray, d: FloatArray, previous: FloatArray, target: Target) -> dict[str, FloatArray]:
        r"""The parts of the first move where no bound, move limit or soft limit is heard, shape (m,) each.

        With e = free + Theta u_{k-1} - y_target, what would be off if the inputs stayed, the optimum is linear in e:

            u_0 - u_{k-1} = - [H^-1 Theta' W e]_0 + [H^-1 R (u_target - u_{k-1})]_0

        so each output has its part, by its name, and the resting values of the inputs have theirs.
        """
        scale, u0 = self._input_scale, self._surrogate.u0
        goal = target.outputs[..., self._index] / self._scale
        rest = self._resting((target.inputs - u0) / scale)
        return self._parts(self._free(x, d), goal, (previous - u0) / scale, rest)

    def _resting(self, inputs: FloatArray) -> FloatArray:
        """Resting inputs of each block, shape (blocks, m), from one target (m,) or one for each period (N, m)."""
        if inputs.ndim == 1:
            return np.tile(inputs, (self._shape[0], 1))
        return np.asarray(np.add.reduceat(inputs, self._starts) / self._lengths[:, None])

    def _free(self, x: FloatArray, d: FloatArray) -> FloatArray:
        """Controlled outputs under resting inputs, shape (N, controlled), scaled, absolute."""
        return np.asarray(self._free_x @ x + self._free_d @ d + self._y0)

    def _parts(self, free: FloatArray, goal: FloatArray, last: FloatArray, rest: FloatArray) -> dict[str, FloatArray]:
        off = free + self._hold @ last - goal
        by_output = (self._feedback @ off.T[:, :, None])[:, :, 0] * self._input_scale
        parts = {name: by_output[i] for i, name in self._tracked}
        parts["resting inputs"] = self._input_scale * np.einsum("ibj,bj->i", self._toward_rest, rest - last)
        return parts
