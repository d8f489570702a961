from __future__ import annotations

import gc
import subprocess
import sys
import threading
import time as clock
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from closed_loop import controller, run
from operated_law import ToldLaw, border
from synthetic_line import SyntheticLine

from controllers.mpc import MPCController
from controllers.operation import guard
from controllers.operation.law import Plan
from controllers.operation.reasons import Rung, StepReason
from controllers.operation.rules import OperationRules
from fmus.errors import GalenicError

HERE = Path(__file__).parent


class StuckLaw(ToldLaw):
    """A law whose solutions wait for `let_go` as soon as it is told to be `stuck`."""

    def __init__(self) -> None:
        super().__init__()
        self.stuck, self.let_go, self.began = False, threading.Event(), threading.Event()

    def solve(self, *given: Any, **options: Any) -> Plan:
        if self.stuck:
            self.began.set()
            self.let_go.wait(60.0)
        return super().solve(*given, **options)


class Hurried:
    """A law in its shell, with a deadline."""

    def __init__(self, deadline: float = 0.2, **rules: Any) -> None:
        self.law = StuckLaw()
        self.mpc = MPCController("mpc", self.law, border(OperationRules(deadline=deadline, **rules)))
        self.shell, self.k = self.mpc.shell, 0

    def step(self) -> tuple[Rung, StepReason]:
        names = [p.name for p in self.mpc.inputs]
        for name, value in {"y1.measured": 100.0, "y2.measured": 50.0, "y1.sample": self.k + 1.0}.items():
            self.mpc.input_values[names.index(name)] = value
        self.mpc.do_step(10.0 * self.k, 10.0)
        self.k += 1
        outputs = dict(zip((p.name for p in self.mpc.outputs), self.mpc.output_values, strict=True))
        for u in self.law.inputs:
            assert u.low <= outputs[u.name] <= u.high
        return Rung(int(outputs["rung"])), StepReason(int(outputs["reason"]))

    def come_back(self) -> None:
        self.law.stuck = False
        self.law.let_go.set()
        while self.shell.law.busy:
            clock.sleep(0.001)


@pytest.fixture
def hurried() -> Iterator[Hurried]:
    made = Hurried()
    yield made
    made.come_back()


def solved(hurried: Hurried) -> None:
    """A first plan; on a busy machine it may take more than one step."""
    for _ in range(50):
        if hurried.step() == (Rung.SOLVED, StepReason.SOLVED):
            return
    pytest.fail("no plan in fifty steps")


def test_a_solver_that_stalls_is_not_waited_for(hurried: Hurried) -> None:
    solved(hurried)
    hurried.law.stuck = True
    began = clock.perf_counter()
    assert hurried.step() == (Rung.SHIFTED, StepReason.OUT_OF_TIME)  # checked before the solver began
    assert 0.15 < clock.perf_counter() - began < 30.0
    assert hurried.step() == (Rung.HOLD, StepReason.OUT_OF_TIME)  # nothing can be rolled out while it is busy
    assert hurried.shell.law.busy


def test_a_law_that_is_back_has_followed_what_it_missed(hurried: Hurried) -> None:
    solved(hurried)
    hurried.law.stuck = True
    for _ in range(4):
        hurried.step()
    hurried.come_back()
    solved(hurried)
    assert hurried.law.calls["correct"] == hurried.k
    assert hurried.law.calls["predict"] == hurried.k - 1  # the first step began the estimate
    assert hurried.law.calls["initialize"] == 1


def test_what_comes_too_late_is_the_last_plan_of_a_later_step(hurried: Hurried) -> None:
    hurried.law.stuck = True
    assert hurried.step()[1] is StepReason.OUT_OF_TIME
    hurried.step()
    hurried.come_back()
    hurried.law.raises = {"solve"}
    assert hurried.step() == (Rung.SHIFTED, StepReason.LAW_RAISED)
    outputs = dict(zip((p.name for p in hurried.mpc.outputs), hurried.mpc.output_values, strict=True))
    assert outputs["unit.u1"] == 5.5  # planned for two periods later, one move from where the inputs stayed


