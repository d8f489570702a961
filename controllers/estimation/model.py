"""What an estimator knows of the plant: a process in discrete time, and the disturbances that are estimated with it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import casadi as ca
import numpy as np

from cosim.component import FloatArray
from fmus.errors import GalenicError, nearest

Kind = Literal["input", "output", "rate", "parameter"]

_HOUR = 3600.0

#: A value further than this many times its nominal from zero is no value.
FAR = 1e6
#: A standard deviation of this many times the nominal says that nothing is known.
UNKNOWN = 1e4


@dataclass(frozen=True)
class State:
    """One state.

    Args:
        name: as it is told.
        unit: what its values are in.
        nominal: its usual size, > 0; beyond a million times it no estimate is believed.
        low: physical lower bound of the estimate.
        high: physical upper bound of the estimate.
        noise: standard deviation of how far model and plant part in an hour, in ``unit``.
        relative_noise: the same as a share of the state's size; both are added.
    """

    name: str
    unit: str = "1"
    nominal: float = 1.0
    low: float = -math.inf
    high: float = math.inf
    noise: float = 0.0
    relative_noise: float = 0.0


@dataclass(frozen=True)
class Output:
    """One output, measured or not: name, unit and usual size."""

    name: str
    unit: str = "1"
    nominal: float = 1.0


@dataclass(frozen=True)
class DisturbanceState:
    """An unknown that is estimated beside the states: a random walk d_{k+1} = d_k + w.

    Args:
        kind: it adds to an ``input``, an ``output`` (drift of a probe), the ``rate`` of a state (unit per hour), or a
            ``parameter`` of the process.
        signal: the name of that input, output, state or parameter.
        wander: standard deviation of how far it wanders in an hour, in the signal's unit (rate: unit per hour).
        low: lower bound.
        high: upper bound.
        nominal: its usual size; ``wander`` when None.
    """

    kind: Kind
    signal: str
    wander: float
    low: float = -math.inf
    high: float = math.inf
    nominal: float | None = None


@dataclass(frozen=True)
class Process:
    r"""A process in discrete time, x_{k+1} = f(x_k, u_k, p), y_k = h(x_k, u_{k-1}, p).

    u_k is held from k to k + 1, so what is measured at k saw u_{k-1}.

    Args:
        period: in s.
        states: in the order of x.
        inputs: names, in the order of u.
        outputs: in the order of y; those that nothing measures are soft-sensed.
        step: CasADi function f(x, u, p).
        measure: CasADi function h(x, u, p).
        parameters: name and value, in the order of p.
        advance: CasADi function (x, u, p, h) -> x after one integration step of h s, for stages of any length; a
            process without one goes part of the way of ``step``.
        substeps: integration steps in a period that are accurate.
    """

    period: float
    states: tuple[State, ...]
    inputs: tuple[str, ...]
    outputs: tuple[Output, ...]
    step: Any
    measure: Any
    parameters: tuple[tuple[str, float], ...] = ()
    advance: Any = None
    substeps: int = 1

    def __post_init__(self) -> None:
        sizes = (len(self.states), len(self.inputs), len(self.parameters))
        for label, function, result in (("step", self.step, sizes[0]), ("measure", self.measure, len(self.outputs))):
            found = tuple(function.numel_in(i) for i in range(function.n_in()))
            if found != sizes or function.numel_out(0) != result:
                raise GalenicError(
                    f"'{label}' takes {found} and gives {function.numel_out(0)} numbers;"
                    f" states, inputs and parameters are {sizes}, the result {result}",
                    cure="give a CasADi function of (x, u, p) in the order of states, inputs and parameters",
                )
        if not self.period > 0.0:
            raise GalenicError(f"a period of {self.period} s is not above 0")

    @classmethod
    def continuous(
        cls,
        period: float,
        states: Sequence[State],
        inputs: Sequence[str],
        outputs: Sequence[Output],
        rate: Any,
        measure: Any,
        parameters: Sequence[tuple[str, float]] = (),
        *,
        substeps: int = 1,
    ) -> Process:
        """From dx/dt = rate(x, u, p) per second, by ``substeps`` steps of the classical Runge-Kutta method a period."""
        x, u, p = (ca.MX.sym(n, rate.size1_in(i)) for i, n in enumerate("xup"))
        h = ca.MX.sym("h")
        k1 = rate(x, u, p)
        k2 = rate(x + h / 2 * k1, u, p)
        k3 = rate(x + h / 2 * k2, u, p)
        k4 = rate(x + h * k3, u, p)
        advance = expanded(ca.Function("advance", [x, u, p, h], [x + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)]))
        end = x
        for _ in range(substeps):
            end = advance(end, u, p, period / substeps)
        step = ca.Function("step", [x, u, p], [end])
        return cls(
            *(period, tuple(states), tuple(inputs), tuple(outputs), expanded(step), measure, tuple(parameters)),
            advance=advance,
            substeps=substeps,
        )

    def index(self, kind: Kind, name: str) -> int:
        """Where a signal stands. Raises GalenicError where there is none of that name."""
        known = {
            "input": self.inputs,
            "output": tuple(y.name for y in self.outputs),
            "rate": tuple(s.name for s in self.states),
            "parameter": tuple(n for n, _ in self.parameters),
        }[kind]
        if name not in known:
            raise GalenicError(f"the process has no {kind} '{name}'", cure=nearest(name, known))
        return known.index(name)


class EstimationModel:
    r"""A process with disturbance states: s = (x, d), s_{k+1} = F(s_k, u_k) + w_k, y_k = H(s_k, u_{k-1}) + v_k.

    The covariance of w_k is diagonal, (noise_i + relative_noise_i |s_i|)^2 period / 1 h.

    Args:
        process: the plant's equations.
        disturbances: estimated beside its states.

    Raises:
        GalenicError: an unknown signal, or a number out of range.
    """

    def __init__(self, process: Process, disturbances: Sequence[DisturbanceState] = ()) -> None:
        self.process, self.disturbances = process, tuple(disturbances)
        self.period, self.inputs, self.outputs = process.period, process.inputs, process.outputs
        self.states: tuple[State, ...] = process.states + tuple(_as_state(process, d) for d in disturbances)
        for s in self.states:
            if not (s.nominal > 0.0 and s.noise >= 0.0 and s.relative_noise >= 0.0 and s.low <= s.high):
                raise GalenicError(
                    f"state '{s.name}': nominal {s.nominal}, noise {s.noise}, {s.relative_noise}, bounds {s.low} to"
                    f" {s.high}",
                    cure="nominal > 0, noise >= 0, low <= high",
                )
        both, u = ca.MX.sym("s", len(self.states)), ca.MX.sym("u", len(self.inputs))
        n = len(process.states)
        x, d = both[:n], both[n:]
        moved: dict[str, Any] = {"input": u, "output": ca.MX(len(self.outputs), 1), "rate": ca.MX(n, 1)}
        moved["parameter"] = ca.MX(ca.DM([v for _, v in process.parameters]))
        for i, disturbance in enumerate(disturbances):
            at = process.index(disturbance.kind, disturbance.signal)
            size = moved[disturbance.kind].numel()
            moved[disturbance.kind] += ca.DM.eye(size)[:, at] * d[i]
        u_moved, p = moved["input"], moved["parameter"]
        end = process.step(x, u_moved, p) + moved["rate"] * (self.period / _HOUR)
        y = process.measure(x, u_moved, p) + moved["output"]
        #: CasADi functions (s, u) -> s at the end of the period, (s, u) -> y
        self.step = expanded(ca.Function("step", [both, u], [ca.densify(ca.vertcat(end, d))]))
        self.measure = expanded(ca.Function("measure", [both, u], [ca.densify(y)]))
        h = ca.MX.sym("h")
        if process.advance is None:
            part = x + h / self.period * (process.step(x, u_moved, p) - x)
        else:
            part = process.advance(x, u_moved, p, h)
        #: CasADi function (s, u, h) -> s after one integration step of h s
        self.advance = expanded(
            ca.Function("advance", [both, u, h], [ca.densify(ca.vertcat(part + moved["rate"] * (h / _HOUR), d))])
        )
        root = math.sqrt(self.period / _HOUR)
        self._noise = root * np.array([i.noise for i in self.states])
        self._relative_noise = root * np.array([i.relative_noise for i in self.states])
        self.low: FloatArray = np.array([i.low for i in self.states])
        self.high: FloatArray = np.array([i.high for i in self.states])
        self.nominal: FloatArray = np.array([i.nominal for i in self.states])

    @property
    def size(self) -> int:
        """How many states, disturbances included."""
        return len(self.states)

    def output_index(self, name: str) -> int:
        """Where an output stands. Raises GalenicError where there is none."""
        return self.process.index("output", name)

    def noise_std(self, state: FloatArray) -> FloatArray:
        """Standard deviation of w over one period at ``state``, shape (n,)."""
        return np.asarray(self._noise + self._relative_noise * np.abs(state))


def _as_state(process: Process, d: DisturbanceState) -> State:
    unit = "1"
    at = process.index(d.kind, d.signal)
    if d.kind in ("output", "rate"):
        unit = (process.outputs if d.kind == "output" else process.states)[at].unit
    nominal = d.wander if d.nominal is None else d.nominal
    state = State(f"{d.kind}.{d.signal}", unit, nominal if nominal > 0.0 else 1.0, d.low, d.high)
    return replace(state, noise=d.wander)


def expanded(function: Any) -> Any:
    """In scalar operations where that is possible: faster, and small functions compile and differentiate quickly."""
    try:
        return function.expand()
    except RuntimeError:  # it calls an integrator or a root finder
        return function
