"""The calls to one native instance, with the same names for both versions of the standard."""

from __future__ import annotations

import ctypes
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cosim.component import FloatArray
from cosim.fmi.access import Access, function_name, kind_of, typed
from cosim.fmi.description import Description, Value, Variable
from cosim.fmi.library import Library
from cosim.fmu_log import FmuLog
from fmus.errors import GalenicError

OK, WARNING, DISCARD, ERROR, FATAL, PENDING = range(6)
_STATUS = ("OK", "Warning", "Discard", "Error", "Fatal", "Pending")


class FmuFailureError(Exception):
    """An FMU said no: ``what`` it was doing, and the ``status`` that it returned, if one."""

    def __init__(self, what: str, status: int | None = None) -> None:
        super().__init__(what)
        self.what, self.status = what, status


class FmuEndedError(GalenicError):
    """An FMU asked to end the simulation at ``time`` in s, and its outputs are those of then: no failure of its own."""

    def __init__(self, error: GalenicError, time: float) -> None:
        super().__init__(error.message, cure=error.cure, file=error.file, line=error.line)
        self.time = time


@dataclass(frozen=True)
class EventInfo:
    """What one update of the discrete states says; ``next_event`` is infinite if none is known."""

    again: bool
    terminate: bool
    nominals_changed: bool
    states_changed: bool
    next_event: float


@dataclass(frozen=True)
class StepEnd:
    """How a communication step ended: the time it reached, whether it wants Event Mode, whether it wants to end."""

    time: float
    event: bool = False
    terminate: bool = False


