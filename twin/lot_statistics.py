"""How raw-material lots vary: statistics over lots, recomputed from a plant's laboratory table and compared.

`reference_statistics` is the table that scenarios draw lots from (`cosim/lot_statistics.csv`); it is rounded and rests
on all batches of the published data set. `lot_statistics` recomputes it from a data folder.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from cosim.lots import STATISTICS
from fmus import GalenicError
from twin.csv_table import CsvTable, read_csv

#: a material's lots are told apart by these columns
_LOT_KEYS = {
    "smcc": ("smcc_batch",),
    "lactose": ("lactose_batch",),
    "starch": ("starch_batch",),
    "api": ("api_code", "api_batch"),
}


@dataclass(frozen=True)
class LotStatistic:
    """One quantity over lots; NaN where it is not told.

    Attributes:
        name, column, unit: what it is, the laboratory's column, the unit.
        lots: number of lots, 0 where it is not told.
        mean: over lots.
        rsd: relative standard deviation in percent.
        minimum, maximum: over lots.
        inconsistent: lots whose batches state different values (their median counts).
    """

    name: str
    column: str
    unit: str
    lots: int
    mean: float
    rsd: float
    minimum: float
    maximum: float
    inconsistent: int = 0


@dataclass(frozen=True)
class LotComparison:
    """A recomputed statistic beside the reference's.

    Attributes:
        found: recomputed.
        reference: of the shipped table.
        deviation_rsd: difference of the RSDs in standard errors of the recomputed one, RSD/sqrt(2 (lots - 1)).
        deviation_mean: difference of the means in standard errors, NaN where the reference tells no mean.
    """

    found: LotStatistic
    reference: LotStatistic
    deviation_rsd: float
    deviation_mean: float

    @property
    def agrees(self) -> bool:
        """Whether RSD and mean lie within two standard errors."""
        return abs(self.deviation_rsd) <= 2.0 and not abs(self.deviation_mean) > 2.0


def reference_statistics() -> list[LotStatistic]:
    """The shipped table."""
    table = pd.read_csv(STATISTICS)
    return [
        LotStatistic(
            str(row["name"]),
            str(row["column"]),
            str(row["unit"]),
            0 if math.isnan(row["lots"]) else int(row["lots"]),
            float(row["mean"]),
            float(row["rsd_percent"]),
            float(row["min"]),
            float(row["max"]),
        )
        for row in table.to_dict("records")
    ]


def lot_statistics(data_dir: str | Path) -> list[LotStatistic]:
    """Recompute the table from ``Laboratory.csv`` in a folder.

    A lot is used in many batches; each lot counts once, with the median of what its batches state.

    Raises:
        GalenicError: bad data, with file, column and row; or fewer than two lots of a material.
    """
    reference = reference_statistics()
    keys = sorted({key for columns in _LOT_KEYS.values() for key in columns})
    table = read_csv(Path(data_dir) / "Laboratory.csv", [*keys, *(r.column for r in reference)])
    return [_statistic(table, r) for r in reference]


def _statistic(table: CsvTable, like: LotStatistic) -> LotStatistic:
    keys = _LOT_KEYS[like.column.partition("_")[0]]
    frame = pd.DataFrame({key: table.integers(key) for key in keys})
    frame["value"] = table.numbers(like.column)
    frame = frame.dropna()
    by_lot = frame.groupby(list(keys)).value
    lots = by_lot.median()
    if len(lots) < 2:
        raise GalenicError(
            f"column '{like.column}' has values of {len(lots)} lots; a spread needs two",
            cure="give a table with more lots",
            file=table.file,
        )
    mean = float(lots.mean())
    return LotStatistic(
        like.name,
        like.column,
        like.unit,
        len(lots),
        mean,
        100.0 * float(lots.std()) / mean if mean else math.nan,
        float(lots.min()),
        float(lots.max()),
        int((by_lot.nunique() > 1).sum()),
    )


def compare_lot_statistics(found: Sequence[LotStatistic]) -> list[LotComparison]:
    """Recomputed statistics beside those of `reference_statistics`, matched by column."""
    known = {r.column: r for r in reference_statistics()}
    rows = []
    for statistic in found:
        other = known[statistic.column]
        error_rsd = statistic.rsd / math.sqrt(2.0 * (statistic.lots - 1))
        error_mean = statistic.rsd / 100.0 * statistic.mean / math.sqrt(statistic.lots)
        rows.append(
            LotComparison(
                statistic,
                other,
                (statistic.rsd - other.rsd) / error_rsd if error_rsd else math.nan,
                (statistic.mean - other.mean) / error_mean if error_mean else math.nan,
            )
        )
    return rows
