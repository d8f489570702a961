from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from operated_law import ToldLaw, border
from test_operation_ladder import MOVE, Operated

from controllers.mpc import MPCController
from controllers.operation.advice import AnswerFile
from controllers.operation.checks import MismatchMonitor, Verdict
from controllers.operation.law import Outcome
from controllers.operation.reasons import Mode, Rung, StepReason
from controllers.operation.record import record_file
from controllers.operation.rules import AdvisoryRules, OperationRules


def test_off_nothing_is_computed_and_the_loops_are_in_force() -> None:
    o = Operated(OperationRules(mode=Mode.OFF))
    assert o.step(fallback__unit__u1=3.0) == (Rung.BACKUP, StepReason.SWITCHED_OFF)
    assert "solve" not in o.law.calls
    assert (o.inputs[0], o.get("active"), o.get("failures")) == (3.0, 0.0, 0.0)


def test_in_shadow_it_computes_but_the_loops_are_in_force() -> None:
    o = Operated(OperationRules(mode=Mode.SHADOW))
    for value in (3.0, 8.0):
        assert o.step(fallback__unit__u1=value) == (Rung.SOLVED, StepReason.SOLVED)
        assert (o.inputs[0], o.get("active")) == (value, 0.0)
    assert o.law.calls["solve"] == 2


def test_every_switch_is_bumpless() -> None:
    o = Operated()
    random = np.random.default_rng(1)
    loops, before = 5.0, None
    for mode in random.integers(0, 4, 60):
        o.law.goal = random.uniform([0.0, -1.0], [10.0, 1.0])
        o.step(fallback__unit__u1=loops, mode=float(mode))
        if before is not None:
            assert abs(o.inputs[0] - before) <= MOVE[0] + 1e-12
        before = o.inputs[0]
        loops = before + random.uniform(-0.4, 0.4)  # a loop that tracks moves on from what is in force
        loops = min(max(loops, 0.0), 10.0)


def test_after_off_the_estimate_begins_anew() -> None:
    o = Operated()
    o.step()
    o.step(mode=Mode.OFF)
    o.step(mode=Mode.CLOSED)
    assert o.law.calls["initialize"] == 2


def test_what_is_no_mode_changes_nothing() -> None:
    o = Operated()
    for value in (math.nan, -3.0, 17.0, math.inf):
        o.step(mode=value)
        assert o.get("mode_in_force") == Mode.CLOSED


def test_a_missing_measurement_steps_back_to_advisory_and_returns_by_itself() -> None:
    o = Operated(max_missed=1)
    o.step()
    assert o.step(math.nan) == (Rung.SOLVED, StepReason.SOLVED)
    assert o.mpc.shell.verdicts[0] is Verdict.NOT_FINITE
    assert o.step(math.nan) == (Rung.HOLD, StepReason.MEASUREMENT_MISSING)
    assert (o.get("mode_in_force"), o.get("active"), o.get("alarm")) == (Mode.ADVISORY, 0.0, 1.0)
    assert o.step() == (Rung.SOLVED, StepReason.SOLVED)


def test_a_measurement_that_is_not_needed_may_be_missing() -> None:
    o = Operated(needed=False)
    assert {o.step(math.nan) for _ in range(20)} == {(Rung.SOLVED, StepReason.SOLVED)}


@pytest.mark.parametrize(
    ("measured", "values", "verdict"),
    [
        ({}, [100.0, math.nan], Verdict.NOT_FINITE),
        ({}, [100.0, math.inf], Verdict.NOT_FINITE),
        ({}, [100.0, 500.0], Verdict.OUT_OF_RANGE),
        ({"max_rate": 0.1}, [100.0, 103.0], Verdict.TOO_FAST),
        ({"frozen_after": 3}, [100.0, 100.0, 100.0], Verdict.FROZEN),
    ],
)
def test_values_that_are_no_measurement_are_left_out(
    measured: dict[str, Any], values: list[float], verdict: Verdict
) -> None:
    o = Operated(**measured)
    for value in values:
        o.step(value)
    assert o.mpc.shell.verdicts[0] is verdict
    assert math.isnan(o.mpc.shell.checks.values[0])


