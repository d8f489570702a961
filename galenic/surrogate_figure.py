"""The figure of a surrogate's validation: what it predicts of runs that it has not seen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np

from galenic.figure import COLOURS, save, time_unit

if TYPE_CHECKING:
    from controllers.surrogates.training_task import Trained

_RUNS = 3


def draw_validation(trained: Trained, file: Path, title: str) -> Path:
    """Draw every output (rows) of the first validation runs (columns), simulated and predicted, and write a PNG."""
    model, shown = trained.model, min(_RUNS, len(trained.records))
    rows = len(model.outputs)
    longest = max((len(r.inputs) for r in trained.records), default=1) * model.period
    scale, unit = time_unit(longest)
    figure, axes = plt.subplots(
        rows, max(shown, 1), sharex=True, sharey="row", squeeze=False,
        figsize=(3.4 * max(shown, 1) + 1.0, 1.35 * rows + 1.0), layout="constrained",
    )  # fmt: skip
    try:
        for column in range(shown):
            record, predicted = trained.records[column], trained.predicted[column]
            time = np.arange(len(record.outputs)) * model.period / scale
            for i, y in enumerate(model.outputs):
                axis = axes[i, column]
                axis.plot(time, record.outputs[:, i], color="#444444", linewidth=2.2, alpha=0.55, label="simulated")
                axis.plot(time, predicted[:, i], color=COLOURS[0], linewidth=1.1, label="predicted")
                low, high = record.outputs[:, i].min(), record.outputs[:, i].max()
                room = max(high - low, 1e-9 * max(abs(high), 1e-300))
                known = axis.get_ylim() if column else (low - 0.3 * room, high + 0.3 * room)
                axis.set_ylim(min(known[0], low - 0.3 * room), max(known[1], high + 0.3 * room))
                axis.grid(visible=True, color="#dddddd", linewidth=0.5)
                axis.tick_params(labelsize=7)
                for edge in ("top", "right"):
                    axis.spines[edge].set_visible(False)
                if i == 0:
                    axis.set_title(record.label, fontsize=8.5)
                if column == 0:
                    error = model.errors[y.name]
                    name = y.name.replace(".", "\n", 1)
                    axis.set_ylabel(f"{name}\n[{y.unit}]\nRMSE {error.rmse[-1]:.3g}", fontsize=7)
                if i == rows - 1:
                    axis.set_xlabel(f"time [{unit}]", fontsize=8)
        axes[0, 0].legend(fontsize=7, frameon=False)
        figure.suptitle(title, fontsize=10, fontweight="bold", x=0.01, ha="left")
        save(figure, file)
    finally:
        plt.close(figure)
    return file
