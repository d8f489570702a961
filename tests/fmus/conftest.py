from __future__ import annotations

import ctypes
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import fmpy.fmi2 as fmi2
import numpy as np
import pytest
from fmpy import extract, read_model_description

import fmus


class Driver:
    """An FMU driven through FMPy, the independent importer, by variable names; keeps what the FMU logs."""

    def __init__(self, path: Path) -> None:
        self.folder = extract(str(path))
        self.description = read_model_description(self.folder)
        self.variables = {v.name: v for v in self.description.modelVariables}
        self.messages: list[str] = []
        self.time = 0.0

        def keep(_: Any, name: bytes, status: int, category: bytes, message: bytes, argument: bytes) -> None:
            # variadic in C; this FMU hands every message as one "%s" argument
            assert name
            assert category
            self.messages.append((argument if message == b"%s" else message).decode())

        logger = ctypes.CFUNCTYPE(None, *([ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int] + [ctypes.c_char_p] * 3))(
            keep
        )
        self._keep_alive = logger
        callbacks = fmi2.fmi2CallbackFunctions(
            logger=ctypes.cast(logger, fmi2.fmi2CallbackLoggerTYPE), **_memory_callbacks()
        )
        self.fmu = fmi2.FMU2Slave(
            guid=self.description.guid,
            unzipDirectory=self.folder,
            modelIdentifier=self.description.coSimulation.modelIdentifier,
            instanceName=self.description.modelName,
        )
        self.fmu.instantiate(callbacks=callbacks)

    def start(self, **values: float) -> Driver:
        self.fmu.setupExperiment(startTime=0.0)
        self.set(**values)
        self.fmu.enterInitializationMode()
        self.fmu.exitInitializationMode()
        self.time = 0.0
        return self

    def reference(self, name: str) -> int:
        return int(self.variables[name.replace("__", ".")].valueReference)

    def set(self, **values: float) -> None:
        """Set variables of any type; ``__`` in a keyword stands for a dot in the variable's name."""
        for name, value in values.items():
            kind = self.variables[name.replace("__", ".")].type
            write = {"Real": self.fmu.setReal, "Boolean": self.fmu.setBoolean}.get(kind, self.fmu.setInteger)
            write([self.reference(name)], [value if kind == "Real" else round(value)])

    def get(self, name: str) -> float:
        kind = self.variables[name].type
        integers = self.fmu.getInteger
        read = {"Real": self.fmu.getReal, "Integer": integers, "Enumeration": integers, "Boolean": self.fmu.getBoolean}[
            kind
        ]
        return float(read([self.reference(name)])[0])

    def step(self, size: float) -> None:
        self.fmu.doStep(self.time, size)
        self.time += size

    def record(self, size: float, steps: int, names: Sequence[str]) -> np.ndarray:
        rows = []
        for _ in range(steps):
            self.step(size)
            rows.append([self.get(n) for n in names])
        return np.array(rows)

    def close(self) -> None:
        self.fmu.freeInstance()
        shutil.rmtree(self.folder, ignore_errors=True)


def _memory_callbacks() -> dict[str, Any]:
    default = fmi2.defaultCallbacks
    return {n: getattr(default, n) for n in ("allocateMemory", "freeMemory", "stepFinished", "componentEnvironment")}


@pytest.fixture
def drive() -> Iterator[Callable[..., Driver]]:
    """A factory of drivers, closed after the test."""
    made: list[Driver] = []

    def make(unit: str | fmus.UnitModel) -> Driver:
        model = fmus.unit_model(unit) if isinstance(unit, str) else unit
        made.append(Driver(fmus.build_fmu(model)))
        return made[-1]

    yield make
    for driver in made:
        driver.close()
