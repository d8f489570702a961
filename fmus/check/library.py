"""The binary of an FMU, called without a net: in the checking process, which may die of it."""

from __future__ import annotations

import ctypes as c
import os
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from fmus.check.interfaces import platform_names
from fmus.check.job import Job
from fmus.check.prototypes import arguments

OK, WARNING, DISCARD, ERROR, FATAL = range(5)
_STATUS = ("OK", "Warning", "Discard", "Error", "Fatal", "Pending")
_TRACE_WIDTH = 200
_MOST_MESSAGES = 100
_SHARE = 0.5

_LOGGERS = {
    2: c.CFUNCTYPE(None, c.c_void_p, c.c_char_p, c.c_int, c.c_char_p, c.c_char_p),
    3: c.CFUNCTYPE(None, c.c_void_p, c.c_int, c.c_char_p, c.c_char_p),
}


def _fmpys_formatter() -> c.CDLL | None:
    """FMPy's library that formats messages; loaded without FMPy, whose import takes as long as a whole check."""
    spec = find_spec("fmpy")
    for folder in (spec.submodule_search_locations or []) if spec else ():
        for name in platform_names(2):
            for file in Path(folder, "logging", name).glob("logging.*"):
                return c.CDLL(str(file))
    return None


class FmuError(Exception):
    """The FMU did what it should not; the text says what. ``status`` is what a function returned, if that was it."""

    def __init__(self, text: str, status: int | None = None) -> None:
        super().__init__(text)
        self.status = status

    @property
    def refused(self) -> bool:
        """Whether the FMU itself said no, in a way after which it can be reset."""
        return self.status in {DISCARD, ERROR}


class TooSlowError(Exception):
    """The check would not end within the time limit, without the FMU being at fault; the text says how far it came."""


class _Callbacks(c.Structure):
    """fmi2CallbackFunctions."""

    _fields_ = (
        ("logger", _LOGGERS[2]),
        ("allocate", c.c_void_p),
        ("release", c.c_void_p),
        ("finished", c.c_void_p),
        ("environment", c.c_void_p),
    )


class Library:
    """The loaded binary, what it logs, and a trace of the call that is under way, which survives a crash."""

    def __init__(self, job: Job, trace: Path) -> None:
        self.job = job
        self._deadline = time.monotonic() + _SHARE * job.time_limit
        self.prefix = f"fmi{job.version}"
        self.messages: list[str] = []
        self.nulls: set[str] = set()
        self.categories: set[str] = set()
        self._trace = os.open(trace, os.O_WRONLY | os.O_CREAT)
        self.mark("loading the library")
        os.chdir(Path(job.library).parent)
        try:
            self.dll = c.CDLL(job.library)
        except OSError as error:
            raise FmuError(f"the library cannot be loaded: {error}") from error
        self.logger = _LOGGERS[job.version](self._log2 if job.version == 2 else self._log3)
        self.callbacks = self._callbacks() if job.version == 2 else None

    def hurry(self, reached: float) -> None:
        """Stop the check while there is time to say that it was stopped."""
        if time.monotonic() > self._deadline:
            raise TooSlowError(f"the check's own solver is at t = {reached:.6g} s when its time is over")

    def mark(self, text: str) -> None:
        """Say what happens next."""
        os.lseek(self._trace, 0, os.SEEK_SET)
        os.write(self._trace, text[:_TRACE_WIDTH].ljust(_TRACE_WIDTH).encode("ascii", "replace"))

    def function(self, name: str) -> Any:
        """The function of this name without its prefix."""
        try:
            function = self.dll[self.prefix + name]
        except AttributeError as error:
            raise FmuError(f"the binary has no function {self.prefix}{name}") from error
        function.argtypes = arguments(self.job.version, name)
        return function

    def text(self, name: str) -> str:
        """What a function without arguments says."""
        self.mark(self.prefix + name)
        function = self.function(name)
        function.argtypes, function.restype = (), c.c_char_p
        return (function() or b"").decode("utf-8", "replace")

    def status(self, status: int) -> str:
        """The name of a status."""
        return self.prefix + _STATUS[status] if 0 <= status < len(_STATUS) else f"status {status}"

    def said(self) -> str:
        """The last thing that the FMU logged, for the end of a sentence."""
        return f"; it says: {self.messages[-1]}" if self.messages else ""

    def _callbacks(self) -> _Callbacks:
        runtime = c.CDLL("msvcrt") if os.name == "nt" else c.CDLL(None)
        callbacks = _Callbacks(
            self.logger, c.cast(runtime.calloc, c.c_void_p), c.cast(runtime.free, c.c_void_p), None, None
        )
        with suppress(OSError, AttributeError):  # without it, messages are shown unformatted
            formatter = _fmpys_formatter()
            if formatter is not None:
                formatter.addLoggerProxy(c.byref(callbacks))
        return callbacks

    def _log2(self, _environment: int, name: bytes, status: int, category: bytes, message: bytes | None) -> None:
        if name is None:
            self.nulls.add("instance name")
        self._keep(status, category, message)

    def _log3(self, _environment: int, status: int, category: bytes, message: bytes | None) -> None:
        self._keep(status, category, message)

    def _keep(self, status: int, category: bytes | None, message: bytes | None) -> None:
        if category is None:
            self.nulls.add("category")
        else:
            self.categories.add(category.decode("utf-8", "replace"))
        if message is None:
            self.nulls.add("message")
        if status > OK and len(self.messages) < _MOST_MESSAGES:
            self.messages.append((message or b"").decode("utf-8", "replace").strip())
