"""The figure of a comparison: one small panel per KPI, a box for each variant, a line for each seed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np

from galenic.comparison import Pair, Row, headline
from galenic.figure import COLOURS, save

_MOST_PANELS = 12
_COLUMNS = 4


def draw_comparison(rows: Sequence[Row], pairs: Sequence[Pair], labels: tuple[str, str], file: Path) -> Path:
    """Draw the indicators that have a better direction and that differ, and write a PNG."""
    shown = [r for r in headline(rows) if r.better is not None and r.pairs and not _is_clock(r) and _varies(r)][
        :_MOST_PANELS
    ]
    shown = shown or [r for r in rows if r.pairs][:1]
    lines = -(-len(shown) // _COLUMNS)
    figure, axes = plt.subplots(
        lines, min(_COLUMNS, len(shown)), squeeze=False, figsize=(3.3 * min(_COLUMNS, len(shown)), 2.7 * lines + 0.6),
        layout="constrained",
    )  # fmt: skip
    try:
        for axis, row in zip(axes.flat, shown, strict=False):
            values = np.array([[_of(p, row.name, side) for side in (0, 1)] for p in pairs])
            values = values[np.isfinite(values).all(axis=1)]
            axis.plot([1.25, 1.75], values.T, color="#999999", linewidth=0.7, alpha=0.8, zorder=1)
            boxes = axis.boxplot(
                values, positions=[1, 2], widths=0.36, patch_artist=True, showfliers=False,
                medianprops={"color": "black"}, zorder=2,
            )  # fmt: skip
            for patch, colour, hatch in zip(boxes["boxes"], COLOURS, ("", "///"), strict=False):
                patch.set(facecolor=colour, alpha=0.45, hatch=hatch)
            for side, x in ((0, 1.25), (1, 1.75)):
                axis.plot(np.full(len(values), x), values[:, side], ".", color=COLOURS[side], markersize=4, zorder=3)
            axis.set_xticks([1, 2], [_wrap(label) for label in labels], fontsize=8)
            axis.set_title(f"{row.label} [{row.unit}]" if row.unit != "1" else row.label, fontsize=9)
            axis.set_xlabel(
                f"difference {row.difference:.3g} ({row.low:.3g} to {row.high:.3g})\n"
                f"{labels[1]} better in {row.won} of {row.pairs}" + (f", equal in {row.tied}" if row.tied else ""),
                fontsize=7.5,
            )
            axis.tick_params(axis="y", labelsize=8)
            axis.grid(visible=True, axis="y", color="#dddddd", linewidth=0.5)
            axis.set_axisbelow(True)
            for edge in ("top", "right"):
                axis.spines[edge].set_visible(False)
        for axis in list(axes.flat)[len(shown) :]:
            axis.set_visible(False)
        figure.suptitle(
            f"{labels[0]} against {labels[1]}, {len(pairs)} paired seeds; difference with 95 % confidence interval",
            fontsize=10, fontweight="bold", x=0.01, ha="left",
        )  # fmt: skip
        save(figure, file)
    finally:
        plt.close(figure)
    return file


def _is_clock(row: Row) -> bool:
    return row.name.startswith("solver")


def _varies(row: Row) -> bool:
    return row.mean_a != row.mean_b or row.sd_a > 0.0 or row.sd_b > 0.0


def _of(pair: Pair, name: str, side: int) -> float:
    return next((k.value for k in (pair.b if side else pair.a) if k.name == name), float("nan"))


def _wrap(label: str) -> str:
    return label if len(label) <= 16 else label.replace(" ", "\n", 1)
