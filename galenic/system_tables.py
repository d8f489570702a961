"""What `galenic info` shows of a system of SSP: components, connections, inputs that nothing drives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from rich.console import RenderableType

    from cosim import Scenario
    from cosim.fmu_component import FmuComponent
    from cosim.wiring import Link


def system_tables(file: Path) -> Iterator[RenderableType]:
    """Header, tables and remarks of an `.ssp` or `.ssd`. Raises GalenicError where it cannot be used."""
    from cosim import Scenario
    from cosim.fmu_archive import open_archive
    from cosim.fmu_component import FmuComponent
    from cosim.ssp import read_ssp
    from cosim.ssp.write import component_links

    system = read_ssp(file)
    scenario = Scenario.from_source(system.source, file.resolve().parent, file.stem)
    # not to run: the FMUs may be for another platform
    components = [
        FmuComponent(name, open_archive(scenario.resolve(spec.fmu or ""), to_run=False))
        for name, spec in scenario.components.items()
    ]
    links = component_links(scenario, components)
    yield Text.assemble((system.title, "bold"), "  ", scenario.description)
    yield Text(f"{scenario.duration:g} s in steps of {scenario.communication_step:g} s.  File: {file}")
    driven = {link.target for link in links}
    yield _table("components", ("name", "FMU", "inputs", "outputs", "values"), _component_rows(scenario, components))
    if links:
        units = {f"{c.name}.{p.name}": p.unit for c in components for p in (*c.inputs, *c.outputs)}
        rows = [_link_row(link, units) for link in links]
        yield _table("connections", ("from", "unit", "to", "unit", "factor", "offset"), rows)
    free = [
        (f"{c.name}.{p.name}", p.unit, "" if p.start is None else f"{p.start:.6g}", p.description)
        for c in components
        for p in c.inputs
        if f"{c.name}.{p.name}" not in driven
    ]
    if free:
        yield _table("inputs without a connection", ("name", "unit", "start", "description"), free)
    kept = [name for name in ("sensors", "disturbances", "controllers") if getattr(scenario, name)]
    if kept:
        yield Text(f"Kept beside it for 'galenic run': {', '.join(kept)}.")
    for note in system.notes:
        yield Text(note)
    for unused in system.unused:
        yield Text(f"No variable takes the value of {unused}.")


def _component_rows(scenario: Scenario, components: Sequence[FmuComponent]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for component in components:
        spec = scenario.components[component.name]
        values = len(spec.parameters) + len(spec.start)
        file, inputs, outputs = component.archive.file.name, len(component.inputs), len(component.outputs)
        rows.append((component.name, file, str(inputs), str(outputs), str(values)))
    return rows


def _link_row(link: Link, units: dict[str, str]) -> tuple[str, ...]:
    assert link.source is not None, "connections have a source"
    change = ("" if link.factor == 1.0 else f"{link.factor:.6g}", "" if link.offset == 0.0 else f"{link.offset:.6g}")
    return (link.source, units[link.source], link.target, units[link.target], *change)


def _table(title: str, columns: Sequence[str], rows: Sequence[tuple[str, ...]]) -> Table:
    table = Table(
        title=f"{title} ({len(rows)})",
        title_justify="left",
        title_style="bold",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    for column in columns:
        right = column in {"inputs", "outputs", "values", "factor", "offset", "start"}
        table.add_column(column, justify="right" if right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return table
