"""The equations of a scenario's components, composed along its connections into one set in CasADi.

They are the unit models' own. What a unit hands on as a mean over a communication step is taken at the instant, and a
connection passes its value at once: the composition is what a co-simulation tends to as its step becomes short. Events
(a feeder's refill) do not happen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import casadi as ca
import numpy as np

from controllers.surrogates.unit_equations import Unit, column, fingerprint, outputs_at, units_of
from cosim.component import FloatArray
from cosim.scenario import Scenario
from cosim.wiring import Wiring
from fmus.errors import GalenicError, nearest
from fmus.quantity import parse_quantity
from fmus.variable import Variable

#: The name of the state that carries the time, where an equation depends on it.
TIME = "time"
_PASSES = 30  # through all units, in which their first outputs settle along the connections


@dataclass(frozen=True)
class Equations:
    """A composition, in columns x (states), z (unknowns), u (varied inputs) and p (varied parameters).

    Attributes:
        states: of x, by name ``component.state``; the last is `TIME`.
        unknowns: of z.
        inputs: of u, by signal.
        parameters: of p, by signal, with their values.
        outputs: by signal.
        symbols: x, z, u, p.
        rate: dx/dt.
        residual: 0 = residual.
        guess: where Newton's method begins, an expression of x, u, p.
        shown: the outputs.
        start: the state at t = 0, shape (n,).
        start_inputs: u at t = 0, shape (m,).
        digest: changes with the equations, the values and the connections.
    """

    states: tuple[Variable, ...]
    unknowns: tuple[Variable, ...]
    inputs: tuple[Variable, ...]
    parameters: tuple[tuple[Variable, float], ...]
    outputs: tuple[Variable, ...]
    symbols: tuple[Any, Any, Any, Any]
    rate: Any
    residual: Any
    guess: Any
    shown: Any
    start: FloatArray
    start_inputs: FloatArray
    digest: str


def compose(
    scenario: Scenario,
    units: Sequence[Unit],
    *,
    inputs: Sequence[str],
    outputs: Sequence[str],
    parameters: Sequence[str] = (),
    values: Mapping[str, float | str] | None = None,
) -> Equations:
    """Compose units along the scenario's connections.

    Args:
        scenario: whose connections hold between the units.
        units: from `units_of`.
        inputs: signals that vary; one that is connected is cut off there.
        outputs: signals to show: outputs of units, or inputs (what arrives there).
        parameters: parameters or inputs, by signal, that may carry a disturbance.
        values: of inputs, parameters and states' starts that differ from the scenario's.

    Raises:
        GalenicError: an unknown signal, a unit that does not fit, or connections that close an algebraic loop.
    """
    return _Composer(scenario, units, inputs, outputs, parameters, dict(values or {})).equations()


def digest_of(scenario: Scenario) -> str:
    """A hash of what a scenario's plant computes: equations, values, connections, the content of FMU files."""
    found = hashlib.sha256()
    for name, spec in scenario.components.items():
        if spec.fmu is not None:
            found.update(name.encode() + scenario.resolve(spec.fmu).read_bytes())
    known = [name for name, spec in scenario.components.items() if spec.unit is not None]
    for unit in units_of(scenario, known):
        found.update(fingerprint(unit).encode())
    for connection in scenario.connections:
        found.update(f"{connection.text} {connection.factor!r} {connection.offset!r}".encode())
    return found.hexdigest()


