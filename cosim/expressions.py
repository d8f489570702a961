"""Expressions over signals, with units: ``press.main_compression_force > 8 kN and not mill.running > 0.5``.

A parser of its own: nothing of Python is evaluated. Numbers carry units, dimensions are checked when the expression is
read, and a value is computed in FMI's base units. Grammar, from what binds weakest::

    or, and, not, < <= > >= == !=, + -, * /, unary -, ^, then
    number [unit] | component.signal | 'component.odd name' | time | true | false | function(...) | (...)

A unit follows its number without spaces inside (``8 kN``, ``20 kg/h``, ``120000 1/h``). Signals have a dot, units none.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cosim.expression_functions import FUNCTIONS, OVER_TIME, Context
from cosim.expression_nodes import (
    NO_UNIT,
    Evaluate,
    Node,
    addition,
    comparison,
    function_of,
    inverted,
    logical,
    multiplication,
    need_condition,
    need_quantity,
    negative,
    power,
    reduction,
)
from cosim.expression_text import NAME, NUMBER, QUOTED, Scanner
from fmus.errors import GalenicError, nearest
from fmus.quantity import base_unit

_LONGEST, _DEEPEST = 4000, 60
_COMPARISONS = ("<=", ">=", "==", "!=", "<", ">")

#: Tells the unit of a signal; raises GalenicError where there is none.
UnitOf = Callable[[str], str]


@dataclass(frozen=True)
class Expression:
    """A checked expression.

    Attributes:
        text: as it was written.
        signals: that it reads.
        exponents: of its unit in FMI's base units; None for a condition.
    """

    text: str
    signals: tuple[str, ...]
    exponents: Mapping[str, int] | None
    _evaluate: Evaluate = field(repr=False)

    @property
    def is_condition(self) -> bool:
        """Whether it is true or false."""
        return self.exponents is None

    def evaluate(self, context: Context) -> Any:
        """Its value in FMI's base units, or whether it holds; arrays where the context has arrays."""
        with np.errstate(all="ignore"):
            return self._evaluate(context)


def parse_expression(text: str, unit_of: UnitOf, *, over_time: bool = False) -> Expression:
    """Read an expression.

    Args:
        text: the expression.
        unit_of: see `UnitOf`.
        over_time: whether functions over a whole run, such as ``mean``, are allowed.

    Raises:
        ExpressionError: it is not valid; with the column, the nearest right name and a cure.
    """
    return _Parser(text, unit_of, over_time).parse()


