"""`galenic identify`."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from controllers.identification_plan import IdentificationPlan
    from controllers.surrogate import LinearSurrogate
    from cosim import Scenario

EPILOG = """Examples:

    galenic identify tablet_line --out tablet_line_surrogate.yaml

    galenic identify my_plan.yaml"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("identify", epilog=EPILOG)(identify)


def identify(
    target: Annotated[
        str, typer.Argument(metavar="SCENARIO_OR_PLAN", help="A scenario that has an identification plan, or the plan.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="Surrogate file to write. Default: <scenario>_surrogate.yaml in this folder.")
    ] = None,
) -> None:
    """Identify the linear surrogate of a line, for the MPC, from step tests on its FMUs.

    A plan (a YAML file that begins with `identify: galenic/1`) says which inputs to step and which outputs to watch.
    The tests run without controllers, disturbances and noise. Shows the surrogate's error on runs it was not fitted to.
    """
    from controllers.identification_plan import IdentificationPlan
    from controllers.identify import identify as run_tests
    from controllers.simulation_plant import SimulationPlant
    from fmus.errors import GalenicError
    from galenic.console import messages, output
    from galenic.progress import count_progress
    from galenic.session import load

    source = plan_file(target)
    plan = IdentificationPlan.load(source)
    if plan.scenario is None:
        raise GalenicError("the plan names no scenario", cure="add 'scenario: FILE'", file=source, line=1)
    scenario = load(str(plan.scenario))
    file = out or Path(f"{scenario.name}_surrogate.yaml")
    with count_progress(messages(), "Step tests", 1.0) as report:
        surrogate = run_tests(
            lambda: SimulationPlant(scenario, plan.parameters),
            plan,
            provenance={
                "scenario": scenario.name,
                "scenario_sha256": hashlib.sha256(scenario.text.encode()).hexdigest(),
            },
            progress=lambda share, _label: report(share),
        )
    file.parent.mkdir(parents=True, exist_ok=True)
    surrogate.save(file)
    picture = file.with_suffix(".png")
    _draw(surrogate, plan, picture, scenario)
    output().print(_table(surrogate))
    output().print(
        f"Surrogate of order {len(surrogate.a)}: {file}, step responses: {picture}", soft_wrap=True, markup=False
    )


def plan_file(target: str) -> Path:
    """The plan itself, or the one that stands below the scenario's folder and names it."""
    from cosim import find_scenario
    from cosim.yaml_lines import read_yaml
    from fmus.errors import GalenicError

    file = find_scenario(target)
    data = read_yaml(file).data
    if isinstance(data, dict) and "identify" in data:
        return file
    for candidate in sorted(file.parent.rglob("*.yaml")):
        try:
            found = read_yaml(candidate).data
        except GalenicError:
            continue
        if not isinstance(found, dict) or "identify" not in found or not found.get("scenario"):
            continue
        if (candidate.parent / str(found["scenario"])).resolve() == file.resolve():
            return candidate
    raise GalenicError(
        f"no identification plan below {file.parent} names '{file.name}'",
        cure=f"write one: a YAML file that begins with 'identify: galenic/1' and 'scenario: {file.name}'",
        file=file,
    )


def _table(surrogate: LinearSurrogate) -> Table:
    from rich.table import Table
    from rich.text import Text

    from galenic.tables import number

    table = Table(title="Error on validation runs that were not fitted", title_justify="left", title_style="bold")
    for column in ("output", "unit", "RMSE", "fit %", "step response error %"):
        table.add_column(column, justify="left" if column in ("output", "unit") else "right")
    relative: dict[str, Any] = surrogate.provenance.get("step_response_error", {})
    for y in surrogate.outputs:
        error = float(relative.get(y.name, math.nan))
        table.add_row(Text(y.name), Text(y.unit), number(y.rmse, 3), number(y.fit, 3), number(100 * error, 2))
    return table


def _draw(surrogate: LinearSurrogate, plan: IdentificationPlan, file: Path, scenario: Scenario) -> None:
    """Step responses, one row an output and one column an input, each to its step in the training domain."""
    from galenic.step_figure import draw_steps

    samples = round(plan.horizon / plan.period)
    sizes: Sequence[float] = [(u.max - u.min) / 2 for u in surrogate.inputs]
    draw_steps(surrogate, samples, sizes, file, title=f"{scenario.name}: step responses of the surrogate")
