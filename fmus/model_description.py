"""modelDescription.xml of FMI 2.0 from a unit model."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from fmus.codegen import main_source
from fmus.declared_types import enumeration_name, enumerations, real_type, real_types, unit_definitions
from fmus.equations import UnitFunctions
from fmus.model import Role, UnitModel
from fmus.slots import Slot, variable_slots
from fmus.structure import Dependencies, structure

#: as the runtime's CATEGORIES
LOG_CATEGORIES = {
    "logStatusError": "what failed, with variable and time",
    "logStatusDiscard": "what cannot be evaluated at this point of a solver's trial, with variable and time",
    "logEvents": "events as they happen in Model Exchange and in Event Mode",
}


def model_description_2(model: UnitModel, functions: UnitFunctions, guid: str, version: str) -> bytes:
    """The XML text, UTF-8. Value references are places in `variable_slots`."""
    slots = variable_slots(model)
    # event indicators are no variables in FMI 2.0
    listed = [r for r, s in enumerate(slots) if not s.name.startswith("event_indicator[")]
    root = ET.Element(
        "fmiModelDescription",
        fmiVersion="2.0",
        modelName=model.name,
        guid=guid,
        description=model.description,
        version=version,
        license="MIT",
        generationTool=f"Galenic {version}",
        variableNamingConvention="structured",
        numberOfEventIndicators=str(len(model.events)),
    )
    common = {
        "modelIdentifier": model.name,
        "canGetAndSetFMUstate": "true",
        "canSerializeFMUstate": "true",
        "providesDirectionalDerivative": "true",
        "canNotUseMemoryManagementFunctions": "false",
        "needsExecutionTool": "false",
    }
    exchange = common | {"completedIntegratorStepNotNeeded": "true"}
    stepping = common | {"canHandleVariableCommunicationStepSize": "true"}
    for kind, attributes in (("ModelExchange", exchange), ("CoSimulation", stepping)):
        files = ET.SubElement(ET.SubElement(root, kind, attributes), "SourceFiles")
        ET.SubElement(files, "File", name=main_source(2))
    unit_definitions(root, slots)
    _types(root, slots)
    categories = ET.SubElement(root, "LogCategories")
    for name, text in LOG_CATEGORIES.items():
        ET.SubElement(categories, "Category", name=name, description=text)
    ET.SubElement(root, "DefaultExperiment", startTime="0", stepSize="1", tolerance=repr(model.relative_tolerance))
    index = {reference: i for i, reference in enumerate(listed, start=1)}
    variables = ET.SubElement(root, "ModelVariables")
    for reference in listed:
        _scalar_variable(variables, reference, slots[reference], index)
    _structure(root, model, functions, slots, index)
    return xml_text(root)


def xml_text(root: ET.Element) -> bytes:
    """The document, indented, UTF-8."""
    ET.indent(root)
    document: bytes = ET.tostring(root, encoding="UTF-8", xml_declaration=True)
    return document


def described(slot: Slot) -> str:
    """A variable's description with the source of its value."""
    source = slot.variable.source if slot.variable else ""
    return f"{slot.description} (source: {source})" if source else slot.description


def real_attributes(slot: Slot) -> dict[str, str]:
    """Unit, declared type, range and nominal of a real variable: the same names in both versions."""
    attributes: dict[str, str] = {}
    declared = real_type(slot)
    if declared is not None:
        attributes["declaredType"] = declared.name
        if declared.quantity:
            attributes["quantity"] = declared.quantity
    if slot.unit:
        attributes["unit"] = slot.unit
    variable = slot.variable
    if variable is None:
        return attributes
    if variable.display_unit:
        attributes["displayUnit"] = variable.display_unit
    if variable.minimum is not None:
        attributes["min"] = repr(variable.minimum)
    if variable.maximum is not None:
        attributes["max"] = repr(variable.maximum)
    attributes["nominal"] = repr(variable.nominal)
    return attributes


def _types(root: ET.Element, slots: list[Slot]) -> None:
    reals, names = real_types(slots), enumerations(slots)
    if not reals and not names:
        return
    definitions = ET.SubElement(root, "TypeDefinitions")
    for declared in reals:
        attributes = {"quantity": declared.quantity, "unit": declared.unit, "displayUnit": declared.display_unit}
        simple = ET.SubElement(definitions, "SimpleType", name=declared.name)
        ET.SubElement(simple, "Real", {k: v for k, v in attributes.items() if v})
    for name, items in names:
        enumeration = ET.SubElement(ET.SubElement(definitions, "SimpleType", name=name), "Enumeration")
        for value, item in enumerate(items):
            ET.SubElement(enumeration, "Item", name=item, value=str(value))


def _scalar_variable(parent: ET.Element, reference: int, slot: Slot, index: dict[int, int]) -> None:
    attributes = {
        "name": slot.name,
        "valueReference": str(reference),
        "description": described(slot),
        "causality": slot.causality,
        "variability": slot.variability,
    }
    if slot.initial:
        attributes["initial"] = slot.initial
    element = ET.SubElement(parent, "ScalarVariable", attributes)
    kind = real_attributes(slot) if slot.kind == "Real" else {}
    if slot.kind == "Enumeration":
        kind["declaredType"] = enumeration_name(slot)
    if slot.derivative_of is not None:
        kind["derivative"] = str(index[slot.derivative_of])
    if slot.settable:
        kind["start"] = start_text(slot)
    ET.SubElement(element, slot.kind, kind)
    if slot.variable is not None and slot.variable.role is not Role.NONE:
        tool = ET.SubElement(ET.SubElement(element, "Annotations"), "Tool", name="galenic")
        ET.SubElement(tool, "Role").text = slot.variable.role.value


def start_text(slot: Slot) -> str:
    """A start value as the schema writes its type."""
    if slot.kind == "Real":
        return repr(slot.start)
    return str(slot.start > 0.5).lower() if slot.kind == "Boolean" else str(round(slot.start))


def _structure(
    root: ET.Element, model: UnitModel, functions: UnitFunctions, slots: list[Slot], index: dict[int, int]
) -> None:
    element, found = ET.SubElement(root, "ModelStructure"), structure(model, functions, slots)

    def unknowns(name: str, dependencies: Dependencies) -> None:
        if not dependencies:
            return
        parent = ET.SubElement(element, name)
        for reference, on in dependencies.items():
            places = " ".join(str(i) for i in sorted(index[r] for r in on))
            ET.SubElement(parent, "Unknown", index=str(index[reference]), dependencies=places)

    unknowns("Outputs", found.outputs)
    unknowns("Derivatives", found.derivatives)
    unknowns("InitialUnknowns", dict(sorted(found.initial.items())))
