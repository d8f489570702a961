"""An FMU as a component: FMI 2.0 or 3.0, Co-Simulation or Model Exchange.

Every scalar of an input or output is a port; an array has one for each element (``x[1]``, ``x[2,3]``). Co-Simulation
without Event Mode is a few native calls on buffers that exist already: set the inputs, ``doStep``, get the outputs.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import numpy as np

from cosim.component import FloatArray
from cosim.fmi import state as states
from cosim.fmi.derivatives import difference, own_derivative
from cosim.fmi.description import INTERFACE_NAMES
from cosim.fmi.life import FmuLife
from cosim.fmi.state import State
from fmus.errors import GalenicError


class FmuComponent(FmuLife):
    """One instance of an FMU.

    Its life: `instantiate`, then `set_inputs` and `get_outputs` as often as wanted, `exit_initialization`, then steps:
    `do_step`, or `set_inputs`, `advance` and `get_outputs`; `terminate`. `initialize` is the first three in a row.

    Args:
        name: the component's name in the system.
        archive: the checked FMU file.
        values: parameters and start values that differ from the FMU's own, in the variables' units; the caller has
            checked that they may be set. An array's element is ``x[1]``.
        locate: turns an error into one with file and line of the component in the scenario.
        interface: which interface to use; None: Co-Simulation if there, else Model Exchange.
        event_mode: whether the master handles the events of an FMI 3.0 Co-Simulation FMU, if the FMU lets it; its steps
            then return early at events. Otherwise the FMU handles them itself, which costs less.
        tolerance: relative tolerance of Model Exchange; None: that of the FMU's default experiment, 1e-6 at most.

    Attributes:
        inputs, outputs: what can be connected.
        can: what the FMU says that it can do.
        feedthrough: for each output's place the places of the inputs on which it depends at the same instant.
        accesses_in, accesses_out: the native calls behind `set_inputs` and `get_outputs`; from `instantiate` on.
        native: how a native loop may step it; from `instantiate` on, None where Python has to do it.
        instance: the native instance; from `instantiate` on.

    Raises:
        GalenicError: the FMU has no such interface, or an array would be too large.
    """

    def save_state(self) -> State:
        """The FMU's state now, to come back to with `restore_state`; to be freed with `free_state`.

        Raises:
            GalenicError: the FMU cannot save its state, or fails to.
        """
        instance, _, stepper = self._running()
        if not self.can.save_state:
            raise self._locate(
                GalenicError(
                    f"component '{self.name}' cannot save its state: its FMU does not offer canGetAndSetFMUstate",
                    cure="choose a master algorithm without rollback, or an FMU with it",
                )
            )
        self._keep_states = True
        pointer = self._native(instance.take_state)
        return State(pointer, instance.handle, self._last_inputs.copy(), stepper.state())

    def restore_state(self, state: State) -> None:
        """Go back to a state of this instance. Raises GalenicError."""
        instance, _, stepper = self._running()
        self._own(state)
        self._native(lambda: instance.set_state(state.pointer))
        self._last_inputs[:] = state.inputs
        self._native(lambda: stepper.restore(state.stepper))

    def free_state(self, state: State) -> None:
        """Free a state of this instance; nothing happens to one that is free. Raises GalenicError."""
        if self.instance is not None and state.pointer and state.handle == self.instance.handle:
            instance = self.instance
            self._native(lambda: instance.free_state(state.pointer))
        state.pointer = ctypes.c_void_p(None)

    def serialize_state(self, state: State) -> bytes:
        """A state as bytes, for another process. Raises GalenicError."""
        instance, _, _ = self._running()
        self._own(state)
        if not self.can.serialize_state:
            raise self._locate(
                GalenicError(
                    f"the state of component '{self.name}' cannot be kept: its FMU does not offer canSerializeFMUstate",
                    cure="run without checkpoints, or choose an FMU with it",
                )
            )
        content = self._native(lambda: instance.serialize(state.pointer))
        return states.pack(state, self.description.token, self.interface, content)

    def deserialize_state(self, data: bytes) -> State:
        """A state for `restore_state` from what `serialize_state` gave, in whatever process. Raises GalenicError."""
        instance, _, _ = self._running()
        try:
            state, content = states.unpack(data, self.description.token, self.interface, self.name)
        except GalenicError as error:
            raise self._locate(error) from error
        state.pointer, state.handle = self._native(lambda: instance.deserialize(content)), instance.handle
        return state

    def verify_state(self, communication_point: float, step_size: float, steps: int = 2) -> float:
        """Find out whether the FMU really comes back: save, step, restore, step again, compare.

        Returns:
            The largest relative difference in any output or local variable; 0.0 means the same bits. The instance is
            then where it was, as far as its states can be trusted: where the difference is not 0.0, make a new one.

        Raises:
            GalenicError: the FMU fails on the way.
        """
        t = communication_point
        before = self.output_values.copy()
        state = self.save_state()
        first, second = (self._after_restoring(state, t, step_size, steps) for _ in range(2))
        self.restore_state(state)
        self.free_state(state)
        self.output_values[:] = before
        scale = np.maximum(np.maximum(np.abs(first), np.abs(second)), 1e-300)
        with np.errstate(invalid="ignore"):
            apart = np.where(first == second, 0.0, np.abs(first - second) / scale)
        apart[np.isnan(first) & np.isnan(second)] = 0.0
        return float(np.max(np.nan_to_num(apart, nan=np.inf), initial=0.0))

    def derivative(self, outputs: Sequence[int], inputs: Sequence[int], seed: FloatArray) -> FloatArray:
        """The change of outputs at this instant along a direction of the inputs: the FMU's own, or a difference.

        Args:
            outputs: places of the outputs wanted.
            inputs: places of the inputs that move.
            seed: shape (len(inputs),), in the inputs' units.

        Returns:
            Shape (len(outputs),). Whole numbers and truth values do not move.

        Raises:
            GalenicError: the FMU fails, or has no derivatives of its own where the standard forbids differences.
        """
        instance, exchange, _ = self._running()
        full = np.zeros(len(self.inputs))
        full[list(inputs)] = seed
        if self.can.directional_derivative:
            moved = self._native(lambda: own_derivative(instance, self.output_variables, self.input_variables, full))
            return np.asarray(moved[list(outputs)])
        if not self.answers_at_once:
            raise self._locate(
                GalenicError(
                    f"component '{self.name}' has no directional derivatives, and FMI forbids differences in Step Mode",
                    cure="iterate without derivatives, or use the FMU's Model Exchange interface",
                )
            )
        nominals = np.array([v.nominal for v in self.input_variables for _ in range(v.size)])
        here, before = self.input_values.copy(), self.output_values.copy()

        def evaluate(values: FloatArray) -> FloatArray:
            self.input_values[:] = values
            exchange.write(None if not self._initialized else False)
            exchange.read()
            return self.output_values.copy()

        try:
            moved = self._native(lambda: difference(evaluate, here, full, self.inputs, nominals))
            self._native(lambda: evaluate(here))
        finally:
            self.input_values[:], self.output_values[:] = here, before
        return np.asarray(moved[list(outputs)])

    def _after_restoring(self, state: State, t: float, h: float, steps: int) -> FloatArray:
        instance, _, _ = self._running()
        self.restore_state(state)
        for k in range(steps):
            self._go_on(self.advance(t + k * h, h), t + k * h, t + (k + 1) * h)
        shown = [
            v
            for v in self.description.variables.values()
            if v.causality in {"output", "local"} and v.numeric and not v.clocked and v.size
        ]
        values = self._native(lambda: np.concatenate([np.empty(0), *map(instance.get_numbers, shown)]))
        return np.asarray(values)

    def _own(self, state: State) -> None:
        instance, _, _ = self._running()
        if state.handle != instance.handle or not state.pointer:
            raise GalenicError(
                f"this state is not one of component '{self.name}' as it is now", cure="serialise it to keep it"
            )

    def __repr__(self) -> str:
        interface = INTERFACE_NAMES[self.interface]
        return f"FmuComponent({self.name!r}, {self.archive.file.name}, FMI {self.description.version} {interface})"
