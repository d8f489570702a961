from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from closed_loop import input_index, output
from hypothesis import given
from hypothesis import strategies as st
from synthetic_line import Context

from controllers.pi import PIController
from cosim.component import Controller, Port
from fmus.errors import GalenicError

CONFIG: dict[str, Any] = {
    "type": "pi",
    "period": "10 s",
    "measurement": "force_sensor.value",
    "setpoint": "6 kN",
    "output": "press.fill_depth_setpoint",
    "gain": "0.12 mm/kN",
    "integral_time": "40 s",
}


def make(**changes: Any) -> PIController:
    config = {k: v for k, v in {**CONFIG, **changes}.items() if v is not None}
    extra = {"level_loop.value": Port("value", "kg/h", 27.0), "supervisor.force": Port("force", "N", 6000.0)}
    return PIController.from_config("force_loop", config, Context(extra=extra).context)


def step(pi: PIController, t: float, **values: float) -> float:
    for name, value in values.items():
        pi.input_values[input_index(pi, name.replace("__", "."))] = value
    pi.do_step(t, 10.0)
    return output(pi, "value")


def test_it_fulfils_the_contract() -> None:
    pi = make()
    assert isinstance(pi, Controller)
    assert pi.writes[0] == "press.fill_depth_setpoint"
    assert pi.reads[0] == "force_sensor.value"


def test_a_constant_error_gives_a_ramp_without_a_kick_at_the_start() -> None:
    pi = make()
    slope = 0.12 * 10.0 / 40.0 * 0.5
    for k in range(5):
        assert step(pi, 10.0 * k, measurement=5.5) == pytest.approx(6.55 + (k + 1) * slope, abs=1e-12)


def test_closed_loop_with_a_first_order_plant_follows_the_closed_form() -> None:
    # y+ = a y + b u; with K and h/Ti the closed loop is a second-order recursion
    pi = make(setpoint="0 kN", gain="0.1 mm/kN", integral_time="25 s", feed_forward="6 mm")
    a, b, gain, ratio = 0.8, 0.4, 0.1, 0.4
    y, disturbance = 0.0, 1.0
    step(pi, 0.0, measurement=0.0)
    seen, expected = [], []
    u0 = output(pi, "value")
    ye, integral = 0.0, u0 - 6.0
    for k in range(1, 60):
        y = a * y + b * (step(pi, 10.0 * k, measurement=y) - u0) + disturbance
        integral += gain * ratio * -ye
        ye = a * ye + b * (6.0 + gain * -ye + integral - u0) + disturbance
        seen.append(y)
        expected.append(ye)
    assert seen == pytest.approx(expected, abs=1e-12)
    matrix = np.array([[a - b * gain * (1 + ratio), b], [-gain * ratio, 1.0]])
    closed = np.linalg.solve(np.eye(2) - matrix, [disturbance, 0.0])
    assert closed[0] == pytest.approx(0.0, abs=1e-12)
    assert abs(seen[-1]) < abs(max(seen)) * 0.9


def test_integral_action_removes_the_offset() -> None:
    pi = make()
    force = 5.0
    for k in range(200):
        force = 5.0 + 4.0 * (step(pi, 10.0 * k, measurement=force) - 6.55)
    assert force == pytest.approx(6.0, abs=1e-6)


def test_it_leaves_a_limit_at_once_when_the_error_turns() -> None:
    pi = make(limits=["6.4 mm", "6.7 mm"], tracking_time="10 s")
    for k in range(100):
        assert step(pi, 10.0 * k, measurement=2.0) <= 6.7
    assert step(pi, 1000.0, measurement=2.0) == pytest.approx(6.7)
    assert step(pi, 1010.0, measurement=6.5) < 6.7


def test_without_anti_windup_it_would_have_stayed() -> None:
    slow = make(limits=["6.4 mm", "6.7 mm"], tracking_time="1e9 s")
    for k in range(100):
        step(slow, 10.0 * k, measurement=2.0)
    assert step(slow, 1000.0, measurement=6.5) == pytest.approx(6.7)


def test_the_sign_of_the_gain_makes_it_direct() -> None:
    pi = make(gain="-0.12 mm/kN")
    assert step(pi, 0.0, measurement=5.0) < 6.55


