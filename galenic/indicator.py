"""One number of a run's report."""

from __future__ import annotations

import math
from collections.abc import Sequence
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
    if unit == "%" and 0.0 < abs(value) < 1e-3:
        return "< 0.001 %"
    if abs(value) < 100:
        number = f"{value:.3g}" if abs(value) < 10 else f"{value:.4g}"
    else:
        number = f"{value:.5g}" if abs(value) < 1e5 else f"{value:,.0f}".replace(",", " ")
    return number if unit == "1" else f"{number} {unit}"


_OF_AN_ATTRIBUTE = ("_rsd", "_mean", "_rmse", "_out_of_limits")
_OF_THE_RUN = (
    "out_of_limits",
    "waste_share",
    "design_space_outside",
    "solver_median",
    "solver_p99",
    "solver_failures",
    "mass_balance_error",
    "api_balance_error",
)


def digest(kpis: Sequence[Kpi]) -> str:
    """The indicators that belong under a figure: a line for each quality attribute, then the run's, wrapped."""
    by_name = {kpi.name: kpi for kpi in kpis}
    attributes = [k.name.removesuffix("_rsd") for k in kpis if k.name.endswith("_rsd")]
    width = max((len(name) for name in attributes), default=0)
    lines = []
    for name in attributes:
        cells = [by_name[name + end] for end in _OF_AN_ATTRIBUTE if name + end in by_name]
        text = name.replace("_", " ")
        shown = (f"{k.label.removeprefix(text).strip()} {format_value(k.value, k.unit)}" for k in cells)
        lines.append(f"{text:{width}}  " + "".join(f"{cell:28}" for cell in shown).rstrip())
    row = ""
    final = [k.name for k in kpis if k.name.startswith(("final_", "expression_"))]
    for kpi in (by_name[name] for name in (*final, *_OF_THE_RUN) if name in by_name):
        cell = f"{kpi.label} {format_value(kpi.value, kpi.unit)}"
        if row and len(row) + len(cell) > 115:
            lines.append(row)
            row = ""
        row += ("   " if row else "") + cell
    return "\n".join([*lines, row] if row else lines)
