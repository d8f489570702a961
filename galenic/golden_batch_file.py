"""The files of a golden batch: a fragment of a scenario, and all trajectories."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from controllers.base import is_signal
from controllers.nonlinear.names import index_of
from fmus.quantity import parse_quantity

if TYPE_CHECKING:
    from controllers.nonlinear.golden_batch import GoldenBatch, GoldenBatchProblem


def profile_of(problem: GoldenBatchProblem) -> tuple[str, str]:
    """Recipe and profile that the controller follows with the output that is reached.

    Raises:
        GalenicError: it does not follow a profile of a recipe.
    """
    outputs = [y.name for y in problem.model.process.outputs]
    output, controlled = outputs[problem.reached], problem.section.get("controlled", {})
    name = next((n for n in controlled if index_of(n, outputs, "output") == problem.reached), None)
    reference = None if name is None else controlled[name].get("reference")
    scenario, key = problem.scenario, ("controllers", problem.name, "controlled")
    if not (isinstance(reference, str) and is_signal(reference)):
        raise scenario.error(
            key if name is None else (*key, name), f"'{problem.name}' follows no profile with {output}",
            f"write 'controlled: {{{output}: {{reference: recipe.golden_batch, preview: true}}}}'",
        )  # fmt: skip
    recipe, _, profile = reference.partition(".")
    if scenario.controllers.get(recipe, {}).get("type") != "recipe":
        raise scenario.error(
            (*key, str(name), "reference"), f"'{recipe}' is no recipe", "name a profile of a controller 'type: recipe'"
        )
    return recipe, profile


def write_golden_batch(
    file: Path, problem: GoldenBatchProblem, found: GoldenBatch, profile: tuple[str, str], command: str
) -> Path:
    """Write the fragment and, beside it, the trajectories as CSV.

    Args:
        file: the YAML file.
        problem: what was asked.
        found: the answer.
        profile: recipe and profile that the trajectory becomes.
        command: what made it.

    Returns:
        the CSV file.
    """
    data = file.with_suffix(".csv")
    _write_trajectories(data, found)
    index = found.reach[0]
    y, process = found.model.process.outputs[index], found.model.process
    golden, recipe = found.amounts(found.inputs), found.amounts(found.recipe_inputs)
    lines = [
        f"# Golden batch, made by: {command}",
        f"# of {problem.scenario.name} by the model of '{problem.name}' (digest {found.model.digest[:16]}),",
        f"# from {_hours(problem.begin)} on, feeds held for {_hours(problem.step)}.",
        f"# Least {' + '.join(f'{c:g} {n}' for n, c in problem.costs.items())} with {y.name} >= "
        f"{found.reach[1]:g} {y.unit} at {_hours(problem.scenario.duration)},",
        "# inside the controller's bounds, moves and limits.",
        f"# Reached: {found.outputs[-1, index]:.1f} {y.unit} by the controller's model, "
        f"{found.exact_end[index]:.1f} by the equations as they are; recipe {found.nominal.outputs[-1, index]:.1f}.",
        *(
            f"# {found.model.inputs[i].name}: {golden[i]:.5g} ({found.model.inputs[i].unit})*h, recipe {recipe[i]:.5g}."
            for i in found.manipulated
        ),
        f"# One more {y.unit} costs {found.marginal:.3g}. IPOPT: {found.solved[1]} after {found.solved[2]} iterations.",
        "controllers:",
    ]
    begins = [(0.0, float(found.nominal.outputs[0, index]))] if problem.begin > 0.0 else []
    points = begins + [(float(t), float(v)) for t, v in zip(found.times, found.outputs[:, index], strict=True)]
    lines += [f"  {profile[0]}:", f"    units: {{{profile[1]}: {y.unit}}}", "    profiles:", f"      {profile[1]}:"]
    lines += _folded([f"[{_hours(t)}, {v:.6g} {y.unit}]" for t, v in points], 8)
    if problem.section.get("initial"):
        at = parse_quantity(problem.section.get("estimate_after", 0.0), "s")
        state = found.nominal.states[found.nominal.place(at)]
        lines += [f"  {problem.name}:", f"    initial:  # at {_hours(at)}, of the batch by its recipe"]
        names = [s.name for s in process.states]
        places = sorted({index_of(n, names, "state") for n in problem.section["initial"]})
        lines += [f"      {names[i]}: {{value: {state[i]:.4g}}}" for i in places]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
    return data


def _write_trajectories(file: Path, found: GoldenBatch) -> None:
    """Inputs in force until each time and outputs at it, golden and by the recipe."""
    inputs, outputs = found.model.inputs, found.model.outputs
    columns = [f"{u.name} [{u.unit}]" for u in inputs] + [f"{y.name} [{y.unit}]" for y in outputs]
    first = found.nominal.place(float(found.times[0]))
    held = np.vstack([found.nominal.inputs[first], found.inputs])
    recipe = np.vstack([found.nominal.inputs[first], found.recipe_inputs])
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["time [h]", *columns, *(f"recipe: {c}" for c in columns)])
        for k, time in enumerate(found.times):
            row = np.r_[held[k], found.outputs[k], recipe[k], found.recipe_outputs[k]]
            writer.writerow([f"{time / 3600.0:.10g}", *(f"{v:.7g}" for v in row)])


def _hours(seconds: float) -> str:
    return f"{seconds / 3600.0:.10g} h"


def _folded(entries: list[str], indent: int) -> list[str]:
    """A flow sequence over lines of at most 118 characters."""
    lines, line = [], " " * indent + "["
    for i, entry in enumerate(entries):
        text = entry + ("]" if i + 1 == len(entries) else ",")
        if len(line) + 1 + len(text) > 118:
            lines.append(line.rstrip())
            line = " " * (indent + 1)
        line += text if line.endswith("[") or not line.strip() else f" {text}"
    return [*lines, line]
