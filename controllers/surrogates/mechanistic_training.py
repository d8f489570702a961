"""Training of mechanistic surrogates: composing and reducing, for nothing is fitted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from controllers.surrogates import files, mechanistic
from controllers.surrogates.linear_surrogate import SCHEMA
from controllers.surrogates.records import Record
from controllers.surrogates.section import Section
from controllers.surrogates.training_task import Trained, TrainingTask
from cosim.yaml_lines import Source
from fmus.errors import GalenicError


def train_mechanistic(task: TrainingTask, validation: list[Record]) -> Trained:
    """The units' own equations, composed and reduced as the plan says; nothing is fitted, so runs only validate.

    Args:
        task: the plan and its runs.
        validation: runs that tell the error, and the range of known inputs.

    Raises:
        GalenicError: the equations cannot be composed or reduced like that.
    """
    plan = task.plan
    names = [*plan.inputs, *plan.known]
    low, high = task.runner.u0 - task.runner.steps, task.runner.u0 + task.runner.steps
    given: dict[str, Any] = {}
    for j, name in enumerate(names):
        if j < len(plan.inputs):
            point, least, most = task.runner.u0[j], low[j], high[j]
        else:
            column = np.concatenate([r.inputs[:, j] for r in validation])
            point, least, most = column[0], column.min(), column.max()
        given[name] = {"operating_point": float(point), "min": float(least), "max": float(most)}
    values = {f"{c}.{k}": v for c, entry in plan.parameters.items() for k, v in entry.items()}
    assert plan.scenario is not None, "refused before"
    data = {
        "surrogate": SCHEMA,
        "kind": "mechanistic",
        "description": plan.description,
        "scenario": str(plan.scenario),
        "period": f"{plan.period!r} s",
        "inputs": given,
        "outputs": {name: {} for name in plan.outputs},
        **plan.mechanistic,
    }
    data["values"] = {**values, **data.get("values", {})}
    section = Section(Source(data, plan.source.file), (*mechanistic.KEYS, "surrogate", "kind", "description"))
    try:
        built = mechanistic.build(section)
    except GalenicError as error:
        raise plan.source.error(("mechanistic",), error.message, error.cure) from error
    rest = np.array([entry["operating_point"] for entry in given.values()])
    start = built.model.settled(rest, plan.settle) if plan.settle else None
    model = replace(built.model, provenance=task.provenance)
    model, predicted = task.validated(model, validation, start)
    task.provenance |= {
        "model_digest": built.model.digest,
        "states": len(model.process.states),
        "residualised": list(built.reduced.residual),
        "left_out": list(built.reduced.dropped),
    }

    def save(file: Path) -> None:
        assert plan.scenario is not None, "refused before"
        beside = {"scenario": files.relative(plan.scenario, file)}
        files.write(file, {**data, **beside, **task.sections(model), "provenance": task.provenance})

    return Trained(model, validation, predicted, save)
