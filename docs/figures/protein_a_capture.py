"""Draw docs/images/protein_a_capture.png: a breakthrough beside cadet-core's, and three columns over their cycles."""

from __future__ import annotations

import contextlib
import csv
import io
import math
from pathlib import Path

import numpy as np
from fmpy import simulate_fmu
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import fmus
from fmus.units.protein_a_column import protein_a_column

HOUR = 3600.0
ROOT = Path(__file__).parents[2]
#: as in tests/fmus/units/cadet_column.py: bed height [cm], superficial velocity [cm/h], antibody in the feed [g/L]
CURVES = {"reference": (10.0, 200.0, 3.0), "taller_faster_thinner": (20.0, 300.0, 1.0)}


def simulated(model: fmus.UnitModel, stop: float, interval: float, output: list[str], **starts: float) -> np.ndarray:
    """The outputs of a unit at its start values but for ``starts`` (``__`` stands for a dot)."""
    with contextlib.redirect_stdout(io.StringIO()):  # the importer names every input that stays at its start
        return simulate_fmu(
            str(fmus.build_fmu(model)),
            stop_time=stop,
            output_interval=interval,
            output=output,
            start_values={k.replace("__", "."): v for k, v in starts.items()},
        )


def main() -> None:
    """Simulate, print the differences from cadet-core, draw."""
    figure = Figure(figsize=(10.0, 6.0), layout="constrained")
    FigureCanvasAgg(figure)
    (against, bound), (leaving, pools) = figure.subplots(2, 2)

    recorded = ROOT / "tests" / "fmus" / "units" / "protein_a_column_cadet.csv"
    with recorded.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    for curve, (height, velocity, feed) in CURVES.items():
        times, expected = np.array([[float(r["second"]), float(r["mab"])] for r in rows if r["curve"] == curve]).T
        flow = velocity * 0.1 * math.pi / 4.0 * 0.7**2
        starts = {"bed_height": height, "inlet__flow": flow, "inlet__mab": feed}
        against.plot(times / HOUR, 100.0 * expected / feed, "k.", ms=3, label="cadet-core" if feed > 2 else None)
        for cells, style in ((12, "--"), (24, "-")):
            model = protein_a_column(cells=cells)
            run = simulated(model, times[-1], times[1], ["leaving.mab"], **starts)
            worst = np.max(np.abs(run["leaving.mab"] - expected)) / feed
            at = [np.interp(30.0, 100.0 * c / feed, times) for c in (run["leaving.mab"], expected)]
            print(f"{curve}, {cells} cells: worst {worst:.2%} of the feed, 30 % at {at[0]:.0f} s for {at[1]:.0f} s")
            text = f"{height:g} cm, {velocity:g} cm/h, {feed:g} g/L, {cells} cells"
            against.plot(times / HOUR, 100.0 * run["leaving.mab"] / feed, style, lw=1, label=text)
    against.set(title="breakthrough of one column [% of the feed]")

    names = [f"column_{part}[{k}]" for part in ("bound", "breakthrough", "state") for k in (1, 2, 3)]
    records = ["eluate.mab", "pool.titre", "resin_utilisation", "yield"]
    run = simulated(fmus.unit_model("protein_a_capture"), 8 * HOUR, 20.0, [*names, *records])
    hours = run["time"] / HOUR
    for k in (1, 2, 3):
        bound.plot(hours, run[f"column_bound[{k}]"], label=f"column {k}")
        loaded = run[f"column_state[{k}]"] <= 1
        leaving.plot(hours, np.where(loaded, run[f"column_breakthrough[{k}]"], np.nan), label=f"column {k}")
    bound.set(title="three columns: antibody bound [g per litre of bed]", ylim=(0.0, 70.0))
    leaving.axhline(30.0, color="0.6", lw=0.8)
    leaving.set(title="breakthrough of the loaded columns [% of the feed]", ylim=(0.0, 38.0))
    pools.plot(hours, run["eluate.mab"], lw=1, label="eluate [g/L]")
    pools.plot(hours, run["pool.titre"], label="last pool [g/L]")
    pools.set(title="eluate", ylim=(0.0, 70.0))
    for axis in (against, bound, leaving, pools):
        axis.set_xlabel("time [h]")
        if axis is against:
            axis.legend(fontsize=7, loc="lower right")
        else:
            axis.legend(fontsize=7, loc="upper left", ncols=3)
        axis.grid(alpha=0.3)
    figure.savefig(ROOT / "docs" / "images" / "protein_a_capture.png", dpi=100)


if __name__ == "__main__":
    main()
