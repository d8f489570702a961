"""The formulas of the documentation page are what the FMU computes: read back from the page and evaluated."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import casadi as ca
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from mathml_reader import Equation, Quantities, equations, formula

import fmus
from fmus import UnitModel
from fmus.codegen import unit_functions_quietly
from fmus.documentation import documentation_page
from fmus.documentation import markup as ml
from fmus.documentation.equations import MOST_OPERATIONS

# numbers are printed to ten digits
PRINTED = 1e-8


def model_of(expression: Any, *symbols: Any) -> UnitModel:
    """A model whose one output is ``expression``."""
    model = UnitModel("m", "")
    model.inputs = [(fmus.model.Variable(str(s), "input", "1", ""), s) for s in symbols]
    model.output("result", expression, "1", "")
    return model


def printed(model: UnitModel) -> list[Equation]:
    return equations(documentation_page(model, 3))


def definitions(found: list[Equation]) -> dict[str, Any]:
    return {e.name: e.right for e in found if e.kind == "value"}


def value(expression: Any, **values: float) -> float:
    """What the page says that ``expression`` is."""
    symbols = ca.symvar(ca.SX(expression))
    found = definitions(printed(model_of(expression, *symbols)))
    return float(Quantities(values, found)("result"))


def exact(expression: Any, **values: float) -> float:
    symbols = ca.symvar(ca.SX(expression))
    return float(ca.Function("f", symbols, [expression]).call([values[str(s)] for s in symbols])[0])


def agree(ours: float, theirs: float) -> bool:
    return math.isclose(ours, theirs, rel_tol=PRINTED, abs_tol=1e-14)


class Point:
    """A model's functions and its page at one random point."""

    def __init__(self, model: UnitModel, page: list[Equation], functions: Any, random: np.random.Generator) -> None:
        self.model, self.page, self.f = model, page, functions
        groups = ([v for v, _ in model.inputs], [v for v, _ in model.parameters], [s.variable for s in model.states])
        self.u, self.p, self.x = ([drawn(v, random) for v in g] for g in groups)
        self.t = float(random.uniform(0.0, 1e4))
        self.z = [float(random.uniform(0.5, 3.0)) for _ in model.algebraics]
        self.q = [float(v) for v in np.ravel(functions.integrand(self.t, self.x, self.z, self.u, self.p))]
        names = [v.name for v in model.variables]
        self.known = dict(zip(names, [*self.u, *self.p, *self.x, *self.z], strict=False)) | {"t": self.t}
        self.quantities = Quantities(self.known, definitions(page))

    def printed(self, kind: str, heading: str = "") -> dict[str, float]:
        chosen = [e for e in self.page if e.kind == kind and heading in ("", e.heading)]
        return {e.name: float(e.right(self.quantities)) for e in chosen}


def drawn(variable: Any, random: np.random.Generator) -> float:
    """A value of ``variable`` within its range, of its usual size or much below; all values of an enumeration."""
    low = -math.inf if variable.minimum is None else variable.minimum
    high = math.inf if variable.maximum is None else variable.maximum
    if variable.items:
        return float(random.integers(len(variable.items)))
    size = variable.start or variable.nominal
    return min(max(size * float(random.choice([random.uniform(0.3, 2.0), 1e-5], p=[0.9, 0.1])), low), high)


@pytest.fixture(scope="module", params=fmus.unit_names())
def points(request: pytest.FixtureRequest) -> list[Point]:
    model = fmus.unit_model(request.param)
    page, functions, random = printed(model), unit_functions_quietly(model), np.random.default_rng(7)
    return [Point(model, page, functions, random) for _ in range(60)]


def assert_same(point: Point, ours: dict[str, float], names: list[str], theirs: Any) -> None:
    expected = [float(v) for v in np.ravel(theirs)]
    assert list(ours) == names
    for (name, printed_value), true in zip(ours.items(), expected, strict=True):
        assert math.isfinite(true), (name, point.known)
        assert agree(printed_value, true), (name, printed_value, true, point.known)


def test_the_rates_on_the_page_are_those_of_the_code(points: list[Point]) -> None:
    for point in points:
        everything = np.ravel(point.f.derivative(point.t, point.x, point.z, point.u, point.p))
        derived = [i for i, s in enumerate(point.model.states) if s.derivative is not None]
        names = [s.variable.name for s in point.model.continuous_states]
        assert_same(point, point.printed("rate"), names, everything[derived])


def test_the_outputs_on_the_page_are_those_of_the_code(points: list[Point]) -> None:
    for point in points:
        true = point.f.outputs(point.t, point.x, point.z, point.u, point.p, point.q)
        names = [v.name for v, _ in point.model.outputs]
        ours = {n: v for n, v in point.printed("value", "Outputs").items() if n in names}
        assert_same(point, ours, names, true)


