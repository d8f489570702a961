"""Training of data-driven surrogates: sparse polynomials and neural networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from controllers.surrogates import files, lagged, multistep, narx, neural
from controllers.surrogates.data_driven import Lagged
from controllers.surrogates.linear_surrogate import SurrogateOutput
from controllers.surrogates.model import SurrogateModel
from controllers.surrogates.records import Record, digest
from controllers.surrogates.training_task import Trained, TrainingTask
from controllers.surrogates.validation import free_run, horizon_errors
from fmus.errors import GalenicError
from fmus.quantity import parse_quantity

_LAGS = ("outputs", "inputs", "filters", "stages")
_FILTERS = 4  # time constants from the fastest to the slowest that was seen
#: What is tried: numbers of terms of a polynomial, penalties on a network's weights.
_TERMS: tuple[float, ...] = (5, 10, 20, 40, 80)
_PENALTIES: tuple[float, ...] = (1e-4, 1e-2, 1.0)


def train_data_driven(task: TrainingTask, training: list[Record], base: Record, validation: list[Record]) -> Trained:
    """A sparse polynomial or a neural network on a window of the past, its size chosen by runs that were kept back.

    Args:
        task: the plan and its runs.
        training: the runs to learn from; two or more.
        base: the run at the operating point, where the surrogate's state begins.
        validation: other runs.

    Raises:
        GalenicError: too few runs, or no model stays finite in free simulation.
    """
    plan = task.plan
    if len(training) < 2:
        raise plan.source.error(("runs",), "one training run leaves none to choose the model by", "do 2 or more")
    window = _window(task)
    inputs = task.inputs(training)
    flags = task.integrating()
    outputs = tuple(
        SurrogateOutput(n, unit, float(y), flag)
        for n, unit, y, flag in zip(plan.outputs, task.runner.output_units, base.outputs[0], flags, strict=True)
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
    scores = [_score(candidate.model(), training[-kept:], window) for candidate in tried]
    best = int(np.argmin(scores))
    if not np.isfinite(scores[best]):
        raise GalenicError(
            "no model of this kind stays finite in free simulation",
            cure="do more 'runs', narrow the range, or choose another method",
        )
    task.provenance |= {
        "chosen": {"terms" if plan.method == "narx" else "penalty": choices[best]},
        "candidates": {str(c): _short(s) for c, s in zip(choices, scores, strict=True)},
        "data_sha256": digest(training),
    }
    (one_step,) = fitted(training, [choices[best]])
    final = _refined(task, one_step, training)
    model = replace(final.model(task.domain(training, inputs)), provenance=task.provenance)
    model, predicted = task.validated(model, validation, window)

    def save(file: Path) -> None:
        kept_outputs = replace(final, outputs=model.outputs)
        files.write(file, kept_outputs.sections(file, {**task.sections(model), "provenance": task.provenance}))

    return Trained(model, validation, predicted, save)


def _refined(task: TrainingTask, model: Lagged, training: Sequence[Record]) -> Lagged:
    """Trained on free runs of growing length; it goes back to what one step gave where that was better."""

    def told(share: float) -> None:
        task.campaign.progress(0.95 + 0.05 * share, "training")

    found = multistep.refine(
        model.mapping, training, task.plan.period,
        lambda symbols: lagged.step_of(
            model.period, model.inputs, model.outputs, model.window, model.scale, model.mapping, symbols
        ),
        model.window, told,
    )  # fmt: skip
    refined = replace(model, mapping=found)
    scores = [_score(m.model(), training, model.window) for m in (model, refined)]
    task.provenance["free_run_error"] = {"one_step": _short(scores[0]), "many_steps": _short(scores[1])}
    return refined if scores[1] < scores[0] else model


def _window(task: TrainingTask) -> lagged.Window:
    entry = task.plan.lags
    for key in entry:
        if key not in _LAGS:
            raise task.plan.source.error(("lags", key), f"unknown key '{key}'", f"write {', '.join(_LAGS)}")
    if task.plan.settle > 0.0:  # from rest: filters over the time constants seen
        filters: tuple[float, ...] = tuple(np.geomspace(*task.campaign.constants, _FILTERS).round(3).tolist())
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


def _score(model: SurrogateModel, records: Sequence[Record], window: lagged.Window) -> float:
    """Mean over the outputs of the free run's error relative to the spread."""
    measured = [r.outputs for r in records]
    with np.errstate(all="ignore"):
        predicted = [free_run(model, r, window.state(r.outputs[0], r.rest)) for r in records]
        errors = horizon_errors(predicted, measured)
    found = float(np.mean([1.0 - e.fit[-1] / 100.0 for e in errors]))
    return found if np.isfinite(found) else float("inf")


def _short(value: float) -> float | str:
    return float(f"{value:.4g}") if np.isfinite(value) else "not finite"
