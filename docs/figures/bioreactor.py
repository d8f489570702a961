"""Draw docs/images/bioreactor.png: three published cultures, and what surrounds the cells at two scales."""

from __future__ import annotations

import contextlib
import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
from fmpy import simulate_fmu
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import fmus
from fmus.bioreactor import bioreactor

TABLES = Path(__file__).parents[2] / "tests" / "fmus" / "units"
HOUR = 3600.0
PUBLISHED = {"effect.sensitivity": 0.0, "ph_loop.manual": 1.0}


def table(name: str) -> list[dict[str, str]]:
    """The rows of a golden table of the tests."""
    lines = (TABLES / f"bioreactor_{name}.csv").read_text(encoding="utf-8").splitlines()
    return list(csv.DictReader(line for line in lines if not line.startswith("#")))


def run(model: fmus.UnitModel, hours: float, outputs: list[str], starts: dict[str, float], inputs: Any = None) -> Any:
    """One culture, recorded every 15 min."""
    path = str(fmus.build_fmu(model))
    with contextlib.redirect_stdout(io.StringIO()):  # the importer names every input that stays at its start
        return simulate_fmu(
            path, stop_time=hours * HOUR, output_interval=900.0, start_values=starts, input=inputs, output=outputs
        )


def steps(signal: str, changes: list[tuple[float, float]], end: float) -> np.ndarray:
    """An input that is constant between its ``changes`` (hour, value)."""
    rows = [(0.0, 0.0)]
    for hour, value in changes:
        rows += [(hour * HOUR, rows[-1][1]), (hour * HOUR, value)]
    return np.array([*rows, (end * HOUR, rows[-1][1])], dtype=[("time", float), (signal, float)])


def fed_batch(scale: float = 1.0, **starts: float) -> Any:
    """The fed-batch of Badr et al. 2021 at ``scale`` times 50 L."""
    feed = [(float(r["from_hour"]), scale * float(r["flow"])) for r in table("badr2021_feed")]
    names = ["viable_cell_density", "titre", "lactate", "ph", "oxygen", "dissolved_co2", "off_gas.oxygen"]
    begin = {"initial.glucose": 39.0, "supplement.glucose": 722.0, "supplement.osmolality": 800.0}
    begin |= {"initial.volume": 50.0 * scale, "working_volume": 100.0 * scale}
    return run(bioreactor("badr2021"), 336.0, names, begin | starts, steps("supplement.flow", feed, 336.0))


def main() -> None:
    """Simulate and draw."""
    figure = Figure(figsize=(10.5, 5.6), layout="constrained")
    FigureCanvasAgg(figure)
    (amribt, cells, antibody), (kornecki, oxygen, carbon) = figure.subplots(2, 3)

    starts = PUBLISHED | {"feed.glucose": 15.0, "feed.glutamine": 9.3}
    names = ["viable_cell_density", "dead_cell_density"]
    culture = run(bioreactor("amribt2013"), 200.0, names, starts, steps("feed.flow", [(63.5, 0.1 / 24)], 200.0))
    golden = table("amribt2013")
    for name, label, colour in ((names[0], "viable", "tab:blue"), (names[1], "dead", "tab:orange")):
        amribt.plot(culture["time"] / HOUR, culture[name] / 1e6, colour, label=label)
        amribt.plot([float(r["hour"]) for r in golden], [float(r[f"{label}_cells"]) for r in golden], "o", color=colour)
    amribt.set(title="amribt2013: model, golden table", ylabel="cells [1e6/mL]")

    published = fed_batch(**PUBLISHED)
    measured, curve = table("badr2021_experiment"), table("badr2021_curve")
    for axis, name, column, factor in (
        (cells, "viable_cell_density", "viable_cells", 1e-6),
        (antibody, "titre", "mab", 1.0),
    ):
        axis.plot(published["time"] / HOUR, factor * published[name], label="model")
        points = [(float(r["hour"]), float(r["value"])) for r in curve if r["quantity"] == column]
        axis.plot(*zip(*points, strict=True), "ks", mfc="none", label="paper's curve")
        axis.plot([float(r["hour"]) for r in measured], [float(r[column]) for r in measured], "k.", label="measured")
    cells.set(title="badr2021: fed-batch", ylabel="viable cells [1e6/mL]")
    antibody.set(title="badr2021: antibody", ylabel="[g/L]")

    batch = run(bioreactor("kornecki2018"), 200.0, ["viable_cell_density", "glucose", "lactate"], PUBLISHED)
    kornecki.plot(batch["time"] / HOUR, batch["viable_cell_density"] / 1e6, label="viable cells [1e6/mL]")
    kornecki.plot(batch["time"] / HOUR, batch["glucose"] / 10.0, label="glucose [10 mmol/L]")
    kornecki.plot(batch["time"] / HOUR, batch["lactate"] / 10.0, label="lactate [10 mmol/L]")
    kornecki.plot([110.0], [5.8], "ks", mfc="none", label="expected peak")
    kornecki.set(title="kornecki2018: batch")

    for scale, stirrer in ((1.0, 100.0), (300.0, 28.0)):
        vessel = fed_batch(scale, agitation_setpoint=stirrer)
        label = f"{50 * scale:,.0f} L"
        oxygen.plot(vessel["time"] / HOUR, 100.0 * vessel["off_gas.oxygen"], label=label)
        carbon.plot(vessel["time"] / HOUR, vessel["dissolved_co2"], label=label)
    oxygen.set(title="oxygen in the off-gas [%]")
    carbon.set(title="dissolved carbon dioxide [mbar]")
    for axis in figure.axes:
        axis.set_xlabel("time [h]")
        axis.legend(fontsize=8)
        axis.grid(alpha=0.3)
    figure.savefig(Path(__file__).parents[1] / "images" / "bioreactor.png", dpi=100)


if __name__ == "__main__":
    main()
