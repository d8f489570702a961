"""What inputs lead to, and how uncertain that is, by the estimator's own model."""

from __future__ import annotations

from dataclasses import dataclass

import casadi as ca
import numpy as np

from controllers.estimation.model import EstimationModel
from controllers.nonlinear.horizon import Horizon
from controllers.nonlinear.native import evaluation
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
        native: compile what is evaluated, where that is possible.
    """

    def __init__(self, model: EstimationModel, horizon: Horizon, *, native: bool = False) -> None:
        self._model, self._horizon = model, horizon
        n, m = model.size, len(model.inputs)
        s, u, h = ca.SX.sym("s", n), ca.SX.sym("u", m), ca.SX.sym("h")
        y, end = model.measure(s, u), model.advance(s, u, h)
        # one integration step, however many a stage has: small functions compile quickly
        self._measure = evaluation(ca.Function("measured", [s, u], [y, ca.jacobian(y, s)]), native=native)
        self._advance = evaluation(ca.Function("advanced", [s, u, h], [end, ca.jacobian(end, s)]), native=native)
        self._plain = evaluation(ca.Function("plain", [s, u, h], [end]), native=native)

    def __call__(
        self, state: FloatArray, covariance: FloatArray | None, inputs: FloatArray, durations: FloatArray
    ) -> Prediction:
        """From ``state``, shape (n,), under ``inputs``, shape (K, m_all); without a covariance std is NaN."""
        n, count = self._model.size, len(inputs)
        states = np.full((count + 1, n), np.nan)
        outputs = np.full((count, len(self._model.outputs)), np.nan)
        std = np.full(outputs.shape, np.nan)
        states[0], p = state, covariance
        step, measure = self._plain if p is None else self._advance, self._measure
        for k in range(count):
            step.arguments[0][:], step.arguments[1][:] = states[k], inputs[k]
            step.arguments[2][0] = durations[k] / self._horizon.counts[k]
            if p is not None:
                noise = self._model.noise_std(states[k])
            for _ in range(self._horizon.counts[k]):
                if not step.run():
                    return Prediction(states, outputs, std)
                step.arguments[0][:] = step.results[0]
                if p is not None:
                    a = step.results[1].reshape((n, n), order="F")
                    p = a @ p @ a.T
            states[k + 1] = step.results[0]
            measure.arguments[0][:], measure.arguments[1][:] = states[k + 1], inputs[k]
            if not measure.run():
                break
            outputs[k] = measure.results[0]
            if p is not None:
                p[np.diag_indices(n)] += noise**2 * (durations[k] / self._model.period)
                c = measure.results[1].reshape((-1, n), order="F")
                std[k] = np.sqrt(np.maximum(((c @ p) * c).sum(axis=1), 0.0))
        return Prediction(states, outputs, std)
