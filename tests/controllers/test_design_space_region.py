from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from controllers.design_space.box import acceptable_alone, inscribed_box, safest_point, worst_in_box
from controllers.design_space.region import Polytope, ProbabilityRegion, quadratic_features
from controllers.design_space.space import DesignSpace, Range
from fmus.errors import GalenicError

DOMAIN = {"press.force": Range(4.0, 8.0, "kN"), "press.gap": Range(1.0, 3.0, "mm")}

POLYTOPE = """\
design_space: galenic/1
region:
  kind: polytope
  domain:
    press.force: {min: 4, max: 8, unit: kN}
    press.gap: {min: 1, max: 3, unit: mm}
  rows:
    - {coefficients: {press.force: 1, press.gap: 2}, at_most: 11}
"""

PROBABILITY = """\
design_space: galenic/1
setpoints:
  press.force: {min: 5.5, max: 6.5, unit: kN}
  press.gap: {min: 1.8, max: 2.2, unit: mm}
region:
  kind: probability
  at_least: 0.9
  confidence: 0.5
  domain:
    press.force: {min: 4, max: 8, unit: kN}
    press.gap: {min: 1, max: 3, unit: mm}
  coefficients: [5, 0, 0, -10, 0, -10]
  covariance: [[0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0],
               [0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0]]
"""


def load(directory: Path, text: str) -> DesignSpace:
    file = directory / "space.yaml"
    file.write_text(text, encoding="utf-8")
    return DesignSpace.load(file)


def circle(confidence: float = 0.5, variance: float = 0.0) -> ProbabilityRegion:
    """Logit 5 - 10 (z1^2 + z2^2)."""
    beta = np.array([5.0, 0.0, 0.0, -10.0, 0.0, -10.0])
    return ProbabilityRegion(DOMAIN, beta, np.diag([variance, 0, 0, 0, 0, 0]), 0.9, confidence)


def test_quadratic_features_are_in_the_order_of_the_file() -> None:
    assert quadratic_features(np.array([[2.0, 3.0]])).tolist() == [[1, 2, 3, 4, 6, 9]]


def test_a_polytope_gives_the_ranges_that_hold_together(tmp_path: Path) -> None:
    space = load(tmp_path, POLYTOPE)
    force, gap = space.setpoints["press.force"], space.setpoints["press.gap"]
    assert force.max + 2 * gap.max == pytest.approx(11.0, abs=1e-6)  # the corner touches the plane
    assert (force.min, gap.min) == (4.0, 1.0)
    assert space.contains({"press.force": 8.0, "press.gap": 1.5})
    assert not space.contains({"press.force": 8.0, "press.gap": 1.6})
    assert not space.contains({"press.force": 8.1, "press.gap": 1.0})  # outside the domain
    assert not space.contains({"press.force": math.nan, "press.gap": 1.0})


def test_one_setpoint_of_a_region_alone_is_held_against_the_box(tmp_path: Path) -> None:
    space = load(tmp_path, PROBABILITY)
    assert space.contains({"press.force": 6.4})
    assert not space.contains({"press.force": 6.6})
    assert space.contains({"press.force": 6.6, "press.gap": 2.0})


def test_the_margin_of_a_probability_is_in_logits(tmp_path: Path) -> None:
    space = load(tmp_path, PROBABILITY)
    assert space.margin({"press.force": 6.0, "press.gap": 2.0}) == pytest.approx(5.0 - math.log(9.0))
    edge = math.sqrt((5.0 - math.log(9.0)) / 10.0)
    assert space.margin({"press.force": 6.0 + 2.0 * edge, "press.gap": 2.0}) == pytest.approx(0.0, abs=1e-9)
    assert not space.contains({"press.force": 8.5, "press.gap": 2.0})


def test_confidence_keeps_off_the_edge() -> None:
    point = np.array([[6.0, 2.0]])
    assert circle(0.9, 0.25).margin(point)[0] == pytest.approx(5.0 - math.log(9.0) - 1.281552 * 0.5, rel=1e-6)
    assert circle(0.5, 0.25).margin(point)[0] == pytest.approx(5.0 - math.log(9.0))
    assert circle().probability(point)[0] == pytest.approx(1.0 / (1.0 + math.exp(-5.0)))


