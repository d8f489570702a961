"""The expressions of a unit model as one graph that can be printed: CasADi's SX, read operation by operation.

Equal operations on equal arguments are one node, `if_else` is one node again (CasADi writes it as a sum of two
products), and a mean knows what it is the mean of. Reading takes time and memory in proportion to the expressions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Any

import casadi as ca

#: CasADi's operations that keep their meaning under a name of ours; the others are rewritten by `Graph._operation`
_OPERATIONS = {
    ca.OP_ADD: "add",
    ca.OP_SUB: "sub",
    ca.OP_MUL: "mul",
    ca.OP_DIV: "div",
    ca.OP_NEG: "neg",
    ca.OP_POW: "pow",
    ca.OP_CONSTPOW: "pow",
    ca.OP_SQRT: "sqrt",
    ca.OP_LT: "lt",
    ca.OP_LE: "le",
    ca.OP_EQ: "eq",
    ca.OP_NE: "ne",
    ca.OP_NOT: "not",
    ca.OP_AND: "and",
    ca.OP_OR: "or",
    ca.OP_FABS: "abs",
    ca.OP_FLOOR: "floor",
    ca.OP_CEIL: "ceil",
    ca.OP_FMIN: "min",
    ca.OP_FMAX: "max",
    ca.OP_EXP: "exp",
    ca.OP_LOG: "ln",
    ca.OP_SIN: "sin",
    ca.OP_COS: "cos",
    ca.OP_TAN: "tan",
    ca.OP_ASIN: "arcsin",
    ca.OP_ACOS: "arccos",
    ca.OP_ATAN: "arctan",
    ca.OP_ATAN2: "arctan2",
    ca.OP_SINH: "sinh",
    ca.OP_COSH: "cosh",
    ca.OP_TANH: "tanh",
    ca.OP_ASINH: "arsinh",
    ca.OP_ACOSH: "arcosh",
    ca.OP_ATANH: "artanh",
    ca.OP_SIGN: "sgn",
    ca.OP_ERF: "erf",
    ca.OP_ERFINV: "erfinv",
    ca.OP_FMOD: "fmod",
    ca.OP_REMAINDER: "remainder",
    ca.OP_COPYSIGN: "copysign",
}
#: operations whose value is true or false
CONDITIONS = frozenset({"lt", "le", "eq", "ne", "not", "and", "or"})
#: what is printed as a number or a name
LEAVES = frozenset({"number", "symbol", "result"})


#: a function that is called is written out where it is called, unless it has more operations or is made of matrices
MOST_INLINED = 500


@dataclass(frozen=True)
class Node:
    """One operation.

    Attributes:
        operation: ``number``, ``symbol``, ``mean``, ``if`` (condition, then, otherwise), ``call`` of a function that
            is too large to be written out, ``result`` of such a call, or one of `_OPERATIONS`.
        arguments: nodes of the same graph, by index.
        value: of a number.
        name: of a symbol, a result, or what a call is called.
        function: that a call is of.
        sizes: of a call, how many of its arguments belong to each argument of the function.
    """

    operation: str
    arguments: tuple[int, ...] = ()
    value: float = 0.0
    name: str = ""
    function: str = ""
    sizes: tuple[int, ...] = ()


@dataclass
class Graph:
    """Nodes in an order in which each stands after its arguments."""

    nodes: list[Node] = field(default_factory=list)
    _index: dict[tuple[object, ...], int] = field(default_factory=dict)
    _calls: int = 0

    def read(self, expressions: Sequence[Any], means: Mapping[str, int] | None = None) -> list[int]:
        """Add scalar SX ``expressions`` and return their nodes.

        Args:
            expressions: what to add.
            means: the symbols that stand for means -> the node of what they are the mean of.
        """
        if not expressions:
            return []
        means = means or {}
        column = ca.vertcat(*(ca.densify(ca.SX(e)) for e in expressions))
        symbols = ca.symvar(column)
        names = [str(s) for s in symbols]
        given = [self._node("mean", (means[n],)) if n in means else self.symbol(n) for n in names]
        function = ca.Function("printed", [ca.vertcat(*symbols) if symbols else ca.SX(0, 1)], [column])
        (roots,) = self._walk(function, [given])
        return roots

    def _walk(self, function: Any, given: list[list[int]]) -> list[list[int]]:
        """The nodes of the results of ``function``, output by output, for ``given`` nodes, input by input."""
        work: dict[int, int] = {}
        results = [[0] * function.nnz_out(i) for i in range(function.n_out())]
        expressions = None
        for k in range(function.n_instructions()):
            code, uses, sets = (
                function.instruction_id(k),
                function.instruction_input(k),
                function.instruction_output(k),
            )
            if code == ca.OP_OUTPUT:
                results[sets[0]][sets[1]] = work[uses[0]]
            elif code == ca.OP_CONST:
                work[sets[0]] = self.number(function.instruction_constant(k))
            elif code == ca.OP_INPUT:
                work[sets[0]] = given[uses[0]][uses[1]]
            elif code == ca.OP_CALL:
                if expressions is None:
                    expressions = function.instructions_sx()
                called = self._call(expressions.nz[k].which_function(), [work[i] for i in uses])
                work.update(zip(sets, called, strict=True))
            else:
                work[sets[0]] = self._operation(code, [work[i] for i in uses])
        return results

    def _call(self, function: Any, given: list[int]) -> list[int]:
        """All results of a call in a row: written out, or as one node each where the function is too large."""
        sizes = [function.nnz_in(i) for i in range(function.n_in())]
        ends = list(accumulate(sizes, initial=0))
        if function.is_a("SXFunction") and function.n_instructions() <= MOST_INLINED:
            results = self._walk(function, [given[a:b] for a, b in pairwise(ends)])
            return [node for result in results for node in result]
        key = ("call", function.__hash__(), *given)
        if key not in self._index:
            self._calls += 1
        name = f"{function.name()}_{self._calls}"
        call = self._add(Node("call", tuple(given), name=name, function=function.name(), sizes=tuple(sizes)), key)
        name = self.nodes[call].name
        outputs = [(f".{n}" if function.n_out() > 1 else "", function.nnz_out(n)) for n in function.name_out()]
        labels = [f"{name}{output}[{i}]" for output, size in outputs for i in range(1, size + 1)]
        return [self._add(Node("result", (call,), name=label), ("result", label)) for label in labels]

    def number(self, value: float) -> int:
        """The node of a number."""
        return self._add(Node("number", value=value), ("number", value.hex()))

    def symbol(self, name: str) -> int:
        """The node of a symbol."""
        return self._add(Node("symbol", name=name), ("symbol", name))

    def reachable(self, roots: Iterable[int]) -> list[int]:
        """The nodes that ``roots`` are made of, ascending: each after its arguments."""
        found, stack = set(), list(roots)
        while stack:
            node = stack.pop()
            if node not in found:
                found.add(node)
                stack.extend(self.nodes[node].arguments)
        return sorted(found)

    def _node(self, operation: str, arguments: tuple[int, ...]) -> int:
        return self._add(Node(operation, arguments), (operation, *arguments))

    def _add(self, node: Node, key: tuple[object, ...]) -> int:
        if key not in self._index:
            self._index[key] = len(self.nodes)
            self.nodes.append(node)
        return self._index[key]

    def _operation(self, code: int, given: list[int]) -> int:
        if code in (ca.OP_ASSIGN, ca.OP_LIFT, ca.OP_PRINTME):
            return given[0]
        if code == ca.OP_SQ:
            return self._node("pow", (given[0], self.number(2.0)))
        if code == ca.OP_TWICE:
            return self._node("mul", (self.number(2.0), given[0]))
        if code == ca.OP_INV:
            return self._node("div", (self.number(1.0), given[0]))
        if code == ca.OP_LOG1P:
            return self._node("ln", (self._node("add", (self.number(1.0), given[0])),))
        if code == ca.OP_EXPM1:
            return self._node("sub", (self._node("exp", (given[0],)), self.number(1.0)))
        if code == ca.OP_HYPOT:
            squares = [self._node("pow", (g, self.number(2.0))) for g in given]
            return self._node("sqrt", (self._node("add", (squares[0], squares[1])),))
        if code == ca.OP_IF_ELSE_ZERO:
            return self._node("if", (given[0], given[1], self.number(0.0)))
        if code == ca.OP_ADD:
            return self._either(*given) or self._either(*reversed(given)) or self._node("add", (given[0], given[1]))
        return self._node(_OPERATIONS[code], tuple(given))

    def _either(self, first: int, second: int) -> int | None:
        """One node for (c ? a : 0) + (!c ? b : 0), which is what CasADi makes of if_else(c, a, b)."""
        a, b = self.nodes[first], self.nodes[second]
        if a.operation != "if" or b.operation != "if" or not self._is_zero(a.arguments[2], b.arguments[2]):
            return None
        negated = self.nodes[b.arguments[0]]
        if negated.operation != "not" or negated.arguments[0] != a.arguments[0]:
            return None
        return self._node("if", (a.arguments[0], a.arguments[1], b.arguments[1]))

    def _is_zero(self, *nodes: int) -> bool:
        return all(self.nodes[n].operation == "number" and self.nodes[n].value == 0.0 for n in nodes)
