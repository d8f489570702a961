"""The calls to one instance, under one set of names for both versions of the standard."""

from __future__ import annotations

import ctypes as c
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fmus.check.job import Value, Variable
from fmus.check.library import FATAL, WARNING, FmuError, Library

_GUARDS = 8
_GUARD = -7.03687441776644e13  # no FMU writes this by chance


@dataclass(frozen=True)
class StepEnd:
    """How a communication step ended, and the time that it reached."""

    time: float
    event: bool = False
    terminate: bool = False
    early: bool = False


@dataclass(frozen=True)
class EventInfo:
    """What an update of the discrete states says."""

    again: bool
    terminate: bool
    nominals_changed: bool
    states_changed: bool
    next_event: float | None


class Calls(ABC):
    """One instance. Methods return the FMU's answer and raise FmuError where it says no, unless they say otherwise."""

    #: the names that this version has for FMI 3.0's functions
    names: dict[str, str]

    def __init__(self, library: Library, name: str, token: str | None, **options: bool) -> None:
        self.library, self.job = library, library.job
        self.time = self.job.start
        self.handle = self._instantiate(name.encode(), (token or self.job.token).encode(), **options)
        if not self.handle:
            raise FmuError(f"{self.instantiate_name()} returns no instance" + library.said())

    # what differs between the versions

    @abstractmethod
    def instantiate_name(self) -> str:
        """The function that makes an instance."""

    @abstractmethod
    def _instantiate(self, name: bytes, token: bytes, **options: bool) -> int | None: ...

    @abstractmethod
    def enter_initialization(self) -> None:
        """From instantiated to initialising."""

    @abstractmethod
    def try_read(self, kind: str, references: Sequence[int], size: int) -> tuple[int, list[Any]]:
        """The status and the values of variables of one type."""

    @abstractmethod
    def try_write(self, kind: str, references: Sequence[int], values: Sequence[Any]) -> int:
        """The status of setting variables of one type."""

    @abstractmethod
    def try_step(self, time: float, size: float) -> tuple[int, StepEnd]:
        """The status of a communication step, and how it ended."""

    @abstractmethod
    def update_discrete_states(self) -> EventInfo:
        """One iteration at an event."""

    @abstractmethod
    def completed_integrator_step(self) -> tuple[bool, bool]:
        """Whether the FMU wants an event, and whether it wants to end."""

    @abstractmethod
    def directional(self, unknowns: Sequence[Variable], knowns: Sequence[Variable], seed: list[float]) -> list[float]:
        """The derivative of the unknowns along ``seed``, element by element."""

    # what both have

    def call(self, name: str, *arguments: Any) -> int:
        """Call the function that FMI 3.0 names so, and return its status."""
        name = self.names.get(name, name)
        self.library.mark(f"{self.library.prefix}{name} at t = {self.time:.6g} s")
        status = int(self.library.function(name)(self.handle, *arguments))
        if status == FATAL:
            self.check(name, status)
        return status

    def need(self, name: str, *arguments: Any) -> None:
        """Call a function that must succeed."""
        self.check(name, self.call(name, *arguments))

    def check(self, name: str, status: int) -> None:
        """Raise FmuError for a status that is no success."""
        if status > WARNING:
            name = self.library.prefix + self.names.get(name, name)
            returned = f"{name} returns {self.library.status(status)} at t = {self.time:.6g} s"
            raise FmuError(returned + self.library.said(), status)

    def read(self, variables: Sequence[Variable]) -> list[Value]:
        """The values of variables of any type, each type in one call."""
        found: dict[int, Value] = {}
        for kind in dict.fromkeys(v.type for v in variables):
            places = [k for k, v in enumerate(variables) if v.type == kind]
            size = sum(variables[k].size for k in places)
            status, values = self.try_read(kind, [variables[k].reference for k in places], size)
            self.check(f"Get{self.type_name(kind)}", status)
            for k in places:
                found[k], values = tuple(values[: variables[k].size]), values[variables[k].size :]
        return [found[k] for k in range(len(variables))]

    def write(self, variable: Variable, value: Value) -> int:
        """Set one variable, and return the status."""
        return self.try_write(variable.type, [variable.reference], value)

    def type_name(self, kind: str) -> str:
        """The type as the functions' names have it."""
        return kind

    def vector(self, name: str, size: int) -> list[float]:
        """What a function writes that fills ``size`` numbers; it must fill them all and no more."""
        buffer = (c.c_double * (size + _GUARDS))(*[_GUARD] * (size + _GUARDS))
        self.need(name, buffer, size)
        values = list(buffer)
        called = self.library.prefix + self.names.get(name, name)
        if any(x != _GUARD for x in values[size:]):
            raise FmuError(f"{called} writes more than the {size} values that it is asked for")
        if _GUARD in values[:size]:
            raise FmuError(f"{called} writes {values.index(_GUARD)} of the {size} values that it is asked for")
        return values[:size]

    def set_time(self, time: float) -> None:
        """The time at which the model is evaluated."""
        self.time = time
        self.need("SetTime", time)

    def set_states(self, values: Sequence[float]) -> None:
        """The continuous states."""
        self.need("SetContinuousStates", (c.c_double * max(len(values), 1))(*values), len(values))

    def take_state(self) -> Any:
        """A pointer to the FMU's copy of its state."""
        state = c.c_void_p(None)
        self.need("GetFMUState", c.byref(state))
        if not state.value:
            raise FmuError(f"{self.library.prefix}{self.names.get('GetFMUState', 'GetFMUState')} gives no state")
        return state

    def serialise(self, state: Any) -> bytes:
        """A state as bytes."""
        size = c.c_size_t(0)
        self.need("SerializedFMUStateSize", state, c.byref(size))
        data = (c.c_ubyte * max(size.value, 1))()
        self.need("SerializeFMUState", state, data, size.value)
        return bytes(data[: size.value])

    def deserialise(self, data: bytes) -> Any:
        """A state from what `serialise` gave."""
        state = c.c_void_p(None)
        self.need("DeserializeFMUState", (c.c_ubyte * max(len(data), 1))(*data), len(data), c.byref(state))
        return state

    def free(self) -> None:
        """Free the instance."""
        self.library.mark(f"{self.library.prefix}FreeInstance")
        function = self.library.function("FreeInstance")
        function.restype = None
        function(self.handle)


def references(values: Sequence[int]) -> Any:
    """An array of value references; never an empty one, whose address would be odd."""
    return (c.c_uint32 * max(len(values), 1))(*values)


def doubles(values: Sequence[float] | int) -> Any:
    """An array of numbers, or room for so many."""
    count = values if isinstance(values, int) else len(values)
    return (c.c_double * max(count, 1))(*(() if isinstance(values, int) else values))


def of_type(kind: str, value: Any) -> Any:
    """A value as ctypes wants it for a type."""
    if kind == "String":
        return value.encode() if isinstance(value, str) else value
    if kind in {"Boolean", "Clock"}:
        return bool(value)
    return float(value) if kind in {"Real", "Float32", "Float64"} else round(value)


def from_type(kind: str, value: Any) -> Any:
    """A value that ctypes gave, as Python has it."""
    if kind == "String":
        return None if value is None else value.decode("utf-8", "replace")
    return value