def test_moves_are_limited() -> None:
    pi = make(max_move="0.02 mm")
    last = 6.55
    for k in range(20):
        now = step(pi, 10.0 * k, measurement=-50.0)
        assert abs(now - last) <= 0.02 + 1e-12
        last = now


def test_only_fresh_values_count() -> None:
    pi = make(sample="force_sensor.sample")
    first = step(pi, 0.0, measurement=5.5, sample=1.0)
    assert step(pi, 10.0, measurement=5.5, sample=1.0) == first
    third = step(pi, 20.0, measurement=5.5, sample=2.0)
    assert third - first == pytest.approx(0.12 * 20.0 / 40.0 * 0.5)


def test_a_missing_measurement_holds_and_is_not_integrated_over() -> None:
    pi = make()
    held = step(pi, 0.0, measurement=5.5)
    for k in range(1, 30):
        assert step(pi, 10.0 * k, measurement=math.nan) == held
    assert step(pi, 300.0, measurement=5.5) - held == pytest.approx(0.12 * 10.0 / 40.0 * 0.5)


def test_taking_over_from_a_supervisor_is_bumpless() -> None:
    pi = make()
    step(pi, 0.0, measurement=5.0)
    for k in range(1, 20):
        assert step(pi, 10.0 * k, measurement=5.0, track__active=1.0, track__value=7.1) == 7.1
    back = step(pi, 200.0, measurement=5.0, track__active=0.0)
    assert back == pytest.approx(7.1 + 0.12 * 10.0 / 40.0 * 1.0)


def test_proportional_only_works_around_its_base() -> None:
    pi = make(integral_time=None, feed_forward="6.6 mm")
    for k in range(5):
        assert step(pi, 10.0 * k, measurement=5.0) == pytest.approx(6.6 + 0.12)


def test_the_setpoint_may_be_another_controllers_output_in_another_unit() -> None:
    pi = make(setpoint="supervisor.force")
    assert "supervisor.force" in pi.reads
    assert step(pi, 0.0, measurement=6.0, setpoint=6000.0) == pytest.approx(6.55)
    assert output(pi, "setpoint_in_force") == pytest.approx(6.0)


def test_a_number_as_setpoint_is_an_input_that_a_scenario_can_change() -> None:
    pi = make()
    index = input_index(pi, "setpoint")
    assert pi.reads[index] is None
    assert pi.inputs[index].start == 6.0


def test_an_output_for_other_controllers_has_a_unit_of_its_own() -> None:
    pi = make(
        output=None,
        output_unit="kg/h",
        measurement="level_sensor.value",
        setpoint="50 %",
        gain="0.2 kg/h/percent",
        feed_forward="27 kg/h",
    )
    assert pi.outputs[0].unit == "kg/h"
    assert pi.writes[0] is None
    assert step(pi, 0.0, measurement=50.0) == pytest.approx(27.0)


@given(st.lists(st.tuples(st.floats(), st.booleans(), st.floats()), max_size=30))
def test_whatever_comes_in_what_goes_out_is_inside_the_limits(values: list[tuple[float, bool, float]]) -> None:
    pi = make(limits=["6 mm", "7 mm"])
    for k, (value, active, track) in enumerate(values):
        assert 6.0 <= step(pi, 10.0 * k, measurement=value, track__active=float(active), track__value=track) <= 7.0


@pytest.mark.parametrize(
    ("changes", "where", "message"),
    [
        ({"gain": "0.12 kg/kN"}, "gain", "cannot be converted"),
        ({"gain": 0.0}, "gain", "does nothing"),
        ({"gian": 1.0}, "gian", "unknown key 'gian'"),
        ({"period": "10.5 s"}, "period", "multiple"),
        ({"integral_time": "-3 s"}, "integral_time", "greater than zero"),
        ({"limits": ["7 mm", "6 mm"]}, "limits", "leave nothing"),
        ({"measurement": "force_sensr.value"}, "measurement", "no signal"),
        ({"output": None}, "section", "drives nothing"),
        ({"setpoint": "6 mm"}, "setpoint", "dimensions differ"),
    ],
)
def test_errors_point_at_the_key(changes: dict[str, Any], where: str, message: str) -> None:
    with pytest.raises(GalenicError, match=message) as error:
        make(**changes)
    assert str(error.value.file) == where
    assert error.value.cure
