"""How raw-material lots of a plant vary: the statistics that a scenario's lots are drawn from.

`lot_statistics.csv` beside this file; `twin.lot_statistics` recomputes it from a plant's laboratory data.
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from fmus.errors import GalenicError, nearest

STATISTICS = Path(__file__).with_name("lot_statistics.csv")


@dataclass(frozen=True)
class LotSpread:
    """A property of a material over lots; None where it is not told.

    Attributes:
        unit: of mean, low and high.
        rsd: standard deviation relative to the mean.
        mean, low, high: mean and extremes over lots.
    """

    unit: str
    rsd: float
    mean: float | None
    low: float | None
    high: float | None

    def limits(self, mean: float) -> tuple[float, float]:
        """The extremes of lots about another mean, in that one's unit; infinite where they are not told."""
        if self.mean is None:
            return -math.inf, math.inf
        low = -math.inf if self.low is None else self.low / self.mean * mean
        return low, math.inf if self.high is None else self.high / self.mean * mean


@cache
def lot_spreads() -> dict[str, dict[str, LotSpread]]:
    """All statistics by material and property, such as ``smcc`` and ``bulk_density``."""
    found: dict[str, dict[str, LotSpread]] = {}
    with STATISTICS.open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            material, _, what = row["name"].lower().partition(" ")
            mean, low, high = (float(row[key]) if row[key] else None for key in ("mean", "min", "max"))
            spread = LotSpread(row["unit"], float(row["rsd_percent"]) / 100.0, mean, low, high)
            found.setdefault(material, {})[what.replace(" ", "_")] = spread
    return found


def lot_spread(material: str, what: str) -> LotSpread:
    """The statistics of one property of a material. Raises GalenicError with the nearest names."""
    known = lot_spreads()
    if material not in known:
        raise GalenicError(f"there are no lot statistics of '{material}'", cure=nearest(material, known))
    if what not in known[material]:
        raise GalenicError(
            f"there are no lot statistics of the {what.replace('_', ' ')} of {material}",
            cure=nearest(what, known[material]),
        )
    return known[material][what]
