from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import hypothesis.strategies as st
from hypothesis import given

from cosim.component import Port
from cosim.graph import DependencyGraph, dependency_graph


@dataclass
class Unit:
    name: str
    feedthrough: Mapping[int, frozenset[int]] = field(default_factory=dict)
    feedthrough_declared: bool = True
    inputs: tuple[Port, ...] = (Port("u"),)
    outputs: tuple[Port, ...] = (Port("y"),)


def direct(name: str) -> Unit:
    return Unit(name, {0: frozenset({0})})


def test_a_chain_is_ordered_from_its_source_whatever_the_order_of_the_file() -> None:
    graph = dependency_graph([direct("c"), direct("b"), direct("a")], {"b.u": "a.y", "c.u": "b.y"})
    assert graph.order == ("a", "b", "c")
    assert graph.loops == ()


def test_a_cycle_without_direct_feedthrough_is_no_algebraic_loop() -> None:
    graph = dependency_graph([Unit("a"), direct("b")], {"a.u": "b.y", "b.u": "a.y"})
    assert graph.loops == ()
    assert graph.groups == (("a", "b"),)


def test_a_cycle_of_direct_feedthrough_is_found_with_the_inputs_that_close_it() -> None:
    graph = dependency_graph([direct("a"), direct("b"), direct("c")], {"a.u": "b.y", "b.u": "a.y", "c.u": "b.y"})
    (loop,) = graph.loops
    assert loop.components == ("a", "b")
    assert set(loop.inputs) == {"a.u", "b.u"}
    assert str(loop) == "a.u -> a.y -> b.u -> b.y -> a.u"
    assert graph.groups == (("a", "b"), ("c",))


def test_a_component_that_feeds_itself_at_once_is_a_loop() -> None:
    (loop,) = dependency_graph([direct("a")], {"a.u": "a.y"}).loops
    assert loop.inputs == ("a.u",)


def test_a_lagged_connection_closes_no_loop() -> None:
    links = {"a.u": "b.y", "b.u": "a.y"}
    assert dependency_graph([direct("a"), direct("b")], links, lagged=["a.u"]).loops == ()


def test_within_a_cycle_what_depends_at_once_comes_later() -> None:
    graph = dependency_graph([direct("follower"), Unit("state")], {"follower.u": "state.y", "state.u": "follower.y"})
    assert graph.order == ("state", "follower")


def test_a_loop_is_certain_only_if_all_on_it_declare_their_dependencies() -> None:
    silent = Unit("b", {0: frozenset({0})}, feedthrough_declared=False)
    (loop,) = dependency_graph([direct("a"), silent], {"a.u": "b.y", "b.u": "a.y"}).loops
    assert not loop.declared


@given(
    st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=20),
    st.lists(st.booleans(), min_size=8, max_size=8),
)
def test_sources_come_first_wherever_there_is_no_cycle(edges: list[tuple[int, int]], through: list[bool]) -> None:
    units = [
        Unit(f"n{i}", {0: frozenset(range(8))} if through[i] else {}, inputs=tuple(Port(f"u{j}") for j in range(8)))
        for i in range(8)
    ]
    links = {f"n{b}.u{a}": f"n{a}.y" for a, b in edges}
    graph: DependencyGraph = dependency_graph(units, links)
    assert sorted(graph.order) == [u.name for u in units]
    group = {name: place for place, names in enumerate(graph.groups) for name in names}
    for a, b in edges:
        assert group[f"n{a}"] <= group[f"n{b}"]
    for loop in graph.loops:
        assert loop.inputs
        assert all(through[int(name[1:])] for name in loop.components)


def test_ports_of_nested_names_are_told_apart() -> None:
    graph = dependency_graph(
        [direct("cell"), direct("cell.mixer")], {"cell.u": "cell.mixer.y", "cell.mixer.u": "cell.y"}
    )
    (loop,) = graph.loops
    assert loop.components == ("cell", "cell.mixer")
