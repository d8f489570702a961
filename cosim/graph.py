"""What depends on what within an instant: the order of components, and the algebraic loops among them.

Signals are nodes. A link leads from an output to the input that it drives; within a component an input leads to every
output that depends on it directly (ModelStructure). A cycle in that graph is an algebraic loop: its values have to be
found together, not one after the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from cosim.component import Ported


class Coupled(Ported, Protocol):
    """What the graph needs to know of a component."""

    @property
    def feedthrough(self) -> Mapping[int, frozenset[int]]:
        """For each output the inputs that it depends on directly, both as positions."""

    @property
    def feedthrough_declared(self) -> bool:
        """False where the component's description says nothing and all is assumed to depend on all."""


@dataclass(frozen=True)
class Loop:
    """An algebraic loop.

    Args:
        signals: all signals on it, inputs and outputs.
        inputs: the driven inputs on it: the loop is closed where these have the values that their sources give.
        components: names of the components on it, in the order of the system.
        declared: whether every component on it declares its dependencies; otherwise the loop may be apparent only.
        cycle: one way round, signal by signal, for messages.
    """

    signals: frozenset[str]
    inputs: tuple[str, ...]
    components: tuple[str, ...]
    declared: bool
    cycle: tuple[str, ...]

    def __str__(self) -> str:
        return " -> ".join((*self.cycle, self.cycle[0]))


@dataclass(frozen=True)
class DependencyGraph:
    """The components in an order in which sources come before what depends on them, and the algebraic loops.

    Args:
        groups: component names; a group of several is what a loop ties together.
        loops: the algebraic loops.
        lagged: inputs that take values one step old on purpose.
    """

    groups: tuple[tuple[str, ...], ...]
    loops: tuple[Loop, ...]
    lagged: frozenset[str] = frozenset()

    @property
    def order(self) -> tuple[str, ...]:
        """All components, one after the other."""
        return tuple(name for group in self.groups for name in group)


def dependency_graph(
    components: Sequence[Coupled], links: Mapping[str, str], lagged: Iterable[str] = ()
) -> DependencyGraph:
    """Order the components and find the loops.

    Args:
        components: the system's components.
        links: for each driven input the signal that drives it; those driven by other things are ignored.
        lagged: inputs that take values one step old on purpose, and so close no loop.
    """
    late = frozenset(lagged)
    nodes = {f"{c.name}.{p.name}": None for c in components for p in (*c.inputs, *c.outputs)}
    owner = {f"{c.name}.{p.name}": c.name for c in components for p in (*c.inputs, *c.outputs)}
    through: dict[str, list[str]] = {name: [] for name in nodes}
    for c in components:
        for position, port in enumerate(c.outputs):
            for entry in c.feedthrough.get(position, frozenset()):
                through[f"{c.name}.{c.inputs[entry].name}"].append(f"{c.name}.{port.name}")
    driven = {target: source for target, source in links.items() if source in nodes and target in nodes}
    edges = [(a, b) for a, outs in through.items() for b in outs]
    edges += [(source, target) for target, source in driven.items() if target not in late]
    loops = tuple(_loop(components, owner, found, edges, driven) for found in _cycles(list(nodes), edges))
    # a component waits for what its outputs depend on at once; other sources it follows where it can
    hard = {(owner[s], owner[t]) for t, s in driven.items() if t not in late and through[t] and owner[s] != owner[t]}
    soft = {(owner[s], owner[t]) for t, s in driven.items() if t not in late and owner[s] != owner[t]}
    return DependencyGraph(_ordered([c.name for c in components], hard, soft), loops, late)


def _cycles(nodes: Sequence[str], edges: Sequence[tuple[str, str]]) -> list[frozenset[str]]:
    """The strongly connected parts that contain a cycle."""
    if not edges:
        return []
    index = {name: i for i, name in enumerate(nodes)}
    rows = np.array([index[a] for a, _ in edges])
    columns = np.array([index[b] for _, b in edges])
    parts = _parts(len(nodes), rows, columns)
    found: dict[int, list[str]] = {}
    for name, part in zip(nodes, parts.tolist(), strict=True):
        found.setdefault(part, []).append(name)
    alone = {a for a, b in edges if a == b}
    return [frozenset(names) for names in found.values() if len(names) > 1 or names[0] in alone]


def _parts(count: int, rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp]) -> npt.NDArray[np.int32]:
    matrix = csr_array((np.ones(len(rows)), (rows, columns)), shape=(count, count))
    _, parts = connected_components(matrix, directed=True, connection="strong")
    return np.asarray(parts, dtype=np.int32)


def _loop(
    components: Sequence[Coupled],
    owner: Mapping[str, str],
    signals: frozenset[str],
    edges: Sequence[tuple[str, str]],
    driven: Mapping[str, str],
) -> Loop:
    owners = {owner[signal] for signal in signals}
    on_it = tuple(c.name for c in components if c.name in owners)
    inputs = tuple(t for t in driven if t in signals and driven[t] in signals)
    declared = all(c.feedthrough_declared for c in components if c.name in on_it)
    return Loop(signals, inputs, on_it, declared, _one_way_round(signals, edges))


def _one_way_round(signals: frozenset[str], edges: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """The shortest cycle through the first signal, found breadth first."""
    after: dict[str, list[str]] = {}
    for a, b in edges:
        if a in signals and b in signals:
            after.setdefault(a, []).append(b)
    start = min(signals)
    came: dict[str, str] = {}
    front = [start]
    while front:
        following = []
        for name in front:
            for successor in after.get(name, ()):
                if successor == start:
                    path = [name]
                    while path[-1] != start:
                        path.append(came[path[-1]])
                    return tuple(reversed(path))
                if successor not in came:
                    came[successor] = name
                    following.append(successor)
        front = following
    raise AssertionError("a strongly connected part has a cycle through each of its nodes")


def _ordered(
    names: Sequence[str], hard: set[tuple[str, str]], soft: set[tuple[str, str]]
) -> tuple[tuple[str, ...], ...]:
    """Cycles as groups, in topological order; within a group first what the hard edges ask for."""
    groups = _topological(names, soft, soft)
    ordered = []
    for group in groups:
        within = {(a, b) for a, b in hard if a in group and b in group}
        around = {(a, b) for a, b in soft if a in group and b in group}
        ordered.append(tuple(name for part in _topological(group, within, around) for name in part))
    return tuple(ordered)


def _topological(
    names: Sequence[str], edges: set[tuple[str, str]], wishes: set[tuple[str, str]]
) -> list[tuple[str, ...]]:
    """Groups that the edges tie together, in topological order; of those that are free, which waits for fewest."""
    index = {name: i for i, name in enumerate(names)}
    rows = np.array([index[a] for a, _ in edges], dtype=np.intp)
    columns = np.array([index[b] for _, b in edges], dtype=np.intp)
    parts = _parts(len(names), rows, columns).tolist() if edges else list(range(len(names)))
    of = dict(zip(names, parts, strict=True))
    groups: dict[int, list[str]] = {}
    for name in names:
        groups.setdefault(of[name], []).append(name)
    waiting = {part: {of[a] for a, b in edges if of[b] == part and of[a] != part} for part in groups}
    open_wishes = {part: {of[a] for a, b in wishes if of[b] == part and of[a] != part} for part in groups}
    done: set[int] = set()
    order = []
    while len(done) < len(groups):
        free = [part for part in groups if part not in done and waiting[part] <= done]
        # of equals the first in the file
        chosen = min(free, key=lambda part: (len(open_wishes[part] - done), index[groups[part][0]]))
        done.add(chosen)
        order.append(tuple(groups[chosen]))
    return order
