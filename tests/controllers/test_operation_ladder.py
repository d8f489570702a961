from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from operated_law import INPUTS, STAGES, ToldLaw, border

from controllers.mpc import MPCController
from controllers.operation.law import Outcome
from controllers.operation.reasons import Mode, Rung, StepReason
from controllers.operation.rules import OperationRules

LOW, HIGH = np.array([u.low for u in INPUTS]), np.array([u.high for u in INPUTS])
MOVE = np.array([u.max_move for u in INPUTS])


class Operated:
    """A told law in its shell, with ports."""

    def __init__(self, rules: OperationRules | None = None, **measured: Any) -> None:
        self.law = ToldLaw()
        self.mpc = MPCController("mpc", self.law, border(rules, **measured))
        self.k = 0
        self.set("y1.quality", 1.0)

    def set(self, port: str, value: float) -> None:
        self.mpc.input_values[[p.name for p in self.mpc.inputs].index(port)] = value

    def get(self, port: str) -> float:
        return float(self.mpc.output_values[[p.name for p in self.mpc.outputs].index(port)])

    @property
    def inputs(self) -> np.ndarray:
        return np.array([self.get(u.name) for u in INPUTS])

    def step(self, y1: float = 100.0, **ports: float) -> tuple[Rung, StepReason]:
        self.set("y1.measured", y1)
        self.set("y2.measured", 50.0)
        self.set("y1.sample", self.k + 1.0)
        for name, value in ports.items():
            self.set(name.replace("__", "."), value)
        self.mpc.do_step(10.0 * self.k, 10.0)
        self.k += 1
        assert np.all(self.inputs >= LOW)
        assert np.all(self.inputs <= HIGH)
        return Rung(int(self.get("rung"))), StepReason(int(self.get("reason")))


def test_a_solved_plan_is_in_force() -> None:
    o = Operated()
    assert o.step() == (Rung.SOLVED, StepReason.SOLVED)
    np.testing.assert_allclose(o.inputs, [5.5, 0.1])
    assert o.get("active") == 1.0
    assert o.get("failures") == 0.0


def test_a_plan_whose_time_was_up_is_checked_by_roll_out() -> None:
    o = Operated()
    o.step()
    o.law.outcome = Outcome.OUT_OF_TIME
    assert o.step() == (Rung.OUT_OF_TIME, StepReason.OUT_OF_TIME)
    assert o.law.calls["roll_out"] > 0

    def worse(inputs: np.ndarray) -> np.ndarray:  # the more the inputs move, the further the weight leaves its limits
        y1 = 110.0 + 10.0 * np.abs(inputs - inputs[0]).sum(axis=1) + 5.0 * (np.ptp(inputs, axis=0).sum() > 0)
        return np.column_stack([y1, np.full(len(inputs), 50.0), np.full(len(inputs), 20.0)])

    o.law.predicted = worse
    rung, reason = o.step()
    assert rung > Rung.SHIFTED  # neither the iterate nor the shifted plan is worth it
    assert reason is StepReason.OUT_OF_TIME


def test_limits_are_given_up_by_rank_and_it_says_which() -> None:
    o = Operated()
    o.law.solvable_without = 3
    assert o.step() == (Rung.RELAXED, StepReason.RELAXED_ECONOMICS)
    o.law.solvable_without = 2
    assert o.step() == (Rung.RELAXED, StepReason.RELAXED_QUALITY)
    o.law.solvable_without = 4
    assert o.step() == (Rung.SOLVED, StepReason.SOLVED)


def test_without_a_plan_the_last_one_is_followed_then_the_backup_then_it_holds_and_goes_to_the_safe_state() -> None:
    uses = {Rung.SHIFTED: 2, Rung.BACKUP: 3, Rung.HOLD: 2}
    o = Operated(OperationRules(uses=uses, safe={"unit.u1": 1.0}))
    o.step()
    o.law.outcome = Outcome.FAILED
    o.law.backup_inputs = np.array([4.0, 0.0])
    seen = [(o.step(), o.inputs) for _ in range(12)]
    assert [int(rung) for (rung, _), _ in seen] == [3, 3, 4, 4, 4, 5, 5, 6, 6, 6, 6, 6]
    assert {reason for (_, reason), _ in seen[:7]} == {StepReason.SOLVER_FAILED}
    np.testing.assert_allclose(seen[0][1], [6.0, 0.2])  # what the plan of the first step had for now
    np.testing.assert_allclose(seen[1][1], [6.0, 0.3])
    np.testing.assert_allclose(seen[4][1], [4.5, 0.0], atol=1e-12)
    np.testing.assert_allclose(seen[6][1], seen[4][1])
    np.testing.assert_allclose(seen[11][1], [2.0, 0.0], atol=1e-12)  # towards 1.0 by .5 a step
    assert o.get("alarm") == 1.0
    assert o.get("mode_in_force") == Mode.ADVISORY


