"""Step tests: what they need of a plant, where they start from, and the linear surrogate that they give."""

from __future__ import annotations

import datetime
import importlib.metadata
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from controllers.surrogates.linear_surrogate import LinearSurrogate, SurrogateInput, SurrogateOutput
from controllers.surrogates.plan import IdentificationPlan
from controllers.surrogates.realization import Realization, looks_integrating, realize
from cosim.component import FloatArray
from fmus.errors import GalenicError
from fmus.quantity import parse_quantity


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


def from_steps(runner: Runner, base: FloatArray, y_up: FloatArray, y_down: FloatArray) -> LinearSurrogate:
    r"""The surrogate of step tests, without its error.

    Each input j is stepped up and down by delta_j from the same rest; half the difference cancels drift that both runs
    share, and even-order nonlinearity,

        S_k[:, j] = (y_up(t_k) - y_down(t_k)) / (2 delta_j)

    and is given to `controllers.surrogates.realization.realize`. The training domain is u0 +- delta.

    Args:
        runner: operating point and steps.
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


class Runner:
    """The operating point of a plan on its plant, and the units of its signals.

    Args:
        new_plant: makes a fresh plant, to look at.
        plan: what is excited and observed.

    Attributes:
        names, outputs: of the excited inputs and the outputs.
        input_units, output_units: of both.
        u0: operating point of the inputs, shape (m,).
        steps: how far each is moved, shape (m,).
        samples: in the horizon.

    Raises:
        GalenicError: an unknown signal, or a step that is not positive.
    """

    def __init__(self, new_plant: Callable[[], Plant], plan: IdentificationPlan) -> None:
        self.plan = plan
        self.names, self.outputs = list(plan.inputs), list(plan.outputs)
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


def version() -> str:
    """Of Galenic."""
    try:
        return importlib.metadata.version("galenic")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def _short(value: float) -> float:
    return float(f"{value:.3g}")
