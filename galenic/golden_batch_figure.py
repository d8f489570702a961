"""The figure of a golden batch: its trajectories beside those of the recipe."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np

from galenic.figure import COLOURS, save

if TYPE_CHECKING:
    from controllers.nonlinear.golden_batch import GoldenBatch, GoldenBatchProblem
    from controllers.surrogates.linear_surrogate import SurrogateInput, SurrogateOutput


def draw_golden_batch(problem: GoldenBatchProblem, found: GoldenBatch, file: Path, title: str) -> Path:
    """Draw what is reached, what is fed and what has limits, golden and by the recipe, and write a PNG."""
    limits = {c.output: c.limits for c in problem.law.specification.controlled}
    outputs = [y.name for y in found.model.process.outputs]
    shown = [found.reach[0], *(i for i, n in enumerate(outputs) if n in limits and i != found.reach[0])]
    panels = [("output", i) for i in shown[:1]] + [("input", i) for i in found.manipulated]
    panels += [("output", i) for i in shown[1:]]
    columns = 2
    rows = math.ceil(len(panels) / columns)
    figure, axes = plt.subplots(
        rows, columns, sharex=True, squeeze=False, figsize=(9.0, 1.9 * rows + 0.7), layout="constrained"
    )
    nominal = found.nominal
    hours, whole = found.times / 3600.0, nominal.times / 3600.0
    try:
        for axis, (kind, i) in zip(axes.flat, panels, strict=False):
            if kind == "input":
                signal: SurrogateInput | SurrogateOutput = found.model.inputs[i]
                recipe, golden = nominal.inputs[:, i], np.r_[found.inputs[:, i], found.inputs[-1, i]]
                where = ("steps-pre", "steps-post")
                wide = next(m.bounds for m in problem.law.specification.manipulated if m.input == signal.name)
            else:
                signal = found.model.outputs[i]
                recipe, golden, where = nominal.outputs[:, i], found.outputs[:, i], ("default", "default")
                wide = limits.get(signal.name, (-math.inf, math.inf))
            dashed = {"color": COLOURS[1], "linestyle": "--", "linewidth": 1.1}
            axis.plot(whole, recipe, drawstyle=where[0], label="recipe", **dashed)
            axis.plot(hours, golden, drawstyle=where[1], color=COLOURS[0], linewidth=1.3, label="golden batch")
            axis.set_ylabel(f"{signal.name.replace('.', chr(10), 1)}\n[{signal.unit}]", fontsize=7.5)
            for limit in wide:
                if math.isfinite(limit):
                    axis.axhline(limit, color="#888888", linewidth=0.8, linestyle=(0, (1, 1.2)))
            axis.axvline(problem.begin / 3600.0, color="#bbbbbb", linewidth=0.8)
            axis.grid(visible=True, color="#dddddd", linewidth=0.5)
            axis.tick_params(labelsize=7)
            for edge in ("top", "right"):
                axis.spines[edge].set_visible(False)
        for axis in list(axes.flat)[len(panels) :]:
            axis.set_visible(False)
        for axis in axes[-1]:
            axis.set_xlabel("time [h]", fontsize=8)
        axes[0, 0].legend(fontsize=7.5, frameon=False)
        figure.suptitle(title, fontsize=10, fontweight="bold", x=0.01, ha="left")
        save(figure, file)
    finally:
        plt.close(figure)
    return file
