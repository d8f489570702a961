"""Figures of a calibration on batches and of their replay."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np

from twin.batch_calibration import BatchCalibration
from twin.batch_replay import MODES, QUANTITIES, SCOPES, BatchReplay
from twin.press_figures import BLUE, GREY, ORANGE, PINK, save_figure, style_axis

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

_MODE_COLOURS = dict(zip(MODES, (GREY, PINK, ORANGE, BLUE), strict=True))


def draw_batch_calibration(c: BatchCalibration, file: str | Path) -> Path:
    """Force against gap, SREL against weight RSD, strength against force; writes a PNG and returns it."""
    figure, axes = plt.subplots(1, 3, figsize=(11.0, 4.0), layout="constrained")
    try:
        fill, gap, mass = c.gains
        moves = c.moves
        _scatter(axes[0], moves.gap, moves.force, moves.used)
        reach = 1.05 * float(moves.gap.abs().max())
        ends = np.array([-reach, reach])
        axes[0].plot(ends, gap.model * ends, color="black", linewidth=1.0, label=f"model, {gap.model:.1f} kN/mm")
        axes[0].plot(ends, gap.measured * ends, color=GREY, linewidth=1.0, linestyle="--",
                     label=f"measured, {gap.measured:.1f} kN/mm")  # fmt: skip
        style_axis(axes[0], "change of the gap [mm]", "change of the force [kN]", "From batch to batch of a set-up")
        _scatter(axes[1], c.frame.weight_rsd, c.frame.srel, c.frame.used)
        ends = np.array([0.0, 1.05 * float(np.nanpercentile(c.frame.weight_rsd, 98.0))])
        axes[1].plot(ends, mass.model * ends, color="black", linewidth=1.0, label=f"model, {mass.model:.2f}")
        axes[1].plot(ends, mass.measured * ends, color=GREY, linewidth=1.0, linestyle="--",
                     label=f"median of the ratio, {mass.measured:.2f}")  # fmt: skip
        axes[1].set_xlim(*ends)
        axes[1].set_ylim(0.0, 1.2 * float(np.nanmax(c.frame.srel)))
        style_axis(axes[1], "weight RSD [%]", "SREL of the force [%]", "Force against mass (not fitted)")
        _scatter(axes[2], 100.0 * moves.log_force, 100.0 * moves.log_strength, moves.used)
        reach = 105.0 * float(moves.log_force.abs().max())
        ends = np.array([-reach, reach])
        slope = c.trend.exponent
        axes[2].plot(ends, slope * ends, color="black", linewidth=1.0, label=f"exponent {slope:.2f}")
        style_axis(axes[2], "change of the force [%]", "change of the strength [%]", "From batch to batch of a set-up")
        for axis in axes:
            axis.legend(fontsize=7.5, frameon=False)
        title = (
            f"Product {c.product}: {len(c.batches)} batches calibrate, {len(c.held_back)} later ones are held back; "
            f"model dF/d fill {fill.model:.1f} kN/mm"
        )
        return save_figure(figure, title, file)
    finally:
        plt.close(figure)


def _scatter(axis: Axes, x: pd.Series[float], y: pd.Series[float], used: pd.Series[bool]) -> None:
    axis.plot(x[used], y[used], "o", color=BLUE, markersize=3.5, alpha=0.7, label="calibrates")
    axis.plot(x[~used], y[~used], "o", color=ORANGE, markersize=3.5, alpha=0.8, fillstyle="none", label="held back")


def draw_batch_replay(replay: BatchReplay, file: str | Path) -> Path:
    """Measured and predicted force, hardness and weight batch by batch, and the errors; writes a PNG."""
    figure = plt.figure(figsize=(11.0, 8.0), layout="constrained")
    try:
        grid = figure.add_gridspec(len(QUANTITIES), 3)
        for row, (quantity, unit) in enumerate(QUANTITIES.items()):
            own = replay.predictions[replay.predictions.quantity == quantity].reset_index(drop=True)
            axis = figure.add_subplot(grid[row, :2])
            _draw_batches(axis, own, f"{quantity} [{unit}]", last=row == len(QUANTITIES) - 1)
            if row == 0:
                axis.legend(fontsize=7.5, frameon=False, ncols=5, loc="lower center", bbox_to_anchor=(0.5, 1))
            _draw_errors(figure.add_subplot(grid[row, 2]), replay, quantity, unit)
        batches = replay.predictions.batch.nunique()
        unseen = "that the calibration did not see" if not replay.seen else f"; {len(replay.seen)} were seen"
        return save_figure(figure, f"Product {replay.product}: {batches} batches {unseen}", file)
    finally:
        plt.close(figure)


def _draw_batches(axis: Axes, own: pd.DataFrame, label: str, *, last: bool) -> None:
    place = np.arange(len(own))
    for mode in MODES:
        style = {"linestyle": "none", "marker": "o", "markersize": 3.5} if mode in MODES[2:] else {"linewidth": 1.0}
        axis.plot(place, own[mode], color=_MODE_COLOURS[mode], label=mode, **style)
    axis.plot(place, own.measured, "_", color="black", markersize=9, markeredgewidth=1.4, label="measured")
    for start in np.flatnonzero(own.setup.diff().fillna(0.0).to_numpy() != 0):
        axis.axvline(start - 0.5, color="#bbbbbb", linewidth=0.8, linestyle=":")
    step = max(1, len(own) // 12)
    axis.set_xticks(place[::step], [str(b) for b in own.batch[::step]])
    style_axis(axis, "batch, in time order (dotted: a new set-up)" if last else "", label, "")


def _draw_errors(axis: Axes, replay: BatchReplay, quantity: str, unit: str) -> None:
    scores = replay.scores[(replay.scores.scope == SCOPES[1]) & (replay.scores.quantity == quantity)]
    rmse = scores.set_index("mode").rmse.reindex(list(MODES)).to_numpy(dtype=float)
    place = np.arange(len(MODES))
    axis.barh(place, np.nan_to_num(rmse), 0.6, color=[_MODE_COLOURS[m] for m in MODES])
    for y, value in enumerate(rmse):
        if np.isfinite(value):
            axis.text(value, y, f" {value:.2f}", va="center", fontsize=7.5)
    axis.set_yticks(place, MODES)
    axis.invert_yaxis()
    axis.margins(x=0.15)
    count = int(scores.batches.max()) if len(scores) else 0
    style_axis(axis, f"RMSE of the {quantity} [{unit}]", "", f"{count} batches with one before")