class _Parser:
    """Recursive descent: a method for each level of the grammar, from what binds weakest."""

    def __init__(self, text: str, unit_of: UnitOf, over_time: bool) -> None:
        self._scan, self._unit_of, self._over_time = Scanner(text), unit_of, over_time
        self._depth, self._inside = 0, False
        self._signals: list[str] = []

    def parse(self) -> Expression:
        text = self._scan.text
        if len(text) > _LONGEST:
            self._scan.fail(f"an expression of {len(text)} characters is too long", "make it simpler", 0)
        node = self._either()
        if self._scan.skip() < len(text):
            self._scan.unexpected()
        return Expression(text, tuple(self._signals), node.exponents, node.evaluate)

    def _either(self) -> Node:
        self._depth += 1
        if self._depth > _DEEPEST:
            self._scan.fail("too many parentheses within each other", "make it simpler")
        node = self._both()
        while self._scan.word("or"):
            node = logical(node, self._both(), "or")
        self._depth -= 1
        return node

    def _both(self) -> Node:
        node = self._negated()
        while self._scan.word("and"):
            node = logical(node, self._negated(), "and")
        return node

    def _negated(self) -> Node:
        negations, begin = 0, self._scan.skip()
        while self._scan.word("not"):
            negations += 1
        node = self._comparison()
        if negations:
            need_condition(node)
        return inverted(node, begin) if negations % 2 else node

    def _comparison(self) -> Node:
        left = self._sum()
        operator = self._scan.operator(*_COMPARISONS)
        if operator is None:
            return left
        node = comparison(left, self._sum(), operator)
        if self._scan.operator(*_COMPARISONS) is not None:
            self._scan.fail("two comparisons in a row", "join them with 'and'", self._scan.at - 1)
        return node

    def _sum(self) -> Node:
        node = self._product()
        while (operator := self._scan.operator("+", "-")) is not None:
            node = addition(node, self._product(), operator)
        return node

    def _product(self) -> Node:
        node = self._signed()
        while (operator := self._scan.operator("*", "/")) is not None:
            node = multiplication(node, self._signed(), operator)
        return node

    def _signed(self) -> Node:
        signs, minus, begin = 0, 0, self._scan.skip()
        while (operator := self._scan.operator("-", "+")) is not None:
            signs, minus = signs + 1, minus + (operator == "-")
        node = self._power()
        if signs:
            need_quantity(node)
        return negative(node, begin) if minus % 2 else node

    def _power(self) -> Node:
        node = self._atom()
        if self._scan.operator("^") is None:
            return node
        need_quantity(node)
        begin = self._scan.skip()
        sign = -1.0 if self._scan.operator("-") is not None else 1.0
        exponent = self._atom().bare
        if exponent is None:
            self._scan.fail("an exponent has to be a number", "write for example ^2", begin)
        return power(node, sign * exponent, begin)

    def _atom(self) -> Node:
        begin = self._scan.skip()
        if self._scan.operator("(") is not None:
            node = self._either()
            self._scan.close(begin)
            return node
        if (match := self._scan.match(NUMBER)) is not None:
            return self._number(match)
        if (match := self._scan.match(QUOTED)) is not None:
            self._scan.at = match.end()
            return self._signal(match[1], begin)
        match = self._scan.match(NAME)
        if match is None or match[0] in {"and", "or", "not"}:
            self._scan.unexpected()
        name = match[0]
        self._scan.at = match.end()
        if name in {"true", "false"}:
            truth = np.bool_(name == "true")
            return Node(lambda _c: truth, None, begin)
        if name == "time":
            return Node(lambda c: c.time, base_unit("s").exponents, begin)
        if self._scan.operator("(") is not None:
            return self._call(name, begin)
        if "." not in name:
            cure = "a signal is written component.variable; text with a unit begins with a number, as in '8 kN'"
            self._scan.fail(f"'{name}' is neither a signal nor a function", cure, begin)
        return self._signal(name, begin)

    def _number(self, match: re.Match[str]) -> Node:
        value, begin = float(match[0]), match.start()
        if not math.isfinite(value):
            self._scan.fail(f"'{match[0]}' is too large a number", "give a finite value", begin)
        self._scan.at = match.end()
        at = self._scan.skip()
        unit = self._scan.unit()
        if unit is None:
            number = np.float64(value)
            return Node(lambda _c: number, NO_UNIT, begin, value)
        try:
            base = base_unit(unit)
        except GalenicError as error:
            self._scan.fail(error.message, error.cure, at)
        self._scan.at = at + len(unit)
        absolute = np.float64(value * base.factor + base.offset)
        return Node(lambda _c: absolute, base.exponents, begin, offset_unit=base.offset != 0.0)

    def _signal(self, name: str, begin: int) -> Node:
        try:
            unit = self._unit_of(name)
            base = base_unit(unit)
        except GalenicError as error:
            self._scan.fail(error.message, error.cure, begin)
        if name not in self._signals:
            self._signals.append(name)
        position, factor, offset = self._signals.index(name), base.factor, base.offset
        if factor == 1.0 and offset == 0.0:
            return Node(lambda c: c.values[position], base.exponents, begin, unit=unit)
        return Node(lambda c: c.values[position] * factor + offset, base.exponents, begin, unit=unit)

    def _call(self, name: str, begin: int) -> Node:
        """The arguments of a function whose name begins at ``begin``, and the parenthesis after them."""
        reduces = name in OVER_TIME or (name in {"min", "max"} and self._over_time)
        if name not in FUNCTIONS and name not in OVER_TIME:
            known = [*FUNCTIONS, *(OVER_TIME if self._over_time else ())]
            self._scan.fail(f"there is no function '{name}'", nearest(name, known), begin)
        if name in OVER_TIME and not self._over_time:
            self._scan.fail(f"'{name}' needs a whole run", "use it in KPIs; a condition sees one instant", begin)
        was_inside, self._inside = self._inside, self._inside or name in OVER_TIME
        if was_inside and name in OVER_TIME:
            self._scan.fail(f"'{name}' of what is one number already", "do not nest functions over time", begin)
        arguments = [self._either()]
        while self._scan.operator(",") is not None:
            arguments.append(self._either())
        self._inside = was_inside
        self._scan.close(begin)
        if reduces and len(arguments) == 1:
            return reduction(name, arguments[0], begin)
        return function_of(name, arguments, begin)
