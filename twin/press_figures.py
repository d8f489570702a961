"""Figures of a press calibration and of a replay."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np

from twin.press_replay import MODEL_MODES, MODES, Replay
from twin.press_result import PressCalibration

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe & Ito: told apart by colour-blind readers
BLUE, ORANGE, GREEN, PINK, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#777777"
_MODE_COLOURS = {"no offset": PINK, "first 10 min": ORANGE, "running offset": BLUE}
_BATCHES_BY_TIME = 2
_MOST_TRACES = 4


def draw_calibration(calibration: PressCalibration, file: str | Path) -> Path:
    """Parity, two batches plateau by plateau, residuals against fill depth and gap; writes a PNG and returns it."""
    steps = calibration.plateaus
    figure = plt.figure(figsize=(11.0, 7.6), layout="constrained")
    try:
        grid = figure.add_gridspec(2, 6)
        parity = figure.add_subplot(grid[0, :2])
        _draw_parity(parity, calibration)
        chosen = _most_plateaus(steps, _BATCHES_BY_TIME)
        for number, batch in enumerate(chosen):
            _draw_plateaus(figure.add_subplot(grid[0, 2 + 2 * number : 4 + 2 * number]), steps, batch, number == 0)
        for number, (column, label) in enumerate(
            (("fill", "fill depth [mm]"), ("gap", "gap of the main rollers [mm]"))
        ):
            _draw_residuals(figure.add_subplot(grid[1, 3 * number : 3 * number + 3]), steps, column, label)
        r = calibration.residuals
        title = (
            f"Tablet press, product {calibration.product}: {r.count} start-up plateaus of "
            f"{steps.batch.nunique()} batches; RMSE {r.rmse:.2f}, robust sd {r.robust_sd:.2f}, bias {r.bias:+.2f} kN\n"
            "predictions with the density of each run estimated from the same data: fitted, not forecast"
        )
        return save_figure(figure, title, file)
    finally:
        plt.close(figure)


def _draw_parity(axis: Axes, calibration: PressCalibration) -> None:
    steps = calibration.plateaus
    low = 0.9 * float(min(steps.force.min(), steps.predicted.min()))
    high = 1.05 * float(max(steps.force.max(), steps.predicted.max()))
    axis.plot([low, high], [low, high], color="black", linewidth=0.8)
    size = 10.0 + 6.0 * np.minimum(steps.samples.to_numpy(dtype=float), 6.0)
    axis.scatter(steps.force, steps.predicted, s=size, color=BLUE, alpha=0.55, edgecolor="white", linewidth=0.4)
    axis.set(xlim=(low, high), ylim=(low, high), aspect="equal")
    style_axis(axis, "measured force [kN]", "model force [kN]", "Main compression force (larger: more samples)")


def _most_plateaus(steps: pd.DataFrame, count: int) -> list[int]:
    sizes = steps.groupby("batch").size().sort_values(ascending=False)
    return sorted(int(b) for b in sizes.index[:count])


def _draw_plateaus(axis: Axes, steps: pd.DataFrame, batch: int, legend: bool) -> None:
    own = steps[steps.batch == batch].sort_values("time")
    number = np.arange(1, len(own) + 1)
    stops = np.flatnonzero(np.diff(own.run.to_numpy()) != 0)
    for k in stops:
        axis.axvline(number[k] + 0.5, color="#bbbbbb", linewidth=0.8, linestyle=":")
    axis.plot(number, own.force, "o", color="black", markersize=4.5, label="measured")
    axis.plot(number, own.predicted, "-", color=BLUE, linewidth=1.2, marker=".", label="model")
    axis.set_ylim(bottom=0.0)
    style_axis(axis, "plateau in time order (dotted: a stop)", "force [kN]", f"Start-up of batch {batch}")
    if legend:
        axis.legend(fontsize=8, frameon=False, loc="lower left")


def _draw_residuals(axis: Axes, steps: pd.DataFrame, column: str, label: str) -> None:
    error = steps.predicted - steps.force
    colours = plt.get_cmap("viridis")(np.linspace(0.0, 0.95, steps.batch.nunique()))
    for colour, (batch, own) in zip(colours, steps.groupby("batch"), strict=True):
        axis.plot(own[column], error[own.index], "o", color=colour, markersize=4, alpha=0.8, label=str(batch))
    axis.axhline(0.0, color="black", linewidth=0.8)
    style_axis(axis, label, "model - measured [kN]", f"Residuals against {label.partition(' [')[0]}")
    if column == "gap":
        axis.legend(title="batch", title_fontsize=7.5, fontsize=7, frameon=False, ncols=1, loc="center left",
                    bbox_to_anchor=(1.0, 0.5))  # fmt: skip


def draw_replay(replay: Replay, file: str | Path) -> Path:
    """Measured and predicted force of the first batches over time, and the errors' distribution; writes a PNG."""
    shown = list(replay.traces)[:_MOST_TRACES]
    heights = [1.0] * len(shown) + [1.35]
    figure = plt.figure(figsize=(11.0, 1.9 * sum(heights) + 0.9), layout="constrained")
    try:
        grid = figure.add_gridspec(len(heights), 3, height_ratios=heights)
        for row, batch in enumerate(shown):
            _draw_trace(figure.add_subplot(grid[row, :]), replay, batch, last=row == len(shown) - 1, first=row == 0)
        _draw_histogram(figure.add_subplot(grid[-1, 0]), replay)
        _draw_scores(figure.add_subplot(grid[-1, 1]), replay)
        _draw_moves(figure.add_subplot(grid[-1, 2]), replay)
        unseen = (
            "batches that the calibration did not see" if not replay.seen else f"seen by calibration: {replay.seen}"
        )
        title = f"Replay of the press FMU, product {replay.product}: {len(replay.traces)} recorded batches ({unseen})"
        return save_figure(figure, title, file)
    finally:
        plt.close(figure)


