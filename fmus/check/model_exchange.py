"""Model Exchange: the checking process integrates the FMU's equations and finds its events."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fmus.check.instance import Instance
from fmus.check.job import Value, Variable
from fmus.check.library import DISCARD, FmuError
from fmus.check.ode import Array, OdeStep, ode_step
from fmus.check.slopes import elements_of

_RELATIVE, _ABSOLUTE = 1e-5, 1e-7
_BISECTIONS = 60
_EVENTS = 10_000


class _RejectedError(Exception):
    """The derivatives cannot be had there; a shorter step may do."""


class ModelExchange(Instance):
    """An instance for Model Exchange, in continuous-time mode between the steps."""

    solver_steps = 0
    kept = ("time", "ended", "states", "nominals", "signs", "next_event", "size")

    def start(self) -> ModelExchange:
        """See `Instance`."""
        self.initialise()
        count = self.job.state_count
        self.states: Array = np.empty(count)
        self.nominals: Array = np.ones(count)
        self.signs: NDArray[np.bool_] = np.zeros(self.job.indicators, np.bool_)
        self.next_event = math.inf
        self.size = self.job.step
        self.solver_steps = 0
        self._leave_event_mode(first=True)
        return self

    def step(self, size: float | None = None) -> None:
        """See `Instance`."""
        end = self.time + (size or self.job.step)
        # what is left of rounding is no step
        events, last = 0, end - 1e-12 * max(abs(end), end - self.time)
        while self.time < last and not self.ended:
            target = min(end, self.next_event)
            wanted = target <= self.time
            if not wanted:
                wanted = self._solver_step(end if target >= last else target)
            if self.ended:
                break
            if wanted or self.next_event <= self.time:
                events += 1
                if events > _EVENTS:
                    raise FmuError(f"more than {_EVENTS} events up to t = {self.time:.6g} s in one step")
                self.calls.need("EnterEventMode")
                self._leave_event_mode()
        if not self.ended:
            self.time = end
            self.calls.set_time(end)

    def set(self, variable: Variable, value: Value) -> int:
        """See `Instance`."""
        self.calls.need("EnterEventMode")
        status = self.calls.write(variable, value)
        if status <= 1:
            self._leave_event_mode()
        return status

    def derivatives(self) -> list[float]:
        """Those of the continuous states, here and now."""
        return self.calls.vector("GetContinuousStateDerivatives", len(self.states))

    def indicators(self) -> list[float]:
        """The event indicators, here and now."""
        return self.calls.vector("GetEventIndicators", self.job.indicators) if self.job.indicators else []

    def _go_on_from(self, driver: dict[str, Any]) -> None:
        super()._go_on_from(driver)
        if len(self.states):  # those that the FMU has, so that one that it lost shows
            self.states = np.array(self.calls.vector("GetContinuousStates", len(self.states)))

    def _leave_event_mode(self, *, first: bool = False) -> None:
        count = len(self.states)
        changed, nominals, self.next_event = False, first, math.inf
        changed, new_nominals, next_event = self.settle()
        if next_event is not None:
            self.next_event = next_event
            if next_event < self.time - 1e-9 * max(abs(self.time), 1.0):
                raise FmuError(f"at t = {self.time:.6g} s the next event is said to be at {next_event:.6g} s")
        if self.ended:
            return
        self.calls.need("EnterContinuousTimeMode")
        if count and (first or changed):
            self.states = np.array(self.calls.vector("GetContinuousStates", count))
        if count and (nominals or new_nominals):
            self.nominals = np.array(self.calls.vector("GetNominalsOfContinuousStates", count))
        self.signs = np.array(self.indicators()) > 0.0

    def _solver_step(self, end: float) -> bool:
        """One step of the solver, not beyond ``end``; whether there is an event where it ends."""
        self.library.hurry(self.time)
        step = self._accepted(end)
        crossed = self._crosses(step, 1.0)
        share = self._locate(step) if crossed else 1.0
        time = end if share == 1.0 and step.start + step.size >= end else step.start + share * step.size
        self.states = step.at(share)
        self._evaluate(time, self.states)
        self.signs = np.array(self.indicators()) > 0.0
        self.solver_steps += 1
        event, self.ended = self.calls.completed_integrator_step()
        return crossed or event

    def _accepted(self, end: float) -> OdeStep:
        smallest = 1e-13 * max(abs(end), self.job.step)
        now, size = self.time, self.size
        self._trouble = ""
        while True:
            size = min(max(size, smallest), self.job.step)
            left = end - now
            tried = left if size >= 0.999 * left else size
            scale = _RELATIVE * np.abs(self.states) + _ABSOLUTE * np.where(self.nominals > 0.0, self.nominals, 1.0)
            try:
                step = ode_step(self._rhs, now, self.states, tried, scale)
                good = math.isfinite(step.error)
            except (_RejectedError, np.linalg.LinAlgError):
                good = False
            if good and (step.error <= 1.0 or tried <= smallest):
                self.size = tried * min(5.0, 0.8 / max(step.error, 1e-9) ** (1.0 / 3.0))
                if tried == left:
                    self.size = max(self.size, size)
                return step
            if tried <= smallest:
                raise FmuError(f"the states cannot be integrated past t = {now:.9g} s{self._trouble}")
            size = tried * (max(0.2, 0.8 / step.error ** (1.0 / 3.0)) if good else 0.2)

    def _rhs(self, time: float, states: Array) -> Array:
        try:
            self._evaluate(time, states)
            found = np.array(self.derivatives())
        except FmuError as failure:
            if failure.status == DISCARD:
                raise _RejectedError from failure
            raise
        if not np.all(np.isfinite(found)):
            names = [e.name for k in self.job.states for e in elements_of([self.job.variables[k]])]
            self._trouble = f": the derivative of '{names[int(np.argmin(np.isfinite(found)))]}' is not finite"
        return found

    def _evaluate(self, time: float, states: Array) -> None:
        self.calls.set_time(time)
        if len(states):
            self.calls.set_states(states.tolist())

    def _crosses(self, step: OdeStep, share: float) -> bool:
        if not self.job.indicators:
            return False
        self._evaluate(step.start + share * step.size, step.at(share))
        return bool(np.any((np.array(self.indicators()) > 0.0) != self.signs))

    def _locate(self, step: OdeStep) -> float:
        """The share of the step at which an indicator has just changed its sign."""
        low, high = 0.0, 1.0
        for _ in range(_BISECTIONS):
            middle = 0.5 * (low + high)
            if middle in {low, high} or (high - low) * step.size < 1e-13 * max(abs(step.start), step.size):
                break
            if self._crosses(step, middle):
                high = middle
            else:
                low = middle
        return high