def test_the_events_on_the_page_are_those_of_the_code(points: list[Point]) -> None:
    for point in points:
        true = point.f.indicators(point.t, point.x, point.z, point.u, point.p)
        assert_same(point, point.printed("indicator"), [e.name for e in point.model.events], true)
        for number, event in enumerate(point.model.events):
            jumps = point.printed("jump", event.name)
            after = np.ravel(point.f.transition(number, point.t, point.x, point.u, point.p))
            before = {s.variable.name: point.known[s.variable.name] for s in point.model.states}
            assert set(jumps) == set(event.assign)
            for name, true_value in zip(before, after, strict=True):
                assert agree(jumps.get(name, before[name]), float(true_value)), (event.name, name)


def test_the_starts_on_the_page_are_those_of_the_code(points: list[Point]) -> None:
    for point in points:
        calculated = [i for i, s in enumerate(point.model.states) if s.initial is not None]
        true = np.ravel(point.f.initial(point.u, point.p, point.x))[calculated]
        names = [point.model.states[i].variable.name for i in calculated]
        assert_same(point, point.printed("start"), names, true)


def test_the_implicit_equations_on_the_page_are_those_of_the_model(points: list[Point]) -> None:
    for point in points:
        model = point.model
        given = [s for _, s in (*model.inputs, *model.parameters)] + [s.symbol for s in model.states]
        given = ca.vertcat(model.time, *given, *(a.symbol for a in model.algebraics))
        at = [point.t, *point.u, *point.p, *point.x, *point.z]
        names = [a.variable.name for a in model.algebraics]
        for kind, column in (
            ("residual", [a.residual for a in model.algebraics]),
            ("guess", [a.start for a in model.algebraics]),
        ):
            true = ca.Function("f", [given], [ca.vertcat(*column)])(at) if column else []
            assert_same(point, point.printed(kind), names, true)


X, Y, Z = (ca.SX.sym(n) for n in ("x", "y", "z"))
UNARY: list[Callable[[Any], Any]] = [
    lambda a: -a,
    lambda a: a**2,
    lambda a: a**3,
    lambda a: a**4,
    lambda a: 1 / a,
    lambda a: 2 * a,
    lambda a: a**-1.5,
    lambda a: a / 3600 * 1e-6,
    lambda a: ca.pi / 4 * a,
    ca.sqrt,
    ca.exp,
    ca.log,
    ca.log1p,
    ca.expm1,
    ca.fabs,
    ca.floor,
    ca.ceil,
    ca.sign,
    ca.sin,
    ca.cos,
    ca.tan,
    ca.asin,
    ca.acos,
    ca.atan,
    ca.sinh,
    ca.cosh,
    ca.tanh,
    ca.asinh,
    ca.acosh,
    ca.atanh,
    ca.erf,
    ca.logic_not,
    ca.log10,
]
BINARY: list[Callable[[Any, Any], Any]] = [
    lambda a, b: a + b,
    lambda a, b: a - b,
    lambda a, b: a * b,
    lambda a, b: a / b,
    lambda a, b: a**b,
    lambda a, b: a > b,
    lambda a, b: a >= b,
    lambda a, b: a == b,
    lambda a, b: a != b,
    ca.fmin,
    ca.fmax,
    ca.atan2,
    ca.fmod,
    ca.copysign,
    ca.hypot,
    ca.logic_and,
    ca.logic_or,
    lambda a, b: ca.if_else(a > b, a, 0.0),
    lambda a, b: ca.if_else(ca.logic_and(a > 0, ca.logic_not(b < 1)), a, b),
]


@st.composite
def expressions(draw: Any) -> Any:
    """A random expression of x, y and z in which parts occur again and again."""
    numbers = [0.0, 1.0, -1.0, 0.5, -2.5, 3.0, 1e-5, 2.0e9, 0.1, 1 / 3, math.pi, 1 / 3600]
    pool = [X, Y, Z, *(ca.SX(n) for n in draw(st.lists(st.sampled_from(numbers), max_size=4)))]
    for _ in range(draw(st.integers(1, 18))):
        some = [pool[draw(st.integers(0, len(pool) - 1))] for _ in range(3)]
        kind = draw(st.integers(0, 9))
        if kind < 3:
            pool.append(draw(st.sampled_from(UNARY))(some[0]))
        elif kind < 9:
            pool.append(draw(st.sampled_from(BINARY))(some[0], some[1]))
        else:
            pool.append(ca.if_else(*some))
    return pool[-1]


