"""`galenic tune`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from cosim import Scenario
    from galenic.feed_forward_tuning import TunedFeed
    from galenic.loop_tuning import TunedLoop

EPILOG = """Examples:

    galenic tune tablet_line

    galenic tune tablet_line --loop force_loop --tau-c 1 --tau-c 3 --tau-c 10

    galenic tune tablet_line --max-noise .2 --write tuned.yaml

    galenic tune penicillin_batch_paa --settle "100 h\""""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("tune", epilog=EPILOG)(tune)


def tune(
    scenario: Annotated[str, typer.Argument(help="Name of a shipped scenario, or a YAML file.")],
    loop: Annotated[
        list[str] | None, typer.Option(help="PI or PID controller to tune. May be given again. Default: all.")
    ] = None,
    tau_c: Annotated[
        list[float] | None,
        typer.Option(
            min=0.1,
            help="Time constant of the closed loop, in effective dead times; more is gentler. Given again: a row for "
            "each, to choose from. Default: 1.",
        ),
    ] = None,
    max_sensitivity: Annotated[
        float, typer.Option(min=1.1, max=3.0, help="tau_c grows until Ms of the sampled loop is at most this.")
    ] = 1.7,
    max_noise: Annotated[
        float | None,
        typer.Option(
            min=0.001, help="tau_c grows until at most this share of the sensor's noise reaches what it measures."
        ),
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option(help="Leave this controller out. May be given again. Default: every supervisor (the MPC)."),
    ] = None,
    disturb: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SIGNAL=INPUT",
            help="Of a feed-forward: the input whose step moves what it measures. Default: what it measures.",
        ),
    ] = None,
    values: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Another value than the file's. May be given again."),
    ] = None,
    settle: Annotated[
        str | None,
        typer.Option(
            help='Time before each step, such as "20 min"; in a batch the point of its course to tune for. '
            "Default: 60 periods of the loop."
        ),
    ] = None,
    write: Annotated[
        Path | None, typer.Option(help="Scenario file to write, which extends this one and has the new tunings.")
    ] = None,
) -> None:
    """Tune the loops of a scenario by SIMC rules, from step tests on its FMUs.

    Each loop is put in manual in turn and its output stepped up and down, without noise and disturbances, the other
    loops closed: the inner loop of a cascade first, and with its new tuning from then on. Shows gain, integral and
    derivative time beside the present ones, with the robustness of both and the noise that they pass on. Then
    feed-forward gains, from steps of the disturbance.
    """
    from fmus.errors import GalenicError
    from galenic import session
    from galenic.console import messages, output
    from galenic.loop_tuning import Wishes, write_variant

    choices = tau_c or [1.0]
    if write is not None and len(choices) > 1:
        raise GalenicError("--write: which of the --tau-c is not said", cure="give one --tau-c")
    line = session.load(scenario, None, values or [])
    without = _left_out(line, without)
    line = _for_tests(line, scenario)
    wishes = [Wishes(c, max_sensitivity, float("inf") if max_noise is None else max_noise) for c in choices]
    tuned, feeds, refused = _tune(
        line, without, loop or [], wishes, session.interval("--settle", settle), _causes(disturb or [])
    )
    for text in refused:
        messages().print(text, soft_wrap=True, markup=False)
    if not tuned and not feeds:
        raise GalenicError("no loop could be tuned", cure="see above; --loop NAME says more of one")
    if tuned:
        output().print(_table(tuned))
    if feeds:
        output().print(_feeds(feeds))
    if write is not None:
        write_variant(write, scenario, line, _controllers(tuned, feeds))
        output().print(f"Scenario: {write}", soft_wrap=True, markup=False)


def _left_out(line: Scenario, without: list[str] | None) -> list[str]:
    from cosim import Simulation

    if without is not None:
        return without
    with Simulation(line) as whole:
        return [c.name for c in whole.system.controllers.values() if c.supervises]


def _causes(disturb: list[str]) -> dict[str, str]:
    from fmus.errors import GalenicError

    found = {}
    for text in disturb:
        signal, equals, cause = text.partition("=")
        if not equals or not signal.strip() or not cause.strip():
            raise GalenicError(f"--disturb: '{text}' is not SIGNAL=INPUT",
                               cure="write for example --disturb humidity.value=dryer.inlet_air.humidity")  # fmt: skip
        found[signal.strip()] = cause.strip()
    return found


