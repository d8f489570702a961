"""An estimate moved into its bounds."""

from __future__ import annotations

import numpy as np
from scipy.linalg import solve_triangular
from scipy.optimize import lsq_linear

from cosim.component import FloatArray


def project(state: FloatArray, covariance: FloatArray, low: FloatArray, high: FloatArray) -> FloatArray:
    r"""The most likely state inside the bounds: min (x - s)' P^-1 (x - s) with low <= x <= high (Simon 2010).

    States that are correlated with a bound one move with it. Solved as bounded least squares in states scaled by their
    standard deviations; a state without variance is clipped.

    Args:
        state: s, shape (n,).
        covariance: P, shape (n, n), positive semidefinite.
        low: shape (n,).
        high: shape (n,).

    Returns:
        x, shape (n,); ``state`` itself when it is inside.
    """
    if ((state >= low) & (state <= high)).all():
        return state
    clipped = np.clip(state, low, high)
    spread = np.sqrt(np.maximum(covariance.diagonal(), 0.0))
    free = np.flatnonzero((spread > 0.0) & (low < high))
    if not len(free):
        return clipped
    s = spread[free]
    try:
        root = np.linalg.cholesky(covariance[np.ix_(free, free)] / np.outer(s, s) + 1e-12 * np.eye(len(free)))
        weight = solve_triangular(root, np.eye(len(free)), lower=True)
        # in deviations from the clipped state, so that the bounds are met however far away the state is
        room = (low[free] - clipped[free]) / s, (high[free] - clipped[free]) / s
        found = lsq_linear(
            weight, weight @ ((state - clipped)[free] / s), room, method="bvls", tol=1e-14, max_iter=50 * len(free)
        )
    except (np.linalg.LinAlgError, ValueError):
        return clipped
    x = clipped.copy()
    moved = clipped[free] + found.x * s
    x[free] = np.where(found.active_mask > 0, high[free], np.where(found.active_mask < 0, low[free], moved))
    return np.clip(x, low, high) if np.isfinite(x).all() else clipped
