"""Drives FMUs through FMPy in a process of its own, which a Python inside an FMU shares: `in_session` runs code there.

The code has `load(fmu, ...)` and gives its answer with `answer(value)`, through JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

TIME_LIMIT = 120.0  # s
HERE = Path(__file__).parent


def in_session(code: str, *arguments: object, **environment: str) -> Any:
    """The answer of code that runs in a new Python process; ``arguments`` are texts in ``args``."""
    import os

    program = "from fmu_session import answer, load, args\n" + textwrap.dedent(code)
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(HERE), "PYTHONWARNINGS": "ignore"} | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=TIME_LIMIT,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("answer: ")]
    if done.returncode != 0 or not lines:
        raise AssertionError(f"the process ends with {done.returncode}\n{done.stdout}\n{done.stderr}")
    return json.loads(lines[-1].removeprefix("answer: "))


# ---- in that process -----------------------------------------------------------------------------------------------

args = sys.argv[1:]


def answer(value: object) -> None:
    print("answer:", json.dumps(value), flush=True)


class load:  # noqa: N801
    """An instance of an FMU. Functions return the status; `messages` are (status, category, text)."""

    def __init__(
        self,
        fmu: str,
        logging: bool = False,
        folder: str | None = None,
        guid: str | None = None,
        unpacked: str | None = None,
    ) -> None:
        import ctypes

        from fmpy import extract, fmi2, read_model_description

        self.description = read_model_description(fmu)
        self.references = {v.name: (v.valueReference, v.type) for v in self.description.modelVariables}
        self.messages: list[tuple[int, str, str]] = []
        self.folder = unpacked or extract(fmu, folder)
        self.slave = fmi2.FMU2Slave(
            guid=guid or self.description.guid,
            unzipDirectory=self.folder,
            modelIdentifier=self.description.coSimulation.modelIdentifier,
            instanceName="session",
        )
        text = ctypes.c_char_p

        def keep(_: Any, name: bytes, status: int, category: bytes, message: bytes, argument: bytes) -> None:
            # variadic in C; these FMUs hand every message as one "%s" argument
            assert (name, message) == (b"session", b"%s")
            self.messages.append((status, category.decode(), argument.decode()))

        self._keep = ctypes.CFUNCTYPE(None, ctypes.c_void_p, text, ctypes.c_int, text, text, text)(keep)
        self._callbacks = fmi2.fmi2CallbackFunctions(
            logger=ctypes.cast(self._keep, fmi2.fmi2CallbackLoggerTYPE),
            allocateMemory=fmi2.fmi2CallbackAllocateMemoryTYPE(0),
            freeMemory=fmi2.fmi2CallbackFreeMemoryTYPE(0),
        )
        self.logging = logging
        self.time = 0.0

    def instantiate(self) -> bool:
        """Whether there is an instance."""
        try:
            self.slave.instantiate(callbacks=self._callbacks, loggingOn=self.logging)
        except Exception:
            return False
        return True

    def start(self, time: float = 0.0, **values: float) -> load:
        assert self.instantiate(), self.messages
        return self.initialize(time, **values)

    def initialize(self, time: float = 0.0, **values: float) -> load:
        self.time = time
        self.slave.setupExperiment(startTime=time)
        self.set(**values)
        self.slave.enterInitializationMode()
        self.slave.exitInitializationMode()
        return self

    def call(self, function: str, *arguments: Any) -> int:
        """The status of a function that may fail."""
        from fmpy.fmi1 import FMICallException

        try:
            getattr(self.slave, function)(*arguments)
        except FMICallException as error:
            return int(error.status)
        return 0

    def step(self, size: float) -> int:
        status = self.call("doStep", self.time, size)
        self.time += size
        return status

    def set(self, **values: float) -> int:
        status = 0
        for name, value in values.items():
            reference, kind = self.references[name.replace("__", ".")]
            status = max(status, self.call(f"set{kind}", [reference], [value]))
        return status

    def get(self, *names: str) -> Any:
        found = [
            getattr(self.slave, f"get{kind}")([reference])[0] for reference, kind in map(self.references.get, names)
        ]
        return found if len(found) != 1 else found[0]
