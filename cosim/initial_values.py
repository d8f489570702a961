"""Where a system starts: what drives an input at t = 0 holds already while the FMU behind it initialises.

First the disturbances, so that the first lot is also the one that fills the blender. Then the FMUs, each after those
that feed it, with its inputs taken from their outputs. An input keeps its start value where a controller drives it,
where a cycle has to be cut, and where it belongs to a stream that does not flow yet: nothing has no composition.
What goes round an algebraic loop is solved for while its FMUs are in initialization mode.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from cosim.actions import NAME as ACTIONS
from cosim.algorithms import refuse_loop
from cosim.component import FloatArray
from cosim.fixed_point import FixedPoint

if TYPE_CHECKING:
    from cosim.graph import Loop
    from cosim.system import System

_ACTED = -2
_TOLERANCE = 1e-12
_MOST = 50
#: What goes round a loop and comes back smaller than this does not come back.
_NO_GAIN = 1e-9
#: How far an input is moved to see what comes back, relative to its value, and to this where it has none.
_MOVE, _LEAST = 1e-7, 1e-3


def initialise(system: System) -> None:
    """Initialise the components of a system at t = 0, and solve what goes round algebraic loops.

    Raises:
        GalenicError: an FMU refuses, a loop has no solution, or the scenario's algorithm does not solve it.
    """
    for task in system.drawn:
        task.execute(0.0)
    ready = _Ready(system)
    for number in system.order:
        ready.gather(number)
        component = system.components[number]
        component.instantiate(0.0)
        component.get_outputs()
        ready.done(number)
    for loop in system.graph.loops:
        _solve(system, loop)
    if system.graph.loops:
        for number in system.order:
            ready.gather(number)
            system.components[number].set_inputs()
            system.components[number].get_outputs()
    for component in system.components:
        component.exit_initialization()
        component.get_outputs()


class _Ready:
    """The connections whose sources are initialised, and flow."""

    def __init__(self, system: System) -> None:
        self._system = system
        source, target = system.gather.source.tolist(), system.gather.target.tolist()
        self._fed = np.array([system.owner_of(position) for position in target], dtype=np.intp)
        acted = {position for position, name in enumerate(system.names) if name.startswith(ACTIONS + ".")}
        owners = [_ACTED if position in acted else system.owner_of(position) for position in source]
        self._feeding = np.array([-1 if owner is None else owner for owner in owners], dtype=np.intp)
        self._flow = np.array([_flow_of(system, position) for position in source], dtype=np.intp)
        self._done = [_ACTED]

    def gather(self, number: int) -> None:
        """A component's inputs, as far as they are known."""
        signals = self._system.signals
        flows = (self._flow < 0) | (signals[self._flow] != 0.0)
        rows = (self._fed == number) & np.isin(self._feeding, self._done) & flows
        self._system.gather.apply(signals, rows)

    def done(self, number: int) -> None:
        """A component has outputs."""
        self._done.append(number)


def _solve(system: System, loop: Loop) -> None:
    """The values that go round an algebraic loop, while its components are in initialization mode."""
    signals, gather = system.signals, system.gather
    inputs = {system.index[name] for name in loop.inputs}
    rows = np.array([row for row, target in enumerate(gather.target.tolist()) if target in inputs], dtype=np.intp)
    components = [component for component in system.components if component.name in loop.components]

    def returned(u: FloatArray) -> FloatArray:
        signals[gather.target[rows]] = u
        for component in components:
            component.set_inputs()
            component.get_outputs()
        return gather.values(signals, rows)

    def residual(u: FloatArray) -> FloatArray:
        return u - returned(u)

    solver = FixedPoint(_TOLERANCE, _MOST)
    begin = signals[gather.target[rows]].copy()
    solver.largest = np.abs(begin)
    gain = _gain(returned, begin)
    if gain < _NO_GAIN and not loop.declared:
        returned(begin)
        # assumed as its FMUs do not say what depends on what, but there is none: at this instant
        system.notes.setdefault("no_loop_at_start", []).append(str(loop))
        return
    if system.scenario.master.algorithm != "iterative":
        raise refuse_loop(system, loop, gain if np.isfinite(gain) else None)
    r = solver.solve(residual, begin)
    if not solver.agrees(signals[gather.target[rows]], r):
        raise system.scenario.error(
            ("connections",),
            f"the algebraic loop has no solution at t = 0 that could be found: {loop}",
            "check the loop's gains and start values",
        )


def _gain(returned: Callable[[FloatArray], FloatArray], begin: FloatArray) -> float:
    """How much larger what goes round a loop comes back at most; nan where it cannot be told.

    Differences of what comes back alone: exactly 0 where it does not depend on what went in.
    """
    here = returned(begin)
    sizes = _MOVE * np.maximum(np.maximum(np.abs(begin), np.abs(here)), _LEAST)
    columns = []
    for place, size in enumerate(sizes):
        moved = begin.copy()
        moved[place] += size
        columns.append((returned(moved) - here) / (moved[place] - begin[place]))
    around = np.column_stack(columns)
    return float(np.max(np.abs(np.linalg.eigvals(around)))) if np.isfinite(around).all() else np.nan


def _flow_of(system: System, position: int) -> int:
    """Position of the mass flow of the stream that a signal belongs to, -1 where it belongs to none."""
    number = system.owner_of(position)
    if number is None:
        return -1
    component = system.components[number].name
    parts = system.names[position].removeprefix(component + ".").split(".")[:-1]
    return system.index.get(".".join((component, *parts, "mass_flow")), -1) if parts else -1
