"""Draw docs/images/estimation.png: a CHO batch whose titre comes from the laboratory once a day, six hours late."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import fmus
from controllers.estimation import (
    Channel,
    DisturbanceState,
    EstimationModel,
    ExtendedKalmanFilter,
    MovingHorizonEstimator,
    Process,
    Reason,
    unit_process,
)

HOURS, DAILY, LATE = 240, 24, 6
STATES = {
    "volume": {"noise": 0.01, "low": 1.0, "nominal": 50.0},
    "amount.viable_cells": {"relative_noise": 0.003, "low": 0.0, "nominal": 5e11},
    "amount.dead_cells": {"relative_noise": 0.003, "low": 0.0, "nominal": 5e10},
    "amount.glucose": {"noise": 3.0, "low": 0.0, "nominal": 1000.0},
    "amount.lactate": {"noise": 3.0, "low": 0.0, "nominal": 1000.0},
    "amount.mab": {"noise": 0.02, "low": 0.0, "nominal": 50.0},
}
OUTPUTS = ["viable_cell_density", "glucose", "lactate", "titre"]
FEED = np.array([0.08, 1.0, 1.0])


def process(method: str) -> Process:
    """The bioreactor, fed with 1 mol/L of glucose; ``own``: by the unit's own adaptive integrator."""
    return unit_process(
        fmus.unit_model("bioreactor_badr2021_fast"),
        3600.0,
        inputs=["supplement.flow", "growth_rate_factor", "productivity_factor"],
        outputs=OUTPUTS,
        states=STATES,
        values={"supplement.glucose": 1000.0},
        method="own" if method == "own" else "rk4",
        substeps=2,
    )


def estimators() -> tuple[ExtendedKalmanFilter, MovingHorizonEstimator]:
    """Cells in line every hour; glucose, lactate and titre from the laboratory."""
    model = EstimationModel(
        process("rk4"),
        [
            DisturbanceState("input", "growth_rate_factor", 0.01, low=-0.8, high=1.0),
            DisturbanceState("input", "productivity_factor", 0.01, low=-0.8, high=1.0),
        ],
    )
    channels = [
        Channel("viable_cell_density", 0.0, relative_std=0.05, frozen_after=4),
        Channel("glucose", 1.0),
        Channel("lactate", 0.5),
        Channel("titre", 0.005, relative_std=0.02),
    ]
    horizon = 12
    return (
        ExtendedKalmanFilter(model, channels, memory=horizon),
        MovingHorizonEstimator(model, channels, horizon=horizon),
    )


def main() -> None:
    """Simulate ten days and draw."""
    plant, rng = process("own"), np.random.default_rng(1)
    x = np.array([50.0, 1.6e10, 0.0, 2000.0, 0.0, 0.0])
    both = estimators()
    guess = x * np.array([1.0, 1.2, 1.0, 1.05, 1.0, 1.0])
    spread = np.array([0.5, 4e9, 1e8, 150.0, 5.0, 0.05, 0.1, 0.2])
    for e in both:
        e.initialize(guess, spread, FEED)
    noise = np.array([0.05, 0.0, 0.0, 0.02]), np.array([0.0, 1.0, 0.5, 0.005])
    truth, found, std, told, lab = [], [[], []], [], [], []
    waiting: dict[int, np.ndarray] = {}
    for k in range(1, HOURS + 1):
        factors = np.array([1.0, 0.9 if k > 96 else 1.05, 0.8])
        x = plant.step(x, FEED * factors, []).full().ravel()
        y = plant.measure(x, FEED * factors, []).full().ravel()
        seen = y + (noise[0] * y + noise[1]) * rng.normal(size=4)
        if k % 37 == 0:
            seen[0] *= 2.0  # a bubble at the probe
        if k % DAILY == 0:
            waiting[k + LATE] = seen
            lab.append((k, seen[3]))
        for e in both:
            e.predict(FEED)
            reasons = e.correct(seen, [True, False, False, False])
            if k in waiting:
                e.correct(waiting[k], [False, True, True, True], [None, LATE, LATE, LATE])
        told.append((k, seen[0], reasons[0]))
        truth.append(np.concatenate([y, factors[1:] - 1.0]))
        for i, e in enumerate(both):
            found[i].append(np.concatenate([e.outputs, e.state[-2:]]))
        std.append(np.concatenate([both[0].outputs_std, np.sqrt(both[0].covariance.diagonal()[-2:])]))
    draw(np.array(truth), [np.array(f) for f in found], np.array(std), told, lab)


def draw(
    truth: np.ndarray,
    found: list[np.ndarray],
    std: np.ndarray,
    told: list[tuple[int, float, Reason]],
    lab: list[tuple[int, float]],
) -> None:
    """Three panels: cells, titre, factors."""
    days = np.arange(1, HOURS + 1) / 24.0
    figure = Figure(figsize=(10.0, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, 3)
    panels = [(0, 1e-6, "viable cells [10⁶/mL]"), (3, 1.0, "titre [g/L]"), (4, 100.0, "growth and productivity [%]")]
    for axis, (i, factor, title) in zip(axes, panels, strict=True):
        for column, color in ((i, "C0"), (5, "C2")) if i == 4 else ((i, "C0"),):
            ekf, mhe = factor * found[0][:, column], factor * found[1][:, column]
            band = 2.0 * factor * std[:, column]
            axis.fill_between(days, ekf - band, ekf + band, color=color, alpha=0.2, linewidth=0)
            axis.plot(days, ekf, color=color, label="EKF, two deviations" if column != 5 else None)
            axis.plot(days, mhe, "--", color="C1", linewidth=1.0, label="MHE" if column != 5 else None)
            axis.plot(days, factor * truth[:, column], "k:", linewidth=1.2, label="plant" if column != 5 else None)
        axis.set_title(title, fontsize=10)
        axis.set_xlabel("time [d]")
        axis.grid(alpha=0.3)
    left = [(k / 24.0, v * 1e-6) for k, v, r in told if r is Reason.OUTLIER]
    axes[0].plot(*zip(*left, strict=True), "x", color="C3", label="outliers, left out")
    axes[1].plot([k / 24.0 for k, _ in lab], [v for _, v in lab], "o", color="C3", markersize=4, label="laboratory")
    axes[2].annotate("growth", (1.0, 12.0), color="C0")
    axes[2].annotate("productivity", (6.5, -32.0), color="C2")
    for axis in axes:
        axis.legend(fontsize=7)
    figure.savefig(Path(__file__).parents[1] / "images" / "estimation.png", dpi=100)


if __name__ == "__main__":
    main()
