"""The fallback ladder: from the plan of this step down to the safe state."""

from __future__ import annotations

import math
import time as clock
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from controllers.operation.deadline import reserve
from controllers.operation.guard import GuardedLaw
from controllers.operation.law import Outcome, Plan
from controllers.operation.reasons import Rung, StepReason
from controllers.operation.rules import OperationRules
from cosim.component import FloatArray

#: A solver is told to stop earlier than it is waited for, for there is more to do with a plan: by this factor.
_SOONER = 1.5
#: Soft limits may be left by so much more (in shares of their scale) than they would be if nothing was moved.
_NO_WORSE = 1e-3
_REASON_OF = {
    Outcome.TARGET_FAILED: StepReason.TARGET_FAILED,
    Outcome.INFEASIBLE: StepReason.SOLVER_FAILED,
    Outcome.FAILED: StepReason.SOLVER_FAILED,
    Outcome.NOT_FINITE: StepReason.NOT_FINITE,
    Outcome.OUT_OF_TIME: StepReason.OUT_OF_TIME,
    Outcome.LATE: StepReason.OUT_OF_TIME,
}


@dataclass(frozen=True)
class Answer:
    """What the ladder gives: inputs of shape (m,), from which rung and why, with the plan if one was made."""

    inputs: FloatArray
    rung: Rung
    reason: StepReason
    plan: Plan | None = None
    message: str = ""


