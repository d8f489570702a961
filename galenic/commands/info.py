"""`galenic info`."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.table import Table

EPILOG = """Examples:

    galenic info tablet_press

    galenic info my_plant/granulator.fmu --causality input

    galenic info my_unit.py

    galenic info my_line.ssp

    galenic info my_unit.py --markdown"""

#: the index of an array's element, as FMI 2.0's structured names have it
_ELEMENT = re.compile(r"\[(\d+)\]")
_ORDER = ("input", "output", "parameter", "calculatedParameter", "local", "independent")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("info", epilog=EPILOG)(info)


def info(
    target: Annotated[
        str, typer.Argument(metavar="FMU_OR_UNIT", help="An .fmu or .ssp file, a unit's name, or FILE.py.")
    ],
    causality: Annotated[
        str | None, typer.Option(help="Only these variables: input, output, parameter or local.")
    ] = None,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print a unit's variables and parameter sources for a Markdown page.")
    ] = False,
) -> None:
    """Show the variables of an FMU or unit: causality, unit, start, bounds, role; and what its interface can do.

    Of an .ssp: its components, connections and inputs that nothing drives.
    """
    from rich.text import Text

    from cosim.fmu_archive import open_archive
    from fmus import GalenicError, build_fmu, unit_model
    from galenic.console import messages, output

    if causality is not None and causality not in _ORDER:
        raise GalenicError(f"there is no causality '{causality}'", cure=f"one of {', '.join(_ORDER)}")
    if markdown:
        _print_markdown(target, causality)
        return
    if target.lower().endswith((".ssp", ".ssd")):
        _print_system(Path(target))
        return
    if target.lower().endswith(".fmu"):
        file = Path(target)
    else:
        model = unit_model(target)
        with messages().status("Building the FMU"):
            file = build_fmu(model)
    archive = open_archive(file, to_run=False)
    description = archive.description
    console = output()
    console.print(Text.assemble((description.modelName, "bold"), "  ", description.description or ""))
    with zipfile.ZipFile(file) as content:
        xml = ET.fromstring(content.read("modelDescription.xml"))
        platforms = sorted(
            {n.split("/")[1] for n in content.namelist() if n.startswith("binaries/") and n.count("/") > 1}
        )
    console.print(Text(_interface(xml)))
    console.print(Text(f"Platforms: {', '.join(platforms)}.  File: {file}"), soft_wrap=True)
    for table in _tables(description, _roles(xml), causality):
        console.print(table)


def _print_system(file: Path) -> None:
    from galenic.console import output
    from galenic.system_tables import system_tables

    console = output()
    for part in system_tables(file):
        console.print(part)


def _print_markdown(target: str, causality: str | None) -> None:
    from fmus import GalenicError, unit_model
    from galenic.variable_tables import markdown_tables

    if target.lower().endswith(".fmu"):
        raise GalenicError("--markdown: an FMU does not say where its parameters are from", cure="name the unit model")
    typer.echo(markdown_tables(unit_model(target), causality))


_INTERFACES = {
    "CoSimulation": "Co-Simulation",
    "ModelExchange": "Model Exchange",
    "ScheduledExecution": "Scheduled Execution",
}
_STEPPING = {"variable communication step": "canHandleVariableCommunicationStepSize"}
_COMMON_2 = {
    "get and set state": "canGetAndSetFMUstate",
    "serialise state": "canSerializeFMUstate",
    "directional derivatives": "providesDirectionalDerivative",
}
_STEPPING_3 = _STEPPING | {"event mode": "hasEventMode", "intermediate update": "providesIntermediateUpdate"}
_COMMON_3 = {
    "get and set state": "canGetAndSetFMUState",
    "serialise state": "canSerializeFMUState",
    "directional derivatives": "providesDirectionalDerivatives",
    "adjoint derivatives": "providesAdjointDerivatives",
}
_DENIED = {
    "several instances in one process": "canBeInstantiatedOnlyOncePerProcess",
    "no execution tool": "needsExecutionTool",
}


def _interface(description: ET.Element) -> str:
    """A line for each interface: what it can do and what not, in the words of its FMI version."""
    version = description.get("fmiVersion", "")
    stepping, common = (_STEPPING, _COMMON_2) if version.startswith("2") else (_STEPPING_3, _COMMON_3)
    lines = []
    for tag, name in _INTERFACES.items():
        element = description.find(tag)
        if element is None:
            continue
        flags = (stepping if tag == "CoSimulation" else {}) | common
        can = {what: element.get(flag) in ("true", "1") for what, flag in flags.items()}
        can |= {what: element.get(flag) not in ("true", "1") for what, flag in _DENIED.items()}
        able = ", ".join(what for what, flag in can.items() if flag)
        unable = ", ".join(what for what, flag in can.items() if not flag)
        lines.append(f"FMI {version} {name}.  Yes: {able}." + (f"  No: {unable}." if unable else ""))
    return "\n".join(lines)


def _roles(xml: ET.Element) -> dict[str, str]:
    """Roles that Galenic writes as annotations; other tools' FMUs have none."""
    found = {}
    for variable in xml.iter():
        role = variable.findtext("Annotations/Tool[@name='galenic']/Role")
        role = role or variable.findtext("Annotations/Annotation[@type='galenic.role']")
        if role:
            found[variable.get("name", "")] = role
    return found


def _rows(variables: list[Any]) -> Iterator[tuple[str, Any]]:
    """Shown name and variable; neighbours ``x[1], x[2], ...`` are one row ``x[1..n]``."""
    for stem, neighbours in groupby(variables, key=lambda v: _ELEMENT.sub("[", v.name) if _plain(v) else v.name):
        group = list(neighbours)
        if len(group) > 1:
            last = _ELEMENT.search(group[-1].name)
            yield _ELEMENT.sub(f"[1..{last[1] if last else ''}]", group[0].name), group[0]
        else:
            sizes = ",".join(str(d.start) for d in getattr(group[0], "dimensions", None) or [] if d.start)
            yield (f"{stem}[{sizes}]" if sizes else group[0].name), group[0]


def _plain(variable: Any) -> bool:
    return bool(_ELEMENT.search(variable.name))


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
        for name, variable in _rows(variables):
            unit = variable.unit or getattr(getattr(variable, "declaredType", None), "unit", None) or ""
            role = _initials(roles.get(variable.name, ""))
            cells = (name, unit, _short(variable.start), _range(variable), role, variable.description or "")
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
