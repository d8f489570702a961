"""`galenic explain`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EPILOG = """Examples:

    galenic explain

    galenic explain runs/trial --at "2 h"

    galenic explain runs/trial --at 95min --controller mpc --json"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("explain", epilog=EPILOG)(explain)


def explain(
    run: Annotated[Path | None, typer.Argument(help="Folder of a run. Default: the newest below ./runs")] = None,
    at: Annotated[
        str | None, typer.Option(help='Explain the step at this time, such as "2 h". Default: a summary of the run.')
    ] = None,
    controller: Annotated[str | None, typer.Option(help="The controller, where there are several.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with all numbers.")] = False,
) -> None:
    """Say why a predictive controller's setpoints are what they are: one step, or a summary of the run.

    A step: what was measured and believed, where each output is heading, what each setpoint's move comes from, which
    constraint binds, which rung of the fallback ladder the answer is from and why. Works while a run goes on.
    """
    import json

    from cosim.results import seconds
    from fmus.errors import GalenicError
    from galenic import explanation, explanation_view
    from galenic.console import output
    from galenic.control_record import ControlRecord
    from galenic.session import newest_run

    record = ControlRecord.open(run or newest_run(), controller)
    console = output()
    if at is None:
        content = explanation.summarize(record)
        shown = explanation_view.summary(content)
    else:
        time = seconds("--at", at)
        found = explanation.explain(record, time)
        if found is None:
            raise GalenicError(f"--at: nothing was recorded up to {time:g} s", cure="give a later time")
        content, shown = found, explanation_view.explanation(found)
    if as_json:
        console.print(json.dumps(content, ensure_ascii=False, indent=1), soft_wrap=True, markup=False)
        return
    for part in shown:
        console.print(part)
