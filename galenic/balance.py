"""Mass and API balance of a line, from its results."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from galenic.indicator import Kpi
from galenic.kpi_section import BalanceSection

if TYPE_CHECKING:
    import pandas as pd


def balance_errors(section: BalanceSection, frame: pd.DataFrame, step_size: float) -> list[Kpi]:
    """What of the mass and of the API is unaccounted for between the first and the last record.

    error = (supplied + held at first + on the links at first - produced - held at last - on the links at last) /
    max(produced, supplied). A link holds what its last communication step of ``step_size`` s handed over, because
    the receiving unit takes it in the next one.
    """
    if len(frame) < 2:
        return []
    first, last = frame.iloc[0], frame.iloc[-1]

    def amount(row: pd.Series[float], prefixes: Sequence[str], end: str) -> float:
        return math.fsum(float(row[f"{prefix}.{end}"]) for prefix in prefixes)

    def in_transit(row: pd.Series[float], api: bool) -> float:
        flows = (
            float(row[f"{p}.mass_flow"]) * (float(row[f"{p}.api_fraction"]) if api else 1.0) for p in section.links
        )
        return step_size * math.fsum(flows)

    kpis = []
    for name, label, end in (("mass", "mass", "mass"), ("api", "API", "api_mass")):
        supplied = amount(last, section.supplied, end) - amount(first, section.supplied, end)
        produced = amount(last, section.produced, end) - amount(first, section.produced, end)
        held = amount(last, section.held, end) - amount(first, section.held, end)
        moving = in_transit(last, name == "api") - in_transit(first, name == "api")
        scale = max(produced, supplied)
        error = abs(supplied - produced - held - moving) / scale if scale > 0.0 else math.nan
        definition = f"{label} unaccounted for between the first and the last record, relative to what was produced"
        kpis.append(Kpi(f"{name}_balance_error", f"{label} balance error", error, "1", definition))
    return kpis
