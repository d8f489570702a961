from __future__ import annotations

import math
from pathlib import Path

import pytest
from closed_loop import DESIGN_SPACE

from controllers.design_space.space import DesignSpace, Range
from fmus.errors import GalenicError

FILL = "press.fill_depth_setpoint"


def load(directory: Path, text: str) -> DesignSpace:
    file = directory / "space.yaml"
    file.write_text(text)
    return DesignSpace.load(file)


def test_contains_and_margin(tmp_path: Path) -> None:
    space = load(tmp_path, DESIGN_SPACE)
    assert space.contains({FILL: 6.0, "press.gap_setpoint": 2.1})
    assert not space.contains({FILL: 7.5})
    assert not space.contains({FILL: math.nan})
    assert space.margin({FILL: 6.6}) == pytest.approx(1.0)
    assert space.margin({FILL: 7.4}) == pytest.approx(0.0)
    assert space.margin({FILL: 7.8}) == pytest.approx(-0.5)
    assert space.margin({FILL: 6.6, "press.gap_setpoint": 2.35}) == pytest.approx(0.0)


def test_attributes_do_not_count_as_setpoints(tmp_path: Path) -> None:
    space = load(tmp_path, DESIGN_SPACE)
    assert space.contains({FILL: 6.6, "press.label_claim": 106.0})


def test_numbers_may_carry_units_and_attributes_may_be_open(tmp_path: Path) -> None:
    space = load(
        tmp_path,
        "setpoints: {a.b: {min: 6 mm, max: 0.7 cm, unit: mm}}\n"
        "critical_quality_attributes: {a.c: {min: 50 N, unit: N}}\n",
    )
    assert space.setpoints["a.b"] == Range(6.0, 7.0, "mm")
    assert space.critical_quality_attributes["a.c"].max == math.inf
    assert space.setpoints["a.b"].in_unit("m").max == pytest.approx(0.007)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("setpoints:\n  a.b: {min: 2, max: 1, unit: mm}\n", 2, "not below"),
        ("setpoints:\n  a.b: {min: 1, max: 2}\n", 2, "no unit"),
        ("setpoints:\n  a.b: {min: 1, max: 2, unit: mn}\n", 2, "unknown unit"),
        ("setpoints:\n  a.b:\n    min: 1 kg\n    max: 2\n    unit: mm\n", 3, "dimensions differ"),
        ("setpoints:\n  a.b: {min: 1, max: 2, unit: mm}\nsetpionts: {}\n", 3, "unknown key"),
        ("setpoints:\n  a.b: {max: 2, unit: mm}\n", 2, "no 'min'"),
        ("description: nothing\n", 1, "no setpoints"),
    ],
)
def test_errors_name_the_line(tmp_path: Path, text: str, line: int, message: str) -> None:
    with pytest.raises(GalenicError, match=message) as error:
        load(tmp_path, text)
    assert error.value.line == line
    assert error.value.cure
