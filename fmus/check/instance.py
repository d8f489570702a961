"""One instance as the probes drive it, with the same verbs for every version and interface."""

from __future__ import annotations

import ctypes as c
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fmus.check.calls import Calls
from fmus.check.fmi2 import Fmi2
from fmus.check.fmi3 import Fmi3, IntermediateUpdate
from fmus.check.job import Value, Variable
from fmus.check.library import FmuError, Library

_ITERATIONS = 100


@dataclass(frozen=True)
class Snapshot:
    """The FMU's copy of its state, and what the driver must know to go on from it."""

    pointer: Any
    driver: dict[str, Any]


class Instance(ABC):
    """One instance, from instantiated to freed. ``ended`` says that the FMU asked to end the simulation.

    Methods raise FmuError where the FMU says no, unless they return a status.
    """

    #: what goes on with a state
    kept: tuple[str, ...] = ("time", "ended")
    #: how many steps the checking process's own solver made, where it integrates
    solver_steps: int | None = None

    def __init__(
        self,
        library: Library,
        name: str = "checked",
        token: str | None = None,
        *,
        event_mode: bool = False,
        early_return: bool = False,
        on_update: IntermediateUpdate | None = None,
    ) -> None:
        self.library, self.job = library, library.job
        self.event_mode, self.early_return = event_mode, early_return
        self.events = 0
        self.ended = False
        self.calls: Calls
        if self.job.version == 2:
            self.calls = Fmi2(library, name, token)
        else:
            self.calls = Fmi3(
                library, name, token, on_update=on_update, event_mode=event_mode, early_return=early_return
            )
        self.time = self.job.start

    @abstractmethod
    def start(self) -> Instance:
        """From instantiated to where time goes on."""

    @abstractmethod
    def step(self, size: float | None = None) -> None:
        """Go on by one communication step, which must succeed; nothing happens after the FMU asked to end."""

    @abstractmethod
    def set(self, variable: Variable, value: Value) -> int:
        """Set one variable where it may change by jumps, and return the status of that."""

    @property
    def time(self) -> float:
        """The time that was reached."""
        return self.calls.time

    @time.setter
    def time(self, time: float) -> None:
        self.calls.time = time

    def initialise(self) -> None:
        """From instantiated to initialised."""
        self.ended, self.events = False, 0
        self.time = self.job.start
        self.calls.enter_initialization()
        self.calls.need("ExitInitializationMode")

    def get(self, variables: Sequence[Variable]) -> list[Value]:
        """The values of variables of any type."""
        return self.calls.read(variables)

    def run(self, steps: int, observed: Sequence[Variable]) -> list[list[Value]]:
        """Values after each of some steps, as far as the FMU wants to go."""
        rows = []
        for _ in range(steps):
            if self.ended:
                break
            self.step()
            rows.append(self.get(observed))
        return rows

    def take_state(self) -> Snapshot:
        """The state, to go on from later."""
        return Snapshot(self.calls.take_state(), {name: getattr(self, name) for name in self.kept})

    def set_state(self, state: Snapshot) -> None:
        """Go back to a state."""
        self.calls.need("SetFMUState", state.pointer)
        self._go_on_from(state.driver)

    def free_state(self, state: Snapshot) -> None:
        """Free the FMU's copy of its state."""
        self.calls.need("FreeFMUState", c.byref(state.pointer))

    def revive(self, data: bytes, state: Snapshot) -> None:
        """Go on from a serialised state; ``state`` is where it was taken, maybe in another instance."""
        pointer = self.calls.deserialise(data)
        self.calls.need("SetFMUState", pointer)
        self.calls.need("FreeFMUState", c.byref(pointer))
        self._go_on_from(state.driver)

    def terminate(self) -> None:
        """End the simulation."""
        self.calls.need("Terminate")

    def reset(self) -> int:
        """Back to instantiated; the status of that."""
        return self.calls.call("Reset")

    def free(self) -> None:
        """Free the instance."""
        self.calls.free()

    def settle(self) -> tuple[bool, bool, float | None]:
        """In event mode, update the discrete states until they rest.

        Returns:
            Whether continuous states changed, whether their nominal values did, and the time of the next event.
        """
        self.events += 1
        states = nominals = False
        for _ in range(_ITERATIONS):
            info = self.calls.update_discrete_states()
            states, nominals = states or info.states_changed, nominals or info.nominals_changed
            if info.terminate:
                self.ended = True
            if info.terminate or not info.again:
                return states, nominals, info.next_event
        name = self.library.prefix + self.calls.names.get("UpdateDiscreteStates", "UpdateDiscreteStates")
        raise FmuError(f"{name} asks for another update {_ITERATIONS} times in a row at t = {self.time:.6g} s")

    def _go_on_from(self, driver: dict[str, Any]) -> None:
        for name, value in driver.items():
            setattr(self, name, value)
