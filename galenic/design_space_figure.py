"""The picture of a design space: P(all CQAs in specification) over each pair of setpoints, and the edge of failure."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.artist import Artist
from matplotlib.contour import QuadContourSet
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from galenic.figure import COLOURS, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from galenic.design_space_result import Outcome

_LEVELS = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 1.0)
_GRID = 161
_NEAR = 0.2
_MOST_PANELS = 10
_COLUMNS = 3


def draw_design_space(outcome: Outcome, file: Path) -> Path:
    """Draw contours over pairs of setpoints, the others at the scenario's own, and write a PNG."""
    setpoints = outcome.plan.setpoints
    pairs = list(combinations(range(len(setpoints)), 2))[:_MOST_PANELS]
    columns = min(_COLUMNS, max(1, len(pairs)))
    lines = -(-max(1, len(pairs)) // columns)
    figure, axes = plt.subplots(
        lines, columns, squeeze=False, figsize=(4.0 * columns + 2.6, 3.6 * lines + 1.0), layout="constrained"
    )
    try:
        panels = list(axes.flat)
        if pairs:
            for axis, (i, j) in zip(panels, pairs, strict=False):
                filled = _contours(axis, outcome, i, j)
            figure.colorbar(filled, ax=axes, label="P(all CQAs in specification)", shrink=0.85, pad=0.02)
        else:
            _curve(panels[0], outcome)
        for axis in panels[max(1, len(pairs)) :]:
            axis.set_visible(False)
        region = outcome.region
        handles: list[Artist] = [
            Line2D([], [], color="black", linewidth=1.8,
                   label=f"edge: P at least {region.at_least:g}, confidence {region.confidence:g}"),
            Line2D([], [], color="black", linewidth=1.0, linestyle="--",
                   label=f"P = {region.at_least:g}, best estimate"),
            Line2D([], [], color="white", marker="*", markersize=13, markeredgecolor="black", linestyle="",
                   label="operating point of the scenario"),
            Line2D([], [], color="black", marker=".", linestyle="", label="run in specification"),
            Line2D([], [], color=COLOURS[1], marker="x", linestyle="", label="run out of specification"),
        ]  # fmt: skip
        if outcome.box is not None:
            handles.insert(2, Patch(fill=False, edgecolor="#CC79A7", linewidth=1.6, label="ranges that hold together"))
        figure.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=8, frameon=False)
        passed = sum(outcome.passed)
        figure.suptitle(
            f"{Path(outcome.plan.scenario).stem}: design space, {len(outcome.samples)} runs, {passed} in specification",
            fontsize=11, fontweight="bold", x=0.01, ha="left",
        )  # fmt: skip
        save(figure, file)
    finally:
        plt.close(figure)
    return file


def _contours(axis: Axes, outcome: Outcome, i: int, j: int) -> QuadContourSet:
    plan, region = outcome.plan, outcome.region
    x, y = plan.setpoints[i], plan.setpoints[j]
    across, up = np.meshgrid(np.linspace(x.low, x.high, _GRID), np.linspace(y.low, y.high, _GRID))
    points = np.tile(plan.present, (across.size, 1))
    points[:, i], points[:, j] = across.ravel(), up.ravel()
    probability = region.probability(points).reshape(across.shape)
    filled = axis.contourf(across, up, probability, levels=_LEVELS, cmap="cividis")
    for values, level, width, style in (
        (probability, region.at_least, 1.0, "dashed"),
        (region.margin(points).reshape(across.shape), 0.0, 1.8, "solid"),
    ):
        if values.min() < level < values.max():
            axis.contour(across, up, values, levels=[level], colors="black", linewidths=width, linestyles=style)
    others = [s for k, s in enumerate(plan.setpoints) if k not in (i, j)]
    # a box that this slice does not meet would be drawn where it is not
    if outcome.box is not None and all(outcome.box[s.name].margin(s.present) >= 0.0 for s in others):
        a, b = outcome.box[x.name], outcome.box[y.name]
        axis.add_patch(
            Rectangle((a.min, b.min), a.max - a.min, b.max - b.min, fill=False, edgecolor="#CC79A7", linewidth=1.6)
        )
    _samples(axis, outcome, i, j)
    axis.plot(x.present, y.present, "*", color="white", markersize=14, markeredgecolor="black", zorder=5)
    axis.set_xlabel(f"{x.name} [{x.unit}]", fontsize=8.5)
    axis.set_ylabel(f"{y.name} [{y.unit}]", fontsize=8.5)
    axis.tick_params(labelsize=8)
    if others:
        axis.set_title("at " + ", ".join(f"{s.name} {s.present:g} {s.unit}" for s in others), fontsize=7, wrap=True)
    return filled


def _samples(axis: Axes, outcome: Outcome, i: int, j: int) -> None:
    """Runs whose other setpoints are near the scenario's; those far away would belong to another picture."""
    setpoints = outcome.plan.setpoints
    width = np.array([s.high - s.low for s in setpoints])
    points = np.array([s.point for s in outcome.samples])
    away = np.abs(points - outcome.plan.present) / width
    away[:, [i, j]] = 0.0
    near = (away <= _NEAR).all(axis=1)
    passed = np.array(outcome.passed)
    axis.plot(points[near & passed, i], points[near & passed, j], ".", color="black", markersize=4, alpha=0.8)
    axis.plot(points[near & ~passed, i], points[near & ~passed, j], "x", color=COLOURS[1], markersize=4, alpha=0.9)


def _curve(axis: Axes, outcome: Outcome) -> None:
    from scipy.special import expit

    plan, region = outcome.plan, outcome.region
    x = plan.setpoints[0]
    points = np.linspace(x.low, x.high, 401)[:, None]
    logit, error = region.logit(points), region.standard_error(points)
    axis.fill_between(points[:, 0], expit(logit - error), expit(logit + error), color=COLOURS[0], alpha=0.25)
    axis.plot(points[:, 0], expit(logit), color=COLOURS[0])
    axis.axhline(region.at_least, color="black", linewidth=1.0, linestyle="--")
    if outcome.box is not None:
        for edge in (outcome.box[x.name].min, outcome.box[x.name].max):
            axis.axvline(edge, color="black", linewidth=1.8)
    axis.plot(x.present, 0.0, "*", color="white", markersize=14, markeredgecolor="black", clip_on=False, zorder=5)
    values = np.array([s.point[0] for s in outcome.samples])
    passed = np.array(outcome.passed)
    axis.plot(values[passed], np.ones(passed.sum()), ".", color="black", markersize=4)
    axis.plot(values[~passed], np.zeros((~passed).sum()), "x", color=COLOURS[1], markersize=4)
    axis.set_xlabel(f"{x.name} [{x.unit}]")
    axis.set_ylabel("P(all CQAs in specification)")
