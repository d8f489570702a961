"""Values between the master's arrays and an instance: all native calls, with their arguments ready."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

from cosim.component import FloatArray
from cosim.fmi.access import accesses
from cosim.fmi.description import Variable
from cosim.fmi.instance import WARNING, FmuFailureError, Instance

#: Told (status, what was done, time, step size) where a call did not succeed.
Failed = Callable[[int, str, float, float], None]

_SETTING, _STEPPING, _READING = "setting the inputs", "DoStep", "reading the outputs"


class Exchange:
    """The native calls that set an instance's inputs and get its outputs.

    Args:
        instance: an instance that was made.
        inputs: in the order of ``input_values``.
        outputs: in the order of ``output_values``.
        input_values: shape (scalars of the inputs,).
        output_values: shape (scalars of the outputs,).
        apart: whether discrete inputs are set by calls of their own.
    """

    def __init__(
        self,
        instance: Instance,
        inputs: Sequence[Variable],
        outputs: Sequence[Variable],
        input_values: FloatArray,
        output_values: FloatArray,
        *,
        apart: bool,
    ) -> None:
        version, find = instance.description.version, instance.library.function
        self.accesses_in = accesses(version, find, "Set", inputs, input_values, apart=apart)
        self.accesses_out = accesses(version, find, "Get", outputs, output_values)
        self.reached = 0.0
        self._instance = instance
        self._input_values, self._output_values = input_values, output_values
        self._setters = [(a.function, instance.arguments(a)) for a in self.accesses_in]
        self._getters = [(a.function, instance.arguments(a)) for a in self.accesses_out]
        self._gathers = [a for a in self.accesses_in if a.kind != "float64"]
        self._spreads = [a for a in self.accesses_out if a.kind != "float64"]

    def write(self, discrete: bool | None = None) -> None:
        """Set all inputs, or those alone that are ``discrete`` or not. Raises FmuFailureError."""
        for access in self._gathers:
            access.gather(self._input_values)
        for access, (function, arguments) in zip(self.accesses_in, self._setters, strict=True):
            if discrete is None or access.discrete == discrete:
                _need(function(*arguments), _SETTING)

    def read(self) -> None:
        """Get all outputs. Raises FmuFailureError."""
        for function, arguments in self._getters:
            _need(function(*arguments), _READING)
        for access in self._spreads:
            access.spread(self._output_values)

    def compiled_step(self, failed: Failed, keep_states: Callable[[], bool]) -> Callable[[float, float], None]:
        """Set, ``doStep``, get for Co-Simulation without Event Mode, with everything in local variables.

        Args:
            failed: called where a call did not succeed; it raises, or brings the step to its end.
            keep_states: whether states taken before may still be restored.
        """
        setters, getters = tuple(self._setters), tuple(self._getters)
        gathers, spreads = tuple(self._gathers), tuple(self._spreads)
        in_values, out_values = self._input_values, self._output_values
        step = self._step(keep_states)

        def general(t: float, h: float) -> None:
            for access in gathers:
                access.gather(in_values)
            for function, arguments in setters:
                if (status := function(*arguments)) > WARNING:
                    failed(status, _SETTING, t, h)
            if (status := step(t, h)) > WARNING:
                failed(status, _STEPPING, t, h)
            for function, arguments in getters:
                if (status := function(*arguments)) > WARNING:
                    failed(status, _READING, t, h)
            for access in spreads:
                access.spread(out_values)

        if gathers or spreads or len(setters) != 1 or len(getters) != 1:
            return general
        # one Python call with the arguments spelled out is the fastest that ctypes allows
        (set_real, in_arguments), (get_real, out_arguments) = *setters, *getters

        def reals_only(t: float, h: float) -> None:
            if (status := set_real(*in_arguments)) > WARNING:
                failed(status, _SETTING, t, h)
            if (status := step(t, h)) > WARNING:
                failed(status, _STEPPING, t, h)
            if (status := get_real(*out_arguments)) > WARNING:
                failed(status, _READING, t, h)

        return reals_only

    def _step(self, keep_states: Callable[[], bool]) -> Callable[[float, float], int]:
        """``doStep`` with its arguments ready; a status above all others where FMI 3.0 says more."""
        instance = self._instance
        native, handle = instance.library.function("DoStep"), ctypes.c_void_p(instance.handle)
        if instance.description.version == 2:
            return lambda t, h: native(handle, t, h, not keep_states())
        event, terminate, early = ctypes.c_bool(False), ctypes.c_bool(False), ctypes.c_bool(False)
        reached = ctypes.c_double(0.0)
        told: tuple[Any, ...] = tuple(ctypes.byref(x) for x in (event, terminate, early, reached))

        def step(t: float, h: float) -> int:
            status = int(native(handle, t, h, not keep_states(), *told))
            if status <= WARNING and (terminate.value or early.value):
                self.reached = reached.value if early.value else t + h
                return TERMINATED if terminate.value else STOPPED
            return status

        return step


#: stand for the FMU's wish to end the simulation, and for an early return that was not allowed, both at `reached`
TERMINATED, STOPPED = 100, 101


def _need(status: int, what: str) -> None:
    if status > WARNING:
        raise FmuFailureError(what, status)