class _Composer:
    def __init__(
        self,
        scenario: Scenario,
        units: Sequence[Unit],
        inputs: Sequence[str],
        outputs: Sequence[str],
        parameters: Sequence[str],
        values: dict[str, float | str],
    ) -> None:
        self.scenario, self.units, self.shown = scenario, units, outputs
        self.wiring = Wiring(scenario)
        for unit in units:
            self.wiring.add(unit)
        self.free: dict[str, Variable] = {}
        for unit in units:
            for variable, _ in (*unit.model.inputs, *unit.model.parameters):
                self.free[f"{unit.name}.{variable.name}"] = variable
        self.numbers = {f"{u.name}.{v.name}": u.declared(v) for u in units for v, _ in u.model.inputs}
        self.numbers |= {f"{u.name}.{v.name}": u.declared(v) for u in units for v, _ in u.model.parameters}
        for name in (*inputs, *parameters):
            if name not in self.free:
                raise GalenicError(f"there is no input or parameter '{name}'", cure=nearest(name, self.free))
        self.starts = {f"{u.name}.{s.variable.name}": u.declared(s.variable) for u in units for s in u.model.states}
        self._take(values)
        self.inputs, self.parameters = list(inputs), list(parameters)
        self._connect({*inputs, *parameters, *values})

    def _take(self, values: Mapping[str, float | str]) -> None:
        for name, raw in values.items():
            if name in self.free:
                self.numbers[name] = parse_quantity(raw, self.free[name].unit)
            elif name in self.starts:
                variable = next(
                    s.variable for u in self.units for s in u.model.states if f"{u.name}.{s.variable.name}" == name
                )
                self.starts[name] = parse_quantity(raw, variable.unit)
            else:
                raise GalenicError(
                    f"there is no input, parameter or state '{name}'", cure=nearest(name, [*self.free, *self.starts])
                )

    def _connect(self, cut: set[str]) -> None:
        names = {unit.name for unit in self.units}
        for number, spec in enumerate(self.scenario.connections):
            sides = [_owner(side, self.scenario.components) for side in (spec.source, spec.target)]
            if all(side in names for side in sides):
                self.wiring.connect(spec, ("connections", number))
        self.links = {t: link for t, link in self.wiring.links.items() if t not in cut and link.source is not None}

    def equations(self) -> Equations:
        t = ca.SX.sym(TIME)
        x = {f"{u.name}.{s.variable.name}": s.variable for u in self.units for s in u.model.states}
        z = {f"{u.name}.{a.variable.name}": a.variable for u in self.units for a in u.model.algebraics}
        sx, sz, su, sp, sw = (
            {name: ca.SX.sym(name) for name in names} for names in (x, z, self.inputs, self.parameters, self.links)
        )
        given = {n: ca.SX(v) for n, v in self.numbers.items()} | sw | su | sp

        def chosen(unit: Unit, items: Sequence[Any], of: Mapping[str, Any]) -> Any:
            found = [of[f"{unit.name}.{v.name}"] for v in items]
            return ca.vertcat(*found) if found else ca.SX(0, 1)

        rates, residuals, guesses, values = [], [], [], dict(given)
        for unit in self.units:
            model = unit.model
            ode, residual, y, guess = unit.equations(
                t,
                chosen(unit, [s.variable for s in model.states], sx),
                chosen(unit, [a.variable for a in model.algebraics], sz),
                chosen(unit, [v for v, _ in model.inputs], given),
                chosen(unit, [v for v, _ in model.parameters], given),
            )
            rates.append(ode)
            residuals.append(residual)
            guesses.append(guess)
            values |= {f"{unit.name}.{v.name}": y[i] for i, (v, _) in enumerate(model.outputs)}
        arriving = ca.vertcat(*(_over(self.links[n], values) for n in sw)) if sw else ca.SX(0, 1)
        w = ca.vertcat(*sw.values()) if sw else ca.SX(0, 1)
        resolved = self._resolved(arriving, w)
        known = {**{f"{u.name}.{v.name}": v for u in self.units for v, _ in u.model.outputs}, **self.free}
        for name in self.shown:
            if name not in known:
                raise GalenicError(f"there is no output '{name}'", cure=nearest(name, known))
        shown = [values[n] for n in self.shown]
        parts = [ca.vertcat(*rates, 1.0), ca.vertcat(*residuals), ca.vertcat(*guesses), ca.vertcat(*shown)]
        rate, residual, guess, outputs = ca.substitute(parts, [w], [resolved]) if sw else parts
        start, begin = self._start()
        clock = Variable(TIME, "local", "s", "time", nominal=3600.0)
        return Equations(
            states=(*(_named(v, n) for n, v in x.items()), clock),
            unknowns=tuple(_named(v, n) for n, v in z.items()),
            inputs=tuple(_named(self.free[n], n) for n in self.inputs),
            parameters=tuple((_named(self.free[n], n), begin[n]) for n in self.parameters),
            outputs=tuple(_named(known[n], n) for n in self.shown),
            symbols=(
                column([*sx.values(), t]),
                column([*sz.values()]),
                column([*su.values()]),
                column([*sp.values()]),
            ),
            rate=rate,
            residual=residual,
            guess=guess,
            shown=outputs,
            start=start,
            start_inputs=np.array([begin[n] for n in self.inputs]),
            digest=self._digest(),
        )

    def _resolved(self, arriving: Any, w: Any) -> Any:
        """What arrives at the connected inputs, without any of them in it."""
        resolved = arriving
        for _ in range(len(self.units) * 2 + 2):
            if not w.numel() or not ca.depends_on(resolved, w):
                return resolved
            resolved = ca.substitute(arriving, w, resolved)
        around = ca.which_depends(resolved, w, 1, True)
        first = [name for name, depends in zip(self.links, around, strict=True) if depends][:4]
        raise GalenicError(
            f"the connections close an algebraic loop through {', '.join(first)}",
            cure="name one of these signals among 'values' or 'inputs', which cuts the connection there",
        )

    def _start(self) -> tuple[FloatArray, dict[str, float]]:
        """State and values at t = 0, each unit's inputs taken from the outputs of those that feed it."""
        values = dict(self.numbers)
        x = np.zeros(0)
        for _ in range(_PASSES):
            before, parts = x, []
            for unit in self.units:
                model = unit.model
                u = [values[f"{unit.name}.{v.name}"] for v, _ in model.inputs]
                p = [values[f"{unit.name}.{v.name}"] for v, _ in model.parameters]
                own = unit.initial(u, p, [self.starts[f"{unit.name}.{s.variable.name}"] for s in model.states])
                own = np.asarray(own.full()).ravel()
                parts.append(own)
                shown = outputs_at(unit, own, u, p)
                values |= {f"{unit.name}.{v.name}": float(shown[i]) for i, (v, _) in enumerate(model.outputs)}
            for target, link in self.links.items():
                values[target] = float(_over(link, values))
            x = np.concatenate([*parts, [0.0]])
            if len(before) == len(x) and np.allclose(x, before, rtol=1e-12, atol=0.0, equal_nan=True):
                break
        if not np.isfinite(x).all():
            raise GalenicError("the state at the start is not finite", cure="check the start values of the scenario")
        return x, values

    def _digest(self) -> str:
        found = hashlib.sha256("".join(fingerprint(unit) for unit in self.units).encode())
        for target, link in sorted(self.links.items()):
            found.update(f"{target}{link.source}{link.factor!r}{link.offset!r}".encode())
        found.update(repr(sorted(self.numbers.items())).encode())
        return found.hexdigest()


def _over(link: Any, values: Mapping[str, Any]) -> Any:
    value = values[link.source]
    return value if link.factor == 1.0 and link.offset == 0.0 else link.factor * value + link.offset


def _owner(signal: str, components: Iterable[str]) -> str:
    """The component that a signal belongs to; the longest name that fits."""
    return max((c for c in components if signal.startswith(f"{c}.")), key=len, default="")


def _named(variable: Variable, name: str) -> Variable:
    return replace(variable, name=name)
