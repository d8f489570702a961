"""Cost of one communication step of each unit: the FMU through FMPy beside the same functions called through CasADi.

    python benchmarks/unit_step.py [--steps 3000] [--repeats 5]

Both do the same steps of 1 s with the same integrator and are checked to agree; they take turns, and the ratio is taken
pair by pair. FMPy's own overhead (four calls from Python) is part of the FMU's figure.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import time

import numpy as np
from fmpy import extract, read_model_description
from fmpy.fmi2 import FMU2Slave

import fmus
from fmus.codegen import unit_functions_quietly


def compare(unit: str, steps: int, repeats: int) -> tuple[float, float, float]:
    """Median microseconds a step of FMU and CasADi, and the median ratio."""
    model = fmus.unit_model(unit)
    functions = unit_functions_quietly(model)
    folder = extract(str(fmus.build_fmu(model)))
    description = read_model_description(folder)
    slave = FMU2Slave(
        guid=description.guid,
        unzipDirectory=folder,
        modelIdentifier=description.coSimulation.modelIdentifier,
        instanceName=unit,
    )
    slave.instantiate()
    slave.setupExperiment(startTime=0.0)
    slave.enterInitializationMode()
    slave.exitInitializationMode()
    u = np.array([v.start for v, _ in model.inputs])
    p = np.array([v.start for v, _ in model.parameters])
    x = functions.initial(u, p, np.array([s.variable.start or 0.0 for s in model.states]))
    entries = list(range(len(u)))
    first = len(model.variables) - len(model.outputs)
    reals = [first + i for i, (v, _) in enumerate(model.outputs) if v.kind == "Real"]
    fmu_times, casadi_times, k = [], [], 0
    for _ in range(repeats):
        began = time.perf_counter()
        for i in range(k, k + steps):
            slave.setReal(entries, list(u))
            slave.doStep(float(i), 1.0)
            values = slave.getReal(reals)
        fmu_times.append(time.perf_counter() - began)
        began = time.perf_counter()
        for i in range(k, k + steps):
            z = functions.algebraic(i, x, u, p)
            x, z, means = functions.step(i, 1.0, x, z, u, p)
            y = functions.outputs(i + 1, x, functions.algebraic(i + 1, x, u, p), u, p, means)
        casadi_times.append(time.perf_counter() - began)
        k += steps
        np.testing.assert_allclose(values, np.asarray(y).ravel()[[r - first for r in reals]], rtol=1e-8, atol=1e-10)
    slave.freeInstance()
    shutil.rmtree(folder, ignore_errors=True)
    scale = 1e6 / steps
    ratio = statistics.median(c / f for c, f in zip(casadi_times, fmu_times, strict=True))
    return scale * statistics.median(fmu_times), scale * statistics.median(casadi_times), ratio


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    print(f"{'unit':24} {'FMU [us]':>10} {'CasADi [us]':>12} {'CasADi / FMU':>13}")
    for unit in fmus.unit_names():
        print("{:24} {:10.1f} {:12.1f} {:13.1f}".format(unit, *compare(unit, arguments.steps, arguments.repeats)))


if __name__ == "__main__":
    main()
