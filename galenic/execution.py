"""What the commands `run` and `resume` share: simulate with a progress bar, then report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from galenic import session
from galenic.console import messages, output
from galenic.tables import kpi_table, pacing_text, time_table

if TYPE_CHECKING:
    from rich.console import Console

    from cosim import Scenario, Simulation
    from galenic.session import Outcome


def execute(simulation: Simulation, folder: Path, *, quiet: bool, plot: bool, progress: bool = True) -> None:
    """Run a simulation to its end, write KPIs, log and figure, and show them.

    Raises:
        GalenicError: the run failed; what was computed is kept.
        typer.Exit: Ctrl-C stopped it; what was computed is kept and reported.
    """
    console, notes, scenario = output(), messages(), simulation.scenario
    interrupted = _simulate(simulation, scenario, folder, notes, quiet or not progress)
    outcome = session.finish(scenario, folder)
    if plot:
        session.draw_run(outcome, scenario)
    metadata = outcome.results.metadata
    title = session.title_of(scenario, metadata)
    _write_log(outcome, title)
    if quiet:
        console.print(str(folder), soft_wrap=True, markup=False)
    else:
        console.print(kpi_table(outcome.kpis, title))
        if (times := time_table(metadata)) is not None:
            console.print(times)
        if pacing := pacing_text(metadata):
            console.print(pacing)
        files = f"{session.KPI_FILE}, {session.LOG_FILE}" + (f", {session.FIGURE_FILE}" if plot else "")
        console.print(f"Results: {folder} ({files})", soft_wrap=True, markup=False)
    if reason := metadata.get("stopped"):
        notes.print(f"Stopped: {reason}", soft_wrap=True, markup=False)
    for loop in metadata.get("no_loop_at_start") or ():
        notes.print(
            "Some FMUs do not say which output depends on which input. At t = 0 nothing comes back round "
            f"{loop}, so it is not taken for an algebraic loop; where that may change later, use "
            "'master: {algorithm: iterative}'.",
            soft_wrap=True,
            markup=False,
        )
    if interrupted:
        again = f"; 'galenic resume {folder}' goes on from its last checkpoint" if simulation.keeps_checkpoints else ""
        notes.print(
            f"Interrupted at {metadata['simulated_time']:g} s of {scenario.duration:g} s; what was "
            f"computed is kept in {folder}{again}",
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

    metadata = outcome.results.metadata
    lines = [
        title,
        *(f"{key}: {metadata.get(key)}" for key in ("scenario_file", "started", "simulated_time", "wall_time")),
        *(f"{name} {version}" for name, version in (metadata.get("versions") or {}).items()),
        *(f"FMU {name}: {fmu['file']} sha256 {fmu['sha256']}" for name, fmu in (metadata.get("fmus") or {}).items()),
        *(f"set {text}" for text in metadata.get("set") or ()),
        *([f"stopped: {metadata['stopped']}"] if metadata.get("stopped") else []),
        *([] if outcome.complete else [f"not complete: {metadata.get('error') or 'interrupted'}"]),
        *filter(None, [pacing_text(metadata)]),
        *(f"time in {name}: {seconds:.3g} s" for name, seconds in (metadata.get("cpu_time") or {}).items()),
        *(f"{k.label}: {format_value(k.value, k.unit)}  [{k.definition}]" for k in outcome.kpis),
    ]
    session.write_text(outcome.folder / session.LOG_FILE, "\n".join(lines) + "\n")
