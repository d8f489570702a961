"""A unit model: the equations of one unit operation in CasADi, written once.

Everything else is derived from it: the FMU, its description, the estimator's model and the tests' reference.
A unit file builds a model by declaring variables and stating equations in their declared units::

    model = UnitModel("tank", "A stirred tank")
    inflow = model.input("inflow", 1.0, "kg/s", "mass flow in", minimum=0.0)
    tau = model.parameter("residence_time", 60.0, "s", "mean residence time", source="illustrative, uncalibrated")
    mass = model.state("mass", 60.0, "kg", "hold-up", minimum=0.0)
    model.derivative(mass, inflow - mass / tau)
    model.output("outflow", mass / tau, "kg/s", "mass flow out")
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Literal

import casadi as ca

from fmus.errors import GalenicError
from fmus.quantity import base_unit

Causality = Literal["input", "parameter", "local", "output"]
Kind = Literal["Real", "Integer", "Boolean"]
Integrator = Literal["rosenbrock", "erk"]


class Role(StrEnum):
    """What a variable means to quality: ICH Q8's vocabulary."""

    CPP = "critical process parameter"
    CQA = "critical quality attribute"
    CMA = "critical material attribute"
    DISTURBANCE = "disturbance"
    BALANCE = "balance"
    NONE = ""


@dataclass(frozen=True)
class Variable:
    """A declared variable; ``start`` is None for a calculated one, ``source`` says where a value is from."""

    name: str
    causality: Causality
    unit: str
    description: str
    start: float | None = None
    minimum: float | None = None
    maximum: float | None = None
    nominal: float = 1.0
    role: Role = Role.NONE
    kind: Kind = "Real"
    source: str = ""


@dataclass
class Event:
    """When ``indicator`` falls below zero, each state in ``assign`` jumps to its new value."""

    name: str
    indicator: Any
    assign: dict[str, Any]


@dataclass
class _State:
    variable: Variable
    symbol: Any
    derivative: Any | None = None
    initial: Any | None = None


@dataclass
class _Algebraic:
    variable: Variable
    symbol: Any
    start: Any
    residual: Any | None = None


