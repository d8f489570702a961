"""A batch at the means, by its recipe and loops, and the states of a controller's model along it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import casadi as ca
import numpy as np

from controllers.surrogates import SurrogateModel, mechanistic
from controllers.surrogates.files import load_model
from controllers.surrogates.linear_surrogate import read_surrogate
from controllers.surrogates.section import Section
from controllers.surrogates.simulation_plant import SimulationPlant
from cosim import Scenario
from cosim.component import FloatArray
from fmus.errors import GalenicError

#: Of the integration of the equations as they are.
_TOLERANCES = {"reltol": 1e-7, "abstol": 1e-9, "max_num_steps": 100_000}
Report = Callable[[float], None]


@dataclass(frozen=True)
class NominalBatch:
    """What a batch at the means does, by communication steps.

    Attributes:
        times: in s, shape (N + 1,).
        inputs: of the model, shape (N + 1, m); row k was in force up to ``times[k]``.
        outputs: of the model as the FMUs give them, shape (N + 1, p).
        states: of the model, shape (N + 1, n).
    """

    times: FloatArray
    inputs: FloatArray
    outputs: FloatArray
    states: FloatArray

    def place(self, time: float) -> int:
        """The row of a time in s."""
        return int(np.argmin(np.abs(self.times - time)))

    def mean_inputs(self, starts: FloatArray, ends: FloatArray) -> FloatArray:
        """Means over intervals (s), shape (K, m); beyond the end what was last in force."""
        rows = []
        for begin, end in zip(starts, ends, strict=True):
            first, last = np.searchsorted(self.times, [begin + 1e-6, end + 1e-6])
            held = self.inputs[first:last] if first < len(self.times) else self.inputs[-1:]
            rows.append(held.mean(axis=0) if len(held) else self.inputs[min(first, len(self.inputs) - 1)])
        return np.array(rows)


class EquationsAsTheyAre:
    """The equations of a model file without what slows states down, integrated with error control.

    A controller's model may slow fast states down, which holds once they are at rest with the others, not from a
    batch's first hour on.

    Args:
        file: of kind ``mechanistic``.
        step: length of a step in s.

    Raises:
        GalenicError: a model of another kind.
    """

    def __init__(self, file: Path, step: float) -> None:
        source = read_surrogate(file)
        if source.data.get("kind") != "mechanistic":
            raise GalenicError(
                "a golden batch needs a model of the kind 'mechanistic', the units' own equations",
                cure="write one, such as scenarios/surrogates/penicillin_mpc.yaml; see docs/surrogates.md",
                file=file,
                line=source.line(("kind",)),
            )
        data = {key: value for key, value in source.data.items() if key != "slow_down"}
        self.model: SurrogateModel = mechanistic.build(Section(replace(source, data=data), tuple(data))).model
        x, u = ca.MX.sym("x", len(self.model.initial)), ca.MX.sym("u", len(self.model.inputs))
        rate = self.model.rate(x, u, self.model.parameters)
        self._step = ca.integrator("step", "cvodes", {"x": x, "p": u, "ode": rate}, 0.0, step, _TOLERANCES)

    def states(self, start: FloatArray, inputs: FloatArray, progress: Report = lambda _share: None) -> FloatArray:
        """From ``start``, shape (n,), under inputs by step, shape (N, m): shape (N + 1, n)."""
        result = [np.asarray(start, dtype=np.float64)]
        for k, u in enumerate(inputs):
            result.append(self._step(x0=result[-1], p=u)["xf"].full().ravel())
            progress((k + 1) / len(inputs))
        return np.array(result)


def model_file(scenario: Scenario, controller: str) -> Path:
    """The model file that a controller's section names, absolute."""
    return scenario.resolve(str(scenario.controllers[controller]["model"]))


def run_nominal_batch(
    scenario: Scenario,
    controllers: Sequence[str],
    signals: Mapping[str, str],
    file: Path,
    progress: Report = lambda _share: None,
) -> NominalBatch:
    """Run a scenario at its means, without disturbances, noise and predictive controller.

    Args:
        scenario: the batch.
        controllers: recipe and loops, which stay.
        signals: where an input of the model is read, where that is not the input itself.
        file: the controller's model.
        progress: told the share that is done.

    Raises:
        GalenicError: the plant cannot be built, a signal is unknown, or the model is of another kind.
    """
    step = scenario.communication_step
    exact, model = EquationsAsTheyAre(file, step), load_model(file)
    inputs = [signals.get(name, name) for name in model.process.inputs]
    outputs = [y.name for y in model.process.outputs]
    plant = SimulationPlant(scenario, controllers=controllers)
    try:
        count = round(scenario.duration / step)
        rows = [(plant.get(inputs), plant.get(outputs))]
        for k in range(count):
            plant.advance(step)
            rows.append((plant.get(inputs), plant.get(outputs)))
            progress(0.6 * (k + 1) / count)
    finally:
        plant.close()
    held, shown = (np.array([row[i] for row in rows]) for i in (0, 1))
    names = [s.name for s in exact.model.process.states]
    missing = [s.name for s in model.process.states if s.name not in names]
    if missing:
        raise GalenicError(
            f"the state '{missing[0]}' is none of the equations as they are", cure="name it singly", file=file
        )
    states = exact.states(np.asarray(exact.model.initial), held[1:], lambda share: progress(0.6 + 0.4 * share))
    columns = [names.index(s.name) for s in model.process.states]
    return NominalBatch(step * np.arange(count + 1, dtype=np.float64), held, shown, states[:, columns])


def roll_out(model: Any, start: FloatArray, inputs: FloatArray, durations: FloatArray, substeps: Sequence[int]) -> Any:
    """States and outputs of a model's own integration map at the ends of stages, shapes (K, n) and (K, p)."""
    process, parameters, x = model.process, model.parameters, np.asarray(start)
    states, outputs = [], []
    for u, duration, count in zip(inputs, durations, substeps, strict=True):
        for _ in range(count):
            x = process.advance(x, u, parameters, duration / count).full().ravel()
        states.append(x)
        outputs.append(process.measure(x, u, parameters).full().ravel())
    return np.array(states), np.array(outputs)
