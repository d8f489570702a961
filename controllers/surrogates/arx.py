r"""Linear models from excited runs: ARX of each output with its dead times, then one state space.

    y_i(k+1) = sum_l a_l y_i(k+1-l) + sum_j sum_l b_jl u_j(k+1-d_ij-l) + e(k),     l = 1..n

by least squares over all runs, n by the Bayesian information criterion; dead times d_ij from a model of high order, in
which a leading coefficient that cannot be told from zero is dead time. The step responses of these models are given to
`controllers.surrogates.realization.realize`, which finds the smallest state space for all outputs together (Zhu 2001,
asymptotic method).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cosim.component import FloatArray
from fmus.errors import GalenicError

#: A coefficient below this share of its input's largest, or this many standard errors, is dead time.
_SMALL, _SURE = 0.005, 4.0


@dataclass(frozen=True)
class OutputModel:
    """ARX of one output in deviations.

    Attributes:
        order: n.
        dead_time: by input, in periods, beyond the one that sampling takes.
        a: shape (n,).
        b: shape (m, n).
        integrating: whether it is of the output's rate.
    """

    order: int
    dead_time: tuple[int, ...]
    a: FloatArray
    b: FloatArray
    integrating: bool = False

    def step_response(self, samples: int) -> FloatArray:
        """To unit steps, shape (samples + 1, m)."""
        inputs = len(self.b)
        y = np.zeros((samples + 1, inputs))
        for k in range(samples):
            for l in range(1, self.order + 1):  # noqa: E741
                if k + 1 - l >= 0:
                    y[k + 1] += self.a[l - 1] * y[k + 1 - l]
                for j in range(inputs):
                    if k + 1 - self.dead_time[j] - l >= 0:
                        y[k + 1, j] += self.b[j, l - 1]
        return np.asarray(np.cumsum(y, axis=0)) if self.integrating else y


def find_dead_times(
    inputs: Sequence[FloatArray], outputs: Sequence[FloatArray], integrating: Sequence[bool], max_order: int = 12
) -> list[tuple[int, ...]]:
    """Of every output, towards each input, in periods beyond the one that sampling takes.

    Args:
        inputs: of each run in deviations, shape (N, m), scaled so that every input counts alike.
        outputs: of each run in deviations, shape (N + 1, p).
        integrating: by output.
        max_order: largest order that the models will have.

    Raises:
        GalenicError: the runs are too short.
    """
    shortest = min(len(u) for u in inputs)
    high = min(max(2 * max_order, 10), shortest // 4)
    if high < 2:
        raise GalenicError(f"a run of {shortest} samples is too short", cure="lengthen 'duration'")
    return [_dead_times(inputs, _series(outputs, i, flag), high) for i, flag in enumerate(integrating)]


def fit_outputs(
    inputs: Sequence[FloatArray],
    outputs: Sequence[FloatArray],
    integrating: Sequence[bool],
    dead_times: Sequence[tuple[int, ...]],
    max_order: int = 12,
) -> list[OutputModel]:
    """ARX of every output; arguments as of `find_dead_times`, which gives ``dead_times``.

    Raises:
        GalenicError: the runs are too short.
    """
    return [
        _best(inputs, _series(outputs, i, flag), dead_times[i], max_order, flag) for i, flag in enumerate(integrating)
    ]


def _series(outputs: Sequence[FloatArray], index: int, integrating: bool) -> list[FloatArray]:
    """One output of all runs, or its rate."""
    return [np.diff(y[:, index], prepend=y[0, index]) if integrating else y[:, index] for y in outputs]


def step_responses(models: Sequence[OutputModel], samples: int) -> FloatArray:
    """Of all outputs to unit steps, shape (samples + 1, p, m)."""
    return np.stack([m.step_response(samples) for m in models], axis=1)


def _dead_times(inputs: Sequence[FloatArray], series: Sequence[FloatArray], order: int) -> tuple[int, ...]:
    m = inputs[0].shape[1]
    phi, y = _regression(inputs, series, order, (0,) * m)
    theta, error = _least_squares(phi, y)
    b, doubt = theta[order:-1].reshape(m, order), error[order:-1].reshape(m, order)
    largest = np.abs(b).max()
    result = []
    for j in range(m):
        told = np.abs(b[j]) > np.maximum(_SMALL * np.abs(b[j]).max(), _SURE * doubt[j])
        told &= np.abs(b[j]).max() > _SMALL * largest  # an input that does nothing has no dead time either
        result.append(int(np.argmax(told)) if told.any() else 0)
    return tuple(result)


def _best(
    inputs: Sequence[FloatArray], series: Sequence[FloatArray], dead_time: tuple[int, ...], most: int, flag: bool
) -> OutputModel:
    m = inputs[0].shape[1]
    size = float(np.concatenate([np.asarray(s) for s in series]).var())
    found: tuple[float, OutputModel] | None = None
    for order in range(1, most + 1):
        phi, y = _regression(inputs, series, order, dead_time)
        if len(y) <= 2 * phi.shape[1]:
            break
        theta, _ = _least_squares(phi, y)
        mean_square = max(float(np.mean((y - phi @ theta) ** 2)), 1e-18 * size, 1e-300)
        score = len(y) * np.log(mean_square) + phi.shape[1] * np.log(len(y))
        if found is None or score < found[0]:
            found = (
                float(score),
                OutputModel(order, dead_time, theta[:order], theta[order:-1].reshape(m, order), flag),
            )
    if found is None:
        raise GalenicError("too few samples for any order", cure="lengthen 'duration', or do more 'runs'")
    return found[1]


def _regression(
    inputs: Sequence[FloatArray], series: Sequence[FloatArray], order: int, dead_time: Sequence[int]
) -> tuple[FloatArray, FloatArray]:
    """Regressors y(k+1-l), u_j(k+1-d_j-l) by input and 1, and y(k+1); before a run all was at rest.

    The constant takes up what even nonlinearity adds; the linear model has none.
    """
    rows, targets = [], []
    for u, y in zip(inputs, series, strict=True):
        count = len(u)
        columns = [np.concatenate([np.zeros(l - 1), y[: count - l + 1]]) for l in range(1, order + 1)]  # noqa: E741
        for j, dead in enumerate(dead_time):
            for l in range(1, order + 1):  # noqa: E741
                back = dead + l - 1
                columns.append(np.concatenate([np.zeros(min(back, count)), u[: max(count - back, 0), j]]))
        rows.append(np.stack([*columns, np.ones(count)], axis=1))
        targets.append(y[1:])
    return np.vstack(rows), np.concatenate(targets)


def _least_squares(phi: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Coefficients and their standard errors."""
    size = np.linalg.norm(phi, axis=0)
    size[size == 0.0] = 1.0
    u, s, vt = np.linalg.svd(phi / size, full_matrices=False)
    kept = s > 1e-10 * s[0]
    inverse = np.where(kept, 1.0 / np.where(kept, s, 1.0), 0.0)
    theta = vt.T @ (inverse * (u.T @ y))
    left = y - (phi / size) @ theta
    variance = float(left @ left) / max(len(y) - int(kept.sum()), 1)
    doubt = np.sqrt(variance * ((vt.T * inverse) ** 2).sum(axis=1))
    return theta / size, doubt / size
