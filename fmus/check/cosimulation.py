"""Co-Simulation: the FMU integrates itself from one communication point to the next."""

from __future__ import annotations

from fmus.check.instance import Instance
from fmus.check.job import Value, Variable
from fmus.check.library import FmuError

_PARTS = 10_000


class CoSimulation(Instance):
    """An instance for Co-Simulation; an early return or an event inside a step is answered, and the step completed."""

    early_returns = 0

    def start(self) -> CoSimulation:
        """See `Instance`."""
        self.initialise()
        self.early_returns = 0
        if self.event_mode:
            self._leave_event_mode()
        return self

    def step(self, size: float | None = None) -> None:
        """See `Instance`."""
        size = size or self.job.step
        end = self.time + size
        for _ in range(_PARTS):
            if self.ended or not end - self.time > 1e-9 * size:
                return
            # the whole step in the first call, so that no rounding gets into its size
            status, done = self.calls.try_step(self.time, size if end - self.time == size else end - self.time)
            self.calls.check("DoStep", status)
            if not self.time - 1e-9 * size <= done.time <= end + 1e-9 * size:
                raise FmuError(f"fmi{self.job.version}DoStep from t = {self.time:.6g} s goes to {done.time:.6g} s")
            if done.early and not self.early_return:
                raise FmuError(f"fmi3DoStep returns early at t = {done.time:.6g} s, which is not allowed")
            self.early_returns += done.early
            self.time = done.time if done.early or done.terminate else end
            self.ended = done.terminate
            if done.event and not self.ended:
                if not self.event_mode:
                    raise FmuError(f"fmi3DoStep wants Event Mode at t = {self.time:.6g} s, which is not used")
                self.calls.need("EnterEventMode")
                self._leave_event_mode()
        raise FmuError(f"fmi{self.job.version}DoStep returns early {_PARTS} times in a step of {size:g} s")

    def set(self, variable: Variable, value: Value) -> int:
        """See `Instance`."""
        return self.calls.write(variable, value)

    def _leave_event_mode(self) -> None:
        self.settle()
        if not self.ended:
            self.calls.need("EnterStepMode")
