"""FMI 3.0's calls."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import numpy as np

from cosim.component import FloatArray
from cosim.fmi.description import CO_SIMULATION, Value, Variable
from cosim.fmi.instance import WARNING, EventInfo, FmuFailureError, Instance, StepEnd


class Fmi3(Instance):
    """An FMI 3.0 instance."""

    def instantiate(self, resources: bytes | None, *, event_mode: bool) -> None:
        """See `Instance`."""
        token = self.description.token.encode()
        logger = ctypes.cast(self.log.logger3(), ctypes.c_void_p)
        common = (self.name.encode(), token, resources, False, False)
        if self.description.interface == CO_SIMULATION:
            name = "InstantiateCoSimulation"
            made = self.function(name)(*common, event_mode, event_mode, None, 0, self.log.number, logger, None)
        else:
            name = "InstantiateModelExchange"
            made = self.function(name)(*common, self.log.number, logger)
        self.made(made, name)

    def enter_initialization(self, start_time: float) -> None:
        """See `Instance`."""
        self.need("EnterInitializationMode", False, 0.0, start_time, False, 0.0)

    def set_texts(self, variable: Variable, values: Sequence[Value]) -> None:
        """See `Instance`."""
        count = len(values)
        reference = (ctypes.c_uint32 * 1)(variable.reference)
        if variable.type == "Binary":
            held = [bytes.fromhex(str(value)) for value in values]
            sizes = (ctypes.c_size_t * count)(*map(len, held))
            buffers = [ctypes.create_string_buffer(value, max(len(value), 1)) for value in held]
            pointers = (ctypes.c_void_p * count)(*(ctypes.addressof(buffer) for buffer in buffers))
            status = self.call("SetBinary", reference, 1, sizes, pointers, count)
        else:
            texts = (ctypes.c_char_p * count)(*(str(value).encode() for value in values))
            status = self.call("SetString", reference, 1, texts, count)
        if status > WARNING:
            raise FmuFailureError(f"setting '{variable.name}'", status)

    def step(self, t: float, h: float, *, keep_states: bool) -> StepEnd:
        """See `Instance`."""
        event, terminate, early = ctypes.c_bool(False), ctypes.c_bool(False), ctypes.c_bool(False)
        reached = ctypes.c_double(t + h)
        self.need(
            "DoStep",
            t,
            h,
            not keep_states,
            ctypes.byref(event),
            ctypes.byref(terminate),
            ctypes.byref(early),
            ctypes.byref(reached),
        )
        # an FMU with an internal step may be ahead or behind; only an early return moves the communication point
        return StepEnd(reached.value if early.value else t + h, event.value, terminate.value)

    def update_discrete_states(self) -> EventInfo:
        """See `Instance`."""
        flags = [ctypes.c_bool(False) for _ in range(5)]
        time = ctypes.c_double(0.0)
        self.need("UpdateDiscreteStates", *map(ctypes.byref, flags), ctypes.byref(time))
        again, terminate, nominals, states, defined = (flag.value for flag in flags)
        return EventInfo(again, terminate, nominals, states, time.value if defined else np.inf)

    def completed_integrator_step(self, *, keep_states: bool) -> tuple[bool, bool]:
        """See `Instance`."""
        event, terminate = ctypes.c_bool(False), ctypes.c_bool(False)
        self.need("CompletedIntegratorStep", not keep_states, ctypes.byref(event), ctypes.byref(terminate))
        return event.value, terminate.value

    def directional_derivative(
        self, unknowns: Sequence[Variable], knowns: Sequence[Variable], seed: FloatArray
    ) -> FloatArray:
        """See `Instance`."""
        result = np.zeros(sum(v.size for v in unknowns))
        self.need(
            "GetDirectionalDerivative",
            (ctypes.c_uint32 * len(unknowns))(*(v.reference for v in unknowns)),
            len(unknowns),
            (ctypes.c_uint32 * len(knowns))(*(v.reference for v in knowns)),
            len(knowns),
            np.ascontiguousarray(seed).ctypes.data,
            len(seed),
            result.ctypes.data,
            len(result),
        )
        return result
