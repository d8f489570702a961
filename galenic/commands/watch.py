"""`galenic watch`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EPILOG = """Examples:

    galenic watch

    galenic watch runs/tablet_line-20250101-120000

    galenic watch runs/trial --last "30 min" --signals "press.*weight" --signals blender.holdup.mass"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("watch", epilog=EPILOG)(watch)


def watch(
    run: Annotated[Path | None, typer.Argument(help="Folder of a run. Default: the newest below ./runs")] = None,
    signals: Annotated[
        list[str] | None,
        typer.Option(help="Draw what has this name or pattern instead of the scenario's panels. May be given again."),
    ] = None,
    last: Annotated[
        str | None, typer.Option(help='Draw only the last so much simulated time, such as "30 min".')
    ] = None,
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks at the run.")] = 1.0,
) -> None:
    """Draw a run in the terminal while it goes on in another, until it ends. Ctrl-C leaves the run alone.

    A run shows its latest rows every two seconds or so. A run that has ended is drawn once, and so is any where the
    output is not a terminal.
    """
    import time

    from rich.live import Live

    from cosim.results import seconds
    from galenic.console import output
    from galenic.session import newest_run
    from galenic.watch_view import WatchView

    console = output()
    span = None if last is None else seconds("--last", last)
    view = WatchView(run or newest_run(), signals or (), span)
    view.refresh()
    if not console.is_terminal or view.ended:
        console.print(view.render(console))
        return
    try:
        with Live(view.render(console), console=console, auto_refresh=False, vertical_overflow="crop") as live:
            while not view.ended:
                time.sleep(every)
                view.refresh()
                live.update(view.render(console), refresh=True)
    except KeyboardInterrupt:
        return
