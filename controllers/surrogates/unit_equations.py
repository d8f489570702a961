"""The equations of one component: a unit model as functions in CasADi, with the values of the scenario."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import casadi as ca
import numpy as np

from controllers.surrogates.values import values_of
from cosim.assembly import find_unit
from cosim.component import FloatArray, Port
from cosim.scenario import Scenario
from fmus.errors import GalenicError, nearest
from fmus.library import unit_model
from fmus.model import UnitModel
from fmus.variable import Variable


@dataclass(frozen=True)
class Unit:
    """One component: its model, the values of its scenario, and its equations.

    ``equations`` is a function (t, x, z, u, p) -> (dx/dt, residual, y, start of z), ``initial`` (u, p, x_start) -> x.
    """

    name: str
    model: UnitModel
    values: Mapping[str, float]
    equations: Any
    initial: Any

    @property
    def inputs(self) -> Sequence[Port]:
        """As ports, for the wiring."""
        return [_port(v) for v, _ in self.model.inputs]

    @property
    def outputs(self) -> Sequence[Port]:
        """As ports, for the wiring."""
        return [_port(v) for v, _ in self.model.outputs]

    def declared(self, variable: Variable) -> float:
        """The value of an input or parameter, or the start of a state, in the scenario."""
        return self.values.get(variable.name, variable.start or 0.0)


def units_of(
    scenario: Scenario, components: Sequence[str] | None = None, replaced: Mapping[str, str] | None = None
) -> list[Unit]:
    """The components with their equations and the scenario's values; of a distribution its mean.

    Args:
        scenario: the line.
        components: which; all by default.
        replaced: another unit model, by component: a simpler one of the same. Values of parameters that it does not
            have are left out.

    Raises:
        GalenicError: an unknown component, or one without equations (an FMU).
    """
    replaced = replaced or {}
    for name in (*(components or ()), *replaced):
        if name not in scenario.components:
            raise GalenicError(f"there is no component '{name}'", cure=nearest(name, scenario.components))
    result = []
    for name in scenario.components if components is None else components:
        if scenario.components[name].unit is None:
            raise scenario.error(
                ("components", name),
                f"'{name}' is an FMU, whose equations cannot be seen",
                "leave it out of 'components', or identify a data-driven surrogate",
            )
        model = unit_model(replaced[name]) if name in replaced else find_unit(scenario, name)
        model.check()
        result.append(_unit(name, model, values_of(scenario, name, model, lenient=name in replaced)))
    return result


def fingerprint(unit: Unit) -> str:
    """A hash of a unit's operations and values: the same wherever the same CasADi builds it."""
    found = hashlib.sha256(unit.name.encode())
    for function in (unit.equations, unit.initial):
        for k in range(function.n_instructions()):
            operation = function.instruction_id(k)
            constant = function.instruction_constant(k) if operation == ca.OP_CONST else 0.0
            sides = function.instruction_input(k), function.instruction_output(k)
            found.update(f"{operation}{sides}{constant!r}".encode())
    named = [*unit.model.inputs, *unit.model.parameters]
    found.update(repr([(v.name, v.unit, unit.declared(v)) for v, _ in named]).encode())
    return found.hexdigest()


def _unit(name: str, model: UnitModel, values: Mapping[str, float]) -> Unit:
    t = model.time
    x = column([s.symbol for s in model.states])
    z = column([a.symbol for a in model.algebraics])
    u, p = column([s for _, s in model.inputs]), column([s for _, s in model.parameters])
    rate = column([ca.SX(0) if s.derivative is None else s.derivative for s in model.states])
    residual = column([a.residual for a in model.algebraics])
    shown = column([expression for _, expression in model.outputs])
    if model.means:
        shown = ca.substitute(shown, column([s for s, _ in model.means]), column([e for _, e in model.means]))
    guess = column([a.start for a in model.algebraics])
    start = ca.SX.sym("x_start", x.numel())
    first = column([start[i] if s.initial is None else s.initial for i, s in enumerate(model.states)])
    return Unit(
        name,
        model,
        values,
        ca.Function("equations", [t, x, z, u, p], [ca.densify(e) for e in (rate, residual, shown, guess)]),
        ca.Function("initial", [u, p, start], [ca.densify(first)]),
    )


def outputs_at(unit: Unit, x: FloatArray, u: Sequence[float], p: Sequence[float]) -> FloatArray:
    """Outputs at t = 0, with the unknowns solved for.

    Args:
        unit: the component.
        x: its states, shape (n,).
        u: its inputs, in the order of the model.
        p: its parameters, likewise.
    """
    n = len(unit.model.algebraics)
    z = np.zeros(n)
    if n:
        sz = ca.SX.sym("z", n)
        z = unit.equations(0.0, x, z, u, p)[3].full().ravel()
        residual = unit.equations(0.0, x, sz, u, p)[1]
        solver = ca.rootfinder(
            "unknowns", "newton", {"x": sz, "g": residual}, {"abstol": 1e-12, "error_on_fail": False}
        )
        z = solver(z, []).full().ravel()
    return np.asarray(unit.equations(0.0, x, z, u, p)[2].full()).ravel()


def _port(variable: Variable) -> Port:
    return Port(variable.name, variable.unit, variable.start, variable.minimum, variable.maximum)


def column(items: list[Any]) -> Any:
    """Symbols or expressions below each other; a column without rows where there are none."""
    return ca.vertcat(*items) if items else ca.SX(0, 1)
