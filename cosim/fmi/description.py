"""What a model description says, normalised across FMI 2.0 and 3.0.

An array is one `Variable` with a shape; the shape follows from structural parameters, which may be given values.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product
from typing import Any, Literal

from cosim.fmi.units import named, unit_names
from fmus.errors import GalenicError

Interface = Literal["co_simulation", "model_exchange"]
#: A parameter or start value as a scenario gives it; that of a Binary variable is text in hexadecimal digits.
Value = float | str

CO_SIMULATION: Interface = "co_simulation"
MODEL_EXCHANGE: Interface = "model_exchange"
TAGS: dict[Interface, str] = {CO_SIMULATION: "CoSimulation", MODEL_EXCHANGE: "ModelExchange"}
INTERFACE_NAMES: dict[Interface, str] = {CO_SIMULATION: "Co-Simulation", MODEL_EXCHANGE: "Model Exchange"}

#: FMI 2.0's types under the names of FMI 3.0's, where those differ
_TYPES = {"Real": "Float64", "Integer": "Int32"}
REALS = frozenset({"Float64", "Float32"})
#: types without a number
_TEXTS = frozenset({"String", "Binary"})
_MOST_ELEMENTS = 10_000_000


@dataclass(frozen=True)
class Variable:
    """A variable of an FMU.

    Args:
        name: its name, without indices.
        reference: its value reference.
        type: FMI 3.0's name of its type.
        causality: as described; ``structuralParameter`` gives the size of arrays.
        variability: as described, or the standard's default.
        initial: as described, or the standard's default.
        unit: its unit, ``"1"`` if it has none.
        description: one line for people.
        start: its elements' start values, row by row, or None.
        low: least value, or None.
        high: greatest value, or None.
        nominal: its order of magnitude.
        shape: () of a scalar.
        clocked: whether it exists only when a clock ticks.
        alias: whether it is another name of a variable that is described elsewhere.
    """

    name: str
    reference: int
    type: str
    causality: str
    variability: str
    initial: str | None
    unit: str
    description: str
    start: tuple[Value, ...] | None
    low: float | None
    high: float | None
    nominal: float
    shape: tuple[int, ...]
    clocked: bool
    alias: bool

    @property
    def size(self) -> int:
        """How many scalars it has."""
        return math.prod(self.shape)

    @property
    def numeric(self) -> bool:
        """Whether its values are numbers or truth values, which can be connected."""
        return self.type not in _TEXTS and self.type != "Clock"

    @property
    def discrete(self) -> bool:
        """Whether it changes at events only."""
        return self.variability != "continuous"

    @cached_property
    def elements(self) -> tuple[str, ...]:
        """The names of its scalars: ``x``, or ``x[1]``, ``x[2,3]`` row by row."""
        if not self.shape:
            return (self.name,)
        places = product(*(range(1, length + 1) for length in self.shape))
        return tuple(f"{self.name}[{','.join(map(str, place))}]" for place in places)

    @property
    def settable(self) -> bool:
        """Whether a start value may be given to it."""
        if self.variability == "constant" or self.type == "Clock" or (self.alias and self.causality == "input"):
            return False
        given = {"input", "parameter", "structuralParameter"}
        return self.causality in given or self.initial in {"exact", "approx"}


@dataclass(frozen=True)
class Capabilities:
    """What an interface of an FMU says that it can do.

    Args:
        save_state: take and restore its state.
        serialize_state: turn a state into bytes and back.
        directional_derivative: differentiate.
        once_per_process: it allows one instance in a process.
        variable_step: it takes communication steps of any size.
        event_mode: it lets the master handle its events (FMI 3.0 Co-Simulation).
    """

    save_state: bool = False
    serialize_state: bool = False
    directional_derivative: bool = False
    once_per_process: bool = False
    variable_step: bool = True
    event_mode: bool = False


@dataclass(frozen=True)
class Description:
    """One interface of an FMU, with the sizes that its structural parameters give.

    Args:
        version: 2 or 3.
        interface: which one.
        identifier: the binary's name without suffix.
        token: what `instantiate` has to be told.
        variables: by name, in the order of the file.
        can: its capabilities.
        states: number of continuous states.
        indicators: number of event indicators.
        dependencies: for each output with an entry in the model structure, by name, the names of the variables on
            which it depends directly; None: on all.
        tolerance: that of the default experiment, or None.
    """

    version: int
    interface: Interface
    identifier: str
    token: str
    variables: dict[str, Variable]
    can: Capabilities
    states: int = 0
    indicators: int = 0
    dependencies: Mapping[str, frozenset[str] | None] = field(default_factory=dict)
    tolerance: float | None = None

    @cached_property
    def places(self) -> dict[str, tuple[Variable, int]]:
        """For each scalar's name its variable and its place in it."""
        return {name: (v, k) for v in self.variables.values() for k, name in enumerate(v.elements)}


def interfaces(described: Any) -> dict[Interface, Any]:
    """FMPy's description of each interface that can be a component, the preferred one first."""
    offered: dict[Interface, Any] = {CO_SIMULATION: described.coSimulation, MODEL_EXCHANGE: described.modelExchange}
    return {name: said for name, said in offered.items() if said is not None}


def major_version(described: Any) -> int:
    """2 or 3; 0 for a version that cannot run here."""
    version = str(described.fmiVersion)
    return 3 if version.startswith("3.") else 2 if version == "2.0" else 0


