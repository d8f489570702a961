"""Cost of one communication step of each unit as an FMU, beside the same equations and integrator in other clothes.

    python benchmarks/unit_step.py [UNIT ...] [--steps 1000] [--repeats 7]

Columns of times: the FMU in a C loop, the FMU through FMPy. Columns of ratios, peer to FMU, each taken pair by pair:

    CasADi      the same functions called from Python; the FMU through FMPy
    PythonFMU   an FMU whose `do_step` calls the same functions (python_slave.py); both in the C loop
    by hand     FMU to a hand-written C loop of the same method (unit_step.c; feed_frame only); both in C

The last column is the simulated time over the time that the C loop takes for it, with steps of 1 s.

All take the same steps of 1 s with inputs that swing by 5 % (where that leaves a range: that rest), take turns, and are
checked to agree.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from fmpy import extract, read_model_description
from fmpy.fmi2 import FMU2Slave

import fmus
from fmus.codegen import unit_functions_quietly
from fmus.toolchain import compile_shared_library, this_platform, universal_binary

HERE = Path(__file__).parent
SIZE, SWING = 1.0, 0.05
UNITS = ("continuous_blender", "feed_frame", "loss_in_weight_feeder", "tablet_press")
BY_HAND = "feed_frame"

Doubles = ctypes.POINTER(ctypes.c_double)
Stepper = Callable[[int, int], np.ndarray]  # (first step, steps) -> the outputs after the last


class _Fmu(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("set_real", "do_step", "get_real", "component")),
        ("n_inputs", ctypes.c_size_t),
        ("n_outputs", ctypes.c_size_t),
        ("inputs", ctypes.POINTER(ctypes.c_uint)),
        ("outputs", ctypes.POINTER(ctypes.c_uint)),
        ("starts", Doubles),
        ("swing", ctypes.c_double),
    ]


class _FeedFrame(ctypes.Structure):
    """Parameters, then 14 states and 7 means: `FeedFrame` in unit_step.c."""

    _fields_ = [("parameters", ctypes.c_double * 6), ("rest", ctypes.c_double * 21)]


def _stays_inside(variable: fmus.Variable) -> bool:
    low, high = sorted(((1 - SWING) * variable.start, (1 + SWING) * variable.start))
    return (variable.minimum is None or variable.minimum <= low) and (
        variable.maximum is None or high <= variable.maximum
    )


class Peers:
    """One unit in all its clothes, each with a state of its own."""

    def __init__(self, unit: str, folder: Path, library: ctypes.CDLL) -> None:
        self.model = fmus.unit_model(unit)
        self.all_starts = np.array([v.start for v, _ in self.model.inputs])
        self.real = [i for i, (v, _) in enumerate(self.model.inputs) if v.kind == "Real"]
        self.starts = self.all_starts[self.real]
        self.swing = SWING if all(_stays_inside(self.model.inputs[i][0]) for i in self.real) else 0.0
        self.outputs = [v.name for v, _ in self.model.outputs if v.kind == "Real"]
        self.library = library
        self.fmu = _slave(fmus.build_fmu(self.model, folder))
        self.through_fmpy = _slave(fmus.build_fmu(self.model, folder))
        self.python = _slave(_python_fmu(unit, folder))

    def moved(self, k: int) -> np.ndarray:
        """The real inputs of step ``k``, as unit_step.c moves them."""
        return self.starts * (1 + self.swing * ((k % 7) - 3) / 3)

    def in_c(self, slave: FMU2Slave) -> Stepper:
        """An FMU in the C loop."""
        inputs, outputs = self._references(slave)
        values = np.zeros(len(self.outputs))
        dll = slave.dll
        record = _Fmu(
            *(ctypes.cast(f, ctypes.c_void_p) for f in (dll.fmi2SetReal, dll.fmi2DoStep, dll.fmi2GetReal)),
            slave.component,
            len(inputs),
            len(outputs),
            (ctypes.c_uint * len(inputs))(*inputs),
            (ctypes.c_uint * len(outputs))(*outputs),
            self.starts.ctypes.data_as(Doubles),
            self.swing,
        )

        def step(first: int, steps: int) -> np.ndarray:
            failed = self.library.drive_fmu(
                ctypes.byref(record), first, steps, ctypes.c_double(SIZE), values.ctypes.data_as(Doubles)
            )
            assert not failed
            return values

        return step

    def through(self, slave: FMU2Slave) -> Stepper:
        """An FMU through FMPy: three calls a step."""
        inputs, outputs = self._references(slave)

        def step(first: int, steps: int) -> np.ndarray:
            values: list[float] = []
            for k in range(first, first + steps):
                slave.setReal(inputs, list(self.moved(k)))
                slave.doStep(k * SIZE, SIZE)
                values = slave.getReal(outputs)
            return np.array(values)

        return step

    def casadi(self) -> Stepper:
        """The functions from which the FMU is generated, called from Python."""
        f = unit_functions_quietly(self.model)
        p = np.array([v.start for v, _ in self.model.parameters])
        real = [i for i, (v, _) in enumerate(self.model.outputs) if v.kind == "Real"]
        u = self.all_starts.copy()
        x = f.initial(u, p, np.array([s.variable.start or 0.0 for s in self.model.states]))

        def step(first: int, steps: int) -> np.ndarray:
            nonlocal x
            y: Any = None
            for k in range(first, first + steps):
                t, u[self.real] = k * SIZE, self.moved(k)
                x = f.settle(t, x, u, p)
                x, _, means = f.step(t, SIZE, x, f.algebraic(t, x, u, p), u, p)
                x = f.settle(t + SIZE, x, u, p)
                y = f.outputs(t + SIZE, x, f.algebraic(t + SIZE, x, u, p), u, p, means)
            return np.asarray(y).ravel()[real]

        return step

    def by_hand(self) -> Stepper:
        """The unit written by hand."""
        unit, values = _FeedFrame(), np.zeros(len(self.outputs))
        unit.parameters[:] = [v.start for v, _ in self.model.parameters]
        starts = self.starts.ctypes.data_as(Doubles)
        self.library.start_by_hand(ctypes.byref(unit), starts)

        def step(first: int, steps: int) -> np.ndarray:
            failed = self.library.drive_by_hand(
                ctypes.byref(unit),
                starts,
                ctypes.c_double(self.swing),
                first,
                steps,
                ctypes.c_double(SIZE),
                values.ctypes.data_as(Doubles),
            )
            assert not failed
            return values

        return step

    def _references(self, slave: FMU2Slave) -> tuple[list[int], list[int]]:
        known = slave.references
        return [known[self.model.inputs[i][0].name] for i in self.real], [known[n] for n in self.outputs]


def _slave(path: Path) -> FMU2Slave:
    folder = extract(str(path), tempfile.mkdtemp(dir=path.parent))  # each its own: a loaded file must not be replaced
    description = read_model_description(folder)
    slave = FMU2Slave(
        guid=description.guid,
        unzipDirectory=folder,
        modelIdentifier=description.coSimulation.modelIdentifier,
        instanceName=path.stem,
    )
    slave.references = {v.name: v.valueReference for v in description.modelVariables}
    slave.instantiate()
    slave.setupExperiment(startTime=0.0)
    slave.enterInitializationMode()
    slave.exitInitializationMode()
    return slave


def _python_fmu(unit: str, folder: Path) -> Path:
    from pythonfmu.builder import FmuBuilder

    os.environ["GALENIC_UNIT"] = unit
    return Path(FmuBuilder.build_FMU(HERE / "python_slave.py", dest=folder))


def compare(peer: Stepper, fmu: Stepper, steps: int, repeats: int) -> tuple[float, float, float]:
    """Median microseconds a step of peer and FMU, and the median over the pairs of peer to FMU."""
    times: list[tuple[float, float]] = []
    for n in range(repeats):
        pair, values = [], []
        for step in (peer, fmu) if n % 2 == 0 else (fmu, peer):
            began = time.perf_counter()
            values.append(step(n * steps, steps).copy())
            pair.append((time.perf_counter() - began) * 1e6 / steps)
        np.testing.assert_allclose(*values, rtol=1e-8, atol=1e-12)
        times.append((pair[n % 2], pair[1 - n % 2]))
    return (
        statistics.median(t[0] for t in times),
        statistics.median(t[1] for t in times),
        statistics.median(t[0] / t[1] for t in times),
    )


def measure(unit: str, folder: Path, library: ctypes.CDLL, steps: int, repeats: int) -> list[float | None]:
    """The numbers of one row of the table."""
    peers = Peers(unit, folder, library)
    _, fmpy, casadi = compare(peers.casadi(), peers.through(peers.through_fmpy), steps, repeats)
    fmu = peers.in_c(peers.fmu)
    _, in_c, python = compare(peers.in_c(peers.python), fmu, steps, repeats)
    hand = None
    if unit == BY_HAND:
        # it is quick: more steps, from its own start
        again = peers.in_c(_slave(fmus.build_fmu(peers.model, folder)))
        *_, hand = compare(again, peers.by_hand(), 20 * steps, repeats)
    return [in_c, fmpy, casadi, python, hand, None if in_c is None else 1e6 * SIZE / in_c]


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("units", nargs="*", default=UNITS, metavar="UNIT", help=f"or all; default: {' '.join(UNITS)}")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="galenic-benchmark-"))
    try:
        platform = this_platform()
        binary = folder / f"unit_step{platform.suffix}"
        source = {"unit_step.c": (HERE / "unit_step.c").read_text(encoding="utf-8")}
        compiled = compile_shared_library(source, "unit_step.c", platform, "unit_step")
        binary.write_bytes(compiled[0] if len(compiled) == 1 else universal_binary(compiled))
        library = ctypes.CDLL(str(binary))
        print(f"{'':27}{'one step [us]':^26}{'ratios':^42}{'simulated time':>14}")
        heads = ("FMU in C", "FMU in FMPy", "CasADi/FMU", "PythonFMU/FMU", "FMU/by hand", "over time")
        print(f"{'unit':27}" + "".join(f"{head:>14}" for head in heads))
        for unit in fmus.unit_names() if "all" in arguments.units else arguments.units:
            row = measure(unit, folder, library, arguments.steps, arguments.repeats)
            cells = ("" if x is None else f"{x:,.0f}" if x >= 1e4 else f"{x:.2f}" for x in row)
            print(f"{unit:27}" + "".join(f"{cell:>14}" for cell in cells), flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
