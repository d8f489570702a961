"""What FMUs say: one logger a standard for all instances of the process, which sorts the messages by instance."""

from __future__ import annotations

import ctypes
import itertools
from collections import deque
from contextlib import suppress
from typing import Any

_KEPT = 50
_logs: dict[int, FmuLog] = {}
_numbers = itertools.count(1)
_logger: Any = None
_LOGGER_3 = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_char_p)


class FmuLog:
    """The last messages of one instance: (status, text). `close` it when the instance is freed."""

    def __init__(self) -> None:
        self.messages: deque[tuple[int, str]] = deque(maxlen=_KEPT)
        self.number = next(_numbers)

    def callbacks(self) -> Any:
        """FMI 2.0 callbacks for ``fmi2Instantiate``; the caller keeps them alive as long as the instance.

        FMPy's native proxy, which formats printf-style messages, holds one logger for the whole process. A logger for
        each instance would get the messages of others, and be called after it was freed; so there is one, for good.
        """
        from fmpy import calloc, fmi2, free

        global _logger
        _logs[self.number] = self
        if _logger is None:
            _logger = fmi2.fmi2CallbackLoggerTYPE(_sort)
        callbacks = fmi2.fmi2CallbackFunctions()
        callbacks.logger = _logger
        callbacks.allocateMemory = fmi2.fmi2CallbackAllocateMemoryTYPE(calloc)
        callbacks.freeMemory = fmi2.fmi2CallbackFreeMemoryTYPE(free)
        callbacks.componentEnvironment = self.number
        with suppress(ImportError, OSError, AttributeError):  # without the proxy, messages are kept unformatted
            from fmpy.logging import addLoggerProxy

            addLoggerProxy(ctypes.byref(callbacks))
        return callbacks

    def logger3(self) -> Any:
        """FMI 3.0's logger for the native instantiation, which gets ``number`` as the instance's environment."""
        _logs[self.number] = self
        return _logger_3

    def close(self) -> None:
        """Receive no more. May be called twice."""
        _logs.pop(self.number, None)


def _sort(
    environment: int | None, _instance: bytes | None, status: int, category: bytes | None, message: bytes | None
) -> None:
    log = _logs.get(environment or 0)
    if log is not None:
        text = (message or b"").decode("utf-8", "replace").strip()
        log.messages.append((status, f"{category.decode('utf-8', 'replace')}: {text}" if category else text))


def _sort_3(environment: int | None, status: int, category: bytes | None, message: bytes | None) -> None:
    _sort(environment, None, status, category, message)


_logger_3 = _LOGGER_3(_sort_3)
