"""From step responses to a state space: the eigensystem realisation algorithm (ERA)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import block_diag, schur, svd

from cosim.component import FloatArray
from fmus.errors import GalenicError

#: Modes of the stable part are kept inside this circle; a slower one cannot be told from an integrator.
MAX_STABLE_MODE = 0.9999
_INTEGRATING = 0.6
_NEARLY = 1.2


@dataclass(frozen=True)
class Realization:
    """x+ = A x + B u, y = C x, with the largest relative error of each output's step responses, shape (p,)."""

    a: FloatArray
    b: FloatArray
    c: FloatArray
    error: FloatArray
    integrating: tuple[bool, ...]


def looks_integrating(response: FloatArray) -> list[bool]:
    """Which outputs still ramp at the end of their step responses.

    The rise over the last fifth is compared with that of a ramp through the same end point; a lag needs a time
    constant of about the whole record to reach 0.6 of it.

    Args:
        response: shape (K + 1, p, m).
    """
    steps = len(response) - 1
    start = response[round(0.8 * steps)]
    end = response[-1]
    scale = np.abs(response).max(axis=0)
    result = []
    for i in range(response.shape[1]):
        j = int(np.argmax(np.abs(end[i])))
        moved = abs(end[i, j]) > 0.2 * scale[i].max() > 0.0
        result.append(bool(moved and (end[i, j] - start[i, j]) / (0.2 * end[i, j]) > _INTEGRATING))
    return result


def realize(
    response: FloatArray, *, integrating: list[bool] | None = None, tolerance: float = 0.01, max_order: int = 60
) -> Realization:
    r"""The smallest state space that reproduces step responses within a tolerance.

    The Markov parameters are the differences of the step responses, G_k = S_k - S_{k-1}. With the block Hankel matrices
    H_0 = [G_{i+j-1}] and H_1 = [G_{i+j}] and the singular value decomposition H_0 = U S V',

        A = S_n^-1/2 U_n' H_1 V_n S_n^-1/2,   B = S_n^1/2 V_n' [I 0 ..]',   C = [I 0 ..] U_n S_n^1/2

    (Juang & Pappa 1985). Dead time needs nothing special: it appears as modes at zero. An integrating output is
    differenced before the realisation and summed after it, so its mode is at exactly 1. Modes of the rest that come
    out on or beyond the unit circle (a record too short for a slow mode) are moved inside it in the real Schur form.

    The order n is the smallest for which the model's step response of every output, to every input, is within
    ``tolerance`` times that output's largest response, at every instant. Where no order up to ``max_order`` is (a
    record with disturbances in it), it is the smallest whose error is within 20 % of the least.

    Args:
        response: S, shape (K + 1, p, m), S_0 = 0, scaled so that every input's step counts alike.
        integrating: for each output; None decides by `looks_integrating`.
        tolerance: relative, as above.
        max_order: largest order tried, without the integrators.

    Raises:
        GalenicError: no output responds, or the record is too short.
    """
    steps, p, m = len(response) - 1, response.shape[1], response.shape[2]
    if steps < 4:
        raise GalenicError(f"{steps} samples of step response are too few", cure="lengthen the horizon")
    flags = looks_integrating(response) if integrating is None else list(integrating)
    scale = np.abs(response).max(axis=(0, 2))
    if not (scale > 0.0).any():
        raise GalenicError("no output responds to any input", cure="check the inputs' names and steps")
    scale[scale == 0.0] = 1.0
    scaled = response / scale[None, :, None]
    rates = scaled.copy()
    rates[1:, flags] -= scaled[:-1, flags]
    # each output weighs alike in the singular values, a rate as much as a level
    weight = np.abs(rates).max(axis=(0, 2))
    weight[weight == 0.0] = 1.0
    markov = np.diff(rates / weight[None, :, None], axis=0)
    rows = steps // 2
    columns = steps - rows
    index = np.arange(rows)[:, None] + np.arange(columns)[None, :]

    def hankel(shift: int) -> FloatArray:
        blocks = markov[index + shift]  # (rows, columns, p, m)
        return np.asarray(blocks.transpose(0, 2, 1, 3).reshape(rows * p, columns * m))

    # the last Markov parameter is needed by H_1 only
    index = index[:, : columns - 1] if columns > 1 else index
    columns = index.shape[1]
    left, values, right = svd(hankel(0), full_matrices=False, lapack_driver="gesdd")
    shifted = left.T @ hankel(1) @ right.T
    rank = int((values > 1e-13 * values[0]).sum())
    candidates: list[Realization] = []
    for order in range(1, min(max_order, rank) + 1):
        root = np.sqrt(values[:order])
        a = shifted[:order, :order] / root[:, None] / root[None, :]
        b = root[:, None] * right[:order, :m]
        c = left[:p, :order] * root[None, :] * weight[:, None]
        a, b, c = _with_integrators(stabilized(a), b, c, flags)
        error = np.abs(_step(a, b, c, steps) - scaled).max(axis=(0, 2))
        candidates.append(Realization(a, b, c * scale[:, None], error, tuple(flags)))
        if error.max() <= tolerance:
            return candidates[-1]
    reached = min(float(r.error.max()) for r in candidates)
    return next(r for r in candidates if r.error.max() <= _NEARLY * reached)


def _with_integrators(
    a: FloatArray, b: FloatArray, c: FloatArray, flags: list[bool]
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Sum the outputs that were differenced: z+ = z + C_r (A x + B u), y = z."""
    count = sum(flags)
    if not count:
        return a, b, c
    rate = c[flags]
    n = len(a)
    a_all = block_diag(a, np.eye(count))
    a_all[n:, :n] = rate @ a
    b_all = np.vstack([b, rate @ b])
    c_all = np.hstack([c, np.zeros((len(c), count))])
    c_all[flags, :n] = 0.0
    c_all[flags, n:] = np.eye(count)
    return a_all, b_all, c_all


def _step(a: FloatArray, b: FloatArray, c: FloatArray, steps: int) -> FloatArray:
    x = np.zeros_like(b)
    result = np.empty((steps + 1, c.shape[0], b.shape[1]))
    for k in range(steps + 1):
        result[k] = c @ x
        x = a @ x + b
    return result


def stabilized(a: FloatArray) -> FloatArray:
    """A with modes outside `MAX_STABLE_MODE` moved onto it, in the real Schur form; A itself where there are none."""
    if np.abs(np.linalg.eigvals(a)).max() <= MAX_STABLE_MODE:
        return a
    form, basis = schur(a, output="real")
    k = 0
    while k < len(form):
        size = 2 if k + 1 < len(form) and form[k + 1, k] != 0.0 else 1
        block = slice(k, k + size)
        magnitude = float(np.abs(np.linalg.eigvals(form[block, block])).max())
        if magnitude > MAX_STABLE_MODE:
            form[block, block] *= MAX_STABLE_MODE / magnitude
        k += size
    return np.asarray(basis @ form @ basis.T)
