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

    from controllers.surrogates.linear_surrogate import LinearSurrogate
    from controllers.surrogates.plan import IdentificationPlan
    from controllers.surrogates.training_task import Trained
    from cosim import Scenario

EPILOG = """Examples:

    galenic identify tablet_line --out tablet_line_surrogate.yaml

    galenic identify tablet_line --method arx --excitation prbs --runs 4 --workers 2

    galenic identify my_plan.yaml"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("identify", epilog=EPILOG)(identify)


def identify(
    target: Annotated[
        str, typer.Argument(metavar="SCENARIO_OR_PLAN", help="A scenario that has an identification plan, or the plan.")
    ],
    method: Annotated[
        str | None,
        typer.Option(
            help="era, arx, subspace (linear), mechanistic (the units' equations), narx, neural. Default: the plan's."
        ),
    ] = None,
    excitation: Annotated[
        str | None, typer.Option(help="Training runs: steps, prbs, levels, lhs. Default: the method's.")
    ] = None,
    runs: Annotated[int | None, typer.Option(min=1, help="Training runs.")] = None,
    validations: Annotated[int | None, typer.Option(min=1, help="Runs to measure the error on.")] = None,
    duration: Annotated[str | None, typer.Option(help='Length of a training run, such as "2 h".')] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of excitation, noise and training.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Runs at a time, each in a process.")] = 2,
    out: Annotated[
        Path | None, typer.Option(help="Surrogate file to write. Default: <scenario>_surrogate.yaml in this folder.")
    ] = None,
) -> None:
    """Identify a surrogate of a line or a batch, for the MPC, from runs on its FMUs.

    A plan (a YAML file that begins with `identify: galenic/1`) says which inputs to move and which outputs to watch.
    The runs are without disturbances and sensors' noise. Shows the surrogate's error on runs it was not fitted to, in
    free simulation over the whole horizon.
    """
    from controllers.surrogates.equations import digest_of
    from controllers.surrogates.files import relative
    from controllers.surrogates.records import Experiment
    from controllers.surrogates.simulation_plant import SimulationPlant
    from controllers.surrogates.training import train
    from fmus.errors import GalenicError
    from galenic.console import messages, output
    from galenic.executors import local_processes
    from galenic.progress import count_progress
    from galenic.session import load
    from galenic.surrogate_figure import draw_validation

    source = plan_file(target)
    plan = _plan(source, method, excitation, runs, validations, duration, seed)
    if plan.scenario is None:
        raise GalenicError("the plan names no scenario", cure="add 'scenario: FILE'", file=source, line=1)
    scenario = load(str(plan.scenario))
    file = out or Path(f"{scenario.name}_surrogate.yaml")
    file.parent.mkdir(parents=True, exist_ok=True)
    provenance: dict[str, Any] = {
        "command": _command(target, method, excitation, runs, validations, duration, seed),
        "scenario": scenario.name,
        "scenario_file": relative(plan.scenario, file),
        "scenario_sha256": hashlib.sha256(scenario.text.encode()).hexdigest(),
        "model_digest": digest_of(scenario),
    }
    settings: tuple[Any, ...] = (scenario, plan.parameters, plan.controllers, list(plan.inputs))
    SimulationPlant(*settings).close()  # builds FMUs once, before the processes do
    with count_progress(messages(), "Runs", 1.0) as report, local_processes(workers) as executor:
        trained = train(
            lambda: SimulationPlant(*settings),
            plan,
            Experiment(source),
            executor=executor,
            progress=lambda share, _label: report(share),
            provenance=provenance,
        )
    trained.save(file)
    pictures = [file.with_name(f"{file.stem}_validation.png")]
    draw_validation(trained, pictures[0], f"{scenario.name}: {plan.method}, free simulation of unseen runs")
    if trained.linear is not None:
        pictures.append(file.with_suffix(".png"))
        _draw(trained.linear, plan, pictures[1], scenario)
    output().print(_table(trained))
    output().print(_summary(trained, plan), soft_wrap=True, markup=False)
    output().print(f"Surrogate: {file}, pictures: {', '.join(map(str, pictures))}", soft_wrap=True, markup=False)


def _plan(
    source: Path,
    method: str | None,
    excitation: str | None,
    runs: int | None,
    validations: int | None,
    duration: str | None,
    seed: int | None,
) -> IdentificationPlan:
    """The plan with what the command line says instead."""
    from dataclasses import replace

    from controllers.surrogates.excitation import EXCITATIONS
    from controllers.surrogates.plan import METHODS, IdentificationPlan
    from fmus.errors import GalenicError, nearest
    from fmus.quantity import parse_quantity

    plan = IdentificationPlan.load(source)
    for name, value, known in (("method", method, METHODS), ("excitation", excitation, EXCITATIONS)):
        if value is not None and value not in known:
            raise GalenicError(f"there is no {name} '{value}'", cure=nearest(value, known))
    changes: dict[str, Any] = {
        "method": method,
        "excitation": excitation,
        "runs": runs,
        "validations": validations,
        "duration": None if duration is None else parse_quantity(duration, "s"),
        "seed": seed,
    }
    changed = replace(plan, **{k: v for k, v in changes.items() if v is not None})
    if changed.method == "era" and changed.excitation not in ("", "steps"):
        raise GalenicError(
            f"method era needs step tests, not '{changed.excitation}'", cure="leave --excitation out, or --method arx"
        )
    if changed.method in ("arx", "subspace") and changed.excitation == "steps":
        raise GalenicError(
            f"method {changed.method} needs longer runs than step tests", cure="use prbs, or --method era"
        )
    if changed.method in ("narx", "neural") and changed.excitation == "steps":
        raise GalenicError(f"method {changed.method} learns nothing from single steps", cure="use levels, lhs or prbs")
    return changed


def _command(target: str, *given: str | int | None) -> str:
    """What was typed, without where to."""
    names = ("method", "excitation", "runs", "validations", "duration", "seed")
    parts = [
        f"--{name} '{value}'" if " " in str(value) else f"--{name} {value}"
        for name, value in zip(names, given, strict=True)
        if value is not None
    ]
    return " ".join(["galenic identify", Path(target).as_posix(), *parts])


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


def _table(trained: Trained) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from controllers.surrogates.model import SHARES
    from galenic.tables import number

    table = Table(
        title="Error on runs not used in training, up to a share of the horizon",
        title_justify="left",
        title_style="bold",
        box=SIMPLE_HEAD,
        pad_edge=False,
    )
    for column in ("output", "unit"):
        table.add_column(column, no_wrap=True)
    for share in SHARES:
        table.add_column(f"RMSE\n{share:.0%}", justify="right", no_wrap=True)
    table.add_column("fit %\n100%", justify="right", no_wrap=True)
    for y in trained.model.outputs:
        error = trained.model.errors.get(y.name)
        values = (*error.rmse, error.fit[-1]) if error else (math.nan,) * (len(SHARES) + 1)
        table.add_row(Text(y.name), Text(y.unit), *(number(v, 3) for v in values))
    return table


def _summary(trained: Trained, plan: IdentificationPlan) -> str:
    """What was made and from what, in a few words."""
    model = trained.model
    found = model.provenance if trained.linear is None else trained.linear.provenance
    lines = [f"{model.kind} model by {plan.method}: {len(model.process.states)} states, period {model.period:g} s"]
    used = found.get("excitation")
    if isinstance(used, dict):
        lines.append(
            f"{used['runs']} runs of {used['samples']} samples, {used['kind']}, time constants {used['fastest']:g} s to"
            f" {used['slowest']:g} s"
        )
    return "; ".join(lines)


def _draw(surrogate: LinearSurrogate, plan: IdentificationPlan, file: Path, scenario: Scenario) -> None:
    """Step responses, one row an output and one column an input, each to its step in the training domain."""
    from galenic.step_figure import draw_steps

    samples = round(plan.horizon / plan.period)
    sizes: Sequence[float] = [(u.max - u.min) / 2 for u in surrogate.inputs]
    draw_steps(surrogate, samples, sizes, file, title=f"{scenario.name}: step responses of the surrogate")
