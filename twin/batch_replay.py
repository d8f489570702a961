"""Replay of single batches that the calibration did not see: force, hardness and weight, one batch ahead.

A batch's mean is a state of rest, for which the unit model's equations are solved directly (`twin.press_function`).
Each prediction uses the batch's gap and speed, what was known before the batch began, and that the weight is held on
target; its own force, hardness and weight are what is predicted. Modes:

- ``calibration's mean``: the mean of the batches that calibrated, no model;
- ``model alone``: the calibrated press at the batch's gap;
- ``last batch``: the batch before on the same set-up, no model;
- ``model from the last batch``: the change from that batch by the model, its level from the batch.

The last two need a batch before on the same set-up. The weight is predicted otherwise, from the batch's recorded force:
the mass that explains it; ``model from the last batch`` takes the density or offset of the gap from that batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from fmus import GalenicError
from twin.batch_data import read_batches
from twin.parameter_file import batches_to_replay, read_parameter_file, refuse_other_product
from twin.press_function import OUTPUTS, PressFunction

FloatArray = npt.NDArray[np.float64]

MODES = ("calibration's mean", "model alone", "last batch", "model from the last batch")
#: the guess without a model beside each model mode
NAIVE = {"model alone": "calibration's mean", "model from the last batch": "last batch"}
QUANTITIES = {"force": "kN", "hardness": "N", "weight": "mg"}
SCOPES = ("all batches", "batches with one before on the same set-up")


@dataclass(frozen=True)
class BatchReplay:
    """Predictions of single batches.

    Attributes:
        product: the product code.
        predictions: a row each batch and quantity: ``batch``, ``setup``, ``quantity``, ``measured`` and a column a mode
            (NaN where there is none).
        scores: a row each scope, quantity and mode: ``batches``, ``rmse``, ``bias`` (predicted minus measured),
            ``percent`` (RMSE over the mean), ``better`` (batches in which a model errs less than its naive guess).
        seen: batches among them that the calibration saw.
    """

    product: int
    predictions: pd.DataFrame
    scores: pd.DataFrame
    seen: tuple[int, ...]


def replay_batches(
    parameter_file: str | Path, data_dir: str | Path, product: int, batches: Sequence[int] | None = None
) -> BatchReplay:
    """Predict batches one by one.

    Args:
        parameter_file: of `galenic calibrate`, from batches.
        data_dir: folder with ``Laboratory.csv`` and ``Process.csv``.
        product: the product code.
        batches: which; by default all that the calibration did not see.

    Raises:
        GalenicError: bad data or parameter file, unknown batches, or nothing that the calibration did not see.
    """
    parameters = read_parameter_file(parameter_file)
    refuse_other_product(parameters, product)
    frame = read_batches(data_dir, product).frame
    used = frame[frame.index.isin(parameters.batches)]
    if used.empty:
        raise GalenicError(
            f"none of the batches that it was calibrated on is in {data_dir}",
            cure="give the folder that the calibration read to --data",
            file=parameters.file,
        )
    wanted = batches_to_replay(parameters, [int(b) for b in frame.index], batches)
    predictions = predict_batches(PressFunction(parameters.values), used, frame)
    predictions = predictions[predictions.batch.isin(wanted)].reset_index(drop=True)
    seen = tuple(b for b in wanted if b in parameters.batches)
    return BatchReplay(product, predictions, _scores(predictions), seen)


def predict_batches(function: PressFunction, used: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    """Predictions of every batch of ``frame``; see `BatchReplay.predictions`.

    Args:
        function: the calibrated press.
        used: the batches that calibrated.
        frame: batches in time order, as of `twin.batch_data.BatchData.frame`.
    """
    fill, weight = float(used.fill.mean()), float(used.weight.mean())

    def at(rows: FloatArray) -> dict[str, FloatArray]:
        return dict(zip(OUTPUTS, function.evaluate(rows).T, strict=True))

    # at the mean fill depth the weight is on target; the offset that explains a batch's force there is in log mass
    offset = function.density_effect(
        np.full(len(frame), fill),
        frame.gap.to_numpy(dtype=float),
        frame.speed.to_numpy(dtype=float),
        frame.force.to_numpy(dtype=float),
    )
    before = frame.groupby("setup").shift()
    last = pd.Series(offset, index=frame.index).groupby(frame.setup).shift().to_numpy(dtype=float)
    known = np.isfinite(last)
    shifted = np.where(known, last, 0.0)
    alone = at(function.rows(fill, frame.gap, frame.speed))
    ahead = at(function.rows(fill, frame.gap, frame.speed, shifted))
    then = at(function.rows(fill, before.gap.fillna(frame.gap), before.speed.fillna(frame.speed), shifted))
    force, hardness = "main_compression_force", "hardness"
    hardness_before = before.hardness.where(before.hardness > 0).to_numpy(dtype=float)
    modes = {
        "force": (used.force.mean(), alone[force], before.force, np.where(known, ahead[force], np.nan)),
        "hardness": (
            used.hardness[used.hardness > 0].mean(),
            alone[hardness],
            hardness_before,
            np.where(known, hardness_before * ahead[hardness] / then[hardness], np.nan),
        ),
        "weight": (weight, weight * np.exp(offset), before.weight, weight * np.exp(offset - last)),
    }
    parts = []
    for quantity, values in modes.items():
        measured = frame[quantity].where(frame[quantity] > 0)
        part = pd.DataFrame({"batch": frame.index, "setup": frame.setup.to_numpy(), "quantity": quantity})
        part["measured"] = measured.to_numpy(dtype=float)
        for mode, value in zip(MODES, values, strict=True):
            part[mode] = np.asarray(value, dtype=float)
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def _scores(predictions: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for scope in SCOPES:
        modes = MODES[:2] if scope == SCOPES[0] else MODES
        for quantity in QUANTITIES:
            own = predictions[(predictions.quantity == quantity)].dropna(subset=["measured", *modes])
            error = {mode: (own[mode] - own.measured).to_numpy(dtype=float) for mode in modes}
            for mode in modes:
                e = error[mode]
                rmse = float(np.sqrt(np.mean(e**2))) if e.size else float("nan")
                better = np.abs(e) < np.abs(error[NAIVE[mode]]) if mode in NAIVE else np.zeros(0)
                rows.append(
                    {
                        "scope": scope,
                        "quantity": quantity,
                        "mode": mode,
                        "batches": e.size,
                        "rmse": rmse,
                        "bias": float(e.mean()) if e.size else float("nan"),
                        "percent": 100.0 * rmse / float(own.measured.mean()) if e.size else float("nan"),
                        "better": int(better.sum()),
                    }
                )
    return pd.DataFrame(rows)
