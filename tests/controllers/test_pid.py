from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from closed_loop import input_index, output
from hypothesis import given
from hypothesis import strategies as st
from synthetic_line import Context

from controllers.regulatory.pid import PIDController
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


def make(**changes: Any) -> PIDController:
    config = {k: v for k, v in {**CONFIG, **changes}.items() if v is not None}
    extra = {
        "level_loop.value": Port("value", "kg/h", 27.0), "supervisor.force": Port("force", "N", 6000.0),
        "valve.actual": Port("actual", "mm", 6.55), "outer.value": Port("value", "kN", 6.0),
    }  # fmt: skip
    return PIDController.from_config("force_loop", config, Context(extra=extra).context)


def step(pi: PIDController, t: float, **values: float) -> float:
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


PID = {"type": "pid", "derivative_time": "20 s", "derivative_filter": 4.0}


def test_a_ramp_gives_the_derivative_its_slope_after_the_filter() -> None:
    with_it, without = make(**PID, integral_time=None), make(integral_time=None)
    slope, seen = 0.01, []
    for k in range(30):
        measured = 6.0 + slope * 10.0 * k
        parts = [step(pid, 10.0 * k, measurement=measured) for pid in (with_it, without)]
        seen.append(parts[0] - parts[1])
    final = -0.12 * 20.0 * slope  # -K T_d dy/dt
    left = 5.0 / (5.0 + 10.0)  # T_f / (T_f + h) in each period
    assert seen == pytest.approx([final * (1.0 - left**k) for k in range(30)], abs=1e-12)


def test_a_step_of_the_setpoint_reaches_the_output_by_the_weighted_part_alone() -> None:
    for weight in (0.0, 0.4, 1.0):
        pid = make(**PID, setpoint_weight=weight)
        for k in range(3):
            assert step(pid, 10.0 * k, measurement=6.0) == pytest.approx(6.55)
        kick = step(pid, 30.0, measurement=6.0, setpoint=6.5) - 6.55
        assert kick == pytest.approx(0.12 * weight * 0.5 + 0.12 * 10.0 / 40.0 * 0.5)


def test_a_weight_leaves_no_offset() -> None:
    pid, force = make(**PID, setpoint_weight=0.3), 5.0
    for k in range(400):
        force += 0.3 * (5.0 + 4.0 * (step(pid, 10.0 * k, measurement=force) - 6.55) - force)
    assert force == pytest.approx(6.0, abs=1e-6)


def test_clamping_leaves_a_limit_at_once_and_does_not_touch_the_integral_off_it() -> None:
    pid, free = make(limits=["6.4 mm", "6.7 mm"], anti_windup="clamping"), make()
    for k in range(100):
        assert step(pid, 10.0 * k, measurement=2.0) <= 6.7
    assert step(pid, 1000.0, measurement=6.5) < 6.7
    pid = make(limits=["6.4 mm", "6.7 mm"], anti_windup="clamping")
    for k in range(5):
        assert step(pid, 10.0 * k, measurement=5.9) == step(free, 10.0 * k, measurement=5.9)


def test_a_stuck_actuator_does_not_wind_it_up() -> None:
    after = {}
    for follows in (True, False):
        extra = {"actual": "valve.actual"} if follows else {}
        pid = make(type="pi", tracking_time="10 s", **extra)
        for k in range(100):
            values = {"actual": 6.55} if follows else {}
            step(pid, 10.0 * k, measurement=5.9, **values)
        after[follows] = output(pid, "value")
    assert abs(after[True] - 6.55) < 0.03
    assert after[False] > 6.84


def test_manual_and_back_without_a_bump() -> None:
    pid = make(**PID, setpoint_weight=0.5)
    for k in range(5):
        last = step(pid, 10.0 * k, measurement=5.8)
    step(pid, 50.0, measurement=5.8, manual__value=7.3)  # before it is by hand it says nothing
    last = output(pid, "value")
    for k in range(6, 9):
        assert step(pid, 10.0 * k, measurement=5.6 + 0.01 * k, manual__active=1.0) == last
    assert output(pid, "following") == 1.0
    assert step(pid, 90.0, measurement=5.7, manual__value=6.9) == 6.9
    step(pid, 100.0, measurement=5.7)
    back = step(pid, 110.0, measurement=5.7, manual__active=0.0)
    derivative = -0.12 * 20.0 * (5.7 - 5.68) / 15.0 * (5.0 / 15.0)  # what two periods have left of it
    assert back - 6.9 == pytest.approx(0.12 * 10.0 / 40.0 * 0.3, abs=abs(derivative) + 1e-12)
    assert output(pid, "following") == 0.0


