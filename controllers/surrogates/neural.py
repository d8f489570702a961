"""Kind ``neural``: a small feedforward network of the window, trained by scikit-learn."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import casadi as ca
import numpy as np

from controllers.surrogates.optional import scikit_learn
from cosim.component import FloatArray

#: Noise on the window in training, as a share of its scale: what a free run has in its past too.
_BLUR = 0.01
_ITERATIONS = 400


@dataclass(frozen=True)
class Network:
    """Layers of weights, shape (from, to), and offsets, shape (to,); tanh between them, the last one linear."""

    layers: tuple[tuple[FloatArray, FloatArray], ...]

    @property
    def parameters(self) -> FloatArray:
        """Weights column by column, then offsets, of one layer after the other."""
        return np.concatenate([part.ravel(order="F") for layer in self.layers for part in layer])

    def with_parameters(self, parameters: FloatArray) -> Network:
        """The same layers with other numbers."""
        layers, at = [], 0
        for weights, offsets in self.layers:
            w = parameters[at : at + weights.size].reshape(weights.shape, order="F")
            at += weights.size
            layers.append((w, parameters[at : at + offsets.size]))
            at += offsets.size
        return Network(tuple(layers))

    def expression(self, phi: Any, parameters: Any | None = None) -> Any:
        """In CasADi."""
        numbers, value, at = ca.SX(self.parameters) if parameters is None else parameters, phi, 0
        for number, (weights, offsets) in enumerate(self.layers):
            matrix = ca.reshape(numbers[at : at + weights.size], *weights.shape)
            at += weights.size
            value = matrix.T @ value + numbers[at : at + offsets.size]
            at += offsets.size
            if number < len(self.layers) - 1:
                value = ca.tanh(value)
        return value


def train(phi: FloatArray, change: FloatArray, units: Sequence[int], penalty: float, seed: int) -> Network:
    """Fit a network to one-step changes; the window is blurred a little, so that free runs stay stable.

    Args:
        phi: scaled windows, shape (N, n_phi).
        change: scaled changes, shape (N, p).
        units: neurons of the hidden layers.
        penalty: on squared weights.
        seed: of the first weights and of the blur.

    Raises:
        GalenicError: scikit-learn is not installed.
    """
    regressor = scikit_learn("neural_network").MLPRegressor(
        hidden_layer_sizes=tuple(units),
        activation="tanh",
        solver="lbfgs",
        alpha=penalty,
        max_iter=_ITERATIONS,
        random_state=seed,
    )
    blurred = phi + _BLUR * np.random.default_rng(seed).standard_normal(phi.shape)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the iterations ended: the free run tells whether that was enough
        regressor.fit(np.vstack([phi, blurred]), np.vstack([change, change]))
    pairs = zip(regressor.coefs_, regressor.intercepts_, strict=True)
    return Network(tuple((np.asarray(w), np.asarray(b)) for w, b in pairs))
