"""One master stepping a chain of trivial FMUs: ``python chain_masters.py MASTER`` with jobs on stdin, one a line.

Each answer is a line: the seconds of the loop alone, and the last link's output. Run by ``chain.py``, which may use
another Python for the masters whose requirements do not go together with ours.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import json
import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import files
from itertools import pairwise
from pathlib import Path

H = 0.01


def galenic(fmu: str, links: int, steps: int, recorded: bool) -> tuple[float, float]:
    """Our master, Jacobi."""
    from cosim import Scenario, Simulation

    scenario = Scenario.from_mapping(
        {
            "scenario": "galenic/1",
            "duration": steps * H,
            "communication_step": H,
            "components": {f"c{i}": {"fmu": fmu} for i in range(links)},
            "connections": [f"c{i}.y -> c{i + 1}.u" for i in range(links - 1)],
        }
    )
    with (
        tempfile.TemporaryDirectory() as folder,
        Simulation(scenario, out=Path(folder) / "run" if recorded else None) as simulation,
    ):
        simulation.initialize()
        began = time.perf_counter()
        simulation.step(steps)
        if recorded:
            simulation.close()
        return time.perf_counter() - began, float(simulation.signals[-1])


def fmpy(fmu: str, links: int, steps: int, recorded: bool) -> tuple[float, float]:
    """By hand, as one writes it with FMPy; recorded into a list of lists."""
    from fmpy import extract, read_model_description
    from fmpy.fmi2 import FMU2Slave

    folder = extract(fmu)
    guid = read_model_description(folder).guid
    slaves = []
    for i in range(links):
        slave = FMU2Slave(guid=guid, unzipDirectory=folder, modelIdentifier="chain", instanceName=f"c{i}")
        slave.instantiate()
        slave.setupExperiment(startTime=0.0)
        slave.enterInitializationMode()
        slave.exitInitializationMode()
        slaves.append(slave)
    u, y, rows = [0], [1], []
    outputs = [slave.getReal(y) for slave in slaves]
    began = time.perf_counter()
    for k in range(steps):
        for i in range(1, links):
            slaves[i].setReal(u, outputs[i - 1])
        for slave in slaves:
            slave.doStep(k * H, H)
        outputs = [slave.getReal(y) for slave in slaves]
        if recorded:
            rows.append([k * H, *(v for pair in outputs for v in pair)])
    return time.perf_counter() - began, outputs[-1][0]


def libcosimpy(fmu: str, links: int, steps: int, recorded: bool) -> tuple[float, float]:
    """The fixed-step master of libcosim; recorded in its time-series observer."""
    from libcosimpy.CosimEnums import CosimVariableType
    from libcosimpy.CosimExecution import CosimExecution
    from libcosimpy.CosimObserver import CosimObserver
    from libcosimpy.CosimSlave import CosimLocalSlave

    execution = CosimExecution.from_step_size(round(H * 1e9))
    slaves = [CosimLocalSlave(fmu_path=fmu, instance_name=f"c{i}") for i in range(links)]
    numbers = [execution.add_local_slave(slave) for slave in slaves]
    for a, b in pairwise(numbers):
        execution.connect_real_variables(a, 1, b, 0)
    last = CosimObserver.create_last_value()
    execution.add_observer(last)
    if recorded:
        series = CosimObserver.create_time_series(buffer_size=steps + 10)
        execution.add_observer(series)
        for number in numbers:
            for reference in (0, 1):
                series.start_time_series(number, reference, CosimVariableType.REAL)
    began = time.perf_counter()
    execution.step(steps)
    return time.perf_counter() - began, float(last.last_real_values(numbers[-1], [1])[0])


def ecospy(fmu: str, links: int, steps: int, recorded: bool) -> tuple[float, float]:
    """Ecos' fixed-step master; recorded by its CSV writer."""
    from ecospy import EcosSimulation, EcosSimulationStructure

    with EcosSimulationStructure() as structure:
        for i in range(links):
            structure.add_model(f"c{i}", fmu)
        for i in range(links - 1):
            structure.make_real_connection(f"c{i}::y", f"c{i + 1}::u")
        with EcosSimulation(H, structure=structure) as simulation, tempfile.TemporaryDirectory() as folder:
            if recorded:
                simulation.add_csv_writer(str(Path(folder) / "out.csv"))
            simulation.init()
            began = time.perf_counter()
            simulation.step(steps)
            seconds = time.perf_counter() - began
            value = simulation.get_real(f"c{links - 1}::y")
            simulation.terminate()
            return seconds, float(value)


def cofmupy(fmu: str, links: int, steps: int, recorded: bool) -> tuple[float, float]:  # noqa: ARG001
    """CoFmuPy, Jacobi; it always keeps its results."""
    from cofmupy import Coordinator

    config = {
        "fmus": [{"id": f"c{i}", "path": fmu, "initialization": {}} for i in range(links)],
        "connections": [
            {"source": {"id": f"c{i}", "variable": "y"}, "target": {"id": f"c{i + 1}", "variable": "u"}}
            for i in range(links - 1)
        ],
        "cosim_method": "jacobi",
        "edge_sep": " -> ",
        "root": "",
    }
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "config.json"
        file.write_text(json.dumps(config), encoding="utf-8")
        coordinator = Coordinator()
        coordinator.start(str(file))
    began = time.perf_counter()
    for _ in range(steps):
        coordinator.do_step(H)
    seconds = time.perf_counter() - began
    return seconds, float(coordinator.get_variable((f"c{links - 1}", "y"))[-1])


def syssimx(fmu: str, links: int, steps: int, recorded: bool) -> tuple[float, float]:  # noqa: ARG001
    """SysSimX; it always keeps its histories."""
    from syssimx import Connection, System
    from syssimx.components import FMUComponent

    system = System("chain")
    for i in range(links):
        system.add_component(FMUComponent(f"c{i}", fmu_path=fmu))
    for i in range(links - 1):
        system.add_connection(Connection(f"c{i}", "y", f"c{i + 1}", "u"))
    system.initialize(0.0)
    began = time.perf_counter()
    system.run(t0=0.0, tf=steps * H, dt=H)
    seconds = time.perf_counter() - began
    value = system.components[f"c{links - 1}"].get_outputs()["y"]
    return seconds, float(getattr(value, "value", value))


MASTERS: dict[str, Callable[[str, int, int, bool], tuple[float, float]]] = {
    f.__name__: f for f in (galenic, fmpy, libcosimpy, ecospy, cofmupy, syssimx)
}


def load(master: str) -> None:
    """Import a master. Raises ImportError or OSError."""
    if master == "ecospy" and sys.platform == "linux":
        # its library needs oneTBB, which the `tbb` wheel brings, but not where the loader looks
        for file in files("tbb") or []:
            if file.name == "libtbb.so.12":
                ctypes.CDLL(str(Path(str(file.locate())).resolve()), mode=ctypes.RTLD_GLOBAL)
    import_module("cosim" if master == "galenic" else master)


def main() -> None:
    """Answer jobs until there are no more; with a second argument only try to import the master."""
    load(sys.argv[1])
    if len(sys.argv) > 2:
        return
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # masters print what they like
    logging.disable(logging.CRITICAL)
    for line in sys.stdin:
        job = json.loads(line)
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                answer: list[float] | str = list(MASTERS[sys.argv[1]](**job))
        except Exception as error:
            answer = f"{type(error).__name__}: {error}"
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
