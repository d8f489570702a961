"""Which inputs each output depends on at the same instant, from the model structure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cosim.fmi.description import Variable

#: For each output's place the places of the inputs on which it depends.
Feedthrough = dict[int, frozenset[int]]


def feedthrough(
    outputs: Sequence[Variable], inputs: Sequence[Variable], dependencies: Mapping[str, frozenset[str] | None]
) -> Feedthrough:
    """Direct dependencies between scalars.

    An output that the model structure does not list, or lists without dependencies, depends on all inputs. Dependencies
    on states do not count: a state does not jump with an input.

    Args:
        outputs: in the order of the component's ports.
        inputs: the same.
        dependencies: of `Description`.
    """
    places: dict[str, range] = {}
    first = 0
    for variable in inputs:
        places[variable.name] = range(first, first + variable.size)
        first += variable.size
    everything = frozenset(range(first))
    found: Feedthrough = {}
    for variable in outputs:
        known = dependencies.get(variable.name)
        depends = everything if known is None else frozenset(k for name in known for k in places.get(name, ()))
        for _ in range(variable.size):
            found[len(found)] = depends
    return found
