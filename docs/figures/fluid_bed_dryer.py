"""Draw docs/images/fluid_bed_dryer.png: an hour of the carousel, with wetter granules from the 20th minute."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from fmpy import simulate_fmu
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import fmus

FEED = np.array([(0.0, 0.20), (1200.0, 0.20), (1200.0, 0.22)], dtype=[("time", float), ("inlet.moisture", float)])


def main() -> None:
    """Simulate an hour; the moisture of the feed goes from 0.20 to 0.22 per dry solids."""
    result = simulate_fmu(
        str(fmus.build_fmu(fmus.unit_model("fluid_bed_dryer"))),
        fmi_type="CoSimulation",
        input=FEED,
        stop_time=3600.0,
        output_interval=2.0,
        output=["outlet.mass_flow", "lod", "outlet_air.temperature", *(f"bed.temperature[{k}]" for k in range(1, 7))],
    )
    minutes = result["time"] / 60.0
    figure = Figure(figsize=(7.0, 5.4), layout="constrained")
    FigureCanvasAgg(figure)
    upper, middle, lower = figure.subplots(3, sharex=True)
    for k in range(1, 7):
        upper.plot(minutes, result[f"bed.temperature[{k}]"] - 273.15, lw=1.0, color="0.7" if k > 1 else "tab:red",
                   label="cell 1" if k == 1 else "cells 2 to 6" if k == 2 else None)  # fmt: skip
    upper.plot(minutes, result["outlet_air.temperature"] - 273.15, color="tab:blue", label="outlet air")
    upper.set_ylabel("temperature [degC]")
    upper.legend(loc="upper right", ncols=3, fontsize="small")
    upper.set_ylim(20.0, 70.0)
    middle.plot(minutes, 1000.0 * result["outlet.mass_flow"], color="black", lw=1.0)
    middle.set_ylabel("outlet [g/s]")
    discharged = result["lod"].copy()
    discharged[minutes < 11.5] = np.nan
    lower.plot(minutes, discharged, color="black", drawstyle="steps-post")
    lower.axvline(20.0, color="tab:blue", ls=":", label="feed 0.20 to 0.22 water per dry solids")
    lower.set_ylabel("LOD [%]")
    lower.set_xlabel("time [min]")
    lower.legend(loc="lower right", fontsize="small")
    for axis in (upper, middle, lower):
        axis.grid(alpha=0.3)
    figure.savefig(Path(__file__).parents[1] / "images" / "fluid_bed_dryer.png", dpi=100)


if __name__ == "__main__":
    main()
