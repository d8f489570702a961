"""The process that holds an isolated FMU: ``python -m cosim.isolation.worker``, started by `link.Worker`."""

from __future__ import annotations

import itertools
import signal
from pathlib import Path
from typing import Any

import numpy as np

from cosim.fmi.instance import FmuEndedError
from cosim.fmi.state import State
from cosim.fmu_archive import open_archive
from cosim.fmu_component import FmuComponent
from cosim.isolation.link import to_master
from fmus.errors import GalenicError


class Host:
    """An FMU's component, and its states by number."""

    def __init__(self) -> None:
        self._component: FmuComponent | None = None
        self._states: dict[int, State] = {}
        self._numbers = itertools.count(1)

    @property
    def component(self) -> FmuComponent:
        """The component; `make` comes first."""
        assert self._component is not None
        return self._component

    def make(self, name: str, file: str, values: dict[str, Any], options: dict[str, Any], shared: str) -> None:
        """Describe the FMU, and work on the values that both processes map."""
        component = self._component = FmuComponent(name, open_archive(Path(file)), values, **options)
        inputs, outputs = len(component.inputs), len(component.outputs)
        mapped = np.memmap(shared, dtype=np.float64, mode="r+", shape=(inputs + outputs + 1,))
        component.input_values = np.asarray(mapped)[:inputs]
        component.output_values = np.asarray(mapped)[inputs : inputs + outputs]

    def save_state(self) -> int:
        """Take the state; returns its number."""
        number = next(self._numbers)
        self._states[number] = self.component.save_state()
        return number

    def restore_state(self, number: int) -> None:
        """Go back to a state."""
        self.component.restore_state(self._states[number])

    def free_state(self, number: int) -> None:
        """Free a state."""
        state = self._states.pop(number, None)
        if state is not None:
            self.component.free_state(state)

    def serialize_state(self, number: int) -> bytes:
        """A state as bytes."""
        return self.component.serialize_state(self._states[number])

    def deserialize_state(self, data: bytes) -> int:
        """A state from bytes; returns its number."""
        number = next(self._numbers)
        self._states[number] = self.component.deserialize_state(data)
        return number

    def call(self, what: str, arguments: tuple[Any, ...]) -> Any:
        """A method of its own, or of the component."""
        return getattr(self if what in vars(Host) else self.component, what)(*arguments)


def main() -> None:
    """Answer calls until the other side is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the master's; it closes the connection
    connection, host = to_master(), Host()
    while True:
        try:
            what, arguments = connection.recv()
        except (EOFError, OSError):
            break
        answer: tuple[str, Any]
        try:
            answer = ("value", host.call(what, arguments))
        except FmuEndedError as error:
            answer = ("ended", (error.message, error.cure, error.time))
        except GalenicError as error:
            answer = ("error", (error.message, error.cure, error.file, error.line))
        except Exception as error:
            answer = ("defect", f"{type(error).__name__}: {error}")
        connection.send(answer)
    if host._component is not None:
        host.component.terminate()


if __name__ == "__main__":
    main()