class Ladder:
    r"""Never without an answer; each rung has its reason, its count, and a number of uses in a row.

    0 the plan of this step; 1 the plan as it stood when the time was up; 2 a plan without economic, then without
    quality limits; 3 what the last plan had for now; 4 the loops below, or the law's linear backup; 5 as it is; 6 the
    safe state, which only a person leaves.

    The plans of rungs 1 and 3 are rolled out on the model: applied when the prediction is finite and leaves the limits
    of quality no further than it would if nothing was moved. "In a row" is since the last plan that was solved.

    Args:
        law: what solves.
        rules: uses in a row, deadline, safe setpoints.
        period: in s.
    """

    def __init__(self, law: GuardedLaw, rules: OperationRules, period: float) -> None:
        self._law, self._rules, self._period = law, rules, period
        self._range = law.high - law.low
        limits = np.array([y.limits if y.rank <= 2 else (-math.inf, math.inf) for y in law.outputs], dtype=np.float64)
        self._limits = limits.reshape(-1, 2)
        width = self._limits[:, 1] - self._limits[:, 0]
        size = np.maximum(np.abs(np.where(np.isfinite(self._limits), self._limits, 0.0)).max(axis=1), 1e-12)
        self._scale = np.where(np.isfinite(width), width / 2.0, 0.05 * size)
        self._relaxable = [r for r in (3, 2) if any(y.rank == r and np.isfinite(y.limits).any() for y in law.outputs)]
        self._safe = np.array([rules.safe.get(u.name, math.nan) for u in law.inputs])
        self.uses = dict.fromkeys(Rung, 0)
        self.in_safe_state = False
        self._kept: Plan | None = None  # the last plan that was good, for rung 3
        self._kept_age = 0.0

    def begin(self) -> None:
        """Forget plans and counts."""
        self.uses = dict.fromkeys(Rung, 0)
        self.in_safe_state = False
        self._kept = None

    def answer(
        self, time: float, previous: FloatArray, references: FloatArray, loops: FloatArray, until: float
    ) -> Answer:
        """The best that can be had.

        Args:
            time: in s.
            previous: inputs in force, shape (m,).
            references: shape (n_t,), finite; empty where there are none.
            loops: what the supervised loops would do, NaN where there is none, shape (m,).
            until: the clock's time (`time.perf_counter`) at which the answer is due. With one, what comes below a plan
                is made first.
        """
        self._kept_age += self._period
        if (found := self._law.late_plan()) is not None:
            self._kept, self._kept_age = found[1], time - found[0]
        ready = None if math.isinf(until) else self._best_below(previous, references, loops)
        plan, reason = self._solve(time, previous, references, until, 4)
        rung = Rung.SOLVED
        if plan.outcome is Outcome.OUT_OF_TIME:
            rung, late = Rung.OUT_OF_TIME, reason is StepReason.LATE
            if not (self._free(rung) and (late or self._good(plan.inputs, previous))):
                plan = _without(plan)
        elif plan.outcome is Outcome.RELAXED:
            rung, reason = Rung.RELAXED, StepReason.RELAXED_ECONOMICS
        elif not plan.usable:
            rung = Rung.RELAXED
            for relax in self._relaxable if self._free(rung) and plan.outcome is not Outcome.LATE else ():
                if clock.perf_counter() >= until:
                    break
                again, _ = self._solve(time, previous, references, until, relax)
                if again.outcome in (Outcome.SOLVED, Outcome.RELAXED) or (
                    again.usable and self._good(again.inputs, previous)
                ):
                    plan = again
                    reason = StepReason.RELAXED_ECONOMICS if relax == 3 else StepReason.RELAXED_QUALITY
                    break
        if plan.usable and self._free(rung):
            return self._planned(plan, rung, reason, previous)
        self._reset()
        return self._below(ready or self._best_below(previous, references, loops), previous, reason, plan)

    def backup(self, previous: FloatArray, references: FloatArray, loops: FloatArray, reason: StepReason) -> Answer:
        """Rungs 4 to 6, without asking for a plan."""
        self._kept = None
        self._reset()
        return self._below(self._best_below(previous, references, loops), previous, reason, None)

    def loops_only(self, previous: FloatArray, loops: FloatArray, reason: StepReason) -> Answer:
        """The loops where there are any, else as it is; not counted as a fallback."""
        known = np.isfinite(loops)
        inputs = self._law.inside(np.where(known, loops, previous))
        return Answer(inputs, Rung.BACKUP if known.any() else Rung.HOLD, reason)

    def _solve(
        self, time: float, previous: FloatArray, references: FloatArray, until: float, relax: int
    ) -> tuple[Plan, StepReason]:
        budget = max(0.0, until - _SOONER * reserve(self._rules.deadline) - clock.perf_counter())
        plan = self._law.solve(time, previous, references, budget=budget, relax=relax)
        reason = _REASON_OF.get(plan.outcome, StepReason.SOLVED)
        if plan.usable and not (len(plan.inputs) and np.isfinite(plan.inputs).all()):
            return _without(plan), StepReason.NOT_FINITE
        if plan.outcome is Outcome.SOLVED and clock.perf_counter() > until:
            # no checks by roll-out: it has converged. Nothing is re-solved, for there is no time
            return _changed(plan, Outcome.OUT_OF_TIME), StepReason.LATE
        return plan, reason

    def _planned(self, plan: Plan, rung: Rung, reason: StepReason, previous: FloatArray) -> Answer:
        asked = plan.inputs[0]
        inputs = self._law.admissible(asked, previous)
        if rung is Rung.SOLVED:
            self.begin_again()
            if np.any(np.abs(inputs - asked) > 1e-6 * self._range):
                reason = StepReason.CORRECTED
        else:
            self.uses[rung] += 1
        if rung is not Rung.OUT_OF_TIME or reason is StepReason.LATE:
            self._kept, self._kept_age = plan, 0.0
        return Answer(inputs, rung, reason, plan, plan.message)

    def begin_again(self) -> None:
        """A plan was solved: nothing is in a row any more."""
        for rung in self.uses:
            self.uses[rung] = 0

    def _best_below(self, previous: FloatArray, references: FloatArray, loops: FloatArray) -> tuple[Rung, FloatArray]:
        """The first rung below a plan that has an answer."""
        if self._free(Rung.SHIFTED) and (inputs := self._shifted(previous)) is not None:
            return Rung.SHIFTED, inputs
        if self._free(Rung.BACKUP) and (inputs := self._from_below(previous, references, loops)) is not None:
            return Rung.BACKUP, inputs
        return Rung.HOLD if self._free(Rung.HOLD) else Rung.SAFE, previous.copy()

    def _below(
        self, best: tuple[Rung, FloatArray], previous: FloatArray, reason: StepReason, plan: Plan | None
    ) -> Answer:
        message = "" if plan is None else plan.message
        rung, inputs = best
        if rung is Rung.SAFE:
            self.in_safe_state = True
            return self.safe(previous, plan, message)
        self.uses[rung] += 1
        return Answer(inputs, rung, reason, plan, message)

    def safe(self, previous: FloatArray, plan: Plan | None = None, message: str = "") -> Answer:
        """One move towards the safe setpoints; inputs without one stay."""
        self.uses[Rung.SAFE] += 1
        wanted = np.where(np.isfinite(self._safe), self._safe, previous)
        inputs = self._law.admissible(wanted, previous)
        return Answer(inputs, Rung.SAFE, StepReason.SAFE_STATE, plan, message)

    def _from_below(self, previous: FloatArray, references: FloatArray, loops: FloatArray) -> FloatArray | None:
        known = np.isfinite(loops)
        if known.any():
            return self._law.inside(np.where(known, loops, previous))
        inputs = self._law.backup(previous, references) if len(references) or not self._tracks else None
        if inputs is None or not np.isfinite(inputs).all():
            return None
        return self._law.admissible(inputs, previous)

    @property
    def _tracks(self) -> bool:
        return any(y.tracked for y in self._law.outputs)

    def _shifted(self, previous: FloatArray) -> FloatArray | None:
        plan = self._kept
        if plan is None or not len(plan.inputs):
            return None
        starts = np.concatenate([[0.0], plan.ends[:-1]])
        stage = np.searchsorted(plan.ends, starts + self._kept_age + 1e-9 * self._period, side="right")
        inputs = plan.inputs[np.minimum(stage, len(plan.ends) - 1)]
        if not self._good(inputs, previous):
            return None
        return self._law.admissible(inputs[0], previous)

    def _good(self, inputs: FloatArray, previous: FloatArray) -> bool:
        """Whether the model, under these inputs (K, m), keeps what can be kept."""
        worst = self._leaves(inputs)
        if not math.isfinite(worst):
            return False
        still = self._leaves(np.broadcast_to(previous, inputs.shape))
        return worst <= (still if math.isfinite(still) else 0.0) + _NO_WORSE

    def _leaves(self, inputs: FloatArray) -> float:
        """By how much limits are left in the worst stage, in shares of their scale; infinite where it is no number."""
        outputs = self._law.roll_out(inputs)
        if not np.isfinite(outputs).all():
            return math.inf
        beyond = np.maximum(self._limits[:, 0] - outputs, outputs - self._limits[:, 1]) / self._scale
        return float(max(0.0, beyond.max(initial=0.0)))

    def _free(self, rung: Rung) -> bool:
        return self.uses[rung] < self._rules.uses.get(rung, math.inf)

    def _reset(self) -> None:
        self._law.reset()

    def snapshot(self) -> dict[str, Any]:
        """What it remembers."""
        plan = self._kept
        kept = None if plan is None else {"inputs": plan.inputs.copy(), "ends": np.array(plan.ends, dtype=np.float64)}
        return {
            "uses": [self.uses[rung] for rung in Rung],
            "safe": self.in_safe_state,
            "kept": kept,
            "age": self._kept_age,
        }

    def recall(self, snapshot: Mapping[str, Any]) -> None:
        """Remember what `snapshot` gave."""
        self.uses = dict(zip(Rung, snapshot["uses"], strict=True))
        self.in_safe_state, self._kept_age = snapshot["safe"], snapshot["age"]
        self._kept = None
        if snapshot["kept"] is not None:
            empty = np.empty((0, 0))
            kept = snapshot["kept"]
            self._kept = Plan(Outcome.SOLVED, kept["inputs"], kept["ends"], empty, empty, empty, empty)


def _without(plan: Plan) -> Plan:
    return _changed(plan, Outcome.FAILED)


def _changed(plan: Plan, outcome: Outcome) -> Plan:
    from dataclasses import replace

    return replace(plan, outcome=outcome)