def parts_of(expression: Any) -> list[Any]:
    """All subexpressions."""
    found, stack = dict[int, Any](), [ca.SX(expression)]
    while stack:
        part = stack.pop()
        if part.element_hash() not in found:
            found[part.element_hash()] = part
            stack.extend(part.dep(i) for i in range(part.n_dep()))
    return list(found.values())


@settings(max_examples=300, deadline=None)
@given(expressions(), st.lists(st.sampled_from([-2.0, -0.7, 0.0, 0.3, 1.0, 1.7]), min_size=3, max_size=3))
def test_any_expression_is_read_back_as_it_was_written(expression: Any, point: list[float]) -> None:
    values = dict(zip("xyz", point, strict=True))
    true = exact(expression, **values)
    # what no number is on the way, or hangs on the last digit of one, is no matter of printing
    everything = ca.Function("f", [X, Y, Z], [ca.vertcat(*parts_of(expression))])(*point)
    assume(np.isfinite(np.array(everything)).all())
    moved = [[v + e * (i + 1) for i, v in enumerate(point)] for e in (1e-9, -1e-9)]
    nearby = [exact(expression, **dict(zip("xyz", m, strict=True))) for m in moved]
    assume(all(math.isclose(true, n, rel_tol=1e-6, abs_tol=1e-9) for n in nearby))
    with np.errstate(all="ignore"):
        ours = value(expression, **values)
    assert math.isclose(ours, true, rel_tol=1e-6, abs_tol=1e-8), (str(expression), values)


@pytest.mark.parametrize(
    "number", [0.0, 1.0, 12.0, 3600.0, 0.1, 1e-3, 2.5e-4, 1e-7, 1.5e-12, 6.02214e23, 1e300, math.pi, 1e-3 * math.pi / 4]
)
def test_numbers_are_read_back(number: float) -> None:
    assert math.isclose(float(formula(ml.number(number))(Quantities({}))), number, rel_tol=1e-9)


def test_short_numbers_are_printed_short() -> None:
    assert ml.number(3600.0) == "<mn>3600</mn>"
    assert ml.number(0.1) == "<mn>0.1</mn>"
    assert ml.number(1e-6).count("<mn>") == 2


def test_cases_are_printed_as_cases() -> None:
    page = documentation_page(model_of(ca.if_else(X > 1, Y, ca.if_else(X > 0, Z, 5)), X, Y, Z), 3)
    _, table = page.split("<mtable")
    assert [table.count(word) for word in (">if", ">else if", ">otherwise")] == [1, 1, 1]


def test_no_brackets_where_none_are_needed() -> None:
    page = documentation_page(model_of(X * Y - X / (2 * Y) + ca.sqrt(X + Y), X, Y), 3)
    equation = page[page.index('class="equation"') :].split("</math>")[0]
    assert "<mo>(" not in equation
    assert "stretchy" not in equation


def test_a_part_that_occurs_again_is_printed_once() -> None:
    part = ca.exp(-X / Y) * (Z - X)
    page = documentation_page(model_of(ca.sin(part) + ca.cos(part) / part, X, Y, Z), 3)
    assert page.count("<mi>exp</mi>") == 1


def test_an_output_lends_its_name_to_other_equations() -> None:
    model = UnitModel("m", "")
    x = model.state("x", 1.0, "1", "")
    model.output("rate", ca.exp(-x) * (1 - x), "1", "")
    model.derivative(x, -x * ca.exp(-x) * (1 - x) + 1 - (ca.exp(-x) * (1 - x)))
    found = printed(model)
    quantities = Quantities({"x": 0.3}, definitions(found))
    true = math.exp(-0.3) * 0.7
    assert {e.name for e in found} == {"x", "rate"}
    assert math.isclose(next(e for e in found if e.kind == "rate").right(quantities), 1 - 1.3 * true)


def test_rows_of_an_array_are_printed_as_one_equation() -> None:
    model = UnitModel("m", "")
    feed = model.input("feed", 1.0, "1", "")
    x = model.state("x", [1.0] * 30, "1", "")
    model.derivative(x, ca.vertcat(feed - x[0], *(x[i - 1] - x[i] for i in range(1, 30))))
    model.output("last", x[29], "1", "")
    page = documentation_page(model, 3)
    assert page.count('class="equation"') == 3
    rates = [e for e in equations(page) if e.kind == "rate"]
    assert [e.name for e in rates] == [f"x[{i}]" for i in range(1, 31)]
    values = {"feed": 7.0} | {f"x[{i}]": float(i * i) for i in range(1, 31)}
    assert [float(e.right(Quantities(values))) for e in rates] == [6.0, *(float(1 - 2 * i) for i in range(2, 31))]


