"""`fmu_host.c` compiled for a platform, and its command line for a unit's FMU."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from fmpy import extract, read_model_description
from in_process import movable

import fmus
from fmus.toolchain import Platform

COMPILER = (sys.executable, "-m", "ziglang", "cc")
WHATS = ("2cs", "2me", "3cs", "3me")  # FMI version and kind


def compile_host(folder: Path, platform: Platform, *options: str) -> Path:
    program = folder / "fmu_host.exe"
    source = str(Path(__file__).with_name("fmu_host.c"))
    libraries = () if platform.suffix == ".dll" else ("-ldl",)
    # without -O the compiler first builds a sanitizer for the platform, which takes it longer than all the rest
    command = [*COMPILER, "-target", platform.targets[0], "-O1", *options, source, "-o", str(program), *libraries]
    subprocess.run(command, check=True, capture_output=True)
    return program


@dataclass(frozen=True)
class HostRun:
    """Arguments of a run and the names of the columns that it prints."""

    arguments: list[str]
    moved: dict[str, float]
    columns: list[str]


def host_run(model: fmus.UnitModel, what: str, platform: Platform, folder: Path, steps: int, size: float) -> HostRun:
    """A run of the unit's FMU, extracted into ``folder``: real scalars, inputs moving, states and outputs printed."""
    fmi = int(what[0])
    extracted = Path(extract(str(fmus.build_fmu(model, fmi=fmi, platforms=[platform.fmi_name])), str(folder)))
    description = read_model_description(str(extracted))
    references = {v.name: int(v.valueReference) for v in description.modelVariables}
    place = platform.fmi_name if fmi == 2 else platform.tuples[0]
    library = extracted / "binaries" / place / f"{model.name}{platform.suffix}"
    starts = {v.name: v.start or 0.0 for v, _ in model.inputs if movable(v) and not v.array}
    shown = [*(s.variable for s in model.states), *(v for v, _ in model.outputs)]
    columns = [v.name for v in shown if v.kind == "Real" and not v.array]
    arguments = [what, str(library), description.guid, str(steps), repr(size)]
    arguments += [str(len(model.continuous_states)), str(len(model.events)), str(len(starts))]
    for name, start in starts.items():
        arguments += [str(references[name]), repr(start)]
    arguments += [str(references[name]) for name in columns]
    if what.endswith("me"):
        columns = columns + [f"der({s.variable.name})" for s in model.continuous_states]
    return HostRun(arguments, starts, columns)
