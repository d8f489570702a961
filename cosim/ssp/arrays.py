"""Whole arrays of FMI 3.0 FMUs: our connections are between elements, SSP 2.0's between arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from cosim.fmi.description import Variable
from cosim.wiring import Link

#: The array that a signal is an element of, and which element; None for a scalar.
FindElement = Callable[[str], tuple[Variable, int] | None]


@dataclass(frozen=True)
class Joint:
    """A connection as an `.ssd` has it.

    Args:
        link: what connects two scalars; of whole arrays, that of the first elements.
        arrays: the names of the arrays that it connects, None for scalars.
    """

    link: Link
    arrays: tuple[str, str] | None


def joints(links: Iterable[Link], find: FindElement) -> list[Joint]:
    """Links of all elements of an array to those of another, each changed alike, as one."""
    groups: dict[object, list[tuple[int, int, Link]]] = {}
    for number, link in enumerate(links):
        assert link.source is not None, "only connections are written"
        source, target = find(link.source), find(link.target)
        key: object = number
        places = (0, 0)
        if source is not None and target is not None and source[0].shape == target[0].shape:
            owners = [
                signal.removesuffix(array.elements[place])
                for signal, (array, place) in ((link.source, source), (link.target, target))
            ]
            key = (*owners, source[0].name, target[0].name, link.factor, link.offset)
            places = (source[1], target[1])
        groups.setdefault(key, []).append((*places, link))
    found = []
    for group in groups.values():
        source = find(str(group[0][2].source))
        target = find(group[0][2].target)
        if (
            source is not None
            and target is not None
            and {p[:2] for p in group} == {(i, i) for i in range(source[0].size)}
        ):
            found.append(Joint(group[0][2], (source[0].name, target[0].name)))
        else:
            found += [Joint(link, None) for _, _, link in group]
    return found
