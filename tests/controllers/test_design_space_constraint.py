from __future__ import annotations

import math
from pathlib import Path

import casadi as ca
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controllers.design_space.back_off import BackOff, Tightening
from controllers.design_space.constraint import RegionConstraint, nearest_in_polytope, region_constraint
from controllers.design_space.region import Polytope, ProbabilityRegion, Region
from controllers.design_space.space import DesignSpace, Range
from fmus.errors import GalenicError

DOMAIN = {"press.force": Range(4.0, 8.0, "kN"), "press.gap": Range(1.0, 3.0, "mm")}
NAMES, UNITS = ("feeder.flow", "press.gap", "press.force"), ("kg/h", "m", "N")  # another order, other units
LOW, HIGH = np.array([0.001, 4000.0]), np.array([0.003, 8000.0])
WEDGE = Polytope(DOMAIN, np.array([[1.0, 2.0], [-1.0, 1.0]]), np.array([11.0, -3.0]))


def disc(confidence: float = 0.5, variance: float = 0.0) -> ProbabilityRegion:
    """Logit 5 - 10 (z1^2 + z2^2): a disc about (6 kN, 2 mm) of radius sqrt((5 - logit .9) / 10) in z."""
    return ProbabilityRegion(
        DOMAIN, np.array([5.0, 0.0, 0.0, -10.0, 0.0, -10.0]), np.diag([variance] * 6), 0.9, confidence
    )


def constraint(region: Region, back_off: float = 0.0) -> RegionConstraint:
    box = {"press.force": Range(5.9, 6.1, "kN"), "press.gap": Range(1.95, 2.05, "mm")}
    if isinstance(region, Polytope):
        box = {"press.force": Range(6.0, 6.4, "kN"), "press.gap": Range(1.5, 2.0, "mm")}
    space = DesignSpace(box, region=region, back_off=BackOff(region=back_off) if back_off else None)
    found = region_constraint(space, NAMES, UNITS)
    assert found is not None
    return found


def z_of(values: np.ndarray) -> np.ndarray:
    """Of (force in N, gap in m), in the order of the domain."""
    return np.array([(values[0] / 1e3 - 6.0) / 2.0, values[1] * 1e3 - 2.0])


def test_it_is_in_the_controllers_order_and_units() -> None:
    c = constraint(disc())
    assert c.inputs == ("press.force", "press.gap")
    assert c.margin(np.array([1.0, 0.002, 6000.0])) == pytest.approx(5.0 - math.log(9.0))
    assert region_constraint(DesignSpace({}, region=disc()), ("press.gap",), ("mm",)) is None


def test_a_point_outside_a_disc_goes_to_its_edge_along_the_radius() -> None:
    for back_off in (0.0, 1.0):
        c = constraint(disc(), back_off)
        radius = math.sqrt((5.0 - math.log(9.0) - back_off) / 10.0)
        for angle in np.linspace(0.0, 6.0, 13):
            outside = np.array([6000.0 + 1900.0 * math.cos(angle), 0.002 + 0.00095 * math.sin(angle)])
            z = z_of(c.project(outside))
            assert np.hypot(*z) == pytest.approx(radius, rel=1e-5)
            assert z / np.hypot(*z) == pytest.approx([math.cos(angle), math.sin(angle)], abs=1e-4)


def test_what_is_inside_stays() -> None:
    values = np.array([6100.0, 0.0021])
    assert constraint(disc()).project(values) == pytest.approx(values, rel=1e-14)


def test_a_point_outside_a_polytope_goes_to_the_nearest_face_or_corner() -> None:
    c = constraint(WEDGE)
    found = c.project(np.array([8000.0, 0.003])) * [1e-3, 1e3]
    # min ((f - 8) / 2)^2 + (g - 3)^2 on f + 2 g = 11: by Lagrange f = 8 - 4 l, g = 3 - 2 l, 14 - 8 l = 11
    assert found == pytest.approx([6.5, 2.25], abs=1e-5)
    # the other face, g - f = -3: (4 + 4 l, 3 - l)
    assert c.project(np.array([4000.0, 0.003])) * [1e-3, 1e3] == pytest.approx([5.6, 2.6], abs=1e-5)


def test_moves_that_end_before_the_region_give_the_point_nearest_to_it() -> None:
    c = constraint(disc())
    low, high = np.array([7500.0, 0.0026]), np.array([7800.0, 0.0028])
    assert c.project(np.array([7700.0, 0.0027]), low, high) == pytest.approx([7500.0, 0.0026])
    beyond = c.project(np.array([9000.0, 0.0035]), np.array([8500.0, 0.0032]), np.array([9500.0, 0.0038]))
    assert beyond == pytest.approx([8500.0, 0.0032])


def test_rows_are_the_polytopes_own_or_a_cut_at_the_edge() -> None:
    exact = constraint(WEDGE, 0.1)
    rows, bounds = exact.rows(np.array([3.0, 0.002, 6000.0]))
    assert rows.shape == (2, 3)
    assert (rows[:, 0] == 0.0).all()
    for force, gap in ((5.0, 1.2), (6.2, 2.1), (7.5, 2.9)):
        u = np.array([3.0, gap * 1e-3, force * 1e3])
        assert (rows @ u <= bounds).all() == (exact.margin(u) >= 0.0)
    cut = constraint(disc())
    u = np.array([3.0, 0.0028, 7500.0])
    rows, bounds = cut.rows(u)
    assert rows.shape == (1, 3)
    edge = u.copy()
    edge[[2, 1]] = cut.project(u[[2, 1]])
    assert float(rows[0] @ u - bounds[0]) > 0.0
    assert float(rows[0] @ edge - bounds[0]) == pytest.approx(0.0, abs=1e-4)
    middle = np.array([3.0, 0.002, 6000.0])
    assert float(rows[0] @ middle - bounds[0]) < 0.0


