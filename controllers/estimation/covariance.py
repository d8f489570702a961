"""A covariance kept sound where inputs or values are absurd; any other is left as it is."""

from __future__ import annotations

import numpy as np

from cosim.component import FloatArray

#: Smallest eigenvalue of a correlation matrix, and what rounding may take it below zero.
_LEAST = 1e-12


def limited(covariance: FloatArray, most: FloatArray) -> FloatArray:
    """No standard deviation above ``most``, shape (n,); correlations stay."""
    excess = np.sqrt(np.maximum(covariance.diagonal(), 0.0)) / most
    if excess.max() <= 1.0:
        return covariance
    scale = 1.0 / np.maximum(excess, 1.0)
    return np.asarray(covariance * scale * scale[:, None])


def repaired(covariance: FloatArray) -> FloatArray:
    """The nearest covariance, in correlations, if rounding has made eigenvalues negative."""
    variance = covariance.diagonal()
    scale = np.sqrt(np.where(variance > 0.0, variance, 1.0))
    correlation = covariance / scale / scale[:, None]
    try:
        np.linalg.cholesky(correlation + _LEAST * np.eye(len(scale)))
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(correlation)
        correlation = (vectors * np.maximum(values, _LEAST)) @ vectors.T
        return np.asarray((correlation + correlation.T) / 2.0 * scale * scale[:, None])
    return covariance
