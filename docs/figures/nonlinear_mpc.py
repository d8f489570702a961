"""Draw docs/images/nonlinear_mpc.png: a CHO batch whose feed and harvest the nonlinear law decides, with mismatch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import fmus
from controllers.estimation import Channel, DisturbanceState, Process, unit_process
from controllers.nonlinear.law import LawOptions, NonlinearLaw
from controllers.nonlinear.specification import Batch, Controlled, EconomicTerm, Manipulated, Specification

HOUR, DAY = 3600.0, 86400.0
STATES = {
    "volume": {"noise": 0.01, "low": 1.0, "nominal": 50.0},
    "amount.viable_cells": {"relative_noise": 0.003, "low": 0.0, "nominal": 5e11},
    "amount.dead_cells": {"relative_noise": 0.003, "low": 0.0, "nominal": 5e10},
    "amount.glucose": {"noise": 3.0, "low": 0.0, "nominal": 1000.0},
    "amount.lactate": {"noise": 3.0, "low": 0.0, "nominal": 1000.0},
    "amount.mab": {"noise": 0.02, "low": 0.0, "nominal": 50.0},
}
OUTPUTS = ["viable_cell_density", "glucose", "titre", "broth_volume", "holdup.mab"]
START = np.array([50.0, 1.6e10, 0.0, 2050.0, 0.0, 0.0])
MISMATCH = np.array([1.06, 0.9])  # growth and productivity of the plant


def process(method: str) -> Process:
    """The bioreactor, fed with 2.2 mol/L of glucose; ``own``: by the unit's own adaptive integrator."""
    return unit_process(
        fmus.unit_model("bioreactor_badr2021_fast"),
        HOUR,
        inputs=["supplement.flow", "growth_rate_factor", "productivity_factor"],
        outputs=OUTPUTS,
        states=STATES,
        values={"supplement.glucose": 2200.0},
        method="own" if method == "own" else "rk4",
        substeps=2,
    )


def law() -> NonlinearLaw:
    """1 g of antibody is worth 1, an hour of the vessel costs 1; the vessel holds 65 L."""
    return NonlinearLaw(
        process("rk4"),
        Specification(
            controlled=(
                Controlled("glucose", 2.0, weight=0.3, limits=(14.0, 50.0), rank=3),
                Controlled("broth_volume", 1.0, tracked=False, limits=(0.0, 65.0)),
            ),
            manipulated=(Manipulated("supplement.flow", (0.0, 1.0), 0.5, "L/h", max_move=0.1, weight_move=2.0),),
            economic=(EconomicTerm("holdup.mab", 1.0, "end"),),
            operating={"growth_rate_factor": 1.0, "productivity_factor": 1.0},
            batch=Batch(10 * DAY, 6 * DAY, 16 * DAY, value_per_hour=-1.0),
        ),
        [
            Channel("viable_cell_density", 0.0, relative_std=0.05),
            Channel("glucose", 1.0),
            Channel("titre", 0.02, delay=6),
        ],
        [
            DisturbanceState("input", "growth_rate_factor", 0.01, low=-0.5, high=0.5),
            DisturbanceState("input", "productivity_factor", 0.01, low=-0.5, high=0.5),
            DisturbanceState("rate", "amount.glucose", 2.0),
        ],
        LawOptions(grid=[1] * 20, start=START, start_std=np.array([0.5, 2e9, 1e8, 100.0, 5.0, 0.05]), memory=6),
    )


def main() -> None:
    """Simulate until the harvest and draw."""
    controller, plant, rng = law(), process("own"), np.random.default_rng(1)
    x, feed = START.copy(), np.array([0.0])
    controller.initialize(0.0, feed)
    rows, titres, plans = [], [], []
    for k in range(24 * 16):
        full = np.r_[feed, MISMATCH]
        y = plant.measure(x, full, []).full().ravel()
        titres.append(y[2])
        if k:
            controller.predict(feed)
        seen = y[0] * (1.0 + 0.05 * rng.normal()), y[1] + rng.normal(), titres[max(0, k - 6)] + 0.02 * rng.normal()
        controller.correct(np.array(seen), [True, True, k % 24 == 6])
        plan = controller.solve(k * HOUR, feed, np.array([16.7]))
        rows.append(np.r_[k / 24.0, y, feed, plan.decisions["harvest_time"] / DAY, controller.disturbance_estimate[:2]])
        if k in (48, 120, 192):
            plans.append((k / 24.0, plan))
        if plan.decisions["time_to_harvest"] <= 0.0:
            break
        feed = controller.admissible(plan.inputs[0], feed)
        x = plant.step(x, np.r_[feed, MISMATCH], []).full().ravel()
    draw(np.array(rows), plans)
    print(f"harvested after {rows[-1][0]:.1f} d with {rows[-1][5]:.0f} g in {rows[-1][4]:.1f} L")


def draw(rows: np.ndarray, plans: list) -> None:
    """Glucose and feed, what is in the vessel, the decided harvest."""
    days = rows[:, 0]
    figure = Figure(figsize=(10.0, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    left, middle, right = figure.subplots(1, 3)
    left.plot(days, rows[:, 2], color="C0", label="glucose [mmol/L]")
    left.axhline(16.7, color="k", linestyle=":", linewidth=1.0)
    left.plot(days, 100.0 * rows[:, 6], color="C1", label="feed [cL/h]")
    middle.plot(days, rows[:, 5], color="C2", label="antibody [g]")
    middle.plot(days, rows[:, 4], color="C0", label="volume [L]")
    middle.axhline(65.0, color="k", linestyle=":", linewidth=1.0)
    for start, plan in plans:
        at, mean, band = start + plan.ends / DAY, plan.outputs[:, 4], 2.0 * plan.outputs_std[:, 4]
        middle.fill_between(at, mean - band, mean + band, color="C2", alpha=0.15, linewidth=0)
        middle.plot(at, mean, color="C2", linewidth=0.8, linestyle="--")
    right.plot(days, rows[:, 7], color="C3", label="decided harvest [d]")
    right.plot(days, days, "k:", linewidth=1.0, label="today")
    for axis, title in ((left, "glucose and feed"), (middle, "in the vessel, with three plans"), (right, "harvest")):
        axis.set_title(title, fontsize=10)
        axis.set_xlabel("time [d]")
        axis.grid(alpha=0.3)
        axis.legend(fontsize=7)
    figure.savefig(Path(__file__).parents[1] / "images" / "nonlinear_mpc.png", dpi=100)


if __name__ == "__main__":
    main()
