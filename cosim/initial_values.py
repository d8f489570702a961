"""Where a system starts: what drives an input at t = 0 holds already while the FMU behind it initialises.

First the disturbances, so that the first lot is also the one that fills the blender. Then the FMUs, each after those
that feed it, with its inputs taken from their outputs. An input keeps its start value where a controller drives it,
where a cycle has to be cut, and where it belongs to a stream that does not flow yet: nothing has no composition.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cosim.actions import NAME as ACTIONS

if TYPE_CHECKING:
    from cosim.system import System

_ACTED = -2


def initialise(system: System) -> None:
    """Initialise the components of a system at t = 0. Raises GalenicError where an FMU refuses."""
    for task in system.drawn:
        task.execute(0.0)
    gather, signals = system.gather, system.signals
    owner = np.full(len(signals), -1, dtype=np.intp)
    begin = 0
    for number, component in enumerate(system.components):
        end = begin + len(component.inputs) + len(component.outputs)
        owner[begin:end] = number
        begin = end
    acted = [position for position, name in enumerate(system.names) if name.startswith(ACTIONS + ".")]
    owner[acted] = _ACTED
    feeding, fed = owner[gather.source], owner[gather.target]
    flow = np.array([_flow_of(system, position) for position in gather.source.tolist()], dtype=np.intp)
    done = [_ACTED]
    for number in _order(len(system.components), set(zip(feeding.tolist(), fed.tolist(), strict=True))):
        flows = (flow < 0) | (signals[flow] != 0.0)
        ready = (fed == number) & np.isin(feeding, done) & flows
        signals[gather.target[ready]] = signals[gather.source[ready]] * gather.factor[ready] + gather.offset[ready]
        system.components[number].initialize(0.0)
        done.append(number)


def _flow_of(system: System, position: int) -> int:
    """Position of the mass flow of the stream that a signal belongs to, -1 where it belongs to none."""
    component, _, variable = system.names[position].partition(".")
    parts = variable.split(".")[:-1]
    return system.index.get(".".join((component, *parts, "mass_flow")), -1) if parts else -1


def _order(count: int, edges: set[tuple[int, int]]) -> list[int]:
    """Components 0 to count - 1, each after those that feed it; where there is a cycle, the first in the file first.

    Args:
        count: number of components.
        edges: (feeding, fed); what is below zero feeds from outside.
    """
    waiting = {n: {a for a, b in edges if b == n and a >= 0 and a != n} for n in range(count)}
    ordered: list[int] = []
    while waiting:
        # the fewest open feeds: none where there is no cycle
        number = min(waiting, key=lambda n: (len(waiting[n]), n))
        del waiting[number]
        ordered.append(number)
        for others in waiting.values():
            others.discard(number)
    return ordered
