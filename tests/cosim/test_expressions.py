from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosim.expression_functions import Context
from cosim.expression_text import ExpressionError
from cosim.expressions import Expression, parse_expression
from fmus.errors import GalenicError, nearest

UNITS = {
    "press.force": "kN",
    "press.hardness": "N",
    "frame.level": "%",
    "dryer.temperature": "degC",
    "room.temperature": "degC",
    "tablets.mass": "kg",
    "feed.mass": "g",
    "feed.outlet.size[3]": "1",
    "mill.speed": "rpm",
    "odd.a b-c": "1",
}
VALUES = {
    "press.force": 9.0,
    "press.hardness": 51.0,
    "frame.level": 40.0,
    "dryer.temperature": 60.0,
    "room.temperature": 20.0,
    "tablets.mass": 0.9,
    "feed.mass": 1000.0,
    "feed.outlet.size[3]": 0.25,
    "mill.speed": 600.0,
    "odd.a b-c": 7.0,
}


def unit_of(signal: str) -> str:
    if signal not in UNITS:
        raise GalenicError(f"there is no signal '{signal}'", cure=nearest(signal, UNITS))
    return UNITS[signal]


def value(text: str, time: float = 100.0):
    expression = parse_expression(text, unit_of)
    return expression.evaluate(Context([np.float64(VALUES[s]) for s in expression.signals], np.float64(time)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("press.force > 8 kN", True),
        ("press.force > 8000 N", True),
        ("press.force>8kN", True),
        ("press.force < 0.0081 MN and not frame.level > 50 %", False),
        ("press.force < 9.1 kN and not frame.level > 50 %", True),
        ("frame.level > 0.39", True),
        ("frame.level >= 40 %", True),
        ("press.force > 10 kN or time >= 1.5 min and true", True),
        ("time > 2 min", False),
        ("(press.force + 500 N) / 2 > 4.7 kN", True),
        ("-press.force < 0", True),
        ("press.force - 9 kN == 0", True),
        ("dryer.temperature > 59 degC", True),
        ("dryer.temperature - room.temperature > 39 K", True),
        ("abs(room.temperature - dryer.temperature) < 41 K", True),
        ("tablets.mass / feed.mass > 80 %", True),
        ("feed.outlet.size[3] == 0.25", True),
        ("mill.speed < 120000 1/h * 2 rad", True),
        ("mill.speed > 599 rpm", True),
        ("'odd.a b-c' == 7", True),
        ("press.force^2 > 80 kN^2", True),
        ("sqrt(press.force^2) > 8 kN", True),
        ("max(press.force, 12 kN) > 11 kN", True),
        ("min(press.force, 12 kN, 1 kN) < 2 kN", True),
        ("exp(log(2)) > 1.999 and 2 * 3 + 4 == 10 and 2 + 3 * 4 == 14", True),
        ("8 / 4 / 2 == 1", True),
        ("2^-1 == 0.5", True),
        ("not not true", True),
        ("press.force / 0 > 1 kN", True),
        ("1 / (time - 100 s) != 0 1/s", True),
        ("(((press.force))) > 8 kN", True),
    ],
)
def test_a_condition_is_true_or_false_with_units(text, expected):
    expression = parse_expression(text, unit_of)
    assert expression.is_condition
    assert bool(value(text)) is expected


@pytest.mark.parametrize(
    ("text", "message", "cure", "column"),
    [
        ("press.forse > 8 kN", "no signal 'press.forse'", "press.force", 0),
        ("press.force > 8 kNN", "unknown unit 'kNN'", "units are written as", 16),
        ("press.force > 8 kg", "cannot be compared with", "same dimension", 14),
        ("press.force > 8", "8 has no unit here", "'8 kN'", 14),
        ("40 > press.hardness", "40 has no unit here", "'40 N'", 0),
        ("press.force", "", "", None),
        ("press.force > 8 kN and frame.level", "a value stands where a condition", "compare it", 23),
        ("press.force > 8 kN and", "ends too early", "complete it", 22),
        ("(press.force > 8 kN", "not closed", "add ')'", 0),
        ("press.force = 8 kN", "'=' is not expected here", "'=='", 12),
        ("press.force > 8 kN & true", "'&' is not expected", "'and'", 19),
        ("press.force > 8 kg / h m", "neither a signal nor a function", "component.variable", None),
        ("1 < 2 < 3", "two comparisons in a row", "'and'", 6),
        ("force > 8 kN", "neither a signal nor a function", "component.variable", 0),
        ("sqr(press.force) > 1", "no function 'sqr'", "sqrt", 0),
        ("mean(press.force) > 1 kN", "needs a whole run", "one instant", 0),
        ("exp(press.force) > 1", "with a unit", "divide", 4),
        ("abs(1, 2) > 1", "takes one argument", "abs(x)", 0),
        ("max(1) > 1", "two values or more", "max(x, y)", 0),
        ("sqrt(press.force) > 1", "fractional power", "dimensionless", 0),
        ("press.force^press.force > 1", "has to be a number", "^2", 12),
        ("dryer.temperature + 5 degC > 50 degC", "offset cannot be added", "in K", 20),
        ("dryer.temperature - room.temperature > 5 degC", "difference of temperatures", "in K", 39),
        ("1e999 > 1", "too large a number", "finite", 0),
        ("", "ends too early", "complete it", 0),
        ("(true) + 1 > 0", "a condition stands where a value", "share", 1),
        ("__import__('os').system('true')", "no function '__import__'", "", 0),
        ("press.__class__ > 1", "no signal 'press.__class__'", "", 0),
    ],
)
def test_an_error_names_the_column_and_the_cure(text, message, cure, column):
    if not message:
        assert not parse_expression(text, unit_of).is_condition
        return
    with pytest.raises(ExpressionError) as caught:
        parse_expression(text, unit_of)
    assert message in caught.value.message
    assert cure in caught.value.cure
    if column is not None:
        assert caught.value.column == column


