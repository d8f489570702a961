"""`galenic list`."""

from __future__ import annotations

from collections.abc import Iterable

import typer

EPILOG = """Examples:

    galenic list

    galenic run tablet_line      (a scenario of the list)

    galenic info tablet_press    (a unit of the list)"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("list", epilog=EPILOG)(list_everything)


def list_everything() -> None:
    """Show the scenarios, units and controllers there are, with a line about each."""
    from rich.table import Table
    from rich.text import Text

    from galenic.console import output

    console = output()
    for title, rows in (("Scenarios", _scenarios()), ("Units", _units()), ("Controllers", _controllers())):
        table = Table(
            title=title, title_justify="left", title_style="bold", show_header=False, box=None, padding=(0, 2)
        )
        table.add_column(style="bold", no_wrap=True)
        table.add_column()
        for name, text in rows:
            table.add_row(Text(name), Text(text))
        console.print(table)
        console.print()


def _scenarios() -> Iterable[tuple[str, str]]:
    from cosim import load_scenario, scenario_names
    from fmus.errors import GalenicError

    for name in scenario_names():
        try:
            yield name, load_scenario(name).description
        except GalenicError as error:
            yield name, f"cannot be read: {error.message}"


def _units() -> Iterable[tuple[str, str]]:
    from fmus import GalenicError, unit_model, unit_names

    for name in unit_names():
        try:
            yield name, unit_model(name).description
        except GalenicError as error:
            yield name, f"cannot be read: {error.message}"


def _controllers() -> Iterable[tuple[str, str]]:
    from pathlib import Path

    from cosim.registry import controller_types, find_controller
    from fmus.errors import GalenicError

    for name in sorted(controller_types()):
        try:
            text = find_controller(name, Path.cwd()).__doc__ or ""
        except GalenicError as error:
            text = f"cannot be loaded: {error.message}"
        yield name, (text.strip().splitlines() or [""])[0]
