"""What a linear model expects: outputs at some instants ahead, and how well they are known."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cosim.component import FloatArray


class LinearPrediction:
    r"""Predicted outputs of s_{k+1} = A s_k + B u_k + w_k, y_k = C s_k at instants k, and their standard deviations.

        y_k = C A^k s_0 + sum_i S_{k-i} du_i        cov y_k = C A^k P (A^k)' C' + sum_{i<k} C A^i Q (A^i)' C'

    with inputs that are held from instant to instant, and the step response S.

    Args:
        a: A, shape (n, n).
        b: B, shape (n, m).
        c: C, shape (p, n).
        q: covariance of w, shape (n, n).
        ends: the instants in periods, increasing, shape (K,).
    """

    def __init__(self, a: FloatArray, b: FloatArray, c: FloatArray, q: FloatArray, ends: npt.NDArray[np.int_]) -> None:
        k, p, m, steps = len(ends), len(c), b.shape[1], int(ends[-1])
        self._shape = (k, p)
        rows, response, variance = (
            np.empty((steps + 1, *c.shape)),
            np.zeros((steps + 1, p, m)),
            np.zeros((steps + 1, p)),
        )
        rows[0] = c
        for i in range(steps):
            rows[i + 1] = rows[i] @ a
            response[i + 1] = response[i] + rows[i] @ b
            variance[i + 1] = variance[i] + np.einsum("pi,ij,pj->p", rows[i], q, rows[i])
        self.now = c
        self._rows = rows[ends].reshape(k * p, -1)
        self._variance = variance[ends]
        starts = np.concatenate([[0], ends[:-1]])
        forced = np.zeros((k, p, k, m))
        for i, end in enumerate(ends):
            for j in range(i + 1):
                forced[i, :, j] = response[end - starts[j]] - response[end - ends[j]]
        self._forced = forced.reshape(k * p, k * m)

    def mean(self, state: FloatArray, inputs: FloatArray) -> FloatArray:
        """Outputs, shape (K, p), from a state (n,) under inputs (K, m), as deviations."""
        return np.asarray(self._rows @ state + self._forced @ inputs.ravel()).reshape(self._shape)

    def std(self, covariance: FloatArray, stages: npt.NDArray[np.intp]) -> FloatArray:
        """Standard deviations at some instants, shape (n, p), from the covariance of the state (n, n)."""
        rows = self._rows.reshape(*self._shape, -1)[stages]
        spread = ((rows @ covariance) * rows).sum(axis=2)
        return np.asarray(np.sqrt(np.maximum(spread + self._variance[stages], 0.0)))

    def present_std(self, covariance: FloatArray) -> FloatArray:
        """Of the outputs now, shape (p,)."""
        return np.asarray(np.sqrt(np.maximum(((self.now @ covariance) * self.now).sum(axis=1), 0.0)))
