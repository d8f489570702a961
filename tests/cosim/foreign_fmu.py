"""Makes FMI 3.0 FMUs that owe nothing to our exporter: `foreign_fmu.c` with a description for what a test needs."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

#: type, start, variability
TYPES = (
    ("Float64", "0.5", "continuous"),
    ("Float32", "0.5", "continuous"),
    ("Int8", "-8", "discrete"),
    ("UInt8", "8", "discrete"),
    ("Int16", "-16", "discrete"),
    ("UInt16", "16", "discrete"),
    ("Int32", "-32", "discrete"),
    ("UInt32", "32", "discrete"),
    ("Int64", "-64", "discrete"),
    ("UInt64", "64", "discrete"),
    ("Boolean", "true", "discrete"),
    ("Enumeration", "2", "discrete"),
)
CO_SIMULATION = (
    '<CoSimulation modelIdentifier="odd" canHandleVariableCommunicationStepSize="true" canGetAndSetFMUState="true"'
    ' canSerializeFMUState="true" {more}/>'
)
MODEL_EXCHANGE = '<ModelExchange modelIdentifier="odd" canGetAndSetFMUState="true" canSerializeFMUState="true" {more}/>'
OUTPUTS = (3, *range(30, 42), 52, 60, 62, 63, 64, 66)


@cache
def binary() -> bytes:
    """The compiled model."""
    from fmpy import sharedLibraryExtension

    library = Path(mkdtemp(prefix="odd-")) / f"odd{sharedLibraryExtension}"
    source = Path(__file__).with_name("foreign_fmu.c")
    command = [sys.executable, "-m", "ziglang", "cc", "-shared", "-O1", "-w", "-o", str(library), str(source)]
    if not sys.platform.startswith("win"):
        command[-3:-3] = ["-fPIC"]
        command.append("-lm")
    subprocess.run(command, check=True, capture_output=True)
    return library.read_bytes()


def description(
    *,
    interfaces: str = "cs me",
    event_mode: bool = False,
    derivatives: bool = False,
    more: str = "",
    variables: str = "",
    structure: str | None = None,
) -> str:
    """The model description.

    Args:
        interfaces: "cs", "me" or both.
        event_mode: whether Co-Simulation has an Event Mode.
        derivatives: whether directional derivatives are told.
        more: further attributes of the interfaces.
        variables: further variables.
        structure: replaces the outputs in the model structure.
    """
    more += ' providesDirectionalDerivatives="true"' if derivatives else ""
    parts = []
    if "me" in interfaces:
        parts.append(MODEL_EXCHANGE.format(more=more))
    if "cs" in interfaces:
        parts.append(CO_SIMULATION.format(more=more + (' hasEventMode="true"' if event_mode else "")))
    listed = [
        '<Float64 name="time" valueReference="0" causality="independent" variability="continuous"/>',
        '<UInt64 name="n" valueReference="1" causality="structuralParameter" variability="fixed" start="2"/>',
        '<Float64 name="u" valueReference="2" causality="input" start="1 2"><Dimension valueReference="1"/></Float64>',
        '<Float64 name="y" valueReference="3" causality="output"><Dimension valueReference="1"/></Float64>',
        '<Float64 name="gain" valueReference="4" causality="parameter" variability="fixed" start="2"/>',
        '<String name="text" valueReference="50" causality="parameter"><Start value="abc"/></String>',
        '<Binary name="blob" valueReference="51" causality="parameter"><Start value="00"/></Binary>',
        '<Int32 name="length" valueReference="52" causality="output"/>',
        '<Float64 name="h" valueReference="60" causality="output" initial="exact" start="1">'
        '<Alias name="height"/></Float64>',
        '<Float64 name="v" valueReference="61" causality="local" initial="exact" start="0"/>',
        '<Int32 name="bounces" valueReference="62" causality="output"/>',
        '<Int32 name="ticks" valueReference="63" causality="output"/>',
        '<Int32 name="step_events" valueReference="64" causality="output"/>',
        '<Boolean name="kick" valueReference="65" causality="input" start="false"/>',
        '<Int32 name="calls" valueReference="66" causality="output"/>',
        '<Float64 name="der(h)" valueReference="67" causality="local" derivative="60"/>',
        '<Float64 name="der(v)" valueReference="68" causality="local" derivative="61"/>',
        '<Float64 name="z" valueReference="69" causality="local"/>',
        '<Boolean name="forgetful" valueReference="70" causality="parameter" variability="fixed" start="false"/>',
        '<Float64 name="stop_at" valueReference="71" causality="parameter" variability="fixed" start="1e300"/>',
    ]
    for number, (kind, start, variability) in enumerate(TYPES):
        declared = ' declaredType="Colour"' if kind == "Enumeration" else ""
        common = f'variability="{variability}"{declared}'
        name = kind.lower()
        listed.append(
            f'<{kind} name="{name}_in" valueReference="{10 + number}" causality="input" {common} start="{start}"/>'
        )
        listed.append(f'<{kind} name="{name}_out" valueReference="{30 + number}" causality="output" {common}/>')
    if structure is None:
        known = {3: "2", **{30 + k: str(10 + k) for k in range(len(TYPES))}}
        structure = "".join(f'<Output valueReference="{r}" dependencies="{known.get(r, "")}"/>' for r in OUTPUTS)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<fmiModelDescription fmiVersion="3.0" modelName="odd" instantiationToken="{odd}">'
        + "".join(parts)
        + '<TypeDefinitions><EnumerationType name="Colour"><Item name="red" value="1"/><Item name="green" value="2"/>'
        '<Item name="blue" value="3"/></EnumerationType></TypeDefinitions>'
        f"<ModelVariables>{''.join(listed)}{variables}</ModelVariables>"
        f'<ModelStructure>{structure}<ContinuousStateDerivative valueReference="67"/>'
        '<ContinuousStateDerivative valueReference="68"/><EventIndicator valueReference="69"/></ModelStructure>'
        "</fmiModelDescription>"
    )


def write_odd(file: Path, *, xml: str | None = None, **options: object) -> Path:
    """Write an FMU with the description for these options."""
    from fmpy import sharedLibraryExtension

    from fmus.check.interfaces import platform_names

    text = description(**options) if xml is None else xml  # type: ignore[arg-type]
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("modelDescription.xml", text)
        archive.writestr(f"binaries/{platform_names(3)[0]}/odd{sharedLibraryExtension}", binary())
    return file
