"""The figure of a surrogate: its step responses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np

from galenic.figure import COLOURS, save, time_unit

if TYPE_CHECKING:
    from controllers.surrogates.linear_surrogate import LinearSurrogate


def draw_steps(surrogate: LinearSurrogate, samples: int, sizes: Sequence[float], file: Path, title: str) -> Path:
    """Draw the response of every output (rows) to a step of ``sizes[j]`` in every input j (columns) and write a PNG."""
    response = surrogate.step_response(samples)
    scale, unit = time_unit(samples * surrogate.period)
    rows, columns = len(surrogate.outputs), len(surrogate.inputs)
    figure, axes = plt.subplots(
        rows, columns, sharex=True, sharey="row", squeeze=False, figsize=(2.5 * columns + 0.8, 1.5 * rows + 0.9),
        layout="constrained",
    )  # fmt: skip
    try:
        time = np.arange(response.shape[0]) * surrogate.period / scale
        for i, y in enumerate(surrogate.outputs):
            for j, u in enumerate(surrogate.inputs):
                axis = axes[i, j]
                axis.axhline(0.0, color="#999999", linewidth=0.6)
                axis.plot(time, response[:, i, j] * sizes[j], color=COLOURS[0], linewidth=1.3)
                axis.grid(visible=True, color="#dddddd", linewidth=0.5)
                axis.tick_params(labelsize=7)
                for edge in ("top", "right"):
                    axis.spines[edge].set_visible(False)
                if i == 0:
                    axis.set_title(f"{u.name.replace('.', chr(10), 1)}\n+{sizes[j]:.3g} {u.unit}", fontsize=8)
                if j == 0:
                    axis.set_ylabel(f"{y.name.replace('.', chr(10), 1)}\n[{y.unit}]", fontsize=7.5)
                if i == rows - 1:
                    axis.set_xlabel(f"time [{unit}]", fontsize=8)
        figure.suptitle(title, fontsize=10, fontweight="bold", x=0.01, ha="left")
        save(figure, file)
    finally:
        plt.close(figure)
    return file
