"""What a value reference means: the slots of an instance's array of values, in order.

Inputs, parameters, states, unknowns, outputs as `UnitModel.variables` has them, then the derivatives of the continuous
states, the event indicators, and time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import groupby

from fmus.errors import GalenicError
from fmus.model import Kind, UnitModel, Variable
from fmus.quantity import rate_unit

BEFORE_THE_RUN, AT_EVENTS, IN_CONTINUOUS_TIME = 1, 2, 4


@dataclass(frozen=True)
class Slot:
    """One value of an instance; its place in the list is its value reference.

    Attributes:
        name: as in FMI 2.0; an element of an array is ``array[i]``.
        causality: FMI's; ``independent`` for time.
        variability: FMI's.
        initial: FMI's; empty where the standard wants none.
        unit: of the value.
        description: one phrase.
        start: 0 where calculated.
        minimum: -inf where there is none.
        maximum: inf where there is none.
        kind: the type.
        settable: when it may be set, a sum of BEFORE_THE_RUN, AT_EVENTS, IN_CONTINUOUS_TIME.
        width: in FMI 3.0 the number of values of this reference; 0 inside an array.
        array: the array's name; empty for a scalar.
        variable: what was declared; None for derivatives, event indicators and time.
        derivative_of: the value reference of the state, for a derivative.
    """

    name: str
    causality: str
    variability: str
    initial: str
    unit: str
    description: str
    start: float = 0.0
    minimum: float = -math.inf
    maximum: float = math.inf
    kind: Kind = "Real"
    settable: int = 0
    width: int = 1
    array: str = ""
    variable: Variable | None = None
    derivative_of: int | None = None


def variable_slots(model: UnitModel) -> list[Slot]:
    """All slots of ``model`` in the order of their value references.

    Raises:
        GalenicError: a variable has a name that the standard's own variables need.
    """
    exact = {s.variable.name for s in model.states if s.initial is None}
    discrete = {s.variable.name for s in model.states if s.derivative is None}
    declared = [_declared(v, exact, discrete) for v in model.variables]
    reference = {s.name: i for i, s in enumerate(declared)}
    derivatives = []
    for state in model.continuous_states:
        v = state.variable
        derivatives.append(
            Slot(
                f"der({v.name})",
                "local",
                "continuous",
                "calculated",
                rate_unit(v.unit),
                f"rate of change: {v.description}",
                array=f"der({v.array})" if v.array else "",
                derivative_of=reference[v.name],
            )
        )
    indicators = [
        Slot(
            f"event_indicator[{i}]",
            "local",
            "continuous",
            "calculated",
            "1",
            f"falls below zero when it happens: {event.name}",
        )
        for i, event in enumerate(model.events, start=1)
    ]
    time = Slot("time", "independent", "continuous", "", "s", "time")
    slots = _with_widths([*declared, *derivatives, *indicators, time])
    for name in ("time", "event_indicator"):
        if any(name in (v.name, v.array) for v in model.variables):
            raise GalenicError(
                f"'{model.name}' declares a variable '{name}'", cure="the FMU has one of its own; rename"
            )
    return slots


def _declared(variable: Variable, exact: set[str], discrete: set[str]) -> Slot:
    continuous = variable.kind == "Real" and variable.name not in discrete
    variability = "continuous" if continuous else "discrete"
    initial, settable = "calculated", 0
    if variable.causality == "input":
        initial, settable = "", BEFORE_THE_RUN | AT_EVENTS | (IN_CONTINUOUS_TIME if continuous else 0)
    elif variable.causality == "parameter":
        variability = "tunable" if variable.tunable else "fixed"
        initial, settable = "exact", BEFORE_THE_RUN | (AT_EVENTS if variable.tunable else 0)
    elif variable.name in exact:
        initial, settable = "exact", BEFORE_THE_RUN
    return Slot(
        name=variable.name,
        causality=variable.causality,
        variability=variability,
        initial=initial,
        unit=variable.unit,
        description=variable.description,
        start=variable.start or 0.0,
        minimum=-math.inf if variable.minimum is None else variable.minimum,
        maximum=math.inf if variable.maximum is None else variable.maximum,
        kind=variable.kind,
        settable=settable,
        array=variable.array,
        variable=variable,
    )


def _with_widths(slots: list[Slot]) -> list[Slot]:
    placed: list[Slot] = []
    for array, members in groupby(slots, key=lambda s: s.array):
        group = list(members)
        if not array:
            placed.extend(group)
            continue
        placed.append(replace(group[0], width=len(group)))
        placed.extend(replace(s, width=0) for s in group[1:])
    return placed
