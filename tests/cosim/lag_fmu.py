"""Makes small FMUs that owe nothing to our exporter: one binary, and a description for what a test needs."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

PLAIN = {"u": ("input", 0, "Real"), "y": ("output", 1, "Real")}
MIXED = {
    "u": ("input", 0, "Real"),
    "level": ("input", 1, "Integer"),
    "invert": ("input", 1, "Boolean"),
    "high": ("output", 0, "Boolean"),
    "steps": ("output", 0, "Integer"),
    "y": ("output", 1, "Real"),
}
#: two variables on each side that form bundles
BUNDLED = {
    "in.a": ("input", 0, "Real"),
    "in.b": ("input", 5, "Real"),
    "out.a": ("output", 1, "Real"),
    "out.b": ("output", 2, "Real"),
    "out.c": ("output", 5, "Real"),
}


@cache
def binary() -> bytes:
    """The compiled lag."""
    from fmpy import sharedLibraryExtension

    library = Path(mkdtemp(prefix="lag-")) / f"lag{sharedLibraryExtension}"
    source = Path(__file__).with_name("lag_fmu.c")
    command = [sys.executable, "-m", "ziglang", "cc", "-shared", "-O1", "-w", "-o", str(library), str(source)]
    if not sys.platform.startswith("win"):
        command.insert(-3, "-fPIC")
    subprocess.run(command, check=True, capture_output=True)
    return library.read_bytes()


def description(
    variables: dict[str, tuple[str, int, str]] = PLAIN, units: dict[str, str] | None = None, version: str = "2.0"
) -> str:
    units = units or {}
    lines = []
    for name, (causality, reference, kind) in variables.items():
        start = {"Real": "1.0", "Integer": "0", "Boolean": "false"}[kind] if causality == "input" else ""
        if causality == "input" and reference == 5:
            start = "1.0"
        lines.append(
            f'<ScalarVariable name="{name}" valueReference="{reference}" causality="{causality}"'
            + (' variability="discrete"' if kind != "Real" else "")
            + f"><{kind}"
            + (f' start="{start}"' if start else "")
            + (f' unit="{units[name]}"' if name in units else "")
            + "/></ScalarVariable>"
        )
    parameters = (
        ("tau", 2, "1.0", "s"),
        ("fail_at", 3, "1e300", "s"),
        ("nan_at", 4, "1e300", "s"),
        ("gain", 5, "1.0", ""),
        ("harm_at", 8, "1e300", "s"),
        ("harm", 9, "0", ""),
    )
    for name, reference, start, unit in parameters:
        if any(r == reference and k == "Real" for _, r, k in variables.values()):
            continue
        lines.append(
            f'<ScalarVariable name="{name}" valueReference="{reference}" causality="parameter" variability="fixed">'
            f'<Real start="{start}"'
            + (f' unit="{unit}"' if unit else "")
            + ' max="1e300" min="-1e6"/></ScalarVariable>'
        )
    named = sorted({"s", *units.values()})
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f'<fmiModelDescription fmiVersion="{version}" modelName="lag" guid="{{1}}">'
        '<CoSimulation modelIdentifier="lag" canHandleVariableCommunicationStepSize="true"/>'
        "<UnitDefinitions>" + "".join(f'<Unit name="{u}"/>' for u in named) + "</UnitDefinitions>"
        f"<ModelVariables>{''.join(lines)}</ModelVariables><ModelStructure/></fmiModelDescription>"
    )


def write_fmu(
    file: Path,
    variables: dict[str, tuple[str, int, str]] = PLAIN,
    units: dict[str, str] | None = None,
    *,
    xml: str | None = None,
    platform: str | None = None,
    library: bytes | None = None,
) -> Path:
    """Write an FMU; ``xml``, ``platform`` and ``library`` replace what would be right."""
    import fmpy

    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("modelDescription.xml", xml if xml is not None else description(variables, units))
        archive.writestr(
            f"binaries/{platform or fmpy.platform}/lag{fmpy.sharedLibraryExtension}",
            binary() if library is None else library,
        )
    return file
