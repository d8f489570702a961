"""Which subexpressions get a name of their own, so that every formula stays readable.

What occurs more than once and is not tiny is named, and so is what makes a formula too wide for a page. Because of
that, what is printed grows with the graph and not with the tree that it unfolds to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fmus.documentation.graph import CONDITIONS, LEAVES, Graph

#: in characters; a wider formula is split
WIDEST = 78
_SHARED_OPERATIONS = 3
_SHARED_CONDITION = 8
_AUXILIARY_WIDTH = 2
_SUMS = frozenset({"add", "sub", "neg"})


class Naming:
    """Decides which nodes are printed by a name where they occur in a formula.

    Args:
        graph: all nodes.
        roots: the right-hand sides of the equations.
        titles: nodes that have a name already: right-hand sides of outputs.

    Attributes:
        named: those nodes.
        width: about how many characters wide each node is when printed.
    """

    def __init__(self, graph: Graph, roots: Sequence[int], titles: Mapping[int, str]) -> None:
        self.graph = graph
        self.titles = titles
        self.roots = set(roots)
        self.named: set[int] = set()
        self.operations: dict[int, int] = {}
        self.width: dict[int, int] = {}
        order = graph.reachable(roots)
        self.parents: dict[int, list[int]] = {n: [] for n in order}
        for parent in order:
            for argument in graph.nodes[parent].arguments:
                self.parents[argument].append(parent)
        for node in order:
            self._measure(node)
            if self._is_worth_a_name(node):
                self._name(node)

    def _name(self, node: int) -> None:
        self.named.add(node)
        self.operations[node] = 0
        self.width[node] = len(self.titles[node]) if node in self.titles else _AUXILIARY_WIDTH

    def _is_worth_a_name(self, node: int) -> bool:
        operation = self.graph.nodes[node].operation
        if operation in LEAVES or operation in {"mean", "call"}:
            return False
        parents = self.parents[node]
        least = _SHARED_CONDITION if operation in CONDITIONS else _SHARED_OPERATIONS
        if len(parents) + (node in self.roots) > 1 and self.operations[node] >= least - (node in self.titles):
            return True
        if any(self.graph.nodes[p].operation == "mean" for p in parents):
            return True
        # cases within a formula are hard to read, save as a further row of cases
        return operation == "if" and bool(parents) and not self._is_further_row(node)

    def _is_further_row(self, node: int) -> bool:
        (parent, *more) = self.parents[node]
        above = self.graph.nodes[parent]
        return not more and node not in self.roots and above.operation == "if" and above.arguments[2] == node

    def _measure(self, node: int) -> None:
        one = self.graph.nodes[node]
        if one.operation in LEAVES or one.operation == "call":  # a call is printed apart from its results
            self.operations[node], self.width[node] = 0, self._width(node)
            return
        self.operations[node] = sum(self.operations[a] for a in one.arguments) + 1
        self.width[node] = self._width(node)
        # a long sum is broken into lines where it stands alone
        while self.width[node] > WIDEST and one.operation not in _SUMS:
            candidates = [a for a in set(one.arguments) if self.operations[a] > 0]
            if not candidates:
                return
            unconditional = [a for a in candidates if self.graph.nodes[a].operation not in CONDITIONS]
            self._name(max(unconditional or candidates, key=lambda a: (self.width[a], a)))
            self.width[node] = self._width(node)
            self.operations[node] = sum(self.operations[a] for a in one.arguments) + 1

    def _width(self, node: int) -> int:
        one = self.graph.nodes[node]
        if one.operation == "number":
            return min(len(f"{one.value:.10g}"), 12)
        if one.operation in LEAVES:
            return len(one.name)
        widths = [self.width[a] for a in one.arguments]
        if one.operation == "div":
            return max(widths)
        if one.operation == "pow":
            return widths[0] + widths[1] // 2 + 2
        if one.operation == "if":
            return max(widths[1:]) + widths[0] + 8
        return sum(widths) + 3 * max(len(widths) - 1, 0) + (0 if len(widths) > 1 else 2) + _call(one.operation)


def _call(operation: str) -> int:
    return 0 if operation in _SUMS | CONDITIONS | {"mul"} else len(operation) + 2
