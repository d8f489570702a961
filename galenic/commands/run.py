"""`galenic run`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from cosim import Simulation

EPILOG = """Examples:

    galenic run tablet_line

    galenic run tablet_line --seed 7 --without mpc

    galenic run wet_granulation_line --set granulator.screw_speed=700rpm --set duration=1h

    galenic run my_line.yaml --duration "30 min" --out runs/trial

    galenic run tablet_line --real-time 10x

    galenic run tablet_line --checkpoint-every 1h

    galenic run tablet_line --advise"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("run", epilog=EPILOG)(run)


def run(
    scenario: Annotated[str, typer.Argument(help="Name of a shipped scenario (see `galenic list`), or a YAML file.")],
    seed: Annotated[
        int | None, typer.Option(min=0, help="Seed of all random numbers, instead of the scenario's.")
    ] = None,
    without: Annotated[list[str] | None, typer.Option(help="Leave this controller out. May be given again.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the results. Default: a new one below ./runs")] = None,
    duration: Annotated[str | None, typer.Option(help='Simulate this long instead, such as "30 min".')] = None,
    values: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Another value than the file's. May be given again."),
    ] = None,
    real_time: Annotated[
        str | None,
        typer.Option(help="Keep step with the clock: 1x is real time, 10x ten times as fast. Counts missed deadlines."),
    ] = None,
    checkpoint_every: Annotated[
        str | None,
        typer.Option(
            help='Keep the whole state every so much simulated time, such as "1h"; `galenic resume` goes on from it.'
        ),
    ] = None,
    advise: Annotated[
        bool,
        typer.Option("--advise", help="Predictive controllers only recommend, and ask at the terminal for an answer."),
    ] = False,
    no_plot: Annotated[bool, typer.Option("--no-plot", help="Draw no figure.")] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print the folder of the results, nothing else.")
    ] = False,
) -> None:
    """Run a scenario, then show its KPIs and draw its figure.

    Ctrl-C stops the run and keeps what was computed: KPIs and figure are made of that.
    """
    from cosim.pacing import parse_factor
    from galenic import session
    from galenic.console import messages
    from galenic.execution import execute

    notes = messages()
    loaded = session.load(scenario, duration, values or ())
    folder = session.new_folder(loaded.name, out)
    removed = tuple(without or ())
    factor = None if real_time is None else parse_factor(real_time)
    every = session.interval("--checkpoint-every", checkpoint_every)

    def build() -> Simulation:
        return session.build(loaded, folder, seed=seed, without=removed, real_time=factor, checkpoint_every=every)

    if quiet:
        simulation = build()
    else:
        with notes.status("Building the line (FMUs that are not cached yet take some seconds each)"):
            simulation = build()
    warnings = [session.warning_of(loaded), *session.warnings_of_values(simulation), *session.notices_of(simulation)]
    for warning in filter(None, warnings):
        notes.print(warning, markup=False)
    if advise:
        from galenic.advice import ask_at_prompt

        ask_at_prompt(simulation, notes)
    execute(simulation, folder, quiet=quiet, plot=not no_plot, progress=not advise)
