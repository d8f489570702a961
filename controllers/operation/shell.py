"""The shell around a control law: it answers for what leaves the controller."""

from __future__ import annotations

import math
import time as clock
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from controllers.operation.advice import Advisor
from controllers.operation.border import Border
from controllers.operation.checks import MeasurementChecks, MismatchMonitor, Verdict
from controllers.operation.deadline import reserve
from controllers.operation.guard import GuardedLaw
from controllers.operation.ladder import Answer, Ladder
from controllers.operation.law import ControlLaw, Plan
from controllers.operation.reasons import Mode, Rung, StepReason
from controllers.operation.schedule import by_stage
from cosim.component import FloatArray

#: A reference further from the operating point than this many times the output's size is none.
_FAR = 100.0
_MODES = frozenset(int(mode) for mode in Mode)
_NOT_FAILURES = (StepReason.WAITING, StepReason.SWITCHED_OFF)


@dataclass(slots=True)
class Step:
    """What one execution decided, in the model's units.

    Attributes:
        time: in s.
        asked: the mode that is asked for.
        mode: the mode in force; advisory where a closed controller has stepped back.
        rung: of the answer.
        reason: of the rung.
        active: whether the controller drives; the loops below then follow.
        alarm: whether a person has to look.
        previous: inputs that were in force, shape (m,).
        inputs: inputs in force from now on, shape (m,).
        proposed: the answer's first inputs, in force or not, shape (m,); None where nothing was computed.
        references: as used, shape (n_t,).
        loops: what the loops below would do, NaN where there is none, shape (m,).
        plan: of this step.
        message: what the law said.
        missing: number of the measurement that is missing for too long.
        events: of advisory mode.
        late: whether it took longer than the deadline.
    """

    time: float
    asked: Mode
    mode: Mode
    rung: Rung
    reason: StepReason
    active: bool
    alarm: bool
    previous: FloatArray
    inputs: FloatArray
    proposed: FloatArray | None
    references: FloatArray
    loops: FloatArray
    plan: Plan | None = None
    message: str = ""
    missing: int | None = None
    events: Sequence[dict[str, Any]] = field(default_factory=tuple)
    late: bool = False


