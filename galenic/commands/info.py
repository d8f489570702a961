"""`galenic info`."""

from __future__ import annotations

import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.table import Table

EPILOG = """Examples:

    galenic info tablet_press

    galenic info my_plant/granulator.fmu --causality input

    galenic info my_unit.py

    galenic info my_unit.py --markdown"""

_ORDER = ("input", "output", "parameter", "calculatedParameter", "local", "independent")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("info", epilog=EPILOG)(info)


def info(
    target: Annotated[str, typer.Argument(metavar="FMU_OR_UNIT", help="An .fmu file, a unit's name, or FILE.py.")],
    causality: Annotated[
        str | None, typer.Option(help="Only these variables: input, output, parameter or local.")
    ] = None,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print a unit's variables and parameter sources for a Markdown page.")
    ] = False,
) -> None:
    """Show the variables of an FMU or unit: causality, unit, start, bounds, role; and what its interface can do."""
    from rich.text import Text

    from cosim.fmu_archive import open_archive
    from fmus import GalenicError, build_fmu, unit_model
    from galenic.console import messages, output

    if causality is not None and causality not in _ORDER:
        raise GalenicError(f"there is no causality '{causality}'", cure=f"one of {', '.join(_ORDER)}")
    if markdown:
        _print_markdown(target, causality)
        return
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
    for table in _tables(description, roles, causality):
        console.print(table)


def _print_markdown(target: str, causality: str | None) -> None:
    from fmus import GalenicError, unit_model
    from galenic.variable_tables import markdown_tables

    if target.lower().endswith(".fmu"):
        raise GalenicError("--markdown: an FMU does not say where its parameters are from", cure="name the unit model")
    typer.echo(markdown_tables(unit_model(target), causality))


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


def _tables(description: Any, roles: dict[str, str], causality: str | None) -> Iterator[Table]:
    """One table for each causality."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    for kind in _ORDER if causality is None else (causality,):
        variables = [v for v in description.modelVariables if (v.causality or "local") == kind]
        if not variables:
            continue
        table = Table(
            title=f"{kind} ({len(variables)})",
            title_justify="left",
            title_style="bold",
            box=SIMPLE_HEAD,
            padding=(0, 1, 0, 0),
        )
        table.add_column("variable", no_wrap=True)
        table.add_column("unit", no_wrap=True)
        table.add_column("start", justify="right", no_wrap=True)
        table.add_column("min to max", no_wrap=True)
        table.add_column("role", no_wrap=True)
        table.add_column("description", ratio=1)
        for variable in variables:
            unit = variable.unit or getattr(getattr(variable, "declaredType", None), "unit", None) or ""
            role = _initials(roles.get(variable.name, ""))
            cells = (variable.name, unit, _short(variable.start), _range(variable), role, variable.description or "")
            table.add_row(*(Text(cell) for cell in cells))
        yield table


def _range(variable: Any) -> str:
    low, high = (_short(getattr(variable, side, None)) for side in ("min", "max"))
    return f"{low or '-inf'} to {high or 'inf'}" if low or high else ""


def _initials(role: str) -> str:
    """``CPP`` for "critical process parameter"; a single word stays."""
    words = role.split()
    return "".join(word[0].upper() for word in words) if len(words) > 1 else role


def _short(value: Any) -> str:
    if value is None:
        return ""
    try:
        return f"{float(value):.6g}"
    except ValueError:
        return str(value)
