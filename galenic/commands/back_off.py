"""`galenic design-space --back-off`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

    from galenic.back_off import ClosedLoop, Found

FILE = "design_space.yaml"


def back_off_of(
    scenario: str,
    overrides: list[str],
    duration: str | None,
    allow: str,
    runs: int,
    first_seed: int,
    share: float,
    verify: int,
    jobs: int,
    scheduler: str | None,
    out: Path | None,
) -> None:
    """Run the scenario in closed loop, find the back-off and write its design space with it."""
    from datetime import UTC, datetime

    from galenic import session
    from galenic.back_off import closed_loop, learn, run_closed, with_file, write
    from galenic.commands.design_space import share_of_time
    from galenic.console import messages, output
    from galenic.design_space_result import versions
    from galenic.executors import open_executor
    from galenic.progress import count_progress

    console, notes = output(), messages()
    line = session.load(scenario, duration, overrides)
    plan = closed_loop(scenario, line, overrides, share_of_time(allow))
    folder = session.new_folder(f"back-off-{line.name}", out)
    with (
        count_progress(notes, f"{runs} runs in closed loop", runs) as report,
        open_executor(jobs, scheduler) as executor,
    ):
        found = learn(plan, run_closed(plan, range(first_seed, first_seed + runs), executor, report), share)
    console.print(_table(plan, found))
    for name, (below, above) in found.refused.items():
        notes.print(
            f"{name} has no back-off: it comes {below:g} below and {above:g} above where the MPC wants it, which "
            "leaves nothing of its limits. The loop has to be tuned, or the limits cannot be held.",
            soft_wrap=True,
            markup=False,
        )
    about = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions(),
        "scenario": line.name,
        "set": list(overrides),
        "duration": f"{plan.duration:g} s",
        "warm_up": f"{plan.warm_up:g} s",
        "runs": runs,
        "first_seed": first_seed,
        "share_of_runs": share,
        "allowed_share_of_time": plan.allowed,
        "in_specification": found.in_specification,
    }
    write(plan, found, folder / FILE, about)
    if verify:
        _verify(plan, with_file(plan, folder / FILE), first_seed + runs, verify, jobs, scheduler)
    console.print(f"Results: {folder} ({FILE})", soft_wrap=True, markup=False)


def _verify(
    before: ClosedLoop, after: ClosedLoop, first_seed: int, runs: int, jobs: int, scheduler: str | None
) -> None:
    """The same fresh seeds without and with the back-off."""
    from galenic.back_off import run_closed
    from galenic.console import messages, output
    from galenic.executors import open_executor
    from galenic.progress import count_progress

    seeds = range(first_seed, first_seed + runs)
    with (
        count_progress(messages(), f"{runs} fresh runs, twice", 2 * runs) as report,
        open_executor(jobs, scheduler) as executor,
    ):
        one = run_closed(before, seeds, executor, report)
        two = run_closed(after, seeds, executor, lambda done: report(runs + done))
    counts = [sum(run.passed(before.allowed) for run in each) for each in (one, two)]
    times = [100.0 * sum(run.outside for run in each) / len(each) for each in (one, two)]
    output().print(
        f"Fresh runs in specification: {counts[0]} of {runs} without, {counts[1]} with this back-off; out of it "
        f"{times[0]:.2g} % and {times[1]:.2g} % of the time.",
        markup=False,
    )


def _table(plan: ClosedLoop, found: Found) -> Table:
    from rich.table import Table
    from rich.text import Text

    from galenic.tables import number

    table = Table(
        title=f"{len(found.runs)} runs in closed loop, {found.in_specification} in specification",
        title_justify="left",
        title_style="bold",
    )
    table.add_column("quality attribute", overflow="fold")
    table.add_column("unit")
    for column in ("limits", "below", "above", "the MPC keeps to"):
        table.add_column(column, justify="right")
    for i, watched in enumerate(plan.watched):
        part = found.back_off.attributes.get(watched.name)
        low, high = (part.low, part.high) if part else (0.0, 0.0)
        worst = (max(getattr(run, side)[i] for run in found.runs if not run.error) for side in ("below", "above"))
        table.add_row(
            Text(watched.name),
            Text(watched.unit),
            f"{number(watched.low)} to {number(watched.high)}",
            *(number(value, 3) for value in worst),
            f"{number(watched.low + low)} to {number(watched.high - high)}",
        )
    margins = [run.margin for run in found.runs if run.margin == run.margin]
    table.caption = (
        "Below, above: furthest from where the MPC wanted it, in any run. What it keeps to: less what "
        f"{100.0 * found.share:g} % of the runs stay within."
        + (f" Smallest margin of the setpoints: {number(min(margins), 3)}." if margins else "")
        + (f" Back-off of the region: {number(found.back_off.region, 2)} logits." if found.back_off.region else "")
    )
    table.caption_justify = "left"
    return table
