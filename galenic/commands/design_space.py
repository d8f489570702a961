"""`galenic design-space`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from galenic.design_space_plan import Plan
    from galenic.design_space_result import Outcome, Verification

PLAN_FILE = "plan.json"

EPILOG = """Examples:

    galenic design-space tablet_line --vary "force_loop.setpoint=4.5:7.5 kN" --vary "press.gap_setpoint=1.9:2.3 mm"

    galenic design-space tablet_line --vary "feeder_ratio.api_fraction=8 %" --duration "1 h" --points 256

    galenic design-space tablet_line --back-off 30 --verify 20

    galenic design-space tablet_line --resume runs/design-space-tablet_line-20260101-120000 --points 512"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("design-space", epilog=EPILOG)(design_space)


def design_space(
    scenario: Annotated[str, typer.Argument(help="Name of a shipped scenario, or a YAML file.")],
    vary: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SIGNAL=LOW:HIGH",
            help="A setpoint to vary, with its range, or as +- a share: SIGNAL=10 %. May be given again. Default: the "
            "setpoints of the scenario's design space that nothing drives.",
        ),
    ] = None,
    points: Annotated[int, typer.Option(min=10, help="How many setpoints.")] = 128,
    seeds: Annotated[int, typer.Option(min=1, help="Runs with other random numbers at each setpoint.")] = 1,
    first_seed: Annotated[int, typer.Option(min=0, help="The runs' seeds count up from here.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the choice of setpoints.")] = 1,
    at_least: Annotated[
        float, typer.Option(min=0.01, max=0.999, help="P(all CQAs in specification) to ask for.")
    ] = 0.9,
    confidence: Annotated[
        float, typer.Option(min=0.5, max=0.999, help="That P is at least that; .5: the best estimate.")
    ] = 0.9,
    allow: Annotated[str, typer.Option(help="Share of a run's time that may be out of specification.")] = "0 %",
    keep: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SIGNAL=LOW:HIGH",
            help="What has to stay inside from the warm-up on, beside or in place of the limits in the file; a side "
            "may be left out. May be given again.",
        ),
    ] = None,
    at_end: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SIGNAL=LOW:HIGH", help="The same of what counts at the end of a batch: a yield, a titre."
        ),
    ] = None,
    verify: Annotated[
        int, typer.Option(min=0, help="Fresh runs at the corners of the ranges found, to see whether they hold.")
    ] = 0,
    back_off: Annotated[
        int | None,
        typer.Option(
            min=5,
            metavar="RUNS",
            help="Instead: run the scenario so often in closed loop with its MPC, see how far its quality attributes "
            "wander from where it wants them, and write its design space with that much taken off the limits that it "
            "keeps to. --at-least is the share of runs that stay within.",
        ),
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option(help="Leave this controller out. May be given again. Default: every supervisor (the MPC)."),
    ] = None,
    values: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Another value than the file's. May be given again."),
    ] = None,
    duration: Annotated[str | None, typer.Option(help='Simulate this long instead, such as "30 min".')] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Runs at a time, each in a process.")] = 2,
    scheduler: Annotated[
        str | None,
        typer.Option(
            help="Compute on a Dask cluster instead: its scheduler's address, or local:N for N processes here."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the results. Default: a new one below ./runs")] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Folder of an ensemble that was interrupted, or that more points are added to.")
    ] = None,
) -> None:
    """Find where setpoints keep all quality attributes in specification, whatever lots and noise come.

    Runs the scenario at many setpoints, each with other random numbers, and fits P(all CQAs in specification) to what
    came out. Writes a design-space file for the MPC with ranges that hold together, and a picture.
    """
    from fmus.errors import GalenicError
    from galenic import session
    from galenic.console import messages, output
    from galenic.design_space_ensemble import SAMPLES, run_ensemble
    from galenic.design_space_figure import draw_design_space
    from galenic.design_space_result import learn, save
    from galenic.executors import open_executor
    from galenic.progress import count_progress

    console, notes = output(), messages()
    if back_off is not None:
        from galenic.commands.back_off import back_off_of

        given = {"--vary": vary, "--keep": keep, "--at-end": at_end, "--without": without, "--resume": resume}
        for option, value in given.items():
            if value:
                raise GalenicError(
                    f"--back-off runs the scenario as it is; {option} is of the ensemble", cure="leave it out"
                )
        back_off_of(
            scenario, values or [], duration, allow, back_off, first_seed, at_least, verify, jobs, scheduler, out
        )
        return
    plan = _plan(
        scenario, vary or [], values or [], None if without is None else tuple(without), duration, allow,
        (seeds, first_seed, seed), (keep or [], at_end or []),
    )  # fmt: skip
    folder = _folder(plan, out, resume)
    session.write_json(folder / PLAN_FILE, plan.to_json())
    total = points * plan.seeds_each
    with count_progress(notes, f"{total} runs", total) as report, open_executor(jobs, scheduler) as executor:
        samples, interrupted = run_ensemble(plan, points, executor, folder, report)
    if interrupted:
        notes.print(
            f"Interrupted after {len(samples)} of {total} runs; they are kept: the same command with --resume {folder} "
            "goes on.",
            soft_wrap=True,
            markup=False,
        )
    if not samples:
        raise typer.Exit(130)
    try:
        outcome = learn(plan, samples, at_least, confidence)
    except GalenicError as error:
        if interrupted:
            raise typer.Exit(130) from error
        notes.print(f"The runs are kept in {folder}.", soft_wrap=True, markup=False)
        raise
    draw_design_space(outcome, folder / "design_space.png")
    console.print(_ranges(outcome))
    console.print(_error(outcome))
    files = [SAMPLES, "design_space.png"]
    if outcome.box is None:
        notes.print(_nothing(outcome), markup=False)
    else:
        save(outcome, folder / "design_space.yaml")  # before the fresh runs, which may be interrupted
        if verify and not interrupted:
            shown = _verify(outcome, verify, jobs, scheduler)
            save(outcome, folder / "design_space.yaml", shown)
            console.print(
                f"Fresh runs at the corners of these ranges: {shown.passed} of {shown.runs} in specification "
                f"(95 % confidence: {shown.low:.2f} to {shown.high:.2f}).",
                markup=False,
            )
        files.insert(0, "design_space.yaml")
    console.print(f"Results: {folder} ({', '.join(files)})", soft_wrap=True, markup=False)
    if interrupted:
        raise typer.Exit(130)
    if outcome.box is None:
        raise typer.Exit(1)


