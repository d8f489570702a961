"""`galenic resume`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EPILOG = """Examples:

    galenic run tablet_line --checkpoint-every 1h --out runs/long

    galenic resume runs/long"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("resume", epilog=EPILOG)(resume)


def resume(
    run: Annotated[Path, typer.Argument(help="Folder of a run that kept checkpoints.", metavar="RUN")],
    checkpoint_every: Annotated[
        str | None, typer.Option(help="Keep the state at this interval from now on. Default: that of the run.")
    ] = None,
    real_time: Annotated[
        str | None, typer.Option(help="Keep step with the clock: 1x is real time, 10x ten times as fast.")
    ] = None,
    no_plot: Annotated[bool, typer.Option("--no-plot", help="Draw no figure.")] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print the folder of the results, nothing else.")
    ] = False,
) -> None:
    """Go on with a run from its last checkpoint, to the same results as if it had never stopped.

    The scenario is the one that was kept with the run, with its seed. Results that came after the checkpoint are
    computed again.
    """
    from cosim import Results
    from cosim.pacing import parse_factor
    from fmus.errors import GalenicError
    from galenic import session
    from galenic.console import messages
    from galenic.execution import execute
    from galenic.progress import clock_text

    results = Results.open(run)
    if results.complete:
        raise GalenicError(f"the run in {run} has reached its end", cure="there is nothing to resume")
    metadata = results.metadata
    loaded = session.scenario_of(results).model_copy(update={"duration": metadata["duration"]})
    every = session.interval("--checkpoint-every", checkpoint_every) or metadata.get("checkpoint_every")
    factor = None if real_time is None else parse_factor(real_time)
    simulation = session.build(
        loaded,
        run,
        seed=metadata["seed"],
        without=tuple(metadata["without"]),
        real_time=factor,
        checkpoint_every=every,
    )
    simulation.resume()
    if not quiet:
        messages().print(f"Going on from {clock_text(simulation.time)} of {clock_text(loaded.duration)}", markup=False)
    execute(simulation, run, quiet=quiet, plot=not no_plot)
