"""Reading a tablet press's recorded series and the laboratory's and process tables, checked row by row.

The layout is that of Zagar & Mihelic, Scientific Data 9:99 (2022): ``process_<code>.csv`` (one row every 10 s),
``Laboratory.csv`` and ``Process.csv`` (one row a batch).
"""

from __future__ import annotations

import calendar
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd

from fmus.errors import GalenicError
from twin.csv_table import CsvTable, read_csv, shown_values

SAMPLE_PERIOD = 10.0  # s
MAX_NOTICES = 200
#: a running press whose record repeats itself this often was not recorded: counters alone must move in a minute
FROZEN_REPEATS = 6

_SERIES_NUMBERS = ("tbl_speed", "main_comp", "tbl_fill", "SREL", "cyl_main")
_SERIES_COUNTERS = ("produced", "waste")
_SERIES_COLUMNS = ("timestamp", "batch", "code", *_SERIES_NUMBERS, *_SERIES_COUNTERS)
_LABORATORY_NUMBERS = (
    "tbl_min_weight",
    "tbl_max_weight",
    "tbl_min_thickness",
    "tbl_max_thickness",
    "tbl_max_diameter",
    "tbl_av_hardness",
)
_PROCESS_FORCE = "main_CompForce mean"
# the Slovene names beside the English ones
_MONTHS = {m.lower(): i for i, m in enumerate(calendar.month_abbr) if m} | {"maj": 5, "avg": 8, "okt": 10}


@dataclass(frozen=True)
class Notice:
    """Something in the data that is worked around, with its place."""

    file: Path
    line: int
    column: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: column '{self.column}': {self.message}"


@dataclass
class DataReport:
    """What was read and what was left out, and why.

    Attributes:
        file: the press series.
        rows: rows in it.
        batches: batches in it, in time order.
        used: purpose -> rows used.
        excluded: purpose -> reason -> rows; reasons are counted in this order, each row once.
        notices: places that a person may want to look at, at most `MAX_NOTICES`.
        notice_counts: kind -> how many there were in all.
    """

    file: Path
    rows: int = 0
    batches: list[int] = field(default_factory=list)
    used: dict[str, int] = field(default_factory=dict)
    excluded: dict[str, dict[str, int]] = field(default_factory=dict)
    notices: list[Notice] = field(default_factory=list)
    notice_counts: dict[str, int] = field(default_factory=dict)

    def note(self, kind: str, line: int, column: str, message: str, *, count: int = 1) -> None:
        """Add a notice."""
        self.notice_counts[kind] = self.notice_counts.get(kind, 0) + count
        if len(self.notices) < MAX_NOTICES:
            self.notices.append(Notice(self.file, line, column, message))


@dataclass(frozen=True)
class PlantData:
    """A product's recorded batches.

    Attributes:
        product: the product code.
        series: one row a sample, index 0..n-1, columns as in the file plus ``line`` (in the file), ``running``,
            ``run`` (number of an uninterrupted stretch between stops, gaps and batch changes), ``sample_of_run``
            (0, 1, ...), ``missing`` (a blank in a needed column), ``frozen`` (the record
            repeats itself, counters included, although the press runs).
        laboratory: one row a batch of this product, index ``batch``.
        files: what was read.
        report: what was noticed.
    """

    product: int
    series: pd.DataFrame
    laboratory: pd.DataFrame
    files: tuple[Path, ...]
    report: DataReport

    @property
    def batches(self) -> list[int]:
        """The batches of the series in time order."""
        return self.report.batches


def read_plant_data(data_dir: str | Path, product: int) -> PlantData:
    """Read and check everything that the press calibration needs.

    Raises:
        GalenicError: naming file, column and row, with the cure.
    """
    directory = Path(data_dir)
    if not directory.is_dir():
        raise GalenicError(f"there is no folder {directory}", cure="give the folder with process_<code>.csv to --data")
    file = directory / f"process_{product}.csv"
    if not file.exists():
        codes = sorted(p.stem.removeprefix("process_") for p in directory.glob("process_*.csv"))
        have = f"this folder has the series of product {shown_values(codes)}" if codes else "this folder has no series"
        raise GalenicError(f"there is no series of product {product}: no such file", cure=have, file=file)
    series, report = read_press_series(file, product)
    laboratory = read_laboratory(directory / "Laboratory.csv", directory / "Process.csv", product)
    unknown = [b for b in report.batches if b not in laboratory.index]
    for batch in unknown:
        line = int(series.line[series.batch == batch].iloc[0])
        report.note("no laboratory row", line, "batch", f"batch {batch} is not in Laboratory.csv; no weight known")
    files = (file, directory / "Laboratory.csv", directory / "Process.csv")
    return PlantData(product, series, laboratory, files, report)


