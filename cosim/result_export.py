"""Results as files for other tools: CSV, Parquet, MAT. Runs of any length stream through; none is loaded whole."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cosim.parts import column_names, key_values, quoted
from cosim.result_query import Column, identifier, read
from fmus.errors import GalenicError

if TYPE_CHECKING:
    import duckdb

    from cosim.results import Results, Signals, Time

_MEMORY = "512MB"
_ROW_GROUP_BYTES = 32 * 2**20
_CHUNK_BYTES = 64 * 2**20
#: MATLAB's longest name.
_LONGEST = 63


def to_csv(results: Results, file: Path, signals: Signals | None = None, **rows: Time | None) -> Path:
    """Write signals as CSV. The header names each with its unit: ``time [s],press.tablet_weight [mg]``.

    Args:
        results: of a run.
        file: to write; replaced as a whole.
        signals: as in `Results.frame`.
        rows: ``start``, ``stop`` and ``every`` as in `Results.frame`.

    Raises:
        GalenicError: as `Results.frame`, or the file cannot be written.
    """
    columns, units = results.columns(signals)
    names = [f"{column.name} [{units[column.name]}]" for column in columns]
    return _copy(results, file, columns, names, "time [s]", "FORMAT csv, HEADER", rows)


def to_parquet(results: Results, file: Path, signals: Signals | None = None, **rows: Time | None) -> Path:
    """Write signals as one Parquet file, units as its key-value metadata. Arguments and errors as in `to_csv`."""
    columns, units = results.columns(signals)
    names = column_names(["time", *(column.name for column in columns)])[1:]
    return _copy(
        results, file, columns, names, "time",
        f"FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {_row_group(columns)}, {key_values(units)}", rows,
    )  # fmt: skip


def to_mat(results: Results, file: Path, signals: Signals | None = None, **rows: Time | None) -> Path:
    """Write signals as a MAT file (version 5 with compression, which MATLAB 7, Octave and SciPy read).

    ``time`` and each signal are columns; ``press.tablet_weight`` is called ``press_tablet_weight``. The structs
    ``units`` and ``names`` have the unit and the full name of each under the same name. Arguments and errors as in
    `to_csv`. A few columns at a time are in memory.
    """
    from scipy.io import savemat

    columns, units = results.columns(signals)
    names = matlab_names([column.name for column in columns], taken=("time", "units", "names"))
    own = dict(zip(names, columns, strict=True))
    beside = {
        "units": {"time": "s", **{name: units[column.name] for name, column in own.items()}},
        "names": {"time": "time", **{name: column.signal for name, column in own.items()}},
    }
    with _replacing(file) as temporary:
        savemat(
            str(temporary), _Variables(results, own, beside, rows),
            appendmat=False, long_field_names=True, do_compression=True, oned_as="column",
        )  # fmt: skip
    return file


def matlab_names(names: Sequence[str], taken: Sequence[str] = ()) -> list[str]:
    """A name for each that MATLAB takes, all different: letters, digits and underscores, a letter first, at most 63."""
    used = set(taken)
    legal = []
    for name in names:
        stem = re.sub(r"[^A-Za-z0-9_]", "_", name)
        stem = (stem if stem[:1].isalpha() else f"x{stem}")[:_LONGEST]
        candidate, number = stem, 1
        while candidate in used:
            number += 1
            candidate = f"{stem[: _LONGEST - len(str(number)) - 1]}_{number}"
        used.add(candidate)
        legal.append(candidate)
    return legal


class _Variables(Mapping[str, Any]):
    """What a MAT file gets, in the order in which it is written; a few variables at a time are in memory."""

    def __init__(
        self, results: Results, columns: Mapping[str, Column], beside: Mapping[str, Any], rows: Mapping[str, Any]
    ) -> None:
        self._results, self._columns, self._beside, self._rows = results, columns, beside, rows
        self._groups = results.groups_of(column.signal for column in columns.values())
        self._names = list(columns)
        self._read: dict[str, Any] = {}
        self._at_once = 1

    def __iter__(self) -> Iterator[str]:
        yield "time"
        yield from self._columns
        yield from self._beside

    def __len__(self) -> int:
        return 1 + len(self._columns) + len(self._beside)

    def __getitem__(self, name: str) -> Any:
        if name in self._beside:
            return self._beside[name]
        if name == "time":
            times = self._fetch([]).get("time", [])
            self._at_once = max(1, _CHUNK_BYTES // (16 * max(1, len(times))))
            return times
        if name not in self._read:
            begin = self._names.index(name)
            self._read = self._fetch(self._names[begin : begin + self._at_once])
        return self._read.get(name, [])

    def _fetch(self, names: Sequence[str]) -> dict[str, Any]:
        def fetch(connection: duckdb.DuckDBPyConnection, text: str) -> Any:
            return connection.execute(text).fetchnumpy()

        columns = [(self._columns[name], f"c{number}") for number, name in enumerate(names)]
        wanted = [Column(column.signal, key, column.factor, column.offset) for column, key in columns]
        data = self._results.ask(wanted, fetch, groups=self._groups, **self._rows) or {}
        return {name: data[key] for name, key in (("time", "time"), *zip(names, (k for _, k in columns), strict=True))
                if key in data}  # fmt: skip


def _copy(
    results: Results,
    file: Path,
    columns: Sequence[Column],
    names: Sequence[str],
    time: str,
    options: str,
    rows: Mapping[str, Any],
) -> Path:
    """Let DuckDB write the columns under new names."""
    numbered = [Column(c.signal, f"c{number}", c.factor, c.offset) for number, c in enumerate(columns)]
    new = map(identifier, column_names([time, *names]))
    renamed = ", ".join(f"{old} AS {n}" for old, n in zip(["time", *(c.name for c in numbered)], new, strict=True))
    with (
        _replacing(file) as temporary,
        tempfile.TemporaryDirectory(dir=file.parent, prefix=".galenic-") as folder,
    ):
        written = _joined(results, numbered, Path(folder), rows)

        def write(connection: duckdb.DuckDBPyConnection, text: str) -> bool:
            text = f"SELECT * FROM {read(written)}" if written else text
            _limit(connection)
            connection.execute(f"COPY (SELECT {renamed} FROM ({text})) TO {quoted(str(temporary))} ({options})")
            return True

        if results.ask(numbered, write, **rows) is None:
            raise GalenicError(f"nothing is recorded yet in {results.folder}", cure="try again later")
    return file


def _joined(results: Results, columns: Sequence[Column], folder: Path, rows: Mapping[str, Any]) -> list[Path]:
    """Signals of several groups joined span by span into files: a join of everything would have to be in memory.

    Returns:
        The files in order; none where one group has all the signals, or nothing is recorded.
    """
    step = float(results.metadata.get("step_size") or 0.0)
    groups = results.groups_of(column.signal for column in columns)
    if len(groups) == 1 or not step:
        return []

    def ends(connection: duckdb.DuckDBPyConnection, text: str) -> Any:
        return connection.execute(f"SELECT min(time), max(time) FROM ({text})").fetchone()

    span = results.ask([], ends, groups=groups, **rows)
    if span is None or span[0] is None:
        return []
    begin, last = float(span[0]), float(span[1])
    steps = max(1, _CHUNK_BYTES // (8 * (len(columns) + 1))) * min(group.every for group in groups)
    files: list[Path] = []
    while begin <= last + 0.5 * step:
        files.append(folder / f"{len(files):06d}.parquet")

        def write(connection: duckdb.DuckDBPyConnection, text: str, file: Path = files[-1]) -> bool:
            _limit(connection)
            connection.execute(
                f"COPY ({text}) TO {quoted(str(file))} (FORMAT parquet, ROW_GROUP_SIZE {_row_group(columns)})"
            )
            return True

        end = min(begin + (steps - 0.5) * step, last)
        results.ask(columns, write, groups=groups, start=begin, stop=end, every=rows.get("every"))
        begin += steps * step
    return files


def _row_group(columns: Sequence[Column]) -> int:
    return max(2048, _ROW_GROUP_BYTES // (8 * (len(columns) + 1)))


def _limit(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("SET threads = 1")  # each thread holds rows of its own until it is their turn
    connection.execute(f"SET memory_limit = '{_MEMORY}'")
    connection.execute(f"SET temp_directory = {quoted(tempfile.gettempdir())}")


@contextmanager
def _replacing(file: Path) -> Iterator[Path]:
    """A file beside ``file`` to write to, which takes its place at the end. Raises GalenicError where it cannot be."""
    temporary = file.with_name(f".{file.name}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.is_dir():
            raise _unwritable(file, "it is a folder")
        temporary.touch()
        try:
            yield temporary
            temporary.replace(file)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise _unwritable(file, error.strerror or str(error)) from error


def _unwritable(file: Path, reason: str) -> GalenicError:
    return GalenicError(f"'{file}' cannot be written: {reason}", cure="check the folder, or choose another")
