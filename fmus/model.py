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

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import casadi as ca
import numpy as np

from fmus.errors import GalenicError, nearest
from fmus.variable import Causality, Kind, Role, Terminal, Variable

__all__ = ["Event", "Kind", "Role", "Terminal", "UnitModel", "Variable"]

Integrator = Literal["rosenbrock", "erk"]


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
    terminals: list[Terminal] = field(default_factory=list)

    def input(
        self,
        name: str,
        start: float | Sequence[float],
        unit: str,
        description: str,
        *,
        minimum: float | None = None,
        maximum: float | None = None,
        nominal: float | None = None,
        display_unit: str = "",
        role: Role = Role.NONE,
        kind: Kind = "Real",
        items: Sequence[str] = (),
    ) -> Any:
        """Declare an input and return its symbol; ``start`` holds while nothing is connected.

        A sequence of starts declares an array, whose symbol is a column. An input whose ``kind`` is not Real is
        discrete: in Model Exchange it changes at events only.
        """
        declared = self._declare(
            name, "input", unit, description, start, minimum, maximum, nominal, display_unit, role, kind, items
        )
        return self._symbols(self.inputs, declared)

    def parameter(
        self,
        name: str,
        value: float | Sequence[float],
        unit: str,
        description: str,
        *,
        source: str,
        minimum: float | None = None,
        maximum: float | None = None,
        display_unit: str = "",
        tunable: bool = False,
    ) -> Any:
        """Declare a parameter and return its symbol; a sequence of values declares an array.

        ``source`` is mandatory: a paper, a data set, or "illustrative, uncalibrated". A ``tunable`` parameter may be
        changed between two steps of a run; the others are fixed before it.
        """
        if not source.strip():
            raise GalenicError(f"parameter '{name}' of '{self.name}' states no source")
        declared = self._declare(
            name, "parameter", unit, description, value, minimum, maximum, None, display_unit, Role.NONE
        )
        return self._symbols(self.parameters, [replace(v, source=source, tunable=tunable) for v in declared])

    def state(
        self,
        name: str,
        start: float | Sequence[float] | Any,
        unit: str,
        description: str,
        *,
        minimum: float | None = None,
        maximum: float | None = None,
        nominal: float | None = None,
        display_unit: str = "",
        role: Role = Role.NONE,
        kind: Kind = "Real",
        items: Sequence[str] = (),
    ) -> Any:
        """Declare a state and return its symbol.

        ``start`` is a number (settable before the run) or an expression of inputs and parameters (calculated at
        initialisation); several of either declare an array. A state without a `derivative` is discrete: it only jumps
        in events. One whose ``kind`` is not Real must be.
        """
        numbers = _numbers(start)
        expressions = None if numbers is not None else _elements(start)
        starts = [None] * len(expressions) if expressions is not None else numbers
        alone = not isinstance(start, list | tuple) and len(starts or ()) == 1
        declared = self._declare(
            name,
            "local",
            unit,
            description,
            (starts or [None])[0] if alone else starts,
            minimum,
            maximum,
            nominal,
            display_unit,
            role,
            kind,
            items,
        )
        states = [
            _State(v, ca.SX.sym(v.name), initial=None if expressions is None else expressions[i])
            for i, v in enumerate(declared)
        ]
        self.states.extend(states)
        return ca.vertcat(*(s.symbol for s in states))

    def derivative(self, state: Any, expression: Any) -> None:
        """State d(state)/dt in the state's unit per second; of an array state, a column of as many."""
        by_symbol = {s.symbol.element_hash(): s for s in self.states}
        for element, rate in self._equated("derivative", state, expression):
            found = by_symbol.get(element.element_hash()) if element.is_symbolic() else None
            if found is None:
                raise GalenicError(f"derivative() of '{self.name}' was given something that is not one of its states")
            if found.derivative is not None:
                raise GalenicError(f"the derivative of '{found.variable.name}' is stated twice in '{self.name}'")
            found.derivative = rate

    def algebraic(
        self,
        name: str,
        start: float | Sequence[float] | Any,
        unit: str,
        description: str,
        *,
        nominal: float | None = None,
        display_unit: str = "",
    ) -> Any:
        """Declare the unknown of an implicit equation and return its symbol.

        ``start`` (a number, or an expression of inputs, states and parameters; several declare an array) is where
        Newton's method begins, in every step anew, so that the result has no memory.
        """
        starts = _elements(start)
        several = len(starts) > 1 or isinstance(start, list | tuple)
        none = [None] * len(starts) if several else None
        declared = self._declare(name, "local", unit, description, none, None, None, nominal, display_unit, Role.NONE)
        unknowns = [_Algebraic(v, ca.SX.sym(v.name), s) for v, s in zip(declared, starts, strict=True)]
        self.algebraics.extend(unknowns)
        return ca.vertcat(*(a.symbol for a in unknowns))

    def residual(self, unknown: Any, expression: Any) -> None:
        """State ``0 = expression`` for an unknown declared by `algebraic`."""
        by_symbol = {a.symbol.element_hash(): a for a in self.algebraics}
        for element, zero in self._equated("residual", unknown, expression):
            found = by_symbol.get(element.element_hash()) if element.is_symbolic() else None
            if found is None:
                raise GalenicError(f"residual() of '{self.name}' was given something that is not one of its unknowns")
            found.residual = zero

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
        display_unit: str = "",
        role: Role = Role.NONE,
        kind: Kind = "Real",
        items: Sequence[str] = (),
    ) -> None:
        """Declare an output as an expression of states, unknowns, inputs, parameters, time and `mean` values.

        A column declares an array. An output whose ``kind`` is not Real may only depend on what is discrete: states
        without a derivative, discrete inputs, parameters.
        """
        values = _elements(expression)
        several = len(values) > 1 or isinstance(expression, list | tuple)
        none = [None] * len(values) if several else None
        declared = self._declare(
            name, "output", unit, description, none, minimum, maximum, nominal, display_unit, role, kind, items
        )
        self.outputs.extend(zip(declared, values, strict=True))

    def mean(self, expression: Any) -> Any:
        """The mean of ``expression`` over the last communication step (its present value before the first step).

        Integrated beside the states, with error control. A flow that is handed on as a mean moves exactly the mass
        that left, whatever the communication step, so that coupled units conserve it. In Model Exchange, which has no
        communication steps, it is the present value.
        """
        first = len(self.means)
        self.means.extend((ca.SX.sym(f"mean{first + i}"), element) for i, element in enumerate(_elements(expression)))
        return ca.vertcat(*(symbol for symbol, _ in self.means[first:]))

    def event(self, name: str, indicator: Any, assign: Mapping[str, Any]) -> None:
        """When ``indicator`` falls below zero, located in time by the integrator, the named states jump.

        The jump must bring the indicator back to a value that is not negative.
        """
        known = {s.variable.name for s in self.states}
        for target in assign:
            if target not in known:
                raise GalenicError(f"event '{name}' of '{self.name}' assigns '{target}', which is not a state")
        self.events.append(Event(name, ca.SX(indicator), {k: ca.SX(v) for k, v in assign.items()}))

    def terminal(self, name: str, kind: str, members: Mapping[str, str], description: str = "") -> None:
        """Bundle variables under one name, to be connected as one; terminals of one ``kind`` fit each other.

        Args:
            name: of the terminal.
            kind: what it carries, ``solid_stream``.
            members: name within the kind -> name of the variable or array.
            description: one phrase.
        """
        if any(t.name == name for t in self.terminals):
            raise GalenicError(f"terminal '{name}' is declared twice in '{self.name}'")
        known = {v.array or v.name for v in self.variables}
        for member, variable in members.items():
            if variable not in known:
                raise GalenicError(
                    f"member '{member}' of terminal '{name}' of '{self.name}' is '{variable}', which is not declared",
                    cure=nearest(variable, sorted(known)),
                )
        self.terminals.append(Terminal(name, kind, dict(members), description))

    @property
    def continuous_states(self) -> list[_State]:
        """The states that have a derivative, in the order of `states`; the others are discrete."""
        return [s for s in self.states if s.derivative is not None]

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
            variable.check_value(self.name, value)

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
        self._check_states()
        known = [self.time, *(s for _, s in self.inputs), *(s for _, s in self.parameters)]
        known += [s.symbol for s in self.states] + [a.symbol for a in self.algebraics]
        equations = [(s.variable.name, s.derivative) for s in self.states if s.derivative is not None]
        equations += [(a.variable.name, a.residual) for a in self.algebraics]
        equations += [(e.name, e.indicator) for e in self.events]
        equations += [(f"mean {i}", expression) for i, (_, expression) in enumerate(self.means)]
        for name, expression in equations:
            self._refuse_unknown_symbols(name, expression, known)
        discrete = {str(s.symbol) for s in self.states if s.derivative is None}
        discrete |= {str(s) for _, s in self.parameters} | {str(s) for v, s in self.inputs if v.kind != "Real"}
        for variable, expression in self.outputs:
            self._refuse_unknown_symbols(variable.name, expression, [*known, *(s for s, _ in self.means)])
            continuous = [str(s) for s in ca.symvar(expression) if str(s) not in discrete]
            if variable.kind != "Real" and continuous:
                raise GalenicError(
                    f"output '{variable.name}' of '{self.name}' is {variable.kind} and depends on "
                    f"'{continuous[0]}', which changes between events",
                    cure="make it Real, or let an event set a state without derivative and hand that out",
                )

    def _check_states(self) -> None:
        arrays: dict[str, set[bool]] = {}
        for state in self.states:
            variable = state.variable
            if variable.kind != "Real" and state.derivative is not None:
                raise GalenicError(f"state '{variable.name}' of '{self.name}' is {variable.kind} and has a derivative")
            if variable.array:
                arrays.setdefault(variable.array, set()).add(state.derivative is None)
        for name, kinds in arrays.items():
            if len(kinds) > 1:
                raise GalenicError(f"some elements of the state '{name}' of '{self.name}' have no derivative")

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
        start: Any,
        minimum: float | None,
        maximum: float | None,
        nominal: float | None,
        display_unit: str,
        role: Role,
        kind: Kind = "Real",
        items: Sequence[str] = (),
    ) -> list[Variable]:
        """One variable, or for a sequence of starts (numbers, or None where calculated) one per element."""
        if any(name in (v.name, v.array) for v in self.variables):
            raise GalenicError(f"variable '{name}' is declared twice in '{self.name}'")
        several = isinstance(start, list | tuple)
        starts = list(start) if several else [start]
        if not starts:
            raise GalenicError(f"array '{name}' of '{self.name}' has no elements")
        size = nominal if nominal is not None else max((abs(s) for s in starts if s), default=1.0)
        declared = []
        for i, value in enumerate(starts, start=1):
            variable = Variable(
                name=f"{name}[{i}]" if several else name,
                causality=causality,
                unit=unit,
                description=description,
                start=None if value is None else float(value),
                minimum=minimum,
                maximum=maximum,
                nominal=float(size),
                role=role,
                kind=kind,
                display_unit=display_unit,
                items=tuple(items),
                array=name if several else "",
            )
            variable.check(self.name)
            declared.append(variable)
        return declared

    @staticmethod
    def _symbols(target: list[tuple[Variable, Any]], declared: list[Variable]) -> Any:
        target.extend((v, ca.SX.sym(v.name)) for v in declared)
        return ca.vertcat(*(symbol for _, symbol in target[-len(declared) :]))

    def _equated(self, what: str, left: Any, right: Any) -> list[tuple[Any, Any]]:
        lefts, rights = _elements(left), _elements(right)
        if len(lefts) != len(rights):
            raise GalenicError(
                f"{what}() of '{self.name}' equates {len(lefts)} elements ({str(left)[:60]}) with {len(rights)}"
            )
        return list(zip(lefts, rights, strict=True))


def _numbers(start: Any) -> list[float] | None:
    """The numbers of a start value; None where it is an expression."""
    if isinstance(start, np.ndarray | ca.DM):
        return [float(s) for s in np.ravel(start)]
    if isinstance(start, int | float):
        return [float(start)]
    if isinstance(start, list | tuple) and all(isinstance(s, int | float) for s in start):
        return [float(s) for s in start]
    return None


def _elements(value: Any) -> list[Any]:
    """The elements of a number, a column or a sequence as CasADi scalars."""
    column = ca.densify(ca.vertcat(*value) if isinstance(value, list | tuple) else ca.SX(value))
    return [ca.SX(element) for element in ca.vertsplit(ca.reshape(column, -1, 1))]
