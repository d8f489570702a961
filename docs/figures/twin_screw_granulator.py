"""Draw docs/images/twin_screw_granulator.png: sizes against liquid and speed, and steps of both fidelities."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
from fmpy import simulate_fmu
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import fmus
from fmus.granules import N_SIZES, SIZE_EDGES, SIZES

ROOT = Path(__file__).parents[2]
POWDER = 20.0 / 3600
CLASSES = [f"outlet.size[{k + 1}]" for k in range(N_SIZES)]
STEPS = np.array(
    [(0.0, 4.0, 675.0, 20.0), (60.0, 4.8, 675.0, 20.0), (120.0, 4.8, 850.0, 20.0), (180.0, 4.8, 850.0, 16.0)]
)


def main() -> None:
    """Simulate both granulators and draw."""
    paths = {
        label: str(fmus.build_fmu(fmus.unit_model(unit)))
        for label, unit in (("detailed", "twin_screw_granulator"), ("fast", "twin_screw_granulator_fast"))
    }
    figure = Figure(figsize=(10.5, 3.3), layout="constrained")
    FigureCanvasAgg(figure)
    left, middle, right = figure.subplots(1, 3)
    for ratio, colour in ((0.12, "tab:orange"), (0.20, "tab:blue"), (0.28, "tab:green")):
        run = rest(paths["detailed"], ratio, CLASSES)
        density = np.array([run[name][-1] for name in CLASSES]) / np.diff(np.log(SIZE_EDGES))
        left.semilogx(1e6 * SIZES, density, color=colour, label=f"L/S {ratio:.2f}")
    left.set(xlabel="size [um]", ylabel="dry mass per ln(size)", title="at rest, 675 rpm")
    left.legend()

    ratios = np.arange(0.10, 0.301, 0.04)
    for label, style in (("detailed", "-"), ("fast", ":")):
        runs = [rest(paths[label], ratio, ["d50", "fines"]) for ratio in ratios]
        middle.plot(ratios, [r["d50"][-1] for r in runs], "tab:blue", ls=style, label=f"d50 [um], {label}")
        middle.plot(
            ratios, [20.0 * r["fines"][-1] for r in runs], "tab:red", ls=style, label=f"fines [% x 20], {label}"
        )
    for row in table():
        if row["fines"]:
            middle.plot(float(row["liquid_to_solid"]), float(row["d50"]), "o", color="tab:blue", markersize=4)
            middle.plot(float(row["liquid_to_solid"]), 20.0 * float(row["fines"]), "o", color="tab:red", markersize=4)
    middle.set(xlabel="liquid to solid", title="at rest; dots: the table")
    middle.legend(fontsize=7, loc="upper center")
    middle.set_ylim(0.0, 1100.0)

    inputs = np.zeros(
        8, [("time", float)] + [(n, float) for n in ("liquid.mass_flow", "screw_speed", "inlet.mass_flow")]
    )
    for i, (begin, liquid, speed, powder) in enumerate(STEPS):
        end = STEPS[i + 1, 0] if i + 1 < len(STEPS) else 240.0
        for k, t in enumerate((begin, end)):
            inputs[2 * i + k] = (t, liquid / 3600, speed, powder / 3600)
    for label, style in (("detailed", "-"), ("fast", ":")):
        run = simulate_fmu(
            paths[label], input=inputs, stop_time=240.0, output_interval=1.0, output=["d10", "d50", "d90"]
        )
        for name, colour in (("d10", "tab:green"), ("d50", "tab:blue"), ("d90", "tab:purple")):
            shown = run["time"] > 30.0  # before that the detailed barrel fills with granules
            right.plot(run["time"][shown], run[name][shown], colour, ls=style, label=f"{name}, {label}")
    right.set(xlabel="time [s]", ylabel="[um]", title="steps of liquid, speed, powder", ylim=(0.0, 1900.0))
    right.legend(fontsize=7, ncols=2)
    for axis in (left, middle, right):
        axis.grid(alpha=0.3)
    figure.savefig(ROOT / "docs" / "images" / "twin_screw_granulator.png", dpi=110)


def rest(path: str, ratio: float, output: list[str]) -> Any:
    """A run of 100 s at this liquid-to-solid ratio."""
    starts = {"liquid.mass_flow": ratio * POWDER}
    return simulate_fmu(path, start_values=starts, stop_time=100.0, output_interval=10.0, output=output)


def table() -> list[dict[str, str]]:
    """The rows of the table that the parameters were fitted to."""
    file = ROOT / "tests" / "fmus" / "units" / "twin_screw_granulator.csv"
    lines = file.read_text(encoding="utf-8").splitlines()
    return list(csv.DictReader(line for line in lines if not line.startswith("#")))


if __name__ == "__main__":
    main()
