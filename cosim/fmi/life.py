"""The life of an FMU's instance: made, initialised, stepped, freed; and what is said when it fails."""

from __future__ import annotations

import ctypes
import math
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

from cosim.fmi.access import Access, NativeStep
from cosim.fmi.description import CO_SIMULATION, Interface, Value
from cosim.fmi.exchange import STOPPED, TERMINATED, Exchange
from cosim.fmi.fmi2 import Fmi2
from cosim.fmi.fmi3 import Fmi3
from cosim.fmi.instance import DISCARD, FmuEndedError, FmuFailureError, Instance, StepEnd
from cosim.fmi.library import Library, resource_location
from cosim.fmi.model_exchange import ModelExchange
from cosim.fmi.start import set_start_values
from cosim.fmi.stepping import TINY, CoSimulation, Stepper
from cosim.fmi.variables import FmuVariables
from cosim.fmu_archive import FmuArchive, library_member, unpack
from fmus.errors import GalenicError

_SHOWN_MESSAGES = 3
_MOST_EVENTS = 100_000


class FmuLife(FmuVariables):
    """One instance of an FMU that can be made, initialised, stepped and freed; `FmuComponent` tells how."""

    def __init__(
        self,
        name: str,
        archive: FmuArchive,
        values: Mapping[str, Value] | None = None,
        locate: Callable[[GalenicError], GalenicError] = lambda error: error,
        *,
        interface: Interface | None = None,
        event_mode: bool = False,
        tolerance: float | None = None,
    ) -> None:
        super().__init__(name, archive, values, locate, interface)
        self.event_mode = event_mode and self.can.event_mode and self.interface == CO_SIMULATION
        self.accesses_in: list[Access] = []
        self.accesses_out: list[Access] = []
        self.native: NativeStep | None = None
        self.instance: Instance | None = None
        self._exchange: Exchange | None = None
        self._stepper: Stepper | None = None
        self._library: Library | None = None
        self._directory: tempfile.TemporaryDirectory[str] | None = None
        self._tolerance = tolerance
        self._time = 0.0
        self._initialized = False
        self._keep_states = False

    @property
    def stops_at_events(self) -> bool:
        """Whether `advance` comes back at events, so that others can learn of them there."""
        return self.event_mode or self.interface != CO_SIMULATION

    @property
    def answers_at_once(self) -> bool:
        """Whether the standard lets outputs be read after inputs were set, with no step between them, now."""
        return not self._initialized or self.interface != CO_SIMULATION

    @property
    def next_event(self) -> float:
        """The time in s of the next event that is known in advance; infinite if none is."""
        return self._stepper.next_event if self._stepper is not None else math.inf

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
        self.terminate()
        self._time = start_time
        with self._initialising():
            instance = self._make_instance()
            instance.set_up(start_time)
            finish = set_start_values(instance, self.values)
            instance.enter_initialization(start_time)
            finish()
            self._set_known_inputs(instance)
            exchange = self._exchange = Exchange(
                instance,
                self.input_variables,
                self.output_variables,
                self.input_values,
                self.output_values,
                apart=self.event_mode or self.interface != CO_SIMULATION,
            )
            self.accesses_in, self.accesses_out = exchange.accesses_in, exchange.accesses_out
            self._last_inputs = self.input_values.copy()
            self._stepper = self._make_stepper(instance)
            if self.interface == CO_SIMULATION and not self.event_mode:
                address = ctypes.cast(instance.function("DoStep"), ctypes.c_void_p).value or 0
                self.native = NativeStep(self.description.version, address, instance.handle)

    def exit_initialization(self) -> None:
        """Leave initialisation mode, handle the first events, and be ready to step.

        Raises:
            GalenicError: the FMU fails to initialise.
        """
        instance, exchange, stepper = self._running()
        with self._initialising():
            instance.need("ExitInitializationMode")
            self._initialized = True
            stepper.begin(self._time)
        if self.native is not None:
            compiled = exchange.compiled_step(self._step_failed, lambda: self._keep_states)
            self.do_step = compiled  # type: ignore[assignment, method-assign]

    def set_inputs(self) -> None:
        """Hand ``input_values`` to the FMU.

        Raises:
            GalenicError: the FMU refuses.
        """
        _, exchange, stepper = self._running()
        try:
            if not self._initialized or self.native is not None:
                exchange.write()
                self._last_inputs[:] = self.input_values
                return
            changed = self.input_values != self._last_inputs
            if not changed.any():
                return
            discrete = any(access.discrete and changed[access.block].any() for access in self.accesses_in)
            self._last_inputs[:] = self.input_values
            stepper.set_inputs(lambda: exchange.write(None if discrete else False), discrete=discrete)
        except FmuFailureError as failure:
            self._fail(failure, self._time)

    def get_outputs(self) -> None:
        """Write the FMU's outputs into ``output_values``.

        Raises:
            GalenicError: the FMU refuses.
        """
        _, exchange, _ = self._running()
        try:
            exchange.read()
        except FmuFailureError as failure:
            self._fail(failure, self._time)

    def advance(self, communication_point: float, step_size: float) -> float | None:
        """Advance from ``communication_point`` by ``step_size`` in s, without setting inputs or getting outputs.

        Returns:
            The time in s where the FMU stopped before the end, its events handled; None if it came to the end.

        Raises:
            FmuEndedError: the FMU asks to end the simulation.
            GalenicError: it reports an error.
        """
        _, _, stepper = self._running()
        t, h = communication_point, step_size
        self._time = t
        try:
            end = stepper.advance(t, h, keep_states=self._keep_states)
        except FmuFailureError as failure:
            self._fail(failure, t)
        except GalenicError as error:
            raise self._of_file(error) from error
        return self._reached(end, t, h)

    def do_step(self, communication_point: float, step_size: float) -> None:
        """Set the inputs, advance, past early returns, and get the outputs.

        Raises:
            GalenicError: the FMU reports an error; names the component, the time and the FMU's last messages.
        """
        self._time = communication_point
        self.set_inputs()
        reached = self.advance(communication_point, step_size)
        self._go_on(reached, communication_point, communication_point + step_size)
        self.get_outputs()

    def fail(self, status: int, what: str, t: float) -> NoReturn:
        """Raise what a native loop that got ``status`` from the FMU in the step from ``t`` in s has to say."""
        instance, _, _ = self._running()
        self._fail(FmuFailureError(instance.label("DoStep") if what == "doStep" else what, status), t)

    def resume(self, reached: float | None, end: float) -> None:
        """Go on where a native loop found a step broken off, to its end in s, and get the outputs.

        Args:
            reached: the time that FMI 3.0's ``doStep`` told; None: ask the FMU, as FMI 2.0 wants it.
            end: the end of the communication step in s.

        Raises:
            GalenicError: the FMU reports an error, asks to end the simulation, or does not come forward.
        """
        instance, _, _ = self._running()
        if reached is None:
            assert isinstance(instance, Fmi2)
            stopped = self._native(lambda: instance.discarded(end))
            self._reached(stopped, stopped.time, 0.0)
            reached = stopped.time
        self._go_on(reached, reached, end)
        self.get_outputs()

    def ended(self, t: float) -> NoReturn:
        """Read the outputs and say that the FMU asked to end the simulation at ``t`` in s. Raises FmuEndedError."""
        self._time = t
        with suppress(GalenicError):
            self.get_outputs()
        error = GalenicError(
            f"component '{self.name}' asked to end the simulation at t = {self._time:.6g} s{self._last_messages()}",
            cure="choose a shorter duration, or other parameters; the results up to here are kept",
        )
        raise FmuEndedError(self._locate(error), self._time)

    def terminate(self) -> None:
        """Terminate and free the instance, unload the library, remove the unpacked files. May be called twice."""
        with suppress(AttributeError):
            del self.do_step  # the compiled step refers to the freed instance
        stepper, self._stepper = self._stepper, None
        if stepper is not None:
            stepper.free()
        instance, self.instance = self.instance, None
        if instance is not None:
            if self._initialized:
                with suppress(Exception):
                    instance.terminate()
            with suppress(Exception):
                instance.free()
        self.native, self._exchange, self._initialized, self._keep_states = None, None, False, False
        self.accesses_in, self.accesses_out = [], []
        library, self._library = self._library, None
        if library is not None:
            library.unload()
        directory, self._directory = self._directory, None
        if directory is not None:
            directory.cleanup()

    # ---- native side -------------------------------------------------------------------------------------------

    def _make_instance(self) -> Instance:
        self._directory = tempfile.TemporaryDirectory(prefix="galenic-", ignore_cleanup_errors=True)
        folder, version = Path(self._directory.name), self.description.version
        member = library_member(self.archive, self.description)
        unpack(self.archive, folder, member)
        self._library = Library(folder / member, version)
        made = Fmi2 if version == 2 else Fmi3
        instance = self.instance = made(self._library, self.description, self.name)
        instance.instantiate(resource_location(folder, version), event_mode=self.event_mode)
        return instance

    def _make_stepper(self, instance: Instance) -> Stepper:
        if self.interface == CO_SIMULATION:
            return CoSimulation(instance, event_mode=self.event_mode)
        return ModelExchange(instance, self._tolerance)

    def _set_known_inputs(self, instance: Instance) -> None:
        first = 0
        for variable in self.input_variables:
            block = slice(first, first + variable.size)
            first += variable.size
            values = self.input_values[block]
            if variable.size and (values.any() or any(port.start is not None for port in self.inputs[block])):
                instance.set_numbers(variable, values)

    def _go_on(self, reached: float | None, t: float, end: float) -> None:
        """After an early return, on to the end of the step from ``t``."""
        count = 0
        while reached is not None and reached < end - TINY * (end - t):
            count += 1
            if count > _MOST_EVENTS:
                self._fail(FmuFailureError(f"more than {_MOST_EVENTS} events in one step"), reached)
            reached = self.advance(reached, end - reached)

    def _reached(self, end: StepEnd, t: float, h: float) -> float | None:
        self._time = end.time
        if end.terminate:
            self.ended(end.time)
        return end.time if end.time < t + h - TINY * h else None

    def _step_failed(self, status: int, what: str, t: float, h: float) -> None:
        """After a native call that did not succeed: go on if the FMU only broke a step off."""
        instance, exchange, _ = self._running()
        self._time = t
        if status == TERMINATED:
            self.ended(exchange.reached)
        if status == STOPPED:
            self._go_on(exchange.reached, t, t + h)
            return
        if what != "DoStep":
            self._fail(FmuFailureError(what, status), t)
        if status != DISCARD or not isinstance(instance, Fmi2):
            self._fail(FmuFailureError(instance.label("DoStep"), status), t)
        end = self._native(lambda: instance.discarded(t + h))
        self._go_on(self._reached(end, t, h), t, t + h)

    def _running(self) -> tuple[Instance, Exchange, Stepper]:
        if self.instance is None or self._exchange is None or self._stepper is None:
            raise GalenicError(f"component '{self.name}' is not initialised", cure="call initialize first")
        return self.instance, self._exchange, self._stepper

    # ---- errors ------------------------------------------------------------------------------------------------

    def _native(self, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except FmuFailureError as failure:
            self._fail(failure, self._time)
        except GalenicError as error:
            raise self._of_file(error) from error

    def _of_file(self, error: GalenicError) -> GalenicError:
        return self._locate(GalenicError(f"{self.archive.file}: {error.message}", cure=error.cure))

    @contextmanager
    def _initialising(self) -> Iterator[None]:
        """What fails within frees the instance, and is told as a failure to initialise."""
        try:
            yield
        except FmuFailureError as failure:
            self._fail_initially(failure)
        except GalenicError as error:
            self.terminate()
            raise self._of_file(error) from error
        except BaseException:
            self.terminate()
            raise

    def _fail_initially(self, failure: FmuFailureError) -> NoReturn:
        cure = "check the component's parameters and start values"
        if self.event_mode:
            cure += "; if it runs with 'event_mode: false', it does not master the Event Mode that it declares"
        error = GalenicError(
            f"component '{self.name}' failed during initialisation ({self._told(failure)}){self._last_messages()}",
            cure=cure,
        )
        self.terminate()
        raise self._locate(error) from failure

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
