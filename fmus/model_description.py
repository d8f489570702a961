"""modelDescription.xml of FMI 2.0 from a unit model."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import casadi as ca

from fmus.equations import UnitFunctions
from fmus.model import Role, UnitModel, Variable
from fmus.quantity import base_unit

# in sources/; the one file to compile, it includes the others
MAIN_SOURCE = "fmi2.c"


def model_description(model: UnitModel, functions: UnitFunctions, guid: str, version: str) -> bytes:
    """The XML text, UTF-8. Value references are indices into `UnitModel.variables`."""
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
        numberOfEventIndicators="0",
    )
    kind = ET.SubElement(
        root,
        "CoSimulation",
        modelIdentifier=model.name,
        canHandleVariableCommunicationStepSize="true",
        canGetAndSetFMUstate="true",
        canSerializeFMUstate="true",
        providesDirectionalDerivative="true",
        canNotUseMemoryManagementFunctions="false",
        needsExecutionTool="false",
    )
    ET.SubElement(ET.SubElement(kind, "SourceFiles"), "File", name=MAIN_SOURCE)
    _units(root, model)
    categories = ET.SubElement(root, "LogCategories")
    ET.SubElement(categories, "Category", name="logStatusError", description="what failed, with variable and time")
    ET.SubElement(root, "DefaultExperiment", startTime="0", stepSize="1")
    variables = ET.SubElement(root, "ModelVariables")
    calculated = {s.variable.name for s in model.states if s.initial is not None}
    calculated |= {a.variable.name for a in model.algebraics} | {v.name for v, _ in model.outputs}
    for reference, variable in enumerate(model.variables):
        _scalar_variable(variables, reference, variable, variable.name in calculated)
    _structure(root, model, functions)
    ET.indent(root)
    text: bytes = ET.tostring(root, encoding="UTF-8", xml_declaration=True)
    return text


def _units(root: ET.Element, model: UnitModel) -> None:
    definitions = ET.SubElement(root, "UnitDefinitions")
    for unit in sorted({v.unit for v in model.variables}):
        base = base_unit(unit)
        element = ET.SubElement(definitions, "Unit", name=unit)
        attributes = {name: str(power) for name, power in base.exponents.items()}
        ET.SubElement(element, "BaseUnit", attributes | {"factor": repr(base.factor), "offset": repr(base.offset)})


def _scalar_variable(parent: ET.Element, reference: int, variable: Variable, calculated: bool) -> None:
    description = variable.description
    if variable.source:
        description += f" (source: {variable.source})"
    attributes = {
        "name": variable.name,
        "valueReference": str(reference),
        "description": description,
        "causality": variable.causality,
    }
    discrete = variable.kind != "Real"
    if variable.causality == "parameter":
        attributes["variability"] = "fixed"
    else:
        attributes["variability"] = "discrete" if discrete else "continuous"
    if variable.causality != "input":
        attributes["initial"] = "calculated" if calculated else "exact"
    element = ET.SubElement(parent, "ScalarVariable", attributes)
    kind: dict[str, str] = {}
    if not discrete:
        kind["unit"] = variable.unit
        if variable.minimum is not None:
            kind["min"] = repr(variable.minimum)
        if variable.maximum is not None:
            kind["max"] = repr(variable.maximum)
        if variable.nominal > 0:
            kind["nominal"] = repr(variable.nominal)
    if variable.start is not None and not calculated:
        kind["start"] = repr(variable.start)
    ET.SubElement(element, variable.kind, kind)
    if variable.role is not Role.NONE:
        tool = ET.SubElement(ET.SubElement(element, "Annotations"), "Tool", name="galenic")
        ET.SubElement(tool, "Role").text = variable.role.value


def _structure(root: ET.Element, model: UnitModel, functions: UnitFunctions) -> None:
    structure = ET.SubElement(root, "ModelStructure")
    index = {v.name: i for i, v in enumerate(model.variables, start=1)}
    direct = _feedthrough(model, functions)
    outputs = ET.SubElement(structure, "Outputs")
    for row, (variable, _) in enumerate(model.outputs):
        ET.SubElement(
            outputs,
            "Unknown",
            index=str(index[variable.name]),
            dependencies=" ".join(str(i) for i in direct[row]),
        )
    unknowns = ET.SubElement(structure, "InitialUnknowns")
    for variable, _ in model.outputs:
        ET.SubElement(unknowns, "Unknown", index=str(index[variable.name]))


def _feedthrough(model: UnitModel, functions: UnitFunctions) -> list[list[int]]:
    """For each output, the inputs (counted from 1) that act on it without a step in between."""
    sizes = (1, len(model.states), len(model.algebraics), len(model.inputs), len(model.parameters), len(model.means))
    t, x, z, u, p, q = (ca.MX.sym(n, size) for n, size in zip("txzupq", sizes, strict=True))
    solved = functions.algebraic(t, x, u, p) if len(model.algebraics) else z
    through = ca.Function("through", [t, x, z, u, p, q], [functions.outputs(t, x, solved, u, p, q)])
    pattern = through.jac_sparsity(0, 3)
    rows: list[list[int]] = [[] for _ in model.outputs]
    for row, column in zip(pattern.row(), pattern.get_col(), strict=True):
        rows[row].append(column + 1)
    return rows
