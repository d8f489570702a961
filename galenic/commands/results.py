"""`galenic results`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from cosim import Results

EPILOG = """Examples:

    galenic results runs/trial

    galenic results runs/trial --signals "press.*" --start "10 min" --every "1 min" --csv press.csv

    galenic results runs/trial --unit press.tablet_weight=g --mat trial.mat --parquet trial.parquet"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("results", epilog=EPILOG)(results)


def results(
    run: Annotated[Path | None, typer.Argument(help="Folder of a run. Default: the newest below ./runs")] = None,
    signals: Annotated[
        list[str] | None, typer.Option(help="A signal or a pattern such as 'press.*'. May be given again. Default: all")
    ] = None,
    unit: Annotated[
        list[str] | None,
        typer.Option(metavar="SIGNAL=UNIT", help="Convert this signal, or those of a pattern. May be given again."),
    ] = None,
    start: Annotated[str | None, typer.Option(help='First time, such as "10 min".')] = None,
    stop: Annotated[str | None, typer.Option(help="Last time.")] = None,
    every: Annotated[str | None, typer.Option(help='Time from row to row, such as "1 min".')] = None,
    csv: Annotated[Path | None, typer.Option(help="Write this CSV file; units are in its header.")] = None,
    mat: Annotated[Path | None, typer.Option(help="Write this MAT file, for MATLAB and Octave.")] = None,
    parquet: Annotated[Path | None, typer.Option(help="Write this Parquet file; units are in its metadata.")] = None,
) -> None:
    """Show what a run recorded, or export it as CSV, MAT or Parquet.

    Without an export: each signal with its unit, the interval of its rows, its range and its last value. Works for
    interrupted runs, and for runs that go on.
    """
    from cosim import Results
    from galenic.console import output
    from galenic.session import newest_run

    console = output()
    opened = Results.open(run or newest_run())
    wanted = _with_units(opened, signals, unit or ())
    rows = {"start": _number(start), "stop": _number(stop), "every": _number(every)}
    exports = {opened.to_csv: csv, opened.to_mat: mat, opened.to_parquet: parquet}
    if not any(exports.values()):
        console.print(_overview(opened, wanted, rows))
        return
    for export, file in exports.items():
        if file is not None:
            console.print(str(export(file, wanted, **rows)), soft_wrap=True, markup=False)


def _title(results: Results) -> str:
    metadata = results.metadata
    state = (
        "complete" if results.complete else "ended early" if results.closed else "not closed: it goes on, or was killed"
    )
    return f"{metadata.get('scenario')}, seed {metadata.get('seed')}: {state}"


def _number(text: str | None) -> float | str | None:
    """A time without a unit is in s."""
    try:
        return None if text is None else float(text)
    except ValueError:
        return text


def _with_units(results: Results, signals: list[str] | None, changes: list[str] | tuple[()]) -> dict[str, str]:
    """The signals asked for, each with the unit to give it in."""
    from fmus.errors import GalenicError

    units = {name: results.units[name] for name in results.select(signals)}
    for change in changes:
        pattern, found, unit = change.rpartition("=")
        if not found:
            raise GalenicError(f"--unit: '{change}' has no '='", cure="write for example press.tablet_weight=g")
        for name in results.select(pattern):
            if name not in units and signals is not None:
                raise GalenicError(f"--unit: '{name}' is not among --signals", cure="add it there")
            units[name] = unit
    return units


def _overview(results: Results, units: dict[str, str], rows: dict[str, float | str | None]) -> Table:
    from rich.box import SIMPLE
    from rich.table import Table
    from rich.text import Text

    from cosim.result_summary import ranges
    from galenic.tables import number

    title = Text(_title(results))
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE, padding=(0, 1, 0, 0))
    table.add_column("signal", overflow="fold")
    table.add_column("unit", no_wrap=True)
    for heading in ("every", "rows", "least", "greatest", "last"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, found in ranges(results, units, **rows).items():
        interval = results.interval(name)
        table.add_row(
            Text(name), Text(units[name]), "-" if interval is None else f"{interval:g} s", str(found.rows),
            *(number(value) for value in (found.least, found.greatest, found.last)),
        )  # fmt: skip
    return table
