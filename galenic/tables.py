"""Tables that the commands print."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from galenic.indicator import Kpi, format_value

_MOST_COMPONENTS = 8


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


def time_table(metadata: Mapping[str, Any]) -> Table | None:
    """Where the time of a run went, the largest share first; None where the run does not say.

    Args:
        metadata: of the run; ``cpu_time`` in s by component, ``wall_time`` in s, ``real_time`` of a paced run.
    """
    spent: dict[str, float] = metadata.get("cpu_time") or {}
    wall = float(metadata.get("wall_time") or 0.0)
    if not wall or not any(spent.values()):
        return None
    slept = float((metadata.get("real_time") or {}).get("slept", 0.0))
    ordered = sorted(spent.items(), key=lambda item: -item[1])
    rows = [*ordered[:_MOST_COMPONENTS]]
    if others := ordered[_MOST_COMPONENTS:]:
        rows.append((f"{len(others)} other components", sum(seconds for _, seconds in others)))
    # FMUs that run in threads may take more time together than the clock shows
    rows.append(("loading, controllers, recording", max(0.0, wall - slept - sum(spent.values()))))
    if slept:
        rows.append(("waiting for the clock", slept))
    table = Table(title=f"Time of the run: {number(wall)} s", title_justify="left", title_style="bold")
    table.add_column("component")
    table.add_column("time", justify="right")
    table.add_column("share", justify="right")
    for name, seconds in rows:
        table.add_row(Text(name), f"{number(seconds, 3)} s", f"{100 * seconds / wall:.1f} %")
    return table


def pacing_text(metadata: Mapping[str, Any]) -> str:
    """How well a paced run kept step with the clock; empty for others."""
    pacing = metadata.get("real_time")
    if not pacing:
        return ""
    text = f"Real time: {pacing['factor']:g}x, {pacing['overruns']} of {pacing['deadlines']} deadlines missed"
    return text + (f", at worst by {1e3 * pacing['worst_lateness']:.3g} ms" if pacing["overruns"] else "")


def number(value: float, digits: int = 4) -> str:
    """A number for a table cell; ``-`` where there is none."""
    if not math.isfinite(value):
        return "-"
    if abs(value) >= 1e4:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.0f}" if abs(value) >= 10**digits else f"{value:.{digits}g}"
