"""What the probes share: making instances, moving their inputs, comparing runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from fmus.check.cosimulation import CoSimulation
from fmus.check.instance import Instance
from fmus.check.job import MODEL_EXCHANGE, Value, Variable, elements
from fmus.check.library import DISCARD, ERROR, OK, FmuError, Library

#: failures, warnings, and what is fine
Found = tuple[list[str], list[str], str]
Probe = Callable[[Library], Found]
STEPS = 3
T = TypeVar("T")


def instance(library: Library, name: str = "checked", token: str | None = None, **options: Any) -> Instance:
    """A new instance of the interface that is checked."""
    if library.job.interface == MODEL_EXCHANGE:
        from fmus.check.model_exchange import ModelExchange  # with numpy, which takes half of a check's time to load

        return ModelExchange(library, name, token, **options)
    return CoSimulation(library, name, token, **options)


def fresh(library: Library) -> list[list[Value]]:
    """Some steps of a new instance."""
    one = instance(library).start()
    rows = one.run(STEPS, library.job.observed())
    one.free()
    return rows


def heals(one: Instance, expected: list[list[Value]]) -> bool:
    """Whether it does after a reset what a new instance does."""
    observed = one.job.observed()
    return one.reset() <= OK and not difference(observed, expected, one.start().run(STEPS, observed))


def moved(variable: Variable, value: Value) -> Value:
    """A value near ``value`` in every element."""
    return tuple(variable.moved(x) for x in value)


def spread(items: list[T], most: int = 20) -> list[T]:
    """All, or so many of them, over the whole list."""
    return items[:: -(-len(items) // most)] if items else []


def off_bounds(variable: Variable, value: Value) -> Value:
    """The value with elements that lie on a bound moved inside: there a model may have a kink."""
    return tuple(variable.moved(x, 0.02) if x in {variable.low, variable.high} else x for x in value)


def started_off_bounds(library: Library, inputs: list[Variable]) -> Instance:
    """A started instance none of whose inputs is on a bound, if the FMU takes that."""
    one = instance(library).start()
    for variable, value in zip(inputs, one.get(inputs), strict=True):
        if (inside := off_bounds(variable, value)) != value and one.set(variable, inside) >= DISCARD:
            raise FmuError(f"'{variable.name}' cannot be set to {inside}{library.said()}")
    return one


def move_inputs(one: Instance) -> int:
    """Move the Real inputs a little; how many the FMU took."""
    taken = 0
    inputs = one.job.of("input", reals=True)
    for variable, value in zip(inputs, one.get(inputs), strict=True):
        if (target := moved(variable, value)) != value:
            taken += one.set(variable, target) < ERROR
    return taken


def disturb(one: Instance) -> int:
    """Steps with moved inputs; an error in them is no matter where the state is set back."""
    taken = 0
    try:
        taken = move_inputs(one)
        for _ in range(2):
            one.step()
    except FmuError as failure:
        if not failure.refused:
            raise
    return taken


def infinite(variables: list[Variable], values: list[Value]) -> list[str]:
    """The names of what is not finite."""
    return [name for name, x in elements(variables, values) if isinstance(x, float) and not math.isfinite(x)]


def difference(variables: Sequence[Variable], expected: list[list[Value]], found: list[list[Value]]) -> str:
    """Where two runs first differ by as much as a bit."""
    for number, (row, other) in enumerate(zip(expected, found, strict=False), 1):
        for variable, a, b in zip(variables, row, other, strict=True):
            for place, (x, y) in enumerate(zip(a, b, strict=True)):
                if x != y and not (x != x and y != y):  # two NaN are the same here
                    step = f" after step {number}" if len(expected) > 1 else ""
                    return f"'{variable.element(place)}' is {y!r} instead of {x!r}{step}"
    if len(expected) != len(found):
        return f"it ends after {len(found)} steps instead of {len(expected)}"
    return ""


def some(names: Sequence[str], quote: str = "'") -> str:
    """The first names, and how many more there are."""
    return ", ".join(f"{quote}{n}{quote}" for n in names[:3]) + (
        f" and {len(names) - 3} more" if len(names) > 3 else ""
    )
