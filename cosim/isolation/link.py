"""Calls to another process, with a time limit; what kills it or keeps it from answering is an error here."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from typing import Any

from cosim.fmi.instance import FmuEndedError
from fmus.errors import GalenicError

_ADDRESS, _KEY = "GALENIC_WORKER_ADDRESS", "GALENIC_WORKER_KEY"
_START_LIMIT = 60.0  # s, for Python to start
_PATIENCE = 2.0  # s, for a process that was told to end
_SHOWN = 300


class WorkerLostError(Exception):
    """The process died or did not answer; the text says how."""


class Worker:
    """A Python process that executes calls one after the other.

    Args:
        folder: a folder of its own, for what it prints.
    """

    def __init__(self, folder: Path) -> None:
        self._printed = folder / "printed.txt"
        key = secrets.token_bytes(16)
        listener = Listener(authkey=key)
        environment = {**os.environ, _ADDRESS: str(listener.address), _KEY: key.hex()}
        # the same packages as here, wherever they were found
        environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        with self._printed.open("wb") as printed:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "cosim.isolation.worker"],
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.STDOUT,
                env=environment,
            )
        self._connection = self._accepted(listener)

    def call(self, what: str, *arguments: Any, limit: float | None) -> Any:
        """Let the process execute a method of its component.

        Args:
            what: the method's name.
            arguments: what it is given.
            limit: wall time in s that it may take; None: any.

        Raises:
            WorkerLostError: the process died, or took longer; it is gone then.
            GalenicError: the method raised it there; an FmuEndedError too.
        """
        try:
            self._connection.send((what, arguments))
            if not self._connection.poll(limit):
                self.kill()
                raise WorkerLostError(f"did not answer within {limit:g} s and was stopped")
            answer, value = self._connection.recv()
        except (EOFError, OSError) as error:
            raise WorkerLostError(self._fate()) from error
        if answer == "ended":
            message, cure, time = value
            raise FmuEndedError(GalenicError(message, cure=cure), time)
        if answer == "error":
            message, cure, file, line = value
            raise GalenicError(message, cure=cure, file=file, line=line)
        if answer == "defect":
            raise WorkerLostError(f"failed: {value}")
        return value

    def close(self) -> None:
        """End the process. May be called twice."""
        with contextlib.suppress(OSError):
            self._connection.close()
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()
        self._process.wait()

    def _accepted(self, listener: Listener) -> Connection:
        accepted: list[Connection] = []

        def accept() -> None:
            with contextlib.suppress(OSError, EOFError):
                accepted.append(listener.accept())

        waiting = threading.Thread(target=accept, daemon=True)
        waiting.start()
        waited = 0.0
        while waiting.is_alive() and self._process.poll() is None and waited < _START_LIMIT:
            waiting.join(0.2)
            waited += 0.2
        if not accepted:
            self.kill()
            raise WorkerLostError(f"did not start: {self._fate()}")
        listener.close()
        return accepted[0]

    def _fate(self) -> str:
        """How the process ended, and what it said last."""
        try:
            code = self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            return "did not answer any more"
        if code < 0:
            with contextlib.suppress(ValueError):
                return f"crashed ({signal.Signals(-code).name}){self._last_words()}"
        # a Windows process that an exception ends has its code, such as 0xC0000005, an access violation
        how = f"crashed (0x{code & 0xFFFFFFFF:08X})" if code & 0x80000000 else f"ended itself with exit status {code}"
        return how + self._last_words()

    def _last_words(self) -> str:
        with contextlib.suppress(OSError):
            text = self._printed.read_text(encoding="utf-8", errors="replace").strip()
            if text:
                return f"; it printed: {text[-_SHOWN:]}"
        return ""


def to_master() -> Connection:
    """In the worker: the connection to the process that started it."""
    key = bytes.fromhex(os.environ.pop(_KEY))
    return Client(os.environ.pop(_ADDRESS), authkey=key)


def shared_file() -> Path:
    """A new empty file for values that both processes map."""
    handle, name = tempfile.mkstemp(prefix="galenic-values-")
    os.close(handle)
    return Path(name)