def test_only_a_person_leaves_the_safe_state() -> None:
    o = Operated(OperationRules(uses=dict.fromkeys((Rung.SHIFTED, Rung.BACKUP, Rung.HOLD), 0)))
    o.law.outcome = Outcome.FAILED
    assert o.step()[0] is Rung.SAFE
    o.law.outcome = Outcome.SOLVED
    assert o.step()[0] is Rung.SAFE
    o.step(mode=Mode.ADVISORY)
    assert o.step(mode=Mode.CLOSED) == (Rung.SOLVED, StepReason.SOLVED)


def test_rungs_count_in_a_row_until_a_plan_is_solved() -> None:
    o = Operated(OperationRules(uses={Rung.SHIFTED: 1}))
    o.step()
    for _ in range(3):
        o.law.outcome = Outcome.FAILED
        assert o.step()[0] is Rung.SHIFTED
        o.law.outcome = Outcome.SOLVED
        o.step()
    assert o.get("failures") == 3.0


def test_supervised_loops_are_the_backup_and_are_in_force_then() -> None:
    o = Operated(OperationRules(uses={Rung.SHIFTED: 0}))
    o.step()
    o.law.outcome = Outcome.FAILED
    assert o.step(fallback__unit__u1=7.25)[0] is Rung.BACKUP
    assert o.inputs[0] == 7.25
    assert o.get("active") == 0.0
    o.law.outcome = Outcome.SOLVED
    o.step()
    assert o.get("active") == 1.0
    assert abs(o.inputs[0] - 7.25) <= MOVE[0]  # bumpless: from what was in force


def test_a_deadline_is_passed_on_as_a_budget() -> None:
    o = Operated(OperationRules(deadline=10.0))
    o.step()
    assert 0.0 < o.law.budgets[-1] < 9.99  # the rest is for the roll-out and what comes after
    assert o.get("missed_deadlines") == 0.0


@pytest.mark.parametrize("method", ["estimate", "correct", "predict", "solve", "roll_out", "reset", "initialize"])
def test_a_law_that_raises_does_not_end_the_run(method: str) -> None:
    o = Operated()
    o.step()
    o.law.raises = {method}
    o.law.outcome = Outcome.FAILED
    for _ in range(3):
        rung, reason = o.step()
        assert reason is not StepReason.SOLVED
        assert rung >= Rung.SHIFTED


def test_the_error_of_a_law_is_told() -> None:
    o = Operated()
    o.law.raises = {"solve"}
    assert o.step()[1] is StepReason.LAW_RAISED
    assert "solve failed" in o.mpc.shell.law.error


@pytest.mark.parametrize("absurd", [[math.nan, 0.0], [math.inf, 0.0], [1e9, -1e9]])
def test_absurd_inputs_never_leave(absurd: list[float]) -> None:
    o = Operated()
    o.step()
    before = o.inputs
    o.law.absurd = np.array(absurd)
    o.law.raises = {"admissible"}
    rung, reason = o.step()
    assert np.all(np.abs(o.inputs - before) <= MOVE + 1e-12)
    assert (rung, reason) == (Rung.SOLVED, StepReason.CORRECTED) or rung >= Rung.SHIFTED


def test_a_reference_that_makes_no_sense_is_replaced_by_the_last_one() -> None:
    o = Operated()
    o.step(y1__setpoint=101.0)
    for absurd in (math.nan, math.inf, -math.inf, 1e12):
        assert o.step(y1__setpoint=absurd) == (Rung.SOLVED, StepReason.REFERENCE_HELD)
        assert o.get("y1.reference") == 101.0
    assert o.step(y1__setpoint=102.0) == (Rung.SOLVED, StepReason.SOLVED)


def test_without_any_reference_there_is_no_plan() -> None:
    assert Operated().step(y1__setpoint=math.nan)[1] is StepReason.NOT_FINITE


def test_the_plan_has_the_stages_that_the_law_gives() -> None:
    o = Operated()
    o.step()
    assert o.mpc.shell.ladder.snapshot()["kept"]["inputs"].shape == (STAGES, 2)