def test_the_worst_point_of_a_box_is_found_inside_it_too() -> None:
    # logit z1^2 z-like valley: smallest in the middle of the first setpoint
    valley = ProbabilityRegion(DOMAIN, np.array([0.0, 0.0, 0.0, 4.0, 0.0, 0.0]), np.zeros((6, 6)), 0.5)
    point, margin = worst_in_box(valley, np.array([4.3, 1.0]), np.array([8.0, 3.0]))
    assert margin == pytest.approx(0.0, abs=1e-8)
    assert point[0] == pytest.approx(6.0, abs=1e-3)


def test_every_point_of_the_box_is_inside_and_no_side_can_move_out() -> None:
    region = circle()
    box = inscribed_box(region, np.array([6.3, 2.0]))
    low, high = (np.array([getattr(r, side) for r in box.values()]) for side in ("min", "max"))
    points = np.random.default_rng(1).uniform(low, high, (5000, 2))
    assert region.margin(points).min() >= -1e-9
    for j, step in ((0, 0.01), (1, 0.005)):
        wider = high.copy()
        wider[j] += step
        assert worst_in_box(region, low, wider)[1] < 0.0


def test_the_box_starts_at_the_safest_point_where_the_given_one_is_outside() -> None:
    assert safest_point(circle())[0] == pytest.approx([6.0, 2.0], abs=1e-4)
    assert inscribed_box(circle(), np.array([4.0, 1.0]))["press.force"].margin(6.0) > 0.0


def test_a_region_without_any_setpoint_is_refused() -> None:
    nowhere = ProbabilityRegion(DOMAIN, np.array([-5.0, 0, 0, 0, 0, 0]), np.zeros((6, 6)), 0.9)
    with pytest.raises(GalenicError, match="no setpoint"):
        inscribed_box(nowhere)


def test_ranges_of_one_setpoint_alone_are_wider_than_together() -> None:
    region = circle()
    alone = acceptable_alone(region, np.array([6.0, 2.0]))["press.force"]
    assert alone is not None
    edge = 2.0 * math.sqrt((5.0 - math.log(9.0)) / 10.0)
    assert alone.max == pytest.approx(6.0 + edge, abs=0.01)
    assert alone.max > inscribed_box(region)["press.force"].max
    assert acceptable_alone(region, np.array([4.0, 2.0]))["press.force"] is None


def test_a_row_counts_relative_to_the_domain() -> None:
    region = Polytope(DOMAIN, np.array([[1.0, 0.0]]), np.array([7.0]))
    assert region.margin(np.array([[6.0, 1.0], [8.0, 1.0]])) == pytest.approx([0.5, -0.5])


@pytest.mark.parametrize(
    ("text", "old", "new", "line", "message"),
    [
        (PROBABILITY, "min: 5.5, max: 6.5", "min: 4, max: 8", 2, "not inside the region"),
        (PROBABILITY, "min: 1.8, max: 2.2, unit: mm", "min: 0.0018, max: 0.0022, unit: m", 2, "'press.gap' is in m"),
        (PROBABILITY, "at_least: 0.9", "at_least: 90", 7, "between 0 and 1"),
        (PROBABILITY, "[5, 0, 0, -10, 0, -10]", "[5, 0]", 12, "6 numbers"),
        (PROBABILITY, "kind: probability", "kind: sphere", 6, "no kind of region 'sphere'"),
        (PROBABILITY, "confidence: 0.5", "confidnece: 0.5", 8, "unknown key 'confidnece'"),
        (POLYTOPE, "press.gap: 2}", "press.gup: 2}", 8, "not in 'domain'"),
        (POLYTOPE, "at_most: 11", "at_most: 2", 2, "no setpoint of the domain"),
        (POLYTOPE, "at_most: 11", "at_most: eleven", 8, "not a number"),
    ],
)
def test_errors_name_the_line(tmp_path: Path, text: str, old: str, new: str, line: int, message: str) -> None:
    assert old in text
    with pytest.raises(GalenicError, match=message) as error:
        load(tmp_path, text.replace(old, new))
    assert error.value.line == line
    assert error.value.cure
