"""Draw docs/images/penicillin_fermenter.png: two penicillin batches, each by recipe and with the PAA loop."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from cosim import Simulation, load_scenario

PANELS = (
    ("paa_concentration", "PAA [mg/L]"),
    ("biomass", "biomass [g/L]"),
    ("penicillin_concentration", "penicillin [g/L]"),
    ("penicillin_total", "in vessel and harvested [kg]"),
)
STYLES = {"penicillin_batch": ("recipe", "--"), "penicillin_batch_paa": ("PAA loop", "-")}
COLOURS = {7: "tab:blue", 8: "tab:red"}


def trajectory(scenario: str, seed: int) -> np.ndarray:
    """The panels' signals, shape (steps, panels)."""
    with Simulation(load_scenario(scenario), seed=seed) as simulation:
        rows = []
        for _ in range(simulation.steps):
            simulation.step()
            rows.append([simulation.get(f"fermenter.{name}") for name, _ in PANELS])
        return np.array(rows)


def main() -> None:
    """Run the four batches and draw them."""
    figure = Figure(figsize=(8.0, 5.0), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, 2, sharex=True).ravel()
    for seed, colour in COLOURS.items():
        for scenario, (label, line) in STYLES.items():
            rows = trajectory(scenario, seed)
            hours = 0.2 * np.arange(1, len(rows) + 1)
            for axis, column in zip(axes, rows.T, strict=True):
                axis.plot(hours, column, line, color=colour, linewidth=1.3, label=f"seed {seed}, {label}")
    axes[0].axhline(2400.0, color="0.5", linewidth=0.8)
    axes[0].legend(fontsize="small")
    for axis, (_, title) in zip(axes, PANELS, strict=True):
        axis.set_ylabel(title)
        axis.grid(alpha=0.3)
    for axis in axes[2:]:
        axis.set_xlabel("time [h]")
    figure.savefig(Path(__file__).parents[1] / "images" / "penicillin_fermenter.png", dpi=100)


if __name__ == "__main__":
    main()