def test_a_real_step_is_believed_after_a_while_whatever_the_rate() -> None:
    o = Operated(max_rate=0.1, max_missed=9)
    o.step(100.0)
    for _ in range(10):
        o.step(105.0)
    assert o.mpc.shell.verdicts[0] is Verdict.USED


def test_a_quality_code_decides() -> None:
    o = Operated(with_quality=True, good_from=192.0)
    o.step(y1__quality=192.0)
    verdicts = [o.mpc.shell.verdicts[0]]
    o.step(y1__quality=64.0)
    verdicts.append(o.mpc.shell.verdicts[0])
    assert verdicts == [Verdict.USED, Verdict.BAD_QUALITY]


def test_a_silent_sensor_is_missing_after_its_age() -> None:
    o = Operated(max_age=35.0)
    o.step()
    reasons = []
    for _ in range(5):
        o.k -= 1  # its counter stands still
        o.set("y1.sample", 1.0)
        o.k += 1
        o.set("y2.measured", 50.0)
        o.mpc.do_step(10.0 * o.k, 10.0)
        o.k += 1
        reasons.append(int(o.get("reason")))
    assert reasons == [0, 0, 0, 2, 2]


def test_a_mismatch_is_told_and_may_step_down() -> None:
    for steps_down in (False, True):
        o = Operated(OperationRules(mismatch_time=100.0, mismatch_steps_down=steps_down))
        o.step()
        o.law.innovations = np.array([6.0, -7.0])
        seen = [o.step() for _ in range(20)]
        assert seen[-1] == ((Rung.HOLD if steps_down else Rung.SOLVED), StepReason.MISMATCH)
        assert o.get("mismatch") > 3.0


def test_the_monitor_is_one_where_innovations_are_standard_normal_and_one_absurd_value_is_none() -> None:
    monitor = MismatchMonitor(10.0, 2000.0, 3.0)
    for e in np.random.default_rng(1).normal(size=(2000, 3)):
        monitor.update(e)
    assert monitor.size == pytest.approx(1.0, abs=0.1)
    monitor.update(np.array([1e300, math.nan, math.nan]))
    assert not monitor.differs


RULES = OperationRules(mode=Mode.ADVISORY, advisory=AdvisoryRules(expires=50.0, ahead=30.0, least=0.01))


def advised(tmp_path: Path) -> tuple[Operated, Path]:
    o = Operated(RULES)
    o.mpc.open_record(tmp_path / "control")
    o.step(fallback__unit__u1=5.0)
    return o, record_file(tmp_path / "control", "mpc", "answers")


def say(file: Path, number: int, answer: str) -> None:
    with file.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps({"number": number, "answer": answer}) + "\n")


def test_a_recommendation_waits_for_its_answer(tmp_path: Path) -> None:
    o, answers = advised(tmp_path)
    shown = json.loads(record_file(tmp_path / "control", "mpc", "advice").read_text())["open"]
    assert shown["number"] == 1
    assert [u["to"] for u in shown["inputs"]] == [6.0, pytest.approx(0.3)]  # where the plan is in 30 s
    o.step()
    assert (o.inputs[0], o.get("active")) == (5.0, 0.0)
    say(answers, 1, "accept")
    o.step()
    assert (o.inputs[0], o.get("active")) == (5.5, 1.0)  # towards it, by the move limit
    o.step(fallback__unit__u1=5.5)
    assert o.inputs[0] == 6.0
    say(answers, 1, "release")
    o.step()
    assert (o.inputs[0], o.get("active")) == (5.5, 0.0)


def test_a_recommendation_expires_and_a_rejected_one_is_quiet_for_as_long(tmp_path: Path) -> None:
    o, answers = advised(tmp_path)
    for _ in range(5):
        o.step()
    assert o.mpc.shell.advisor.number == 2  # the first has expired at 50 s
    say(answers, 2, "reject")
    o.step()
    assert o.mpc.shell.advisor.open is None
    for _ in range(4):
        o.step()
        assert o.mpc.shell.advisor.open is None
    o.step()
    assert o.mpc.shell.advisor.number == 3


