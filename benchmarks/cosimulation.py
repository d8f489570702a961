"""Stepping the tablet line: Galenic's master beside the same FMUs stepped by hand through FMPy, in one run.

    python benchmarks/cosimulation.py [--steps 3600] [--repeats 5]

Both load the same five FMUs, pass the same values between them and do the same steps; results are checked to be equal
before anything is timed. The two take turns, and the ratio of their times is taken pair by pair.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from fmpy import extract, read_model_description
from fmpy.fmi2 import FMU2Slave

import fmus
from cosim import Scenario, Simulation, load_scenario


class ByHand:
    """The system as one writes it with FMPy alone: getReal, setReal and doStep on lists, one FMU after the other."""

    def __init__(self, scenario: Scenario, simulation: Simulation) -> None:
        self.names = list(scenario.components)
        self.folders, self.fmus, self.out, self.into = [], {}, {}, {}
        wanted: dict[str, list[tuple[str, str]]] = {name: [] for name in self.names}
        gather = simulation.system.gather
        for source, target in zip(gather.source, gather.target, strict=True):
            sender, _, output = simulation.system.names[source].partition(".")
            receiver, _, entry = simulation.system.names[target].partition(".")
            wanted[receiver].append((f"{sender}.{output}", entry))
        for name in self.names:
            spec = scenario.components[name]
            folder = extract(str(fmus.build_fmu(fmus.unit_model(str(spec.unit)))))
            description = read_model_description(folder)
            references = {v.name: v.valueReference for v in description.modelVariables}
            slave = FMU2Slave(
                guid=description.guid,
                unzipDirectory=folder,
                modelIdentifier=description.coSimulation.modelIdentifier,
                instanceName=name,
            )
            slave.instantiate()
            slave.setupExperiment(startTime=0.0)
            values = next(c for c in simulation.system.components if c.name == name).values
            slave.setReal([references[n] for n in values], list(values.values()))
            slave.enterInitializationMode()
            # initialised like ours: with what drives the inputs at t = 0
            entries = [entry for _, entry in wanted[name]]
            if entries:
                slave.setReal([references[e] for e in entries], [simulation.get(f"{name}.{e}") for e in entries])
            slave.exitInitializationMode()
            reals = [v for v in description.modelVariables if v.causality == "output" and v.type == "Real"]
            self.folders.append(folder)
            self.fmus[name] = slave
            self.out[name] = ([f"{name}.{v.name}" for v in reals], [v.valueReference for v in reals])
            self.into[name] = ([s for s, _ in wanted[name]], [references[e] for _, e in wanted[name]])
        self.signals: dict[str, float] = {}
        self.read()

    def read(self) -> None:
        for name in self.names:
            keys, references = self.out[name]
            self.signals.update(zip(keys, self.fmus[name].getReal(references), strict=True))

    def run(self, start: int, steps: int, h: float) -> None:
        for k in range(start, start + steps):
            for name in self.names:
                sources, references = self.into[name]
                if references:
                    self.fmus[name].setReal(references, [self.signals[s] for s in sources])
            for name in self.names:
                self.fmus[name].doStep(k * h, h)
            self.read()

    def close(self) -> None:
        for slave in self.fmus.values():
            slave.freeInstance()
        for folder in self.folders:
            shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=3600)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    scenario = load_scenario("tablet_line").model_copy(
        update={"disturbances": [], "sensors": {}, "controllers": {}, "duration": 1e6}
    )
    with Simulation(scenario) as galenic, tempfile.TemporaryDirectory() as folder:
        galenic.initialize()
        by_hand = ByHand(scenario, galenic)
        ours, theirs, recorded = [], [], []
        done = 0
        for _ in range(arguments.repeats):
            began = time.perf_counter()
            galenic.step(arguments.steps)
            ours.append(time.perf_counter() - began)
            began = time.perf_counter()
            by_hand.run(done, arguments.steps, 1.0)
            theirs.append(time.perf_counter() - began)
            done += arguments.steps
            with Simulation(scenario, out=Path(folder) / "recorded") as recording:
                recording.initialize()
                began = time.perf_counter()
                recording.step(arguments.steps)
                recorded.append(time.perf_counter() - began)
        mine = np.array([galenic.get(s) for s in by_hand.signals])
        np.testing.assert_allclose(mine, list(by_hand.signals.values()), rtol=1e-12, atol=1e-15)
        by_hand.close()
    fmu_steps = arguments.steps * len(scenario.components)
    print(f"{arguments.repeats} x {arguments.steps} steps of {len(scenario.components)} FMUs, results equal to 1e-12")
    print(f"galenic, nothing recorded   {1e6 * statistics.median(ours) / fmu_steps:7.2f} us per FMU-step")
    print(f"galenic, all recorded       {1e6 * statistics.median(recorded) / fmu_steps:7.2f} us per FMU-step")
    print(f"FMPy by hand, not recorded  {1e6 * statistics.median(theirs) / fmu_steps:7.2f} us per FMU-step")
    ratio = statistics.median(t / o for t, o in zip(theirs, ours, strict=True))
    print(f"FMPy / galenic              {ratio:7.2f}")


if __name__ == "__main__":
    main()
