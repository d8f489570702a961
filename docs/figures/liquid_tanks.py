"""Draw docs/images/liquid_tanks.png: a pulsating pump and a rich hour, before and behind a surge tank."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import numpy as np
from fmpy import simulate_fmu
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import fmus

HOUR = 3600.0


def main() -> None:
    """Simulate a media tank and a surge tank for a day and draw."""
    day = {"stop_time": 24 * HOUR, "output_interval": 120.0}
    media, surge = (str(fmus.build_fmu(fmus.unit_model(unit))) for unit in ("media_tank", "surge_tank"))
    starts = {
        "flow_setpoint": 0.5,
        "pulsation_amplitude": 0.2,
        "pulsation_frequency": 1 / 7200.0,
        "initial_volume": 9.0,
    }
    pumped = simulate_fmu(media, start_values=starts, output=["outlet.flow", "level"], **day)
    antibody = np.array(
        [(0.0, 1.0), (6 * HOUR, 1.0), (6 * HOUR, 3.0), (7 * HOUR, 3.0), (7 * HOUR, 1.0), (24 * HOUR, 1.0)],
        dtype=[("time", float), ("inlet.mab", float)],
    )
    starts = {"inlet.flow": 0.5, "outlet_flow_setpoint": 0.5, "initial_volume": 1.0}
    with contextlib.redirect_stdout(io.StringIO()):  # the importer names every input that stays at its start
        held = simulate_fmu(surge, start_values=starts, input=antibody, output=["outlet.mab"], **day)

    figure = Figure(figsize=(9.0, 3.2), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    left.plot(pumped["time"] / HOUR, pumped["outlet.flow"], label="flow [L/h]")
    left.plot(pumped["time"] / HOUR, pumped["level"] / 100.0, label="level [1]")
    left.set(title="media tank: 0.5 L/h asked, until it is empty")
    right.plot(antibody["time"] / HOUR, antibody["inlet.mab"], label="inlet")
    right.plot(held["time"] / HOUR, held["outlet.mab"], label="outlet")
    right.set(title="surge tank of 1 L at 0.5 L/h: antibody [g/L]")
    for axis in (left, right):
        axis.set_xlabel("time [h]")
        axis.legend(fontsize=8)
        axis.grid(alpha=0.3)
    figure.savefig(Path(__file__).parents[1] / "images" / "liquid_tanks.png", dpi=100)


if __name__ == "__main__":
    main()
