"""What a plant did under an excitation: runs for training and validation, each in a process where there are some."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cosim.component import FloatArray
from fmus.errors import GalenicError

if TYPE_CHECKING:
    from controllers.surrogates.plan import IdentificationPlan


@dataclass(frozen=True)
class Record:
    """One run.

    Attributes:
        label: what it was for.
        inputs: excited and known ones, mean over each period, shape (N, m).
        outputs: at the ends of the periods and at the start, shape (N + 1, p).
        rest: inputs before the start, shape (m,).
    """

    label: str
    inputs: FloatArray
    outputs: FloatArray
    rest: FloatArray


@dataclass(frozen=True)
class Job:
    """One run to be done: the excited inputs in their units, shape (N, m)."""

    label: str
    inputs: FloatArray
    noise: FloatArray
    seed: int


def simulate(plant: Any, plan: IdentificationPlan, rest: FloatArray, job: Job) -> Record:
    """Bring a fresh plant to rest, drive it, and record.

    Args:
        plant: a `controllers.surrogates.step_tests.Plant`; with known inputs one that has ``means`` too.
        plan: what to observe.
        rest: operating point of the excited inputs, shape (m,).
        job: the run.

    Raises:
        GalenicError: a value that is not finite.
    """
    names, outputs, known = list(plan.inputs), list(plan.outputs), list(plan.known)

    def apply(values: FloatArray) -> None:
        for name, value in zip(names, values, strict=True):
            plant.set(name, float(value))

    apply(rest)
    if plan.settle > 0.0:
        plant.advance(plan.settle)
    shown = np.empty((len(job.inputs) + 1, len(outputs)))
    given = np.empty((len(job.inputs), len(names) + len(known)))
    shown[0] = plant.get(outputs)
    for k, row in enumerate(job.inputs):
        apply(row)
        if known:
            given[k, len(names) :] = plant.means(plan.period, known)
        else:
            plant.advance(plan.period)
        given[k, : len(names)] = row
        shown[k + 1] = plant.get(outputs)
    if not (np.isfinite(shown).all() and np.isfinite(given).all()):
        k, i = (int(v) for v in np.argwhere(~np.isfinite(shown))[0])
        raise GalenicError(
            f"'{outputs[i]}' is not finite {k * plan.period:g} s into the run '{job.label}'",
            cure="narrow the range of the inputs",
        )
    random = np.random.default_rng([job.seed, 2])
    before = np.concatenate([rest, given[0, len(names) :]])
    return Record(job.label, given, shown + job.noise * random.standard_normal(shown.shape), before)


@dataclass(frozen=True)
class Experiment:
    """A plan's plant as a process can make it: from the plan's file."""

    file: Path

    def __call__(self, rest: FloatArray, job: Job) -> Record:
        """Simulate one run."""
        from controllers.surrogates.plan import IdentificationPlan
        from controllers.surrogates.simulation_plant import SimulationPlant
        from cosim import load_scenario

        plan = IdentificationPlan.load(self.file)
        assert plan.scenario is not None, "the caller looked"
        plant = SimulationPlant(load_scenario(plan.scenario), plan.parameters, plan.controllers, list(plan.inputs))
        try:
            return simulate(plant, plan, rest, job)
        finally:
            plant.close()


Simulate = Callable[[FloatArray, Job], Record]


def run_all(
    simulate_one: Simulate,
    rest: FloatArray,
    jobs: Sequence[Job],
    executor: Executor | None = None,
    progress: Callable[[int], None] | None = None,
) -> list[Record]:
    """All runs, in their order; without an executor one after the other, here.

    Raises:
        GalenicError: of a run.
    """
    told = progress or (lambda _done: None)
    if executor is None:
        records = []
        for job in jobs:
            records.append(simulate_one(rest, job))
            told(len(records))
        return records
    futures = [executor.submit(simulate_one, rest, job) for job in jobs]
    waiting: set[Future[Record]] = set(futures)
    try:
        while waiting:
            finished, waiting = wait(waiting, 0.25, FIRST_COMPLETED)
            for future in finished:
                future.result()
            told(len(futures) - len(waiting))
    finally:
        for future in waiting:
            future.cancel()
    return [future.result() for future in futures]


def digest(records: Sequence[Record]) -> str:
    """A hash of the data."""
    found = hashlib.sha256()
    for record in records:
        for values in (record.inputs, record.outputs):
            found.update(np.ascontiguousarray(values, dtype="<f8").tobytes())
    return found.hexdigest()
