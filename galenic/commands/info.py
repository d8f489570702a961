"""`galenic info`."""

from __future__ import annotations

import xml.etree.ElementTree as ET
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.table import Table

EPILOG = """Examples:

    galenic info tablet_press

    galenic info my_plant/granulator.fmu --causality input

    galenic info my_unit.py"""

_ORDER = ("input", "output", "parameter", "calculatedParameter", "local", "independent")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("info", epilog=EPILOG)(info)


def info(
    target: Annotated[str, typer.Argument(metavar="FMU_OR_UNIT", help="An .fmu file, a unit's name, or FILE.py.")],
    causality: Annotated[
        str | None, typer.Option(help="Only these variables: input, output, parameter or local.")
    ] = None,
) -> None:
    """Show the variables of an FMU or unit: causality, unit, start, bounds, role; and what its interface can do."""
    from rich.text import Text

    from cosim.fmu_archive import open_archive
    from fmus import GalenicError, build_fmu, unit_model
    from galenic.console import messages, output

    if causality is not None and causality not in _ORDER:
        raise GalenicError(f"there is no causality '{causality}'", cure=f"one of {', '.join(_ORDER)}")
    if target.lower().endswith(".fmu"):
        file = Path(target)
    else:
        model = unit_model(target)
        with messages().status("Building the FMU"):
            file = build_fmu(model)
    archive = open_archive(file)
    description = archive.description
    console = output()
    console.print(Text.assemble((description.modelName, "bold"), "  ", description.description or ""))
    console.print(Text(_interface(description)))
    with zipfile.ZipFile(file) as content:
        roles = _roles(content.read("modelDescription.xml"))
        platforms = sorted(
            {n.split("/")[1] for n in content.namelist() if n.startswith("binaries/") and n.count("/") > 1}
        )
    console.print(Text(f"Platforms: {', '.join(platforms)}.  File: {file}"), soft_wrap=True)
    console.print(_table(description, roles, causality))


def _interface(description: Any) -> str:
    can = description.coSimulation
    flags = {
        "variable communication step": can.canHandleVariableCommunicationStepSize,
        "get and set state": can.canGetAndSetFMUstate,
        "serialise state": can.canSerializeFMUstate,
        "directional derivatives": can.providesDirectionalDerivative,
        "several instances in one process": not can.canBeInstantiatedOnlyOncePerProcess,
        "no execution tool": not can.needsExecutionTool,
    }
    able = ", ".join(name for name, flag in flags.items() if flag)
    unable = ", ".join(name for name, flag in flags.items() if not flag)
    return f"FMI {description.fmiVersion} Co-Simulation.  Yes: {able}." + (f"  No: {unable}." if unable else "")


def _roles(xml: bytes) -> dict[str, str]:
    """Roles that Galenic writes as annotations; other tools' FMUs have none."""
    found = {}
    for variable in ET.fromstring(xml).iter("ScalarVariable"):
        role = variable.findtext("Annotations/Tool[@name='galenic']/Role")
        if role:
            found[variable.get("name", "")] = role
    return found


def _table(description: Any, roles: dict[str, str], causality: str | None) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table()
    for column in ("variable", "causality", "unit"):
        table.add_column(column, no_wrap=column == "unit")
    for column in ("start", "min", "max"):
        table.add_column(column, justify="right", no_wrap=True)
    if roles:
        table.add_column("role")
    table.add_column("description")
    variables = [v for v in description.modelVariables if causality in (None, v.causality)]
    for variable in sorted(variables, key=lambda v: _ORDER.index(v.causality or "local")):
        declared = getattr(variable, "declaredType", None)
        unit = variable.unit or getattr(declared, "unit", None) or ""
        cells = [variable.name, variable.causality or "local", unit]
        cells += [_short(getattr(variable, key, None)) for key in ("start", "min", "max")]
        cells += [roles.get(variable.name, "")] if roles else []
        table.add_row(*(Text(cell) for cell in (*cells, variable.description or "")))
    return table


def _short(value: Any) -> str:
    if value is None:
        return ""
    try:
        return f"{float(value):.6g}"
    except ValueError:
        return str(value)
