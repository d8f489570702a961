"""Strict reading of a semicolon-separated table: every complaint names file, column and line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fmus.errors import GalenicError, nearest

FloatArray = npt.NDArray[np.float64]
SEPARATOR = ";"


@dataclass(frozen=True)
class CsvTable:
    """The cells of a file as stripped text.

    Attributes:
        file: where it was read.
        columns: column name -> cells, each of the same length.
        lines: for each row its line number in the file, counted from 1 with the header.
    """

    file: Path
    columns: dict[str, list[str]]
    lines: list[int]

    def __len__(self) -> int:
        return len(self.lines)

    def error(self, row: int, column: str, message: str, cure: str) -> GalenicError:
        """An error about one cell; ``row`` counts from 0 without the header."""
        line = self.lines[row]
        return GalenicError(f"column '{column}', row {line}: {message}", cure=cure, file=self.file, line=line)

    def text(self, column: str) -> list[str]:
        """The cells of a column. Raises GalenicError where there is no such column."""
        if column not in self.columns:
            raise GalenicError(
                f"column '{column}' is missing", cure=nearest(column, self.columns), file=self.file, line=1
            )
        return self.columns[column]

    def numbers(self, column: str, *, blank: bool = True) -> FloatArray:
        """A column of numbers that are not negative, shape (rows,); blank cells become NaN.

        Args:
            column: its name.
            blank: whether a cell may be empty.

        Raises:
            GalenicError: text in a number, an infinite or negative number, a blank where none may be.
        """
        cells = self.text(column)
        values = np.array([_number(cell) for cell in cells], dtype=float)
        for row in np.flatnonzero(~np.isfinite(values)):
            cell = cells[row]
            if cell == "":
                if not blank:
                    raise self.error(int(row), column, "the cell is empty", "fill it in or remove the row")
                continue
            raise self.error(int(row), column, f"'{_shown(cell)}' is not a finite number", _number_cure(cell))
        low = np.flatnonzero(values < 0.0)
        if low.size:
            first = int(low[0])
            cure = "check the sensor's scaling and sign, then correct or remove the row"
            raise self.error(first, column, f"{values[first]:g} is below 0", cure)
        return values

    def integers(self, column: str) -> FloatArray:
        """A column of whole numbers without blanks; raises like `numbers`."""
        values = self.numbers(column, blank=False)
        odd = np.flatnonzero(np.isfinite(values) & ((values % 1 != 0) | (values > 2**52)))
        if odd.size:
            row = int(odd[0])
            raise self.error(row, column, f"{values[row]:g} is not a whole number", "correct the row")
        return values


def read_csv(file: Path, required: Sequence[str]) -> CsvTable:
    """Read a table with a header line.

    Args:
        file: the file; UTF-8, separator ``;``, one row a line, no quoting.
        required: columns that must be there.

    Raises:
        GalenicError: the file is missing, empty or not UTF-8, lacks or repeats a column, or a row's length differs.
    """
    lines = _text(file).replace("\r\n", "\n").replace("\r", "\n").split("\n")
    header = [name.strip() for name in lines[0].split(SEPARATOR)]
    if header == [""]:
        raise GalenicError("the file is empty", cure="export it again, with a header line", file=file, line=1)
    if len(header) == 1 and len(required) > 1:
        cure = "export with ';' between columns and '.' as decimal point"
        raise GalenicError(f"no '{SEPARATOR}' in the header line", cure=cure, file=file, line=1)
    repeated = sorted({name for name in header if header.count(name) > 1})
    if repeated:
        raise GalenicError(f"column '{repeated[0]}' stands twice", cure="remove or rename one", file=file, line=1)
    missing = [name for name in required if name not in header]
    if missing:
        listed = ", ".join(f"'{name}'" for name in missing)
        plural = f"columns {listed} are" if len(missing) > 1 else f"column {listed} is"
        raise GalenicError(f"{plural} missing", cure=nearest(missing[0], header), file=file, line=1)
    rows, numbers = [], []
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip():
            continue
        cells = [cell.strip() for cell in line.split(SEPARATOR)]
        if len(cells) != len(header):
            last = header[min(len(cells), len(header)) - 1]
            message = f"row {number} has {len(cells)} cells, the header {len(header)} (the last that fits: '{last}')"
            raise GalenicError(message, cure="complete or remove the row", file=file, line=number)
        rows.append(cells)
        numbers.append(number)
    if not rows:
        raise GalenicError("the file has a header and no rows", cure="export it again", file=file, line=1)
    return CsvTable(file, dict(zip(header, (list(column) for column in zip(*rows, strict=True)), strict=True)), numbers)


def _text(file: Path) -> str:
    try:
        raw = file.read_bytes()
    except OSError as error:
        beside = sorted(p.name for p in file.parent.glob("*.csv")) if file.parent.is_dir() else []
        have = f"; that folder has {', '.join(beside[:12])}" if beside else ""
        cure = f"check the path and the folder given with --data{have}"
        raise GalenicError(f"cannot be read: {error.strerror or error}", cure=cure, file=file) from error
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise GalenicError("this is not text in UTF-8", cure="save the file as UTF-8", file=file, line=line) from error


def _number(cell: str) -> float:
    try:
        # float() would read "1_000" and digits of other scripts
        return float(cell) if cell.isascii() and "_" not in cell else np.nan
    except ValueError:
        return np.nan


def _number_cure(cell: str) -> str:
    if "," in cell and _number(cell.replace(",", ".")) == _number(cell.replace(",", ".")):
        return "write the decimal point as '.'"
    return "write a number, or leave the cell empty where there is none"


def _shown(cell: str) -> str:
    short = cell if len(cell) <= 30 else cell[:27] + "..."
    return short.encode("unicode_escape").decode()


def shown_values(values: Iterable[object], limit: int = 12) -> str:
    """A list for a message, cut after ``limit`` entries."""
    listed = [str(v) for v in values]
    return ", ".join(listed[:limit]) + (", ..." if len(listed) > limit else "")
