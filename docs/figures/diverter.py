"""Draw docs/images/diverter.png: where the stream goes while the flap is commanded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from fmpy import simulate_fmu
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import fmus

COMMANDS = np.array([(0.0, False), (5.0, True), (9.0, False), (14.0, True), (14.3, False)],
                    dtype=[("time", float), ("divert", bool)])  # fmt: skip


def main() -> None:
    """Simulate 20 s with two commands, the second taken back while the flap moves."""
    result = simulate_fmu(
        str(fmus.build_fmu(fmus.unit_model("diverter"))),
        input=COMMANDS,
        stop_time=20.0,
        output_interval=0.05,
        output=["accepted.mass_flow", "rejected.mass_flow", "position"],
    )
    figure = Figure(figsize=(7.0, 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    upper, lower = figure.subplots(2, sharex=True)
    for name, colour in (("accepted", "tab:blue"), ("rejected", "tab:red")):
        upper.plot(result["time"], 3600.0 * result[f"{name}.mass_flow"], color=colour, label=name)
    upper.set_ylabel("mass flow [kg/h]")
    upper.legend(loc="center right")
    lower.step([*COMMANDS["time"].tolist(), 20.0], [*COMMANDS["divert"].astype(float), 0.0], where="post", color="0.6",
               label="command")  # fmt: skip
    lower.plot(result["time"], result["position"], color="black", label="flap")
    lower.set_ylabel("0 accept, 1 reject")
    lower.set_xlabel("time [s]")
    lower.legend(loc="center right")
    for axis in (upper, lower):
        axis.grid(alpha=0.3)
    figure.savefig(Path(__file__).parents[1] / "images" / "diverter.png", dpi=110)


if __name__ == "__main__":
    main()