def _draw_trace(axis: Axes, replay: Replay, batch: int, *, first: bool, last: bool) -> None:
    trace = replay.traces[batch]
    hours = trace.time.to_numpy(dtype=float) / 3600.0
    valid = trace.valid.to_numpy(dtype=bool)

    def gapped(column: str) -> Any:
        return np.where(valid, trace[column].to_numpy(dtype=float), np.nan)

    startup = trace.phase.to_numpy() == "start-up"
    axis.plot(hours, gapped("measured"), ".", color="black", markersize=1.6, label="measured")
    axis.plot(hours[startup], trace.measured[startup], "o", color="black", markersize=3.2, label="measured, start-up")
    for mode in MODEL_MODES:
        axis.plot(hours, gapped(mode), color=_MODE_COLOURS[mode], linewidth=1.0, label=f"model, {mode}")
    axis.set_xlim(0.0, float(hours[-1]))
    top = float(trace.measured[valid].max()) if valid.any() else 1.0
    axis.set_ylim(0.0, 1.15 * top)
    style_axis(axis, "time since the first record of the batch [h]" if last else "", f"batch {batch}\nforce [kN]", "")
    if first:
        axis.legend(fontsize=7.5, frameon=False, ncols=5, loc="lower center", bbox_to_anchor=(0.5, 1), markerscale=1.8)


def _draw_histogram(axis: Axes, replay: Replay) -> None:
    everything = np.concatenate(
        [
            (t[m] - t.measured)[t.phase == "production"].to_numpy(dtype=float)
            for t in replay.traces.values()
            for m in MODEL_MODES
        ]
    )
    reach = float(np.ceil(2.0 * np.percentile(np.abs(everything), 99.0)) / 2.0) if everything.size else 1.0
    edges = [float(e) for e in np.linspace(-reach, reach, 81)]
    for mode in MODEL_MODES:
        errors = np.concatenate(
            [(t[mode] - t.measured)[t.phase == "production"].to_numpy(dtype=float) for t in replay.traces.values()]
        )
        inside = np.clip(errors, edges[0], edges[-1])
        axis.hist(inside, edges, histtype="step", color=_MODE_COLOURS[mode], linewidth=1.3,
                  weights=np.full(len(inside), 100.0 / max(len(inside), 1)))  # fmt: skip
    axis.axvline(0.0, color="black", linewidth=0.7)
    style_axis(axis, "model - measured [kN], ends: beyond", "share [%]", "Errors in production (colours as above)")


def _draw_scores(axis: Axes, replay: Replay) -> None:
    pooled = replay.pooled
    place = np.arange(len(MODES))
    for offset, (phase, colour) in zip((-0.2, 0.2), (("start-up", GREY), ("production", GREEN)), strict=True):
        rmse = pooled[pooled.phase == phase].set_index("mode").rmse.reindex(list(MODES)).to_numpy(dtype=float)
        axis.barh(place + offset, rmse, 0.38, color=colour)
        for y, value in zip(place + offset, rmse, strict=True):
            if np.isfinite(value):
                axis.text(value, y, f" {value:.2f}", va="center", fontsize=7)
    axis.set_yticks(place, MODES)
    axis.invert_yaxis()
    axis.margins(x=0.15)
    style_axis(axis, "RMSE of the force [kN]", "", "Grey: start-up; green: production")


def _draw_moves(axis: Axes, replay: Replay) -> None:
    moves = replay.moves
    axis.axhline(0.0, color="#bbbbbb", linewidth=0.8)
    if len(moves):
        reach = 1.08 * float(np.abs(moves[["measured", "predicted"]].to_numpy(dtype=float)).max())
        axis.plot([-reach, reach], [-reach, reach], color="black", linewidth=0.8)
        axis.plot(moves.measured, moves.predicted, "o", color=BLUE, markersize=4, alpha=0.7, markeredgecolor="white")
        model = float(np.sqrt(((moves.predicted - moves.measured) ** 2).mean()))
        none = float(np.sqrt((moves.measured**2).mean()))
        text = f"{len(moves)} moves; RMSE {model:.2f} kN\n(no change: {none:.2f} kN)"
        axis.text(0.03, 0.97, text, transform=axis.transAxes, va="top", fontsize=7.5)
        axis.set(xlim=(-reach, reach), ylim=(-reach, reach))
    style_axis(axis, "measured change [kN]", "predicted change [kN]", "Moves of fill depth and gap")


def style_axis(axis: Axes, x: str, y: str, title: str) -> None:
    """Labels, title, grid and spines of every figure here."""
    axis.set_xlabel(x, fontsize=8.5)
    axis.set_ylabel(y, fontsize=8.5)
    if title:
        axis.set_title(title, fontsize=9, loc="left")
    axis.tick_params(labelsize=8)
    axis.grid(visible=True, color="#e2e2e2", linewidth=0.5)
    axis.set_axisbelow(True)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)


def save_figure(figure: Figure, title: str, file: str | Path) -> Path:
    """Put the title above a figure, write it as a PNG, whole or not at all, and return its path."""
    figure.suptitle(title, fontsize=10.5, x=0.01, ha="left")
    file = Path(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.part")
    figure.savefig(temporary, dpi=150, format="png")
    temporary.replace(file)
    return file
