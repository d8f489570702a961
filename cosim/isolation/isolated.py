"""An FMU in a process of its own, as a component of this one."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from cosim.component import FloatArray
from cosim.fmi.description import Interface, Value
from cosim.fmi.instance import FmuEndedError
from cosim.fmi.variables import FmuVariables
from cosim.fmu_archive import FmuArchive
from cosim.fmu_component import FmuComponent
from cosim.isolation.link import Worker, WorkerLostError, shared_file
from fmus.errors import GalenicError

#: Wall time that a call may take where the scenario says nothing, in s.
TIME_LIMIT = 60.0
_SHOWN_INPUTS = 6


class IsolatedComponent(FmuVariables):
    """Like `FmuComponent`, but what the FMU does to its process it does to another one.

    A step costs one message there and one back, some tens of microseconds, beside the FMU's own.

    Args:
        name: the component's name in the system.
        archive: the checked FMU file.
        values: parameters and start values that differ from the FMU's own.
        locate: turns an error into one with file and line of the component in the scenario.
        interface: which interface to use.
        event_mode: see `FmuComponent`.
        time_limit: wall time in s that a call may take.
    """

    #: Python steps it.
    native: None = None
    #: It handles its events within its steps.
    stops_at_events = False

    def __init__(
        self,
        name: str,
        archive: FmuArchive,
        values: Mapping[str, Value] | None = None,
        locate: Callable[[GalenicError], GalenicError] = lambda error: error,
        *,
        interface: Interface | None = None,
        event_mode: bool = False,
        time_limit: float | None = None,
    ) -> None:
        super().__init__(name, archive, values, locate, interface)
        self._options = {"interface": interface, "event_mode": event_mode}
        self._limit = TIME_LIMIT if time_limit is None else time_limit
        self._worker: Worker | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._shared: Path | None = None
        self._mapped: Any = None
        self.accesses_in: list[Any] = []
        self.accesses_out: list[Any] = []
        self._time = 0.0

    def initialize(self, start_time: float) -> None:
        """`instantiate`, `exit_initialization`, `get_outputs`."""
        self.instantiate(start_time)
        self.exit_initialization()
        self.get_outputs()

    def instantiate(self, start_time: float) -> None:
        """Start the process and let it load the FMU. Raises GalenicError."""
        self.terminate()
        self._time = start_time
        self._folder = tempfile.TemporaryDirectory(prefix="galenic-", ignore_cleanup_errors=True)
        self._shared = shared_file()
        try:
            count = len(self.inputs) + len(self.outputs)
            # one more than needed: an empty file cannot be mapped
            self._mapped = np.memmap(self._shared, dtype=np.float64, mode="w+", shape=(count + 1,))
            try:
                self._worker = Worker(Path(self._folder.name))
            except WorkerLostError as lost:
                self._lost(lost)
            self._call("make", self.name, str(self.archive.file), self.values, self._options, str(self._shared))
            self._write()
            self._call("instantiate", start_time)
        except BaseException:
            self.terminate()
            raise

    def exit_initialization(self) -> None:
        """See `FmuComponent`."""
        self._call("exit_initialization")

    def set_inputs(self) -> None:
        """See `FmuComponent`."""
        self._write()
        self._call("set_inputs")

    def get_outputs(self) -> None:
        """See `FmuComponent`."""
        self._call("get_outputs")
        self._read()

    def do_step(self, communication_point: float, step_size: float) -> None:
        """Set the inputs, advance, get the outputs.

        Raises:
            GalenicError: the FMU reports an error, or its process died or did not answer in time; names the
                component, the time and the inputs.
        """
        self._time = communication_point
        self._write()
        self._call("do_step", communication_point, step_size)
        self._read()

    def fail(self, status: int, what: str, t: float) -> NoReturn:
        """Never called: no native loop steps it."""
        raise AssertionError(f"{what} at {t} with status {status}")

    def resume(self, reached: float | None, end: float) -> None:
        """Never called: no native loop steps it."""
        raise AssertionError(f"from {reached} to {end}")

    def save_state(self) -> Any:
        """See `FmuComponent`; the state stays in the other process."""
        return self._call("save_state")

    def restore_state(self, state: Any) -> None:
        """See `FmuComponent`."""
        self._call("restore_state", state)

    def free_state(self, state: Any) -> None:
        """See `FmuComponent`."""
        if self._worker is not None:
            self._call("free_state", state)

    def serialize_state(self, state: Any) -> bytes:
        """See `FmuComponent`."""
        return bytes(self._call("serialize_state", state))

    def deserialize_state(self, data: bytes) -> Any:
        """See `FmuComponent`."""
        return self._call("deserialize_state", data)

    def derivative(self, outputs: Sequence[int], inputs: Sequence[int], seed: FloatArray) -> FloatArray:
        """See `FmuComponent`."""
        self._write()
        return np.asarray(self._call("derivative", list(outputs), list(inputs), seed))

    def terminate(self) -> None:
        """End the process and remove its files. May be called twice."""
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.close()
        self._mapped = None
        shared, self._shared = self._shared, None
        if shared is not None:
            with suppress(OSError):
                shared.unlink()
        folder, self._folder = self._folder, None
        if folder is not None:
            folder.cleanup()

    # ---- the other process -------------------------------------------------------------------------------------

    def _write(self) -> None:
        self._mapped[: len(self.inputs)] = self.input_values

    def _read(self) -> None:
        first = len(self.inputs)
        self.output_values[:] = self._mapped[first : first + len(self.outputs)]

    def _call(self, what: str, *arguments: Any) -> Any:
        if self._worker is None:
            raise GalenicError(f"component '{self.name}' is not initialised", cure="call initialize first")
        try:
            return self._worker.call(what, *arguments, limit=self._limit)
        except WorkerLostError as lost:
            self._lost(lost)
        except FmuEndedError as ended:
            raise FmuEndedError(self._locate(ended), ended.time) from ended
        except GalenicError as error:
            raise self._locate(error) from error

    def _lost(self, lost: WorkerLostError) -> NoReturn:
        values = zip(self.inputs, self.input_values.tolist(), strict=True)
        shown = [f"{port.name} = {value:.6g} {port.unit}".removesuffix(" 1") for port, value in values]
        more = f" and {len(shown) - _SHOWN_INPUTS} more" if len(shown) > _SHOWN_INPUTS else ""
        inputs = f"; its inputs were {', '.join(shown[:_SHOWN_INPUTS])}{more}" if shown else ""
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.close()
        raise self._locate(
            GalenicError(
                f"component '{self.name}' ({self.archive.file.name}) {lost} at t = {self._time:.6g} s{inputs}",
                cure="the results up to here are kept; look at the FMU with 'galenic check', or give it more "
                "time_limit if it is only slow",
            )
        ) from lost


#: What a system is made of.
PlantComponent = FmuComponent | IsolatedComponent
