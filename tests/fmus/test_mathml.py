"""The formulas of the documentation page are what the FMU computes: read back from the page and evaluated."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterable
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
    return float(ca.Function("f", symbols, [ca.SX(expression)]).call([values[str(s)] for s in symbols])[0])


def called(model: UnitModel) -> dict[str, Callable[..., dict[str, float]]]:
    """The functions that the equations call, by name; what they give is labelled as on the page."""
    column = [*(s.derivative for s in model.continuous_states), *(e for _, e in (*model.outputs, *model.means))]
    column += [e.indicator for e in model.events] + [s.initial for s in model.states if s.initial is not None]
    everything = ca.vertcat(*column)
    outer = ca.Function("outer", [ca.vertcat(*ca.symvar(everything))], [everything])
    return {name: labelled(outer.get_function(name)) for name in outer.get_function()}


def labelled(function: Any) -> Callable[..., dict[str, float]]:
    def call(*arguments: list[float]) -> dict[str, float]:
        given = [ca.DM(function.sparsity_in(i), v) for i, v in enumerate(arguments)]
        found = {}
        for name, result in zip(function.name_out(), function.call(given), strict=True):
            prefix = f".{name}" if function.n_out() > 1 else ""
            found |= {f"{prefix}[{i}]": float(v) for i, v in enumerate(result.nonzeros(), start=1)}
        return found

    return call


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
        self.quantities = Quantities(self.known, definitions(page), called(model))

    def printed(self, kind: str, heading: str = "") -> dict[str, float]:
        names = {v.name for v in self.model.variables} | {e.name for e in self.model.events}
        chosen = [e for e in self.page if e.kind == kind and heading in ("", e.heading) and e.name in names]
        with np.errstate(all="ignore"):
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
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ml, "DIGITS", 17)  # so that rounding hides nothing
        page = printed(model)
    functions, random = unit_functions_quietly(model), np.random.default_rng(7)
    return [Point(model, page, functions, random) for _ in range(40)]


def assert_same(names: list[str], compared: Iterable[tuple[dict[str, float], Any]]) -> None:
    """Printed values are the true ones at every point where these are finite, and each is at some point."""
    seen = set[str]()
    for ours, theirs in compared:
        assert list(ours) == names
        for name, true in zip(names, np.ravel(theirs), strict=True):
            if math.isfinite(true):
                seen.add(name)
                assert agree(ours[name], float(true)), (name, ours[name], true)
    assert seen == set(names)


def test_the_rates_on_the_page_are_those_of_the_code(points: list[Point]) -> None:
    model = points[0].model
    derived = [i for i, s in enumerate(model.states) if s.derivative is not None]
    true = [np.ravel(p.f.derivative(p.t, p.x, p.z, p.u, p.p))[derived] for p in points]
    names = [s.variable.name for s in model.continuous_states]
    assert_same(names, [(p.printed("rate"), t) for p, t in zip(points, true, strict=True)])


def test_the_outputs_on_the_page_are_those_of_the_code(points: list[Point]) -> None:
    true = [p.f.outputs(p.t, p.x, p.z, p.u, p.p, p.q) for p in points]
    names = [v.name for v, _ in points[0].model.outputs]
    assert_same(names, [(p.printed("value", "Outputs"), t) for p, t in zip(points, true, strict=True)])


def test_the_events_on_the_page_are_those_of_the_code(points: list[Point]) -> None:
    events = points[0].model.events
    true = [p.f.indicators(p.t, p.x, p.z, p.u, p.p) for p in points]
    assert_same([e.name for e in events], [(p.printed("indicator"), t) for p, t in zip(points, true, strict=True)])
    states = [s.variable.name for s in points[0].model.states]
    for number, event in enumerate(events):
        after = []
        for point in points:
            jumps = point.printed("jump", event.name)
            assert set(jumps) == set(event.assign)
            true_after = point.f.transition(number, point.t, point.x, point.u, point.p)
            after.append(({n: jumps.get(n, point.known[n]) for n in states}, true_after))
        assert_same(states, after)


def test_the_starts_on_the_page_are_those_of_the_code(points: list[Point]) -> None:
    states = points[0].model.states
    calculated = [i for i, s in enumerate(states) if s.initial is not None]
    true = [np.ravel(p.f.initial(p.u, p.p, p.x))[calculated] for p in points]
    names = [states[i].variable.name for i in calculated]
    assert_same(names, [(p.printed("start"), t) for p, t in zip(points, true, strict=True)])


def test_the_implicit_equations_on_the_page_are_those_of_the_model(points: list[Point]) -> None:
    model = points[0].model
    if not model.algebraics:
        assert not points[0].printed("residual")
        return
    symbols = [s for _, s in (*model.inputs, *model.parameters)] + [s.symbol for s in model.states]
    given = ca.vertcat(model.time, *symbols, *(a.symbol for a in model.algebraics))
    names = [a.variable.name for a in model.algebraics]
    for kind, column in (
        ("residual", [a.residual for a in model.algebraics]),
        ("guess", [a.start for a in model.algebraics]),
    ):
        function = ca.Function("f", [given], [ca.vertcat(*column)])
        true = [function([p.t, *p.u, *p.p, *p.x, *p.z]) for p in points]
        assert_same(names, [(p.printed(kind), t) for p, t in zip(points, true, strict=True)])


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


def test_a_condition_that_is_computed_with_is_explained() -> None:
    explained = "1 where it holds and 0 elsewhere"
    assert explained in documentation_page(model_of(2 * (X > 1), X), 3)
    assert explained not in documentation_page(model_of(ca.if_else(X > 1, Y, 2), X, Y), 3)


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


def test_a_name_that_moves_and_stays_in_the_same_row_is_not_taken_for_one_that_moves() -> None:
    model = UnitModel("m", "")
    x = model.state("x", [1.0] * 4, "1", "")
    model.derivative(x, ca.vertcat(*(x[k] * 3 + x[0] for k in range(4))))
    values = {f"x[{i}]": float(i) for i in range(1, 5)}
    assert [float(e.right(Quantities(values))) for e in printed(model)] == [4.0, 7.0, 10.0, 13.0]


def test_names_that_begin_to_move_later_end_the_run() -> None:
    model = UnitModel("m", "")
    x, y = model.state("x", [1.0] * 5, "1", ""), model.input("y", [1.0] * 5, "1", "")
    model.derivative(x, ca.vertcat(*(x[k] * 3 + y[max(k - 2, 0)] for k in range(5))))
    values = {f"x[{i}]": float(i) for i in range(1, 6)} | {f"y[{i}]": 100.0 * i for i in range(1, 6)}
    found = [float(e.right(Quantities(values))) for e in printed(model)]
    assert found == [103.0, 106.0, 109.0, 212.0, 315.0]


@pytest.mark.parametrize("compare", [lambda a, b: a < b, lambda a, b: a <= b, lambda a, b: a == b, lambda a, b: a != b])
def test_comparisons_and_their_opposites_hold_at_the_limit(compare: Callable[[Any, Any], Any]) -> None:
    condition = compare(X, Y)
    for expression in (
        condition,
        ca.logic_not(condition),
        ca.if_else(condition, 3, 4),
        ca.if_else(ca.logic_not(condition), 3, 4),
        ca.if_else(compare(ca.SX(1.0), X), 3, 4),
    ):
        for x in (0.0, 1.0, 2.0):
            assert value(expression, x=x, y=1.0) == exact(expression, x=x, y=1.0), str(expression)


def test_and_or_and_not_are_read_as_they_are_nested() -> None:
    a, b, c = X > 0, Y > 0, Z > 0
    both, either, no = ca.logic_and, ca.logic_or, ca.logic_not
    for condition in (
        both(a, either(b, c)),
        either(both(a, b), c),
        both(either(a, b), either(b, c)),
        no(both(a, either(no(b), c))),
        both(no(either(a, b)), c),
        either(a, no(both(b, no(c)))),
    ):
        expression = ca.if_else(condition, 3, 4)
        for x, y, z in itertools.product((-1.0, 1.0), repeat=3):
            assert value(expression, x=x, y=y, z=z) == exact(expression, x=x, y=y, z=z), (str(condition), x, y, z)


def test_two_products_of_different_conditions_are_not_taken_for_one_choice() -> None:
    expression = ca.if_else(X > 0, Y, 0) + ca.if_else(Z > 0, 0, Y)
    for x, z in ((1.0, 1.0), (1.0, -1.0), (-1.0, 1.0), (-1.0, -1.0)):
        assert value(expression, x=x, y=5.0, z=z) == exact(expression, x=x, y=5.0, z=z)


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


def test_neighbours_in_an_array_are_written_as_a_sum() -> None:
    model = UnitModel("m", "")
    x, k = model.input("x", [1.0] * 12, "1", ""), model.input("k", 3.0, "1", "")
    model.output("total", k * (ca.sum1(x[2:9]) - ca.sum1(x[:3])) / ca.sum1(x), "1", "")
    page = documentation_page(model, 3)
    assert page.count("∑") == 2
    values = {f"x[{i}]": float(i * i) for i in range(1, 13)} | {"k": 3.0}
    true = 3.0 * (sum(i * i for i in range(3, 10)) - 14) / 650
    assert math.isclose(float(Quantities(values, definitions(equations(page)))("total")), true)


def test_neighbours_of_different_signs_are_not_one_sum() -> None:
    model = UnitModel("m", "")
    x = model.input("x", [1.0] * 8, "1", "")
    model.output("total", x[0] + x[1] - x[2] - x[3] - x[4] - x[5] + x[6] + x[7], "1", "")
    page = documentation_page(model, 3)
    assert page.count("∑") == 1
    values = {f"x[{i}]": 10.0**i for i in range(1, 9)}
    assert float(Quantities(values, definitions(equations(page)))("total")) == 110.0 - 1_111_000.0 + 110_000_000.0


def test_a_small_function_that_is_called_is_written_out() -> None:
    inner = ca.Function("inner", [X, Y], [X * Y + 1, X - Y], {"never_inline": True})
    outer = ca.Function("outer", [X], [inner(X, 3.0)[0] * inner(X, 2.0)[1]], {"never_inline": True})
    assert value(2 * outer(X), x=5.0) == 2 * 16.0 * 3.0


def test_a_large_function_that_is_called_is_named_with_its_arguments() -> None:
    model = UnitModel("m", "")
    x, k = model.state("x", [1.0] * 40, "1", ""), model.input("k", 2.0, "1", "")
    a, b = ca.MX.sym("a", 40), ca.MX.sym("b", 2)
    large = ca.Function(
        "large",
        [a, b],
        [ca.mtimes(np.tri(40), a) * b[0], a[3] + b[1]],
        ["a", "b"],
        ["up", "down"],
        {"never_inline": True},
    )
    up, down = large(ca.vertcat(x[30:], x[4:30], x[2], x[0], x[3], x[1]), ca.vertcat(k**2, ca.sin(k) / 3))
    model.derivative(x, up - x * down)
    page = documentation_page(model, 3)
    assert "sources/equations.c" in page[page.index('id="equations"') :]
    found = equations(page)
    rates = [e for e in found if e.kind == "rate"]
    assert page.count('class="equation"') == 2

    values = {f"x[{i}]": math.sin(i) for i in range(1, 41)} | {"k": 2.0}
    quantities = Quantities(values, definitions(found), called(model))
    functions = unit_functions_quietly(model)
    true = np.ravel(functions.derivative(0.0, [values[f"x[{i}]"] for i in range(1, 41)], [], [2.0], []))
    assert np.allclose([float(e.right(quantities)) for e in rates], true, rtol=1e-12)
