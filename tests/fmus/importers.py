"""One FMU run through one importer in a process of its own: ``python importers.py IMPORTER`` with a job on stdin.

An importer may print what it likes or die; the answer is a file that the job names, so neither disturbs the test.
"""

from __future__ import annotations

import ctypes
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.metadata import files
from pathlib import Path

from in_process import moved

SECOND = 1_000_000_000  # libcosim counts time in nanoseconds
MISSING = 77  # exit status


@dataclass(frozen=True)
class Job:
    """What to run: inputs with value reference and starts, outputs with value reference and number of elements."""

    fmu: str
    answer: str
    steps: int
    size: float
    inputs: dict[str, tuple[int, list[float]]]
    outputs: dict[str, tuple[int, int]]

    @property
    def set_references(self) -> list[int]:
        return [reference for reference, _ in self.inputs.values()]

    @property
    def get_references(self) -> list[int]:
        return [reference for reference, _ in self.outputs.values()]

    def write(self) -> str:
        return json.dumps(asdict(self))

    def moved(self, k: int) -> list[float]:
        """The inputs held in step ``k``, element by element."""
        return [moved(start, k) for _, starts in self.inputs.values() for start in starts]


Rows = Iterator[list[float]]


def fmpy(job: Job) -> Rows:
    """FMPy's slave of either version."""
    from fmpy import extract, read_model_description
    from fmpy.fmi2 import FMU2Slave
    from fmpy.fmi3 import FMU3Slave

    folder = extract(job.fmu, str(Path(job.answer).with_suffix("")))
    description = read_model_description(folder)
    known = {
        "unzipDirectory": folder,
        "modelIdentifier": description.coSimulation.modelIdentifier,
        "instanceName": description.modelName,
        "guid": description.guid,
    }
    if description.fmiVersion == "2.0":
        two = FMU2Slave(**known)
        two.instantiate()
        two.setupExperiment(startTime=0.0)
        two.enterInitializationMode()
        two.exitInitializationMode()
        for k in range(job.steps):
            two.setReal(job.set_references, job.moved(k))
            two.doStep(k * job.size, job.size)
            yield two.getReal(job.get_references)
    else:
        elements = sum(count for _, count in job.outputs.values())
        three = FMU3Slave(**known)
        three.instantiate()
        three.enterInitializationMode(startTime=0.0)
        three.exitInitializationMode()
        for k in range(job.steps):
            three.setFloat64(job.set_references, job.moved(k))
            three.doStep(k * job.size, job.size)
            yield three.getFloat64(job.get_references, elements)


def libcosimpy(job: Job) -> Rows:
    """libcosim, of the Open Simulation Platform: fixed-step master, inputs by an override manipulator."""
    from libcosimpy.CosimExecution import CosimExecution
    from libcosimpy.CosimManipulator import CosimManipulator
    from libcosimpy.CosimObserver import CosimObserver
    from libcosimpy.CosimSlave import CosimLocalSlave

    execution = CosimExecution.from_step_size(round(job.size * SECOND))
    slave = CosimLocalSlave(fmu_path=job.fmu, instance_name="unit")
    index = execution.add_local_slave(slave)
    observer, manipulator = CosimObserver.create_last_value(), CosimManipulator.create_override()
    assert execution.add_observer(observer)
    assert execution.add_manipulator(manipulator)
    for k in range(job.steps):
        assert manipulator.slave_real_values(index, job.set_references, job.moved(k))
        assert execution.step()
        yield list(observer.last_real_values(index, job.get_references))


def ecospy(job: Job) -> Rows:
    """Ecos, of NTNU: fixed-step master."""
    from ecospy import EcosSimulation, EcosSimulationStructure

    with EcosSimulationStructure() as structure:
        structure.add_model("unit", job.fmu)
        with EcosSimulation(job.size, structure=structure) as simulation:
            assert simulation.init()
            for k in range(job.steps):
                for name, value in zip(job.inputs, job.moved(k), strict=True):
                    simulation.set_real(f"unit::{name}", value)
                simulation.step()
                yield [simulation.get_real(f"unit::{name}") for name in job.outputs]
            simulation.terminate()


IMPORTERS: dict[str, Callable[[Job], Rows]] = {"fmpy": fmpy, "libcosimpy": libcosimpy, "ecospy": ecospy}


def load(importer: str) -> str:
    """Import the package; why not, where it or a library that it needs is missing."""
    try:
        if importer == "ecospy" and sys.platform == "linux":
            # its library needs oneTBB, which the `tbb` wheel brings, but not where the loader looks
            for file in files("tbb") or []:
                if file.name == "libtbb.so.12":
                    ctypes.CDLL(str(Path(file.locate()).resolve()), mode=ctypes.RTLD_GLOBAL)
        import_module(importer)
    except (ImportError, OSError) as error:
        return f"{importer} cannot be loaded: {error}"
    return ""


def main() -> None:
    """Run the job and write the rows."""
    if missing := load(sys.argv[1]):
        print(missing, file=sys.stderr)
        sys.exit(MISSING)
    job = Job(**json.load(sys.stdin))
    rows = list(IMPORTERS[sys.argv[1]](job))
    Path(job.answer).write_text(json.dumps(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
