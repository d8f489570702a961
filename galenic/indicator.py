"""One number of a run's report."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Kpi:
    """One number of the report.

    Args:
        name: identifier, stable between versions.
        label: for tables and figures.
        value: in ``unit``; NaN where the run gives none (nothing was made, say).
        unit: as text.
        definition: one sentence.
        better: which direction is better, None where neither is.
    """

    name: str
    label: str
    value: float
    unit: str
    definition: str
    better: Literal["lower", "higher"] | None = "lower"

    def to_json(self) -> dict[str, Any]:
        """As a mapping for JSON, in which a value that is not finite is null."""
        return asdict(self) | {"value": self.value if math.isfinite(self.value) else None}


def format_value(value: float, unit: str) -> str:
    """A number with its unit for people: four digits, counts in full, ``-`` where there is none."""
    if not math.isfinite(value):
        return "-"
    if unit == "tablets":
        return f"{value:,.0f} tablets".replace(",", " ")
    if abs(value) < 100:
        number = f"{value:.3g}"
    else:
        number = f"{value:.5g}" if abs(value) < 1e5 else f"{value:,.0f}".replace(",", " ")
    return number if unit == "1" else f"{number} {unit}"