def test_a_law_that_never_comes_back_is_lived_without() -> None:
    hurried = Hurried(0.005, uses={Rung.HOLD: 3}, safe={"unit.u1": 2.0})
    hurried.law.stuck = True
    try:
        for _ in range(120):
            rung, reason = hurried.step()
            assert (rung, reason) in (
                (Rung.HOLD, StepReason.OUT_OF_TIME),
                (Rung.SAFE, StepReason.SAFE_STATE),
            )
        assert rung is Rung.SAFE
        assert gc.isenabled()
        assert len(hurried.shell.law._worker._open) <= guard._FAR_BEHIND + 2  # type: ignore[union-attr]
    finally:
        hurried.come_back()
    hurried.step()
    assert hurried.law.calls["initialize"] == 2  # there was too much to catch up with


def test_garbage_is_not_searched_for_in_a_step_nor_by_a_law_that_is_busy(hurried: Hurried) -> None:
    solved(hurried)
    on: list[bool] = []
    hurried.law.predicted = lambda inputs: (on.append(gc.isenabled()), np.tile([100.0, 50.0, 20.0], (len(inputs), 1)))[
        1
    ]
    hurried.step()
    assert on
    assert not any(on)
    assert gc.isenabled()
    hurried.law.stuck = True
    hurried.step()
    assert not gc.isenabled()
    hurried.come_back()
    assert gc.isenabled()


def test_a_law_that_raises_in_its_thread_is_told(hurried: Hurried) -> None:
    hurried.law.raises = {"solve"}
    assert hurried.step()[1] is StepReason.LAW_RAISED
    assert "solve failed" in hurried.shell.law.error


def test_a_checkpoint_waits_for_a_busy_law(hurried: Hurried) -> None:
    solved(hurried)
    hurried.law.stuck = True
    hurried.step()
    timer = threading.Timer(0.2, hurried.law.let_go.set)
    timer.start()
    state = hurried.mpc.state()
    timer.join()
    assert state["shell"]["running"]
    other = Hurried()
    other.mpc.restore(state)
    other.k = hurried.k
    assert other.step()[0] in (Rung.SOLVED, Rung.SHIFTED)
    assert "initialize" not in other.law.calls


def test_a_checkpoint_without_a_law_that_does_not_come_back(hurried: Hurried, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "_PATIENCE", 0.05)
    solved(hurried)
    good = hurried.mpc.state()
    hurried.law.stuck = True
    hurried.step()
    state = hurried.mpc.state()
    assert not state["shell"]["running"]
    other = Hurried()
    other.mpc.restore(state)
    other.k = hurried.k
    solved(other)
    assert other.law.calls["initialize"] == 1
    with pytest.raises(GalenicError, match="did not come back"):
        hurried.mpc.restore(good)


def test_a_deadline_that_is_never_reached_changes_nothing(files: Path) -> None:
    signals = ("label_claim.estimate", "hardness.target", "rung", "reason", "failures", "mismatch")
    free = run(controller(files), SyntheticLine(), 40, noisy=True, observe=signals)
    timed = run(controller(files, operation={"deadline": "9 s"}), SyntheticLine(), 40, noisy=True, observe=signals)
    for name, values in free.items():
        np.testing.assert_array_equal(values, timed[name], err_msg=name)


def test_without_a_deadline_there_is_no_thread() -> None:
    before = threading.active_count()
    mpc = MPCController("mpc", ToldLaw(), border())
    mpc.do_step(0.0, 10.0)
    assert threading.active_count() == before


def test_the_thread_ends_with_its_controller() -> None:
    hurried = Hurried()
    hurried.step()
    worker = hurried.shell.law._worker
    assert worker is not None
    thread = worker._thread
    assert thread.is_alive()
    del hurried, worker
    gc.collect()
    thread.join(10.0)
    assert not thread.is_alive()


def test_a_process_ends_although_a_law_is_busy() -> None:
    code = (
        "from test_operation_deadline import Hurried\n"
        "from controllers.operation import deadline\n"
        "deadline._LAST_WAIT = 0.1\n"
        "h = Hurried()\n"
        "h.law.stuck = True\n"
        "print(h.step()[1].name)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=HERE, capture_output=True, text=True, timeout=50.0, check=False
    )
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "OUT_OF_TIME", "")