def test_rows_that_differ_in_more_than_the_index_stay_apart() -> None:
    model = UnitModel("m", "")
    x = model.state("x", [1.0] * 4, "1", "")
    model.derivative(x, ca.vertcat(x[0] * 3, x[1] * 3, x[2] * 4, x[0] * 3))
    values = {f"x[{i}]": float(i) for i in range(1, 5)}
    assert [float(e.right(Quantities(values))) for e in printed(model)] == [3.0, 6.0, 12.0, 3.0]


def test_names_of_the_page_itself_do_not_clash_with_the_models() -> None:
    model = UnitModel("m", "")
    a = model.input("a", [1.0, 2.0], "1", "")
    t, k = model.input("t", 3.0, "1", ""), model.input("k", 4.0, "1", "")
    x = model.state("x", [1.0] * 5, "1", "")
    part = ca.exp(-a[0] / a[1]) * (t - k) * model.time
    model.derivative(x, k * x + part + ca.sin(part))
    values = {"a[1]": 1.0, "a[2]": 2.0, "t": 3.0, "k": 4.0, "time": 5.0} | {f"x[{i}]": 1.0 * i for i in range(1, 6)}
    found = printed(model)
    quantities = Quantities(values, definitions(found))
    true = math.exp(-0.5) * -5.0
    for i, equation in enumerate([e for e in found if e.kind == "rate"], start=1):
        assert math.isclose(equation.right(quantities), 4 * i + true + math.sin(true))


def sectional(classes: int) -> UnitModel:
    """A population balance with aggregation between all pairs of classes."""
    model = UnitModel("granulator", "")
    rate = model.parameter("rate", [1e-3 * (i + 1) for i in range(classes)], "1/s", "", source="test")
    n = model.state("n", [1.0 / (i + 1) for i in range(classes)], "1", "")
    beta = [[rate[i] * ca.exp(-(rate[i] + rate[j])) for j in range(classes)] for i in range(classes)]
    for k in range(classes):
        born = sum((beta[i][k - i] * n[i] * n[k - i] for i in range(k)), ca.SX(0))
        gone = sum((beta[k][j] * n[j] for j in range(classes - k)), ca.SX(0))
        model.derivative(n[k], born - n[k] * gone)
    return model


def test_a_population_balance_of_thirty_classes_is_printed_and_right() -> None:
    model = sectional(30)
    begun = time.perf_counter()
    page = documentation_page(model, 3)
    assert time.perf_counter() - begun < 10.0
    assert len(page) < 2_000_000
    found, functions = equations(page), unit_functions_quietly(model)
    x, p = ([v.start for v in model.variables if v.causality == c] for c in ("local", "parameter"))
    quantities = Quantities(dict(zip((v.name for v in model.variables), [*p, *x], strict=True)), definitions(found))
    rates = [float(e.right(quantities)) for e in found if e.kind == "rate"]
    assert np.allclose(rates, np.ravel(functions.derivative(0.0, x, [], [], p)), rtol=PRINTED)


def test_equations_beyond_the_limit_are_said_to_be_in_the_sources() -> None:
    page = documentation_page(sectional(100), 3)
    assert "sources/equations.c" in page
    assert f"More than {MOST_OPERATIONS}" in page
    assert 'class="equation"' not in page


def test_a_graph_that_unfolds_without_bound_is_printed_in_proportion_to_the_graph() -> None:
    sizes = []
    for depth in (40, 80, 160):
        part = X
        for i in range(depth):  # the tree of it has 3**depth leaves
            part = ca.sin(part) * part + (i + 2.5) / part
        sizes.append(len(documentation_page(model_of(part, X), 3)))
    assert sizes[2] - sizes[1] < 2.5 * (sizes[1] - sizes[0])


def test_a_long_sum_is_broken_into_lines_and_read_as_one() -> None:
    symbols = [ca.SX.sym(f"quantity_number_{i}") for i in range(40)]
    page = documentation_page(model_of(sum(symbols, ca.SX(0)), *symbols), 3)
    assert page.count("<mtr>") > 5
    values = {str(s): float(i) for i, s in enumerate(symbols)}
    assert float(definitions(equations(page))["result"](Quantities(values))) == sum(range(40))


def test_a_call_of_another_function_is_said_not_to_be_printed() -> None:
    inner = ca.Function("inner", [X], [X * X + 1], {"never_inline": True})
    page = documentation_page(model_of(2 * inner(X), X), 3)
    assert "calls another function" in page
    assert "sources/equations.c" in page
