from __future__ import annotations

import time

import pytest

from cosim.pacing import Pacer, parse_factor
from fmus.errors import GalenicError


class Clock:
    """A clock that moves when it is told to, or slept on."""

    def __init__(self) -> None:
        self.time = 1000.0

    def now(self) -> float:
        return self.time

    def sleep(self, duration: float) -> None:
        self.time += duration


def paced(factor: float) -> tuple[Pacer, Clock]:
    clock = Clock()
    pacer = Pacer(factor, clock.now, clock.sleep)
    pacer.start(0.0)
    return pacer, clock


def test_simulated_time_keeps_step_with_the_clock():
    pacer, clock = paced(10.0)
    for k in range(1, 101):
        clock.time += 0.03  # what the step costs
        pacer.wait(float(k))
        assert clock.time == pytest.approx(1000.0 + k / 10.0)
    assert pacer.summary() == {
        "factor": 10.0, "deadlines": 100, "overruns": 0, "worst_lateness": 0.0, "slept": pytest.approx(7.0),
    }  # fmt: skip


def test_a_late_step_is_counted_and_made_up_for():
    pacer, clock = paced(1.0)
    costs = [0.5] * 3 + [2.2] + [0.5] * 6
    for k, cost in enumerate(costs, start=1):
        clock.time += cost
        pacer.wait(float(k))
    assert pacer.overruns == 3  # ends of steps 4 to 6 at 5.2, 5.7 and 6.2
    assert pacer.worst_lateness == pytest.approx(1.2)
    assert clock.time == pytest.approx(1010.0)


def test_what_is_late_by_less_than_a_timer_can_tell_is_no_overrun():
    pacer, clock = paced(1.0)
    clock.time += 1.0005
    pacer.wait(1.0)
    assert pacer.overruns == 0


def test_a_run_that_goes_on_begins_its_schedule_where_it_is():
    clock = Clock()
    pacer = Pacer(2.0, clock.now, clock.sleep)
    pacer.start(3600.0)
    pacer.wait(3610.0)
    assert clock.time == pytest.approx(1005.0)


def test_short_steps_share_a_wait():
    assert Pacer(10.0).stride(1.0) == 1
    assert Pacer(1000.0).stride(1.0) == 10
    assert Pacer(1.0).stride(0.001) == 10


def test_the_clock_of_the_machine_is_kept():
    pacer = Pacer(20.0)
    pacer.start(0.0)
    began = time.perf_counter()
    for k in range(1, 11):
        pacer.wait(float(k))
    assert time.perf_counter() - began >= 0.5


@pytest.mark.parametrize(("text", "factor"), [("10x", 10.0), ("10", 10.0), (" 0.5X ", 0.5), ("1e3", 1000.0)])
def test_factors_are_written_as_people_write_them(text, factor):
    assert parse_factor(text) == factor


@pytest.mark.parametrize("text", ["", "x", "fast", "0", "-1x", "inf", "nan", "10 min"])
def test_what_is_no_factor_is_refused(text):
    with pytest.raises(GalenicError, match="real-time factor"):
        parse_factor(text)
