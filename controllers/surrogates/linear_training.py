"""Training of linear surrogates."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from controllers.surrogates.linear import linear_model
from controllers.surrogates.linear_fit import fit_runs
from controllers.surrogates.records import Record, digest
from controllers.surrogates.step_tests import assemble, from_steps
from controllers.surrogates.training_task import Trained, TrainingTask


def train_linear(task: TrainingTask, training: list[Record], base: Record, validation: list[Record]) -> Trained:
    """A linear state space: of step tests by ERA, of other excitation as `fit_runs` does.

    Args:
        task: the plan and its runs.
        training: the runs to learn from.
        base: the run at the operating point, from which a surrogate tells deviations.
        validation: other runs.

    Raises:
        GalenicError: too little data, or what the method refuses.
    """
    plan, runner = task.plan, task.runner
    drift = base.outputs - base.outputs[:1]
    if task.campaign.excitation == "steps":
        up, down = (np.stack([r.outputs for r in training[side::2]], axis=2) for side in (0, 1))
        surrogate = from_steps(runner, base.outputs, up, down)
    else:
        inputs = [(r.inputs - runner.u0) / runner.steps for r in training]
        outputs = [r.outputs - base.outputs[: len(r.outputs)] for r in training]
        realized, found = fit_runs(plan, inputs, outputs, task.integrating(), task.campaign.horizon)
        surrogate = assemble(runner, realized, base.outputs[0])
        task.provenance |= found
    if training:
        task.provenance["data_sha256"] = digest(training)
    model = replace(linear_model(surrogate), domain=task.domain(training, surrogate.inputs))
    model, predicted = task.validated(model, validation, None, drift)
    surrogate = replace(surrogate, outputs=model.outputs, provenance={**surrogate.provenance, **task.provenance})

    def save(file: Path) -> None:
        surrogate.save(file, task.sections(model))

    return Trained(model, validation, predicted, save, surrogate)
