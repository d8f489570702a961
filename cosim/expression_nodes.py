"""Parts of an expression and their units: what may be compared, added, raised to a power, and what comes of it.

All functions raise `ExpressionError` at the part at fault.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from cosim.expression_functions import COMPARE, FUNCTIONS, OVER_TIME, REDUCTIONS, Context
from cosim.expression_text import ExpressionError
from fmus.quantity import base_unit

Evaluate = Callable[[Context], Any]

NO_UNIT: dict[str, int] = {}


@dataclass(frozen=True)
class Node:
    """A part of an expression.

    Attributes:
        evaluate: its value in FMI's base units, or whether it holds.
        exponents: of its unit in FMI's base units; None for a condition.
        column: where it begins.
        bare: its value, where it is a number without unit.
        offset_unit: whether it is a number in a unit with an offset, such as degC.
        difference: whether it is one of two values.
        unit: a signal's, for hints.
    """

    evaluate: Evaluate
    exponents: Mapping[str, int] | None
    column: int
    bare: float | None = None
    offset_unit: bool = False
    difference: bool = False
    unit: str = ""


def logical(left: Node, right: Node, operator: str) -> Node:
    """``left and right``, ``left or right``."""
    need_condition(left)
    need_condition(right)
    function = np.logical_and if operator == "and" else np.logical_or
    a, b = left.evaluate, right.evaluate
    return Node(lambda c: function(a(c), b(c)), None, left.column)


def inverted(node: Node, column: int) -> Node:
    """``not node``, which begins at ``column``."""
    inner = node.evaluate
    return Node(lambda c: np.logical_not(inner(c)), None, column)


def comparison(left: Node, right: Node, operator: str) -> Node:
    """``left < right`` and the like."""
    _need_same_unit(left, right, "compared with")
    if (left.difference and right.offset_unit) or (right.difference and left.offset_unit):
        literal = right if right.offset_unit else left
        _fail("a difference of temperatures is compared with a temperature", "give it in K", literal.column)
    function, a, b = COMPARE[operator], left.evaluate, right.evaluate
    return Node(lambda c: function(a(c), b(c)), None, left.column)


def addition(left: Node, right: Node, operator: str) -> Node:
    """``left + right``, ``left - right``."""
    _need_same_unit(left, right, "added to" if operator == "+" else "subtracted from")
    for part in (left, right):
        if part.offset_unit:
            _fail("a temperature with an offset cannot be added or subtracted", "give it in K", part.column)
    return _arithmetic(np.add if operator == "+" else np.subtract, left, right, left.exponents, True)


def multiplication(left: Node, right: Node, operator: str) -> Node:
    """``left * right``, ``left / right``."""
    for part in (left, right):
        need_quantity(part)
    unit = _combined(left.exponents or {}, right.exponents or {}, 1 if operator == "*" else -1)
    return _arithmetic(np.multiply if operator == "*" else np.divide, left, right, unit)


def negative(node: Node, column: int) -> Node:
    """``-node``, which begins at ``column``."""
    if node.offset_unit:
        _fail("a temperature with an offset cannot be negated", "give it in K", column)
    inner = node.evaluate
    bare = None if node.bare is None else -node.bare
    return Node(lambda c: -inner(c), node.exponents, column, bare, difference=node.difference)


def power(node: Node, exponent: float, column: int) -> Node:
    """``node ^ exponent``; the exponent begins at ``column``."""
    unit = {base: _whole(value * exponent, column) for base, value in (node.exponents or {}).items()}
    inner = node.evaluate
    return Node(lambda c: np.power(inner(c), exponent), unit, node.column)


def reduction(name: str, argument: Node, column: int) -> Node:
    """A function over a run, such as ``mean(x)``."""
    if name == "share":
        need_condition(argument)
    else:
        need_quantity(argument)
    unit = NO_UNIT if name == "share" else argument.exponents
    if name == "integral":
        unit = _combined(argument.exponents or {}, base_unit("s").exponents, 1)
    function, inner = REDUCTIONS[name], argument.evaluate
    difference = argument.difference or name in {"std", "change"}
    return Node(lambda c: function(inner(c), c), unit, column, difference=difference)


def function_of(name: str, arguments: list[Node], column: int) -> Node:
    """A function of one instant, such as ``sqrt(x)`` or ``max(x, y)``."""
    for argument in arguments:
        need_quantity(argument)
    if name in OVER_TIME or (name in {"abs", "sqrt", "exp", "log"} and len(arguments) != 1):
        _fail(f"'{name}' takes one argument, not {len(arguments)}", f"write {name}(x)", column)
    first, *others = arguments
    if name in {"min", "max"}:
        if not others:
            _fail(f"'{name}' compares two values or more", f"write {name}(x, y)", column)
        for other in others:
            _need_same_unit(first, other, "compared with")
        parts = [argument.evaluate for argument in arguments]
        reduce = np.minimum.reduce if name == "min" else np.maximum.reduce
        return Node(lambda c: reduce(np.broadcast_arrays(*(p(c) for p in parts))), first.exponents, column)
    unit: Mapping[str, int] = first.exponents or {}
    if name in {"exp", "log"} and unit:
        _fail(f"'{name}' of a quantity with a unit", "divide it by a reference value first", first.column)
    if name == "sqrt":
        unit = {base: _whole(value / 2, column) for base, value in unit.items()}
    function, inner = FUNCTIONS[name], first.evaluate
    return Node(lambda c: function(inner(c)), unit, column, difference=first.difference and name == "abs")


def need_condition(node: Node) -> None:
    """Refuse a value."""
    if node.exponents is not None:
        _fail("a value stands where a condition should", "compare it with something, as in 'x > 1'", node.column)


def need_quantity(node: Node) -> None:
    """Refuse a condition."""
    if node.exponents is None:
        _fail("a condition stands where a value should", "use share(...) or compare values", node.column)


def _need_same_unit(left: Node, right: Node, what: str) -> None:
    need_quantity(left)
    need_quantity(right)
    if left.exponents == right.exponents:
        return
    for part, other in ((left, right), (right, left)):
        if part.bare == 0.0:
            return
        if part.bare is not None:
            cure = f"give its unit, as in '{part.bare:g} {other.unit or 'kN'}'"
            _fail(f"{part.bare:g} has no unit here", cure, part.column)
    _fail(
        f"{_unit_text(right.exponents)} cannot be {what} {_unit_text(left.exponents)}",
        "both sides need the same dimension",
        right.column,
    )


def _arithmetic(
    function: Callable[[Any, Any], Any],
    left: Node,
    right: Node,
    exponents: Mapping[str, int] | None,
    difference: bool = False,
) -> Node:
    a, b = left.evaluate, right.evaluate
    bare = None
    if left.bare is not None and right.bare is not None:
        with np.errstate(all="ignore"):
            bare = float(function(left.bare, right.bare))
        bare = bare if math.isfinite(bare) else None
    return Node(lambda c: function(a(c), b(c)), exponents, left.column, bare, difference=difference)


def _combined(left: Mapping[str, int], right: Mapping[str, int], sign: int) -> dict[str, int]:
    powers = {base: left.get(base, 0) + sign * right.get(base, 0) for base in {*left, *right}}
    return {base: exponent for base, exponent in powers.items() if exponent}


def _whole(value: float, column: int) -> int:
    if value != round(value):
        _fail("the result's unit has a fractional power", "take powers of dimensionless values", column)
    return round(value)


def _unit_text(exponents: Mapping[str, int] | None) -> str:
    if not exponents:
        return "a number without unit"
    return "a quantity in " + " ".join(base if p == 1 else f"{base}^{p}" for base, p in sorted(exponents.items()))


def _fail(message: str, cure: str, column: int) -> NoReturn:
    raise ExpressionError(message, cure, column)