def _plan(
    name: str,
    vary: list[str],
    overrides: list[str],
    without: tuple[str, ...] | None,
    duration: str | None,
    allow: str,
    seeds: tuple[int, int, int],
    asked: tuple[list[str], list[str]],
) -> Plan:
    """All that decides what the runs give. Raises GalenicError before anything runs."""
    from cosim import Simulation, find_scenario
    from fmus.errors import GalenicError
    from galenic import session
    from galenic.design_space_plan import Plan, attributes_of, fingerprint, setpoints_of
    from galenic.kpi_section import kpi_section
    from galenic.kpi_section import seconds as kpi_seconds

    scenario = session.load(name, duration, overrides)
    if without is None:
        with Simulation(scenario) as whole:
            without = tuple(c.name for c in whole.system.controllers.values() if c.supervises)
    allowed = share_of_time(allow)
    warm_up = kpi_seconds(scenario, ("product", "warm_up"), kpi_section(scenario).product.warm_up)
    if warm_up >= scenario.duration:
        raise GalenicError(
            f"the warm-up of {warm_up:g} s covers the whole run of {scenario.duration:g} s, so nothing would count",
            cure="give a longer --duration",
        )
    with Simulation(scenario, without=without) as simulation:
        system = simulation.system
        return Plan(
            scenario=str(find_scenario(name).resolve()),
            overrides=tuple(overrides),
            without=without,
            duration=scenario.duration,
            warm_up=warm_up,
            allowed=allowed,
            setpoints=setpoints_of(scenario, system, vary),
            attributes=attributes_of(scenario, system, *asked),
            seeds_each=seeds[0],
            first_seed=seeds[1],
            seed=seeds[2],
            fingerprint=fingerprint(scenario, system),
        )


def share_of_time(allow: str) -> float:
    """The option --allow."""
    from fmus.errors import GalenicError
    from fmus.quantity import parse_quantity

    try:
        allowed = parse_quantity(allow, "1")
    except GalenicError as error:
        raise GalenicError(f"--allow: {error.message}", cure="write for example --allow '1 %'") from error
    if not 0.0 <= allowed < 1.0:
        raise GalenicError(f"--allow: '{allow}' is not between 0 and 1", cure="write for example --allow '1 %'")
    return allowed


