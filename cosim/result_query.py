"""The question to DuckDB that reads signals from the files of a run, one group or several, thinned and converted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from cosim.parts import column_names

_NAN = "'nan'::DOUBLE"


@dataclass(frozen=True)
class Group:
    """Signals that were recorded together.

    Args:
        number: place among the groups of the run.
        signals: in the order of the file's columns.
        every: communication steps from row to row.
    """

    number: int
    signals: tuple[str, ...]
    every: int

    @cached_property
    def columns(self) -> dict[str, str]:
        """The name of each signal's column in the files."""
        return dict(zip(self.signals, column_names(("time", *self.signals))[1:], strict=True))


@dataclass(frozen=True)
class Rows:
    """Which rows: times from ``start`` to ``stop`` in s, at whole multiples of ``every`` steps of ``step_size`` s."""

    start: float | None = None
    stop: float | None = None
    every: int = 1
    step_size: float = 0.0

    def condition(self, time: str) -> str:
        """As SQL, for the column ``time``; a step's time may be off by its rounding."""
        slack = 1e-6 * self.step_size
        terms = []
        if self.start is not None:
            terms.append(f"{time} >= {self.start - slack!r}")
        if self.stop is not None:
            terms.append(f"{time} <= {self.stop + slack!r}")
        if self.every > 1:
            terms.append(f"CAST(round({time} / {self.step_size!r}) AS BIGINT) % {self.every} = 0")
        return " AND ".join(terms) or "true"


@dataclass(frozen=True)
class Column:
    """One signal of the answer: ``factor * value + offset``, under a name of the answer's."""

    signal: str
    name: str
    factor: float = 1.0
    offset: float = 0.0

    def select(self, source: str) -> str:
        """As SQL."""
        text = source
        if self.factor != 1.0:
            text = f"{self.factor!r} * {text}"
        if self.offset != 0.0:
            text = f"{text} + {self.offset!r}"
        return f"{text} AS {identifier(self.name)}"


def query(groups: Sequence[Group], files: Mapping[int, Sequence[Path]], columns: Sequence[Column], rows: Rows) -> str:
    """SQL that gives ``time`` and the columns in the order of time.

    One group is read as it stands, without a sort, so that any length streams through. Several groups have the times of
    all of them; a signal that has no row at a time keeps the value of its last one until its next was due, then it is
    NaN: in a run that goes on or was broken off, groups do not end at the same time.

    Args:
        groups: those whose times the answer has, at least one; among them those of the columns.
        files: of each group, by its number.
        columns: what to read.
        rows: which rows.
    """
    if len(groups) == 1:
        (group,) = groups
        values = [column.select(identifier(group.columns[column.signal])) for column in columns]
        # the files are in the order of time, and so is each
        selected = ", ".join(["time", *values])
        return f"SELECT {selected} FROM {read(files[group.number])} WHERE {rows.condition('time')}"
    present = [group for group in groups if files[group.number]]
    home = {signal: group for group in groups for signal in group.signals}
    values = []
    for column in columns:
        group = home[column.signal]
        values.append(column.select(_held(group, column.signal, rows.step_size) if group in present else _NAN))
    times = " UNION ".join(f"SELECT time FROM {_span(group, files, rows)}" for group in present)
    needed = {home[column.signal].number for column in columns}
    joins = " ".join(
        f"ASOF LEFT JOIN {_span(group, files, rows)} AS g{group.number} ON times.time >= g{group.number}.time"
        for group in present
        if group.number in needed
    )
    selected = ", ".join(["times.time AS time", *values])
    return f"SELECT {selected} FROM ({times}) AS times {joins} WHERE {rows.condition('times.time')} ORDER BY times.time"


def _span(group: Group, files: Mapping[int, Sequence[Path]], rows: Rows) -> str:
    """The rows of a group that a span of time needs: its own, and the one before whose values it begins with."""
    needed = replace(rows, every=1)
    if rows.start is not None:
        needed = replace(needed, start=rows.start - group.every * rows.step_size if rows.step_size else None)
    return f"(SELECT * FROM {read(files[group.number])} WHERE {needed.condition('time')})"


def _held(group: Group, signal: str, step_size: float) -> str:
    source = f"g{group.number}"
    value = f"{source}.{identifier(group.columns[signal])}"
    limit = (group.every - 1e-6) * step_size if step_size else "'inf'::DOUBLE"
    return f"CASE WHEN times.time - {source}.time < {limit} THEN {value} ELSE {_NAN} END"


def identifier(name: str) -> str:
    """A name as SQL has it."""
    return '"' + name.replace('"', '""') + '"'


def read(files: Sequence[Path]) -> str:
    """Parquet files, one after the other, as a table of SQL."""
    return f"read_parquet([{', '.join(_literal(file) for file in files)}])"


def _literal(file: Path) -> str:
    """A path in which DuckDB sees no wildcards."""
    text = "".join(f"[{c}]" if c in "*?[" else c for c in str(file))
    return "'" + text.replace("'", "''") + "'"
