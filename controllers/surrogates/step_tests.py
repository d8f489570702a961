"""Identification of a linear surrogate: step tests on a plant, realisation, validation on data not seen."""

from __future__ import annotations

import datetime
import importlib.metadata
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from controllers.surrogates.excitation import levels
from controllers.surrogates.linear_surrogate import LinearSurrogate, SurrogateInput, SurrogateOutput
from controllers.surrogates.plan import IdentificationPlan
from controllers.surrogates.realization import Realization, looks_integrating, realize
from cosim.component import FloatArray
from fmus.errors import GalenicError
from fmus.quantity import parse_quantity

Progress = Callable[[float, str], None]


class Plant(Protocol):
    """What step tests need of a plant: deterministic, without noise, disturbances and controllers."""

    def unit(self, name: str) -> str:
        """Unit of an input or output. Raises GalenicError for an unknown name."""

    def set(self, name: str, value: float) -> None:
        """Hold an input at ``value`` (in its unit) from now on."""

    def advance(self, seconds: float) -> None:
        """Simulate on."""

    def get(self, names: Sequence[str]) -> FloatArray:
        """Present values of inputs or outputs, shape (len(names),), in their units."""

    def close(self) -> None:
        """Free what it holds."""


def identify(
    new_plant: Callable[[], Plant],
    plan: IdentificationPlan,
    *,
    provenance: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> LinearSurrogate:
    r"""Identify a surrogate from step tests.

    Every run starts from a fresh plant, brought to rest over ``settle``. Each input j is stepped up and down by
    delta_j; half the difference cancels drift that both runs share, and even-order nonlinearity,

        S_k[:, j] = (y_up(t_k) - y_down(t_k)) / (2 delta_j)

    and is given to `controllers.surrogates.realization.realize`. The training domain is u0 +- delta. A run without
    a step is the base line for the validation: there the surrogate is compared with the plant under a random
    multi-level excitation of all inputs at once, inside the training domain, over the horizon; RMSE and fit of each
    output are kept.

    Args:
        new_plant: makes a fresh plant.
        plan: what to do.
        provenance: added to the surrogate's own entries (method, settings, date, versions, asymmetry).
        progress: called with the finished fraction and what is being done.

    Raises:
        GalenicError: an unknown signal, a plant that is not at rest or returns NaN, or no response.
    """
    runner = Runner(new_plant, plan, progress)
    base = runner.run("base line", {})
    surrogate = from_steps(runner, base, *runner.steps_up_and_down())
    rmse, fit = _validate(runner, surrogate, base)
    outputs = tuple(
        SurrogateOutput(y.name, y.unit, y.operating_point, y.integrating, float(e), float(f))
        for y, e, f in zip(surrogate.outputs, rmse, fit, strict=True)
    )
    validation = {
        "runs": plan.validations,
        "seed": plan.seed,
        "excitation": "random levels in the training domain",
    }
    notes = {**surrogate.provenance, "validation": validation, **(provenance or {})}
    return replace(surrogate, outputs=outputs, provenance=notes)


def from_steps(runner: Runner, base: FloatArray, y_up: FloatArray, y_down: FloatArray) -> LinearSurrogate:
    """The surrogate of step tests, without its error.

    Args:
        runner: that made them.
        base: response without a step, shape (K + 1, p).
        y_up: responses to each input's step up, shape (K + 1, p, m).
        y_down: to its step down.
    """
    plan = runner.plan
    response = (y_up - y_down) / 2.0  # per step, so that every input counts alike in the realisation
    response -= response[:1]
    uneven = np.abs(y_up + y_down - 2.0 * base[:, :, None]).max(axis=0) / 2.0
    size = np.abs(response).max(axis=0)
    flags = list(plan.outputs.values())
    realized = realize(
        response,
        integrating=[bool(f) for f in flags] if all(f is not None for f in flags) else _decide(response, flags),
        tolerance=plan.tolerance,
        max_order=plan.max_order,
    )
    surrogate = assemble(runner, realized, base[0])
    outputs = surrogate.outputs
    notes: dict[str, Any] = {
        "method": "step tests up and down, eigensystem realisation (ERA)",
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "galenic": version(),
        "horizon": plan.horizon,
        "settle": plan.settle,
        "order": int(realized.a.shape[0]),
        "step_response_error": {y.name: _short(e) for y, e in zip(outputs, realized.error, strict=True)},
        "asymmetry": {
            y.name: _short((uneven[i] / np.where(size[i].max() > 0, size[i].max(), 1.0)).max())
            for i, y in enumerate(outputs)
        },
    }
    return replace(surrogate, provenance=notes)


def step_responses(
    new_plant: Callable[[], Plant], plan: IdentificationPlan, *, progress: Progress | None = None
) -> FloatArray:
    """Responses to unit steps, from the step tests of `identify` alone.

    Returns:
        half the difference of step up and step down over the step, from zero, shape (samples + 1, outputs, inputs).

    Raises:
        GalenicError: an unknown signal, or a response that is not finite.
    """
    runner = Runner(new_plant, plan, progress)
    y_up, y_down = runner.steps_up_and_down()
    response = (y_up - y_down) / 2.0 / runner.steps
    result: FloatArray = response - response[:1]
    return result


class Runner:
    """Runs step tests on fresh plants and keeps units, operating point and progress."""

    def __init__(self, new_plant: Callable[[], Plant], plan: IdentificationPlan, progress: Progress | None) -> None:
        self.plan, self._new_plant, self._progress = plan, new_plant, progress
        self.names, self.outputs = list(plan.inputs), list(plan.outputs)
        self._total, self._done = 1 + 2 * len(self.names) + plan.validations, 0
        plant = new_plant()
        try:
            start = self._look(plant)
        finally:
            plant.close()
        self.u0 = np.array(
            [
                float(start[i]) if p.value is None else self._number(n, "value", p.value, self.input_units[i])
                for i, (n, p) in enumerate(plan.inputs.items())
            ]
        )
        self.steps = np.array(
            [
                self._number(n, "step", p.step, unit)
                for (n, p), unit in zip(plan.inputs.items(), self.input_units, strict=True)
            ]
        )
        for name, step in zip(self.names, self.steps, strict=True):
            if step <= 0.0:
                raise plan.source.error(
                    ("inputs", name, "step"), f"the step of '{name}' has to be positive", "give one"
                )
        self.samples = round(plan.horizon / plan.period)

    def _look(self, plant: Plant) -> FloatArray:
        """Units of all signals, and what the inputs start with."""
        self.input_units = [self._unit(plant, "inputs", n) for n in self.names]
        self.output_units = [self._unit(plant, "outputs", n) for n in self.outputs]
        return plant.get(self.names)

    def _unit(self, plant: Plant, section: str, name: str) -> str:
        try:
            return plant.unit(name)
        except GalenicError as error:
            raise self.plan.source.error((section, name), error.message, error.cure) from error

    def _number(self, name: str, key: str, value: float | str, unit: str) -> float:
        try:
            return parse_quantity(value, unit)
        except GalenicError as error:
            raise self.plan.source.error(("inputs", name, key), error.message, error.cure) from error

    def steps_up_and_down(self) -> tuple[FloatArray, FloatArray]:
        """Responses to each input's step up and down, each of shape (samples + 1, p, m)."""
        up, down = [], []
        for name, step in zip(self.names, self.steps, strict=True):
            up.append(self.run(f"{name} up", {name: +step}))
            down.append(self.run(f"{name} down", {name: -step}))
        return np.stack(up, axis=2), np.stack(down, axis=2)

    def run(self, label: str, steps: Mapping[str, float]) -> FloatArray:
        """Response to steps on the operating point, shape (samples + 1, p)."""
        moved = self.u0.copy()
        for name, step in steps.items():
            moved[self.names.index(name)] += step
        return self.drive(label, np.tile(moved, (self.samples, 1)))

    def drive(self, label: str, inputs: FloatArray) -> FloatArray:
        """Response to a sequence of inputs, shape (N, m), from rest; returns (N + 1, p)."""
        plant = self._new_plant()
        try:
            result = self._record(plant, label, inputs)
        finally:
            plant.close()
        self._done += 1
        if not np.isfinite(result).all():
            k, i = (int(v) for v in np.argwhere(~np.isfinite(result))[0])
            raise GalenicError(
                f"'{self.outputs[i]}' is not finite {k * self.plan.period:g} s into the run '{label}'",
                cure="make the step of that input smaller",
            )
        return result

    def _record(self, plant: Plant, label: str, inputs: FloatArray) -> FloatArray:
        self._apply(plant, self.u0)
        plant.advance(self.plan.settle)
        result = np.empty((len(inputs) + 1, len(self.outputs)))
        result[0] = plant.get(self.outputs)
        for k, row in enumerate(inputs):
            self._apply(plant, row)
            plant.advance(self.plan.period)
            result[k + 1] = plant.get(self.outputs)
            if self._progress:
                self._progress((self._done + (k + 1) / len(inputs)) / self._total, label)
        return result

    def _apply(self, plant: Plant, values: FloatArray) -> None:
        for name, value in zip(self.names, values, strict=True):
            plant.set(name, float(value))


def _decide(response: FloatArray, flags: Sequence[bool | None]) -> list[bool]:
    return [seen if flag is None else flag for flag, seen in zip(flags, looks_integrating(response), strict=True)]


def assemble(runner: Runner, realized: Realization, y0: FloatArray) -> LinearSurrogate:
    """A surrogate of a realisation per step of each input, around an operating point y0, shape (p,)."""
    inputs = tuple(
        SurrogateInput(n, unit, float(u), float(u - s), float(u + s))
        for n, unit, u, s in zip(runner.names, runner.input_units, runner.u0, runner.steps, strict=True)
    )
    outputs = tuple(
        SurrogateOutput(n, unit, float(y), flag)
        for n, unit, y, flag in zip(runner.outputs, runner.output_units, y0, realized.integrating, strict=True)
    )
    return LinearSurrogate(
        realized.a,
        realized.b / runner.steps[None, :],
        realized.c,
        np.zeros((len(outputs), len(inputs))),
        runner.plan.period,
        inputs,
        outputs,
        runner.plan.description,
    )


def _validate(runner: Runner, surrogate: LinearSurrogate, base: FloatArray) -> tuple[FloatArray, FloatArray]:
    """RMSE in the outputs' units and fit in %, over all validation runs."""
    p = len(surrogate.outputs)
    if runner.plan.validations < 1:
        return np.full(p, math.nan), np.full(p, math.nan)
    rng = np.random.default_rng(runner.plan.seed)
    drift = base - base[:1]
    plant_values, errors = [], []
    for number in range(runner.plan.validations):
        inputs = runner.u0 + runner.steps * levels(rng, len(runner.u0), runner.samples)
        measured = runner.drive(f"validation {number + 1}", inputs) - drift
        plant_values.append(measured)
        errors.append(measured - surrogate.predict(inputs))
    y, e = np.vstack(plant_values), np.vstack(errors)
    spread = np.linalg.norm(y - y.mean(axis=0), axis=0)
    size = np.linalg.norm(e, axis=0)
    rmse = size / math.sqrt(len(e))
    return rmse, 100.0 * (1.0 - size / np.where(spread > 0.0, spread, np.inf))


def version() -> str:
    """Of Galenic."""
    try:
        return importlib.metadata.version("galenic")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def _short(value: float) -> float:
    return float(f"{value:.3g}")
