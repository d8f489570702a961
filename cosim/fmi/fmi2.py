"""FMI 2.0's calls."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np

from cosim.component import FloatArray
from cosim.fmi.description import CO_SIMULATION, Value, Variable
from cosim.fmi.instance import DISCARD, WARNING, EventInfo, FmuFailureError, Instance, StepEnd

_LAST_SUCCESSFUL_TIME, _TERMINATED = 2, 3


class _EventInfo(ctypes.Structure):
    """fmi2EventInfo."""

    _fields_ = (
        ("again", ctypes.c_int),
        ("terminate", ctypes.c_int),
        ("nominals_changed", ctypes.c_int),
        ("states_changed", ctypes.c_int),
        ("next_event_defined", ctypes.c_int),
        ("next_event", ctypes.c_double),
    )


class Fmi2(Instance):
    """An FMI 2.0 instance."""

    names = {  # noqa: RUF012 - a table
        "GetFMUState": "GetFMUstate",
        "SetFMUState": "SetFMUstate",
        "FreeFMUState": "FreeFMUstate",
        "SerializedFMUStateSize": "SerializedFMUstateSize",
        "SerializeFMUState": "SerializeFMUstate",
        "DeserializeFMUState": "DeSerializeFMUstate",
        "UpdateDiscreteStates": "NewDiscreteStates",
        "GetContinuousStateDerivatives": "GetDerivatives",
    }

    def instantiate(self, resources: bytes | None, *, event_mode: bool) -> None:  # noqa: ARG002
        """See `Instance`. FMI 2.0 Co-Simulation has no Event Mode."""
        self._callbacks: Any = self.log.callbacks()
        kind = int(self.description.interface == CO_SIMULATION)
        token, pointer = self.description.token.encode(), ctypes.byref(self._callbacks)
        function = self.library.function("Instantiate")
        self.made(
            function(self.name.encode(), kind, token, resources, ctypes.cast(pointer, ctypes.c_void_p), 0, 0),
            "Instantiate",
        )

    def enter_initialization(self, start_time: float) -> None:  # noqa: ARG002
        """See `Instance`."""
        self.need("EnterInitializationMode")

    def set_up(self, start_time: float) -> None:
        """FMI 2.0 is told about time before its parameters are set."""
        self._reached = start_time
        self.need("SetupExperiment", 0, 0.0, start_time, 0, 0.0)

    def set_texts(self, variable: Variable, values: Sequence[Value]) -> None:
        """See `Instance`."""
        texts = (ctypes.c_char_p * 1)(str(values[0]).encode())
        status = self.call("SetString", (ctypes.c_uint32 * 1)(variable.reference), 1, texts)
        if status > WARNING:
            raise FmuFailureError(f"setting '{variable.name}' to '{values[0]!s}'", status)

    def step(self, t: float, h: float, *, keep_states: bool) -> StepEnd:
        """See `Instance`."""
        status = self.call("DoStep", t, h, int(not keep_states))
        if status != DISCARD:
            if status > WARNING:
                raise FmuFailureError("fmi2DoStep", status)
            return StepEnd(t + h)
        self._reached = t
        return self.discarded(t + h)

    def discarded(self, end: float) -> StepEnd:
        """How far a step to ``end`` came that the FMU broke off. Raises FmuFailureError where it came nowhere."""
        ended, reached = ctypes.c_int(0), ctypes.c_double(self._reached)
        if self.call("GetBooleanStatus", _TERMINATED, ctypes.byref(ended)) > WARNING:
            ended.value = 0
        if self.call("GetRealStatus", _LAST_SUCCESSFUL_TIME, ctypes.byref(reached)) > WARNING:
            reached.value = self._reached
        if not ended.value and not self._reached < reached.value <= end:
            raise FmuFailureError("fmi2DoStep", DISCARD)
        self._reached = reached.value
        return StepEnd(reached.value, terminate=bool(ended.value))

    def update_discrete_states(self) -> EventInfo:
        """See `Instance`."""
        info = _EventInfo()
        self.need("UpdateDiscreteStates", ctypes.byref(info))
        return EventInfo(
            bool(info.again),
            bool(info.terminate),
            bool(info.nominals_changed),
            bool(info.states_changed),
            info.next_event if info.next_event_defined else np.inf,
        )

    def completed_integrator_step(self, *, keep_states: bool) -> tuple[bool, bool]:
        """See `Instance`."""
        event, terminate = ctypes.c_int(0), ctypes.c_int(0)
        self.need("CompletedIntegratorStep", int(not keep_states), ctypes.byref(event), ctypes.byref(terminate))
        return bool(event.value), bool(terminate.value)

    def directional_derivative(
        self, unknowns: Sequence[Variable], knowns: Sequence[Variable], seed: FloatArray
    ) -> FloatArray:
        """See `Instance`."""
        result = np.zeros(len(unknowns))
        self.need(
            "GetDirectionalDerivative",
            (ctypes.c_uint32 * len(unknowns))(*(v.reference for v in unknowns)),
            len(unknowns),
            (ctypes.c_uint32 * len(knowns))(*(v.reference for v in knowns)),
            len(knowns),
            np.ascontiguousarray(seed).ctypes.data,
            result.ctypes.data,
        )
        return result
