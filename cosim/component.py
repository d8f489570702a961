"""The contract of everything that the master executes.

A `Component` owns physical time: it is stepped over every communication step (an FMU). A `SampledComponent` is
executed at the instants ``t = k * period``, before the components step from ``t``, and its outputs hold in between
(a sensor, a disturbance, a controller). A `Controller` is a sampled component that also says which signals it reads
and which inputs it drives, so that a scenario file does not have to.

A signal is named ``component.port``, for example ``press.main_compression_force``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, Self, runtime_checkable

import numpy as np
import numpy.typing as npt

from fmus.errors import GalenicError

FloatArray = npt.NDArray[np.float64]
Kind = Literal["real", "integer", "boolean"]
#: A path of keys in a scenario file, such as ``("controllers", "mpc", "weights", 0)``.
KeyPath = tuple[str | int, ...]


@dataclass(frozen=True)
class Port:
    """An input or output variable of a component.

    Args:
        name: the variable's name within its component; may contain dots (``outlet.mass_flow``).
        unit: the unit in which the component reads or writes it; dimensionless is ``"1"``.
        start: the value before anything else is known; an unconnected input keeps it.
        min: lower bound, or None.
        max: upper bound, or None.
        description: one line for people.
        kind: how an FMU declares it; values are float64 in every case.
    """

    name: str
    unit: str = "1"
    start: float | None = None
    min: float | None = None
    max: float | None = None
    description: str = ""
    kind: Kind = "real"


class Ported(Protocol):
    """What can be connected."""

    @property
    def name(self) -> str:
        """Its name in the system."""

    @property
    def inputs(self) -> Sequence[Port]:
        """What it reads."""

    @property
    def outputs(self) -> Sequence[Port]:
        """What it writes."""


@runtime_checkable
class Component(Ported, Protocol):
    """What is stepped over every communication step.

    ``input_values`` has shape (len(inputs),) and ``output_values`` (len(outputs),), each value in its port's unit.
    `bind` replaces both by views into the system's signal vector, so that nothing has to be copied in the loop.
    """

    @property
    def input_values(self) -> FloatArray:
        """Shape (len(inputs),)."""

    @property
    def output_values(self) -> FloatArray:
        """Shape (len(outputs),)."""

    def bind(self, input_values: FloatArray, output_values: FloatArray) -> None:
        """Work on these contiguous arrays from now on. Called once, before `initialize`."""

    def initialize(self, start_time: float) -> None:
        """Apply parameters and ``input_values``, initialise at ``start_time`` in s and write ``output_values``."""

    def do_step(self, communication_point: float, step_size: float) -> None:
        """Read ``input_values``, advance from ``communication_point`` by ``step_size`` (s), write ``output_values``."""

    def terminate(self) -> None:
        """Free everything. May be called twice."""


@runtime_checkable
class SampledComponent(Ported, Protocol):
    """What is executed every ``period`` seconds; its outputs hold until the next execution."""

    @property
    def input_values(self) -> FloatArray:
        """Shape (len(inputs),); written in place before each `do_step`."""

    @property
    def output_values(self) -> FloatArray:
        """Shape (len(outputs),); read after each `do_step`. What it holds when it is built is the initial value."""

    @property
    def period(self) -> float:
        """Time between executions in s, a multiple of the communication step."""

    def do_step(self, communication_point: float, step_size: float) -> None:
        """Read ``input_values`` at ``communication_point`` (s), write ``output_values`` for the next ``step_size``."""


@runtime_checkable
class KeepsRecord(Protocol):
    """A sampled component that keeps a record of its own beside the run's signals."""

    def open_record(self, folder: Path) -> None:
        """Begin a record in this folder, which may not exist; after a checkpoint's `restore`, go on from there."""

    def close_record(self) -> None:
        """Nothing follows. May be called twice."""


@dataclass(frozen=True)
class Measurement:
    """What a controller may know of a sensor: all in s, `noise` as standard deviation in the sensor's unit."""

    measures: str
    period: float
    delay: float
    noise: float


#: Times in s, rising, and the values from these times on, in the signal's unit.
Schedule = tuple[Sequence[float], Sequence[float]]


@runtime_checkable
class Scheduled(Protocol):
    """A controller that knows its outputs in advance, whatever happens."""

    def schedule(self, output: str) -> Schedule | None:
        """When an output will be what; None where that is not known."""


@dataclass(frozen=True)
class ControllerContext:
    """What a controller is told when it is built.

    Args:
        scenario_name: the scenario's name, for messages and artefacts.
        directory: the scenario file's folder, against which files in the configuration are resolved.
        step_size: the communication step in s; a controller's period is a multiple of it.
        seed: the run's seed; combine it with the controller's name (`cosim.disturbances.generator`).
        find_port: behind `port`.
        find_error: behind `error`.
        measurements: sensors by the name of their value signal (``force_sensor.value``).
        find_schedule: behind `schedule`.
    """

    scenario_name: str
    directory: Path
    step_size: float
    seed: int
    find_port: Callable[[str], Port]
    find_error: Callable[[KeyPath, str, str], GalenicError]
    measurements: Mapping[str, Measurement] = field(default_factory=dict)
    find_schedule: Callable[[str], Schedule | None] = lambda _signal: None

    def schedule(self, signal: str) -> Schedule | None:
        """What a signal of an earlier controller will be, or None where nobody knows in advance."""
        return self.find_schedule(signal)

    def port(self, signal: str) -> Port:
        """The port behind ``component.port`` of any FMU, sensor or earlier controller.

        Raises:
            GalenicError: there is no such signal; the cure names the nearest ones.
        """
        return self.find_port(signal)

    def error(self, key: str | Sequence[str | int], message: str, cure: str = "") -> GalenicError:
        """An error that points at a key of this controller's configuration.

        Args:
            key: a key such as ``"period"``, or a path such as ``("limits", "hardness", 0)``; ``()`` is the controller.
            message: what is wrong.
            cure: what to do about it.
        """
        path: KeyPath = (key,) if isinstance(key, str) else tuple(key)
        return self.find_error(path, message, cure)


@runtime_checkable
class Controller(SampledComponent, Protocol):
    """A sampled component with its own wiring.

    A controller that can be supervised has, for each output ``o``, an input port ``track.<o>`` and one ``track.active``
    (both read None, start 0). While ``track.active`` is 1, the supervisor drives the target with ``track.<o>``, and the
    controller follows it so that taking over again is bumpless. A supervisor has an output port ``active`` and, for
    each target ``t`` that it takes over, an input port ``fallback.<t>`` with what the supervised controller would do.
    """

    @property
    def reads(self) -> Sequence[str | None]:
        """For each input port the signal that feeds it, or None."""

    @property
    def writes(self) -> Sequence[str | None]:
        """For each output port the input that it drives (``press.fill_depth_setpoint``), or None: only recorded."""

    @property
    def supervises(self) -> Sequence[str]:
        """Names of the controllers whose targets it takes over."""

    @classmethod
    def from_config(cls, name: str, config: Mapping[str, Any], context: ControllerContext) -> Self:
        """Build the controller from its section of the scenario file.

        Raises:
            GalenicError: from ``context.error``, with the file and line of the key at fault.
        """
