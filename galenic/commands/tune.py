"""`galenic tune`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from cosim import Scenario
    from galenic.loop_tuning import TunedLoop

EPILOG = """Examples:

    galenic tune tablet_line

    galenic tune tablet_line --loop force_loop --tau-c 3 --write tuned.yaml"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("tune", epilog=EPILOG)(tune)


def tune(
    scenario: Annotated[str, typer.Argument(help="Name of a shipped scenario, or a YAML file.")],
    loop: Annotated[
        list[str] | None, typer.Option(help="PI controller to tune. May be given again. Default: all.")
    ] = None,
    tau_c: Annotated[
        float, typer.Option(min=0.1, help="Time constant of the closed loop, in effective dead times; more is gentler.")
    ] = 1.0,
    max_sensitivity: Annotated[
        float, typer.Option(min=1.1, max=3.0, help="tau_c grows until Ms of the sampled loop is at most this.")
    ] = 1.7,
    without: Annotated[
        list[str] | None,
        typer.Option(help="Leave this controller out. May be given again. Default: every supervisor (the MPC)."),
    ] = None,
    values: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Another value than the file's. May be given again."),
    ] = None,
    settle: Annotated[
        str | None, typer.Option(help='Time before each step, such as "20 min". Default: 60 periods of the loop.')
    ] = None,
    write: Annotated[
        Path | None, typer.Option(help="Scenario file to write, which extends this one and has the new tunings.")
    ] = None,
) -> None:
    """Tune the PI loops of a scenario by SIMC rules, from step tests on its FMUs.

    Each loop is opened in turn and its output stepped up and down, without noise and disturbances, the other loops
    closed. Shows gain and integral time beside the present ones, with the robustness of both.
    """
    from cosim import Simulation
    from fmus.errors import GalenicError
    from galenic import session
    from galenic.console import messages, output
    from galenic.loop_tuning import loops_of, tune_loop, write_variant
    from galenic.progress import count_progress

    line = session.load(scenario, None, values or [])
    if without is None:
        with Simulation(line) as whole:
            without = [c.name for c in whole.system.controllers.values() if c.supervises]
    line = _for_tests(line, scenario)
    loops = loops_of(line, without, loop or [])
    rest = session.interval("--settle", settle)
    tuned, refused = [], []
    with count_progress(messages(), "Step tests", len(loops)) as report:
        for number, each in enumerate(loops):
            try:
                tuned.append(
                    tune_loop(
                        line, each, without, slower=tau_c, most_sensitive=max_sensitivity, settle=rest,
                        progress=lambda share, number=number: report(number + share),  # type: ignore[misc]
                    )
                )  # fmt: skip
            except GalenicError as error:
                if loop or len(loops) == 1:
                    raise
                refused.append(f"{each.name} is left as it is: {error.message}.")
    for text in refused:
        messages().print(text, soft_wrap=True, markup=False)
    if not tuned:
        raise GalenicError("no loop could be tuned", cure="see above; --loop NAME says more of one")
    output().print(_table(tuned))
    if write is not None:
        write_variant(write, scenario, line, tuned)
        output().print(f"Scenario: {write}", soft_wrap=True, markup=False)


def _for_tests(line: Scenario, name: str) -> Scenario:
    """With the parameters that the scenario's identification plan sets for step tests: hoppers that need no refill."""
    from controllers.identification_plan import IdentificationPlan
    from fmus.errors import GalenicError
    from galenic.commands.identify import plan_file

    try:
        plan = IdentificationPlan.load(plan_file(name))
    except GalenicError:  # most scenarios have none
        return line
    components = dict(line.components)
    for component, values in plan.parameters.items():
        if component in components:
            spec = components[component]
            components[component] = spec.model_copy(update={"parameters": {**spec.parameters, **values}})
    return line.model_copy(update={"components": components})


def _table(tuned: Sequence[TunedLoop]) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from galenic.tables import number

    table = Table(title="PI loops", title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    table.add_column("loop", overflow="fold")
    table.add_column("tuning")
    table.add_column("gain", justify="right")
    for column in ("T_i [s]", "Ms", "gain margin", "phase margin"):
        table.add_column(column, justify="right")
    notes = []
    for each in tuned:
        for label, tuning, margins in (("now", each.loop.present, each.before), ("SIMC", each.tuning, each.after)):
            table.add_row(
                Text(each.loop.name if label == "now" else each.gain_unit),
                label,
                number(tuning.gain, 3),
                "-" if tuning.integral_time is None else number(tuning.integral_time, 3),
                number(margins.sensitivity, 3) if margins.gain_margin > 1.0 else "unstable",
                number(margins.gain_margin, 3),
                f"{margins.phase_margin:.0f} deg" if margins.phase_margin < 360.0 else "-",
                end_section=label == "SIMC",
            )
        model = each.model
        lag = "integrating" if model.integrating else f"time constant {number(model.time_constant, 3)} s"
        notes.append(
            f"{each.loop.name}: {each.loop.measured}, gain {number(model.gain, 3)}, {lag}, dead time "
            f"{number(model.dead_time, 3)} s (+ {number(each.loop.delay + each.loop.period / 2, 3)} s of sensor and "
            f"sampling), fit error {100 * model.error:.2g} %; tau_c {number(each.slower, 3)} dead times."
        )
    table.caption = Text("\n".join(notes))
    table.caption_justify = "left"
    return table
