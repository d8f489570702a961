"""The calls to an FMI 2.0 instance."""

from __future__ import annotations

import ctypes as c
from collections.abc import Sequence
from typing import Any

from fmus.check.calls import Calls, EventInfo, StepEnd, doubles, from_type, of_type, references
from fmus.check.job import MODEL_EXCHANGE, Variable
from fmus.check.library import DISCARD, WARNING
from fmus.check.prototypes import FMI2_TYPES

_LAST_SUCCESSFUL_TIME, _TERMINATED = 2, 3


class _EventInfo(c.Structure):
    """fmi2EventInfo."""

    _fields_ = (
        ("again", c.c_int),
        ("terminate", c.c_int),
        ("nominals_changed", c.c_int),
        ("states_changed", c.c_int),
        ("next_event_defined", c.c_int),
        ("next_event", c.c_double),
    )


class Fmi2(Calls):
    """FMI 2.0."""

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

    def instantiate_name(self) -> str:
        """See `Calls`."""
        return "fmi2Instantiate"

    def _instantiate(self, name: bytes, token: bytes, **_options: bool) -> int | None:
        function = self.library.function("Instantiate")
        function.restype = c.c_void_p
        self.library.mark("fmi2Instantiate")
        callbacks = c.cast(c.byref(self.library.callbacks), c.c_void_p) if self.library.callbacks else None
        kind = int(self.job.interface != MODEL_EXCHANGE)
        made = function(name, kind, token, self.job.resources.encode(), callbacks, 0, 0)
        return made if made is None else int(made)

    def enter_initialization(self) -> None:
        """See `Calls`."""
        self.need("SetupExperiment", 0, 0.0, self.job.start, 0, 0.0)
        self.need("EnterInitializationMode")

    def try_read(self, kind: str, references_: Sequence[int], size: int) -> tuple[int, list[Any]]:
        """See `Calls`."""
        kind = self.type_name(kind)
        buffer = (FMI2_TYPES[kind] * max(size, 1))()
        status = self.call(f"Get{kind}", references(references_), len(references_), buffer)
        return status, [from_type(kind, x) for x in buffer[:size]]

    def try_write(self, kind: str, references_: Sequence[int], values: Sequence[Any]) -> int:
        """See `Calls`."""
        kind = self.type_name(kind)
        buffer = (FMI2_TYPES[kind] * max(len(values), 1))(*(of_type(kind, x) for x in values))
        return self.call(f"Set{kind}", references(references_), len(references_), buffer)

    def type_name(self, kind: str) -> str:
        """See `Calls`."""
        return "Integer" if kind == "Enumeration" else kind

    def try_step(self, time: float, size: float) -> tuple[int, StepEnd]:
        """See `Calls`."""
        status = self.call("DoStep", time, size, 1)
        if status != DISCARD:
            return status, StepEnd(time + size)
        ended, reached = c.c_int(0), c.c_double(time)
        if self.call("GetBooleanStatus", _TERMINATED, c.byref(ended)) > WARNING or not ended.value:
            return status, StepEnd(time)
        self.call("GetRealStatus", _LAST_SUCCESSFUL_TIME, c.byref(reached))
        return WARNING, StepEnd(reached.value, terminate=True)

    def update_discrete_states(self) -> EventInfo:
        """See `Calls`."""
        info = _EventInfo()
        self.need("UpdateDiscreteStates", c.byref(info))
        return EventInfo(
            bool(info.again),
            bool(info.terminate),
            bool(info.nominals_changed),
            bool(info.states_changed),
            info.next_event if info.next_event_defined else None,
        )

    def completed_integrator_step(self) -> tuple[bool, bool]:
        """See `Calls`."""
        event, terminate = c.c_int(0), c.c_int(0)
        self.need("CompletedIntegratorStep", 1, c.byref(event), c.byref(terminate))
        return bool(event.value), bool(terminate.value)

    def directional(self, unknowns: Sequence[Variable], knowns: Sequence[Variable], seed: list[float]) -> list[float]:
        """See `Calls`."""
        result = doubles(len(unknowns))
        self.need(
            "GetDirectionalDerivative",
            references([v.reference for v in unknowns]),
            len(unknowns),
            references([v.reference for v in knowns]),
            len(knowns),
            doubles(seed),
            result,
        )
        return list(result[: len(unknowns)])
