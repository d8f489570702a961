"""Model Exchange: CVODE integrates the FMU's equations; state, time and step events are located and handled."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from cosim.component import FloatArray
from cosim.fmi.cvode import Cvode, SolverError, available
from cosim.fmi.instance import DISCARD, WARNING, FmuFailureError, Instance, StepEnd
from cosim.fmi.rosenbrock import Rosenbrock
from cosim.fmi.stepping import TINY, settle

_BISECTIONS = 60
_TOLERANCE = 1e-6


class ModelExchange:
    """An instance for Model Exchange with its solver. Between the steps it is in continuous-time mode.

    An input that changes is an event: its value holds until it changes again. After an event a communication
    step returns early, so that the master can tell others.

    Args:
        instance: an instance for Model Exchange.
        tolerance: the solver's relative tolerance; None: that of the default experiment, 1e-6 at most.
    """

    def __init__(self, instance: Instance, tolerance: float | None = None) -> None:
        self.instance = instance
        self.next_event = math.inf
        described = instance.description.tolerance
        self.tolerance = tolerance or min(described if described and described > 0.0 else _TOLERANCE, _TOLERANCE)
        self._count = self._indicators = 0
        self._states: FloatArray = np.empty(0)
        self._nominals: FloatArray = np.empty(0)
        self._signs: npt.NDArray[np.bool_] = np.empty(0, np.bool_)
        self._solver: Cvode | Rosenbrock | None = None
        self._inputs_changed = self._ended = False

    def begin(self, t: float) -> None:
        """See `Stepper`."""
        instance = self.instance
        if instance.description.version == 3:  # structural parameters may have changed them
            self._count = self._number("GetNumberOfContinuousStates")
            self._indicators = self._number("GetNumberOfEventIndicators")
        else:
            self._count = instance.description.states
            self._indicators = instance.description.indicators
        self._states, self._nominals = np.zeros(self._count), np.ones(self._count)
        self._z = np.zeros(self._indicators)
        self._signs = np.zeros(self._indicators, np.bool_)
        self._set_states, self._set_time = instance.function("SetContinuousStates"), instance.function("SetTime")
        self._get_derivatives = instance.function("GetContinuousStateDerivatives")
        self._get_indicators = instance.function("GetEventIndicators")
        self._leave_event_mode(t, first=True)

    def set_inputs(self, write: Callable[[], None], *, discrete: bool) -> None:
        """See `Stepper`. Continuous inputs are set at once, and their event is handled when time goes on."""
        if not discrete:
            write()
            self._inputs_changed = True
            return
        self.instance.need("EnterEventMode")
        write()
        self._leave_event_mode(None)

    def advance(self, t: float, h: float, *, keep_states: bool) -> StepEnd:
        """See `Stepper`."""
        end, now = t + h, t
        if self._inputs_changed or self.next_event <= t:
            self.instance.need("EnterEventMode")
            self._leave_event_mode(t)
        while now < end - TINY * h and not self._ended:
            target = min(end, self.next_event)
            if target > end - TINY * h:
                target = end
            now, event = self._solver_step(now, target, keep_states)
            if not self._ended and (event or now >= self.next_event):
                self.instance.need("EnterEventMode")
                self._leave_event_mode(now)
                return StepEnd(now, event=True, terminate=self._ended)
        return StepEnd(now if self._ended else end, terminate=self._ended)

    def state(self) -> dict[str, Any]:
        """See `Stepper`. The solver starts anew here, so that going on and coming back give the same bits."""
        self._drop_solver()
        return {
            "next_event": self.next_event,
            "ended": self._ended,
            "inputs_changed": self._inputs_changed,
            "nominals": self._nominals.tolist(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """See `Stepper`."""
        self._drop_solver()
        self.next_event, self._ended = state["next_event"], state["ended"]
        self._inputs_changed = state["inputs_changed"]
        self._nominals = np.array(state["nominals"])
        self._read_states()
        self._signs = self._read_indicators() > 0.0

    def free(self) -> None:
        """Free the solver."""
        self._drop_solver()

    # ---- events ------------------------------------------------------------------------------------------------

    def _leave_event_mode(self, t: float | None, *, first: bool = False) -> None:
        info = settle(self.instance)
        self.next_event, self._ended, self._inputs_changed = info.next_event, info.terminate, False
        self._drop_solver()
        if info.terminate:
            return
        if t is not None and info.next_event < t - TINY * max(abs(t), 1.0):
            raise FmuFailureError(f"it says that its next event was at {info.next_event:.9g} s")
        self.instance.need("EnterContinuousTimeMode")
        self._read_states()
        if self._count and (first or info.nominals_changed):
            self.instance.need("GetNominalsOfContinuousStates", self._nominals.ctypes.data, self._count)
        self._signs = self._read_indicators() > 0.0

    def _read_states(self) -> None:
        if self._count:
            self.instance.need("GetContinuousStates", self._states.ctypes.data, self._count)

    def _read_indicators(self) -> FloatArray:
        if self._indicators:
            self.instance.need("GetEventIndicators", self._z.ctypes.data, self._indicators)
        return self._z

    # ---- between events ----------------------------------------------------------------------------------------

    def _solver_step(self, now: float, target: float, keep_states: bool) -> tuple[float, bool]:
        """One step of the solver: the time that it reached, and whether there is a state or step event."""
        crossed = False
        if not self._count and not self._indicators:
            now = target
            self._evaluate(now, None)
        else:
            before = now
            solver = self._solver or self._new_solver(now)
            try:
                crossed = solver.step(target)
            except SolverError as error:
                raise FmuFailureError(str(error)) from error
            now, states = solver.time, solver.states
            if not crossed and self._indicators:
                now, states, crossed = self._crossing(solver, before)
            if abs(now - target) <= TINY * max(abs(target), 1e-300):
                now = target
            self._states[:] = states
            self._evaluate(now, self._states)
            self._signs = self._read_indicators() > 0.0
        event, self._ended = self.instance.completed_integrator_step(keep_states=keep_states)
        return now, crossed or event

    def _crossing(self, solver: Cvode | Rosenbrock, before: float) -> tuple[float, FloatArray, bool]:
        """A change of an indicator's sign that the solver did not see: CVODE takes one that starts at zero for none."""
        if not self._changed(solver.time, solver.states):
            return solver.time, solver.states, False
        low, high = before, solver.time
        for _ in range(_BISECTIONS):
            middle = 0.5 * (low + high)
            if middle in {low, high}:
                break
            if self._changed(middle, solver.between(middle)):
                high = middle
            else:
                low = middle
        return high, solver.between(high), True

    def _changed(self, time: float, states: FloatArray) -> bool:
        self._evaluate(time, states)
        return bool(np.any((self._read_indicators() > 0.0) != self._signs))

    def _new_solver(self, now: float) -> Cvode | Rosenbrock:
        made = Cvode if available() else Rosenbrock
        self._solver = made(now, self._states, self._nominals, self._rhs, self._roots, self._indicators, self.tolerance)
        return self._solver

    def _drop_solver(self) -> None:
        solver, self._solver = self._solver, None
        if solver is not None:
            solver.free()

    def _evaluate(self, time: float, states: FloatArray | None) -> None:
        self.instance.need("SetTime", time)
        if states is not None and self._count:
            states = np.ascontiguousarray(states)
            self.instance.need("SetContinuousStates", states.ctypes.data, self._count)

    def _rhs(self, time: float, states: int, out: int) -> int:
        handle, count = self.instance.handle, self._count
        return (
            self._answer(self._set_time(handle, time), "SetTime")
            or self._answer(self._set_states(handle, states, count), "SetContinuousStates")
            or self._answer(self._get_derivatives(handle, out, count), "GetContinuousStateDerivatives")
        )

    def _roots(self, time: float, states: int, out: int) -> int:
        handle = self.instance.handle
        self._answer(self._set_time(handle, time), "SetTime")
        if self._count:
            self._answer(self._set_states(handle, states, self._count), "SetContinuousStates")
        return self._answer(self._get_indicators(handle, out, self._indicators), "GetEventIndicators")

    def _answer(self, status: int, name: str) -> int:
        """0; 1 where the FMU cannot be evaluated there, and a shorter step may do."""
        if status <= WARNING:
            return 0
        if status == DISCARD:
            return 1
        self.instance.failed = True
        raise FmuFailureError(self.instance.label(name), status)

    def _number(self, name: str) -> int:
        count = ctypes.c_size_t(0)
        self.instance.need(name, ctypes.byref(count))
        return count.value
