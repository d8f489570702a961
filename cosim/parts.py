"""The files of a run's results: their names, and how they come to the disk whole or not at all.

A run's folder holds ``metadata.json`` and, for each recording group, sealed parts in order: ``part-00000.parquet``, ...
for the first group, ``group1-part-00000.parquet``, ... for the next. While a run goes on, the rows that are not sealed
yet stand in a tail, ``tail-00003.parquet`` after three parts; it is replaced now and then, and is void once the part of
its number is there. Each file is written under a temporary name, flushed to the disk and renamed: a file that has its
name is complete.
"""

from __future__ import annotations

import json
import os
import re
import time as clock
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cosim.component import FloatArray
from fmus.errors import GalenicError

if TYPE_CHECKING:
    import duckdb

FORMAT = "galenic-results/1"
#: Folder, in that of a run, of what components record themselves.
RECORDS = "control"
METADATA = "metadata.json"
_OWN = re.compile(r"(group\d+-)?(part|tail)-\d{5,}\.parquet|.*\.tmp")
#: Windows refuses to replace a file that another process reads at that moment.
_ATTEMPTS, _PAUSE = 20, 0.05


def part_file(folder: Path, group: int, number: int, kind: str = "part") -> Path:
    """Where part ``number`` of a group stands; ``kind`` is ``part`` or ``tail``."""
    return folder / f"{_prefix(group)}{kind}-{number:05d}.parquet"


def sealed_parts(folder: Path, group: int) -> list[Path]:
    """The sealed parts of a group in order."""
    return sorted(folder.glob(f"{_prefix(group)}part-[0-9]*.parquet"), key=lambda file: (len(file.name), file.name))


def readable_files(folder: Path, group: int) -> list[Path]:
    """The sealed parts of a group in order, and what came after them in a run that goes on."""
    parts = sealed_parts(folder, group)
    tail = part_file(folder, group, len(parts), "tail")
    return [*parts, tail] if tail.exists() else parts


def _prefix(group: int) -> str:
    return f"group{group}-" if group else ""


def clear(folder: Path) -> None:
    """Make a folder ready for results; earlier results in it are removed.

    Raises:
        GalenicError: the folder cannot be written, or holds something other than results.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        names = [file.name for file in folder.iterdir() if file.name != METADATA]
        if names and not (folder / METADATA).exists():
            raise GalenicError(
                f"{folder} holds files that are no results ({names[0]}, ...)",
                cure="choose a new folder, or the folder of an earlier run",
            )
        for name in filter(_OWN.fullmatch, names):
            (folder / name).unlink()
        for file in (folder / RECORDS).glob("*.json*"):
            file.unlink()
    except OSError as error:
        raise _unwritable(folder, error.strerror or str(error)) from error


def column_names(names: Sequence[str]) -> list[str]:
    """The names of a file's columns: what would differ from an earlier one by case alone gets a number.

    DuckDB, which reads and writes the files, does not tell ``a.T`` from ``a.t``.
    """
    taken: set[str] = set()
    unique = []
    for name in names:
        candidate, number = name, 1
        while candidate.lower() in taken:
            number += 1
            candidate = f"{name} ({number})"
        taken.add(candidate.lower())
        unique.append(candidate)
    return unique


def connect() -> duckdb.DuckDBPyConnection:
    """A connection that writes parts. Opening one takes as long as writing half a million values."""
    import duckdb

    # a run uses one core; others may be busy with the next one
    return duckdb.connect(config={"threads": 1})


def write_part(
    connection: duckdb.DuckDBPyConnection,
    file: Path,
    names: Sequence[str],
    rows: FloatArray,
    units: Mapping[str, str],
) -> None:
    """Write one Parquet file, with the units as its key-value metadata.

    Args:
        connection: see `connect`.
        file: its final name.
        names: column names.
        rows: values, shape (number of rows, len(names)).
        units: unit of each column but the first, which is time in s.

    Raises:
        GalenicError: it cannot be written, because the disk is full for example.
        PermissionError: another process holds the file of that name.
    """
    import duckdb

    columns = dict(zip(column_names(names), np.ascontiguousarray(rows.T), strict=True))
    temporary = file.with_name(file.name + ".tmp")
    connection.register("rows", columns)
    try:
        connection.execute(
            f"COPY (SELECT * FROM rows) TO {quoted(str(temporary))} "
            f"(FORMAT parquet, COMPRESSION zstd, {key_values(units)})"
        )
    except duckdb.IOException as error:
        raise _unwritable(file.parent, str(error).splitlines()[0]) from error
    finally:
        connection.unregister("rows")
    try:
        publish(temporary, file)
    except PermissionError:
        raise
    except OSError as error:
        raise _unwritable(file.parent, error.strerror or str(error)) from error


def key_values(units: Mapping[str, str]) -> str:
    """DuckDB's option that writes the units of the columns into a Parquet file."""
    keys = {"galenic.format": FORMAT, "galenic.units": json.dumps({"time": "s", **units})}
    return "KV_METADATA {" + ", ".join(f"{quoted(key)}: {quoted(value)}" for key, value in keys.items()) + "}"


def write_metadata(folder: Path, metadata: Mapping[str, Any]) -> None:
    """Replace the folder's metadata in one step."""
    temporary = folder / (METADATA + ".tmp")
    try:
        temporary.write_text(json.dumps(metadata, indent=1, ensure_ascii=False, default=str), encoding="utf-8")
        publish(temporary, folder / METADATA)
    except OSError as error:
        raise _unwritable(folder, error.strerror or str(error)) from error


def publish(temporary: Path, file: Path) -> None:
    """Bring a finished file to the disk, then give it its name."""
    with temporary.open("r+b") as stream:
        os.fsync(stream.fileno())
    for attempt in range(_ATTEMPTS):
        try:
            os.replace(temporary, file)
            break
        except PermissionError:
            if attempt == _ATTEMPTS - 1:
                raise
            clock.sleep(_PAUSE)
    if os.name == "posix":
        # the name itself is safe only when its folder is on the disk; Windows has no such call and needs none
        descriptor = os.open(file.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def quoted(text: str) -> str:
    """A text as SQL has it."""
    return "'" + text.replace("'", "''") + "'"


def _unwritable(folder: Path, reason: str) -> GalenicError:
    return GalenicError(f"results cannot be written to {folder}: {reason}", cure="choose another folder, or make room")