def _folder(plan: Plan, out: Path | None, resume: Path | None) -> Path:
    """Where the results go; that of an earlier ensemble only if it was the same one."""
    from fmus.errors import GalenicError
    from galenic import session

    if resume is None:
        if out is not None and out.exists() and any(out.iterdir()):
            raise GalenicError(f"--out: the folder '{out}' is not empty", cure="give a new one, or --resume it")
        return session.new_folder(f"design-space-{Path(plan.scenario).stem}", out)
    file = resume / PLAN_FILE
    try:
        earlier: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise GalenicError(f"--resume: '{resume}' holds no ensemble", cure="give its folder", file=file) from error
    now = plan.to_json()
    for key in (k for k in now if k != "scenario"):
        if earlier.get(key) != now[key]:
            raise GalenicError(
                f"--resume: '{key}' was another when these runs began",
                cure="the scenario or a unit was changed since; begin anew"
                if key == "fingerprint"
                else f"repeat the options of then ({key}: {json.dumps(earlier.get(key))}), or begin anew",
                file=file,
            )
    return resume


def _verify(outcome: Outcome, runs: int, jobs: int, scheduler: str | None) -> Verification:
    from galenic.console import messages
    from galenic.design_space_ensemble import run_fresh
    from galenic.design_space_result import corners, verified
    from galenic.executors import open_executor
    from galenic.progress import count_progress

    with count_progress(messages(), f"{runs} fresh runs", runs) as report, open_executor(jobs, scheduler) as executor:
        return verified(outcome.plan, run_fresh(outcome.plan, corners(outcome, runs), executor, report))


def _ranges(outcome: Outcome) -> Table:
    from rich.table import Table
    from rich.text import Text

    from galenic.tables import number

    plan = outcome.plan
    table = Table(
        title=f"{len(outcome.samples)} runs, {sum(outcome.passed)} in specification", title_justify="left",
        title_style="bold",
    )  # fmt: skip
    table.add_column("setpoint", overflow="fold")
    table.add_column("unit")
    for column in ("now", "sampled", "alone", "all together"):
        table.add_column(column, justify="right")
    for s in plan.setpoints:
        alone, box = outcome.alone[s.name], None if outcome.box is None else outcome.box[s.name]
        cells = (f"{number(r.min)} to {number(r.max)}" if r is not None else "-" for r in (alone, box))
        table.add_row(Text(s.name), Text(s.unit), number(s.present), f"{number(s.low)} to {number(s.high)}", *cells)
    table.caption = (
        f"Ranges in which P(all CQAs in specification) is at least {outcome.region.at_least:g} with "
        f"{100 * outcome.region.confidence:g} % confidence: of one setpoint while the others stay, and of all at once."
    )
    table.caption_justify = "left"
    return table


def _error(outcome: Outcome) -> Table:
    from rich.table import Table

    from galenic.tables import number

    error = outcome.fit.error
    table = Table(title="Error of P on setpoints left out of the fit", title_justify="left", title_style="bold")
    for column in ("predicted P", "runs", "mean prediction", "share in specification"):
        table.add_column(column, justify="right")
    for c in error.calibration:
        table.add_row(f"{c.low:g} to {c.high:g}", str(c.runs), number(c.predicted, 2), number(c.observed, 2))
    table.caption = (
        f"Brier score {number(error.brier, 3)} (the plain share: {number(error.brier_constant, 3)}), "
        f"log loss {number(error.log_loss, 3)} ({number(error.log_loss_constant, 3)})."
    )
    table.caption_justify = "left"
    return table


def _nothing(outcome: Outcome) -> str:
    best = outcome.region.probability(outcome.safest[None, :])[0]
    where = ", ".join(f"{s.name} {v:.4g} {s.unit}" for s, v in zip(outcome.plan.setpoints, outcome.safest, strict=True))
    return (
        f"No setpoint is shown to reach P = {outcome.region.at_least:g} with {100 * outcome.region.confidence:g} % "
        f"confidence, so no design-space file is written. The safest is {where}, with an estimated P of {best:.2f}. "
        "More points narrow the doubt; --at-least asks for less."
    )
