"""Draw docs/images/freeze_dryer.png: primary drying with the default recipe, and with a cake that resists twice."""

from __future__ import annotations

from pathlib import Path

from fmpy import simulate_fmu
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import fmus


def main() -> None:
    """Simulate 12 h of both."""
    path = str(fmus.build_fmu(fmus.unit_model("freeze_dryer")))
    names = ["product_temperature", "shelf_temperature", "sublimation_flux", "progress", "drying_time"]
    figure = Figure(figsize=(7.0, 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    upper, lower = figure.subplots(2, sharex=True)
    right = lower.twinx()
    for factor, colour, label in ((1.0, "black", "default"), (2.0, "tab:red", "cake resists twice")):
        result = simulate_fmu(
            path,
            fmi_type="CoSimulation",
            start_values={"resistance_factor": factor},
            stop_time=12 * 3600.0,
            output_interval=60.0,
            output=names,
        )
        hours = result["time"] / 3600.0
        upper.plot(hours, result["product_temperature"] - 273.15, color=colour, label=f"product, {label}")
        if factor == 1.0:
            upper.plot(hours, result["shelf_temperature"] - 273.15, color="tab:blue", label="shelf")
        lower.plot(hours, result["sublimation_flux"], color=colour)
        right.plot(hours, result["progress"], color=colour, ls=":")
    upper.axhline(-5.0, color="0.5", ls="--", lw=1.0, label="critical temperature")
    upper.set_ylabel("temperature [degC]")
    upper.legend(fontsize="small", loc="lower right")
    lower.set_ylabel("flux [kg/h/m2]")
    right.set_ylabel("progress, dotted [%]")
    lower.set_xlabel("time [h]")
    for axis in (upper, lower):
        axis.grid(alpha=0.3)
    figure.savefig(Path(__file__).parents[1] / "images" / "freeze_dryer.png", dpi=100)


if __name__ == "__main__":
    main()