@pytest.mark.parametrize("region", [disc(), disc(0.9, 0.3), WEDGE])
def test_the_expression_is_the_margin(region: Region) -> None:
    c = constraint(region, 0.05)
    u = ca.SX.sym("u", 2)
    f = ca.Function("f", [u], [c.expression(u), ca.gradient(c.expression(u), u)])
    slack = math.log(2.0) / 50.0 if isinstance(region, Polytope) else 1e-5
    for force, gap in ((5.0, 1.2), (6.2, 2.2), (7.5, 2.9), (6.0, 2.0)):
        value, gradient = f([force * 1e3, gap * 1e-3])
        margin = c.margin(np.array([0.0, gap * 1e-3, force * 1e3]))
        assert margin - slack <= float(value) <= margin + 1e-5
        assert np.isfinite(np.array(gradient)).all()
        assert float(c.expression(np.array([force * 1e3, gap * 1e-3]))) == pytest.approx(float(value), abs=1e-9)


def test_the_gradient_of_a_probability_is_that_of_differences() -> None:
    region = ProbabilityRegion(
        DOMAIN, np.array([2.0, 1.0, -0.5, -3.0, 0.7, -2.0]), np.diag([0.2, 0.1, 0.1, 0.3, 0.1, 0.2]), 0.9, 0.8
    )
    at = np.array([6.7, 1.6])
    seen = [
        (region.margin((at + e)[None, :])[0] - region.margin((at - e)[None, :])[0]) / 2e-5 for e in np.eye(2) * 1e-5
    ]
    assert region.tangent(at)[0] == pytest.approx(region.margin(at[None, :])[0])
    assert region.tangent(at)[1] == pytest.approx(seen, rel=1e-6)


@pytest.mark.parametrize("region", [disc(), disc(0.9, 0.3), WEDGE])
@given(values=st.tuples(st.floats(), st.floats()), moved=st.tuples(st.floats(-1, 1), st.floats(-1, 1)))
def test_whatever_comes_in_what_goes_out_is_inside(
    region: Region, values: tuple[float, float], moved: tuple[float, float]
) -> None:
    c = constraint(region)
    found = c.project(np.array(values))
    assert c.margin(np.array([0.0, found[1], found[0]])) >= -1e-9
    middle = c.centre * [1e3, 1e-3] + np.array(moved) * [1900.0, 0.00095]
    reach = np.array([200.0, 0.0001])
    low, high = middle - reach, middle + reach
    near = c.project(np.array(values), low, high)
    assert (near >= low - 1e-9).all()
    assert (near <= high + 1e-9).all()


def test_the_nearest_point_of_a_polytope_without_points_is_none() -> None:
    assert nearest_in_polytope(np.zeros(1), np.array([[1.0], [-1.0]]), np.array([-1.0, -1.0])) is None
    found = nearest_in_polytope(np.array([3.0, 3.0]), np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([1.0, 2.0]))
    assert found == pytest.approx([1.0, 2.0])


SPACE = """\
design_space: galenic/1
setpoints:
  press.gap: {min: 1, max: 3, unit: mm}
critical_quality_attributes:
  weight: {min: 219, max: 233, unit: mg}
  hardness: {min: 42, unit: N}
back_off:
  region: 0.4
  attributes:
    weight: {low: 2, high: 1500 ug, unit: mg}
    hardness: {low: 3}
"""


def load(directory: Path, text: str) -> DesignSpace:
    file = directory / "space.yaml"
    file.write_text(text, encoding="utf-8")
    return DesignSpace.load(file)


def test_a_back_off_tightens_what_a_controller_keeps_to_and_nothing_else(tmp_path: Path) -> None:
    space = load(tmp_path, SPACE)
    assert space.back_off == BackOff({"weight": Tightening(2.0, 1.5, "mg"), "hardness": Tightening(3.0, 0.0, "N")}, 0.4)
    assert space.soft_limits["weight"] == Range(221.0, 231.5, "mg")
    assert space.soft_limits["hardness"] == Range(45.0, math.inf, "N")
    assert space.critical_quality_attributes["weight"] == Range(219.0, 233.0, "mg")


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("low: 2,", "low: -2,", 10, "widens"),
        ("low: 2,", "low: 20,", 9, "leaves nothing"),
        ("    weight:", "    wait:", 10, "not among"),
        ("region: 0.4", "region: lots", 8, "not a number"),
        ("region: 0.4", "regoin: 0.4", 8, "unknown key"),
    ],
)
def test_errors_name_the_line(tmp_path: Path, old: str, new: str, line: int, message: str) -> None:
    start = SPACE.index("back_off")
    with pytest.raises(GalenicError, match=message) as error:
        load(tmp_path, SPACE[:start] + SPACE[start:].replace(old, new))
    assert error.value.line == line
    assert error.value.cure


def test_who_moves_all_setpoints_of_a_region_may_use_its_whole_domain() -> None:
    box = {"press.force": Range(5.9, 6.1, "kN"), "press.gap": Range(1.95, 2.05, "mm")}
    space = DesignSpace(box, region=disc())
    assert space.hard_ranges(["press.gap", "press.force", "x"]) == DOMAIN
    assert space.hard_ranges(["press.gap"]) == box
