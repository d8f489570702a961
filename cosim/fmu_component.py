"""An FMU as a component: FMI 2.0 or 3.0, Co-Simulation or Model Exchange.

Every scalar of an input or output is a port; an array has one for each element (``x[1]``, ``x[2,3]``). Co-Simulation
without Event Mode is a few native calls on buffers that exist already: set the inputs, ``doStep``, get the outputs.
"""

from __future__ import annotations

import ctypes
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import numpy as np

from cosim.component import FloatArray, Kind, Port
from cosim.fmi.access import Access, NativeStep, accesses, in_order
from cosim.fmi.description import CO_SIMULATION, INTERFACE_NAMES, Interface, Value, Variable, describe
from cosim.fmi.feedthrough import feedthrough
from cosim.fmi.fmi2 import Fmi2
from cosim.fmi.fmi3 import Fmi3
from cosim.fmi.instance import DISCARD, WARNING, FmuFailureError, Instance, StepEnd
from cosim.fmi.library import Library, resource_location
from cosim.fmi.start import set_start_values
from cosim.fmi.stepping import TINY, CoSimulation, Stepper
from cosim.fmu_archive import FmuArchive, library_member, unpack
from fmus.errors import GalenicError

_SHOWN_MESSAGES = 3
_MOST_EVENTS = 100_000


