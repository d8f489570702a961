"""`galenic advise`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EPILOG = """Examples:

    galenic advise

    galenic advise runs/trial --accept 3

    galenic advise runs/trial --reject 4

    galenic advise runs/trial --release"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("advise", epilog=EPILOG)(advise)


def advise(
    run: Annotated[Path | None, typer.Argument(help="Folder of a run. Default: the newest below ./runs")] = None,
    accept: Annotated[
        int | None, typer.Option(min=1, metavar="NUMBER", help="Accept the recommendation of this number.")
    ] = None,
    reject: Annotated[int | None, typer.Option(min=1, metavar="NUMBER", help="Reject it.")] = None,
    release: Annotated[
        bool, typer.Option("--release", help="Hand the setpoints back to the loops below the controller.")
    ] = False,
    controller: Annotated[str | None, typer.Option(help="The controller, where several advise.")] = None,
) -> None:
    """Show what a controller in advisory mode recommends in a run that goes on, and answer it.

    Without an option: the open recommendations. An answer is in force from the controller's next period on; one that
    comes after the recommendation has expired does nothing.
    """
    from fmus.errors import GalenicError, nearest
    from galenic import advice
    from galenic.console import output
    from galenic.progress import clock_text
    from galenic.session import newest_run

    folder, console = run or newest_run(), output()
    if (accept is not None) + (reject is not None) + release > 1:
        raise GalenicError("one answer at a time", cure="give one of --accept, --reject and --release")
    files = advice.answers_of(folder)
    waiting = advice.open_advice(folder)
    if controller is not None:
        if controller not in files:
            raise GalenicError(f"'{controller}' has recommended nothing in {folder}", cure=nearest(controller, files))
        files = {controller: files[controller]}
        waiting = [a for a in waiting if a.controller == controller]
    wanted = accept if accept is not None else reject
    if wanted is None and not release:
        for a in waiting:
            title = f"{a.controller} recommends (number {a.number}, made at {clock_text(a.time)})"
            console.print(advice.advice_table(title, a.inputs))
            console.print(
                f"Open until {clock_text(a.expires)}: galenic advise {folder} --accept {a.number}", markup=False
            )
        if not waiting:
            console.print("Nothing is recommended at the moment.")
        return
    if release:
        if len(files) != 1:
            raise GalenicError(
                f"{'several controllers advise' if files else 'no controller has recommended anything'} in {folder}",
                cure="choose by --controller" if files else "give the folder of a run in advisory mode",
            )
        ((name, file),) = files.items()
        advice.answer(file, 0, "release")
        console.print(f"{name} is told to release its setpoints.", markup=False)
        return
    found = [a for a in waiting if a.number == wanted]
    if not found:
        numbers = ", ".join(str(a.number) for a in waiting)
        raise GalenicError(
            f"recommendation {wanted} is not open",
            cure=f"open: {numbers}" if waiting else "there is none at the moment; look again later",
        )
    if len(found) > 1:
        raise GalenicError(f"several controllers have a recommendation {wanted}", cure="choose by --controller")
    what = "accept" if accept is not None else "reject"
    advice.answer(found[0].answers, found[0].number, what)
    console.print(f"Recommendation {wanted} of {found[0].controller}: {what}ed.", markup=False)
