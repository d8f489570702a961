"""Makes FMUs that owe nothing to our exporter, with one thing wrong in each."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import fmpy

DESCRIPTION = """<?xml version="1.0" encoding="UTF-8"?>
<fmiModelDescription fmiVersion="2.0" modelName="odd" guid="{odd}">
  <CoSimulation modelIdentifier="odd" canHandleVariableCommunicationStepSize="true" canGetAndSetFMUstate="true"
    canSerializeFMUstate="true" providesDirectionalDerivative="true"/>
  <UnitDefinitions><Unit name="s"><BaseUnit s="1"/></Unit><Unit name="1"><BaseUnit/></Unit></UnitDefinitions>
  <DefaultExperiment startTime="0" stopTime="1" stepSize="0.1"/>
  <ModelVariables>
    <ScalarVariable name="u" valueReference="0" causality="input"><Real unit="1" start="1"/></ScalarVariable>
    <ScalarVariable name="tau" valueReference="1" causality="parameter" variability="fixed">
      <Real unit="s" start="1"/></ScalarVariable>
    <ScalarVariable name="y" valueReference="2" causality="output"><Real unit="1"/></ScalarVariable>
    <ScalarVariable name="z" valueReference="3" causality="output"><Real unit="1"/></ScalarVariable>
  </ModelVariables>
  <ModelStructure>
    <Outputs><Unknown index="3" dependencies=""/><Unknown index="4" dependencies="1"/></Outputs>
    <InitialUnknowns><Unknown index="3"/><Unknown index="4"/></InitialUnknowns>
  </ModelStructure>
</fmiModelDescription>
"""
DESCRIPTION_3 = """<?xml version="1.0" encoding="UTF-8"?>
<fmiModelDescription fmiVersion="3.0" modelName="odd" instantiationToken="{odd}">
  <CoSimulation modelIdentifier="odd"/>
  <ModelVariables>
    <Float64 name="time" valueReference="9" causality="independent" variability="continuous"/>
    <Float64 name="y" valueReference="2" causality="output"/>
  </ModelVariables>
  <ModelStructure><Output valueReference="2"/><InitialUnknown valueReference="2"/></ModelStructure>
</fmiModelDescription>
"""
BINARY = f"binaries/{fmpy.platform}/odd{fmpy.sharedLibraryExtension}"


@cache
def binary(fault: str = "") -> bytes:
    """The compiled lag with a fault that the source has a switch for."""
    with TemporaryDirectory(prefix="odd-") as folder:
        library = Path(folder) / f"odd{fmpy.sharedLibraryExtension}"
        source = Path(__file__).with_name("odd_fmu.c")
        # without undefined-behaviour traps, so that the crash is the platform's own
        options = ["-shared", "-O1", "-w", "-fno-sanitize=undefined", *([f"-D{fault}"] if fault else [])]
        options += [] if sys.platform.startswith("win") else ["-fPIC"]
        command = [sys.executable, "-m", "ziglang", "cc", *options, "-o", str(library), str(source)]
        subprocess.run(command, check=True, capture_output=True)
        return library.read_bytes()


def write_odd_fmu(
    file: Path,
    fault: str = "",
    *,
    replace: tuple[str, str] = ("", ""),
    files: dict[str, bytes] | None = None,
) -> Path:
    """Write an FMU with a fault in its binary, a replacement in its description, or other files than its binary."""
    assert replace[0] in DESCRIPTION
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("modelDescription.xml", DESCRIPTION.replace(*replace) if replace[0] else DESCRIPTION)
        for name, content in ({BINARY: binary(fault)} if files is None else files).items():
            archive.writestr(name, content)
    return file