def _tune(
    line: Scenario,
    without: Sequence[str],
    wanted: Sequence[str],
    wishes: Sequence[Any],
    settle: float | None,
    causes: Mapping[str, str],
) -> tuple[list[TunedLoop], list[TunedFeed], list[str]]:
    from fmus.errors import GalenicError
    from galenic.console import messages
    from galenic.feed_forward_tuning import feeds_of, tune_feed
    from galenic.loop_tuning import loops_of, tune_loop, tuning_keys, with_tuning
    from galenic.progress import count_progress

    loops = loops_of(line, without, wanted)
    feeds = feeds_of(line, loops, without, causes)
    tuned, fed = [], []
    refused = [
        f"{name} is left as it is: a {section['type']} has two actuators, which these rules do not know."
        for name, section in line.controllers.items()
        if section.get("type") == "split_range" and not wanted
    ]
    alone = bool(wanted) or len(loops) == 1
    with count_progress(messages(), "Step tests", len(loops) + len(feeds)) as report:
        for number, each in enumerate(loops):

            def step(share: float, number: int = number) -> None:
                report(number + share)

            try:
                tuned.append(tune_loop(line, each, without, wishes, settle=settle, progress=step))
            except GalenicError as error:
                if alone:
                    raise
                refused.append(f"{each.name} is left as it is: {error.message}.")
                continue
            line = with_tuning(line, each.name, tuning_keys(tuned[-1], tuned[-1].choices[0]))
        for number, feed in enumerate(feeds, len(loops)):

            def next_step(share: float, number: int = number) -> None:
                report(number + share)

            try:
                fed.append(tune_feed(line, feed, without, settle=settle, progress=next_step))
            except GalenicError as error:
                refused.append(f"{feed.controller}, {feed.signal} is left as it is: {error.message}.")
    return tuned, fed, refused


def _controllers(tuned: Sequence[TunedLoop], feeds: Sequence[TunedFeed]) -> dict[str, dict[str, Any]]:
    from galenic.loop_tuning import tuning_keys

    found: dict[str, dict[str, Any]] = {each.loop.name: tuning_keys(each, each.choices[0]) for each in tuned}
    for each in feeds:
        signals = found.setdefault(each.feed.controller, {"signals": {}})["signals"]
        signals[each.feed.signal] = each.keys()
    return found


def _for_tests(line: Scenario, name: str) -> Scenario:
    """With the parameters that the scenario's identification plan sets for step tests: hoppers that need no refill."""
    from controllers.surrogates.plan import IdentificationPlan
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
    import math

    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from galenic.tables import number

    table = Table(title="Loops by SIMC rules", title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    table.add_column("loop", overflow="fold")
    table.add_column("tuning")
    derivative = any(each.loop.derivative for each in tuned)
    times = ("T_i [s]", "T_d [s]") if derivative else ("T_i [s]",)
    for column in ("gain", *times, "Ms", "gain margin", "phase margin", "noise", "output"):
        table.add_column(column, justify="right")
    notes = []
    for each in tuned:
        loop, last = each.loop, each.choices[-1]
        rows = [("now", each.before), *((f"tau_c {number(c.slower, 3)}", c) for c in each.choices)]
        for label, choice in rows:
            tuning, margins, noise = choice.tuning, choice.margins, choice.noise
            cells = ["-" if tuning.integral_time is None else number(tuning.integral_time, 3)]
            if derivative:
                cells.append(number(tuning.derivative_time, 3) if tuning.derivative_time else "-")
            table.add_row(
                Text(loop.name if label == "now" else each.gain_unit if choice is each.choices[0] else ""),
                label,
                number(tuning.gain, 3),
                *cells,
                number(margins.sensitivity, 3) if math.isfinite(margins.sensitivity) else "unstable",
                number(margins.gain_margin, 3),
                f"{margins.phase_margin:.0f} deg" if margins.phase_margin < 360.0 else "-",
                "-" if noise is None or not loop.noise else f"{100 * noise.measured:.0f} %",
                "-" if noise is None or not loop.noise else number(noise.output * loop.noise, 2),
                end_section=choice is last,
            )
        model = each.model
        lag = "integrating" if model.integrating else f"time constant {number(model.time_constant, 3)} s"
        lag += f", second {number(model.second, 3)} s" if model.second else ""
        notes.append(
            f"{loop.name}: {loop.measured}, gain {number(model.gain, 3)}, {lag}, dead time "
            f"{number(model.dead_time, 3)} s (+ {number(loop.delay + loop.period / 2, 3)} s of sensor and "
            f"sampling), fit error {100 * model.error:.2g} %."
        )
    notes.append(
        "tau_c in effective dead times. Noise: the share of the sensor's noise that the loop passes on to what it "
        "controls; output: the standard deviation of the output by it."
    )
    table.caption = Text("\n".join(notes))
    table.caption_justify = "left"
    return table


def _feeds(feeds: Sequence[TunedFeed]) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from galenic.tables import number

    table = Table(title="Feed-forward", title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    table.add_column("signal", overflow="fold")
    table.add_column("for")
    for column in ("gain now", "gain", "lead [s]", "lag [s]", "dead time [s]"):
        table.add_column(column, justify="right")
    notes = []
    for each in feeds:
        feed = each.feed
        table.add_row(
            Text(f"{feed.signal}\n{each.gain_unit}"),
            Text(feed.loop.name),
            number(feed.present, 3),
            number(each.gain, 3),
            *(number(v, 3) if v else "-" for v in (each.lead, each.lag, each.dead_time)),
        )
        notes.append(
            f"{feed.signal}: {feed.cause} on {feed.loop.measured}, dead time {number(each.disturbance.dead_time, 3)} s"
            f", fit error {100 * each.disturbance.error:.2g} %; "
            + (f"the actuator comes {number(each.late, 3)} s too late." if each.late else "the actuator is in time.")
        )
    table.caption = Text("\n".join(notes))
    table.caption_justify = "left"
    return table
