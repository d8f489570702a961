"""Draw docs/images/hopper_and_lubrication.png: pulses through the hopper; lubrication against speed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from fmpy import simulate_fmu
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import fmus

DURATION = 1800.0
_LUBRICATION = "outlet_attributes.lubrication"


def pulses() -> np.ndarray:
    """0.9 kg in 10 s, every 180 s."""
    rows = []
    for begin in np.arange(0.0, DURATION, 180.0):
        rows += [(begin, 0.09), (begin + 10.0, 0.09), (begin + 10.0, 0.0), (begin + 180.0, 0.0)]
    return np.array(rows, dtype=[("time", float), ("inlet.mass_flow", float)])


def main() -> None:
    """Simulate both units and draw."""
    hopper = simulate_fmu(
        str(fmus.build_fmu(fmus.unit_model("granule_hopper"))),
        input=pulses(),
        stop_time=DURATION,
        output_interval=1.0,
        output=["outlet.mass_flow", "level"],
    )
    blender = str(fmus.build_fmu(fmus.unit_model("lubricant_blender")))
    figure = Figure(figsize=(8.0, 3.2), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    left.plot(hopper["time"] / 60.0, hopper["level"], color="tab:blue", label="level [%]")
    left.plot(hopper["time"] / 60.0, 3600.0 * hopper["outlet.mass_flow"], color="tab:red", label="outlet [kg/h]")
    left.set(xlabel="time [min]", ylim=(0.0, None), title="hopper: 0.9 kg every 3 min")
    left.legend()
    for share in (0.005, 0.01, 0.02):
        speeds, found = np.arange(50.0, 401.0, 50.0), []
        for speed in speeds:
            starts = {"impeller_speed": speed, "lubricant.mass_flow": share * 18.0 / 3600}
            run = simulate_fmu(blender, start_values=starts, stop_time=1200.0, output=[_LUBRICATION])
            found.append(run[_LUBRICATION][-1])
        right.plot(speeds, found, marker="o", markersize=3, label=f"{100 * share:g} % lubricant")
    right.set(
        xlabel="impeller speed [rpm]",
        ylim=(0.0, 6.0),
        ylabel="lubricant times revolutions",
        title="lubricant blender at rest",
    )
    right.legend()
    for axis in (left, right):
        axis.grid(alpha=0.3)
    figure.savefig(Path(__file__).parents[1] / "images" / "hopper_and_lubrication.png", dpi=110)


if __name__ == "__main__":
    main()