def read_press_series(file: str | Path, product: int) -> tuple[pd.DataFrame, DataReport]:
    """Read ``process_<code>.csv``; see `PlantData.series` for the columns.

    Gaps in time and blank cells are noted and their samples marked; stops stay in the frame with ``running`` False.

    Raises:
        GalenicError: a missing column, text in a number, a negative value, another product's row, a timestamp that
            cannot be read or does not increase, a batch that comes back after another one.
    """
    table = read_csv(Path(file), _SERIES_COLUMNS)
    report = DataReport(table.file, rows=len(table))
    codes = table.integers("code")
    other = np.flatnonzero(codes != product)
    if other.size:
        row = int(other[0])
        message = f"product code {codes[row]:g} is not {product}"
        raise table.error(row, "code", message, f"remove the row, or calibrate with --product {codes[row]:g}")
    data: dict[str, object] = {"line": np.array(table.lines), "batch": table.integers("batch").astype(int)}
    data["timestamp"] = _timestamps(table)
    for name in (*_SERIES_NUMBERS, *_SERIES_COUNTERS):
        data[name] = table.numbers(name)
    series = pd.DataFrame(data)
    report.batches = _batch_order(table, series)
    gap = _check_time(table, series, report)
    needed = [*_SERIES_NUMBERS, *_SERIES_COUNTERS]
    series["missing"] = series[needed].isna().any(axis=1)
    for row in np.flatnonzero(series.missing)[:MAX_NOTICES]:
        column = next(c for c in needed if series[c].isna().iat[row])
        report.note("blank cell", table.lines[row], column, "the cell is empty; the sample is not used", count=0)
    if series.missing.any():
        report.notice_counts["blank cell"] = int(series.missing.sum())
    _mark_runs(series, gap)
    _mark_frozen(table, series, report)
    _note_quirks(table, series, report)
    return series, report


def _timestamps(table: CsvTable) -> list[datetime]:
    stamps = []
    for row, cell in enumerate(table.text("timestamp")):
        try:
            stamp = datetime.fromisoformat(cell)
        except ValueError as error:
            cure = "write 2019-04-15 18:13:00"
            raise table.error(row, "timestamp", f"'{cell[:30]}' is not a date and time", cure) from error
        if stamp.tzinfo is not None or not 1970 <= stamp.year <= 2200:
            message = f"'{cell[:40]}' is not a plain local date and time of this age"
            raise table.error(row, "timestamp", message, "write 2019-04-15 18:13:00")
        stamps.append(stamp)
    return stamps


def _batch_order(table: CsvTable, series: pd.DataFrame) -> list[int]:
    batch = series.batch.to_numpy()
    starts = np.flatnonzero(np.r_[True, batch[1:] != batch[:-1]])
    seen: dict[int, int] = {}
    for row in starts:
        if int(batch[row]) in seen:
            message = f"batch {batch[row]} was already recorded up to row {seen[int(batch[row])]}"
            raise table.error(int(row), "batch", message, "sort the rows by batch and time")
        following = starts[starts > row]
        seen[int(batch[row])] = table.lines[int(following[0]) - 1] if following.size else table.lines[-1]
    return list(seen)


def _check_time(table: CsvTable, series: pd.DataFrame, report: DataReport) -> pd.Series:
    """True where a sample follows a gap in its batch."""
    step = series.timestamp.groupby(series.batch).diff().dt.total_seconds()
    back = np.flatnonzero(step <= 0)
    if back.size:
        row = int(back[0])
        message = f"{table.text('timestamp')[row]} is not after the row before"
        raise table.error(row, "timestamp", message, "sort the rows by time and remove repeated ones")
    gap: pd.Series[bool] = step > 1.5 * SAMPLE_PERIOD
    for row in np.flatnonzero(gap)[:MAX_NOTICES]:
        message = f"a gap of {step[row]:g} s within batch {series.batch[row]}; the run is split here"
        report.note("gap in time", table.lines[row], "timestamp", message, count=0)
    if gap.any():
        report.notice_counts["gap in time"] = int(gap.sum())
    return gap


def _mark_runs(series: pd.DataFrame, gap: pd.Series) -> None:
    series["running"] = series.tbl_speed > 0
    new_batch = series.batch != series.batch.shift()
    series["new_run"] = (series.running != series.running.shift()) | new_batch | gap
    series["run"] = series.new_run.cumsum()
    series["sample_of_run"] = series.groupby("run").cumcount()


