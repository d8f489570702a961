from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cosim import Scenario
from fmus.errors import GalenicError
from galenic.indicator import Kpi, digest
from galenic.kpi import compute
from galenic.kpi_section import kpi_section

UNITS = {"feed.mass": "g", "tablets.mass": "kg", "press.force": "kN", "room.temperature": "degC"}
FRAME = pd.DataFrame(
    {
        "feed.mass": [0.0, 500.0, 1000.0],
        "tablets.mass": [0.0, 0.4, 0.9],
        "press.force": [0.0, 6.0, 12.0],
        "room.temperature": [20.0, 21.0, 22.0],
    },
    index=pd.Index([0.0, 1.0, 4.0], name="time"),
)


def kpis(frame: pd.DataFrame = FRAME, warm_up: str = "0 s", **expressions: Any) -> dict[str, Kpi]:
    scenario = Scenario.from_mapping(
        {
            "scenario": "galenic/1",
            "duration": "1 h",
            "communication_step": "1 s",
            "components": {"p": {"unit": "tablet_press"}},
            "controllers": {"mpc": {"type": "mpc"}},
            "kpis": {"product": {"warm_up": warm_up}, "expressions": expressions},
        }
    )
    return {k.name: k for k in compute(scenario, kpi_section(scenario), frame, UNITS)}


def test_a_formula_of_signals_has_its_value_at_the_end_in_its_unit() -> None:
    kpi = kpis(**{"yield": {"value": "tablets.mass / feed.mass", "unit": "%", "better": "higher"}})["expression_yield"]
    assert kpi.value == pytest.approx(90.0)
    assert (kpi.unit, kpi.better, kpi.definition) == ("%", "higher", "tablets.mass / feed.mass")
    assert "yield 90 %" in digest([kpi])


def test_functions_over_time_leave_the_warm_up_out() -> None:
    found = kpis(
        warm_up="1 s",
        work={"value": "integral(press.force)", "unit": "kN*s"},
        mean={"value": "mean(press.force)", "unit": "N"},
        loaded={"value": "share(press.force > 7 kN)"},
        warm={"value": "max(room.temperature)", "unit": "degC"},
    )
    assert found["expression_work"].value == pytest.approx(36.0)
    assert found["expression_mean"].value == pytest.approx(12_000.0)
    assert found["expression_loaded"].value == 1.0
    assert found["expression_warm"].value == pytest.approx(22.0)


def test_a_run_without_records_has_no_value() -> None:
    for formula in (
        "press.force / 1 kN",
        "mean(press.force) / 1 kN",
        "max(press.force) / 1 kN",
        "share(press.force > 0)",
    ):
        assert math.isnan(kpis(FRAME.iloc[:0], x={"value": formula})["expression_x"].value)


def test_a_formula_of_a_controller_that_was_left_out_is_left_out() -> None:
    assert "expression_x" not in kpis(x={"value": "mpc.failures"})


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"value": "tablets.mas / feed.mass"}, "no signal 'tablets.mas'"),
        ({"value": "tablets.mass / feed.mass", "unit": "kg"}, "is no quantity in kg"),
        ({"value": "tablets.mass", "unit": "kilofoo"}, "unknown unit 'kilofoo'"),
        ({"value": "press.force > 1 kN"}, "is a condition"),
        ({"value": "press.force +"}, "ends too early"),
        ({"value": "1", "formula": "1"}, "unknown key 'formula'"),
        ({"unit": "%"}, "'value' is missing"),
    ],
)
def test_a_wrong_formula_is_an_error(section: dict[str, str], message: str) -> None:
    with pytest.raises(GalenicError, match=message):
        kpis(x=section)


def test_weights_are_the_time_between_records() -> None:
    assert kpis(x={"value": "mean(press.force)", "unit": "kN"})["expression_x"].value == pytest.approx(
        np.average([6.0, 12.0], weights=[1.0, 3.0])
    )