def describe(
    described: Any,
    attributes: Mapping[str, Mapping[str, str]],
    interface: Interface | None = None,
    values: Mapping[str, Value] | None = None,
) -> Description:
    """Normalise FMPy's model description.

    Args:
        described: FMPy's model description.
        attributes: those of the elements ``CoSimulation`` and ``ModelExchange``, of which FMPy drops some.
        interface: the interface to use; None: Co-Simulation if there, else Model Exchange.
        values: parameters that are to be set; structural ones change the sizes of arrays.

    Raises:
        GalenicError: the interface is not there, or an array would be too large.
    """
    offered = interfaces(described)
    if not offered or (interface is not None and interface not in offered):
        wanted = " or ".join(INTERFACE_NAMES.values()) if interface is None else INTERFACE_NAMES[interface]
        there = " and ".join(INTERFACE_NAMES[name] for name in offered) or "none that can run here"
        raise GalenicError(f"the FMU has no {wanted} interface", cure=f"it has {there}")
    chosen: Interface = next(iter(offered)) if interface is None else interface
    sizes = _sizes(described, values or {})
    units = unit_names(described)
    variables = {v.name: _variable(v, sizes, units) for v in described.modelVariables}
    total = sum(v.size for v in variables.values())
    if total > _MOST_ELEMENTS:
        raise GalenicError(f"its arrays have {total} elements", cure="choose smaller structural parameters")
    return Description(
        version=major_version(described),
        interface=chosen,
        identifier=str(offered[chosen].modelIdentifier),
        token=str(described.instantiationToken),
        variables=variables,
        can=_capabilities(attributes.get(TAGS[chosen], {}), chosen),
        states=sum(variables[u.variable.name].size for u in described.derivatives),
        indicators=_indicators(described, variables),
        dependencies=_dependencies(described.outputs),
        tolerance=_number(getattr(described.defaultExperiment, "tolerance", None)),
    )


def _indicators(described: Any, variables: dict[str, Variable]) -> int:
    if described.eventIndicators:  # FMI 3.0 lists them, and arrays count by their elements
        return sum(variables[u.variable.name].size for u in described.eventIndicators)
    return int(described.numberOfEventIndicators)


def _sizes(described: Any, values: Mapping[str, Value]) -> dict[int, int]:
    """The structural parameters' values, by value reference."""
    found: dict[int, int] = {}
    for variable in described.modelVariables:
        if variable.causality != "structuralParameter":
            continue
        value = values.get(variable.name, _number(variable.start))
        if not isinstance(value, int | float) or value != round(value) or value < 0:
            raise GalenicError(
                f"the structural parameter '{variable.name}' cannot be {value}", cure="give a whole number, 0 or more"
            )
        found[int(variable.valueReference)] = round(value)
    return found


def _variable(variable: Any, sizes: Mapping[int, int], units: Mapping[str, str]) -> Variable:
    declared = variable.declaredType
    kind = _TYPES.get(variable.type, variable.type)
    shape = tuple(d.start if d.start is not None else sizes.get(d.valueReference, 0) for d in variable.dimensions)
    if any(length < 0 for length in shape) or math.prod(shape) > _MOST_ELEMENTS:
        raise GalenicError(
            f"the array '{variable.name}' has {' x '.join(map(str, shape))} elements", cure="choose other sizes"
        )

    def bound(name: str) -> float | None:
        own = getattr(variable, name, None)
        return _number(own if own is not None else getattr(declared, name, None))

    made = Variable(
        name=variable.name,
        reference=int(variable.valueReference),
        type=kind,
        causality=variable.causality or "local",
        variability=variable.variability or ("continuous" if kind in REALS else "discrete"),
        initial=variable.initial,
        unit=named(variable.unit or getattr(declared, "unit", None), units),
        description=variable.description or "",
        start=None,
        low=bound("min"),
        high=bound("max"),
        nominal=abs(bound("nominal") or 1.0),
        shape=shape,
        clocked=bool(variable.clocks),
        alias=variable.alias is not None,
    )
    return replace(made, start=_start(variable.start, made))


def _start(text: Any, variable: Variable) -> tuple[Value, ...] | None:
    if text is None or variable.type == "Clock":
        return None
    if variable.type in _TEXTS:
        if variable.shape:  # FMPy keeps one text of an array
            return None
        return (str(text),)
    numbers = [number for word in str(text).split() if (number := _number(word)) is not None]
    if len(numbers) == 1 and variable.size > 1:
        return tuple(numbers * variable.size)
    return tuple(numbers) if len(numbers) == variable.size else None


def _number(text: Any) -> float | None:
    if text in {"true", "false"}:
        return float(text == "true")
    try:
        return float(text)
    except (TypeError, ValueError):
        return None


def _capabilities(said: Mapping[str, str], interface: Interface) -> Capabilities:
    def claims(*names: str) -> bool:
        return any(said.get(name) in {"true", "1"} for name in names)

    return Capabilities(
        save_state=claims("canGetAndSetFMUstate", "canGetAndSetFMUState"),
        serialize_state=claims("canSerializeFMUstate", "canSerializeFMUState"),
        directional_derivative=claims("providesDirectionalDerivative", "providesDirectionalDerivatives"),
        once_per_process=claims("canBeInstantiatedOnlyOncePerProcess"),
        variable_step=interface == MODEL_EXCHANGE or claims("canHandleVariableCommunicationStepSize"),
        event_mode=claims("hasEventMode"),
    )


def _dependencies(unknowns: Any) -> dict[str, frozenset[str] | None]:
    found: dict[str, frozenset[str] | None] = {}
    for unknown in unknowns:
        known = unknown.dependencies
        found[unknown.variable.name] = None if known is None else frozenset(v.name for v in known)
    return found
