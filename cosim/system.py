"""A system: components, their signals in one vector, and the connections as index arrays.

Each component's inputs and outputs are contiguous in the vector, FMUs first. An FMU works directly on its part of
it, so moving values between components is one gather: ``signals[target] = factor * signals[source] + offset``.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from cosim.component import (
    Controller,
    FloatArray,
    KeyPath,
    Port,
    SampledComponent,
)
from cosim.graph import DependencyGraph
from cosim.isolation.isolated import PlantComponent
from cosim.scenario import Scenario
from fmus.errors import nearest

#: Some connections, by their place in a gather.
Rows = slice | npt.NDArray[np.intp] | npt.NDArray[np.bool_]
ALL = slice(None)


@dataclass(frozen=True)
class Gather:
    """``signals[target] = factor * signals[source] + offset``, all of shape (n,)."""

    source: npt.NDArray[np.intp]
    target: npt.NDArray[np.intp]
    factor: FloatArray
    offset: FloatArray

    @property
    def converts(self) -> bool:
        """Whether any value changes on its way."""
        return bool(np.any(self.factor != 1.0) or np.any(self.offset != 0.0))

    def convert(self, values: FloatArray, rows: Rows = ALL) -> FloatArray:
        """What the targets of some connections get when their sources have these values."""
        converted: FloatArray = values * self.factor[rows] + self.offset[rows]
        return converted

    def values(self, signals: FloatArray, rows: Rows = ALL) -> FloatArray:
        """What the targets of some connections get from the signals as they are."""
        return self.convert(signals[self.source[rows]], rows)

    def apply(self, signals: FloatArray, rows: Rows = ALL) -> None:
        """Give it to them."""
        signals[self.target[rows]] = self.values(signals, rows)


@dataclass(frozen=True)
class Task:
    """A sampled component in the system: executed in every ``every``-th communication step.

    Args:
        every: how often.
        execute: told the time in s.
        name: for people.
        component: what is executed: a disturbance, the actions, a sensor or a controller.
        slot: position of the one signal that it writes, where ``values`` knows what.
        values: its values for communication steps ahead: (first, count) -> shape (count,); None where they depend on
            what happens. It gives the numbers that ``execute`` would write.
    """

    every: int
    execute: Callable[[float], None]
    name: str
    component: Any
    slot: int = -1
    values: Callable[[int, int], FloatArray] | None = None


@dataclass
class System:
    """A checked system, ready to be initialised and stepped.

    Args:
        names: all signals, ``component.port``, in the order of the vector.
        ports: the port of each signal.
        signals: the vector, shape (len(names),), each value in its port's unit.
        components: what is stepped over every communication step.
        tasks: what is executed before, in order: disturbances, sensors, controllers.
        drawn: what holds at t = 0 already while the components initialise: disturbances, and actions from the start.
        gather: the connections into the components' inputs.
        gathers: all connections: ``gather``, and those of each sampled component.
        physical: number of signals at the head of the vector that belong to components.
        drivers: for each driven input the signal that drives it; None for a disturbance.
        sampled: sensors and controllers, in the order in which they are executed.
        controllers: by name.
        removed: controllers of the scenario that this system was built without.
        notes: what the run's record tells beside, for JSON; what is added while it runs is in it at the end.
        every: for each component how many communication steps one of its own takes.
        graph: the components' order and the algebraic loops.
        spans: for each component where its inputs begin, its outputs begin, and its outputs end in the vector.
        row_spans: for each component the range of its connections in ``gather``.
        groups: numbers of the components in the order of the graph; a group of several forms a cycle.
        order: numbers of the components, sources before what depends on them.
    """

    scenario: Scenario
    seed: int
    names: list[str]
    ports: dict[str, Port]
    signals: FloatArray
    components: list[PlantComponent]
    tasks: list[Task]
    drawn: list[Task]
    gather: Gather
    gathers: list[Gather]
    physical: int
    drivers: dict[str, str | None]
    sampled: list[SampledComponent]
    controllers: dict[str, Controller]
    removed: frozenset[str]
    notes: dict[str, Any]
    every: list[int]
    graph: DependencyGraph
    index: dict[str, int] = field(init=False)  # position of each signal in the vector
    spans: list[tuple[int, int, int]] = field(init=False)
    row_spans: list[tuple[int, int]] = field(init=False)
    groups: list[tuple[int, ...]] = field(init=False)
    order: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.index = {name: position for position, name in enumerate(self.names)}
        self.spans, begin = [], 0
        for component in self.components:
            middle = begin + len(component.inputs)
            self.spans.append((begin, middle, middle + len(component.outputs)))
            begin = self.spans[-1][-1]
        targets = self.gather.target
        # rows stand in the order of the components
        self.row_spans = [
            (int(np.searchsorted(targets, begin)), int(np.searchsorted(targets, middle)))
            for begin, middle, _end in self.spans
        ]
        numbers = {component.name: number for number, component in enumerate(self.components)}
        self.groups = [tuple(numbers[name] for name in group) for group in self.graph.groups]
        self.order = [number for group in self.groups for number in group]
        self._ends = np.array([end for _begin, _middle, end in self.spans], dtype=np.int64)
        self._rows = {
            self.names[target]: (gather, row, (source, float(gather.factor[row]), float(gather.offset[row])))
            for gather in self.gathers
            for row, (source, target) in enumerate(zip(gather.source.tolist(), gather.target.tolist(), strict=True))
        }

    @property
    def step_size(self) -> float:
        """The communication step in s."""
        return self.scenario.communication_step

    def owner_of(self, position: int) -> int | None:
        """The number of the FMU that a signal belongs to; None where it belongs to a sensor or controller."""
        return int(np.searchsorted(self._ends, position, side="right")) if position < self.physical else None

    def check_finite(self, number: int, t: float) -> None:
        """Raise GalenicError where an output of a component is no number at ``t``."""
        _begin, middle, end = self.spans[number]
        if not np.isfinite(self.signals[middle:end]).all():
            self.raise_not_finite(number, t)

    def raise_not_finite(self, number: int, t: float) -> NoReturn:
        """Raise the error that names the first output of a component that is no number at ``t``."""
        _begin, middle, end = self.spans[number]
        position = middle + int(np.flatnonzero(~np.isfinite(self.signals[middle:end]))[0])
        raise self.scenario.error(
            ("components", self.components[number].name),
            f"'{self.names[position]}' became {self.signals[position]} in the step to t = {t:.6g} s",
            "look at the component's inputs and parameters; the results up to the step before are kept",
        )

    def redirect(self, target: str, source: str | None) -> None:
        """Let a driven input take its value from another signal of its unit; None: from its own driver again.

        The arrays of the gather change in place, so that a loop that holds them need not know.
        """
        gather, row, own = self._rows[target]
        gather.source[row], gather.factor[row], gather.offset[row] = (
            own if source is None else (self.index[source], 1.0, 0.0)
        )

    def select(self, patterns: Sequence[str], path: KeyPath = ()) -> list[str]:
        """The signals that match names or patterns such as ``press.*``, in the vector's order.

        Raises:
            GalenicError: a pattern matches nothing.
        """
        wanted: set[str] = set()
        for position, pattern in enumerate(patterns):
            # the brackets of an array's element stand for themselves
            literal = pattern.replace("[", "[[]")
            found = [name for name in self.names if fnmatch.fnmatchcase(name, literal)]
            if not found and pattern.partition(".")[0] not in self.removed:
                raise self.scenario.error(
                    (*path, position), f"no signal matches '{pattern}'", nearest(pattern, self.names)
                )
            wanted.update(found)
        return [name for name in self.names if name in wanted]
