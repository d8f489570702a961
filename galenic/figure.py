"""The figure of a run: what a control engineer would put in a report.

Stacked panels share the time axis. Each shows its signals as lines, what sensors measured of them as points behind,
setpoints as steps, and target and limits of a quality attribute. A narrow panel on top says what happened when:
refills, lot changes, steps. Colours are Okabe and Ito's, which colour-blind readers can tell apart; line styles repeat
the distinction for a print in grey.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np

from fmus.quantity import conversion
from galenic.events import Event, events_of
from galenic.indicator import Kpi, digest
from galenic.panels import Panel, panels_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from cosim.results import Results
    from cosim.scenario import Scenario

#: Okabe & Ito, in an order whose luminance alternates.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
STYLES = ("-", "--", "-.", (0, (1, 1.2)))
_GREY = "#666666"
_MOST_POINTS = 4000
_FEW_EVENTS = 8
_FEW_POINTS = 200
#: Limits are in view when the data come this far on the way from the target to a limit.
_NEAR_LIMIT = 0.4


@dataclass(frozen=True)
class Curve:
    """One run in a figure."""

    label: str
    results: Results


def draw(
    scenario: Scenario,
    curves: Sequence[Curve],
    file: Path,
    *,
    title: str,
    kpis: Sequence[Kpi] = (),
) -> Path:
    """Draw runs of one scenario over each other and write a PNG.

    Args:
        scenario: gives panels, targets and limits.
        curves: one run, or several to compare.
        file: the PNG to write.
        title: of the figure.
        kpis: shown below the panels; of one run.

    Returns:
        ``file``.
    """
    units: dict[str, str] = {}
    for curve in reversed(curves):
        units.update(curve.results.units)
    panels = panels_of(scenario, units)
    events = events_of(scenario, curves[0].results)
    lanes = list(dict.fromkeys(e.kind for e in events))
    heights = ([0.28 + 0.17 * len(lanes)] if lanes else []) + [1.75] * len(panels)
    footnote = digest(kpis)
    figure, axes = plt.subplots(
        len(heights), 1, sharex=True, squeeze=False, figsize=(10.0, sum(heights) + 1.3 + 0.17 * footnote.count("\n")),
        height_ratios=heights, layout="constrained",
    )  # fmt: skip
    try:
        column = list(axes[:, 0])
        scale, unit = time_unit(max(_end(c) for c in curves))
        if lanes:
            _draw_events(column[0], events, lanes, scale)
        for axis, panel in zip(column[1 if lanes else 0 :], panels, strict=True):
            _draw_panel(axis, panel, scenario, curves, units, scale)
            for event in events:
                if sum(e.kind == event.kind for e in events) <= _FEW_EVENTS:
                    axis.axvline(event.time / scale, color=_GREY, linewidth=0.6, linestyle=(0, (4, 3)), zorder=1)
        column[-1].set_xlabel(f"time [{unit}]")
        column[-1].set_xlim(0.0, max(_end(c) for c in curves) / scale)
        figure.align_ylabels(column)
        figure.suptitle(title, fontsize=11, fontweight="bold", x=0.01, ha="left")
        if footnote:
            figure.supxlabel(footnote, fontsize=7.5, x=0.01, ha="left", color="#333333", family="monospace")
        save(figure, file)
    finally:
        plt.close(figure)
    return file


def _draw_events(axis: Axes, events: Sequence[Event], lanes: Sequence[str], scale: float) -> None:
    for row, kind in enumerate(lanes):
        times = [e.time / scale for e in events if e.kind == kind]
        axis.plot(times, [row] * len(times), "|", color="black", markersize=7, markeredgewidth=1.1)
    axis.yaxis.tick_right()
    axis.set_yticks(range(len(lanes)), lanes, fontsize=7.5)
    axis.set_ylim(len(lanes) - 0.4, -0.6)
    axis.set_ylabel("events", fontsize=8.5)
    axis.tick_params(axis="both", length=0)
    axis.grid(visible=False)
    for side in ("top", "right", "bottom", "left"):
        axis.spines[side].set_visible(False)


def _draw_panel(
    axis: Axes,
    panel: Panel,
    scenario: Scenario,
    curves: Sequence[Curve],
    units: dict[str, str],
    scale: float,
) -> None:
    sensors = {spec.measures: f"{name}.value" for name, spec in scenario.sensors.items()}
    number = 0
    inside: list[Any] = []
    for curve in curves:
        have = curve.results.units
        wanted = [s for s in panel.signals if s in have]
        points = {s: sensors[s] for s in wanted if sensors.get(s) in have}
        counters = {p: f"{p.removesuffix('.value')}.sample" for p in points.values()}
        frame = curve.results.frame([*wanted, *points.values(), *(c for c in counters.values() if c in have)])
        time = frame.index.to_numpy(dtype=float) / scale
        for signal in wanted:
            colour, style = COLOURS[number % len(COLOURS)], STYLES[number % len(STYLES)]
            number += 1
            label = signal if len(curves) == 1 else f"{curve.label}: {signal}" if len(wanted) > 1 else curve.label
            factor, offset = conversion(units[signal], panel.unit)
            if signal in points:
                x, y = _fresh(time, frame[points[signal]], frame.get(counters[points[signal]]))
                few = len(x) < _FEW_POINTS
                axis.plot(
                    x,
                    factor * y + offset,
                    "o",
                    color=colour,
                    alpha=0.55 if few else 0.35,
                    markersize=4 if few else 2,
                    markeredgewidth=0,
                    zorder=2,
                    label=f"{points[signal].partition('.')[0]} (measured)" if len(curves) == 1 else None,
                    rasterized=True,
                )
                inside.append(factor * y + offset)
            values = factor * frame[signal].to_numpy(dtype=float) + offset
            step = "steps-post" if _is_setpoint(signal, scenario) else "default"
            axis.plot(time, values, linestyle=style, color=colour, linewidth=1.3, drawstyle=step, label=label, zorder=3)
            inside.append(values)
    values = np.concatenate(inside) if inside else np.zeros(0)
    _draw_limits(axis, panel, values)
    axis.set_ylabel(f"{panel.title}\n[{panel.unit}]" if panel.unit != "1" else panel.title, fontsize=8.5)
    axis.tick_params(labelsize=8)
    axis.ticklabel_format(axis="y", useOffset=False)
    axis.grid(visible=True, color="#dddddd", linewidth=0.5)
    axis.set_axisbelow(True)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=7.5, frameon=False, markerscale=1.3)


def _draw_limits(axis: Axes, panel: Panel, values: Any) -> None:
    """Shade what is out of limits; where the data stay far from them, show the data and say where the limits are."""
    finite = values[np.isfinite(values)]
    if panel.target is not None:
        axis.axhline(panel.target, color="black", linewidth=0.9, linestyle=":", zorder=2.5, label="target")
    if panel.limits is None or not len(finite):
        return
    low, high = panel.limits
    edges = [v for v in (low, high) if math.isfinite(v)]
    least, most = float(finite.min()), float(finite.max())
    middle = panel.target if panel.target is not None else sum(edges) / len(edges)
    reach = max(
        (most - middle) / (high - middle) if math.isfinite(high) and high > middle else 0.0,
        (middle - least) / (middle - low) if math.isfinite(low) and low < middle else 0.0,
    )
    marks = [least, most, *([panel.target] if panel.target is not None else [])]
    if reach < _NEAR_LIMIT and panel.target is not None:
        text = " to ".join(f"{v:.4g}" for v in edges) if len(edges) == 2 else f"{edges[0]:.4g}"
        axis.plot([], [], " ", label=f"limits {text}, not in view")
        return
    bottom, top = min(*marks, *edges), max(*marks, *edges)
    margin = 0.06 * (top - bottom or 1.0)
    bottom, top = bottom - margin, top + margin
    label: str | None = "out of limits"
    for edge, other in ((low, bottom), (high, top)):
        if math.isfinite(edge):
            style: dict[str, Any] = {
                "facecolor": "#bbbbbb",
                "alpha": 0.45,
                "hatch": "///",
                "edgecolor": "white",
                "linewidth": 0,
            }
            axis.axhspan(edge, other, zorder=0, label=label, **style)
            label = None
    axis.set_ylim(bottom, top)


def _fresh(time: Any, values: pd.Series[float], counter: pd.Series[float] | None) -> tuple[Any, Any]:
    """A held measurement once, not once a record, and not before its first sample; at most a few thousand points."""
    y = values.to_numpy(dtype=float)
    new = np.diff(y, prepend=np.nan) != 0.0
    if counter is not None:
        new &= counter.to_numpy(dtype=float) > 0.0
    changed = np.flatnonzero(new)
    changed = changed[:: max(1, len(changed) // _MOST_POINTS)]
    return time[changed], y[changed]


def _is_setpoint(signal: str, scenario: Scenario) -> bool:
    component, _, variable = signal.partition(".")
    return component in scenario.controllers or variable.endswith("setpoint")


def _end(curve: Curve) -> float:
    return float(curve.results.metadata.get("simulated_time") or curve.results.metadata["duration"])


def time_unit(seconds: float) -> tuple[float, str]:
    """Seconds per unit of the time axis, and the unit, that suit a span."""
    if seconds > 3 * 3600:
        return 3600.0, "h"
    return (60.0, "min") if seconds > 300 else (1.0, "s")


def save(figure: Figure, file: Path) -> None:
    """Write a PNG under a temporary name first, then give it its own."""
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.part")
    figure.savefig(temporary, dpi=150, format="png")
    temporary.replace(file)