def test_by_hand_the_output_keeps_to_its_moves_and_limits() -> None:
    pid = make(max_move="0.1 mm", limits=["6.4 mm", "6.8 mm"])
    seen = [step(pid, 10.0 * k, measurement=6.0, manual__active=1.0, manual__value=9.0) for k in range(5)]
    assert seen == pytest.approx([6.65, 6.75, 6.8, 6.8, 6.8])


def test_the_outer_loop_of_a_cascade_stops_where_the_inner_one_is_at_its_limit() -> None:
    """A lag behind a quick inner process; a disturbance takes the inner loop to its limit for a while."""
    time_above = {}
    for knows in (True, False):
        outer = make(
            output=None, output_unit="kN", measurement="hardness_check.value", setpoint="50 N", gain="0.03 kN/N",
            integral_time="60 s", feed_forward="6 kN", **({"inner": "force_loop"} if knows else {}),
        )  # fmt: skip
        inner = make(setpoint="outer.value", limits=["6.4 mm", "6.7 mm"], tracking_time="10 s")
        force, hardness, above = 6.0, 50.0, 0
        for k in range(400):
            drop = 12.0 if 50 <= k < 150 else 0.0
            if knows:
                for name in ("following", "blocked", "reachable"):
                    outer.input_values[input_index(outer, f"inner.{name}")] = output(inner, name)
            setpoint = step(outer, 10.0 * k, measurement=hardness)
            depth = step(inner, 10.0 * k, measurement=force, setpoint=setpoint)
            force = 6.0 + 4.0 * (depth - 6.55)
            hardness += (50.0 + 10.0 * (force - 6.0) - drop - hardness) * 0.2
            above += int(k >= 150 and hardness > 50.5)
        assert hardness == pytest.approx(50.0, abs=0.05)
        time_above[knows] = above
    assert time_above[True] < 0.5 * time_above[False]


def test_the_outer_loop_follows_while_the_inner_one_is_by_hand() -> None:
    outer = make(
        output=None, output_unit="kN", measurement="hardness_check.value", setpoint="50 N", gain="0.01 kN/N",
        integral_time="100 s", feed_forward="6 kN", inner="force_loop",
    )  # fmt: skip
    step(outer, 0.0, measurement=48.0)
    for k in range(1, 20):
        followed = step(outer, 10.0 * k, measurement=48.0, inner__following=1.0, inner__reachable=7.2)
        assert followed == 7.2
    back = step(outer, 200.0, measurement=48.0, inner__following=0.0)
    assert back == pytest.approx(7.2 + 0.01 * 10.0 / 100.0 * 2.0)


def test_the_sign_of_the_gain_says_to_which_side_a_loop_is_blocked() -> None:
    for gain, side in (("0.12 mm/kN", 1.0), ("-0.12 mm/kN", -1.0)):
        pid = make(gain=gain, limits=["6.4 mm", "6.7 mm"])
        for k in range(60):  # both ask for more depth than there is
            step(pid, 10.0 * k, measurement=4.0 if side > 0 else 8.0)
        assert output(pid, "blocked") == side


def test_it_goes_on_from_a_kept_state_bit_for_bit() -> None:
    first, second = make(**PID), make(**PID)
    values = [6.0 + 0.3 * math.sin(0.7 * k) for k in range(40)]
    for k in range(20):
        step(first, 10.0 * k, measurement=values[k])
    second.restore(first.state())
    for k in range(20, 40):
        assert step(first, 10.0 * k, measurement=values[k]) == step(second, 10.0 * k, measurement=values[k])


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
        ({"derivative_time": "3 s"}, "derivative_time", "no derivative"),
        ({"anti_windup": "hope"}, "anti_windup", "back_calculation"),
        ({"anti_windup": "clamping", "tracking_time": "3 s"}, "tracking_time", "no tracking time"),
        ({"setpoint_weight": 0.5, "integral_time": None}, "setpoint_weight", "an offset"),
        ({"inner": "x", "track": {"value": "a.b", "active": "a.c"}}, "track", "already"),
    ],
)
def test_errors_point_at_the_key(changes: dict[str, Any], where: str, message: str) -> None:
    with pytest.raises(GalenicError, match=message) as error:
        make(**changes)
    assert str(error.value.file) == where
    assert error.value.cure
