"""P(all CQAs in specification | setpoint) from runs: logistic regression with quadratic terms, and its own error."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from controllers.design_space.ranges import Range
from controllers.design_space.region import quadratic_features, scaled
from cosim.component import FloatArray
from fmus.errors import GalenicError

#: Ridge penalties that cross-validation chooses from, on coefficients of setpoints scaled to [-1, 1].
PENALTIES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
_FOLDS = 5
_FEWEST = 5
_BINS = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)
_Flags = npt.NDArray[np.bool_]
_Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Calibration:
    """Runs whose predicted probability lies in one interval: how many, the mean prediction, the share that passed."""

    low: float
    high: float
    runs: int
    predicted: float
    observed: float


@dataclass(frozen=True)
class CrossValidation:
    """Error on runs whose setpoint was left out of the fit, beside that of the plain share of the other runs.

    Args:
        folds: how many parts the setpoints were divided into.
        log_loss: mean of -log P(outcome), in nats.
        log_loss_constant: the same for the share alone.
        brier: mean of (P - outcome)^2.
        brier_constant: the same for the share alone.
        calibration: by predicted probability.
    """

    folds: int
    log_loss: float
    log_loss_constant: float
    brier: float
    brier_constant: float
    calibration: tuple[Calibration, ...]


@dataclass(frozen=True)
class LogisticFit:
    """Coefficients of `ProbabilityRegion`, their covariance, the ridge penalty, and the cross-validation."""

    coefficients: FloatArray
    covariance: FloatArray
    penalty: float
    error: CrossValidation


def fit_probability(points: FloatArray, passed: _Flags, domain: Mapping[str, Range], *, seed: int = 1) -> LogisticFit:
    r"""Fit the quadratic logistic surrogate.

    Maximises the log-likelihood minus (lambda / 2) |beta|^2 (without the intercept), which keeps coefficients finite
    where a surface parts passes from failures exactly. lambda is the one of `PENALTIES` with the smallest log loss in
    cross-validation over setpoints (runs of one setpoint stay together). The error reported is that of an outer
    cross-validation in which each part chooses its own lambda without the runs it is tested on. The covariance is the
    inverse Hessian at the optimum (Laplace).

    Args:
        points: setpoints, shape (N, n), in the domain's units and order; repeated rows are replicates.
        passed: whether all CQAs were in specification, shape (N,).
        domain: the ranges that were sampled.
        seed: of the division into folds.

    Raises:
        GalenicError: fewer than five runs passed, or failed: the edge cannot be told from them.
    """
    few = min(int(passed.sum()), int((~passed).sum()))
    if few < _FEWEST:
        kind = "passed" if passed.sum() <= (~passed).sum() else "failed"
        raise GalenicError(
            f"{few} of {len(passed)} runs {kind}: too few to say where the edge is ({_FEWEST} at least)",
            cure="vary the setpoints over "
            + ("narrower ranges, about a setpoint that works" if kind == "passed" else "wider ranges")
            + ", or add samples",
        )
    x = quadratic_features(scaled(points, domain))
    y = passed.astype(np.float64)
    _, group = np.unique(points, axis=0, return_inverse=True)
    groups = np.asarray(group, dtype=np.int64).reshape(-1)
    rng = np.random.default_rng(seed)
    error = _validate(x, y, groups, rng)
    penalty = _choose(x, y, groups, rng)
    beta, covariance = _fit(x, y, penalty)
    return LogisticFit(beta, covariance, penalty, error)


def _fit(x: FloatArray, y: FloatArray, penalty: float) -> tuple[FloatArray, FloatArray]:
    """Newton's method with step halving; the function is strictly concave, up to the intercept's tiny penalty."""
    from scipy.special import expit

    ridge = np.full(x.shape[1], penalty)
    ridge[0] = 1e-6
    beta = np.zeros(x.shape[1])

    def loss(b: FloatArray) -> float:
        eta = x @ b
        return float(np.logaddexp(0.0, eta).sum() - y @ eta + 0.5 * (ridge * b) @ b)

    value = loss(beta)
    for _ in range(100):
        p = np.asarray(expit(x @ beta))
        hessian = (x * (p * (1.0 - p))[:, None]).T @ x + np.diag(ridge)
        step = np.linalg.solve(hessian, x.T @ (y - p) - ridge * beta)
        size = 1.0
        while (new := loss(beta + size * step)) > value and size > 1e-8:
            size /= 2.0
        beta, change, value = beta + size * step, value - new, new
        if abs(change) <= 1e-12 * (1.0 + abs(value)):
            break
    p = np.asarray(expit(x @ beta))
    covariance = np.linalg.inv((x * (p * (1.0 - p))[:, None]).T @ x + np.diag(ridge))
    return beta, np.asarray(covariance, dtype=np.float64)


def _folds(groups: _Ints, rng: np.random.Generator) -> Iterator[_Flags]:
    """Which runs are held out, part after part; all runs of one setpoint together."""
    number = rng.permutation(int(groups.max()) + 1) % _FOLDS
    for fold in range(_FOLDS):
        held = number[groups] == fold
        if held.any() and not held.all():
            yield held


def _choose(x: FloatArray, y: FloatArray, groups: _Ints, rng: np.random.Generator) -> float:
    totals = np.zeros(len(PENALTIES))
    for held in _folds(groups, rng):
        for i, penalty in enumerate(PENALTIES):
            eta = x[held] @ _fit(x[~held], y[~held], penalty)[0]
            totals[i] += float(np.logaddexp(0.0, eta).sum() - y[held] @ eta)
    return PENALTIES[int(np.argmin(totals))]


def _validate(x: FloatArray, y: FloatArray, groups: _Ints, rng: np.random.Generator) -> CrossValidation:
    from scipy.special import expit

    eta, share, parts = np.empty(len(y)), np.empty(len(y)), 0
    for held in _folds(groups, rng):
        _, inner = np.unique(groups[~held], return_inverse=True)
        penalty = _choose(x[~held], y[~held], np.asarray(inner, dtype=np.int64), rng)
        eta[held] = x[held] @ _fit(x[~held], y[~held], penalty)[0]
        share[held] = (y[~held].sum() + 0.5) / ((~held).sum() + 1.0)  # never 0 or 1
        parts += 1
    p = np.asarray(expit(eta))
    constant = -(y * np.log(share) + (1.0 - y) * np.log1p(-share))
    bins = []
    for low, high in pairwise(_BINS):
        here = (p >= low) & ((p < high) | (high == 1.0))
        if here.any():
            bins.append(Calibration(low, high, int(here.sum()), float(p[here].mean()), float(y[here].mean())))
    return CrossValidation(
        parts,
        float((np.logaddexp(0.0, eta) - y * eta).mean()),
        float(constant.mean()),
        float(((p - y) ** 2).mean()),
        float(((share - y) ** 2).mean()),
        tuple(bins),
    )