class FmuComponent:
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
        event_mode: whether the master handles the events of an FMI 3.0 Co-Simulation FMU; None: if the FMU lets it.

    Attributes:
        inputs, outputs: what can be connected.
        can: what the FMU says that it can do.
        feedthrough: for each output's place the places of the inputs on which it depends at the same instant.
        initial_feedthrough: the same in initialisation mode.
        accesses_in, accesses_out: the native calls behind `set_inputs` and `get_outputs`; from `instantiate` on.
        native: how a native loop may step it; from `instantiate` on, None where Python has to do it.

    Raises:
        GalenicError: the FMU has no such interface, or an array would be too large.
    """

    def __init__(
        self,
        name: str,
        archive: FmuArchive,
        values: Mapping[str, Value] | None = None,
        locate: Callable[[GalenicError], GalenicError] = lambda error: error,
        *,
        interface: Interface | None = None,
        event_mode: bool | None = None,
    ) -> None:
        self.name = name
        self.archive = archive
        self.values = dict(values or {})
        self._locate = locate
        try:
            self.description = describe(archive.description, archive.attributes, interface, self.values)
        except GalenicError as error:
            raise locate(GalenicError(f"{archive.file}: {error.message}", cure=error.cure)) from error
        self.interface: Interface = self.description.interface
        self.can = can = self.description.can
        self.event_mode = can.event_mode and event_mode is not False and self.interface == CO_SIMULATION
        self._inputs = self._connectable("input")
        self._outputs = self._connectable("output")
        self.inputs = self._ports(self._inputs)
        self.outputs = self._ports(self._outputs)
        self.feedthrough = feedthrough(self._outputs, self._inputs, self.description.dependencies)
        self.initial_feedthrough = feedthrough(self._outputs, self._inputs, self.description.initial_dependencies)
        self.input_values = np.array([port.start or 0.0 for port in self.inputs])
        self.output_values = np.zeros(len(self.outputs))
        self.accesses_in: list[Access] = []
        self.accesses_out: list[Access] = []
        self.native: NativeStep | None = None
        self.instance: Instance | None = None
        self._stepper: Stepper | None = None
        self._library: Library | None = None
        self._directory: tempfile.TemporaryDirectory[str] | None = None
        self._time = 0.0
        self._initialized = False
        self._keep_states = False

    # ---- description -------------------------------------------------------------------------------------------

    def variable(self, name: str) -> Port:
        """Any numeric scalar of the FMU as a port, whatever its causality. Raises KeyError."""
        variable, place = self.description.places[name]
        if not variable.numeric:
            raise KeyError(name)
        return self._port(variable, place)

    def variables(self, *causalities: str) -> list[str]:
        """Names of the numeric scalars of these causalities; structural parameters count as parameters."""
        wanted = {*causalities, *(("structuralParameter",) if "parameter" in causalities else ())}
        chosen = (v for v in self.description.variables.values() if v.causality in wanted and v.numeric)
        return [name for v in chosen for name in v.elements]

    def texts(self, *causalities: str) -> list[str]:
        """Names of the String and Binary variables of these causalities, which can be given values as text."""
        wanted = {"String", "Binary"}
        return [v.name for v in self.description.variables.values() if v.causality in causalities and v.type in wanted]

    def settable(self, name: str) -> bool:
        """Whether a start value may be given to the variable."""
        return self.description.places[name][0].settable

    def why_not_connectable(self, name: str) -> str | None:
        """Why a variable cannot be connected, in words for people; None if it can, or if there is none."""
        variable = self.description.variables.get(name) or self.description.places.get(name, (None, 0))[0]
        if variable is None or variable in self._inputs or variable in self._outputs:
            if variable is not None and variable.shape and name == variable.name:
                return f"'{name}' is an array: connect its elements, such as '{(*variable.elements, name + '[1]')[0]}'"
            return None
        if variable.type in {"String", "Binary"}:
            return f"'{name}' is of type {variable.type}, and only numbers and truth values can be connected"
        if variable.type == "Clock" or variable.clocked:
            return f"'{name}' belongs to a clock, and clocks cannot be connected"
        if variable.alias:
            return f"'{name}' is another name of an input: connect that"
        return f"'{name}' is a {variable.causality} and neither an input nor an output"

    def bind(self, input_values: FloatArray, output_values: FloatArray) -> None:
        """Work on these arrays; the start values move into them."""
        input_values[:] = self.input_values
        self.input_values, self.output_values = input_values, output_values

    def _connectable(self, causality: str) -> list[Variable]:
        chosen = (
            v
            for v in self.description.variables.values()
            if v.causality == causality and v.numeric and not v.clocked and not (v.alias and causality == "input")
        )
        return in_order(self.description.version, chosen)

    def _ports(self, variables: Sequence[Variable]) -> tuple[Port, ...]:
        return tuple(self._port(v, place) for v in variables for place in range(v.size))

    def _port(self, variable: Variable, place: int) -> Port:
        name = variable.elements[place]
        start = self.values.get(name, variable.start[place] if variable.start is not None else None)
        kind: Kind = "boolean" if variable.type == "Boolean" else "integer"
        if variable.type in {"Float64", "Float32"}:
            kind = "real"
        number = float(start) if isinstance(start, int | float) else None
        return Port(name, variable.unit, number, variable.low, variable.high, variable.description, kind)

    # ---- life --------------------------------------------------------------------------------------------------

    def initialize(self, start_time: float) -> None:
        """Load and instantiate the FMU, set parameters and the present inputs, initialise it, read its outputs.

        Raises:
            GalenicError: the binary does not load, or the FMU refuses a value or fails to initialise.
        """
        self.instantiate(start_time)
        self.exit_initialization()
        self.get_outputs()

    def instantiate(self, start_time: float) -> None:
        """Load the FMU, make the instance, set parameters and start values, enter initialisation mode, set inputs.

        Raises:
            GalenicError: the binary does not load, or the FMU refuses a value.
        """
        self._time = start_time
        try:
            instance = self._make_instance()
            instance.set_up(start_time)
            late = set_start_values(instance, self.values)
            instance.enter_initialization(start_time)
            late()
            self._set_known_inputs(instance)
            version, find = self.description.version, instance.library.function
            apart = self.event_mode or self.interface != CO_SIMULATION
            self.accesses_in = accesses(version, find, "Set", self._inputs, self.input_values, apart=apart)
            self.accesses_out = accesses(version, find, "Get", self._outputs, self.output_values)
            self._setters = [(access.function, instance.arguments(access)) for access in self.accesses_in]
            self._getters = [(access.function, instance.arguments(access)) for access in self.accesses_out]
            self._gathers = [access for access in self.accesses_in if access.kind != "float64"]
            self._spreads = [access for access in self.accesses_out if access.kind != "float64"]
            self._last_inputs = np.full(len(self.inputs), np.nan)
            self._stepper = self._make_stepper(instance)
            if self.interface == CO_SIMULATION and not self.event_mode:
                address = ctypes.cast(find("DoStep"), ctypes.c_void_p).value or 0
                self.native = NativeStep(version, address, instance.handle)
        except FmuFailureError as failure:
            error = self._initial_error(failure)
            self.terminate()
            raise self._locate(error) from failure
        except GalenicError as error:
            self.terminate()
            raise self._locate(GalenicError(f"{self.archive.file}: {error.message}", cure=error.cure)) from error
        except BaseException:
            self.terminate()
            raise

    def exit_initialization(self) -> None:
        """Leave initialisation mode, handle the first events, and be ready to step.

        Raises:
            GalenicError: the FMU fails to initialise.
        """
        instance = self._running()
        assert self._stepper is not None
        try:
            instance.need("ExitInitializationMode")
            self._initialized = True
            self._last_inputs[:] = self.input_values
            self._stepper.begin(self._time)
        except FmuFailureError as failure:
            error = self._initial_error(failure)
            self.terminate()
            raise self._locate(error) from failure
        except BaseException:
            self.terminate()
            raise
        if self.native is not None:
            self.do_step = self._compiled_step()  # type: ignore[assignment, method-assign]

    def set_inputs(self) -> None:
        """Hand ``input_values`` to the FMU.

        Raises:
            GalenicError: the FMU refuses.
        """
        if not self._initialized or self.native is not None:
            self._write(discrete=None)
            return
        changed = self.input_values != self._last_inputs
        if not changed.any():
            return
        assert self._stepper is not None
        apart = [access for access in self.accesses_in if access.discrete]
        discrete = any(changed[access.block].any() for access in apart)
        self._last_inputs[:] = self.input_values
        try:
            self._stepper.set_inputs(lambda: self._write(discrete=None if discrete else False), discrete=discrete)
        except FmuFailureError as failure:
            self._fail(failure, self._time)

    def get_outputs(self) -> None:
        """Write the FMU's outputs into ``output_values``.

        Raises:
            GalenicError: the FMU refuses.
        """
        for function, arguments in self._getters:
            if (status := function(*arguments)) > WARNING:
                self._fail(FmuFailureError("reading the outputs", status), self._time)
        for access in self._spreads:
            access.spread(self.output_values)

    def advance(self, communication_point: float, step_size: float) -> float | None:
        """Advance from ``communication_point`` by ``step_size`` in s, without setting inputs or getting outputs.

        Returns:
            The time in s where the FMU stopped before the end, its events handled; None if it came to the end.

        Raises:
            GalenicError: the FMU reports an error, or asks to end the simulation.
        """
        assert self._stepper is not None
        t, h = communication_point, step_size
        self._time = t
        try:
            end = self._stepper.advance(t, h, keep_states=self._keep_states)
        except FmuFailureError as failure:
            self._fail(failure, t)
        return self._reached(end, t, h)

    def do_step(self, communication_point: float, step_size: float) -> None:
        """Set the inputs, advance, past early returns, and get the outputs.

        Raises:
            GalenicError: the FMU reports an error; names the component, the time and the FMU's last messages.
        """
        self._running()
        self.set_inputs()
        self._go_on(self.advance(communication_point, step_size), communication_point + step_size)
        self.get_outputs()

    def terminate(self) -> None:
        """Terminate and free the instance, unload the library, remove the unpacked files. May be called twice."""
        instance, self.instance = self.instance, None
        with suppress(AttributeError):
            del self.do_step  # the compiled step refers to the freed instance
        if instance is not None:
            if self._initialized and not instance.failed:
                with suppress(Exception):
                    instance.terminate()
            with suppress(Exception):
                instance.free()
        self.native, self._stepper, self._initialized = None, None, False
        library, self._library = self._library, None
        if library is not None:
            library.unload()
        directory, self._directory = self._directory, None
        if directory is not None:
            directory.cleanup()

    # ---- native side -------------------------------------------------------------------------------------------

    def _make_instance(self) -> Instance:
        self.terminate()
        self._directory = tempfile.TemporaryDirectory(prefix="galenic-", ignore_cleanup_errors=True)
        folder = Path(self._directory.name)
        member = library_member(self.archive, self.description)
        unpack(self.archive, folder, member)
        self._library = Library(folder / member, self.description.version)
        made = Fmi2 if self.description.version == 2 else Fmi3
        instance = self.instance = made(self._library, self.description, self.name)
        instance.instantiate(resource_location(folder, self.description.version), event_mode=self.event_mode)
        return instance

    def _make_stepper(self, instance: Instance) -> Stepper:
        return CoSimulation(instance, event_mode=self.event_mode)

    def _set_known_inputs(self, instance: Instance) -> None:
        first = 0
        for variable in self._inputs:
            block = slice(first, first + variable.size)
            first += variable.size
            values = self.input_values[block]
            if variable.size and (values.any() or any(port.start is not None for port in self.inputs[block])):
                instance.set_numbers(variable, values)

    def _write(self, discrete: bool | None) -> None:
        """Set all inputs, or those alone that are ``discrete`` or not."""
        for access in self._gathers:
            access.gather(self.input_values)
        for access, (function, arguments) in zip(self.accesses_in, self._setters, strict=True):
            if discrete is not None and access.discrete != discrete:
                continue
            if (status := function(*arguments)) > WARNING:
                self._fail(FmuFailureError("setting the inputs", status), self._time)

    def _go_on(self, reached: float | None, end: float) -> None:
        """After an early return, on to the end."""
        begin, count = self._time, 0
        while reached is not None and reached < end - TINY * (end - begin):
            count += 1
            if count > _MOST_EVENTS:
                self._fail(FmuFailureError(f"more than {_MOST_EVENTS} events in one step"), reached)
            reached = self.advance(reached, end - reached)

    def _reached(self, end: StepEnd, t: float, h: float) -> float | None:
        self._time = end.time
        if end.terminate:
            raise self._locate(
                GalenicError(
                    f"component '{self.name}' asked to end the simulation at t = {end.time:.6g} s"
                    f"{self._last_messages()}",
                    cure="choose a shorter duration, or other parameters; the results up to here are kept",
                )
            )
        return end.time if end.time < t + h - TINY * h else None

    def _compiled_step(self) -> Callable[[float, float], None]:
        """The step of Co-Simulation without Event Mode, with everything that it needs in local variables."""
        instance, check = self._running(), self._check
        step, handle = instance.library.function("DoStep"), ctypes.c_void_p(instance.handle)
        setters, getters = tuple(self._setters), tuple(self._getters)
        gathers, spreads = tuple(self._gathers), tuple(self._spreads)
        in_values, out_values = self.input_values, self.output_values
        if self.description.version == 3:
            return lambda t, h: FmuComponent.do_step(self, t, h)

        def general(t: float, h: float) -> None:
            for access in gathers:
                access.gather(in_values)
            for function, arguments in setters:
                if (status := function(*arguments)) > WARNING:
                    check(status, "setting the inputs", t)
            if (status := step(handle, t, h, 1)) > WARNING:
                self._step_failed(status, t, h)
            for function, arguments in getters:
                if (status := function(*arguments)) > WARNING:
                    check(status, "reading the outputs", t)
            for access in spreads:
                access.spread(out_values)

        if gathers or spreads or len(setters) != 1 or len(getters) != 1:
            return general
        (set_real, (_, in_refs, in_count, in_data)), (get_real, (_, out_refs, out_count, out_data)) = *setters, *getters

        def reals_only(t: float, h: float) -> None:
            if (status := set_real(handle, in_refs, in_count, in_data)) > WARNING:
                check(status, "setting the inputs", t)
            if (status := step(handle, t, h, 1)) > WARNING:
                self._step_failed(status, t, h)
            if (status := get_real(handle, out_refs, out_count, out_data)) > WARNING:
                check(status, "reading the outputs", t)

        return reals_only

    def _step_failed(self, status: int, t: float, h: float) -> None:
        """After a native FMI 2.0 step that did not succeed: go on if the FMU only broke it off."""
        instance = self._running()
        assert isinstance(instance, Fmi2)
        self._time = t
        if status != DISCARD:
            self._check(status, "fmi2DoStep", t)
        try:
            end = instance.discarded(t, h)
        except FmuFailureError as failure:
            self._fail(failure, t)
        self._go_on(self._reached(end, t, h), t + h)

    # ---- errors ------------------------------------------------------------------------------------------------

    def _running(self) -> Instance:
        if self.instance is None:
            raise GalenicError(f"component '{self.name}' is not initialised", cure="call initialize first")
        return self.instance

    def _initial_error(self, failure: FmuFailureError) -> GalenicError:
        return GalenicError(
            f"component '{self.name}' failed during initialisation ({self._told(failure)}){self._last_messages()}",
            cure="check the component's parameters and start values",
        )

    def _check(self, status: int, what: str, t: float) -> None:
        if status > WARNING:
            self._fail(FmuFailureError(what, status), t)

    def _fail(self, failure: FmuFailureError, t: float) -> NoReturn:
        if self.instance is not None:
            self.instance.failed = True
        raise self._locate(
            GalenicError(
                f"component '{self.name}' failed at t = {t:.6g} s ({self._told(failure)}){self._last_messages()}",
                cure="look at the component's inputs just before; the results up to here are kept",
            )
        ) from failure

    def _told(self, failure: FmuFailureError) -> str:
        if failure.status is None or self.instance is None:
            return failure.what
        return f"{failure.what}: {self.instance.status_name(failure.status)}"

    def _last_messages(self) -> str:
        if self.instance is None:
            return ""
        messages = self.instance.log.messages
        serious = [text for status, text in messages if status > 0] or [text for _, text in messages]
        return "; it says: " + " | ".join(serious[-_SHOWN_MESSAGES:]) if serious else ""

    def __repr__(self) -> str:
        interface = INTERFACE_NAMES[self.interface]
        return f"FmuComponent({self.name!r}, {self.archive.file.name}, FMI {self.description.version} {interface})"
