"""An FMI 2.0 Co-Simulation instance, called without a net: in the checking process, which may die of it."""

from __future__ import annotations

import ctypes as c
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from fmus.check.job import Job, Variable

OK, WARNING, DISCARD, ERROR, FATAL = range(5)
STATUS = ("fmi2OK", "fmi2Warning", "fmi2Discard", "fmi2Error", "fmi2Fatal", "fmi2Pending")
_TRACE_WIDTH = 200
_TYPES: dict[str, Any] = {"Real": c.c_double, "Integer": c.c_int, "Boolean": c.c_int}
_POINTER, _SIZE, _INT, _DOUBLE = c.c_void_p, c.c_size_t, c.c_int, c.c_double
_ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "SetupExperiment": (_POINTER, _INT, _DOUBLE, _DOUBLE, _INT, _DOUBLE),
    "DoStep": (_POINTER, _DOUBLE, _DOUBLE, _INT),
    "GetFMUstate": (_POINTER, _POINTER),
    "SetFMUstate": (_POINTER, _POINTER),
    "FreeFMUstate": (_POINTER, _POINTER),
    "SerializedFMUstateSize": (_POINTER, _POINTER, _POINTER),
    "SerializeFMUstate": (_POINTER, _POINTER, _POINTER, _SIZE),
    "DeSerializeFMUstate": (_POINTER, _POINTER, _SIZE, _POINTER),
    "GetDirectionalDerivative": (_POINTER, _POINTER, _SIZE, _POINTER, _SIZE, _POINTER, _POINTER),
} | {f"{verb}{kind}": (_POINTER, _POINTER, _SIZE, _POINTER) for verb in ("Get", "Set") for kind in _TYPES}


class FmuError(Exception):
    """The FMU did what it should not; the text says what."""


_LOGGER = c.CFUNCTYPE(None, _POINTER, c.c_char_p, _INT, c.c_char_p, c.c_char_p)
_ALLOCATE, _RELEASE = c.CFUNCTYPE(_POINTER, _SIZE, _SIZE), c.CFUNCTYPE(None, _POINTER)


class _Callbacks(c.Structure):
    _fields_ = (
        ("logger", _LOGGER),
        ("allocate", _POINTER),
        ("release", _POINTER),
        ("finished", _POINTER),
        ("environment", _POINTER),
    )


class Library:
    """The loaded binary, what it logs, and a trace of the call that is under way, which survives a crash."""

    def __init__(self, job: Job, trace: Path) -> None:
        self.job = job
        self.messages: list[str] = []
        self._trace = os.open(trace, os.O_WRONLY | os.O_CREAT)
        self.mark("loading the library")
        os.chdir(Path(job.library).parent)
        try:
            self.dll = c.CDLL(job.library)
        except OSError as error:
            raise FmuError(f"the library cannot be loaded: {error}") from error
        runtime = c.CDLL("msvcrt") if os.name == "nt" else c.CDLL(None)
        self._logger = _LOGGER(self._log)
        self.callbacks = _Callbacks(self._logger, c.cast(runtime.calloc, _POINTER), c.cast(runtime.free, _POINTER))
        with suppress(ImportError, OSError, AttributeError):  # without it, messages are shown unformatted
            from fmpy.logging import addLoggerProxy

            addLoggerProxy(c.byref(self.callbacks))

    def mark(self, text: str) -> None:
        """Say what happens next."""
        os.lseek(self._trace, 0, os.SEEK_SET)
        os.write(self._trace, text[:_TRACE_WIDTH].ljust(_TRACE_WIDTH).encode("ascii", "replace"))

    def function(self, name: str) -> Any:
        """The function ``fmi2<name>``."""
        try:
            function = self.dll[f"fmi2{name}"]
        except AttributeError as error:
            raise FmuError(f"the binary has no function fmi2{name}") from error
        function.argtypes = _ARGUMENTS.get(name, (_POINTER,))
        return function

    def said(self) -> str:
        """The last thing that the FMU logged, for the end of a sentence."""
        return f"; it says: {self.messages[-1]}" if self.messages else ""

    def _log(self, _environment: int, _name: bytes, status: int, _category: bytes, message: bytes | None) -> None:
        if status > OK:
            self.messages.append((message or b"").decode("utf-8", "replace").strip())