def _mark_frozen(table: CsvTable, series: pd.DataFrame, report: DataReport) -> None:
    watched = series[[*_SERIES_NUMBERS, *_SERIES_COUNTERS]]
    repeated = (watched == watched.shift()).all(axis=1) & series.running & ~series.new_run
    stretch = (~repeated).cumsum()
    length = repeated.groupby(stretch).transform("sum")
    series["frozen"] = repeated & (length >= FROZEN_REPEATS)
    for _, rows in series[series.frozen].groupby(stretch[series.frozen]):
        line = table.lines[int(rows.index[0])]
        message = (
            f"nothing changes for {len(rows)} samples of batch {rows.batch.iloc[0]} while the press runs; not used"
        )
        report.note("frozen record", line, "produced", message, count=len(rows))


def _note_quirks(table: CsvTable, series: pd.DataFrame, report: DataReport) -> None:
    stale = (~series.running) & (series.main_comp > 0)
    if stale.any():
        row = int(np.flatnonzero(stale)[0])
        message = f"{int(stale.sum())} samples at speed 0 show the force of the last revolution; excluded as stops"
        report.note("force shown while stopped", table.lines[row], "main_comp", message, count=int(stale.sum()))
    if "fom" in table.columns and table.columns["fom"] == table.columns["tbl_fill"]:
        message = "repeats 'tbl_fill' in every row: no feed-frame speed is recorded; not used"
        report.note("repeated column", 1, "fom", message)
    back = (series.groupby("batch").produced.diff() < 0).to_numpy()
    if back.any():
        row = int(np.flatnonzero(back)[0])
        message = (
            f"the counter falls back {int(back.sum())} times; a batch counts as started from its first value above 0"
        )
        report.note("counter falls back", table.lines[row], "produced", message, count=int(back.sum()))


def read_laboratory(laboratory: str | Path, process: str | Path, product: int) -> pd.DataFrame:
    """One row a batch of ``product``, index ``batch``: weight, thickness, diameter, hardness, mean force, dose, month.

    Columns: ``weight`` mg and ``thickness`` mm (the middle between least and greatest), ``diameter`` mm, ``hardness``
    N, ``force`` kN (mean of production), ``dose`` mg, ``month`` (first of the month); NaN where blank.

    Raises:
        GalenicError: as `read_press_series`; or there is no batch of this product.
    """
    table = read_csv(Path(laboratory), ("batch", "code", "strength", "start", *_LABORATORY_NUMBERS))
    codes = table.integers("code")
    batches = _unique_batches(table)
    months = [month(table, row) for row in range(len(table))]
    value = {name: table.numbers(name) for name in _LABORATORY_NUMBERS}
    frame = pd.DataFrame(
        {
            "code": codes.astype(int),
            "weight": (value["tbl_min_weight"] + value["tbl_max_weight"]) / 2,
            "thickness": (value["tbl_min_thickness"] + value["tbl_max_thickness"]) / 2,
            "diameter": value["tbl_max_diameter"],
            "hardness": value["tbl_av_hardness"],
            "dose": [_dose(table, row) for row in range(len(table))],
            "month": months,
        },
        index=pd.Index(batches, name="batch"),
    )
    features = read_csv(Path(process), ("batch", "code", _PROCESS_FORCE))
    force = pd.Series(features.numbers(_PROCESS_FORCE), index=list(_unique_batches(features)))
    frame["force"] = force.reindex(frame.index)
    known = sorted(set(frame.code))
    frame = frame[frame.code == product]
    if frame.empty:
        raise GalenicError(
            f"column 'code' has no row of product {product}",
            cure=f"the laboratory knows the products {shown_values(known, 40)}",
            file=table.file,
        )
    return frame.drop(columns="code")


def month(table: CsvTable, row: int) -> pd.Timestamp:
    """A cell of the column ``start`` such as ``maj.19`` as the first day of that month. Raises GalenicError."""
    cell = table.text("start")[row]
    name, _, year = cell.partition(".")
    if name.lower() not in _MONTHS or not (year.isascii() and year.isdigit() and len(year) == 2):
        cure = f"write month.year with one of {', '.join(_MONTHS)}, such as maj.19"
        raise table.error(row, "start", f"'{cell[:30]}' is not a month and a year", cure)
    return pd.Timestamp(2000 + int(year), _MONTHS[name.lower()], 1)


def _dose(table: CsvTable, row: int) -> float:
    cell = table.text("strength")[row]
    digits = cell.upper().removesuffix("G").removesuffix("M")
    if not (digits.isascii() and digits.isdigit()) or int(digits) == 0:
        raise table.error(row, "strength", f"'{cell[:30]}' is not a dose", "write the milligrams, such as 20MG")
    return float(digits)


def _unique_batches(table: CsvTable) -> Sequence[int]:
    batches = [int(b) for b in table.integers("batch")]
    seen: dict[int, int] = {}
    for row, batch in enumerate(batches):
        if batch in seen:
            message = f"batch {batch} stands already in row {table.lines[seen[batch]]}"
            raise table.error(row, "batch", message, "keep one row a batch")
        seen[batch] = row
    return batches