class Shell:
    """Checks, modes, ladder, advice around any control law; it has no ports and writes no files.

    One execution: the estimate follows what was applied, values are screened and correct it, the ladder answers, the
    mode decides what of the answer is in force.

    Args:
        law: any law.
        border: how it is operated, and where it begins.
    """

    def __init__(self, law: ControlLaw, border: Border) -> None:
        self.rules = rules = border.rules
        self.law = GuardedLaw(law, len(border.measured), rules.deadline)
        self.checks = MeasurementChecks(border.measured)
        self.monitor = MismatchMonitor(border.period, rules.mismatch_time, rules.mismatch_sigmas)
        self.ladder = Ladder(self.law, rules, border.period)
        self.advisor = Advisor(rules.advisory, self.law.high - self.law.low)
        self.verdicts: list[Verdict] = [Verdict.NOT_FRESH] * len(border.measured)
        self.failures = 0
        self.missed_deadlines = 0
        self._border = border
        self._asked = rules.mode
        self._applied: FloatArray | None = None
        self._running = False
        self._ready_at = math.inf
        self._enabled = False
        tracked = [i for i, y in enumerate(law.outputs) if y.tracked]
        middle = np.array([border.operating_point[i] for i in tracked], dtype=np.float64)
        reach = _FAR * np.array([border.sizes[i] for i in tracked], dtype=np.float64)
        self._low_reference, self._high_reference = middle - reach, middle + reach
        self._references = np.full(len(tracked), math.nan)

    def step(
        self,
        time: float,
        port_values: FloatArray,
        references: FloatArray,
        loops: FloatArray,
        asked: float,
        answers: Sequence[tuple[int, str]] = (),
    ) -> Step:
        """One execution at ``time`` (s).

        Args:
            time: in s.
            port_values: of all input ports, from which measurements are read.
            references: as they arrived, shape (n_t,).
            loops: what the loops below would do, NaN where there is none, shape (m,).
            asked: mode that is asked for; what is no mode changes nothing.
            answers: to recommendations, since the last execution.
        """
        with np.errstate(all="ignore"):  # absurd numbers are told by their codes
            return self._step(time, port_values, references, loops, asked, answers)

    def _step(
        self,
        time: float,
        port_values: FloatArray,
        references: FloatArray,
        loops: FloatArray,
        asked: float,
        answers: Sequence[tuple[int, str]],
    ) -> Step:
        began = clock.perf_counter()
        until = began + self.rules.deadline
        law = self.law
        law.error, law.until = "", until - reserve(self.rules.deadline)
        self._switch(asked)
        previous = self._applied
        if previous is None:
            previous = law.inside(np.where(np.isfinite(loops), loops, self._border.start))
        if self._asked is Mode.OFF or time < self._border.estimate_after - 1e-9:
            reason = StepReason.SWITCHED_OFF if self._asked is Mode.OFF else StepReason.WAITING
            self.verdicts = [Verdict.NOT_FRESH] * len(self.verdicts)
            self.checks.raw[:] = math.nan
            return self._passive(time, previous, loops, reason)
        lost = self._estimate(time, previous, port_values)
        held = self._refer(references)
        if time < self._ready_at - 1e-9 or not self._enable(time, port_values):
            return self._passive(time, previous, loops, StepReason.WAITING)
        missing = self.checks.missing(time)
        answer = self._answer(time, previous, loops, lost, until)
        if answer.rung is Rung.SOLVED and answer.reason is StepReason.SOLVED:
            if self.monitor.differs:
                answer = _because(answer, StepReason.MISMATCH)
            elif held:
                answer = _because(answer, StepReason.REFERENCE_HELD)
        step = self._apply(time, previous, loops, answer, missing, answers)
        step.late = clock.perf_counter() > until
        self.missed_deadlines += step.late
        self.failures += step.rung >= Rung.SHIFTED and step.reason not in _NOT_FAILURES
        return step

    def _switch(self, asked: float) -> None:
        if not math.isfinite(asked) or round(asked) not in _MODES:
            return
        mode = Mode(round(asked))
        if mode is self._asked:
            return
        self._asked = mode
        self.advisor.clear()
        self.ladder.in_safe_state = False
        self.ladder.begin_again()
        if mode is Mode.OFF:
            self._running = self._enabled = False

    def _estimate(self, time: float, previous: FloatArray, port_values: FloatArray) -> bool:
        """Follow what was applied and what arrived; whether the estimate was lost."""
        law, anew = self.law, not self._running
        if anew:
            self._running = True
            self._ready_at = time + self._border.start_after - self._border.estimate_after
            self.checks.begin(time)
            self.monitor.restart()
            self.ladder.begin()
        self.checks.read(time, port_values)
        lost, reasons = law.follow(time, previous, self.checks.values, self.checks.fresh, port_values, anew=anew)
        self.verdicts = [
            Verdict(int(reason)) if verdict is Verdict.USED else verdict
            for verdict, reason in zip(self.checks.verdicts, reasons, strict=True)
        ]
        self.monitor.update(law.innovations)
        if not law.busy and not np.isfinite(law.estimate).all():
            law.initialize(time, previous)
            lost = True
        return lost

    def _enable(self, time: float, port_values: FloatArray) -> bool:
        """Whether what it waits for has held once."""
        if not self._enabled:
            condition = self._border.enable
            self._enabled = condition is None or condition.holds(time, port_values)
        return self._enabled

    def _refer(self, references: FloatArray) -> bool:
        """Keep references that make sense; whether one had to be replaced by the last one that did."""
        usable = (references >= self._low_reference) & (references <= self._high_reference)
        self._references = np.where(usable, references, self._references)
        return not bool(usable.all())

    def _answer(self, time: float, previous: FloatArray, loops: FloatArray, lost: bool, until: float) -> Answer:
        ladder, references = self.ladder, self._ahead(time)
        if lost:
            return ladder.backup(previous, references, loops, StepReason.ESTIMATE_LOST)
        if not np.isfinite(references).all():
            return ladder.backup(previous, references, loops, StepReason.NOT_FINITE)
        if self.rules.mismatch_steps_down and self.monitor.differs:
            return ladder.backup(previous, references, loops, StepReason.MISMATCH)
        answer = ladder.answer(time, previous, references, loops, until)
        if self.law.error and answer.reason is StepReason.SOLVER_FAILED:
            return _because(answer, StepReason.LAW_RAISED)
        return answer

    def _ahead(self, time: float) -> FloatArray:
        """References as the law takes them: (n_t,), or by stage (n_t, K) where some are known in advance."""
        schedules = self._border.schedules
        if not any(schedules):
            return self._references
        times = time + self.law.instants(time)
        return by_stage(schedules, self._references, times, self._low_reference, self._high_reference)

    def _passive(self, time: float, previous: FloatArray, loops: FloatArray, reason: StepReason) -> Step:
        """The loops below are in force and nothing is computed."""
        answer = self.ladder.loops_only(previous, loops, reason)
        self._applied = answer.inputs
        return Step(
            time, self._asked, self._asked, answer.rung, reason, False, False, previous, answer.inputs, None,
            self._references, loops,
        )  # fmt: skip

    def _apply(
        self,
        time: float,
        previous: FloatArray,
        loops: FloatArray,
        answer: Answer,
        missing: int | None,
        answers: Sequence[tuple[int, str]],
    ) -> Step:
        ladder, advisor, asked = self.ladder, self.advisor, self._asked
        mode, active, events = asked, False, []
        in_force, rung, reason = answer.inputs, answer.rung, answer.reason
        if missing is not None:
            rung, reason = Rung.BACKUP if np.isfinite(loops).any() else Rung.HOLD, StepReason.MEASUREMENT_MISSING
        if asked is not Mode.CLOSED:
            ladder.in_safe_state = False  # who is not in force takes nothing to a safe state
        elif missing is not None or ladder.in_safe_state:
            mode = Mode.ADVISORY
        if mode is Mode.ADVISORY:
            plan = answer.plan if answer.rung <= Rung.RELAXED else None
            events = advisor.update(time, plan, previous, list(answers))
            if ladder.in_safe_state and any(e["what"] == "accepted" for e in events):
                ladder.in_safe_state = False
                ladder.begin_again()
            if advisor.accepted is not None:
                in_force, active = self.law.admissible(advisor.accepted, previous), True
            elif ladder.in_safe_state:
                safe = ladder.safe(previous) if answer.rung is not Rung.SAFE else answer
                in_force, active, rung, reason = safe.inputs, True, safe.rung, safe.reason
            else:
                in_force = ladder.loops_only(previous, loops, reason).inputs
        elif mode is Mode.SHADOW:
            in_force = ladder.loops_only(previous, loops, reason).inputs
        else:
            if advisor.open is not None or advisor.accepted is not None:
                advisor.clear()
            active = rung <= Rung.SHIFTED or (rung is Rung.HOLD and bool(np.isfinite(loops).any()))
        in_force = np.minimum(np.maximum(in_force, self.law.low), self.law.high)
        self._applied = in_force
        alarm = ladder.in_safe_state or missing is not None or rung is Rung.HOLD
        return Step(
            time, asked, mode, rung, reason, active, alarm, previous, in_force, answer.inputs, self._references, loops,
            answer.plan, self.law.error or answer.message, missing, events,
        )  # fmt: skip

    def snapshot(self) -> dict[str, Any]:
        """All it knows, for a checkpoint; without a law that does not come back, so that its estimate begins anew."""
        law = self.law.snapshot() if self._running else None
        return {
            "running": law is not None,
            "applied": None if self._applied is None else self._applied.copy(),
            "asked": int(self._asked),
            "ready_at": self._ready_at,
            "enabled": self._enabled,
            "references": self._references.copy(),
            "failures": self.failures,
            "missed_deadlines": self.missed_deadlines,
            "checks": self.checks.snapshot(),
            "monitor": self.monitor.snapshot(),
            "ladder": self.ladder.snapshot(),
            "advisor": self.advisor.snapshot(),
            "law": law,
        }

    def recall(self, snapshot: Mapping[str, Any]) -> None:
        """Go on from what `snapshot` gave."""
        self._running, self._applied = snapshot["running"], snapshot["applied"]
        self._asked, self._ready_at = Mode(snapshot["asked"]), snapshot["ready_at"]
        self._enabled = snapshot["enabled"]
        self._references = snapshot["references"]
        self.failures, self.missed_deadlines = snapshot["failures"], snapshot["missed_deadlines"]
        self.checks.recall(snapshot["checks"])
        self.monitor.recall(snapshot["monitor"])
        self.ladder.recall(snapshot["ladder"])
        self.advisor.recall(snapshot["advisor"])
        if snapshot["law"] is not None:
            self.law.recall(snapshot["law"])


def _because(answer: Answer, reason: StepReason) -> Answer:
    return Answer(answer.inputs, answer.rung, reason, answer.plan, answer.message)
