"""What every controller shares: its ports and arrays, and reading its section of the scenario file."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from cosim.component import ControllerContext, FloatArray, Port
from fmus.errors import GalenicError, nearest
from fmus.quantity import conversion, parse_quantity

#: A number in the variable's own unit, or a text with a unit such as ``"20 kg/h"``.
Quantity = float | int | str
#: Gives a value from a controller's ``input_values``.
Source = Callable[[FloatArray], float]
_SIGNAL = re.compile(r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$")


class Config(BaseModel):
    """A section of a scenario file; a key that it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


ConfigT = TypeVar("ConfigT", bound=Config)
Key = str | Sequence[str | int]


def parse_config(model: type[ConfigT], config: Mapping[str, Any], context: ControllerContext) -> ConfigT:
    """Validate a controller's section.

    Raises:
        GalenicError: at the key at fault; the cure names the nearest known key where the key is unknown.
    """
    try:
        return model.model_validate(dict(config))
    except ValidationError as error:
        first = error.errors()[0]
        path = _existing(first["loc"], config)
        if first["type"] == "extra_forbidden":
            known = _fields(model, first["loc"][:-1])
            message, cure = f"unknown key '{first['loc'][-1]}'", nearest(str(first["loc"][-1]), known)
        elif first["type"] == "missing":
            message, cure = f"'{first['loc'][-1]}' is missing", f"add '{first['loc'][-1]}:' to this section"
        else:
            where = ".".join(str(part) for part in path)
            message, cure = f"'{where}': {first['msg']}", "correct the value"
        raise context.error(path, message, cure) from error


def _existing(location: Sequence[str | int], config: Any) -> tuple[str | int, ...]:
    """The part of a pydantic location that is a path in the file (without names of union members)."""
    path: list[str | int] = []
    here = config
    for part in location:
        in_mapping = isinstance(here, Mapping) and part in here
        in_list = isinstance(here, list | tuple) and isinstance(part, int) and part < len(here)
        if not in_mapping and not in_list:
            continue
        here = here[part]
        path.append(part)
    return tuple(path)


def _fields(model: type[BaseModel], location: Sequence[str | int]) -> list[str]:
    for part in location:
        name = str(part)
        if name not in model.model_fields:
            continue
        inner = model.model_fields[name].annotation
        for candidate in (inner, *getattr(inner, "__args__", ())):
            if isinstance(candidate, type) and issubclass(candidate, BaseModel):
                model = candidate
    return [f.alias or n for n, f in model.model_fields.items()]


def is_signal(value: Quantity) -> bool:
    """Whether a configured value names a signal (``component.port``) rather than a number."""
    return isinstance(value, str) and _SIGNAL.match(value.strip()) is not None


def quantity(value: Quantity, unit: str, context: ControllerContext, key: Key) -> float:
    """A configured number in ``unit``.

    Raises:
        GalenicError: not a finite number, or of another dimension; with the line of ``key``.
    """
    try:
        number = parse_quantity(value, unit)
    except GalenicError as error:
        raise context.error(key, error.message, error.cure) from error
    if not math.isfinite(number):
        raise context.error(key, f"'{value}' is not finite", "give a finite number")
    return number


def positive(value: Quantity, unit: str, context: ControllerContext, key: Key) -> float:
    """A configured number in ``unit`` that has to be greater than zero. Raises like `quantity`."""
    number = quantity(value, unit, context, key)
    if number <= 0.0:
        raise context.error(key, f"'{value}' has to be greater than zero", "give a positive number")
    return number


def period_of(value: Quantity, context: ControllerContext) -> float:
    """A controller's period in s, a multiple of the communication step.

    Raises:
        GalenicError: not positive, or no multiple.
    """
    period = positive(value, "s", context, "period")
    steps = period / context.step_size
    if round(steps) < 1 or abs(steps - round(steps)) > 1e-9 * max(1.0, steps):
        raise context.error(
            "period",
            f"the period {period:g} s is not a multiple of the communication step {context.step_size:g} s",
            f"write for example 'period: {max(1, round(steps)) * context.step_size:g} s'",
        )
    return period


def port_of(signal: str, context: ControllerContext, key: Key) -> Port:
    """The port of a signal; an unknown one is an error at the line of ``key``."""
    try:
        return context.port(signal)
    except GalenicError as error:
        raise context.error(key, error.message, error.cure) from error


def limits_of(
    limits: Sequence[Quantity | None] | None, port: Port, context: ControllerContext, key: Key
) -> tuple[float, float]:
    """Lower and upper limit of a target: configured, and never wider than the port's own.

    Raises:
        GalenicError: the lower limit is not below the upper one.
    """
    low = -math.inf if port.min is None else port.min
    high = math.inf if port.max is None else port.max
    if limits is not None:
        path = (key,) if isinstance(key, str) else tuple(key)
        if limits[0] is not None:
            low = max(low, quantity(limits[0], port.unit, context, (*path, 0)))
        if limits[1] is not None:
            high = min(high, quantity(limits[1], port.unit, context, (*path, 1)))
    if low >= high:
        raise context.error(
            key,
            f"the limits of '{port.name}' leave nothing: {low:g} to {high:g} {port.unit}",
            "the lower limit has to be below the upper one, and both inside the variable's own bounds",
        )
    return low, high


