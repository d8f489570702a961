"""modelDescription.xml of an exported controller, FMI 2.0 and 3.0: Co-Simulation, discrete in time."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping

from fmus.codegen import main_source
from fmus.declared_types import real_types, unit_definitions
from fmus.model_description import LOG_CATEGORIES, described, real_attributes, start_text, xml_text
from fmus.slots import Slot

_TYPES_3 = {"Real": "Float64", "Integer": "Int32", "Boolean": "Boolean"}


def controller_description(
    fmi: int, name: str, guid: str, description: str, version: str, period: float, slots: list[Slot | None]
) -> bytes:
    """The XML text, UTF-8.

    Args:
        fmi: 2 or 3.
        name: of the model.
        guid: ties it to the binary.
        description: one sentence.
        version: of Galenic.
        period: between executions in s; the default step.
        slots: by value reference; a hidden one is None.
    """
    listed = {reference: slot for reference, slot in enumerate(slots) if slot is not None}
    root = ET.Element(
        "fmiModelDescription",
        {
            "fmiVersion": f"{fmi}.0",
            "modelName": name,
            "guid" if fmi == 2 else "instantiationToken": guid,
            "description": description,
            "version": version,
            "license": "MIT",
            "generationTool": f"Galenic {version}",
            "variableNamingConvention": "structured",
        },
    )
    state = "FMUstate" if fmi == 2 else "FMUState"
    kind = ET.SubElement(
        root,
        "CoSimulation",
        {
            "modelIdentifier": name,
            f"canGetAndSet{state}": "true",
            f"canSerialize{state}": "true",
            "canHandleVariableCommunicationStepSize": "true",
        },
    )
    if fmi == 2:
        ET.SubElement(ET.SubElement(kind, "SourceFiles"), "File", name=main_source(2))
    unit_definitions(root, list(listed.values()))
    _types(root, list(listed.values()), fmi)
    categories = ET.SubElement(root, "LogCategories")
    for category, text in LOG_CATEGORIES.items():
        ET.SubElement(categories, "Category", name=category, description=text)
    ET.SubElement(root, "DefaultExperiment", startTime="0", stepSize=repr(period))
    variables = ET.SubElement(root, "ModelVariables")
    for reference, slot in listed.items():
        (_scalar_variable if fmi == 2 else _variable)(variables, reference, slot)
    _structure(ET.SubElement(root, "ModelStructure"), listed, fmi)
    return xml_text(root)


def _types(root: ET.Element, slots: list[Slot], fmi: int) -> None:
    reals = real_types(slots)
    if not reals:
        return
    definitions = ET.SubElement(root, "TypeDefinitions")
    for declared in reals:
        attributes = {"quantity": declared.quantity, "unit": declared.unit, "displayUnit": declared.display_unit}
        attributes = {k: v for k, v in attributes.items() if v}
        if fmi == 2:
            ET.SubElement(ET.SubElement(definitions, "SimpleType", name=declared.name), "Real", attributes)
        else:
            ET.SubElement(definitions, "Float64Type", {"name": declared.name} | attributes)


def _common(reference: int, slot: Slot) -> dict[str, str]:
    attributes = {
        "name": slot.name,
        "valueReference": str(reference),
        "description": described(slot),
        "causality": slot.causality,
        "variability": slot.variability,
    }
    return attributes | ({"initial": slot.initial} if slot.initial else {})


def _value(slot: Slot) -> dict[str, str]:
    attributes = real_attributes(slot) if slot.kind == "Real" else {}
    return attributes | ({"start": start_text(slot)} if slot.settable else {})


def _scalar_variable(parent: ET.Element, reference: int, slot: Slot) -> None:
    ET.SubElement(ET.SubElement(parent, "ScalarVariable", _common(reference, slot)), slot.kind, _value(slot))


def _variable(parent: ET.Element, reference: int, slot: Slot) -> None:
    ET.SubElement(parent, _TYPES_3[slot.kind], _common(reference, slot) | _value(slot))


def _structure(element: ET.Element, listed: Mapping[int, Slot], fmi: int) -> None:
    """The outputs: of the past, so that nothing that is set now shows in them."""
    outputs = [(i, r) for i, (r, s) in enumerate(listed.items(), start=1) if s.causality == "output"]
    if fmi == 2:
        for part in ("Outputs", "InitialUnknowns"):
            parent = ET.SubElement(element, part)
            for index, _ in outputs:
                ET.SubElement(parent, "Unknown", index=str(index), dependencies="")
        return
    for part in ("Output", "InitialUnknown"):
        for _, reference in outputs:
            ET.SubElement(element, part, valueReference=str(reference), dependencies="")


def controller_build_description(name: str) -> bytes:
    """sources/buildDescription.xml of FMI 3.0."""
    root = ET.Element("fmiBuildDescription", fmiVersion="3.0")
    build = ET.SubElement(root, "BuildConfiguration", modelIdentifier=name, description="any platform")
    files = ET.SubElement(build, "SourceFileSet", language="C99")
    ET.SubElement(files, "SourceFile", name=main_source(3))
    ET.SubElement(build, "Library", name="m", external="true", description="maths library, where it is one of its own")
    return xml_text(root)
