from __future__ import annotations

import math
from typing import Any

import pytest
from closed_loop import input_index, output
from synthetic_line import Context

from controllers.regulatory.feed_forward import FeedForwardController
from cosim.component import Controller, Port
from fmus.errors import GalenicError

CONFIG: dict[str, Any] = {
    "type": "feed_forward",
    "period": "10 s",
    "output_unit": "K",
    "base": "330 K",
    "signals": {"air.humidity": {"gain": "2 K/(g/kg)", "rest": "8 g/kg"}},
}


def make(signal: dict[str, Any] | None = None, **changes: Any) -> FeedForwardController:
    config = {**CONFIG, **changes}
    if signal is not None:
        config["signals"] = {"air.humidity": {**CONFIG["signals"]["air.humidity"], **signal}}
    extra = {"air.humidity": Port("humidity", "g/kg", 8.0), "loop.value": Port("value", "K", 330.0)}
    return FeedForwardController.from_config("ff", config, Context(extra=extra).context)


def respond(ff: FeedForwardController, values: list[float], signal: str = "air.humidity") -> list[float]:
    seen = []
    for k, value in enumerate(values):
        ff.input_values[input_index(ff, signal)] = value
        ff.do_step(10.0 * k, 10.0)
        seen.append(output(ff, "value") - 330.0)
    return seen


def test_it_fulfils_the_contract_and_answers_at_once() -> None:
    ff = make()
    assert isinstance(ff, Controller)
    assert respond(ff, [8.0, 9.0, 7.5]) == pytest.approx([0.0, 2.0, -1.0])


def test_lead_lag_follows_its_closed_form() -> None:
    ff = make({"lead": "60 s", "lag": "20 s"})
    seen = respond(ff, [8.0] + [9.0] * 20)
    assert seen[1:] == pytest.approx([2.0 * (1.0 + 2.0 * math.exp(-k * 10.0 / 20.0)) for k in range(20)])


def test_dead_time_waits() -> None:
    assert respond(make({"dead_time": "30 s"}), [9.0] * 5) == pytest.approx([0.0, 0.0, 0.0, 2.0, 2.0])


def test_washout_forgets_what_lasts() -> None:
    seen = respond(make({"washout": "50 s"}), [8.0] + [9.0] * 60)
    assert seen[1:] == pytest.approx([2.0 * math.exp(-k * 10.0 / 50.0) for k in range(60)])


def test_without_rest_the_first_value_is_it() -> None:
    assert respond(make({"rest": None}), [math.nan, 12.0, 13.0]) == pytest.approx([0.0, 0.0, 2.0])


def test_a_missing_value_counts_as_unchanged() -> None:
    assert respond(make(), [9.0, math.nan, math.inf, 8.5]) == pytest.approx([2.0, 2.0, 2.0, 1.0])


def test_limits_of_a_signal_and_of_the_output_and_moves_hold() -> None:
    assert respond(make({"limits": ["-1 K", "1 K"]}), [20.0, -20.0]) == pytest.approx([1.0, -1.0])
    assert respond(make(limits=["325 K", "333 K"]), [20.0, -20.0]) == pytest.approx([3.0, -5.0])
    assert respond(make(max_move="0.5 K"), [8.0, 9.0, 9.0, 9.0]) == pytest.approx([0.0, 0.5, 1.0, 1.5])


def test_the_base_may_be_a_loops_output() -> None:
    ff = make(base="loop.value")
    assert "loop.value" in ff.reads
    ff.input_values[input_index(ff, "base")] = 335.0
    assert respond(ff, [9.0])[0] == pytest.approx(7.0)


def test_a_supervisor_takes_over_and_hands_back() -> None:
    ff = make()
    ff.input_values[input_index(ff, "track.active")], ff.input_values[input_index(ff, "track.value")] = 1.0, 340.0
    assert respond(ff, [9.0])[0] == pytest.approx(10.0)
    ff.input_values[input_index(ff, "track.active")] = 0.0
    assert respond(ff, [9.0])[0] == pytest.approx(2.0)


def test_it_goes_on_from_a_kept_state_bit_for_bit() -> None:
    keys = {"lead": "60 s", "lag": "25 s", "dead_time": "20 s", "washout": "100 s"}
    first, second, values = make(keys), make(keys), [8.0 + math.sin(k) for k in range(30)]
    respond(first, values[:15])
    kept = first.state()
    rest = respond(first, values[15:])
    second.restore(kept)
    assert respond(second, values[15:]) == rest


@pytest.mark.parametrize(
    ("changes", "where", "message"),
    [
        ({"signal": {"gain": "2 kg"}}, "signals/air.humidity/gain", "cannot be converted"),
        ({"signal": {"lead": "10 s"}}, "signals/air.humidity/lead", "without a lag"),
        ({"signal": {"dead_time": "13 s"}}, "signals/air.humidity/dead_time", "multiple"),
        ({"signal": {"lag": "-3 s"}}, "signals/air.humidity/lag", "negative"),
        ({"output_unit": None}, "section", "drives nothing"),
        ({"signals": {"air.humid": {"gain": 1.0}}}, "signals/air.humid", "no signal"),
    ],
)
def test_errors_point_at_the_key(changes: dict[str, Any], where: str, message: str) -> None:
    with pytest.raises(GalenicError, match=message) as error:
        make(**changes)
    assert str(error.value.file) == where
    assert error.value.cure