class Instance:
    """One instance. Methods that mirror a function return its status; the others raise FmuError."""

    def __init__(self, library: Library, name: str = "checked", guid: str | None = None) -> None:
        self.library, self.job = library, library.job
        self.time = self.job.start
        instantiate = library.function("Instantiate")
        instantiate.restype = _POINTER
        instantiate.argtypes = (c.c_char_p, _INT, c.c_char_p, c.c_char_p, _POINTER, _INT, _INT)
        library.mark("fmi2Instantiate")
        wanted = (guid or self.job.guid).encode()
        callbacks = c.cast(c.byref(library.callbacks), _POINTER)
        self.handle = instantiate(name.encode(), 1, wanted, self.job.resources.encode(), callbacks, 0, 0)
        if not self.handle:
            raise FmuError("fmi2Instantiate returns no instance" + library.said())

    def call(self, name: str, *arguments: Any) -> int:
        """Call ``fmi2<name>`` and return its status."""
        self.library.mark(f"fmi2{name} at t = {self.time:.6g} s")
        status = int(self.library.function(name)(self.handle, *arguments))
        if status == FATAL:
            raise FmuError(f"fmi2{name} returns fmi2Fatal at t = {self.time:.6g} s{self.library.said()}")
        return status

    def need(self, name: str, *arguments: Any) -> None:
        """Call a function that must succeed."""
        status = self.call(name, *arguments)
        if status > WARNING:
            text = STATUS[status] if 0 <= status < len(STATUS) else f"status {status}"
            raise FmuError(f"fmi2{name} returns {text} at t = {self.time:.6g} s{self.library.said()}")

    def start(self) -> Instance:
        """From instantiated to stepping."""
        self.time = self.job.start
        self.need("SetupExperiment", 0, 0.0, self.job.start, 0, 0.0)
        self.need("EnterInitializationMode")
        self.need("ExitInitializationMode")
        return self

    def step(self, size: float | None = None) -> None:
        """One communication step that must succeed."""
        size = size or self.job.step
        self.need("DoStep", self.time, size, 1)
        self.time += size

    def get(self, variables: Sequence[Variable]) -> list[float]:
        """The values of variables of any type."""
        values: dict[int, float] = {}
        for kind in _TYPES:
            places = [i for i, v in enumerate(variables) if v.type == kind]
            if places:
                references, buffer = _arrays(kind, [variables[i] for i in places])
                self.need(f"Get{kind}", references, len(places), buffer)
                values.update(zip(places, (float(x) for x in buffer), strict=True))
        return [values[i] for i in range(len(variables))]

    def set(self, variable: Variable, value: float) -> int:
        """Set one variable and return the status."""
        references, buffer = _arrays(variable.type, [variable])
        buffer[0] = value if variable.type == "Real" else round(value)
        return self.call(f"Set{variable.type}", references, 1, buffer)

    def run(self, steps: int, observed: Sequence[Variable]) -> list[list[float]]:
        """Values after each of some steps."""
        rows = []
        for _ in range(steps):
            self.step()
            rows.append(self.get(observed))
        return rows

    def take_state(self) -> Any:
        """A pointer to the FMU's copy of its state."""
        state = c.c_void_p(None)
        self.need("GetFMUstate", c.byref(state))
        if not state.value:
            raise FmuError("fmi2GetFMUstate returns fmi2OK and no state")
        return state

    def derivative(self, output: Variable, known: Variable) -> float:
        """fmi2GetDirectionalDerivative for one pair."""
        unknown, result = _arrays("Real", [output])
        reference, seed = _arrays("Real", [known])
        seed[0] = 1.0
        self.need("GetDirectionalDerivative", unknown, 1, reference, 1, seed, result)
        return float(result[0])

    def free(self) -> None:
        """Free the instance."""
        self.library.mark("fmi2FreeInstance")
        function = self.library.function("FreeInstance")
        function.restype = None
        function(self.handle)


def _arrays(kind: str, variables: Sequence[Variable]) -> tuple[Any, Any]:
    count = len(variables)
    return (c.c_uint * count)(*(v.reference for v in variables)), (_TYPES[kind] * count)()
