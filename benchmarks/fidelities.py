"""The fast variants of units beside the detailed ones: how much they differ, and what they save.

    python benchmarks/fidelities.py [granulator mill dryer bioreactor]

Both take the same steps with the same inputs. Differences are of the fast one from the detailed one; what a step
costs is the processor's time through FMPy, which adds about the same to both. The pages in docs/models quote these.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from fmpy import extract, read_model_description
from fmpy.fmi2 import FMU2Slave

import fmus
from fmus.granules import lognormal_fractions

FEED = Path(__file__).parents[1] / "tests" / "fmus" / "units" / "bioreactor_badr2021_feed.csv"
POWDER = 20.0 / 3600
HOUR = 3600.0


class Unit:
    """An FMU by the names of its variables."""

    def __init__(self, name: str, folder: str, **start: float) -> None:
        place = extract(str(fmus.build_fmu(fmus.unit_model(name))), tempfile.mkdtemp(dir=folder))
        description = read_model_description(place)
        self.references = {v.name: v.valueReference for v in description.modelVariables}
        self.slave = FMU2Slave(
            guid=description.guid,
            unzipDirectory=place,
            modelIdentifier=description.coSimulation.modelIdentifier,
            instanceName=name,
        )
        self.slave.instantiate()
        self.slave.setupExperiment(startTime=0.0)
        self.set(start)
        self.slave.enterInitializationMode()
        self.slave.exitInitializationMode()
        self.time, self.steps, self.spent = 0.0, 0, 0.0

    def set(self, values: Mapping[str, float]) -> None:
        self.slave.setReal([self.references[n.replace("__", ".")] for n in values], list(values.values()))

    def get(self, *names: str) -> np.ndarray:
        return np.array(self.slave.getReal([self.references[n] for n in names]))

    def step(self, size: float) -> None:
        began = time.process_time()
        self.slave.doStep(self.time, size)
        self.spent += time.process_time() - began
        self.steps += 1
        self.time += size

    def record(self, size: float, steps: int, names: Sequence[str]) -> np.ndarray:
        rows = []
        for _ in range(steps):
            self.step(size)
            rows.append(self.get(*names))
        return np.array(rows)

    def cost(self) -> float:
        """Microseconds a step since the last call."""
        cost = 1e6 * self.spent / self.steps
        self.steps, self.spent = 0, 0.0
        return cost


def steps(units: Sequence[Unit], names: Sequence[str], changes: Mapping[str, Mapping[str, float]]) -> None:
    """One change after the other, from rest: the largest difference during a step and the one after it."""
    for unit in units:
        unit.record(1.0, 300, [])
        unit.cost()
    print(f"{'step':32}" + "".join(f"{name + ' [%]':>24}" for name in names))
    for title, change in changes.items():
        for unit in units:
            unit.set(change)
        detailed, fast = (unit.record(1.0, 120, names) for unit in units)
        apart = 100.0 * np.abs(fast / detailed - 1.0)
        cells = (f"{most:.2f}, then {last:.2f}" for most, last in zip(apart.max(axis=0), apart[-1], strict=True))
        print(f"{title:32}" + "".join(f"{cell:>24}" for cell in cells))
    costs(units, "inputs that step every two minutes, steps of 1 s", 1.0)
    for unit in units:
        for k in range(200):
            unit.set({name: value * (1 + 0.02 * (k % 3 - 1)) for name, value in next(iter(changes.values())).items()})
            unit.step(1.0)
    costs(units, "an input that moves in every step of 1 s", 1.0)


def costs(units: Sequence[Unit], case: str, size: float) -> None:
    """What a step of ``size`` [s] costs both."""
    detailed, fast = (unit.cost() for unit in units)
    print(f"  {case}: detailed {detailed:.1f} us a step ({1e6 * size / detailed:,.0f} times real time), ", end="")
    print(f"fast {fast:.1f} us ({1e6 * size / fast:,.0f} times), ratio {detailed / fast:.1f}")


def granulator(folder: str) -> None:
    """L/S, speed and powder flow step."""
    units = [Unit(f"twin_screw_granulator{kind}", folder) for kind in ("", "_fast")]
    changes = {
        "liquid: L/S .20 to .24": {"liquid.mass_flow": 0.24 * POWDER},
        "screws 675 to 850 rpm": {"screw_speed": 850.0},
        "powder 20 to 16 kg/h": {"inlet.mass_flow": 0.8 * POWDER},
    }
    steps(units, ("d50", "fines", "outlet.mass_flow", "torque"), changes)


def mill(folder: str) -> None:
    """Speed, screen, feed and moisture step."""
    units = [Unit(f"cone_mill{kind}", folder) for kind in ("", "_fast")]
    changes = {
        "speed 900 to 1100 rpm": {"impeller_speed": 1100.0},
        "openings 10 % wider": {"screen_wear": 0.1},
        "feed 20.4 to 16.2 kg/h": {"inlet.mass_flow": 4.5e-3},
        "moisture 2 to 3 %": {"inlet.moisture": 0.03},
        "30 % of the screen shut": {"screen_blinding": 0.3},
    }
    steps(units, ("d50", "fines", "outlet.mass_flow"), changes)


def dryer(folder: str) -> None:
    """Loss on drying and sizes of the first cell, for a log-normal feed and for two populations."""
    names = [f"outlet.size[{k + 1}]" for k in range(30)]
    feeds = {
        "log-normal, 500 um": lognormal_fractions(500e-6, 0.6),
        "700 um and 30 % of 90 um": 0.7 * lognormal_fractions(700e-6, 0.5) + 0.3 * lognormal_fractions(90e-6, 0.5),
    }
    for title, sizes in feeds.items():
        start = {f"inlet.size[{k + 1}]": float(share) for k, share in enumerate(sizes)}
        units = [Unit(f"fluid_bed_dryer{kind}", folder, drying_time=400.0, **start) for kind in ("", "_fast")]
        found = [(unit.record(1.0, 590, ["lod"])[-1, 0], unit.get(*names)) for unit in units]
        apart = np.abs(np.cumsum(found[1][1] - found[0][1])).max()
        print(f"{title:32}LOD {found[0][0]:.3f} and {found[1][0]:.3f} %, cumulative sizes apart by {apart:.4f} at most")
        costs(units, "steps of 1 s", 1.0)
    for unit in units:
        unit.record(10.0, 360, [])
    costs(units, "steps of 10 s", 10.0)


def bioreactor(folder: str) -> None:
    """The reconstructed fed-batch of Badr et al. 2021, 336 h with the loops working."""
    lines = FEED.read_text(encoding="utf-8").splitlines()
    rows = list(csv.DictReader(line for line in lines if not line.startswith("#")))
    names = ("viable_cell_density", "titre", "lactate")
    start = {"initial.glucose": 39.0, "supplement.glucose": 722.0}
    units = [Unit(f"bioreactor_badr2021{kind}", folder, **start) for kind in ("", "_fast")]
    for unit in units:
        for quarter in range(4 * 336):
            flow = [0.0, *(float(r["flow"]) for r in rows if float(r["from_hour"]) <= quarter / 4 + 1e-9)][-1]
            unit.set({"supplement.flow": flow})
            unit.step(0.25 * HOUR)
    ends = [unit.get(*names) for unit in units]
    shown = (f"{name} {100 * (fast / true - 1):+.1f} %" for name, true, fast in zip(names, *ends, strict=True))
    print("fed-batch, at 336 h:            " + ", ".join(shown))
    print(f"  base that the detailed one took: {units[0].get('added.base')[0]:.1f} L")
    costs(units, "steps of 15 min", 0.25 * HOUR)
    units = [Unit(f"bioreactor_badr2021{kind}", folder, **start) for kind in ("", "_fast")]
    for unit in units:
        unit.record(60.0, 7 * 24 * 60, [])
    costs(units, "seven days in steps of 60 s", 60.0)


UNITS: dict[str, Callable[[str], None]] = {
    "granulator": granulator,
    "mill": mill,
    "dryer": dryer,
    "bioreactor": bioreactor,
}


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("units", nargs="*", metavar="UNIT", help=f"of {' '.join(UNITS)}; default: all")
    folder = tempfile.mkdtemp(prefix="galenic-fidelities-")
    try:
        for name in parser.parse_args().units or UNITS:
            if name not in UNITS:
                parser.error(f"no unit '{name}': {', '.join(UNITS)}")
            print(f"{name}: fast beside detailed")
            UNITS[name](folder)
            print(flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
