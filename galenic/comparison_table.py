"""A comparison for people and for other programs: the cells of its table, and the files that keep it."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from galenic.comparison import Difference, Row, Trial, Variant
from galenic.session import write_json, write_text
from galenic.tables import number

#: Rounding, as a share of the mean; and a percentage that nobody could count.
_NOTHING, _NO_SHARE = 1e-12, 1e-9


def headline(rows: Sequence[Row]) -> list[Row]:
    """The rows worth a table: one unit for each indicator, and nothing that only describes the computation."""
    chosen: dict[str, Row] = {}
    for row in rows:
        if row.name.endswith(("_offset", "_balance_error")) or row.name == "real_time_factor":
            continue
        chosen.setdefault(row.label, row)
    return list(chosen.values())


def write(folder: Path, variants: Sequence[Variant], trials: Sequence[Trial], rows: Sequence[Row]) -> None:
    """Write ``compare.json`` (all), ``compare.csv`` (a line a seed, variant and KPI) and ``compare.md`` (the table)."""
    content = {
        "variants": [asdict(v) for v in variants],
        "seeds": [t.seed for t in trials],
        "kpis": [_finite(asdict(row)) for row in rows],
        "trials": [
            {"seed": t.seed, "sides": [{k.name: _finite(k.value) for k in side} for side in t.sides]} for t in trials
        ],
    }
    write_json(folder / "compare.json", content)
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["seed", "variant", "kpi", "value", "unit"])
    for trial in trials:
        for variant, kpis in zip(variants, trial.sides, strict=True):
            table.writerows([trial.seed, variant.label, k.name, k.value, k.unit] for k in kpis)
    write_text(folder / "compare.csv", text.getvalue())
    lines = [cells(row) for row in headline(rows)]
    head = heads(variants)
    marks = [":--", *["--:"] * (len(head) - 1)]
    markdown = "".join(f"| {' | '.join(line)} |\n" for line in (head, marks, *lines))
    write_text(folder / "compare.md", markdown)


def heads(variants: Sequence[Variant]) -> list[str]:
    """The heads of the table's columns."""
    last = variants[-1].label
    return [
        "KPI",
        *(v.label for v in variants),
        *(text for v in variants[:-1] for text in (f"{last} less {v.label} (95 % CI)", "won")),
    ]


def cells(row: Row) -> list[str]:
    """A row of the table; what is nothing beside its mean, or to a percentage, is 0."""
    nothing = _nothing(row)

    def won(d: Difference) -> str:
        if d.won is None or not d.pairs:
            return ""
        if max(abs(d.mean), abs(d.low), abs(d.high)) < nothing:
            return f"0 of {d.pairs}, {d.pairs} equal"
        return f"{d.won} of {d.pairs}" + (f", {d.tied} equal" if d.tied else "")

    means = [
        f"{_shown(m, nothing)} +- {_shown(s, nothing, 2 if s < 100.0 else 4)}" if math.isfinite(m) else "-"
        for m, s in zip(row.means, row.spreads, strict=True)
    ]
    return [
        row.label if row.unit == "1" else f"{row.label} [{row.unit}]",
        *means,
        *(text for d in row.differences for text in (told(row, d), won(d))),
    ]


def told(row: Row, difference: Difference) -> str:
    """A difference with its confidence interval."""
    d = difference
    if not d.pairs:
        return "-"
    nothing, digits = _nothing(row), 3 if abs(d.mean) < 1000.0 else 4
    low, high = (_shown(v, nothing, digits) for v in (d.low, d.high))
    return f"{_shown(d.mean, nothing, digits)} ({low} to {high})"


def _nothing(row: Row) -> float:
    largest = max((abs(m) for m in row.means if math.isfinite(m)), default=0.0)
    return max(_NOTHING * largest, _NO_SHARE if row.unit == "%" else 0.0)


def _shown(value: float, nothing: float, digits: int = 4) -> str:
    return number(0.0 if abs(value) < nothing else value, digits)


def _finite(value: Any) -> Any:
    """JSON knows no NaN."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
