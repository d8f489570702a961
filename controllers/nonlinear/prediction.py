"""What inputs lead to, and how uncertain that is, by the estimator's own model."""

from __future__ import annotations

from dataclasses import dataclass

import casadi as ca
import numpy as np

from controllers.estimation.evaluation import Evaluation
from controllers.estimation.model import EstimationModel
from controllers.nonlinear.horizon import Horizon
from cosim.component import FloatArray


@dataclass(frozen=True)
class Prediction:
    """States with disturbances, shape (K + 1, n), outputs at the ends of the stages and their std, shape (K, p)."""

    states: FloatArray
    outputs: FloatArray
    std: FloatArray

    @property
    def finite(self) -> bool:
        """Whether the model had an answer all the way."""
        return bool(np.isfinite(self.outputs).all())


class Predictor:
    r"""Rolls the model out over the stages, with its covariance: P <- A P A' + Q, var y = C P C'.

    Q is that of the estimator for the length of the stage, so that disturbances wander on over the horizon.

    Args:
        model: with its disturbances.
        horizon: stages.
    """

    def __init__(self, model: EstimationModel, horizon: Horizon) -> None:
        self._model, self._horizon = model, horizon
        n, m = model.size, len(model.inputs)
        s, u, h = ca.SX.sym("s", n), ca.SX.sym("u", m), ca.SX.sym("h")
        y = model.measure(s, u)
        self._measure = Evaluation(ca.Function("measured", [s, u], [y, ca.jacobian(y, s)]))
        once = ca.Function("once", [s, u, h], [model.advance(s, u, h)])
        self._stages: dict[int, Evaluation] = {}
        for count in set(horizon.counts):
            end = s
            for _ in range(count):
                end = once(end, u, h)
            self._stages[count] = Evaluation(ca.Function("stage", [s, u, h], [end, ca.jacobian(end, s)]))

    def __call__(
        self, state: FloatArray, covariance: FloatArray | None, inputs: FloatArray, durations: FloatArray
    ) -> Prediction:
        """From ``state``, shape (n,), under ``inputs``, shape (K, m_all); without a covariance std is NaN."""
        n, count = self._model.size, len(inputs)
        states = np.full((count + 1, n), np.nan)
        outputs = np.full((count, len(self._model.outputs)), np.nan)
        std = np.full(outputs.shape, np.nan)
        states[0], p = state, covariance
        for k in range(count):
            stage = self._stages[self._horizon.counts[k]]
            stage.arguments[0][:], stage.arguments[1][:] = states[k], inputs[k]
            stage.arguments[2][0] = durations[k] / self._horizon.counts[k]
            if not stage.run():
                break
            states[k + 1] = stage.results[0]
            if p is not None:
                a = stage.results[1].reshape((n, n), order="F")
                noise = self._model.noise_std(states[k])
                p = a @ p @ a.T
                p[np.diag_indices(n)] += noise**2 * (durations[k] / self._model.period)
            self._measure.arguments[0][:], self._measure.arguments[1][:] = states[k + 1], inputs[k]
            if not self._measure.run():
                break
            outputs[k] = self._measure.results[0]
            if p is not None:
                c = self._measure.results[1].reshape((-1, n), order="F")
                std[k] = np.sqrt(np.maximum(((c @ p) * c).sum(axis=1), 0.0))
        return Prediction(states, outputs, std)
