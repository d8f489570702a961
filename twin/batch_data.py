"""Reading one row a batch: the means of a press's records and the laboratory's results of every batch of a product.

Where no 10-second series of a product is at hand, its batches still tell mean fill depth, gap, force, weight and their
scatter. Layout as in `twin.plant_data`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from fmus import GalenicError
from twin.csv_table import read_csv
from twin.plant_data import read_laboratory

#: a change of speed from one batch to the next beyond which the press was set up anew
_SAME_SPEED = 0.05
_PROCESS = {
    "tbl_fill_mean": "fill",
    "cyl_height_mean": "gap",
    "tbl_speed_mean": "speed",
    "SREL_production_mean": "srel",
}
_WEIGHT_RSD = "tbl_rsd_weight"
_NEEDED = ("force", "fill", "gap", "speed")


@dataclass(frozen=True)
class BatchData:
    """A product's batches in time order.

    Attributes:
        product: the product code.
        frame: index ``batch``; ``month``, ``fill`` and ``gap`` mm, ``speed`` 1/h, ``force`` kN, ``srel`` % (means of
            production), ``weight`` mg, ``weight_rsd`` %, ``thickness`` and ``diameter`` mm, ``hardness`` N,
            ``dose`` mg, ``setup`` (see `number_setups`).
        left_out: batches without one of the needed values, and which value.
        files: what was read.
    """

    product: int
    frame: pd.DataFrame
    left_out: dict[int, str]
    files: tuple[Path, ...]


def read_batches(data_dir: str | Path, product: int) -> BatchData:
    """Read ``Laboratory.csv`` and ``Process.csv`` of a folder.

    Raises:
        GalenicError: naming file, column and row, with the cure; or no batch of the product has all that is needed.
    """
    directory = Path(data_dir)
    if not directory.is_dir():
        raise GalenicError(f"there is no folder {directory}", cure="give the folder with Laboratory.csv to --data")
    laboratory, process = directory / "Laboratory.csv", directory / "Process.csv"
    frame = read_laboratory(laboratory, process, product)
    features = read_csv(process, ("batch", *_PROCESS))
    batches = features.integers("batch").astype(int)
    for column, name in _PROCESS.items():
        frame[name] = pd.Series(features.numbers(column), index=batches).reindex(frame.index)
    frame["speed"] *= 1e3
    results = read_csv(laboratory, ("batch", _WEIGHT_RSD))
    scatter = pd.Series(results.numbers(_WEIGHT_RSD), index=results.integers("batch").astype(int))
    frame["weight_rsd"] = scatter.reindex(frame.index)
    left_out: dict[int, str] = {}
    for name in _NEEDED:
        for batch in frame.index[~(frame[name] > 0)]:
            left_out.setdefault(int(batch), name)
    frame = frame.drop(index=list(left_out)).sort_values(["month", "batch"])
    if frame.empty:
        raise GalenicError(
            f"no batch of product {product} has {', '.join(_NEEDED)}",
            cure=f"fill in {', '.join(_PROCESS)} and main_CompForce mean",
            file=process,
        )
    frame["setup"] = number_setups(frame)
    return BatchData(product, frame, left_out, (laboratory, process))


def number_setups(frame: pd.DataFrame) -> pd.Series[int]:
    """Which batches followed each other on a press that was not set up anew, counted from 0.

    The records do not tell; a new set-up is taken where the batch number, which counts the plant's batches in time,
    leaves one out (another product was made between), where more than a month passed, or where the speed changed by
    more than 5 %.

    Args:
        frame: batches in time order, as of `BatchData.frame`.
    """
    number = pd.Series(frame.index.to_numpy(), index=frame.index)
    apart = (number.diff() != 1) | (frame.month.diff().dt.days > 31)
    changed = (np.log(frame.speed).diff().abs() > _SAME_SPEED) | apart
    return pd.Series(changed.cumsum() - 1, index=frame.index)
