"""`galenic run`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from cosim import Scenario, Simulation
    from galenic.session import Outcome

EPILOG = """Examples:

    galenic run tablet_line

    galenic run tablet_line --seed 7 --without mpc

    galenic run my_line.yaml --duration "30 min" --out runs/trial

    galenic run tablet_line --real-time 10x"""


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
    real_time: Annotated[
        str | None,
        typer.Option(help="Keep step with the clock: 1x is real time, 10x ten times as fast. Counts missed deadlines."),
    ] = None,
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
    from galenic.console import messages, output
    from galenic.tables import kpi_table, pacing_text, time_table

    console, notes = output(), messages()
    loaded = session.load(scenario, duration)
    folder = session.new_folder(loaded.name, out)
    removed = tuple(without or ())
    factor = None if real_time is None else parse_factor(real_time)
    if quiet:
        simulation = session.build(loaded, folder, seed=seed, without=removed, real_time=factor)
    else:
        with notes.status("Building the line (FMUs that are not cached yet take some seconds each)"):
            simulation = session.build(loaded, folder, seed=seed, without=removed, real_time=factor)
    if warning := session.warning_of(loaded):
        notes.print(warning, markup=False)
    interrupted = _simulate(simulation, loaded, folder, notes, quiet)
    outcome = session.finish(loaded, folder)
    if not no_plot:
        session.draw_run(outcome, loaded)
    title = session.title_of(loaded, outcome.results.metadata)
    _write_log(outcome, title)
    if quiet:
        console.print(str(folder), soft_wrap=True, markup=False)
    else:
        console.print(kpi_table(outcome.kpis, title))
        if (times := time_table(outcome.results.metadata)) is not None:
            console.print(times)
        if pacing := pacing_text(outcome.results.metadata):
            console.print(pacing)
        files = f"{session.KPI_FILE}, {session.LOG_FILE}" + ("" if no_plot else f", {session.FIGURE_FILE}")
        console.print(f"Results: {folder} ({files})", soft_wrap=True, markup=False)
    if interrupted:
        notes.print(
            f"Interrupted at {outcome.results.metadata['simulated_time']:g} s of {loaded.duration:g} s; what was "
            f"computed is kept in {folder}",
            soft_wrap=True,
            markup=False,
        )
        raise typer.Exit(130)


def _simulate(simulation: Simulation, scenario: Scenario, folder: Path, notes: Console, quiet: bool) -> bool:
    """Run to the end; whether Ctrl-C stopped it."""
    from fmus.errors import GalenicError
    from galenic.progress import simulation_progress

    try:
        with simulation_progress(notes, scenario.name, scenario.duration, quiet) as report:
            simulation.run(report)
    except KeyboardInterrupt:
        if not (folder / "metadata.json").exists():
            raise
        return True
    except GalenicError as error:
        if (folder / "metadata.json").exists():
            kept = f"The results up to t = {simulation.time:g} s are kept in {folder}."
            error.cure = f"{error.cure.rstrip('.')}. {kept}" if error.cure else kept
        raise
    return False


def _write_log(outcome: Outcome, title: str) -> None:
    from galenic.indicator import format_value
    from galenic.session import LOG_FILE, write_text
    from galenic.tables import pacing_text

    metadata = outcome.results.metadata
    lines = [
        title,
        *(f"{key}: {metadata.get(key)}" for key in ("scenario_file", "started", "simulated_time", "wall_time")),
        *(f"{name} {version}" for name, version in (metadata.get("versions") or {}).items()),
        *(f"FMU {name}: {fmu['file']} sha256 {fmu['sha256']}" for name, fmu in (metadata.get("fmus") or {}).items()),
        *([] if outcome.complete else [f"not complete: {metadata.get('error') or 'interrupted'}"]),
        *filter(None, [pacing_text(metadata)]),
        *(f"time in {name}: {seconds:.3g} s" for name, seconds in (metadata.get("cpu_time") or {}).items()),
        *(f"{k.label}: {format_value(k.value, k.unit)}  [{k.definition}]" for k in outcome.kpis),
    ]
    write_text(outcome.folder / LOG_FILE, "\n".join(lines) + "\n")
