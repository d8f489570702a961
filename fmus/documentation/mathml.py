"""Expressions of a unit model as MathML, with as few brackets as are needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import accumulate, pairwise

from fmus.documentation import markup as ml
from fmus.documentation.graph import CONDITIONS, Graph
from fmus.documentation.naming import WIDEST


class Binding(IntEnum):
    """How tightly the outermost operation of a formula binds."""

    CASES = 0
    OR = 1
    AND = 2
    NOT = 3
    COMPARISON = 4
    SUM = 5
    PRODUCT = 6
    CALL = 7
    ATOM = 8


_COMPARISONS = {"lt": "<", "le": "≤", "eq": "=", "ne": "≠"}
_NEGATED = {"lt": "≥", "le": ">", "eq": "≠", "ne": "="}
_MIRRORED = {"<": ">", "≤": "≥", ">": "<", "≥": "≤", "=": "=", "≠": "≠"}
_PRODUCTS = frozenset({"mul", "div"})
_SUMS = frozenset({"add", "sub"})
#: elements of an array are written as a sum over an index from this number on
_SUMMED = 4
_MINUS = ml.operator("−", form="prefix")
_Formula = tuple[str, Binding]


@dataclass
class _Product:
    """The factors of a product: the numbers, then what is above and what is below the line with its exponent."""

    negative: bool = False
    numbers: list[float] = field(default_factory=list)
    divisors: list[float] = field(default_factory=list)
    above: dict[int, int] = field(default_factory=dict)
    below: dict[int, int] = field(default_factory=dict)


class Printer:
    """Prints nodes of a graph.

    Args:
        graph: the nodes.
        reference: the markup of a node that is printed by name; None for one that is written out.
        symbol: the markup of a symbol.
        width: about how many characters wide each node is.
        index: the letter over which sums run.
    """

    def __init__(
        self,
        graph: Graph,
        reference: Callable[[int], str | None],
        symbol: Callable[[int], str],
        width: Mapping[int, int],
        index: str,
    ) -> None:
        self._index = index
        self._graph = graph
        self._width = width
        self._reference = reference
        self._symbol = symbol
        self._whole: int | None = None
        #: whether a condition was printed as a number, in square brackets
        self.has_brackets = False

    def lines(self, node: int) -> list[str]:
        """The right-hand side ``node``, written out even if it has a name; a long sum in several lines."""
        self._whole = node
        try:
            if self._graph.nodes[node].operation not in _SUMS:
                return [self._expression(node)[0]]
            return [ml.row(*line) for line in _broken(self._terms(node))]
        finally:
            self._whole = None

    def call(self, node: int) -> str:
        """A call with its arguments; neighbours in an array are printed as a range."""
        one = self._graph.nodes[node]
        ends = list(accumulate(one.sizes, initial=0))
        return ml.call(one.function, [self._vector(one.arguments[a:b]) for a, b in pairwise(ends)])

    def _vector(self, nodes: Sequence[int]) -> str:
        if len(nodes) == 1:
            return self._expression(nodes[0])[0]
        indexed = [self._element(n) or ("", -1) for n in nodes]
        parts, i = list[str](), 0
        while i < len(nodes):
            j = i + 1
            while j < len(nodes) and indexed[i][0] and indexed[j] == (indexed[i][0], indexed[i][1] + j - i):
                j += 1
            if j - i > 1:
                self._symbol(nodes[i])  # said to be in use
                span = ml.row(f"<mn>{indexed[i][1]}</mn>", ml.operator("…"), f"<mn>{indexed[j - 1][1]}</mn>")
                parts.append(ml.subscripted(indexed[i][0], span))
            else:
                parts.append(self._expression(nodes[i])[0])
            i = j
        return ml.fenced(ml.operator(",").join(parts))

    def _is_named(self, node: int) -> bool:
        return node != self._whole and self._reference(node) is not None

    def _expression(self, node: int) -> _Formula:
        """A number-valued node."""
        one = self._graph.nodes[node]
        if one.operation in {"symbol", "result"}:
            return self._symbol(node), Binding.ATOM
        if one.operation == "mean":
            return ml.fenced(self._expression(one.arguments[0])[0], "⟨", "⟩"), Binding.ATOM
        name = None if node == self._whole else self._reference(node)
        if name is not None:
            return name, Binding.ATOM
        if one.operation in CONDITIONS:
            self.has_brackets = True
            return ml.fenced(self._condition(node)[0], "[", "]"), Binding.ATOM
        if one.operation in _SUMS:
            terms = [part for part, _ in self._terms(node)]
            return ml.row(*terms), Binding.SUM
        if one.operation in {"mul", "div", "neg", "number"}:
            negative, (text, binding) = self._signed(node)
            if not negative:
                return text, binding
            return ml.row(_MINUS, text if binding >= Binding.PRODUCT else ml.fenced(text)), Binding.SUM
        if one.operation == "pow":
            return self._power(node)
        if one.operation == "if":
            return self._cases(node), Binding.CASES
        if one.operation in {"min", "max"}:
            return ml.call(one.operation, [self._expression(a)[0] for a in self._chain(node)]), Binding.CALL
        inner = [self._expression(a)[0] for a in one.arguments]
        if one.operation == "sqrt":
            return f"<msqrt>{inner[0]}</msqrt>", Binding.ATOM
        fences = {"abs": ("|", "|"), "floor": ("⌊", "⌋"), "ceil": ("⌈", "⌉")}.get(one.operation)
        if fences:
            return ml.fenced(inner[0], *fences), Binding.ATOM
        return ml.call(one.operation, inner), Binding.CALL

    def _bound(self, node: int, least: Binding) -> str:
        text, binding = self._expression(node)
        return text if binding >= least else ml.fenced(text)

    def _terms(self, node: int) -> list[tuple[str, int]]:
        """The terms of a sum with their signs, and about how wide each is."""
        stack, terms = [(node, False)], list[tuple[int, bool]]()
        while stack:
            term, negative = stack.pop()
            one = self._graph.nodes[term]
            if one.operation == "neg" and not self._is_named(term):
                stack.append((one.arguments[0], not negative))
            elif one.operation in _SUMS and not self._is_named(term):
                stack.append((one.arguments[1], negative != (one.operation == "sub")))
                stack.append((one.arguments[0], negative))
            else:
                terms.append((term, negative))
        printed, position = list[tuple[str, int]](), 0
        while position < len(terms):
            term, negative = terms[position]
            neighbours = self._neighbours(terms, position)
            if neighbours >= _SUMMED:
                minus, text = False, self._sum(term, neighbours)
            else:
                neighbours = 1
                minus, (text, binding) = self._signed(term)
                text = text if binding >= Binding.PRODUCT else ml.fenced(text)
            if minus != negative:
                text = (_MINUS if position == 0 else ml.operator("−")) + text
            elif position > 0:
                text = ml.operator("+") + text
            printed.append((text, self._width[term]))
            position += neighbours
        return printed

    def _neighbours(self, terms: Sequence[tuple[int, bool]], first: int) -> int:
        """How many terms from ``first`` on are elements of one array in order, with one sign."""
        indexed = self._element(terms[first][0])
        last = first
        while indexed and last + 1 < len(terms):
            following = (indexed[0], indexed[1] + last + 1 - first)
            if self._element(terms[last + 1][0]) != following or terms[last + 1][1] != terms[first][1]:
                break
            last += 1
        return last + 1 - first

    def _element(self, node: int) -> tuple[str, int] | None:
        one = self._graph.nodes[node]
        return ml.split_index(one.name) if one.operation in {"symbol", "result"} else None

    def _sum(self, first: int, count: int) -> str:
        """The sum of ``count`` elements of an array."""
        name, start = self._element(first) or ("", 0)
        self._symbol(first)  # said to be in use
        return ml.row(
            ml.summation(self._index, start, start + count - 1), ml.subscripted(name, f"<mi>{self._index}</mi>")
        )

    def _signed(self, node: int) -> tuple[bool, _Formula]:
        """Whether a minus stands before ``node``, and the rest."""
        one = self._graph.nodes[node]
        if self._is_named(node):
            return False, self._expression(node)
        if one.operation == "number":
            minus = one.value < 0.0
            text = ml.number(abs(one.value))
            return minus, (text, Binding.PRODUCT if ml.is_compound(one.value) else Binding.ATOM)
        if one.operation in _PRODUCTS or one.operation == "neg":
            product = self._factors(node)
            return product.negative, self._product(product)
        return False, self._expression(node)

    def _factors(self, node: int) -> _Product:
        product = _Product()
        stack = [(node, False)]
        while stack:
            factor, inverted = stack.pop()
            one = self._graph.nodes[factor]
            named = self._is_named(factor)
            if one.operation == "number":
                self._coefficient(product, one.value, inverted)
            elif one.operation == "neg" and not named:
                product.negative = not product.negative
                stack.append((one.arguments[0], inverted))
            elif one.operation in _PRODUCTS and not named:
                stack.append((one.arguments[1], inverted != (one.operation == "div")))
                stack.append((one.arguments[0], inverted))
            else:
                base, exponent = (factor, 1) if named else self._whole_power(factor)
                side = product.below if inverted else product.above
                side[base] = side.get(base, 0) + exponent
        return product

    @staticmethod
    def _coefficient(product: _Product, value: float, inverted: bool) -> None:
        if value < 0.0:
            product.negative = not product.negative
        size = abs(value)
        whole = ml.reciprocal(size)
        if whole is not None:
            size, inverted = whole, not inverted
        if size != 1.0:
            (product.divisors if inverted else product.numbers).append(size)

    def _whole_power(self, node: int) -> tuple[int, int]:
        """Base and exponent of nested whole powers: those that CasADi makes of x**4."""
        exponent = 1
        while True:
            one = self._graph.nodes[node]
            if one.operation != "pow" or (exponent > 1 and self._is_named(node)):
                return node, exponent
            value = self._graph.nodes[one.arguments[1]]
            if value.operation != "number" or value.value not in range(2, 100):
                return node, exponent
            exponent *= int(value.value)
            node = one.arguments[0]

    def _product(self, product: _Product) -> _Formula:
        above = self._side(product.numbers, product.above)
        if not (product.divisors or product.below):
            return above
        return ml.fraction(above[0], self._side(product.divisors, product.below)[0]), Binding.PRODUCT

    def _side(self, numbers: list[float], powers: dict[int, int]) -> _Formula:
        """A product without a fraction."""
        several = len(numbers) + len(powers) > 1
        parts = [(ml.number(n), Binding.PRODUCT if ml.is_compound(n) else Binding.ATOM) for n in numbers]
        for base, exponent in powers.items():
            if exponent > 1:
                parts.append((ml.power(self._bound(base, Binding.ATOM), f"<mn>{exponent}</mn>"), Binding.CALL))
            elif several:
                parts.append((self._bound(base, Binding.PRODUCT), Binding.PRODUCT))
            else:
                parts.append(self._expression(base))
        if not parts:
            return "<mn>1</mn>", Binding.ATOM
        if len(parts) == 1:
            return parts[0]
        return ml.row(ml.operator("⋅").join(text for text, _ in parts)), Binding.PRODUCT

    def _power(self, node: int) -> _Formula:
        base, exponent = self._whole_power(node)
        if exponent > 1:
            return ml.power(self._bound(base, Binding.ATOM), f"<mn>{exponent}</mn>"), Binding.CALL
        base, raised = self._graph.nodes[node].arguments
        one = self._graph.nodes[raised]
        if one.operation == "number" and one.value == 0.5:
            return f"<msqrt>{self._expression(base)[0]}</msqrt>", Binding.ATOM
        return ml.power(self._bound(base, Binding.ATOM), self._expression(raised)[0]), Binding.CALL

    def _chain(self, node: int) -> list[int]:
        """The arguments of min or max, nested ones of the same kind included."""
        operation, stack, found = self._graph.nodes[node].operation, [node], list[int]()
        while stack:
            one = stack.pop()
            if self._graph.nodes[one].operation == operation and not self._is_named(one):
                stack.extend(reversed(self._graph.nodes[one].arguments))
            else:
                found.append(one)
        return found

    def _cases(self, node: int) -> str:
        rows, word = list[str](), "if"
        while True:
            condition, then, otherwise = self._graph.nodes[node].arguments
            rows.append(_case(self._expression(then)[0], word, self._condition(condition)[0]))
            word = "else if"
            if self._graph.nodes[otherwise].operation != "if" or self._is_named(otherwise):
                rows.append(_case(self._expression(otherwise)[0], "otherwise", ""))
                return ml.row(ml.operator("{"), f'<mtable class="cases" displaystyle="true">{"".join(rows)}</mtable>')
            node = otherwise

    def _condition(self, node: int, negated: bool = False) -> _Formula:
        one = self._graph.nodes[node]
        if one.operation == "not" and not self._is_named(node):
            return self._condition(one.arguments[0], not negated)
        if one.operation in _COMPARISONS and not self._is_named(node):
            return self._comparison(node, negated), Binding.COMPARISON
        if one.operation in {"and", "or"} and not self._is_named(node):
            binding = Binding.AND if one.operation == "and" else Binding.OR
            sides = [self._condition(a) for a in one.arguments]
            texts = [t if b >= binding else ml.fenced(t) for t, b in sides]
            text = ml.row(ml.operator(one.operation, lspace="0.4em", rspace="0.4em").join(texts))
            if not negated:
                return text, binding
            return ml.row(ml.operator("not", rspace="0.3em"), ml.fenced(text)), Binding.NOT
        sign = "=" if negated else "≠"
        return ml.row(self._bound(node, Binding.SUM), ml.operator(sign), "<mn>0</mn>"), Binding.COMPARISON

    def _comparison(self, node: int, negated: bool) -> str:
        one = self._graph.nodes[node]
        sign = (_NEGATED if negated else _COMPARISONS)[one.operation]
        left, right = one.arguments
        if self._graph.nodes[left].operation == "number":
            left, right, sign = right, left, _MIRRORED[sign]
        return ml.row(self._bound(left, Binding.SUM), ml.operator(sign), self._bound(right, Binding.SUM))


def _case(value: str, word: str, condition: str) -> str:
    return f"<mtr><mtd>{value}</mtd><mtd><mrow><mtext>{word}&#xA0;</mtext>{condition}</mrow></mtd></mtr>"


def _broken(terms: list[tuple[str, int]]) -> list[list[str]]:
    lines, used = list[list[str]](), WIDEST + 1
    for text, width in terms:
        if used + width > WIDEST or not lines:
            lines.append([])
            used = 0
        lines[-1].append(text)
        used += width + 3
    return lines
