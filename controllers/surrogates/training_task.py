"""What the training of every method shares: the plan and its runs, signals, domain and validation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from controllers.surrogates import files
from controllers.surrogates.campaign import Campaign, Progress
from controllers.surrogates.domain import Domain
from controllers.surrogates.lagged import Window
from controllers.surrogates.linear_surrogate import LinearSurrogate, SurrogateInput
from controllers.surrogates.model import HorizonError, SurrogateModel
from controllers.surrogates.plan import IdentificationPlan
from controllers.surrogates.records import Record, Simulate
from controllers.surrogates.step_tests import Plant, Runner
from controllers.surrogates.validation import free_run, horizon_errors
from cosim.component import FloatArray


@dataclass(frozen=True)
class Trained:
    """A surrogate with its validation.

    Attributes:
        model: with its errors.
        records: validation runs.
        predicted: of each, in free simulation, shape (N + 1, p).
        save: writes it to a file.
        linear: where it is linear.
    """

    model: SurrogateModel
    records: list[Record]
    predicted: list[FloatArray]
    save: Callable[[Path], None]
    linear: LinearSurrogate | None = None


class TrainingTask:
    """A plan, its runs, and what becomes of them whatever the method.

    Args:
        new_plant: makes a fresh plant, for units and operating point.
        plan: what to do.
        simulate_one: does one run: (rest, job) -> record.
        executor: where runs are computed; here where None.
        progress: called with the finished fraction and what is being done.
        provenance: for the file; methods add to it.
    """

    def __init__(
        self,
        new_plant: Callable[[], Plant],
        plan: IdentificationPlan,
        simulate_one: Simulate,
        executor: Executor | None,
        progress: Progress | None,
        provenance: dict[str, Any],
    ) -> None:
        self.plan, self.provenance = plan, provenance
        self.runner, self._new_plant = Runner(new_plant, plan), new_plant
        self.campaign = Campaign(self.runner, simulate_one, executor, progress)

    def integrating(self) -> list[bool]:
        """Which outputs integrate: as the plan says, else as the step tests showed."""
        seen = self.campaign.ramps or [False] * len(self.plan.outputs)
        return [bool(s) if f is None else f for f, s in zip(self.plan.outputs.values(), seen, strict=True)]

    def inputs(self, records: Sequence[Record]) -> tuple[SurrogateInput, ...]:
        """The surrogate's inputs: excited ones over their range, known ones over what was seen."""
        runner = self.runner
        result = [
            SurrogateInput(n, unit, float(u), float(u - s), float(u + s))
            for n, unit, u, s in zip(runner.names, runner.input_units, runner.u0, runner.steps, strict=True)
        ]
        if self.plan.known:
            plant = self._new_plant()
            try:
                units = [plant.unit(name) for name in self.plan.known]
            finally:
                plant.close()
            for j, (name, unit) in enumerate(zip(self.plan.known, units, strict=True), len(self.plan.inputs)):
                column = np.concatenate([r.inputs[:, j] for r in records])
                result.append(SurrogateInput(name, unit, float(column[0]), float(column.min()), float(column.max())))
        return tuple(result)

    def domain(self, records: Sequence[Record], inputs: Sequence[SurrogateInput]) -> Domain:
        """Where there were training data; after step tests the range of the inputs."""
        low, high = (np.array([getattr(u, side) for u in inputs]) for side in ("min", "max"))
        names = [u.name for u in inputs]
        if not records or self.campaign.excitation == "steps":
            return Domain(names, low, high)
        return Domain.of(names, low, high, np.vstack([r.inputs for r in records]))

    def validated(
        self,
        model: SurrogateModel,
        records: list[Record],
        start: FloatArray | Window | None,
        drift: FloatArray | None = None,
    ) -> tuple[SurrogateModel, list[FloatArray]]:
        """The model with its errors on runs that it was not fitted to, and what it predicts of each, shape (N + 1, p).

        Args:
            model: to validate.
            records: the runs; without any the model stays as it is.
            start: its state at their start, or the window that tells it from a run; None: `SurrogateModel.initial`.
            drift: as of `free_run`.
        """
        if not records:
            return model, []
        with np.errstate(all="ignore"):
            predicted = [
                free_run(model, r, start.state(r.outputs[0], r.rest) if isinstance(start, Window) else start, drift)
                for r in records
            ]
        found = horizon_errors(predicted, [r.outputs for r in records])
        errors: dict[str, HorizonError] = dict(zip(self.plan.outputs, found, strict=True))
        return files.with_errors(model, errors, self.plan.horizon), predicted

    def sections(self, model: SurrogateModel) -> dict[str, Any]:
        """Validation and domain, as sections of the file."""
        more: dict[str, Any] = {}
        if model.errors:
            told = {"runs": self.plan.validations, "excitation": "random levels, other seeds than in training"}
            more["validation"] = files.validation_entry(model.errors, self.plan.horizon, told)
        domain = files.domain_entry(model.domain)
        return {**more, "domain": domain} if domain else more
