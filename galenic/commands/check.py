"""`galenic check`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console

    from fmus.check import Verdict

EPILOG = """Examples:

    galenic check fmus/tablet_press.fmu

    galenic check from_supplier/*.fmu --json verdicts.json

    galenic check fmus/tablet_press.fmu --only run --only "state machine"

A failed check makes the exit status 1; a warning does not."""

_STYLE = {"ok": "green", "warning": "yellow", "failed": "bold red", "skipped": "dim"}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("check", epilog=EPILOG)(check)


def check(
    files: Annotated[list[Path], typer.Argument(metavar="FILE.fmu...", help="FMUs of any tool.")],
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the verdicts as JSON.")
    ] = None,
    time_limit: Annotated[float, typer.Option(min=1.0, help="Seconds that each run of an FMU may take.")] = 30.0,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="CHECK", help="Of the checks that run the FMU, only this one. May be given again."),
    ] = None,
) -> None:
    """Check whether FMUs are sound, a verdict a line: file, description, binaries, and how they behave when run.

    Co-Simulation and Model Exchange of FMI 2.0 and 3.0 are run, each check in a process of its own, so that an FMU may
    crash or hang; of Scheduled Execution only file, description and binaries are read. Running an FMU runs its code:
    check only files whose source you trust.
    """
    from fmus import GalenicError
    from fmus.check import check_fmu
    from galenic.console import output

    console = output()
    # all before the first, which may take a minute
    checks = [(file, check_fmu(file, time_limit=time_limit, only=only or ())) for file in files]
    if json_file is not None and not json_file.absolute().parent.is_dir():
        raise GalenicError(f"--json: there is no folder '{json_file.parent}'", cure="create it first")
    found: dict[str, list[Verdict]] = {}
    for file, verdicts in checks:
        found[str(file)] = _show(console, file, verdicts)
    if json_file is not None:
        json_file.write_text(json.dumps(_as_data(found), indent=2) + "\n", encoding="utf-8")
    if any(v.outcome == "failed" for verdicts in found.values() for v in verdicts):
        raise typer.Exit(1)


def _show(console: Console, file: Path, verdicts: Iterable[Verdict]) -> list[Verdict]:
    """One table; while it grows, a terminal shows which check is done."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from galenic.console import messages

    table = Table(
        title=Text(str(file)), title_justify="left", title_style="bold", box=SIMPLE_HEAD, padding=(0, 1, 0, 0)
    )
    table.add_column("check", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    table.add_column("found", ratio=1, overflow="fold")
    done: list[Verdict] = []
    with messages().status(f"Checking {file.name}") as status:
        for verdict in verdicts:
            if verdict.interface and (not done or done[-1].interface != verdict.interface):
                table.add_section()
                table.add_row(Text(verdict.interface, "bold"))
            done.append(verdict)
            status.update(f"Checking {file.name}: {verdict.check} {verdict.outcome}")
            outcome = Text(verdict.outcome, _STYLE[verdict.outcome])
            table.add_row(Text(verdict.check), outcome, Text(verdict.found))
    console.print(table)
    console.print(Text(f"{file.name}: {_summary(done)}\n"))
    return done


def _summary(verdicts: list[Verdict]) -> str:
    counts = {name: sum(v.outcome == name for v in verdicts) for name in _STYLE}
    text = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    return f"{text}. " + ("It fails." if counts["failed"] else "It passes.")


def _as_data(found: dict[str, list[Verdict]]) -> list[dict[str, object]]:
    return [
        {
            "file": file,
            "passed": all(v.outcome != "failed" for v in verdicts),
            "verdicts": [
                {"interface": v.interface or None, "check": v.check, "outcome": str(v.outcome), "found": v.found}
                for v in verdicts
            ],
        }
        for file, verdicts in found.items()
    ]
