"""What the FMU of a Python component says about itself: modelDescription.xml and the documentation page."""

from __future__ import annotations

import html
import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence

from cosim.component import Port
from cosim.python_fmu.component import Prepared
from fmus.quantity import base_unit

_STRUCTURED = re.compile(r"[A-Za-z_]\w*(\[\d+\])?(\.[A-Za-z_]\w*(\[\d+\])?)*", re.ASCII)
_CATEGORIES = {
    "logStatusError": "what failed, with the last line of the traceback",
    "logStatusWarning": "what the component warns of",
    "logStatusDiscard": "questions that have no answer",
    "logTraceback": "the whole traceback; only where logging is on",
}


def statement(prepared: Prepared, platforms: Sequence[str]) -> str:
    """What the FMU needs, for people."""
    return (
        f"This FMU runs in Python. It needs Python {prepared.python} with {', '.join(prepared.packages)}; both are "
        f"checked when an instance is made. On Linux it runs inside a process that has Python, or where the loader "
        f"finds libpython; on Windows where python3.dll is found. Platforms: {', '.join(platforms)}."
    )


def model_description(prepared: Prepared, guid: str, platforms: Sequence[str], galenic: str, pythonfmu: str) -> bytes:
    """The XML text, UTF-8. Value references count inputs, then outputs."""
    ports = [*prepared.inputs, *prepared.outputs]
    flat = any(not _STRUCTURED.fullmatch(port.name) for port in ports)
    root = ET.Element(
        "fmiModelDescription",
        fmiVersion="2.0",
        modelName=prepared.name,
        guid=guid,
        description=f"{prepared.description} {statement(prepared, platforms)}".strip(),
        generationTool=f"Galenic {galenic} with PythonFMU {pythonfmu}",
        variableNamingConvention="flat" if flat else "structured",
    )
    ET.SubElement(
        root,
        "CoSimulation",
        modelIdentifier=prepared.name,
        needsExecutionTool="true",
        canHandleVariableCommunicationStepSize="true",
        canBeInstantiatedOnlyOncePerProcess="false",
        canNotUseMemoryManagementFunctions="true",
        canGetAndSetFMUstate="false",
        canSerializeFMUstate="false",
        providesDirectionalDerivative="false",
    )
    units = sorted({port.unit or "1" for port in ports if port.kind == "real"})
    if units:
        definitions = ET.SubElement(root, "UnitDefinitions")
        for unit in units:
            base = base_unit("" if unit == "1" else unit)
            attributes = {name: str(power) for name, power in base.exponents.items()}
            attributes |= {"factor": repr(base.factor), "offset": repr(base.offset)}
            ET.SubElement(ET.SubElement(definitions, "Unit", name=unit), "BaseUnit", attributes)
    categories = ET.SubElement(root, "LogCategories")
    for name, meaning in _CATEGORIES.items():
        ET.SubElement(categories, "Category", name=name, description=meaning)
    ET.SubElement(root, "DefaultExperiment", startTime="0", stepSize=repr(prepared.step_size))
    tool = ET.SubElement(ET.SubElement(root, "VendorAnnotations"), "Tool", name="galenic")
    environment = ET.SubElement(tool, "PythonEnvironment", python=prepared.python)
    for requirement in prepared.packages:
        ET.SubElement(environment, "Package").text = requirement
    variables = ET.SubElement(root, "ModelVariables")
    for reference, port in enumerate(ports):
        _variable(variables, reference, port, "input" if reference < len(prepared.inputs) else "output", prepared)
    structure = ET.SubElement(root, "ModelStructure")
    if prepared.outputs:
        indices = [str(len(prepared.inputs) + k) for k in range(1, len(prepared.outputs) + 1)]
        outputs = ET.SubElement(structure, "Outputs")
        for index in indices:  # an output is what the last execution left: no input acts on it without a step
            ET.SubElement(outputs, "Unknown", index=index, dependencies="")
        unknowns = ET.SubElement(structure, "InitialUnknowns")
        for index in indices:
            ET.SubElement(unknowns, "Unknown", index=index)
    ET.indent(root)
    text: bytes = ET.tostring(root, encoding="UTF-8", xml_declaration=True)
    return text


def _variable(parent: ET.Element, reference: int, port: Port, causality: str, prepared: Prepared) -> None:
    discrete = port.kind != "real" or (causality == "output" and prepared.sampled)
    attributes = {"name": port.name, "valueReference": str(reference), "description": port.description}
    attributes |= {"causality": causality, "variability": "discrete" if discrete else "continuous"}
    if causality == "output":
        attributes["initial"] = "calculated"
    element = ET.SubElement(parent, "ScalarVariable", attributes)
    kind = {"real": "Real", "integer": "Integer", "boolean": "Boolean"}[port.kind]
    values: dict[str, str] = {}
    if port.kind == "real":
        values["unit"] = port.unit or "1"
    if port.kind != "boolean":
        values |= {
            key: _text(port, bound) for key, bound in (("min", port.min), ("max", port.max)) if bound is not None
        }
    if causality == "input" and port.start is not None:
        values["start"] = _text(port, port.start)
    ET.SubElement(element, kind, values)


def _text(port: Port, value: float) -> str:
    if port.kind == "boolean":
        return "true" if value > 0.5 else "false"
    return str(round(value)) if port.kind == "integer" else repr(float(value))


def documentation(prepared: Prepared, platforms: Sequence[str], about: str) -> str:
    """The documentation page."""
    escape = html.escape
    rows = "\n".join(
        f"<tr><td>{escape(port.name)}</td><td>{causality}</td><td>{escape(port.unit)}</td>"
        f"<td>{'' if port.start is None or causality == 'output' else _text(port, port.start)}</td>"
        f"<td>{_bound(port.min)}</td><td>{_bound(port.max)}</td><td>{escape(port.description)}</td></tr>"
        for causality, ports in (("input", prepared.inputs), ("output", prepared.outputs))
        for port in ports
    )
    install = " ".join(f'"{requirement}"' for requirement in prepared.packages)
    when = f"It is executed every {prepared.step_size:g} s." if prepared.sampled else "It is executed in every step."
    return f"""<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>{escape(prepared.name)}</title>
<style>body {{ font-family: sans-serif; max-width: 60em; margin: 2em auto }} td, th {{ padding: 0.2em 0.6em }}</style>
</head>
<body>
<h1>{escape(prepared.name)}</h1>
<p>{escape(about)}</p>
<h2>What it needs</h2>
<p>{escape(statement(prepared, platforms))}</p>
<pre>pip install {escape(install)}</pre>
<p>Where something is missing, fmi2Instantiate returns no instance, and the log says what and which version is
there.</p>
<h2>How it runs</h2>
<p>{when} Steps may have any size; an execution falls on the first step that begins at its time or passes it. Its
state cannot be saved and restored. An error in the component is fmi2Error with the last line of its traceback; after
fmi2Reset the instance is as new.</p>
<h2>Variables</h2>
<table border="1">
<tr><th>name</th><th>causality</th><th>unit</th><th>start</th><th>min</th><th>max</th><th>description</th></tr>
{rows}
</table>
</body>
</html>
"""


def _bound(value: float | None) -> str:
    return "" if value is None else f"{value:g}"
