"""Split range: one actuator acts at a time, in the incremental form, and a stuck one does not wind up."""

from __future__ import annotations

from typing import Any

import pytest
from closed_loop import output
from synthetic_line import Context

from controllers.regulatory.split_range import SplitRangeController
from cosim.component import Controller, Port
from fmus.errors import GalenicError

CONFIG: dict[str, Any] = {
    "type": "split_range",
    "period": "10 s",
    "measurement": "probe.value",
    "setpoint": 6.5,
    "switch_at": -0.05,
    "main": {"output": "tank.base", "gain": "20 L/h", "integral_time": "40 s", "limits": ["0 L/h", "50 L/h"]},
    "other": {"output": "tank.acid", "gain": "-20 L/h", "integral_time": "40 s", "release": 0.5},
}


def make(main: dict[str, Any] | None = None, **changes: Any) -> SplitRangeController:
    extra = {
        "probe.value": Port("value", "1", 6.5),
        "tank.base": Port("base", "L/h", 10.0, 0.0, 100.0),
        "tank.acid": Port("acid", "L/h", 4.0, 0.0, 100.0),
        "tank.base_flow": Port("base_flow", "L/h", 10.0),
        "tank.level": Port("level", "m", 1.0),
    }
    config = {**CONFIG, **changes, "main": {**CONFIG["main"], **(main or {})}}
    return SplitRangeController.from_config("loop", config, Context(extra=extra).context)


def run(loop: SplitRangeController, *measured: float) -> tuple[float, float]:
    for k, value in enumerate(measured):
        loop.input_values[0] = value
        loop.do_step(k * 10.0, 10.0)
    return output(loop, "main"), output(loop, "other")


def test_the_main_actuator_acts_by_the_law_and_the_other_lets_go() -> None:
    loop = make({"derivative_time": "5 s"})
    assert isinstance(loop, Controller)
    assert loop.writes == ("tank.base", "tank.acid")
    # first no change of the error, then 20 (0.02 + 10/40 0.04 - 5/10 (6.46 - 2 6.48 + 6.48)) at the third
    assert run(loop, 6.48)[0] == pytest.approx(10.0 + 20.0 * 0.25 * 0.02)
    assert run(loop, 6.48)[0] == pytest.approx(10.1 + 20.0 * 0.25 * 0.02)
    base, acid = run(loop, 6.46)
    assert base == pytest.approx(10.2 + 20.0 * (0.02 + 0.25 * 0.04 + 0.5 * 0.02))
    assert acid == pytest.approx(4.0 / 8.0)


def test_the_other_actuator_acts_beyond_the_switch() -> None:
    base, acid = run(make(), 6.6)
    assert base == 0.0  # released at once
    assert acid == pytest.approx(4.0 + 20.0 * 0.25 * 0.1)


def test_a_positive_switch_is_on_the_other_side() -> None:
    loop = make(switch_at=0.05)
    assert run(loop, 6.6)[1] == 2.0
    assert run(loop, 6.4)[1] < 2.0
    assert output(loop, "main") == 0.0


def test_outputs_stop_at_their_limits_and_leave_them_at_once() -> None:
    loop = make()
    assert run(loop, *[5.0] * 50)[0] == 50.0
    assert run(loop, 5.1)[0] == pytest.approx(50.0)
    assert run(loop, 6.54)[0] < 50.0


def test_a_stuck_actuator_does_not_wind_up() -> None:
    loop = make({"actual": "tank.base_flow"})
    position = [p.name for p in loop.inputs].index("main.actual")
    loop.input_values[position] = 5.0
    assert run(loop, *[6.48] * 30)[0] == pytest.approx(5.0 + 20.0 * 0.25 * 0.02)


def test_a_measurement_that_is_not_finite_holds_both() -> None:
    loop = make()
    before = run(loop, 6.48, 6.47)
    assert run(loop, float("nan")) == before
    # no derivative and no change of the error across an outage
    assert run(loop, 6.40)[0] == pytest.approx(before[0] + 20.0 * 0.25 * 0.1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"switch_at": 0}, "on which side"),
        ({"main": {"gain": 0.0}}, "does nothing"),
        ({"main": {"actual": "tank.level"}}, "not in L/h"),
        ({"main": {"derivative_time": "-1 s"}}, "negative"),
        ({"main": {"output": "tank.bas"}}, "tank.bas"),
        ({"main": {"integral_time": "0 s"}}, "greater than zero"),
        ({"main": {"release": 1.5}}, "release"),
    ],
)
def test_what_is_wrong_is_said(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(GalenicError, match=message):
        make(**changes)
