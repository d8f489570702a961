"""Many lives of one FMU in this process: ``python endurance.py WHAT FOLDER CYCLES``; prints memory and open files.

A life: instantiate, initialise, step, save and restore the state by way of bytes, derive, make a wrong call, reset,
step again, free. The library stays loaded and nothing is extracted again, so that only the FMU can grow.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from fmpy import read_model_description
from fmpy.fmi1 import FMICallException
from fmpy.fmi2 import FMU2Model, FMU2Slave
from fmpy.fmi3 import FMU3Model, FMU3Slave

CLASSES = {"2cs": FMU2Slave, "2me": FMU2Model, "3cs": FMU3Slave, "3me": FMU3Model}


class Lives:
    """One loaded library whose instances live one after the other."""

    def __init__(self, what: str, folder: str) -> None:
        self.description = read_model_description(folder)
        kind = self.description.coSimulation if what.endswith("cs") else self.description.modelExchange
        self.version, self.exchange = int(what[0]), what.endswith("me")
        self.fmu: Any = CLASSES[what](
            guid=self.description.guid,
            unzipDirectory=folder,
            modelIdentifier=kind.modelIdentifier,
            instanceName="mortal",
        )
        known = {v.name: v for v in self.description.modelVariables}
        inputs = [v for v in known.values() if v.causality == "input" and v.type in ("Real", "Float64")]
        self.inputs = {int(v.valueReference): float(v.start) for v in inputs if not v.dimensions}
        outputs = [v for v in known.values() if v.causality == "output" and v.type in ("Real", "Float64")]
        self.outputs = [int(v.valueReference) for v in outputs if not v.dimensions]
        self.parameter = next(
            int(v.valueReference) for v in known.values() if v.causality == "parameter" and v.variability == "fixed"
        )
        self.states = self.description.numberOfContinuousStates
        self.indicators = self.description.numberOfEventIndicators

    def begin(self) -> None:
        if self.version == 2:
            self.fmu.setupExperiment(startTime=0.0)
            self.fmu.enterInitializationMode()
        else:
            self.fmu.enterInitializationMode(startTime=0.0)
        self.fmu.exitInitializationMode()
        self.time = 0.0
        if self.exchange:
            (self.fmu.newDiscreteStates if self.version == 2 else self.fmu.updateDiscreteStates)()
            self.fmu.enterContinuousTimeMode()

    def set(self, references: list[int], values: list[float]) -> None:
        (self.fmu.setReal if self.version == 2 else self.fmu.setFloat64)(references, values)

    def get(self) -> list[float]:
        return list((self.fmu.getReal if self.version == 2 else self.fmu.getFloat64)(self.outputs))

    def step(self, size: float) -> None:
        self.set(list(self.inputs), [1.01 * start for start in self.inputs.values()])
        if self.exchange:
            x, rates = np.zeros(self.states), np.zeros(self.states)
            indicators = np.zeros(self.indicators)
            at = [array.ctypes.data_as(ctypes.POINTER(ctypes.c_double)) for array in (x, rates, indicators)]
            derivatives = self.fmu.getDerivatives if self.version == 2 else self.fmu.getContinuousStateDerivatives
            self.fmu.getContinuousStates(at[0], self.states)
            derivatives(at[1], self.states)
            self.fmu.getEventIndicators(at[2], self.indicators)
            x += 0.01 * size * rates
            self.fmu.setTime(self.time + 0.01 * size)
            self.fmu.setContinuousStates(at[0], self.states)
            self.fmu.completedIntegratorStep()
        else:
            self.fmu.doStep(self.time, size)
        self.time += size * (0.01 if self.exchange else 1.0)

    def save_and_restore(self) -> None:
        fmu, two = self.fmu, self.version == 2
        before = self.get()
        time = self.time
        state = fmu.getFMUState()
        data = fmu.serializeFMUState(state)
        fmu.freeFMUState(state)
        self.step(20.0)
        assert self.get() != before
        again = (fmu.deSerializeFMUstate if two else fmu.deserializeFMUState)(data)
        fmu.setFMUState(again)
        fmu.freeFMUState(again)
        self.time = time
        assert self.get() == before

    def live(self) -> None:
        self.fmu.instantiate()
        self.begin()
        self.step(20.0)
        self.save_and_restore()
        self.fmu.getDirectionalDerivative([self.outputs[-1]], [next(iter(self.inputs))], [1.0])
        try:
            self.set([self.parameter], [1.0])
        except FMICallException:
            pass
        else:
            raise AssertionError("a fixed parameter was set in the run")
        self.fmu.reset()
        self.begin()
        self.step(20.0)
        self.fmu.terminate()
        self.free()

    def free(self) -> None:
        """Without unloading the library, as FMPy's own method does."""
        (self.fmu.fmi2FreeInstance if self.version == 2 else self.fmu.fmi3FreeInstance)(self.fmu.component)


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    """Warm up, count, live on, count again."""
    what, folder, cycles = sys.argv[1], sys.argv[2], int(sys.argv[3])
    lives = Lives(what, folder)
    # an FMU that refuses a call says so, here 10,000 times
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    answer, counts = sys.stderr, []
    for number in range(cycles):
        if number == cycles // 2:
            counts.append((resident_bytes(), len(os.listdir("/proc/self/fd"))))
        lives.live()
    counts.append((resident_bytes(), len(os.listdir("/proc/self/fd"))))
    print(json.dumps(counts), file=answer)


if __name__ == "__main__":
    main()