class Instance(ABC):
    """One native instance, from `instantiate` to `free`.

    Args:
        library: its binary.
        description: the interface to use.
        name: what it is told that it is called.
    """

    #: names that differ from FMI 3.0's
    names: Mapping[str, str] = {}

    def __init__(self, library: Library, description: Description, name: str) -> None:
        self.library, self.description, self.name = library, description, name
        self.log = FmuLog()
        self.handle: int = 0
        self.failed = False

    @abstractmethod
    def instantiate(self, resources: bytes | None, *, event_mode: bool) -> None:
        """Make the instance. Raises FmuFailureError."""

    def set_up(self, start_time: float) -> None:  # noqa: B027 - nothing to do in FMI 3.0
        """What comes before parameters are set, at ``start_time`` in s."""

    @abstractmethod
    def enter_initialization(self, start_time: float) -> None:
        """From instantiated to initialising at ``start_time`` in s."""

    @abstractmethod
    def set_texts(self, variable: Variable, values: Sequence[Value]) -> None:
        """Set a String or Binary variable."""

    @abstractmethod
    def step(self, t: float, h: float, *, keep_states: bool) -> StepEnd:
        """One communication step. ``keep_states``: a state taken before ``t`` may still be restored."""

    @abstractmethod
    def update_discrete_states(self) -> EventInfo:
        """One iteration in Event Mode."""

    @abstractmethod
    def completed_integrator_step(self, *, keep_states: bool) -> tuple[bool, bool]:
        """Whether the FMU wants an event, and whether it wants to end. ``keep_states``: as in `step`."""

    @abstractmethod
    def directional_derivative(
        self, unknowns: Sequence[Variable], knowns: Sequence[Variable], seed: FloatArray
    ) -> FloatArray:
        """The derivative of the unknowns' scalars along a seed of the knowns' scalars."""

    def function(self, name: str) -> Any:
        """The native function with FMI 3.0's name, given without prefix."""
        return self.library.function(self.names.get(name, name))

    def call(self, name: str, *arguments: Any) -> int:
        """Call it and return its status."""
        status = int(self.function(name)(self.handle, *arguments))
        if status in {ERROR, FATAL}:
            self.failed = True
        return status

    def need(self, name: str, *arguments: Any) -> None:
        """Call a function that must succeed. Raises FmuFailureError."""
        status = self.call(name, *arguments)
        if status > WARNING:
            raise FmuFailureError(self.label(name), status)

    def label(self, name: str) -> str:
        """The full name of a function."""
        return self.library.prefix + self.names.get(name, name)

    def status_name(self, status: int) -> str:
        """The standard's name of a status."""
        known = 0 <= status < len(_STATUS)
        return f"{self.library.prefix}{_STATUS[status]}" if known else f"status {status}"

    def set_numbers(self, variable: Variable, values: FloatArray) -> None:
        """Set one numeric variable, all its scalars. Raises FmuFailureError."""
        buffer = typed(self.description.version, variable, values)
        shown = " ".join(f"{value:g}" for value in buffer[:5].tolist()) + (" ..." if len(buffer) > 5 else "")
        self._vary("Set", variable, buffer, f"setting '{variable.name}' to {shown}")

    def get_numbers(self, variable: Variable) -> FloatArray:
        """The values of one numeric variable, shape (size,). Raises FmuFailureError."""
        buffer = typed(self.description.version, variable, np.zeros(variable.size))
        self._vary("Get", variable, buffer, f"reading '{variable.name}'")
        return buffer.astype(np.float64)

    def _vary(self, verb: str, variable: Variable, buffer: npt.NDArray[Any], what: str) -> None:
        version = self.description.version
        name = function_name(version, verb, kind_of(version, variable))
        references = (ctypes.c_uint32 * 1)(variable.reference)
        counts = (len(buffer),) if version == 3 else ()
        status = self.call(name, references, 1, buffer.ctypes.data, *counts)
        if status > WARNING:
            raise FmuFailureError(what, status)

    def arguments(self, access: Access) -> tuple[Any, ...]:
        """An access's arguments, ready for its function."""
        ready: tuple[Any, ...] = (
            ctypes.c_void_p(self.handle),
            ctypes.cast(access.references, ctypes.c_void_p),
            ctypes.c_size_t(access.count),
            ctypes.c_void_p(access.buffer.ctypes.data),
        )
        return ready if self.description.version == 2 else (*ready, ctypes.c_size_t(access.values_count))

    def take_state(self) -> ctypes.c_void_p:
        """A copy of the FMU's state, to be freed with `free_state`."""
        pointer = ctypes.c_void_p(None)
        self.need("GetFMUState", ctypes.byref(pointer))
        return pointer

    def set_state(self, pointer: ctypes.c_void_p) -> None:
        """Go back to a state."""
        self.need("SetFMUState", pointer)

    def free_state(self, pointer: ctypes.c_void_p) -> None:
        """Free a state."""
        self.need("FreeFMUState", ctypes.byref(pointer))

    def serialize(self, pointer: ctypes.c_void_p) -> bytes:
        """A state as bytes."""
        size = ctypes.c_size_t(0)
        self.need("SerializedFMUStateSize", pointer, ctypes.byref(size))
        buffer = ctypes.create_string_buffer(max(size.value, 1))
        self.need("SerializeFMUState", pointer, buffer, size.value)
        return buffer.raw[: size.value]

    def deserialize(self, data: bytes) -> ctypes.c_void_p:
        """A state of bytes that `serialize` made."""
        pointer = ctypes.c_void_p(None)
        self.need(
            "DeserializeFMUState",
            ctypes.create_string_buffer(data, max(len(data), 1)),
            len(data),
            ctypes.byref(pointer),
        )
        return pointer

    def terminate(self) -> None:
        """End the simulation; allowed once it is initialised and nothing failed."""
        if self.handle and not self.failed:
            self.call("Terminate")

    def free(self) -> None:
        """Free the instance. May be called twice."""
        handle, self.handle = self.handle, 0
        if handle:
            self.function("FreeInstance")(handle)
        self.log.close()

    def made(self, handle: int | None, name: str) -> None:
        """Keep what the native function gave. Raises FmuFailureError if it gave nothing."""
        if not handle:
            raise FmuFailureError(f"{self.library.prefix}{name} returns no instance")
        self.handle = int(handle)
