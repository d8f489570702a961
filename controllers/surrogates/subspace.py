r"""Linear models from excited runs by a subspace method: one state space of all outputs at once.

    x(k+1) = A x(k) + B u(k - d),     y(k) = C x(k)

1. Dead times that an input has towards every output are taken out of it. Past inputs and outputs and future outputs of
   all runs become block Hankel matrices; what the past tells of the future, with the future inputs projected out by an
   LQ factorisation, spans the observability matrix (PO-MOESP, Verhaegen 1994). As many states there may be as it has
   singular values before they level out.
2. A and C follow from the shift invariance of that matrix; modes outside the unit circle are moved inside it.
3. B is the least-squares solution for the free simulation of whole runs, which is linear in B where A and C are known.
   Runs begin at rest, so no start is estimated.

A quarter of the runs is kept back: the order is the smallest whose error there, in free simulation, is near the least.
With it all runs are used once more. Integrating outputs are seen by their rates, and simulated as levels in step 3.
`controllers.surrogates.realization.realize` makes the smallest state space of the step responses, dead times included,
as it does for `controllers.surrogates.arx`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import qr

from controllers.surrogates.realization import stabilized
from cosim.component import FloatArray
from fmus.errors import GalenicError

#: Singular values below this share of the largest are no states, nor are those that do not stand out from what follows:
#: by this factor from the median of so many that come next.
_NOTHING, _STANDS_OUT, _FOLLOWING = 1e-6, 1.1, 24
#: An order is good enough whose error is within so much of the least.
_NEARLY = 1.05
#: Orders that are tried, the higher ones further apart.
_ORDERS = (*range(1, 13), *range(14, 25, 2), *range(28, 49, 4))
#: Depth of the Hankel matrices: so much beyond the dead times that stay, in samples, and the least that is of use.
_DEPTH, _SHALLOW = 30, 4
#: Columns for each row of the Hankel matrices, at least.
_COLUMNS = 1.2


@dataclass(frozen=True)
class SubspaceModel:
    """x+ = A x + B u, y = C x in deviations, inputs late by their dead times, integrating outputs summed.

    Attributes:
        a: shape (n, n).
        b: shape (n, m).
        c: shape (p, n).
        dead_time: by input, in periods, beyond the one that sampling takes.
        integrating: by output: whether the model is of its rate.
        singular_values: of what the past tells of the future, relative to the largest.
    """

    a: FloatArray
    b: FloatArray
    c: FloatArray
    dead_time: tuple[int, ...]
    integrating: tuple[bool, ...]
    singular_values: tuple[float, ...]

    @property
    def order(self) -> int:
        """Number of states, without integrators and dead times."""
        return len(self.a)

    def step_response(self, samples: int) -> FloatArray:
        """To unit steps, shape (samples + 1, p, m)."""
        p, m = len(self.c), self.b.shape[1]
        x, prompt = np.zeros_like(self.b), np.zeros((samples + 1, p, m))
        for k in range(samples + 1):
            prompt[k] = self.c @ x
            x = self.a @ x + self.b
        y = np.zeros_like(prompt)
        for j, dead in enumerate(self.dead_time):
            y[dead:, :, j] = prompt[: max(samples + 1 - dead, 0), :, j]
        return _summed(y, self.integrating)


def fit(
    inputs: Sequence[FloatArray],
    outputs: Sequence[FloatArray],
    integrating: Sequence[bool],
    dead_times: Sequence[Sequence[int]],
    max_order: int = _ORDERS[-1],
) -> SubspaceModel:
    """One model of all outputs.

    Args:
        inputs: of each run in deviations, shape (N, m), scaled so that every input counts alike; N may differ.
        outputs: of each run in deviations, shape (N + 1, p).
        integrating: by output.
        dead_times: in periods, shape (p, m).
        max_order: largest order tried.

    Raises:
        GalenicError: one run alone, too few samples, or no order that stays finite.
    """
    if len(inputs) < 2:
        raise GalenicError("one training run leaves none to choose the order by", cure="do 2 'runs' or more")
    late = np.array(dead_times, dtype=np.int_)
    common = late.min(axis=0)
    data = _Data(inputs, outputs, tuple(map(bool, integrating)), common)
    depth = data.depth(_DEPTH + int((late - common).max(initial=0)))
    shown, hidden = data.split(max(1, len(inputs) // 4))
    gamma, _ = shown.observability(depth, max_order)
    errors: dict[int, float] = {}
    for order in (n for n in _ORDERS if n <= gamma.shape[1]):
        a, c = shown.dynamics(gamma, order)
        errors[order] = hidden.error(a, shown.input_matrix(a, c), c)
    least = min(errors.values())
    if not math.isfinite(least):
        raise GalenicError("no order stays finite in free simulation", cure="lengthen 'duration', or do more 'runs'")
    order = next(n for n, error in errors.items() if error <= _NEARLY * least)
    gamma, values = data.observability(depth, max_order)
    a, c = data.dynamics(gamma, order)
    b = data.input_matrix(a, c)
    told = tuple(float(v) for v in values[: 2 * max_order])
    return SubspaceModel(a, b, c * data.scale[:, None], tuple(common.tolist()), data.integrating, told)


class _Data:
    """Runs without their common dead times; outputs of size one, integrating ones as rates too."""

    def __init__(
        self,
        inputs: Sequence[FloatArray],
        outputs: Sequence[FloatArray],
        integrating: tuple[bool, ...],
        dead_time: npt.NDArray[np.int_],
    ) -> None:
        self.integrating, flags = integrating, list(integrating)
        self._u = [_late(u, dead_time) for u in inputs]
        rates = [y.copy() for y in outputs]
        for rate, y in zip(rates, outputs, strict=True):
            rate[1:, flags] -= y[:-1, flags]
            rate[0, flags] = 0.0
        self.scale = _size(np.vstack(rates))
        self._y = [y / self.scale for y in rates]
        self._target = [y / self.scale for y in outputs]
        #: Each output weighs alike as it is predicted, an integrating one as a level.
        self._weight = 1.0 / _size(np.vstack(self._target))

    def split(self, kept: int) -> tuple[_Data, _Data]:
        """The runs without the last ones, and these."""
        return self._part(slice(None, -kept)), self._part(slice(-kept, None))

    def _part(self, runs: slice) -> _Data:
        part = object.__new__(_Data)
        part.integrating, part.scale, part._weight = self.integrating, self.scale, self._weight
        part._u, part._y, part._target = self._u[runs], self._y[runs], self._target[runs]
        return part

    def depth(self, wanted: int) -> int:
        """Block rows of past and future that the runs have columns enough for."""
        m, p = self._u[0].shape[1], self._y[0].shape[1]
        for depth in range(wanted, _SHALLOW, -1):
            columns = sum(max(len(u) - depth + 2, 0) for u in self._u[: -max(1, len(self._u) // 4)])
            if columns >= _COLUMNS * 2 * depth * (m + p):
                return depth
        count = sum(map(len, self._u))
        raise GalenicError(
            f"{count} samples are too few for a subspace model of {m} inputs and {p} outputs",
            cure="lengthen 'duration', or do more 'runs'",
        )

    def observability(self, depth: int, most: int) -> tuple[FloatArray, FloatArray]:
        """Extended observability matrix, shape (depth * p, orders), and the relative singular values."""
        blocks = [_hankel(u, y, depth) for u, y in zip(self._u, self._y, strict=True) if len(u) >= depth]
        known, past, future = (np.hstack(rows) for rows in zip(*blocks, strict=True))
        factor = qr(np.vstack([known, past, future]).T, mode="r")[0].T
        between = slice(len(known), len(known) + len(past))
        left, values, _ = np.linalg.svd(factor[between.stop :, between], full_matrices=False)
        count = _states(values[: most + _FOLLOWING], most)
        return left[:, :count] * np.sqrt(values[:count]), values / values[0]

    def dynamics(self, gamma: FloatArray, order: int) -> tuple[FloatArray, FloatArray]:
        """A and C."""
        g, p = gamma[:, :order], len(self.scale)
        return stabilized(np.asarray(np.linalg.lstsq(g[:-p], g[p:], rcond=None)[0], dtype=np.float64)), g[:p]

    def input_matrix(self, a: FloatArray, c: FloatArray) -> FloatArray:
        """B that makes the free simulation of these runs best, beside a constant of each output (or of its rate)."""
        p, m = len(c), self._u[0].shape[1]
        rows = []
        for u in self._u:
            constant = _summed(np.tile(np.eye(p), (len(u) + 1, 1, 1)), self.integrating)
            rows.append(np.concatenate([self._responses(a, c, u), constant], axis=2))
        phi = (np.vstack(rows) * self._weight[:, None]).reshape(-1, rows[0].shape[2])
        y = (np.vstack(self._target) * self._weight).ravel()
        size = np.linalg.norm(phi, axis=0)
        size[size == 0.0] = 1.0
        found = np.linalg.lstsq(phi / size, y, rcond=1e-10)[0] / size
        return np.asarray(found[:-p].reshape(len(a), m))

    def error(self, a: FloatArray, b: FloatArray, c: FloatArray) -> float:
        """Of the free simulation of these runs, root mean square over all outputs relative to their size."""
        with np.errstate(all="ignore"):
            off = np.vstack(
                [y - self._responses(a, c, u) @ b.ravel() for u, y in zip(self._u, self._target, strict=True)]
            )
            found = float(np.sqrt(np.mean((off * self._weight) ** 2)))
        return found if math.isfinite(found) else math.inf

    def _responses(self, a: FloatArray, c: FloatArray, u: FloatArray) -> FloatArray:
        """What each entry of B does to the outputs in a run, shape (N + 1, p, n * m)."""
        n, m = len(a), u.shape[1]
        x, enters = np.zeros((n, n * m)), np.zeros((n, n * m))
        result = np.zeros((len(u) + 1, len(c), n * m))
        for k, row in enumerate(u):
            result[k] = c @ x
            for state in range(n):
                enters[state, state * m : (state + 1) * m] = row
            x = a @ x + enters
        result[-1] = c @ x
        return _summed(result, self.integrating)


def _states(values: FloatArray, most: int) -> int:
    """How many singular values, the largest first, come before the first that stands for no state."""
    for n in range(1, min(most, len(values) - 1) + 1):
        following = values[n + 1 : n + 1 + _FOLLOWING]
        if values[n] <= _NOTHING * values[0] or (len(following) and values[n] <= _STANDS_OUT * np.median(following)):
            return n
    return min(most, len(values))


def _size(values: FloatArray) -> FloatArray:
    found = values.std(axis=0)
    return np.where(found > 0.0, found, 1.0)


def _summed(values: FloatArray, integrating: Sequence[bool]) -> FloatArray:
    """Levels of what is of rates, shape (N, p, ..)."""
    flags = list(integrating)
    if any(flags):
        values[:, flags] = np.cumsum(values[:, flags], axis=0)
    return values


def _late(u: FloatArray, dead_time: npt.NDArray[np.int_]) -> FloatArray:
    result = np.zeros_like(u)
    for j, dead in enumerate(dead_time.tolist()):
        result[dead:, j] = u[: max(len(u) - dead, 0), j]
    return result


def _hankel(u: FloatArray, y: FloatArray, depth: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Future inputs with a constant, the past, and future outputs; a column for each instant k of a run from rest.

    The future is y(k) .. y(k + depth - 1), on which u(k) .. u(k + depth - 2) act; before a run all was at rest.
    """
    columns = np.arange(len(u) - depth + 2)
    ahead = columns + np.arange(depth)[:, None]

    def stacked(values: FloatArray, rows: npt.NDArray[np.int_]) -> FloatArray:
        return np.asarray(values[rows].transpose(0, 2, 1).reshape(-1, len(columns)))

    before = [np.vstack([np.zeros((depth, values.shape[1])), values]) for values in (u, y)]
    known = np.vstack([stacked(u, ahead[:-1]), np.ones(len(columns))])
    return known, np.vstack([stacked(values, ahead) for values in before]), stacked(y, ahead)
