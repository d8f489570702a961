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
MODEL_EXCHANGE = """<?xml version="1.0" encoding="UTF-8"?>
<fmiModelDescription fmiVersion="2.0" modelName="odd" guid="{odd}" numberOfEventIndicators="1">
  <ModelExchange modelIdentifier="odd" canGetAndSetFMUstate="true" canSerializeFMUstate="true"
    providesDirectionalDerivative="true"/>
  <UnitDefinitions><Unit name="s"><BaseUnit s="1"/></Unit><Unit name="1"><BaseUnit/></Unit></UnitDefinitions>
  <DefaultExperiment startTime="0" stopTime="1" stepSize="0.1"/>
  <ModelVariables>
    <ScalarVariable name="u" valueReference="0" causality="input"><Real unit="1" start="1"/></ScalarVariable>
    <ScalarVariable name="tau" valueReference="1" causality="parameter" variability="fixed">
      <Real unit="s" start="1"/></ScalarVariable>
    <ScalarVariable name="y" valueReference="2" causality="output"><Real unit="1"/></ScalarVariable>
    <ScalarVariable name="z" valueReference="3" causality="output"><Real unit="1"/></ScalarVariable>
    <ScalarVariable name="x" valueReference="4" initial="exact"><Real unit="1" start="0"/></ScalarVariable>
    <ScalarVariable name="der(x)" valueReference="5"><Real unit="1" derivative="5"/></ScalarVariable>
    <ScalarVariable name="time" valueReference="6" causality="independent"><Real unit="s"/></ScalarVariable>
    <ScalarVariable name="n" valueReference="7" causality="output" variability="discrete"><Integer/></ScalarVariable>
  </ModelVariables>
  <ModelStructure>
    <Outputs>
      <Unknown index="3" dependencies="5"/><Unknown index="4" dependencies="1"/><Unknown index="8" dependencies=""/>
    </Outputs>
    <Derivatives><Unknown index="6" dependencies="1 5"/></Derivatives>
    <InitialUnknowns>
      <Unknown index="3"/><Unknown index="4"/><Unknown index="6"/><Unknown index="8"/>
    </InitialUnknowns>
  </ModelStructure>
</fmiModelDescription>
"""
DESCRIPTION_3 = """<?xml version="1.0" encoding="UTF-8"?>
<fmiModelDescription fmiVersion="3.0" modelName="odd" instantiationToken="{odd}">
  <ModelExchange modelIdentifier="odd" canGetAndSetFMUState="true" canSerializeFMUState="true"
    providesDirectionalDerivatives="true" providesAdjointDerivatives="true"/>
  <CoSimulation modelIdentifier="odd" canGetAndSetFMUState="true" canSerializeFMUState="true"
    canHandleVariableCommunicationStepSize="true" hasEventMode="true" providesIntermediateUpdate="true"
    canReturnEarlyAfterIntermediateUpdate="true" providesDirectionalDerivatives="true"
    providesAdjointDerivatives="true"/>
  <UnitDefinitions><Unit name="s"><BaseUnit s="1"/></Unit><Unit name="1"><BaseUnit/></Unit></UnitDefinitions>
  <LogCategories><Category name="error"/></LogCategories>
  <DefaultExperiment startTime="0" stopTime="1" stepSize="0.1"/>
  <ModelVariables>
    <Float64 name="time" valueReference="6" causality="independent" variability="continuous" unit="s"/>
    <Float64 name="u" valueReference="0" causality="input" unit="1" start="1"/>
    <Float64 name="tau" valueReference="1" causality="parameter" variability="fixed" unit="s" start="1"/>
    <Float64 name="y" valueReference="2" causality="output" unit="1" intermediateUpdate="true"/>
    <Float64 name="z" valueReference="3" causality="output" unit="1"/>
    <Float64 name="x" valueReference="4" initial="exact" unit="1" start="0"/>
    <Float64 name="der(x)" valueReference="5" unit="1" derivative="4"/>
    <Int32 name="n" valueReference="7" causality="output"/>
    <UInt64 name="size" valueReference="16" causality="structuralParameter" start="2" min="1" max="3"/>
    <Float64 name="w" valueReference="8" causality="input" unit="1" start="0 1">
      <Dimension valueReference="16"/></Float64>
    <Float64 name="v" valueReference="9" causality="output" unit="1"><Dimension valueReference="16"/></Float64>
    <String name="text_in" valueReference="10" causality="input"><Start value="start"/></String>
    <String name="text_out" valueReference="11" causality="output"/>
    <Binary name="bytes_in" valueReference="12" causality="input"><Start value="0102"/></Binary>
    <Binary name="bytes_out" valueReference="13" causality="output"/>
    <Boolean name="flag_in" valueReference="14" causality="input" start="false"/>
    <Boolean name="flag_out" valueReference="15" causality="output"/>
  </ModelVariables>
  <ModelStructure>
    <Output valueReference="2" dependencies="4"/><Output valueReference="3" dependencies="0"/>
    <Output valueReference="7" dependencies=""/><Output valueReference="9" dependencies="8"/>
    <Output valueReference="11" dependencies="10"/><Output valueReference="13" dependencies="12"/>
    <Output valueReference="15" dependencies="14"/>
    <ContinuousStateDerivative valueReference="5" dependencies="0 4"/>
    <InitialUnknown valueReference="2"/><InitialUnknown valueReference="3"/><InitialUnknown valueReference="5"/>
    <InitialUnknown valueReference="7"/><InitialUnknown valueReference="9"/><InitialUnknown valueReference="11"/>
    <InitialUnknown valueReference="13"/><InitialUnknown valueReference="15"/>
    <EventIndicator valueReference="4"/>
  </ModelStructure>
</fmiModelDescription>
"""
BINARY = f"binaries/{fmpy.platform}/odd{fmpy.sharedLibraryExtension}"
BINARY_3 = f"binaries/{fmpy.platform_tuple}/odd{fmpy.sharedLibraryExtension}"


@cache
def binary(fault: str = "", source: str = "odd_fmu.c") -> bytes:
    """The compiled lag with a fault that the source has a switch for."""
    with TemporaryDirectory(prefix="odd-") as folder:
        library = Path(folder) / f"odd{fmpy.sharedLibraryExtension}"
        # without undefined-behaviour traps, so that the crash is the platform's own
        options = ["-shared", "-O1", "-w", "-fno-sanitize=undefined", *([f"-D{fault}"] if fault else [])]
        options += [] if sys.platform.startswith("win") else ["-fPIC"]
        sources = str(Path(__file__).with_name(source))
        command = [sys.executable, "-m", "ziglang", "cc", *options, "-o", str(library), sources]
        subprocess.run(command, check=True, capture_output=True)
        return library.read_bytes()


def write_odd_fmu(
    file: Path,
    fault: str = "",
    *,
    description: str = DESCRIPTION,
    replace: tuple[str, str] = ("", ""),
    files: dict[str, bytes] | None = None,
) -> Path:
    """Write an FMU with a fault in its binary, a replacement in its description, or other files than its binary."""
    assert replace[0] in description
    newer = description == DESCRIPTION_3
    path = BINARY_3 if newer else BINARY
    source = "odd_fmu3.c" if newer else "odd_fmu.c"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("modelDescription.xml", description.replace(*replace) if replace[0] else description)
        for name, content in ({path: binary(fault, source)} if files is None else files).items():
            archive.writestr(name, content)
    return file
