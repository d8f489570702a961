"""The figure of a comparison: one small panel per KPI, a box for each variant, lines for each seed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np

from galenic.comparison import Row, Trial
from galenic.comparison_table import headline, told
from galenic.figure import COLOURS, save
from galenic.indicator import Kpi

_MOST_PANELS = 12
_COLUMNS = 4
_HATCHES = ("", "///", "...", "xxx")


def draw_comparison(rows: Sequence[Row], trials: Sequence[Trial], labels: Sequence[str], file: Path) -> Path:
    """Draw the indicators that have a better direction and that differ, and write a PNG."""
    shown = [r for r in headline(rows) if r.better is not None and not _is_clock(r) and _varies(r)][:_MOST_PANELS]
    shown = shown or list(rows[:1])
    lines, columns, count = -(-len(shown) // _COLUMNS), min(_COLUMNS, len(shown)), len(labels)
    figure, axes = plt.subplots(
        lines, columns, squeeze=False, figsize=((2.1 + 0.6 * count) * columns, 2.7 * lines + 0.6), layout="constrained"
    )
    places = np.arange(1, count + 1)
    try:
        for axis, row in zip(axes.flat, shown, strict=False):
            values = np.array([[_of(side, row.name) for side in trial.sides] for trial in trials])
            for left in range(count - 1):
                between = [places[left] + 0.25, places[left] + 0.75]
                axis.plot(between, values[:, left : left + 2].T, color="#999999", linewidth=0.7, alpha=0.8, zorder=1)
            boxes = axis.boxplot(
                [column[np.isfinite(column)] for column in values.T], positions=places, widths=0.36, patch_artist=True,
                showfliers=False, medianprops={"color": "black"}, zorder=2,
            )  # fmt: skip
            for side, patch in enumerate(boxes["boxes"]):
                colour = COLOURS[side % len(COLOURS)]
                patch.set(facecolor=colour, alpha=0.45, hatch=_HATCHES[side % len(_HATCHES)])
                x = np.full(len(values), places[side] + (0.25 if side < count - 1 else -0.25))
                axis.plot(x, values[:, side], ".", color=colour, markersize=4, zorder=3)
            axis.set_xticks(places, [_wrap(label) for label in labels], fontsize=8)
            axis.set_title(f"{row.label} [{row.unit}]" if row.unit != "1" else row.label, fontsize=9)
            axis.set_xlabel("\n".join(_told(row, labels)), fontsize=7.5)
            axis.tick_params(axis="y", labelsize=8)
            axis.grid(visible=True, axis="y", color="#dddddd", linewidth=0.5)
            axis.set_axisbelow(True)
            for edge in ("top", "right"):
                axis.spines[edge].set_visible(False)
        for axis in list(axes.flat)[len(shown) :]:
            axis.set_visible(False)
        figure.suptitle(
            f"{', '.join(labels)}: {len(trials)} paired seeds; differences with 95 % confidence interval",
            fontsize=10, fontweight="bold", x=0.01, ha="left",
        )  # fmt: skip
        save(figure, file)
    finally:
        plt.close(figure)
    return file


def _told(row: Row, labels: Sequence[str]) -> list[str]:
    """What stands below a panel: the last variant against each of the others."""
    lines = []
    for label, d in zip(labels, row.differences, strict=False):
        against = f"against {label}: " if len(labels) > 2 else "difference "
        lines.append(f"{against}{told(row, d)}")
        equal = f", equal in {d.tied}" if d.tied else ""
        lines.append(f"{labels[-1]} better in {d.won} of {d.pairs}{equal}")
    return lines


def _is_clock(row: Row) -> bool:
    return row.name.startswith("solver")


def _varies(row: Row) -> bool:
    return any(d.pairs for d in row.differences) and (
        len(set(row.means)) > 1 or any(spread > 0.0 for spread in row.spreads)
    )


def _of(side: Sequence[Kpi], name: str) -> float:
    return next((k.value for k in side if k.name == name), float("nan"))


def _wrap(label: str) -> str:
    return label if len(label) <= 16 else label.replace(" ", "\n", 1)
