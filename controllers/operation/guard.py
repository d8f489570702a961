"""A control law that never fails: whatever a law does, its answers have the right shape and stay inside the bounds."""

from __future__ import annotations

import math
import time as clock
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from controllers.estimation.channels import Reason
from controllers.operation.deadline import OutOfTimeError, Task, Worker
from controllers.operation.law import ControlLaw, LawDisturbance, LawInput, LawOutput, Outcome, Plan
from cosim.component import FloatArray
from fmus.errors import GalenicError

#: Updates of the estimate that a busy law may be behind; then the estimate begins anew.
_FAR_BEHIND = 100
#: A checkpoint waits so long (s) for a law that is busy.
_PATIENCE = 10.0

T = TypeVar("T")


class GuardedLaw:
    """Passes everything on to a law; an error of the law becomes an answer that says so.

    With a deadline the law computes in a thread of its own (`controllers.operation.deadline`), and what it does not
    answer until ``until`` is an answer too. A law that is busy catches up with its estimate when it is back; meanwhile
    the last estimate stands.

    Args:
        law: any law.
        measurements: how many values it is corrected with.
        deadline: of one execution, in s.
    """

    def __init__(self, law: ControlLaw, measurements: int, deadline: float = math.inf) -> None:
        self.law = law
        self.inputs: Sequence[LawInput] = law.inputs
        self.outputs: Sequence[LawOutput] = law.outputs
        self.disturbances: Sequence[LawDisturbance] = law.disturbances
        self.decisions = law.decisions
        self.low = np.array([u.low for u in law.inputs])
        self.high = np.array([u.high for u in law.inputs])
        self._max_move = np.array([u.max_move for u in law.inputs])
        self._measurements = measurements
        self._known: Sequence[tuple[str, int, float, float]] = tuple(getattr(law, "known_ports", ()))
        #: What the law's last error said; empty where there was none in this step.
        self.error = ""
        #: Until when an answer is of use, by `time.perf_counter`; heard where there is a deadline.
        self.until = math.inf
        self._worker = Worker(deadline) if math.isfinite(deadline) else None
        self._read: dict[str, FloatArray] = {}
        self._astray = False
        self._left: OutOfTimeError | None = None
        self._late: tuple[float, Task] | None = None

    @property
    def busy(self) -> bool:
        """Whether the law still computes something that was not waited for."""
        return self._worker is not None and self._worker.behind > 0

    def _ask(self, call: Callable[[], T], instead: T, meanwhile: T, *, later: bool) -> T:
        """What the law computes; ``instead`` where it fails, ``meanwhile`` where it has no answer in time.

        What the estimate rests on is done ``later`` then.
        """
        self._left = None
        if (worker := self._worker) is None:
            return self._here(call, instead)
        if not self._astray and worker.behind > _FAR_BEHIND:
            self._astray = True
            worker.give_up()
        try:
            if self._astray and self.busy:
                raise OutOfTimeError(Task(call))
            return worker.ask(call, self.until, later=later)
        except OutOfTimeError as error:
            self._left = error
            return meanwhile
        except Exception as error:  # a law may do anything; the ladder has an answer
            return self._failed(error, instead)

    def _idle(self, call: Callable[[], T], instead: T) -> T:
        """What takes a bounded time is computed in this thread, unless the law is busy."""
        return instead if self.busy else self._here(call, instead)

    def _here(self, call: Callable[[], T], instead: T) -> T:
        """In this thread, even while the law is busy."""
        try:
            return call()
        except Exception as error:  # as above
            return self._failed(error, instead)

    def _failed(self, error: Exception, instead: T) -> T:
        self.error = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
        return instead

    def _array(self, name: str, size: int) -> FloatArray:
        """An array of that size; NaN where the law has none. As it was last read while the law is busy."""
        if self.busy:
            return self._read.get(name, np.full(size, math.nan))
        values = np.asarray(self._here(lambda: getattr(self.law, name), None), dtype=np.float64)
        values = values if values.shape == (size,) else np.full(size, math.nan)
        if self._worker is not None:
            self._read[name] = values = values.copy()
        return values

    @property
    def estimate(self) -> FloatArray:
        """See `ControlLaw`."""
        return self._array("estimate", len(self.outputs))

    @property
    def estimate_std(self) -> FloatArray:
        """See `ControlLaw`."""
        return self._array("estimate_std", len(self.outputs))

    @property
    def disturbance_estimate(self) -> FloatArray:
        """See `ControlLaw`."""
        return self._array("disturbance_estimate", len(self.disturbances))

    @property
    def innovations(self) -> FloatArray:
        """See `ControlLaw`; NaN while the law is busy."""
        return np.full(self._measurements, math.nan) if self.busy else self._array("innovations", self._measurements)

    def initialize(self, time: float, inputs: FloatArray) -> None:
        """See `ControlLaw`."""
        self._forget()
        self._ask(lambda: self.law.initialize(time, inputs), None, None, later=True)

    def follow(
        self,
        time: float,
        inputs: FloatArray,
        values: FloatArray,
        fresh: Sequence[bool],
        port_values: FloatArray,
        *,
        anew: bool = False,
    ) -> tuple[bool, list[Reason]]:
        """One period of the estimate, or its beginning: what was applied, then what arrived.

        Args:
            time: in s.
            inputs: that were applied, shape (m,).
            values: one for each measurement.
            fresh: whether each is new.
            port_values: from which a law is told the known inputs that it reads from ports of its own.
            anew: whether it begins at ``time``.

        Returns:
            whether it had to begin anew, as the model or the law had no answer; what became of each value.
        """
        known = {name: f * float(port_values[i]) + o for name, i, f, o in self._known}
        begin = anew or (self._astray and not self.busy)
        if begin:
            self._forget()
        if self._worker is not None:
            values, fresh = values.copy(), list(fresh)  # they may be used later
        nothing, used = [Reason.NOT_USABLE] * len(values), [Reason.USED] * len(values)

        def update() -> tuple[bool, list[Reason]]:
            if known:
                self._here(lambda: self.law.set_known(known), None)  # type: ignore[attr-defined]  # it has such ports
            lost = begin or not self._here(lambda: self.law.predict(inputs), False)
            if lost:
                self._here(lambda: self.law.initialize(time, inputs), None)
            reasons = self._here(lambda: self.law.correct(values, fresh), nothing)
            return lost and not anew, reasons if len(reasons) == len(values) else nothing

        return self._ask(update, (False, nothing), (False, used), later=True)

    def _forget(self) -> None:
        """The estimate begins anew: nothing has to be caught up with."""
        self._late = None
        if self._worker is not None and not (self._astray and self.busy):
            self._worker.forget()
            self._astray = False

    def instants(self, time: float) -> FloatArray:
        """See `ControlLaw`; none where the law has no answer."""
        return np.asarray(self._here(lambda: self.law.instants(time), np.empty(0)), dtype=np.float64)

    def solve(
        self, time: float, previous: FloatArray, references: FloatArray, *, budget: float = math.inf, relax: int = 4
    ) -> Plan:
        """See `ControlLaw`; what is not there in time may be `late_plan` in a later step."""
        empty, nothing = np.empty((0, 0)), np.empty(0)
        failed = Plan(Outcome.FAILED, empty, nothing, empty, empty, nothing, nothing, message="the law failed")
        plan = self._ask(
            lambda: self.law.solve(time, previous, references, budget=budget, relax=relax), failed, failed, later=False
        )
        if self._left is not None:
            if self._left.task.begun:
                self._late = time, self._left.task
            return replace(failed, outcome=Outcome.LATE, message=str(self._left))
        return failed if plan.usable and not self._fits(plan) else plan

    def _fits(self, plan: Plan) -> bool:
        return plan.inputs.ndim == 2 and (*plan.inputs.shape,) == (*np.shape(plan.ends), len(self.inputs))

    def late_plan(self) -> tuple[float, Plan] | None:
        """A plan that was too late for its own step, whose time (s) comes with it; once."""
        if self._late is None or not self._late[1].finished:
            return None
        (time, task), self._late = self._late, None
        plan = task.answer
        good = plan is not None and plan.usable and self._fits(plan) and bool(np.isfinite(plan.inputs).all())
        return (time, plan) if good else None

    def spread(self, plan: Plan, stages: npt.NDArray[np.intp]) -> FloatArray:
        """Standard deviations of a plan's outputs at some stages; empty where the law does not know them."""
        nothing = np.empty((0, len(self.outputs)))
        if len(plan.outputs_std):
            return plan.outputs_std[stages]
        if not hasattr(self.law, "spread"):
            return nothing
        spread: FloatArray = self._idle(lambda: self.law.spread(stages), nothing)  # type: ignore[attr-defined]
        return spread

    def roll_out(self, inputs: FloatArray) -> FloatArray:
        """See `ControlLaw`."""
        unknown = np.full((len(inputs), len(self.outputs)), math.nan)
        outputs: FloatArray = np.asarray(self._idle(lambda: self.law.roll_out(inputs), unknown), dtype=np.float64)
        fits = outputs.ndim == 2 and outputs.shape[1] == len(self.outputs)
        return outputs if fits else unknown

    def backup(self, previous: FloatArray, references: FloatArray) -> FloatArray | None:
        """See `ControlLaw`."""
        inputs = self._idle(lambda: self.law.backup(previous, references), None)
        return inputs if inputs is not None and np.shape(inputs) == previous.shape else None

    def admissible(self, inputs: FloatArray, previous: FloatArray) -> FloatArray:
        """What the law says, and inside bounds and move limits whatever it says."""
        nearest: FloatArray = np.asarray(
            self._here(lambda: self.law.admissible(inputs, previous), inputs), dtype=np.float64
        )
        if nearest.shape != previous.shape:
            nearest = previous
        nearest = np.where(np.isfinite(nearest), nearest, previous)
        nearest = np.minimum(np.maximum(nearest, previous - self._max_move), previous + self._max_move)
        inside: FloatArray = np.minimum(np.maximum(nearest, self.low), self.high)
        return inside

    def inside(self, inputs: FloatArray) -> FloatArray:
        """The nearest inputs inside bounds, and the design space's region where the law has one; moves not heard."""
        clipped: FloatArray = np.minimum(np.maximum(inputs, self.low), self.high)
        if not hasattr(self.law, "inside"):
            return clipped
        nearest: FloatArray = np.asarray(
            self._here(lambda: self.law.inside(clipped), clipped),  # type: ignore[attr-defined]
            dtype=np.float64,
        )
        fits = nearest.shape == clipped.shape and bool(np.isfinite(nearest).all())
        return np.minimum(np.maximum(nearest, self.low), self.high) if fits else clipped

    def reset(self) -> None:
        """See `ControlLaw`; a law that is busy has not failed, and keeps what it is at."""
        self._idle(self.law.reset, None)

    def snapshot(self) -> dict[str, Any] | None:
        """See `ControlLaw`; None where it does not come back."""
        if self._worker is None:
            return self.law.snapshot()
        try:
            return self._worker.ask(self.law.snapshot, clock.perf_counter() + _PATIENCE)
        except OutOfTimeError:
            return None

    def recall(self, snapshot: Mapping[str, Any]) -> None:
        """See `ControlLaw`.

        Raises:
            GalenicError: it is busy and does not come back.
        """
        if self._worker is None:
            return self.law.recall(snapshot)
        self._forget()
        try:
            self._worker.ask(lambda: self.law.recall(snapshot), clock.perf_counter() + _PATIENCE)
        except OutOfTimeError as error:
            raise GalenicError(
                f"the control law did not come back from its last solution for {_PATIENCE:g} s",
                cure="resume in a new process",
            ) from error
        return None
