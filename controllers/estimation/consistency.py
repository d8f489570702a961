"""Whether an estimator is consistent: its errors as large as it says; and whether all it estimates can be seen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import gammaincinv

from controllers.estimation.channels import Channel
from controllers.estimation.evaluation import Evaluation, with_jacobian
from controllers.estimation.model import EstimationModel
from cosim.component import FloatArray
from fmus.errors import GalenicError


def normalized_error_squared(error: FloatArray, covariance: FloatArray) -> float:
    """NEES, e' P^-1 e: chi-square with n degrees of freedom if the estimator is consistent; shapes (n,), (n, n)."""
    scale = 1.0 / np.sqrt(covariance.diagonal())
    return float((scale * error) @ np.linalg.solve(covariance * np.outer(scale, scale), scale * error))


def consistency_bounds(degrees: int, count: int, probability: float = 0.95) -> tuple[float, float]:
    """Between which the mean of ``count`` independent NEES or NIS lies (Bar-Shalom, Li & Kirubarajan 2001, 5.4).

    Args:
        degrees: of freedom of each: states for NEES, measurements for NIS.
        count: how many are averaged.
        probability: two-sided.
    """
    tail, shape = (1.0 - probability) / 2.0, degrees * count / 2.0
    return 2.0 * float(gammaincinv(shape, tail)) / count, 2.0 * float(gammaincinv(shape, 1.0 - tail)) / count


def check_detectable(
    model: EstimationModel, channels: Sequence[Channel], state: FloatArray, inputs: FloatArray
) -> None:
    r"""Refuse states and disturbances that the channels cannot see, at an operating point.

    For every eigenvalue l of A = dF/ds with |l| >= 1 the rank of [l I - A; H] must be n (Hautus). For integrating
    disturbances on a stable plant this is the rank condition of offset-free control (Pannocchia & Rawlings 2003).

    Args:
        model: with its disturbances.
        channels: the measurements.
        state: shape (n,).
        inputs: shape (m,).

    Raises:
        GalenicError: naming the states of which a combination is not seen.
    """
    step, measure = Evaluation(with_jacobian(model.step)), Evaluation(with_jacobian(model.measure))
    for evaluation in (step, measure):
        evaluation.arguments[0][:], evaluation.arguments[1][:] = state, inputs
        if not evaluation.run():
            raise GalenicError(
                "the model is not finite at the operating point", cure="check the state, the inputs and the parameters"
            )
    n, size = model.size, model.nominal
    a = step.results[1].reshape((n, n), order="F") * size / size[:, None]
    rows = [model.output_index(c.output) for c in channels]
    noise = np.array([model.outputs[i].nominal for i in rows])
    h = measure.results[1].reshape((-1, n), order="F")[rows] * size / noise[:, None]
    h = h / np.maximum(np.abs(h).max(axis=1, keepdims=True), 1e-300) if len(rows) else h
    for eigenvalue in np.linalg.eigvals(a):
        if abs(eigenvalue) < 1.0 - 1e-9:
            continue
        _, values, vectors = np.linalg.svd(np.vstack([eigenvalue * np.eye(n) - a, h]))
        if values[-1] < 1e-8 * values[0]:
            unseen = np.abs(vectors[-1])
            names = [model.states[i].name for i in np.flatnonzero(unseen > 0.1 * unseen.max())]
            raise GalenicError(
                f"the measurements do not see {' + '.join(names)} (eigenvalue {abs(eigenvalue):.6g})",
                cure="measure an output that depends on it, or drop a state or disturbance",
            )
