from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from closed_loop import input_index, output
from hypothesis import given
from hypothesis import strategies as st
from synthetic_line import Context

from controllers.regulatory.ratio import RatioController
from cosim.component import Controller, Port
from fmus.errors import GalenicError

API, EXCIPIENT = "api_feeder.mass_flow_setpoint", "excipient_feeder.mass_flow_setpoint"
CONFIG: dict[str, Any] = {
    "type": "ratio",
    "period": "10 s",
    "total_mass_flow": "27.12 kg/h",
    "api_fraction": "8.85 %",
    "feeders": {API: {"api_fraction": "94.4 %"}, EXCIPIENT: {}},
}


def make(**changes: Any) -> RatioController:
    extra = {
        "level_loop.value": Port("value", "kg/h", 27.0),
        "lubricant.mass_flow_setpoint": Port("mass_flow_setpoint", "kg/h", 0.3),
    }
    return RatioController.from_config("feeder_ratio", {**CONFIG, **changes}, Context(extra=extra).context)


def test_flows_close_the_balances_of_mass_and_of_api() -> None:
    ratio = make()
    assert isinstance(ratio, Controller)
    ratio.do_step(0.0, 10.0)
    api, excipient = output(ratio, API), output(ratio, EXCIPIENT)
    assert api + excipient == pytest.approx(27.12)
    assert 0.944 * api == pytest.approx(0.0885 * 27.12)


def test_three_feeders_share_the_rest() -> None:
    third = "lubricant.mass_flow_setpoint"
    ratio = make(feeders={API: {"api_fraction": 0.9}, EXCIPIENT: {"share": 9.0}, third: {"share": 1.0}})
    ratio.do_step(0.0, 10.0)
    assert output(ratio, EXCIPIENT) == pytest.approx(9.0 * output(ratio, third))
    assert output(ratio, "total") == pytest.approx(27.12)


def test_at_a_limit_the_ratio_is_kept_and_the_total_gives() -> None:
    ratio = make(feeders={API: {"api_fraction": "94.4 %", "limits": ["0 kg/h", "2 kg/h"]}, EXCIPIENT: {}})
    ratio.do_step(0.0, 10.0)
    api, excipient = output(ratio, API), output(ratio, EXCIPIENT)
    assert api == pytest.approx(2.0)
    assert 0.944 * api / (api + excipient) == pytest.approx(0.0885)


def test_moves_are_limited_together() -> None:
    ratio = make(feeders={API: {"api_fraction": "94.4 %", "max_move": 0.05}, EXCIPIENT: {"max_move": 0.1}})
    ratio.do_step(0.0, 10.0)
    ratio.input_values[input_index(ratio, "total_mass_flow")] = 31.0
    before = ratio.output_values.copy()
    ratio.do_step(10.0, 10.0)
    moved = (ratio.output_values - before)[:2]
    assert moved[1] == pytest.approx(0.1)
    assert moved[0] / moved[1] == pytest.approx(before[0] / before[1], rel=1e-6)


def test_it_follows_a_supervisor_and_takes_over_within_its_move_limits() -> None:
    ratio = make(feeders={API: {"api_fraction": "94.4 %", "max_move": 0.02}, EXCIPIENT: {"max_move": 0.2}})
    for name, value in ((f"track.{API}", 2.8), (f"track.{EXCIPIENT}", 25.0), ("track.active", 1.0)):
        ratio.input_values[input_index(ratio, name)] = value
    ratio.do_step(0.0, 10.0)
    assert ratio.output_values[:2] == pytest.approx([2.8, 25.0])
    assert (output(ratio, "total"), output(ratio, "following")) == (pytest.approx(27.8), 1.0)
    ratio.input_values[input_index(ratio, "track.active")] = 0.0
    ratio.do_step(10.0, 10.0)
    assert np.abs(ratio.output_values[:2] - [2.8, 25.0]).max() <= 0.2 + 1e-12
    assert abs(ratio.output_values[0] - 2.8) <= 0.02 + 1e-12


def test_a_loop_above_is_told_what_it_can_have() -> None:
    ratio = make(feeders={API: {"api_fraction": 0.944, "limits": [1.0, 4.0]}, EXCIPIENT: {"limits": [10.0, 30.0]}})
    for total, blocked in ((27.12, 0.0), (60.0, 1.0), (5.0, -1.0), (27.12, 0.0)):
        ratio.input_values[input_index(ratio, "total_mass_flow")] = total
        ratio.do_step(0.0, 10.0)
        assert output(ratio, "blocked") == blocked
        assert output(ratio, "reachable") == pytest.approx(output(ratio, API) + output(ratio, EXCIPIENT))
    moving = make(feeders={API: {"api_fraction": 0.944, "max_move": 0.01}, EXCIPIENT: {"max_move": 0.1}})
    moving.do_step(0.0, 10.0)
    moving.input_values[input_index(moving, "total_mass_flow")] = 35.0
    moving.do_step(10.0, 10.0)
    assert output(moving, "blocked") == 0.0  # on its way there, which is no limit
    assert output(moving, "total") < 35.0


def test_the_total_may_follow_a_level_loop() -> None:
    ratio = make(total_mass_flow="level_loop.value")
    assert "level_loop.value" in ratio.reads


@given(st.lists(st.tuples(st.floats(), st.floats()), max_size=10))
def test_outputs_stay_finite_and_inside_the_limits(values: list[tuple[float, float]]) -> None:
    ratio = make(feeders={API: {"api_fraction": 0.944, "limits": [1.0, 4.0]}, EXCIPIENT: {"limits": [10.0, 40.0]}})
    for k, (total, fraction) in enumerate(values):
        ratio.input_values[:2] = total, fraction
        ratio.do_step(10.0 * k, 10.0)
        assert 1.0 <= output(ratio, API) <= 4.0
        assert 10.0 <= output(ratio, EXCIPIENT) <= 40.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"feeders": {API: {}, EXCIPIENT: {}}}, "no feeder is richer"),
        ({"feeders": {API: {"api_fraction": "120 %"}, EXCIPIENT: {}}}, "not a mass fraction"),
        ({"feeders": {API: {"api_fraction": 0.9}, "press.gap_setpoint": {}}}, "not in kg/h"),
        ({"feeders": {API: {"api_fracton": 0.9}, EXCIPIENT: {}}}, "unknown key 'api_fracton'"),
        ({"total_mass_flow": "3 mm"}, "dimensions differ"),
    ],
)
def test_errors_say_what_is_wrong(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(GalenicError, match=message) as error:
        make(**changes)
    assert error.value.cure
