"""Resident memory over a long run: 30 simulated days with 200 recorded variables at 1 s.

    python benchmarks/memory.py [--days 30] [--folder FOLDER]

The system is a chain of 100 FMUs with one input and one output each, whose first is driven by noise, so that no two
rows are alike: the results take 1.3 GB in the folder, and are removed at the end. Memory is read once the system is
initialised, and ten times a second from then on. The exit status is 1 where it grew by more than 200 MB.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from chain import write_fmu

from cosim import Results, Scenario, Simulation
from cosim.result_summary import ranges

LINKS = 100
DAY = 86_400
MOST_GROWTH = 200e6


def resident_memory() -> float:
    """Resident memory of this process in bytes; its greatest so far where the system tells no more."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        import resource

        return float(statm.read_text().split()[1]) * resource.getpagesize()
    if sys.platform == "win32":
        import ctypes
        from ctypes import wintypes

        class Counters(ctypes.Structure):
            _fields_ = [("cb", wintypes.DWORD), ("faults", wintypes.DWORD)] + [
                (name, ctypes.c_size_t) for name in ("peak", "resident", *(f"pool{n}" for n in range(4)), "page", "top")
            ]

        counters = Counters(cb=ctypes.sizeof(Counters))
        kernel = ctypes.WinDLL("kernel32")
        kernel.GetCurrentProcess.restype = wintypes.HANDLE
        kernel.K32GetProcessMemoryInfo.argtypes = [wintypes.HANDLE, ctypes.c_void_p, wintypes.DWORD]
        kernel.K32GetProcessMemoryInfo(kernel.GetCurrentProcess(), ctypes.byref(counters), counters.cb)
        return float(counters.resident)
    import resource

    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def chain_scenario(fmu: Path, days: float) -> Scenario:
    """The chain, recorded at every second."""
    return Scenario.from_mapping(
        {
            "scenario": "galenic/1",
            "duration": days * DAY,
            "communication_step": 1.0,
            "components": {f"c{i}": {"fmu": str(fmu)} for i in range(LINKS)},
            "connections": [f"c{i}.y -> c{i + 1}.u" for i in range(LINKS - 1)],
            "disturbances": [{"signal": "c0.u", "noise": {"std": 1.0}}],
        }
    )


def main() -> None:
    """Run, and print a line for each simulated day."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=float, default=30.0)
    parser.add_argument("--folder", type=Path, default=None, help="where the results go for the time being")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        fmu = Path(folder) / "chain.fmu"
        write_fmu(fmu)
        out = Path(folder) / "run"
        with Simulation(chain_scenario(fmu, options.days), out=out) as simulation:
            simulation.initialize()
            start = greatest = resident_memory()
            print(f"start: {start / 1e6:.0f} MB, {len(simulation.system.names)} variables recorded at 1 s")
            day, began = 0, time.perf_counter()

            def look(t: float) -> None:
                nonlocal day, greatest
                now = resident_memory()
                greatest = max(greatest, now)
                if t // DAY > day:
                    day = int(t // DAY)
                    print(f"day {day}: {now / 1e6:.0f} MB ({(now - start) / 1e6:+.0f} MB)", flush=True)

            simulation.run(look)
        wall = time.perf_counter() - began
        results = Results.open(out)
        size = sum(part.stat().st_size for part in results.parts)
        print(f"{results.metadata['rows']} rows in {len(results.parts)} parts of {size / 1e9:.2f} GB, {wall:.0f} s")
        before = resident_memory()
        hours = results.frame("c99.y", every="1 h")
        range_ = ranges(results, "c0.u")["c0.u"]
        print(f"read back: {len(hours)} rows at 1 h, {range_.rows} rows of c0.u from {range_.least:.3g} to "
              f"{range_.greatest:.3g} ({(resident_memory() - before) / 1e6:+.0f} MB)")  # fmt: skip
    growth = greatest - start
    print(f"greatest growth during the run: {growth / 1e6:.0f} MB, allowed are {MOST_GROWTH / 1e6:.0f} MB")
    sys.exit(int(growth > MOST_GROWTH))


if __name__ == "__main__":
    main()
