"""Tables that the commands print."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from galenic.indicator import Kpi, format_value


def kpi_table(kpis: Sequence[Kpi], title: str) -> Table:
    """Indicators with their values; those that share a label share a row."""
    table = Table(title=Text(title), title_justify="left", title_style="bold")
    table.add_column("KPI")
    table.add_column("value", justify="right")
    rows: dict[str, list[str]] = {}
    for kpi in kpis:
        rows.setdefault(kpi.label, []).append(format_value(kpi.value, kpi.unit))
    for label, values in rows.items():
        table.add_row(Text(label), ", ".join(v for v in values if v != "-") or "-")
    return table


def number(value: float, digits: int = 4) -> str:
    """A number for a table cell; ``-`` where there is none."""
    if not math.isfinite(value):
        return "-"
    return f"{value:,.0f}".replace(",", " ") if abs(value) >= 1e4 else f"{value:.{digits}g}"
