"""What a run recorded, in a few numbers a signal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cosim.result_query import Column

if TYPE_CHECKING:
    import duckdb

    from cosim.results import Results, Signals, Time


@dataclass(frozen=True)
class Range:
    """The rows of a signal, its least and greatest value and the last; in the unit asked for, NaN without rows."""

    rows: int
    least: float
    greatest: float
    last: float


def ranges(results: Results, signals: Signals | None = None, **rows: Time | None) -> dict[str, Range]:
    """The range of each signal, in the order asked for; a run of any length is not loaded for it.

    Args:
        results: of a run.
        signals: as in `Results.frame`.
        rows: ``start``, ``stop`` and ``every`` as in `Results.frame`.

    Raises:
        GalenicError: as `Results.frame`.
    """
    columns, _ = results.columns(signals)
    found: dict[str, Range] = {}
    for group in results.groups_of(column.signal for column in columns):
        own = [column for column in columns if column.signal in group.columns]
        found |= dict(zip((column.name for column in own), _ranges(results, own, rows), strict=True))
    return {column.name: found[column.name] for column in columns}


def _ranges(results: Results, columns: list[Column], rows: dict[str, Any]) -> list[Range]:
    numbered = [Column(c.signal, f"c{number}", c.factor, c.offset) for number, c in enumerate(columns)]
    terms = ", ".join(f"min({c.name}), max({c.name}), arg_max({c.name}, time)" for c in numbered)

    def fetch(connection: duckdb.DuckDBPyConnection, text: str) -> Any:
        return connection.execute(f"SELECT count(*), {terms} FROM ({text})").fetchone()

    count, *values = results.ask(numbered, fetch, **rows) or (0, *[None] * (3 * len(columns)))
    numbers = [float("nan") if value is None else float(value) for value in values]
    return [Range(count, *numbers[3 * n : 3 * n + 3]) for n in range(len(columns))]
