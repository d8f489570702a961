from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmus.errors import GalenicError
from fmus.quantity import base_unit, conversion, convert, parse_quantity

UNITS = [
    "kg/h",
    "kg/s",
    "g/s",
    "mg",
    "kN",
    "N",
    "mm",
    "m",
    "rpm",
    "1/h",
    "1/s",
    "%",
    "1",
    "degC",
    "K",
    "MPa",
    "kg/m^3",
    "g/cm^3",
]


def test_known_conversions() -> None:
    assert convert(3600.0, "kg/h", "kg/s") == pytest.approx(1.0)
    assert convert(1.0, "g/L", "mg/L") == pytest.approx(1000.0)
    assert convert(25.0, "degC", "K") == pytest.approx(298.15)
    assert convert(5.0, "%", "1") == pytest.approx(0.05)
    assert parse_quantity("4 h", "s") == pytest.approx(14400.0)
    assert parse_quantity(7, "mm") == 7.0
    assert parse_quantity("-1.5e-3", "kN") == -1.5e-3


def test_base_units_are_those_of_fmi() -> None:
    assert base_unit("kN").exponents == {"kg": 1, "m": 1, "s": -2}
    assert base_unit("kN").factor == pytest.approx(1000.0)
    assert base_unit("degC").offset == pytest.approx(273.15)
    assert base_unit("rpm").factor == pytest.approx(2 * math.pi / 60)


@pytest.mark.parametrize(("source", "target"), [("kg", "m"), ("kg/h", "kg"), ("1", "mm")])
def test_other_dimensions_are_refused(source: str, target: str) -> None:
    with pytest.raises(GalenicError, match="cannot be converted"):
        conversion(source, target)


@pytest.mark.parametrize("text", ["", "kg/h", "abc", "1 furlongg", "1 kg//h", "--3 mm", "nan mm"])
def test_unreadable_quantities_are_refused(text: str) -> None:
    with pytest.raises(GalenicError):
        parse_quantity(text, "kg/h")


@given(st.sampled_from(UNITS), st.sampled_from(UNITS), st.floats(-1e6, 1e6))
def test_conversion_there_and_back_is_the_identity(source: str, target: str, value: float) -> None:
    if base_unit(source).exponents != base_unit(target).exponents:
        with pytest.raises(GalenicError):
            conversion(source, target)
        return
    assert convert(convert(value, source, target), target, source) == pytest.approx(value, rel=1e-9, abs=1e-6)


@given(st.text(max_size=30))
def test_any_text_is_a_number_or_a_clear_error(text: str) -> None:
    try:
        assert math.isfinite(parse_quantity(text, "kg/h"))
    except GalenicError:
        return
