"""The panels of a run's figure, from the scenario."""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fmus.errors import GalenicError
from fmus.quantity import conversion
from galenic.kpi_section import KpiSection, band, kpi_section

if TYPE_CHECKING:
    from cosim.scenario import Scenario


@dataclass(frozen=True)
class Panel:
    """One panel: signals in one unit, with a band of limits and a target where the scenario states them."""

    title: str
    signals: tuple[str, ...]
    unit: str
    limits: tuple[float, float] | None = None
    target: float | None = None


def panels_of(scenario: Scenario, units: Mapping[str, str]) -> list[Panel]:
    """The panels of the scenario's ``plot`` section; without one, a panel for each quality attribute of ``kpis``.

    Args:
        scenario: the scenario.
        units: of the signals there are; a panel leaves out the others.

    Raises:
        GalenicError: a signal does not convert to its panel's unit, or ``kpis`` is not valid; with the line.
    """
    section = kpi_section(scenario)
    if not scenario.plot:
        return [
            _with_quality(Panel(name.replace("_", " "), (q.signal,), units[q.signal]), scenario, section, units)
            for name, q in section.quality.items()
            if q.signal in units
        ] or [Panel(name, (name,), units[name]) for name in list(units)[:4]]
    panels = []
    for position, panel in enumerate(scenario.plot):
        signals = tuple(dict.fromkeys(s for wanted in panel.signals for s in _matching(wanted, units)))
        if not signals:
            continue
        unit = panel.unit or units[signals[0]]
        for signal in signals:
            try:
                conversion(units[signal], unit)
            except GalenicError as error:
                path = ("plot", position, "unit" if panel.unit else "signals")
                raise scenario.error(path, f"'{signal}': {error.message}", error.cure) from error
        limits = None
        if panel.limits is not None:
            low, high = panel.limits
            limits = (-math.inf if low is None else low, math.inf if high is None else high)
        panels.append(_with_quality(Panel(panel.title, signals, unit, limits), scenario, section, units))
    return panels


def _matching(wanted: str, units: Mapping[str, str]) -> list[str]:
    """The signals of a name or a pattern; the brackets of an array's element stand for themselves."""
    if wanted in units or "*" not in wanted:
        return [wanted] if wanted in units else []
    return fnmatch.filter(units, wanted.replace("[", "[[]"))


def _with_quality(panel: Panel, scenario: Scenario, section: KpiSection, units: Mapping[str, str]) -> Panel:
    for name, quality in section.quality.items():
        if quality.signal not in panel.signals:
            continue
        own = units[quality.signal]
        factor, offset = conversion(own, panel.unit)
        path, target = ("quality", name), None
        if quality.target is not None:
            target = scenario.quantity(("kpis", *path, "target"), quality.target, own)
        limits = band(scenario, (*path, "limits"), quality.limits, target, own)
        shown = panel.limits
        if shown is None and limits is not None:
            shown = (factor * limits[0] + offset, factor * limits[1] + offset)
        return Panel(
            panel.title, panel.signals, panel.unit, shown, None if target is None else factor * target + offset
        )
    return panel