def test_an_answer_that_comes_late_does_nothing(tmp_path: Path) -> None:
    o, answers = advised(tmp_path)
    for _ in range(5):
        o.step()
    say(answers, 1, "accept")
    o.step()
    assert o.mpc.shell.advisor.accepted is None


def test_lines_that_say_nothing_are_passed_over_and_half_a_line_waits(tmp_path: Path) -> None:
    file = tmp_path / "answers.jsonl"
    answers = AnswerFile(file)
    assert answers.poll() == []
    file.write_bytes(b'nonsense\n[1]\n{"number": 1}\n\xff\xfe\n{"number": 2, "answer": "accept"}\n{"number": 3, "an')
    assert answers.poll() == [(2, "accept")]
    with file.open("ab") as stream:
        stream.write(b'swer": "reject"}\n')
    assert answers.poll() == [(3, "reject")]


def test_at_a_prompt_the_answer_counts_at_once(tmp_path: Path) -> None:
    o = Operated(RULES)
    asked = []
    o.mpc.ask_with(lambda r: asked.append(r.number) or "accept")  # type: ignore[func-returns-value]
    o.step()
    assert asked == [1]
    assert o.get("active") == 1.0


def test_each_step_is_a_line_that_survives_the_process(tmp_path: Path) -> None:
    o = Operated()
    o.mpc.open_record(tmp_path / "control")
    for y1 in (100.0, math.nan, math.inf):
        o.step(y1)
    lines = record_file(tmp_path / "control", "mpc").read_text().splitlines()  # not closed
    header, *steps = [json.loads(line) for line in lines]
    assert [u["name"] for u in header["inputs"]] == ["unit.u1", "unit.u2"]
    assert [s["t"] for s in steps] == [0.0, 10.0, 20.0]
    assert [s["y"][0] for s in steps] == [100.0, None, math.inf]
    assert [s["verdicts"][0] for s in steps] == [0, 3, 3]
    assert steps[0]["rung"] == steps[0]["reason"] == 0
    assert steps[0]["after"] == [5.5, 0.1]
    assert len(steps[0]["plan_y"]) == 3 * len(steps[0]["ahead"]) == len(steps[0]["plan_std"])


def test_the_record_can_be_switched_off(tmp_path: Path) -> None:
    o = Operated(OperationRules(record=False))
    o.mpc.open_record(tmp_path / "control")
    o.step()
    assert not record_file(tmp_path / "control", "mpc").exists()


def test_from_a_checkpoint_it_goes_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    first = Operated(RULES)
    first.mpc.open_record(tmp_path / "control")
    for k in range(6):
        first.step(100.0 + k)
    kept = first.mpc.state()
    expected = []
    for k in range(6):
        first.step(100.0 - k)
        expected.append(first.inputs)
    file = record_file(tmp_path / "control", "mpc")
    whole = file.read_text()
    second = Operated(RULES)
    second.mpc.restore(kept)
    second.mpc.open_record(tmp_path / "control")
    second.k = 6
    for k in range(6):
        second.step(100.0 - k)
        np.testing.assert_array_equal(second.inputs, expected[k])
    without_time = [{**json.loads(line), "ms": 0} for line in whole.splitlines()]
    assert [{**json.loads(line), "ms": 0} for line in file.read_text().splitlines()] == without_time


def test_a_law_with_its_own_record_of_nothing_still_fits(tmp_path: Path) -> None:
    mpc = MPCController("other", ToldLaw(), border())
    mpc.open_record(tmp_path)
    mpc.close_record()
    mpc.close_record()
    assert json.loads(record_file(tmp_path, "other").read_text())["law"] == "ToldLaw"


@pytest.mark.parametrize("mode", [Mode.SHADOW, Mode.ADVISORY])
def test_who_is_not_in_force_takes_nothing_to_the_safe_state(mode: Mode) -> None:
    uses = dict.fromkeys((Rung.SHIFTED, Rung.BACKUP, Rung.HOLD), 0)
    o = Operated(OperationRules(mode=mode, uses=uses, safe={"unit.u1": 1.0}))
    o.law.outcome = Outcome.FAILED
    for _ in range(5):
        o.step()
        assert (o.inputs[0], o.get("active"), o.get("alarm")) == (5.0, 0.0, 0.0)
