"""From a plan to a surrogate: excite, train, and measure the error on runs that were not used."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from typing import Any

import casadi as ca
import numpy as np

from controllers.surrogates.campaign import Progress
from controllers.surrogates.data_driven_training import train_data_driven
from controllers.surrogates.linear_training import train_linear
from controllers.surrogates.mechanistic_training import train_mechanistic
from controllers.surrogates.plan import IdentificationPlan
from controllers.surrogates.records import Simulate
from controllers.surrogates.step_tests import Plant, version
from controllers.surrogates.training_task import Trained, TrainingTask

_LINEAR = ("era", "arx", "subspace")


def train(
    new_plant: Callable[[], Plant],
    plan: IdentificationPlan,
    simulate_one: Simulate,
    *,
    executor: Executor | None = None,
    progress: Progress | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> Trained:
    """Make a surrogate as a plan says.

    Args:
        new_plant: makes a fresh plant, for units and operating point.
        plan: what to do.
        simulate_one: does one run: (rest, job) -> record.
        executor: where runs are computed; here where None.
        progress: called with the finished fraction and what is being done.
        provenance: goes into the file: scenario, digests.

    Raises:
        GalenicError: an unknown signal, values that are not finite, or what the method refuses.
    """
    task = TrainingTask(new_plant, plan, simulate_one, executor, progress, dict(provenance or {}))
    _refuse_what_does_not_fit(plan)
    base = task.campaign.base()
    training, validation = task.campaign.training(base), task.campaign.validation()
    task.provenance |= {
        "method": plan.method,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "versions": {"galenic": version(), "casadi": ca.CasadiMeta.version(), "numpy": np.__version__},
        "settle": plan.settle,
        **task.campaign.notes,
    }
    if plan.method in _LINEAR:
        return train_linear(task, training, base, validation)
    if plan.method == "mechanistic":
        return train_mechanistic(task, validation)
    return train_data_driven(task, training, base, validation)


def _refuse_what_does_not_fit(plan: IdentificationPlan) -> None:
    if plan.known and plan.method in _LINEAR:
        raise plan.source.error(
            ("known",), "a linear model has no known inputs", "use mechanistic, narx or neural, or excite them"
        )
    if plan.method == "mechanistic" and not (plan.mechanistic or plan.scenario):
        raise plan.source.error((), "'mechanistic' needs a scenario", "add 'scenario: FILE'")