def unit_factor(source: str, target: str) -> tuple[float, float]:
    """`fmus.quantity.conversion`, reading an empty unit as dimensionless."""
    return conversion(source or "1", target or "1")


def unit_factor_at(source: str, target: str, context: ControllerContext, key: Key) -> tuple[float, float]:
    """The same; an error is at ``key``."""
    try:
        return unit_factor(source, target)
    except GalenicError as error:
        raise context.error(key, error.message, error.cure) from error


@dataclass
class Wiring:
    """Collects a controller's ports together with the signals on their other side."""

    inputs: list[Port] = field(default_factory=list)
    reads: list[str | None] = field(default_factory=list)
    outputs: list[Port] = field(default_factory=list)
    writes: list[str | None] = field(default_factory=list)

    def read(self, port: Port, signal: str | None) -> int:
        """Add an input port; returns its index in ``input_values``."""
        self.inputs.append(port)
        self.reads.append(signal)
        return len(self.inputs) - 1

    def write(self, port: Port, signal: str | None = None) -> int:
        """Add an output port; returns its index in ``output_values``."""
        self.outputs.append(port)
        self.writes.append(signal)
        return len(self.outputs) - 1


class SampledController:
    """Ports, arrays and wiring of a controller; `do_step` is the subclass's, and so is what it remembers.

    Args:
        name: the controller's name in the scenario.
        period: time between executions in s.
        wiring: its ports.
        supervises: names of the controllers whose targets it takes over.
    """

    #: Names of the attributes that change while it runs: numbers, arrays, lists.
    remembered: ClassVar[tuple[str, ...]] = ()

    def __init__(self, name: str, period: float, wiring: Wiring, supervises: Sequence[str] = ()) -> None:
        self.name = name
        self.period = period
        self.inputs: Sequence[Port] = tuple(wiring.inputs)
        self.outputs: Sequence[Port] = tuple(wiring.outputs)
        self.reads: Sequence[str | None] = tuple(wiring.reads)
        self.writes: Sequence[str | None] = tuple(wiring.writes)
        self.supervises: Sequence[str] = tuple(supervises)
        self.input_values: FloatArray = np.array([_start(p) for p in self.inputs], dtype=np.float64)
        self.output_values: FloatArray = np.array([_start(p) for p in self.outputs], dtype=np.float64)

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps of it: its values, and the attributes in ``remembered``."""
        kept = {name: getattr(self, name) for name in self.remembered}
        return {**kept, "input_values": self.input_values.copy(), "output_values": self.output_values.copy()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` gave."""
        self.input_values[:], self.output_values[:] = state["input_values"], state["output_values"]
        for name in self.remembered:
            setattr(self, name, state[name])


def _start(port: Port) -> float:
    return 0.0 if port.start is None else port.start


def clamp(value: float, low: float, high: float) -> float:
    """``value`` inside ``[low, high]``."""
    return min(max(value, low), high)


def setpoint_source(
    value: Quantity, unit: str, name: str, wiring: Wiring, context: ControllerContext, key: Key
) -> Source:
    """An input port for a setpoint: it starts at a number with a unit, or follows another controller's output.

    A number makes a port that nothing drives, so that a scenario can change it on the way (a step on
    ``controller.setpoint``).

    Returns:
        a function of ``input_values`` that gives the setpoint in ``unit``.

    Raises:
        GalenicError: neither a quantity of this dimension nor a signal.
    """
    if isinstance(value, str) and is_signal(value):
        source = port_of(value, context, key)
        try:
            factor, offset = unit_factor(source.unit, unit)
        except GalenicError as error:
            raise context.error(key, f"'{value}': {error.message}", error.cure) from error
        index = wiring.read(Port(name, source.unit, source.start, description=f"follows {value}"), value)
        return lambda inputs: float(factor * inputs[index] + offset)
    index = wiring.read(Port(name, unit, quantity(value, unit, context, key)), None)
    return lambda inputs: float(inputs[index])


def resting_source(
    value: Quantity | None, target: Port, name: str, wiring: Wiring, context: ControllerContext
) -> tuple[Source, float]:
    """What a controller adds its share to: a configured value or signal, else where its target starts.

    Args:
        value: under the key ``name``, or None.
        target: what it drives.
        name: of the key and of the port.
        wiring: gets the port.
        context: of the controller.

    Returns:
        a source in the target's unit, and the controller's first output before its limits: the target's start, else
        the source's, else 0.

    Raises:
        GalenicError: like `setpoint_source`.
    """
    if value is None:
        start = _start(target)
        return lambda _: start, start
    source = setpoint_source(value, target.unit, name, wiring, context, name)
    return source, _start(wiring.inputs[-1] if target.start is None else target)
