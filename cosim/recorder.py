"""Writes signals to disk while a run goes on, so that memory stays flat and a crash keeps what was computed.

A run's folder holds ``metadata.json`` and sealed parts ``part-00000.parquet``, ... Each part is written under a
temporary name, flushed to the disk and renamed: a part that has its name is complete. The metadata are written the
same way, first with ``complete: false``, and again at the end.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cosim.component import FloatArray
from cosim.interrupts import deferred_interrupt
from fmus.errors import GalenicError

FORMAT = "galenic-results/1"
METADATA = "metadata.json"
PART = "part-{:05d}.parquet"
ROWS_PER_PART = 4096


class Recorder:
    """Records rows of signals as sealed Parquet parts.

    Args:
        folder: where to; earlier results in it are replaced.
        units: the recorded signals in column order, with their units.
        metadata: what else to keep about the run.
        rows_per_part: rows held in memory before they are sealed.

    Raises:
        GalenicError: the folder cannot be written, or holds something other than results.
    """

    def __init__(
        self, folder: Path, units: Mapping[str, str], metadata: Mapping[str, Any], rows_per_part: int = ROWS_PER_PART
    ) -> None:
        self.folder = folder
        self.units = dict(units)
        self.metadata = {"format": FORMAT, "complete": False, "rows": 0, "units": self.units, **metadata}
        self._block = np.zeros((rows_per_part, len(units) + 1))
        self._row = 0
        self._part = 0
        _clear(folder)
        write_metadata(folder, self.metadata)

    def record(self, time: float, values: FloatArray) -> None:
        """Keep one row: ``time`` in s, ``values`` of shape (len(units),)."""
        row = self._block[self._row]
        row[0] = time
        row[1:] = values
        self._row += 1
        if self._row == len(self._block):
            self.seal()

    def seal(self) -> None:
        """Write the rows in memory as a part; a Ctrl-C takes effect when it is whole."""
        if self._row == 0 and self._part > 0:
            return
        with deferred_interrupt():
            rows = self._row
            write_part(self.folder / PART.format(self._part), ["time", *self.units], self._block[:rows], self.units)
            self.metadata["rows"] += rows
            self._row = 0
            self._part += 1

    def close(self, complete: bool, **metadata: Any) -> None:
        """Seal the last part and say in the metadata whether the run reached its end."""
        with deferred_interrupt():
            self.seal()
            self.metadata |= {"complete": complete, **metadata}
            write_metadata(self.folder, self.metadata)


def write_part(file: Path, names: Sequence[str], rows: FloatArray, units: Mapping[str, str]) -> None:
    """Write one Parquet file, with the units as its key-value metadata.

    Args:
        file: its final name.
        names: column names.
        rows: values, shape (number of rows, len(names)).
        units: unit of each column but the first, which is time in s.
    """
    import duckdb

    columns = dict(zip(names, np.ascontiguousarray(rows.T), strict=True))
    temporary = file.with_name(file.name + ".tmp")
    keys = {"galenic.format": FORMAT, "galenic.units": json.dumps({"time": "s", **units})}
    metadata = ", ".join(f"{_quoted(key)}: {_quoted(value)}" for key, value in keys.items())
    with duckdb.connect() as connection:
        # a run uses one core; others may be busy with the next one
        connection.execute("SET threads = 1")
        connection.register("rows", columns)
        connection.execute(
            f"COPY (SELECT * FROM rows) TO {_quoted(str(temporary))} "
            f"(FORMAT parquet, COMPRESSION zstd, KV_METADATA {{{metadata}}})"
        )
    _publish(temporary, file)


def write_metadata(folder: Path, metadata: Mapping[str, Any]) -> None:
    """Replace the folder's metadata in one step."""
    temporary = folder / (METADATA + ".tmp")
    temporary.write_text(json.dumps(metadata, indent=1, ensure_ascii=False, default=str), encoding="utf-8")
    _publish(temporary, folder / METADATA)


def _publish(temporary: Path, file: Path) -> None:
    """Bring a finished file to the disk, then give it its name."""
    with temporary.open("r+b") as stream:
        os.fsync(stream.fileno())
    os.replace(temporary, file)
    if os.name == "posix":
        # the name itself is safe only when its folder is on the disk; Windows has no such call and needs none
        descriptor = os.open(file.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _clear(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        strangers = [f.name for f in folder.iterdir() if f.name != METADATA]
        if strangers and not (folder / METADATA).exists():
            raise GalenicError(
                f"{folder} holds files that are no results ({strangers[0]}, ...)",
                cure="choose a new folder, or the folder of an earlier run",
            )
        for file in (*folder.glob("part-*.parquet"), *folder.glob("*.tmp")):
            file.unlink()
    except OSError as error:
        raise GalenicError(
            f"results cannot be written to {folder}: {error.strerror or error}", cure="choose another folder"
        ) from error


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