@dataclass
class UnitModel:
    """The equations of a unit operation.

    Args:
        name: a C identifier; the FMU's model identifier.
        description: one sentence.
        integrator: ``"rosenbrock"`` (stiff, L-stable, order 5; the default) or ``"erk"`` (explicit, order 5).
        relative_tolerance: of the adaptive integrator, on each state.
        absolute_tolerance: of the adaptive integrator, in multiples of each state's ``nominal``.
        documentation: a longer text for the documentation page, with the equations' sources.
    """

    name: str
    description: str
    integrator: Integrator = "rosenbrock"
    relative_tolerance: float = 1e-8
    absolute_tolerance: float = 1e-10
    documentation: str = ""
    time: Any = field(default_factory=lambda: ca.SX.sym("time"))
    inputs: list[tuple[Variable, Any]] = field(default_factory=list)
    parameters: list[tuple[Variable, Any]] = field(default_factory=list)
    states: list[_State] = field(default_factory=list)
    algebraics: list[_Algebraic] = field(default_factory=list)
    outputs: list[tuple[Variable, Any]] = field(default_factory=list)
    means: list[tuple[Any, Any]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def input(
        self,
        name: str,
        start: float,
        unit: str,
        description: str,
        *,
        minimum: float | None = None,
        maximum: float | None = None,
        nominal: float | None = None,
        role: Role = Role.NONE,
    ) -> Any:
        """Declare an input and return its symbol; ``start`` holds while nothing is connected."""
        variable = self._declare(name, "input", unit, description, start, minimum, maximum, nominal, role)
        symbol = ca.SX.sym(name)
        self.inputs.append((variable, symbol))
        return symbol

    def parameter(
        self,
        name: str,
        value: float,
        unit: str,
        description: str,
        *,
        source: str,
        minimum: float | None = None,
        maximum: float | None = None,
    ) -> Any:
        """Declare a fixed parameter and return its symbol.

        ``source`` is mandatory: a paper, a data set, or "illustrative, uncalibrated".
        """
        if not source.strip():
            raise GalenicError(f"parameter '{name}' of '{self.name}' states no source")
        variable = self._declare(
            name, "parameter", unit, description, value, minimum, maximum, None, Role.NONE, source=source
        )
        symbol = ca.SX.sym(name)
        self.parameters.append((variable, symbol))
        return symbol

    def state(
        self,
        name: str,
        start: float | Any,
        unit: str,
        description: str,
        *,
        minimum: float | None = None,
        maximum: float | None = None,
        nominal: float | None = None,
        role: Role = Role.NONE,
    ) -> Any:
        """Declare a state and return its symbol.

        ``start`` is a number (settable before the run) or an expression of inputs and parameters (calculated at
        initialisation). A state without a `derivative` only jumps in events.
        """
        number = isinstance(start, int | float)
        variable = self._declare(
            name, "local", unit, description, float(start) if number else None, minimum, maximum, nominal, role
        )
        state = _State(variable, ca.SX.sym(name), initial=None if number else ca.SX(start))
        self.states.append(state)
        return state.symbol

    def derivative(self, state: Any, expression: Any) -> None:
        """State d(state)/dt in the state's unit per second."""
        for candidate in self.states:
            if ca.is_equal(candidate.symbol, state):
                if candidate.derivative is not None:
                    raise GalenicError(
                        f"the derivative of '{candidate.variable.name}' is stated twice in '{self.name}'"
                    )
                candidate.derivative = ca.SX(expression)
                return
        raise GalenicError(f"derivative() of '{self.name}' was given something that is not one of its states")

    def algebraic(
        self,
        name: str,
        start: float | Any,
        unit: str,
        description: str,
        *,
        nominal: float | None = None,
    ) -> Any:
        """Declare the unknown of an implicit equation and return its symbol.

        ``start`` (a number, or an expression of inputs, states and parameters) is where Newton's method begins, in
        every step anew, so that the result has no memory.
        """
        variable = self._declare(name, "local", unit, description, None, None, None, nominal, Role.NONE)
        self.algebraics.append(_Algebraic(variable, ca.SX.sym(name), ca.SX(start)))
        return self.algebraics[-1].symbol

    def residual(self, unknown: Any, expression: Any) -> None:
        """State ``0 = expression`` for an unknown declared by `algebraic`."""
        for candidate in self.algebraics:
            if ca.is_equal(candidate.symbol, unknown):
                candidate.residual = ca.SX(expression)
                return
        raise GalenicError(f"residual() of '{self.name}' was given something that is not one of its unknowns")

    def output(
        self,
        name: str,
        expression: Any,
        unit: str,
        description: str,
        *,
        minimum: float | None = None,
        maximum: float | None = None,
        nominal: float | None = None,
        role: Role = Role.NONE,
        kind: Kind = "Real",
    ) -> None:
        """Declare an output as an expression of states, unknowns, inputs, parameters, time and `mean` values."""
        variable = self._declare(name, "output", unit, description, None, minimum, maximum, nominal, role, kind=kind)
        self.outputs.append((variable, ca.SX(expression)))

    def mean(self, expression: Any) -> Any:
        """The mean of ``expression`` over the last communication step (its present value before the first step).

        Integrated beside the states, with error control. A flow that is handed on as a mean moves exactly the mass
        that left, whatever the communication step, so that coupled units conserve it.
        """
        symbol = ca.SX.sym(f"mean{len(self.means)}")
        self.means.append((symbol, ca.SX(expression)))
        return symbol

    def event(self, name: str, indicator: Any, assign: Mapping[str, Any]) -> None:
        """When ``indicator`` falls below zero, located in time by the integrator, the named states jump.

        The jump must bring the indicator back to a value that is not negative.
        """
        known = {s.variable.name for s in self.states}
        for target in assign:
            if target not in known:
                raise GalenicError(f"event '{name}' of '{self.name}' assigns '{target}', which is not a state")
        self.events.append(Event(name, ca.SX(indicator), {k: ca.SX(v) for k, v in assign.items()}))

    @property
    def variables(self) -> list[Variable]:
        """All variables in the order of their value references: inputs, parameters, states, unknowns, outputs."""
        return [
            *(v for v, _ in self.inputs),
            *(v for v, _ in self.parameters),
            *(s.variable for s in self.states),
            *(a.variable for a in self.algebraics),
            *(v for v, _ in self.outputs),
        ]

    def variable(self, name: str) -> Variable:
        """The variable called ``name``. Raises GalenicError where there is none."""
        for variable in self.variables:
            if variable.name == name:
                return variable
        raise GalenicError(f"'{self.name}' has no variable '{name}'")

    def with_starts(self, starts: Mapping[str, float], name: str | None = None) -> UnitModel:
        """A copy with other start values of inputs, parameters and exact states, and another name where given.

        Raises:
            GalenicError: a variable does not exist, is calculated, or the value is outside its range.
        """
        for key, value in starts.items():
            variable = self.variable(key)
            if variable.start is None:
                raise GalenicError(f"'{key}' of '{self.name}' is calculated and has no start value")
            _check_range(self.name, variable.name, value, variable.minimum, variable.maximum, variable.unit)

        def started(variable: Variable) -> Variable:
            return replace(variable, start=starts[variable.name]) if variable.name in starts else variable

        return replace(
            self,
            name=name or self.name,
            inputs=[(started(v), symbol) for v, symbol in self.inputs],
            parameters=[(started(v), symbol) for v, symbol in self.parameters],
            states=[replace(s, variable=started(s.variable)) for s in self.states],
        )

    def check(self) -> None:
        """Refuse a model that is not complete: a residual missing, a symbol that was never declared.

        Raises:
            GalenicError: naming the model and the equation.
        """
        for algebraic in self.algebraics:
            if algebraic.residual is None:
                raise GalenicError(f"'{self.name}' states no residual for its unknown '{algebraic.variable.name}'")
        known = [self.time, *(s for _, s in self.inputs), *(s for _, s in self.parameters)]
        known += [s.symbol for s in self.states] + [a.symbol for a in self.algebraics]
        equations = [(s.variable.name, s.derivative) for s in self.states if s.derivative is not None]
        equations += [(a.variable.name, a.residual) for a in self.algebraics]
        equations += [(e.name, e.indicator) for e in self.events]
        equations += [(f"mean {i}", expression) for i, (_, expression) in enumerate(self.means)]
        for name, expression in equations:
            self._refuse_unknown_symbols(name, expression, known)
        for variable, expression in self.outputs:
            self._refuse_unknown_symbols(variable.name, expression, [*known, *(s for s, _ in self.means)])

    def _refuse_unknown_symbols(self, name: str, expression: Any, known: list[Any]) -> None:
        names = {str(k) for k in known}
        foreign = [str(s) for s in ca.symvar(expression) if str(s) not in names]
        if foreign:
            raise GalenicError(
                f"the equation of '{name}' in '{self.name}' uses undeclared symbols: {', '.join(foreign)}"
            )

    def _declare(
        self,
        name: str,
        causality: Causality,
        unit: str,
        description: str,
        start: float | None,
        minimum: float | None,
        maximum: float | None,
        nominal: float | None,
        role: Role,
        *,
        kind: Kind = "Real",
        source: str = "",
    ) -> Variable:
        if any(v.name == name for v in self.variables):
            raise GalenicError(f"variable '{name}' is declared twice in '{self.name}'")
        base_unit(unit)
        if start is not None:
            _check_range(self.name, name, start, minimum, maximum, unit)
        if nominal is None:
            nominal = abs(start) if start else 1.0
        return Variable(name, causality, unit, description, start, minimum, maximum, nominal, role, kind, source)


def _check_range(model: str, name: str, start: float, minimum: float | None, maximum: float | None, unit: str) -> None:
    low = -math.inf if minimum is None else minimum
    high = math.inf if maximum is None else maximum
    if not low <= start <= high:
        raise GalenicError(f"start {start} of '{model}.{name}' is outside {low} to {high} {unit}")
