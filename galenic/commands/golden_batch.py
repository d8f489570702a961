"""`galenic golden-batch`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from controllers.nonlinear.golden_batch import GoldenBatch

EPILOG = """Examples:

    galenic golden-batch penicillin_batch_mpc --reach "fermenter.penicillin_yield=3490 kg" --cost fermenter.sugar_feed=1

    galenic golden-batch penicillin_batch_mpc --reach "penicillin_yield=3490 kg" --cost sugar_feed=1 --cost paa_feed=2

The scenario takes it over by 'extends: [penicillin_batch_paa, schedules/penicillin_golden.yaml]' and follows it by
'reference: recipe.golden_yield' with 'preview: true'. See docs/batch_control.md."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("golden-batch", epilog=EPILOG)(golden_batch)


def golden_batch(
    scenario: Annotated[str, typer.Argument(help="Scenario of a batch with a predictive controller that has a model.")],
    reach: Annotated[
        str,
        typer.Option(
            metavar="OUTPUT=VALUE", help='What the batch is to end with, such as "fermenter.penicillin_yield=3490 kg".'
        ),
    ],
    cost: Annotated[
        list[str],
        typer.Option(
            metavar="INPUT=NUMBER",
            help="What is to be spared: the cost of one unit of a manipulated input for an hour, in any currency (a "
            "litre of sugar solution counts 1, of precursor 2). May be given again.",
        ),
    ],
    controller: Annotated[
        str | None, typer.Option(help="Its controller that follows the batch. Default: the one predictive controller.")
    ] = None,
    begin: Annotated[
        str | None,
        typer.Option("--from", help='By the recipe until then, such as "72 h". Default: its start_after.'),
    ] = None,
    step: Annotated[str, typer.Option(help="How long each feed is held.")] = "1 h",
    iterations: Annotated[int, typer.Option(min=1, help="Of the solver at most.")] = 500,
    out: Annotated[
        Path | None, typer.Option(help="File to write. Default: SCENARIO_golden.yaml in this folder.")
    ] = None,
) -> None:
    """Find the feeds of a batch at the means that reach what is asked at least cost, for an MPC to follow.

    First a batch at the means is run by recipe and loops, without disturbances: where every drawn value is at its
    mean. From --from on the feeds are then optimised on the controller's own model, inside its bounds, moves and
    limits (open-loop optimal control). The file has the trajectory of the output that is reached, as a profile of the
    recipe that the controller's 'reference:' names, and the states that its estimator begins with; beside it are
    all trajectories (CSV), and a picture of them beside those of the recipe.

    The last line says what one more unit would cost: where that is more than it is worth, ask for less.
    """
    from controllers.nonlinear.golden_batch import GoldenBatchProblem, Wishes
    from fmus.quantity import parse_quantity
    from galenic.console import messages, output
    from galenic.golden_batch_figure import draw_golden_batch
    from galenic.golden_batch_file import profile_of, write_golden_batch
    from galenic.progress import count_progress
    from galenic.session import interval, load

    name, wanted = _pair("--reach", reach, "fermenter.penicillin_yield=3490 kg")
    costs = dict(_pair("--cost", text, "fermenter.sugar_feed=1") for text in cost)
    loaded = load(scenario)
    wishes = Wishes(
        (name, wanted),
        {signal: parse_quantity(number, "1") for signal, number in costs.items()},
        interval("--from", begin),
        interval("--step", step),
        iterations=iterations,
    )
    problem = GoldenBatchProblem(loaded, controller, wishes)
    profile = profile_of(problem)  # refused before anything runs
    file = out or Path(f"{loaded.name}_golden.yaml")
    file.parent.mkdir(parents=True, exist_ok=True)
    with count_progress(messages(), "Golden batch", 2.0) as report:
        found = problem.solve(lambda what, share: report(share + (what == "Optimising")))
    command = _command(scenario, reach, cost, controller, begin, step, iterations)
    data = write_golden_batch(file, problem, found, profile, command)
    picture = draw_golden_batch(problem, found, file.with_suffix(".png"), f"{loaded.name}: golden batch and recipe")
    output().print(_table(found))
    y = found.model.process.outputs[found.reach[0]]
    if not found.solved[0]:
        output().print(f"The solver did not converge ({found.solved[1]}); --iterations allows more.", markup=False)
    prices = ", ".join(f"{name}: {cost:g}" for name, cost in problem.costs.items())
    said = f"One more {y.unit} of {y.name} costs {found.marginal:.3g} ({prices})."
    output().print(said, soft_wrap=True, markup=False)
    output().print(f"Profile: {file}, trajectories: {data}, picture: {picture}", soft_wrap=True, markup=False)


def _pair(option: str, text: str, example: str) -> tuple[str, str]:
    from fmus.errors import GalenicError

    name, equals, value = text.partition("=")
    if not equals or not name.strip() or not value.strip():
        raise GalenicError(f"{option}: '{text}' is not NAME=VALUE", cure=f'write for example {option} "{example}"')
    return name.strip(), value.strip()


def _command(
    scenario: str, reach: str, cost: list[str], controller: str | None, begin: str | None, step: str, iterations: int
) -> str:
    """What was typed, without where to."""
    given = [("reach", reach), *(("cost", c) for c in cost), ("controller", controller), ("from", begin)]
    given += [("step", None if step == "1 h" else step), ("iterations", None if iterations == 500 else str(iterations))]
    parts = [f'--{name} "{value}"' if " " in value else f"--{name} {value}" for name, value in given if value]
    return " ".join(["galenic golden-batch", Path(scenario).as_posix(), *parts])


def _table(found: GoldenBatch) -> Table:
    """What goes in and what comes out, of the golden batch and of the recipe."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from galenic.tables import number

    table = Table(
        title="A batch at the means", title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False
    )
    table.add_column("", no_wrap=True)
    table.add_column("unit", no_wrap=True)
    for column in ("golden batch", "recipe"):
        table.add_column(column, justify="right", no_wrap=True)
    y, index = found.model.process.outputs[found.reach[0]], found.reach[0]
    end = found.nominal.outputs[-1, index]
    table.add_row(Text(f"{y.name} at the end"), y.unit, number(found.outputs[-1, index], 4), number(end, 4))
    table.add_row(Text("  by the equations as they are"), y.unit, number(found.exact_end[index], 4), "")
    golden, recipe = found.amounts(found.inputs), found.amounts(found.recipe_inputs)
    for i in found.manipulated:
        u = found.model.inputs[i]
        table.add_row(Text(f"{u.name}, integral"), f"({u.unit})*h", number(golden[i], 4), number(recipe[i], 4))
    return table
