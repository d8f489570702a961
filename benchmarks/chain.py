"""Overhead of masters: chains of 2, 10 and 50 trivial FMUs, in one run, with and without recording.

    python benchmarks/chain.py [--steps 20000] [--repeats 3] [--python PATH] [--masters galenic,fmpy,...]

Each master runs in a process of its own; they take turns. Some peers ask for versions of packages that do not go
together with ours: ``--python`` names the Python of an environment that has them (``pip install cofmupy syssimx``), and
is asked for what this one cannot import. The last link's output is checked to be that of the chain's steady state.
Slow masters do fewer steps.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from statistics import median

SCRIPT = Path(__file__).with_name("chain_masters.py")
LENGTHS = (2, 10, 50)
SLOW = {"cofmupy": 20, "syssimx": 20, "fmpy": 4}
ORDER = ("galenic", "fmpy", "libcosimpy", "ecospy", "cofmupy", "syssimx")
ALWAYS_KEEPS = {"cofmupy", "syssimx"}


def write_fmu(file: Path) -> None:
    """Compile the link of the chain and wrap it."""
    import fmpy

    source = Path(__file__).with_name("chain.c")
    library = file.with_suffix(fmpy.sharedLibraryExtension)
    command = [sys.executable, "-m", "ziglang", "cc", "-shared", "-O2", "-w", "-o", str(library), str(source)]
    if not sys.platform.startswith("win"):
        command.insert(-3, "-fPIC")
    subprocess.run(command, check=True)
    xml = (
        '<?xml version="1.0" encoding="UTF-8"?><fmiModelDescription fmiVersion="2.0" modelName="chain" guid="{c}">'
        '<CoSimulation modelIdentifier="chain" canHandleVariableCommunicationStepSize="true" '
        'canGetAndSetFMUstate="true"/><ModelVariables>'
        '<ScalarVariable name="u" valueReference="0" causality="input"><Real start="0"/></ScalarVariable>'
        '<ScalarVariable name="y" valueReference="1" causality="output"><Real/></ScalarVariable></ModelVariables>'
        '<ModelStructure><Outputs><Unknown index="2" dependencies="1"/></Outputs>'
        '<InitialUnknowns><Unknown index="2" dependencies="1"/></InitialUnknowns></ModelStructure>'
        "</fmiModelDescription>"
    )
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("modelDescription.xml", xml)
        archive.write(library, f"binaries/{fmpy.platform}/chain{fmpy.sharedLibraryExtension}")


class Master:
    """A process that answers jobs."""

    def __init__(self, name: str, python: str) -> None:
        self.name = name
        self._process = subprocess.Popen(
            [python, str(SCRIPT), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def run(self, fmu: Path, links: int, steps: int, recorded: bool) -> tuple[float, float]:
        """Seconds and the last output. Raises RuntimeError with the master's reason."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        job = {"fmu": str(fmu), "links": links, "steps": steps, "recorded": recorded}
        print(json.dumps(job), file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("its process died")
        answer = json.loads(line)
        if isinstance(answer, str):
            raise RuntimeError(answer)
        seconds, value = answer
        return seconds, value

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()


def find_masters(names: list[str], pythons: list[str]) -> list[Master]:
    """Those that can be imported, from the first Python that has them."""
    found = []
    for name in names:
        for python in pythons:
            probe = [python, str(SCRIPT), name, "probe"]
            if subprocess.run(probe, capture_output=True, check=False).returncode == 0:
                found.append(Master(name, python))
                break
        else:
            print(f"{name}: not installed, left out")
    return found


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=20000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--python", default="", help="Python of an environment with further peers")
    parser.add_argument("--masters", default=",".join(ORDER))
    arguments = parser.parse_args()
    pythons = [sys.executable, *([arguments.python] if arguments.python else [])]
    masters = find_masters(arguments.masters.split(","), pythons)
    with tempfile.TemporaryDirectory() as folder:
        fmu = Path(folder) / "chain.fmu"
        write_fmu(fmu)
        for recorded in (False, True):
            print(f"\nus per FMU-step, {'everything recorded' if recorded else 'nothing recorded'}")
            print(f"{'master':12}" + "".join(f"{f'{n} FMUs':>12}" for n in LENGTHS))
            times: dict[str, dict[int, list[float]]] = {}
            problems: dict[str, str] = {}
            for links in LENGTHS:
                for _ in range(arguments.repeats):
                    for master in masters:
                        if master.name in problems:
                            continue
                        steps = max(200, arguments.steps // SLOW.get(master.name, 1))
                        try:
                            seconds, value = master.run(fmu, links, steps, recorded)
                        except RuntimeError as error:
                            problems[master.name] = str(error)
                            continue
                        expected = 2.0 - 2.0 ** (1 - links)
                        if abs(value - expected) > 1e-12:
                            problems[master.name] = f"gives {value:.12g}, not {expected:.12g}"
                        mine = times.setdefault(master.name, {}).setdefault(links, [])
                        mine.append(1e6 * seconds / (steps * links))
            for master in masters:
                mine = times.get(master.name, {})
                cells = "".join(f"{median(mine[n]):12.3f}" if n in mine else f"{'-':>12}" for n in LENGTHS)
                kept = " (always keeps its results)" if not recorded and master.name in ALWAYS_KEEPS else ""
                print(f"{master.name:12}{cells}{kept}  {problems.get(master.name, '')}".rstrip())
    for master in masters:
        master.close()


if __name__ == "__main__":
    main()
