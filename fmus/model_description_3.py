"""modelDescription.xml and buildDescription.xml of FMI 3.0 from a unit model."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from fmus.codegen import main_source
from fmus.declared_types import enumeration_name, enumerations, real_types, unit_definitions
from fmus.equations import UnitFunctions
from fmus.model import Role, UnitModel
from fmus.model_description import LOG_CATEGORIES, described, real_attributes, start_text, xml_text
from fmus.slots import Slot, variable_slots
from fmus.structure import Dependencies, structure

_TYPES = {"Real": "Float64", "Integer": "Int32", "Boolean": "Boolean", "Enumeration": "Enumeration"}


def model_description_3(model: UnitModel, functions: UnitFunctions, token: str, version: str) -> bytes:
    """The XML text, UTF-8. An array is one variable; its value reference is that of its first element."""
    slots = variable_slots(model)
    root = ET.Element(
        "fmiModelDescription",
        fmiVersion="3.0",
        modelName=model.name,
        instantiationToken=token,
        description=model.description,
        version=version,
        license="MIT",
        generationTool=f"Galenic {version}",
        variableNamingConvention="structured",
    )
    common = {
        "modelIdentifier": model.name,
        "canGetAndSetFMUState": "true",
        "canSerializeFMUState": "true",
        "providesDirectionalDerivatives": "true",
        "providesAdjointDerivatives": "true",
    }
    ET.SubElement(root, "ModelExchange", common)
    events = "true" if model.events else "false"
    ET.SubElement(
        root,
        "CoSimulation",
        common,
        canHandleVariableCommunicationStepSize="true",
        providesIntermediateUpdate="true",
        canReturnEarlyAfterIntermediateUpdate="true",
        hasEventMode="true",
        mightReturnEarlyFromDoStep=events,
    )
    unit_definitions(root, slots)
    _types(root, slots)
    categories = ET.SubElement(root, "LogCategories")
    for name, text in LOG_CATEGORIES.items():
        ET.SubElement(categories, "Category", name=name, description=text)
    ET.SubElement(root, "DefaultExperiment", startTime="0", stepSize="1", tolerance=repr(model.relative_tolerance))
    variables = ET.SubElement(root, "ModelVariables")
    for reference, slot in enumerate(slots):
        if slot.width:
            _variable(variables, reference, slots[reference : reference + slot.width])
    _structure(root, model, functions, slots)
    return xml_text(root)


def build_description(model: UnitModel) -> bytes:
    """sources/buildDescription.xml: one file to compile, which includes the others, and the maths library."""
    root = ET.Element("fmiBuildDescription", fmiVersion="3.0")
    build = ET.SubElement(root, "BuildConfiguration", modelIdentifier=model.name, description="any platform")
    files = ET.SubElement(build, "SourceFileSet", language="C99")
    ET.SubElement(files, "SourceFile", name=main_source(3))
    ET.SubElement(build, "Library", name="m", external="true", description="maths library, where it is one of its own")
    return xml_text(root)


def _types(root: ET.Element, slots: list[Slot]) -> None:
    reals, names = real_types(slots), enumerations(slots)
    if not reals and not names:
        return
    definitions = ET.SubElement(root, "TypeDefinitions")
    for declared in reals:
        attributes = {
            "name": declared.name,
            "quantity": declared.quantity,
            "unit": declared.unit,
            "displayUnit": declared.display_unit,
        }
        ET.SubElement(definitions, "Float64Type", {k: v for k, v in attributes.items() if v})
    for name, items in names:
        enumeration = ET.SubElement(definitions, "EnumerationType", name=name)
        for value, item in enumerate(items):
            ET.SubElement(enumeration, "Item", name=item, value=str(value))


def _variable(parent: ET.Element, reference: int, elements: list[Slot]) -> None:
    slot = elements[0]
    attributes = {
        "name": slot.array or slot.name,
        "valueReference": str(reference),
        "description": described(slot),
        "causality": slot.causality,
        "variability": slot.variability,
    }
    if slot.initial:
        attributes["initial"] = slot.initial
    if slot.kind == "Real":
        attributes |= real_attributes(slot)
    elif slot.kind == "Enumeration":
        attributes["declaredType"] = enumeration_name(slot)
    if slot.derivative_of is not None:
        attributes["derivative"] = str(slot.derivative_of)
    if slot.settable:
        attributes["start"] = " ".join(start_text(s) for s in elements)
    if slot.causality in ("input", "output") and slot.variability == "continuous":
        attributes["intermediateUpdate"] = "true"
    element = ET.SubElement(parent, _TYPES[slot.kind], attributes)
    if slot.variable is not None and slot.variable.role is not Role.NONE:
        annotation = ET.SubElement(ET.SubElement(element, "Annotations"), "Annotation", type="galenic.role")
        annotation.text = slot.variable.role.value
    if slot.array:
        ET.SubElement(element, "Dimension", start=str(len(elements)))


def _structure(root: ET.Element, model: UnitModel, functions: UnitFunctions, slots: list[Slot]) -> None:
    element, found = ET.SubElement(root, "ModelStructure"), structure(model, functions, slots)
    first = _first_references(slots)

    def unknowns(name: str, dependencies: Dependencies) -> None:
        joined: dict[int, set[int]] = {}
        for reference, on in dependencies.items():
            joined.setdefault(first[reference], set()).update(first[r] for r in on)
        for reference, known in joined.items():
            places = " ".join(str(r) for r in sorted(known))
            ET.SubElement(element, name, valueReference=str(reference), dependencies=places)

    unknowns("Output", found.outputs)
    unknowns("ContinuousStateDerivative", found.derivatives)
    unknowns("InitialUnknown", dict(sorted(found.initial.items())))
    unknowns("EventIndicator", found.indicators)


def _first_references(slots: list[Slot]) -> list[int]:
    """For each reference that of the variable it belongs to in FMI 3.0: its array's first element, or itself."""
    firsts: list[int] = []
    for reference, slot in enumerate(slots):
        firsts.append(reference if slot.width else firsts[-1])
    return firsts
