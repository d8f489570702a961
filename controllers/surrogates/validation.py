"""The error of a surrogate on runs that it was not fitted to, in free simulation over the whole horizon."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from controllers.surrogates.model import SHARES, HorizonError, SurrogateModel
from controllers.surrogates.records import Record
from cosim.component import FloatArray


def free_run(
    model: SurrogateModel, record: Record, start: FloatArray | None = None, drift: FloatArray | None = None
) -> FloatArray:
    """What the model predicts of a run from its start, shape (N + 1, p).

    Args:
        model: the surrogate.
        record: the run.
        start: the model's state at the run's start; that of `SurrogateModel.initial` by default.
        drift: how the outputs move where nothing is done, from zero, shape (N + 1, p): added for models that are
            deviations from it.
    """
    predicted = model.simulate(record.inputs, start)
    return predicted if drift is None else predicted + drift[: len(predicted)]


def horizon_errors(predicted: Sequence[FloatArray], measured: Sequence[FloatArray]) -> list[HorizonError]:
    """RMSE and fit of each output up to 10 %, 50 % and 100 % of the horizon; runs of shape (N + 1, p)."""
    outputs = measured[0].shape[1]
    table = np.empty((len(SHARES), 2, outputs))
    for row, share in enumerate(SHARES):
        ends = [max(2, round(share * (len(y) - 1)) + 1) for y in measured]
        y = np.vstack([v[1:end] for v, end in zip(measured, ends, strict=True)])
        e = y - np.vstack([v[1:end] for v, end in zip(predicted, ends, strict=True)])
        spread = np.linalg.norm(y - y.mean(axis=0), axis=0)
        size = np.linalg.norm(e, axis=0)
        table[row, 0] = size / np.sqrt(len(e))
        table[row, 1] = 100.0 * (1.0 - size / np.where(spread > 0.0, spread, np.inf))
    return [HorizonError(tuple(map(float, table[:, 0, i])), tuple(map(float, table[:, 1, i]))) for i in range(outputs)]
