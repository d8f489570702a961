"""Equations that differ only in an index: rows of an array that are printed as one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from fmus.documentation.graph import Graph
from fmus.documentation.markup import split_index

_FEWEST = 3


@dataclass(frozen=True)
class Run:
    """Consecutive equations of one form.

    Attributes:
        first: the equation that stands for all.
        last: the last one of them.
        indices: of the left-hand sides of these two.
        moving: names in the first equation whose index moves with that of the left-hand side.
    """

    first: int
    last: int
    indices: tuple[int, int]
    moving: frozenset[str]


def runs(graph: Graph, equations: Sequence[tuple[str, int]], is_named: Callable[[int], bool]) -> Iterator[Run]:
    """Split ``equations`` (left-hand name, right-hand node) into runs; one that stands alone is a run of one."""
    flat = [_flat(graph, name, node, is_named) for name, node in equations]
    first = 0
    while first < len(flat):
        last, moves = first, None
        while last + 1 < len(flat):
            step = _step(flat[last], flat[last + 1])
            if step is None or (moves is not None and step != moves):
                break
            moves, last = step, last + 1
        moving = _moving(flat[first], moves)
        if moving is None or last - first + 1 < _FEWEST:
            yield Run(first, first, (0, 0), frozenset())
            first += 1
        else:
            indices = (_index(equations[first][0]), _index(equations[last][0]))
            yield Run(first, last, indices, moving)
            first = last + 1


def _flat(graph: Graph, name: str, root: int, is_named: Callable[[int], bool]) -> list[str]:
    """An equation as a list of words, operations before their arguments; names have a mark."""
    words, stack = ["$" + name], [root]
    while stack:
        node = stack.pop()
        one = graph.nodes[node]
        if one.operation in {"symbol", "result"}:
            words.append("$" + one.name)
        elif is_named(node) or one.operation in {"number", "mean"}:
            words.append(f"#{node}")
        else:
            words.append(one.operation)
            stack.extend(reversed(one.arguments))
    return words


def _step(before: list[str], after: list[str]) -> list[bool] | None:
    """Which words of an equation move by one index to the next equation; None if more than that differs."""
    if len(before) != len(after):
        return None
    moved = []
    for one, other in zip(before, after, strict=True):
        if one != other and not _is_next(one, other):
            return None
        moved.append(one != other)
    return moved if moved[0] else None


def _is_next(one: str, other: str) -> bool:
    if not one.startswith("$") or not other.startswith("$"):
        return False
    a, b = split_index(one[1:]), split_index(other[1:])
    return a is not None and b is not None and a[0] == b[0] and a[1] + 1 == b[1]


def _moving(words: list[str], moves: list[bool] | None) -> frozenset[str] | None:
    """The names that move; None if one both moves and stays."""
    if moves is None:
        return None
    moving = {w[1:] for w, m in zip(words, moves, strict=True) if m}
    staying = {w[1:] for w, m in zip(words, moves, strict=True) if not m and w.startswith("$")}
    return None if moving & staying else frozenset(moving)


def _index(name: str) -> int:
    indexed = split_index(name)
    assert indexed is not None, name
    return indexed[1]
