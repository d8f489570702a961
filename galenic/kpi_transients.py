"""KPIs of transients: how long a signal takes to come back, and what the start-up costs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from galenic.indicator import Kpi
from galenic.kpi_section import KpiSection, band, seconds

if TYPE_CHECKING:
    import pandas as pd

    from cosim.scenario import Scenario

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


def settling_kpis(
    scenario: Scenario, section: KpiSection, frame: pd.DataFrame, units: Mapping[str, str], made: FloatArray | None
) -> list[Kpi]:
    """The settling times in min, and the tablets made outside the bands meanwhile.

    Args:
        scenario: for quantities and the places of errors.
        section: its ``settling``.
        frame: signals over time, indexed by time in s.
        units: of the signals.
        made: tablets in each record, or None.

    Raises:
        GalenicError: a quantity is not valid; with the line.
    """
    kpis = []
    time = frame.index.to_numpy(dtype=float)
    for name, settling in section.settling.items():
        if settling.signal not in frame:
            continue
        path, unit = ("settling", name), units[settling.signal]
        target = None
        if settling.target is not None:
            target = scenario.quantity(("kpis", *path, "target"), settling.target, unit)
        limits = band(scenario, (*path, "within"), settling.within, target, unit)
        assert limits is not None
        after = seconds(scenario, (*path, "after"), settling.after)
        until = math.inf if settling.until is None else seconds(scenario, (*path, "until"), settling.until)
        values = frame[settling.signal].to_numpy(dtype=float)
        inside = (values >= limits[0]) & (values <= limits[1])
        taken, text = settling_time(time, inside, after, until), name.replace("_", " ")
        low, high = (f"{v:g}" for v in limits)
        kpis.append(
            Kpi(
                f"settling_{name}",
                text,
                taken / 60.0,
                "min",
                f"time from {settling.after} until {settling.signal} is within {low} to {high} {unit} to stay; "
                "the whole time where it never is",
            )
        )
        if made is not None:
            lost = float(made[(time > after) & (time <= until) & ~inside].sum())
            definition = f"made after {settling.after} while {settling.signal} was outside {low} to {high} {unit}"
            kpis.append(Kpi(f"settling_{name}_tablets", f"{text}, outside", lost, "tablets", definition))
    return kpis


def settling_time(time: FloatArray, inside: BoolArray, after: float, until: float) -> float:
    """Time from ``after`` to the last record outside, in s; NaN where nothing was recorded in between."""
    watched = (time >= after) & (time <= until)
    if not watched.any():
        return math.nan
    outside = time[watched & ~inside]
    return float(outside[-1]) - after if len(outside) else 0.0


@dataclass(frozen=True)
class StartUp:
    """The last record of the start-up, its time in s, and whether it ended in the run."""

    record: int
    time: float
    ended: bool


def end_of_start_up(time: FloatArray, rejected: BoolArray, hold: float) -> StartUp:
    """Where nothing has been rejected for ``hold`` (s) at a stretch; the end of the run where that never is."""
    good_since = math.nan
    for record, (now, bad) in enumerate(zip(time, rejected, strict=True)):
        if bad:
            good_since = math.nan
        elif math.isnan(good_since):
            good_since = now
        if not bad and now - good_since >= hold:
            return StartUp(record, float(now), ended=True)
    return StartUp(len(time) - 1, float(time[-1]) if len(time) else math.nan, ended=False)


def start_up_kpis(
    over: StartUp, made: FloatArray | None, grown: FloatArray | None, watched: Sequence[str], hold: float
) -> list[Kpi]:
    """Time, tablets and mass of the start-up.

    Args:
        over: where it ends.
        made: tablets in each record, or None.
        grown: mass in each record in kg, or None.
        watched: the attributes that have to hold.
        hold: in s.
    """
    definition = (
        f"from the start until {' and '.join(watched)} stayed inside the rejection limits for {hold / 60.0:g} min"
        + ("" if over.ended else "; the whole run, which did not get there")
    )
    kpis = [Kpi("start_up_time", "start-up", over.time / 60.0, "min", definition)]
    if made is not None:
        kpis.append(
            Kpi("start_up_tablets", "start-up waste", float(made[: over.record + 1].sum()), "tablets", definition)
        )
    if grown is not None:
        kpis.append(Kpi("start_up_mass", "start-up waste", float(grown[: over.record + 1].sum()), "kg", definition))
    return kpis