def test_functions_over_a_run_weigh_each_record_by_its_time():
    def over(text: str) -> float:
        expression = parse_expression(text, unit_of, over_time=True)
        series = {"press.force": np.array([1.0, 2.0, 4.0, 3.0]), "feed.mass": np.array([10.0, 20.0, 30.0, 40.0])}
        time, weights = np.array([0.0, 1.0, 2.0, 4.0]), np.array([0.0, 1.0, 1.0, 2.0])
        return float(
            np.atleast_1d(expression.evaluate(Context([series[s] for s in expression.signals], time, weights)))[-1]
        )

    assert over("press.force / 1 kN") == 3.0
    assert over("mean(press.force) / 1 kN") == 3.0
    assert over("integral(press.force) / (1 kN * 1 s)") == pytest.approx(12.0)
    assert over("share(press.force > 2.5 kN)") == 0.75
    assert over("max(press.force) / 1 kN") == 4.0
    assert over("min(press.force) / 1 kN") == 2.0  # the first record has no weight
    assert over("change(feed.mass) / 1 g") == pytest.approx(20.0)
    assert over("first(feed.mass) / last(feed.mass)") == 0.5
    assert over("std(press.force) / 1 kN") == pytest.approx(math.sqrt(0.5))
    with pytest.raises(ExpressionError, match="one number already"):
        over("mean(max(press.force) + mean(press.force))")


def test_nested_parentheses_and_long_texts_end_in_an_error():
    assert attempt("(" * 5000)[0] is None
    assert attempt("(" * 500 + "1" + ")" * 500)[0] is None
    assert attempt("x" * 5000)[0] is None
    assert attempt("not " * 900 + "true")[0] is not None
    assert attempt("-" * 3000 + "1")[0] is not None


WORDS = [
    "press.force",
    "frame.level",
    "8 kN",
    "50 %",
    "and",
    "or",
    "not",
    "(",
    ")",
    "<",
    ">=",
    "+",
    "-",
    "*",
    "/",
    "^",
    "2",
]
WORDS += ["max", ",", "time", "s", "1/h", "'", "true", ".", "mean", "kg/m^3", "°", "\n", "é"]


@settings(max_examples=400, deadline=None)
@given(st.one_of(st.text(max_size=60), st.lists(st.sampled_from(WORDS), max_size=14).map(" ".join)))
def test_any_text_is_an_expression_or_a_clear_error(text):
    for over_time in (False, True):
        expression, column = attempt(text, over_time)
        if expression is None:
            assert 0 <= column <= len(text)
            continue
        values = [np.array([1.0, 2.0]) for _ in expression.signals]
        expression.evaluate(Context(values, np.array([0.0, 1.0]), np.array([0.0, 1.0])))


def attempt(text: str, over_time: bool = False) -> tuple[Expression | None, int]:
    """The expression, or None and the column of the error."""
    try:
        return parse_expression(text, unit_of, over_time=over_time), 0
    except ExpressionError as error:
        return None, error.column


NUMBERS = st.integers(-9, 9).map(str)
TREES = st.recursive(
    NUMBERS,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*"]), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        inner.map(lambda t: f"-{t}"),
        st.tuples(inner, inner).map(lambda t: f"max({t[0]}, {t[1]})"),
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(TREES, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), TREES)
def test_arithmetic_is_pythons(left, operator, right):
    text = f"{left} {operator} {right}"
    assert bool(value(text)) is bool(eval(text, {"max": max}))
