"""A surrogate as controllers use it: a process in discrete time, its error, and where it holds; whatever its kind."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import casadi as ca
import numpy as np

from controllers.estimation.model import Process
from controllers.surrogates.domain import Domain
from controllers.surrogates.linear_surrogate import SurrogateInput, SurrogateOutput
from cosim.component import FloatArray

#: Parts of the prediction horizon at whose ends the error is told.
SHARES = (0.1, 0.5, 1.0)


@dataclass(frozen=True)
class HorizonError:
    """The error of one output in free simulation of runs that the training did not see.

    Attributes:
        rmse: in the output's unit, up to 10 %, 50 % and 100 % of the horizon.
        fit: 100 (1 - |y - y_model| / |y - mean(y)|) in %, over the same.
    """

    rmse: tuple[float, ...]
    fit: tuple[float, ...]


@dataclass(frozen=True)
class SurrogateModel:
    """A surrogate of any kind.

    Attributes:
        kind: ``linear``, ``mechanistic``, ``narx`` or ``neural``.
        process: its equations; names of inputs and outputs are the scenario's signals.
        inputs: in the order of the process, with unit, operating point and training range.
        outputs: in the order of the process, with unit, operating point and error over the whole horizon.
        initial: the state that a run begins with, shape (n,).
        domain: where it was trained.
        errors: by output; empty without a validation.
        horizon: of the validation, in s.
        description: one line.
        provenance: where it comes from.
        digest: changes with the model.
        rate: CasADi function (x, u, p) -> dx/dt per second, where the model has one.
        notices: what a user should be told, such as that the scenario's model has changed since.
    """

    kind: str
    process: Process
    inputs: tuple[SurrogateInput, ...]
    outputs: tuple[SurrogateOutput, ...]
    initial: FloatArray
    domain: Domain
    errors: Mapping[str, HorizonError] = field(default_factory=dict)
    horizon: float = math.nan
    description: str = ""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    digest: str = ""
    rate: Any = None
    notices: tuple[str, ...] = ()

    @property
    def period(self) -> float:
        """Sampling period in s."""
        return self.process.period

    @property
    def operating_point(self) -> FloatArray:
        """Of the inputs, shape (m,)."""
        return np.array([u.operating_point for u in self.inputs])

    @property
    def parameters(self) -> FloatArray:
        """Values of the process's parameters, shape (q,)."""
        return np.array([value for _, value in self.process.parameters])

    def inflation(self, inputs: FloatArray) -> float:
        """Factor on standard deviations of predictions at inputs, shape (m,): 1 in the training domain, else more."""
        return self.domain.inflation(inputs)

    def check_bounds(self, low: FloatArray, high: FloatArray) -> None:
        """Refuse operating bounds beyond the training range, shapes (m,). Raises GalenicError."""
        self.domain.check(low, high)

    def simulate(self, inputs: FloatArray, state: FloatArray | None = None) -> FloatArray:
        """Outputs in free simulation.

        Args:
            inputs: shape (N, m); row k is held over period k.
            state: at the start; that of `initial` by default.

        Returns:
            shape (N + 1, p); row 0 is at the start.
        """
        states = self.states(inputs, state)
        held = np.vstack([inputs[:1], inputs])
        measure = self.process.measure.map(len(held))
        parameters = np.tile(self.parameters[:, None], len(held))
        return np.asarray(measure(states.T, held.T, parameters).full().T)

    def states(self, inputs: FloatArray, state: FloatArray | None = None) -> FloatArray:
        """States in free simulation, shape (N + 1, n); arguments as of `simulate`."""
        x = self.initial if state is None else np.asarray(state, dtype=np.float64)
        result = [x]
        parameters = ca.DM(self.parameters)
        for u in inputs:
            x = self.process.step(x, u, parameters).full().ravel()
            result.append(x)
        return np.array(result)

    def settled(self, inputs: FloatArray, seconds: float) -> FloatArray:
        """The state after ``inputs``, shape (m,), were held for some time from the start, shape (n,)."""
        count = max(round(seconds / self.period), 0)
        result: FloatArray = self.states(np.tile(inputs, (count, 1)))[-1]
        return result
