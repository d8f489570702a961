"""From a plan to a surrogate: excite, train, and measure the error on runs that were not used."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import casadi as ca
import numpy as np

from controllers.surrogates import files, lagged, mechanistic, multistep, narx, neural
from controllers.surrogates.campaign import Campaign, Progress
from controllers.surrogates.data_driven import Lagged
from controllers.surrogates.domain import Domain
from controllers.surrogates.linear import linear_model
from controllers.surrogates.linear_fit import fit_runs
from controllers.surrogates.linear_surrogate import SCHEMA, LinearSurrogate, SurrogateInput, SurrogateOutput
from controllers.surrogates.model import HorizonError, SurrogateModel
from controllers.surrogates.plan import IdentificationPlan
from controllers.surrogates.records import Record, Simulate, digest
from controllers.surrogates.section import Section
from controllers.surrogates.step_tests import Plant, Runner, assemble, from_steps, version
from controllers.surrogates.validation import free_run, horizon_errors
from cosim.component import FloatArray
from cosim.yaml_lines import Source
from fmus.errors import GalenicError
from fmus.quantity import parse_quantity

_TERMS: tuple[float, ...] = (5, 10, 20, 40, 80)
_LAGS = ("outputs", "inputs", "filters", "stages")
_FILTERS = 4
_PENALTIES: tuple[float, ...] = (1e-4, 1e-2, 1.0)


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
    return _Trainer(new_plant, plan, simulate_one, executor, progress, dict(provenance or {})).trained()


class _Trainer:
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
        self.runner, self._new_plant = Runner(new_plant, plan, None), new_plant
        self.campaign = Campaign(self.runner, simulate_one, executor, progress)
        self.horizon, self.m = self.campaign.horizon, self.campaign.m

    def trained(self) -> Trained:
        plan = self.plan
        self._refuse_what_does_not_fit()
        base = self.campaign.base()
        training, validation = self.campaign.training(base), self.campaign.validation()
        self.provenance |= {
            "method": plan.method,
            "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "versions": {"galenic": version(), "casadi": ca.CasadiMeta.version(), "numpy": np.__version__},
            "settle": plan.settle,
            **self.campaign.notes,
        }
        made: Callable[[list[Record], Record, list[Record]], Trained] = {
            "era": self._linear,
            "arx": self._linear,
            "subspace": self._linear,
            "mechanistic": self._mechanistic,
            "narx": self._data_driven,
            "neural": self._data_driven,
        }[plan.method]
        return made(training, base, validation)

    def _refuse_what_does_not_fit(self) -> None:
        plan = self.plan
        if plan.known and plan.method in ("era", "arx", "subspace"):
            raise plan.source.error(
                ("known",), "a linear model has no known inputs", "use mechanistic, narx or neural, or excite them"
            )
        if plan.method == "mechanistic" and not (plan.mechanistic or plan.scenario):
            raise plan.source.error((), "'mechanistic' needs a scenario", "add 'scenario: FILE'")

    def _linear(self, training: list[Record], base: Record, validation: list[Record]) -> Trained:
        plan, runner = self.plan, self.runner
        drift = base.outputs - base.outputs[:1]
        if self.campaign.excitation == "steps":
            up, down = (np.stack([r.outputs for r in training[side::2]], axis=2) for side in (0, 1))
            surrogate = from_steps(runner, base.outputs, up, down)
        else:
            inputs = [(r.inputs - runner.u0) / runner.steps for r in training]
            outputs = [r.outputs - base.outputs[: len(r.outputs)] for r in training]
            realized, found = fit_runs(plan, inputs, outputs, self._integrating(), self.horizon)
            surrogate = assemble(runner, realized, base.outputs[0])
            self.provenance |= found
        if training:
            self.provenance["data_sha256"] = digest(training)
        model = replace(linear_model(surrogate), domain=self._domain(training, surrogate.inputs))
        model, predicted = self._validated(model, validation, None, drift)
        surrogate = replace(
            surrogate, outputs=model.outputs, provenance={**surrogate.provenance, **self.provenance}
        )  # fmt: skip

        def save(file: Path) -> None:
            surrogate.save(file, self._more(model))

        return Trained(model, validation, predicted, save, surrogate)

    def _mechanistic(self, _training: list[Record], _base: Record, validation: list[Record]) -> Trained:
        plan = self.plan
        names = [*plan.inputs, *plan.known]
        low, high = self.runner.u0 - self.runner.steps, self.runner.u0 + self.runner.steps
        given: dict[str, Any] = {}
        for j, name in enumerate(names):
            if j < self.m:
                point, least, most = self.runner.u0[j], low[j], high[j]
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
        start = built.model.settled(self._rest(given), plan.settle) if plan.settle else None
        model = replace(built.model, provenance=self.provenance)
        model, predicted = self._validated(model, validation, start)
        self.provenance |= {
            "model_digest": built.model.digest,
            "states": len(model.process.states),
            "residualised": list(built.reduced.residual),
            "left_out": list(built.reduced.dropped),
        }

        def save(file: Path) -> None:
            assert plan.scenario is not None, "refused before"
            beside = {"scenario": files.relative(plan.scenario, file)}
            files.write(file, {**data, **beside, **self._more(model), "provenance": self.provenance})

        return Trained(model, validation, predicted, save)

    @staticmethod
    def _rest(given: Mapping[str, Mapping[str, float]]) -> FloatArray:
        return np.array([entry["operating_point"] for entry in given.values()])

    def _data_driven(self, training: list[Record], base: Record, validation: list[Record]) -> Trained:
        plan = self.plan
        if len(training) < 2:
            raise plan.source.error(("runs",), "one training run leaves none to choose the model by", "do 2 or more")
        window = self._window()
        inputs = self._inputs(training)
        flags = self._integrating()
        outputs = tuple(
            SurrogateOutput(n, unit, float(y), flag)
            for n, unit, y, flag in zip(plan.outputs, self.runner.output_units, base.outputs[0], flags, strict=True)
        )
        initial = window.state(base.outputs[0], base.rest)
        kept = max(1, len(training) // 4)
        choices = _TERMS if plan.method == "narx" else _PENALTIES

        def fitted(records: Sequence[Record], candidates: Sequence[float]) -> list[Lagged]:
            phi, target = lagged.data_of(window, records, plan.period, flags)
            scale = lagged.Scale.of(phi, target)
            scaled = (phi - scale.center) / scale.size, (target - scale.offset) / scale.change
            maps: Sequence[narx.Polynomial | neural.Network] = (
                narx.paths(*scaled, [round(c) for c in candidates])
                if plan.method == "narx"
                else [neural.train(*scaled, [plan.units], c, plan.seed) for c in candidates]
            )
            kind = plan.period, inputs, outputs, window, scale
            return [Lagged(*kind, found, initial, plan.description) for found in maps]

        # chosen by free runs that were kept back, then trained once more with all, for many steps
        tried = fitted(training[:-kept], choices)
        scores = [self._score(candidate.model(), training[-kept:], window) for candidate in tried]
        best = int(np.argmin(scores))
        if not np.isfinite(scores[best]):
            raise GalenicError(
                "no model of this kind stays finite in free simulation",
                cure="do more 'runs', narrow the range, or choose another method",
            )
        self.provenance |= {
            "chosen": {"terms" if plan.method == "narx" else "penalty": choices[best]},
            "candidates": {str(c): _short(s) for c, s in zip(choices, scores, strict=True)},
            "data_sha256": digest(training),
        }
        (one_step,) = fitted(training, [choices[best]])
        final = self._refined(one_step, training)
        model = replace(final.model(self._domain(training, inputs)), provenance=self.provenance)
        model, predicted = self._validated(model, validation, window)

        def save(file: Path) -> None:
            kept_outputs = replace(final, outputs=model.outputs)
            files.write(file, kept_outputs.sections(file, {**self._more(model), "provenance": self.provenance}))

        return Trained(model, validation, predicted, save)

    def _refined(self, model: Lagged, training: Sequence[Record]) -> Lagged:
        """Trained on free runs of growing length; it goes back to what one step gave where that was better."""

        def told(share: float) -> None:
            self.campaign.progress(0.95 + 0.05 * share, "training")

        found = multistep.refine(
            model.mapping, training, self.plan.period,
            lambda symbols: lagged.step_of(
                model.period, model.inputs, model.outputs, model.window, model.scale, model.mapping, symbols
            ),
            model.window, told,
        )  # fmt: skip
        refined = replace(model, mapping=found)
        scores = [self._score(m.model(), training, model.window) for m in (model, refined)]
        self.provenance["free_run_error"] = {"one_step": _short(scores[0]), "many_steps": _short(scores[1])}
        return refined if scores[1] < scores[0] else model

    def _window(self) -> lagged.Window:
        entry = self.plan.lags
        for key in entry:
            if key not in _LAGS:
                raise self.plan.source.error(("lags", key), f"unknown key '{key}'", f"write {', '.join(_LAGS)}")
        if self.plan.settle > 0.0:  # from rest: filters over the time constants seen
            filters: tuple[float, ...] = tuple(np.geomspace(*self.campaign.constants, _FILTERS).round(3).tolist())
            past, lags = 0, (0,)
        else:
            filters, past, lags = (), 1, (0,)
        given = entry.get("filters")
        return lagged.Window(
            int(entry.get("outputs", past)),
            tuple(int(v) for v in entry.get("inputs", lags)),
            filters if given is None else tuple(parse_quantity(v, "s") for v in given),
            int(entry.get("stages", 2)),
        )

    def _integrating(self) -> list[bool]:
        """As the plan says, else as the step tests showed."""
        seen = self.campaign.ramps or [False] * len(self.plan.outputs)
        return [bool(s) if f is None else f for f, s in zip(self.plan.outputs.values(), seen, strict=True)]

    def _inputs(self, records: Sequence[Record]) -> tuple[SurrogateInput, ...]:
        """Excited ones over their range, known ones over what was seen."""
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
            for j, (name, unit) in enumerate(zip(self.plan.known, units, strict=True), self.m):
                column = np.concatenate([r.inputs[:, j] for r in records])
                result.append(SurrogateInput(name, unit, float(column[0]), float(column.min()), float(column.max())))
        return tuple(result)

    def _domain(self, records: Sequence[Record], inputs: Sequence[SurrogateInput]) -> Domain:
        low, high = (np.array([getattr(u, side) for u in inputs]) for side in ("min", "max"))
        names = [u.name for u in inputs]
        if not records or self.campaign.excitation == "steps":
            return Domain(names, low, high)
        return Domain.of(names, low, high, np.vstack([r.inputs for r in records]))

    @staticmethod
    def _score(model: SurrogateModel, records: Sequence[Record], window: lagged.Window) -> float:
        """Mean over the outputs of the free run's error relative to the spread."""
        measured = [r.outputs for r in records]
        with np.errstate(all="ignore"):
            predicted = [free_run(model, r, window.state(r.outputs[0], r.rest)) for r in records]
            errors = horizon_errors(predicted, measured)
        found = float(np.mean([1.0 - e.fit[-1] / 100.0 for e in errors]))
        return found if np.isfinite(found) else float("inf")

    def _validated(
        self,
        model: SurrogateModel,
        records: list[Record],
        start: FloatArray | lagged.Window | None,
        drift: FloatArray | None = None,
    ) -> tuple[SurrogateModel, list[FloatArray]]:
        if not records:
            return model, []
        with np.errstate(all="ignore"):
            predicted = [
                free_run(
                    model,
                    r,
                    start.state(r.outputs[0], r.rest) if isinstance(start, lagged.Window) else start,
                    drift,
                )
                for r in records
            ]
        found = horizon_errors(predicted, [r.outputs for r in records])
        errors: dict[str, HorizonError] = dict(zip(self.plan.outputs, found, strict=True))
        return files.with_errors(model, errors, self.plan.horizon), predicted

    def _more(self, model: SurrogateModel) -> dict[str, Any]:
        """Validation and domain, as sections of the file."""
        more: dict[str, Any] = {}
        if model.errors:
            told = {"runs": self.plan.validations, "excitation": "random levels, other seeds than in training"}
            more["validation"] = files.validation_entry(model.errors, self.plan.horizon, told)
        domain = files.domain_entry(model.domain)
        return {**more, "domain": domain} if domain else more


def _short(value: float) -> float | str:
    return float(f"{value:.4g}") if np.isfinite(value) else "not finite"
