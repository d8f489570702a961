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
from typing import Any, NoReturn

import numpy as np

from cosim.expression_functions import COMPARE, FUNCTIONS, OVER_TIME, REDUCTIONS, Context
from fmus.errors import GalenicError, nearest
from fmus.quantity import BaseUnit, base_unit

_LONGEST, _DEEPEST = 4000, 60
_SPACE = re.compile(r"\s*")
_NUMBER = re.compile(r"(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_NAME = re.compile(r"[A-Za-z_]\w*(?:\[[\d, ]*\])?(?:\.[A-Za-z_]\w*(?:\[[\d, ]*\])?)*")
_QUOTED = re.compile(r"'([^']*)'")
_ATOM = r"(?:%|(?![0-9_])[\w°]+)(?:\^-?\d+)?(?![\w.(])"
_UNIT = re.compile(rf"(?:1/)?{_ATOM}(?:[*/]{_ATOM})*")
_OPERATORS = ("<=", ">=", "==", "!=", "<", ">", "+", "-", "*", "/", "^", "(", ")", ",")
_WORDS = frozenset({"and", "or", "not", "true", "false", "time"})
_NO_UNIT: dict[str, int] = {}

#: Tells the unit of a signal; raises GalenicError where there is none.
UnitOf = Callable[[str], str]


class ExpressionError(GalenicError):
    """What is wrong with an expression, and at which character of it (``column``, from 0)."""

    def __init__(self, message: str, cure: str, column: int) -> None:
        super().__init__(message, cure=cure)
        self.column = column


Evaluate = Callable[[Context], Any]


@dataclass(frozen=True)
class _Node:
    """A part of an expression; ``exponents`` of its unit in FMI's base units, None for a condition."""

    evaluate: Evaluate
    exponents: Mapping[str, int] | None
    column: int
    bare: float | None = None  # a number without unit
    offset_unit: bool = False  # a number in degC, say
    difference: bool = False  # of two values
    unit: str = ""  # a signal's, for hints


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
    def __init__(self, text: str, unit_of: UnitOf, over_time: bool) -> None:
        self._text, self._unit_of, self._over_time = text, unit_of, over_time
        self._at, self._depth, self._inside = 0, 0, False
        self._signals: list[str] = []

    def parse(self) -> Expression:
        if len(self._text) > _LONGEST:
            self._fail(f"an expression of {len(self._text)} characters is too long", "make it simpler", 0)
        node = self._either()
        self._skip()
        if self._at < len(self._text):
            self._unexpected()
        return Expression(self._text, tuple(self._signals), node.exponents, node.evaluate)

    # ---- grammar -----------------------------------------------------------------------------------------------

    def _either(self) -> _Node:
        self._depth += 1
        if self._depth > _DEEPEST:
            self._fail("too many parentheses within each other", "make it simpler")
        node = self._both()
        while self._word("or"):
            node = self._logical(node, self._both(), np.logical_or)
        self._depth -= 1
        return node

    def _both(self) -> _Node:
        node = self._negated()
        while self._word("and"):
            node = self._logical(node, self._negated(), np.logical_and)
        return node

    def _negated(self) -> _Node:
        negations, begin = 0, self._skip()
        while self._word("not"):
            negations += 1
        node = self._comparison()
        if not negations:
            return node
        self._need_condition(node)
        inner = node.evaluate
        return node if negations % 2 == 0 else _Node(lambda c: np.logical_not(inner(c)), None, begin)

    def _comparison(self) -> _Node:
        left = self._sum()
        operator = self._operator("<=", ">=", "==", "!=", "<", ">")
        if operator is None:
            return left
        right = self._sum()
        left, right = self._same_unit(left, right, "compared with")
        if (left.difference and right.offset_unit) or (right.difference and left.offset_unit):
            literal = right if right.offset_unit else left
            self._fail("a difference of temperatures is compared with a temperature", "give it in K", literal.column)
        self._skip()
        if self._operator("<=", ">=", "==", "!=", "<", ">") is not None:
            self._fail("two comparisons in a row", "join them with 'and'", self._at - 1)
        function, a, b = COMPARE[operator], left.evaluate, right.evaluate
        return _Node(lambda c: function(a(c), b(c)), None, left.column)

    def _sum(self) -> _Node:
        node = self._product()
        while (operator := self._operator("+", "-")) is not None:
            other = self._product()
            node, other = self._same_unit(node, other, "added to" if operator == "+" else "subtracted from")
            for part in (node, other):
                if part.offset_unit:
                    self._fail(
                        "a temperature with an offset cannot be added or subtracted", "give it in K", part.column
                    )
            node = _arithmetic(np.add if operator == "+" else np.subtract, node, other, node.exponents, True)
        return node

    def _product(self) -> _Node:
        node = self._signed()
        while (operator := self._operator("*", "/")) is not None:
            other = self._signed()
            for part in (node, other):
                self._need_quantity(part)
            sign = 1 if operator == "*" else -1
            unit = _combined(node.exponents or {}, other.exponents or {}, sign)
            node = _arithmetic(np.multiply if operator == "*" else np.divide, node, other, unit)
        return node

    def _signed(self) -> _Node:
        signs, minus, begin = 0, 0, self._skip()
        while (operator := self._operator("-", "+")) is not None:
            signs, minus = signs + 1, minus + (operator == "-")
        node = self._power()
        if signs:
            self._need_quantity(node)
        if minus % 2 == 0:
            return node
        if node.offset_unit:
            self._fail("a temperature with an offset cannot be negated", "give it in K", begin)
        inner = node.evaluate
        bare = None if node.bare is None else -node.bare
        return _Node(lambda c: -inner(c), node.exponents, begin, bare, difference=node.difference)

    def _power(self) -> _Node:
        node = self._atom()
        if self._operator("^") is None:
            return node
        self._need_quantity(node)
        begin = self._skip()
        negative = self._operator("-") is not None
        exponent = self._atom()
        if exponent.bare is None:
            self._fail("an exponent has to be a number", "write for example ^2", begin)
        power = -exponent.bare if negative else exponent.bare
        unit = {base: self._whole(value * power, begin) for base, value in (node.exponents or {}).items()}
        inner = node.evaluate
        return _Node(lambda c: np.power(inner(c), power), unit, node.column)

    def _atom(self) -> _Node:
        begin = self._skip()
        if self._operator("(") is not None:
            node = self._either()
            self._close(begin)
            return node
        if (match := _NUMBER.match(self._text, begin)) is not None:
            return self._number(match)
        if (match := _QUOTED.match(self._text, begin)) is not None:
            self._at = match.end()
            return self._signal(match[1], begin)
        if (match := _NAME.match(self._text, begin)) is None:
            self._unexpected()
        name = match[0]
        if name in {"and", "or", "not"}:
            self._unexpected()
        self._at = match.end()
        if name in {"true", "false"}:
            truth = np.bool_(name == "true")
            return _Node(lambda _c: truth, None, begin)
        if name == "time":
            return _Node(lambda c: c.time, base_unit("s").exponents, begin)
        self._skip()
        if self._text.startswith("(", self._at):
            return self._call(name, begin)
        if "." not in name:
            cure = "a signal is written component.variable; text with a unit begins with a number, as in '8 kN'"
            self._fail(f"'{name}' is neither a signal nor a function", cure, begin)
        return self._signal(name, begin)

    def _number(self, match: re.Match[str]) -> _Node:
        value, begin = float(match[0]), match.start()
        if not math.isfinite(value):
            self._fail(f"'{match[0]}' is too large a number", "give a finite value", begin)
        self._at = match.end()
        at = self._skip()
        unit = _UNIT.match(self._text, at)
        if unit is None or _starts_with_word(unit[0]):
            number = np.float64(value)
            return _Node(lambda _c: number, _NO_UNIT, begin, value)
        try:
            base = base_unit(unit[0])
        except GalenicError as error:
            self._fail(error.message, error.cure, at)
        self._at = unit.end()
        absolute = np.float64(value * base.factor + base.offset)
        return _Node(lambda _c: absolute, base.exponents, begin, offset_unit=base.offset != 0.0)

    def _signal(self, name: str, begin: int) -> _Node:
        try:
            unit = self._unit_of(name)
            base: BaseUnit = base_unit(unit)
        except GalenicError as error:
            self._fail(error.message, error.cure, begin)
        if name not in self._signals:
            self._signals.append(name)
        position, factor, offset = self._signals.index(name), base.factor, base.offset
        if factor == 1.0 and offset == 0.0:
            return _Node(lambda c: c.values[position], base.exponents, begin, unit=unit)
        return _Node(lambda c: c.values[position] * factor + offset, base.exponents, begin, unit=unit)

    def _call(self, name: str, begin: int) -> _Node:
        self._operator("(")
        reduces = name in OVER_TIME or (name in {"min", "max"} and self._over_time)
        if name not in FUNCTIONS and name not in OVER_TIME:
            known = [*FUNCTIONS, *(OVER_TIME if self._over_time else ())]
            self._fail(f"there is no function '{name}'", nearest(name, known), begin)
        if name in OVER_TIME and not self._over_time:
            self._fail(f"'{name}' needs a whole run", "use it in KPIs; a condition sees one instant", begin)
        was_inside, self._inside = self._inside, self._inside or name in OVER_TIME
        if was_inside and name in OVER_TIME:
            self._fail(f"'{name}' of what is one number already", "do not nest functions over time", begin)
        arguments = [self._either()]
        while self._operator(",") is not None:
            arguments.append(self._either())
        self._inside = was_inside
        self._close(begin)
        if reduces and len(arguments) == 1:
            return self._reduction(name, arguments[0], begin)
        return self._function(name, arguments, begin)

    def _reduction(self, name: str, argument: _Node, begin: int) -> _Node:
        if name == "share":
            self._need_condition(argument)
        else:
            self._need_quantity(argument)
        unit = _NO_UNIT if name == "share" else argument.exponents
        if name == "integral":
            unit = _combined(argument.exponents or {}, base_unit("s").exponents, 1)
        function, inner = REDUCTIONS[name], argument.evaluate
        difference = argument.difference or name in {"std", "change"}
        return _Node(lambda c: function(inner(c), c), unit, begin, difference=difference)

    def _function(self, name: str, arguments: list[_Node], begin: int) -> _Node:
        for argument in arguments:
            self._need_quantity(argument)
        if name in OVER_TIME or (name in {"abs", "sqrt", "exp", "log"} and len(arguments) != 1):
            self._fail(f"'{name}' takes one argument, not {len(arguments)}", f"write {name}(x)", begin)
        first, *others = arguments
        if name in {"min", "max"}:
            if not others:
                self._fail(f"'{name}' compares two values or more", f"write {name}(x, y)", begin)
            for position, other in enumerate(others):
                first, others[position] = self._same_unit(first, other, "compared with")
            parts = [first.evaluate, *(other.evaluate for other in others)]
            reduce = np.minimum.reduce if name == "min" else np.maximum.reduce
            return _Node(lambda c: reduce(np.broadcast_arrays(*(p(c) for p in parts))), first.exponents, begin)
        unit: Mapping[str, int] = first.exponents or {}
        if name in {"exp", "log"} and unit:
            self._fail(f"'{name}' of a quantity with a unit", "divide it by a reference value first", first.column)
        if name == "sqrt":
            unit = {base: self._whole(value / 2, begin) for base, value in unit.items()}
        function, inner = FUNCTIONS[name], first.evaluate
        return _Node(lambda c: function(inner(c)), unit, begin, difference=first.difference and name == "abs")

    # ---- units -------------------------------------------------------------------------------------------------

    def _same_unit(self, left: _Node, right: _Node, what: str) -> tuple[_Node, _Node]:
        self._need_quantity(left)
        self._need_quantity(right)
        if left.exponents != right.exponents:
            for part, other in ((left, right), (right, left)):
                if part.bare == 0.0:
                    return left, right
                if part.bare is not None:
                    cure = f"give its unit, as in '{part.bare:g} {other.unit or 'kN'}'"
                    self._fail(f"{part.bare:g} has no unit here", cure, part.column)
            self._fail(
                f"{_unit_text(right.exponents)} cannot be {what} {_unit_text(left.exponents)}",
                "both sides need the same dimension",
                right.column,
            )
        return left, right

    def _logical(self, left: _Node, right: _Node, function: Callable[[Any, Any], Any]) -> _Node:
        self._need_condition(left)
        self._need_condition(right)
        a, b = left.evaluate, right.evaluate
        return _Node(lambda c: function(a(c), b(c)), None, left.column)

    def _need_condition(self, node: _Node) -> None:
        if node.exponents is not None:
            self._fail(
                "a value stands where a condition should", "compare it with something, as in 'x > 1'", node.column
            )

    def _need_quantity(self, node: _Node) -> None:
        if node.exponents is None:
            self._fail("a condition stands where a value should", "use share(...) or compare values", node.column)

    def _whole(self, value: float, column: int) -> int:
        if value != round(value):
            self._fail("the result's unit has a fractional power", "take powers of dimensionless values", column)
        return round(value)

    # ---- characters --------------------------------------------------------------------------------------------

    def _skip(self) -> int:
        match = _SPACE.match(self._text, self._at)
        assert match is not None
        self._at = match.end()
        return self._at

    def _operator(self, *wanted: str) -> str | None:
        self._skip()
        found = next((operator for operator in _OPERATORS if self._text.startswith(operator, self._at)), None)
        if found not in wanted:
            return None
        self._at += len(found)
        return found

    def _word(self, word: str) -> bool:
        self._skip()
        match = _NAME.match(self._text, self._at)
        if match is None or match[0] != word:
            return False
        self._at = match.end()
        return True

    def _close(self, begin: int) -> None:
        if self._operator(")") is None:
            if self._at >= len(self._text):
                self._fail("a parenthesis is not closed", "add ')'", begin)
            self._unexpected()

    def _unexpected(self) -> NoReturn:
        rest = self._text[self._at :]
        if not rest:
            self._fail("the expression ends too early", "complete it, as in 'press.hardness > 40 N'")
        cures = {"=": "compare with '=='", "&": "write 'and'", "|": "write 'or'", "!": "write 'not'"}
        word = rest.split()[0]
        cure = cures.get(rest[0], "check the operator or the unit before it; units have no spaces inside")
        self._fail(f"'{word[:20]}' is not expected here", cure)

    def _fail(self, message: str, cure: str, column: int | None = None) -> NoReturn:
        raise ExpressionError(message, cure, self._at if column is None else column)


def _arithmetic(
    function: Callable[[Any, Any], Any],
    left: _Node,
    right: _Node,
    exponents: Mapping[str, int] | None,
    difference: bool = False,
) -> _Node:
    a, b = left.evaluate, right.evaluate
    bare = None
    if left.bare is not None and right.bare is not None:
        with np.errstate(all="ignore"):
            bare = float(function(left.bare, right.bare))
        bare = bare if math.isfinite(bare) else None
    return _Node(lambda c: function(a(c), b(c)), exponents, left.column, bare, difference=difference)


def _combined(left: Mapping[str, int], right: Mapping[str, int], sign: int) -> dict[str, int]:
    powers = {base: left.get(base, 0) + sign * right.get(base, 0) for base in {*left, *right}}
    return {base: power for base, power in powers.items() if power}


def _unit_text(exponents: Mapping[str, int] | None) -> str:
    if not exponents:
        return "a number without unit"
    return "a quantity in " + " ".join(base if p == 1 else f"{base}^{p}" for base, p in sorted(exponents.items()))


def _starts_with_word(unit: str) -> bool:
    match = re.match(r"[A-Za-z]+", unit)
    return match is not None and match[0] in _WORDS
