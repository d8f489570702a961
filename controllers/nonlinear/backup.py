"""A linear law about the steady target, for when no program has a solution."""

from __future__ import annotations

import casadi as ca
import numpy as np
from scipy.linalg import solve_discrete_are

from controllers.estimation.evaluation import Evaluation
from controllers.nonlinear.formulation import Formulation
from controllers.nonlinear.steady_target import SteadyTarget
from cosim.component import FloatArray


class LinearBackup:
    r"""u = u_t - L (x - x_t), with L of the infinite-horizon regulator for the linearisation at the target.

    Weights are those of the specification: outputs with a reference, and for the inputs the larger of the weights of
    moves and targets. Where the Riccati equation has no stabilising solution there is no backup.
    """

    def __init__(self, formulation: Formulation) -> None:
        self._f, model, s = formulation, formulation.model, formulation.specification
        x, u, k = (ca.SX.sym(n, size) for n, size in (("x", model.size), ("u", len(s.manipulated)), ("k", self._known)))
        full = formulation.inputs_of(u, k)
        n = len(model.process.states)
        end, y = model.step(x, full)[:n], model.measure(x, full)
        slopes = [ca.jacobian(end, x)[:, :n], ca.jacobian(end, u), ca.jacobian(y, x)[:, :n]]
        self._slopes = Evaluation(ca.Function("slopes", [x, u, k], [ca.densify(a) for a in slopes]))
        self._size, self._size_u = model.nominal[:n], np.array([c.scale for c in s.manipulated])
        weights = np.zeros(len(model.outputs))
        for c in s.tracked:
            weights[model.output_index(c.output)] = max(c.weight, c.terminal_weight) / c.scale**2
        self._weights = weights
        self._price = np.diag([max(c.weight_move, c.weight_target, 1e-6) for c in s.manipulated])

    @property
    def _known(self) -> int:
        return len(self._f.others)

    def __call__(self, state: FloatArray, known: FloatArray, target: SteadyTarget) -> FloatArray | None:
        """Inputs for an estimate, shape (n,), before bounds."""
        n = len(target.states)
        arguments = self._slopes.arguments
        arguments[0][:], arguments[1][:], arguments[2][:] = np.r_[target.states, state[n:]], target.inputs, known
        if not self._slopes.run():
            return None
        a, b, c = (
            r.reshape((rows, -1), order="F")
            for r, rows in zip(self._slopes.results, (n, n, len(self._weights)), strict=True)
        )
        a, b, c = a * self._size / self._size[:, None], b * self._size_u / self._size[:, None], c * self._size
        try:
            p = solve_discrete_are(a, b, (c.T * self._weights) @ c + 1e-8 * np.eye(n), self._price)
            gain = np.linalg.solve(self._price + b.T @ p @ b, b.T @ p @ a)
        except (np.linalg.LinAlgError, ValueError):
            return None
        inputs = target.inputs - self._size_u * (gain @ ((state[:n] - target.states) / self._size))
        return inputs if np.isfinite(inputs).all() else None
