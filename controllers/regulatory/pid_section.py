"""The section of a PID controller, read into the numbers of its law and what it reads and drives."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from controllers.base import (
    Config,
    Quantity,
    Source,
    Wiring,
    clamp,
    limits_of,
    parse_config,
    period_of,
    port_of,
    positive,
    quantity,
    resting_source,
    setpoint_source,
)
from cosim.component import ControllerContext, Port


class TrackConfig(Config):
    """Follow a value while another signal is above one half: what a cascade's outer loop needs."""

    value: str
    active: str


class PIDConfig(Config):
    """The section of a scenario file; quantities are numbers in the variable's unit, or texts with a unit."""

    type: str = "pid"
    period: Quantity
    measurement: str
    setpoint: Quantity
    output: str | None = None
    output_unit: str | None = None
    gain: Quantity
    integral_time: Quantity | None = None
    derivative_time: Quantity | None = None
    derivative_filter: float = Field(default=8.0, ge=1.0, le=100.0)
    setpoint_weight: float = Field(default=1.0, ge=0.0, le=1.0)
    anti_windup: Literal["back_calculation", "clamping"] = "back_calculation"
    tracking_time: Quantity | None = None
    actual: str | None = None
    feed_forward: Quantity | None = None
    limits: tuple[Quantity | None, Quantity | None] | None = None
    max_move: Quantity | None = None
    sample: str | None = None
    track: TrackConfig | None = None
    inner: str | None = None


@dataclass(frozen=True)
class PIDLaw:
    """The numbers of the law, in the units of output and measurement, times in s.

    Args:
        gain: K in output unit per measurement unit.
        integral_time: T_i, or None.
        derivative_time: T_d; 0 is none.
        derivative_filter: N; the derivative's time constant is T_d / N.
        setpoint_weight: b.
        clamping: conditional integration instead of back-calculation.
        tracking_time: T_t, or None for T_i.
        limits: of the output.
        max_move: largest change of the output in a period.
    """

    gain: float
    integral_time: float | None = None
    derivative_time: float = 0.0
    derivative_filter: float = 8.0
    setpoint_weight: float = 1.0
    clamping: bool = False
    tracking_time: float | None = None
    limits: tuple[float, float] = (-math.inf, math.inf)
    max_move: float = math.inf


@dataclass(frozen=True)
class PIDSources:
    """Where a controller finds what it reads: indices into ``input_values``, None where there is none."""

    measurement: int
    setpoint: Source
    base: Source
    sample: int | None = None
    actual: int | None = None
    track: TrackConfig | None = None
    inner: str | None = None


@dataclass(frozen=True)
class PIDSetup:
    """What a PID controller is made of.

    Args:
        period: in s.
        wiring: its ports so far (measurement, and what setpoint, base and actual value follow).
        law: its numbers.
        sources: where it finds what it reads.
        output: the output's port; its ``start`` is the first value.
        target: the signal that it drives, or None.
        setpoint_unit: for the recorded setpoint.
    """

    period: float
    wiring: Wiring
    law: PIDLaw
    sources: PIDSources
    output: Port
    target: str | None
    setpoint_unit: str


def read_section(config: Mapping[str, Any], context: ControllerContext) -> PIDSetup:
    """Read a section, see `PIDConfig`. Raises GalenicError at the key at fault."""
    c = parse_config(PIDConfig, config, context)
    period = period_of(c.period, context)
    wiring = Wiring()
    sensor = port_of(c.measurement, context, "measurement")
    measurement = wiring.read(Port("measurement", sensor.unit, sensor.start), c.measurement)
    sample = None
    if c.sample is not None:
        port_of(c.sample, context, "sample")
        sample = wiring.read(Port("sample", "1", 0.0, description="counter of the sensor"), c.sample)
    setpoint = setpoint_source(c.setpoint, sensor.unit, "setpoint", wiring, context, "setpoint")
    target = _target(c, context)
    base, start = resting_source(c.feed_forward, target, "feed_forward", wiring, context)
    actual = None
    if c.actual is not None:
        shown = port_of(c.actual, context, "actual")
        if c.integral_time is None:
            raise context.error("actual", "without 'integral_time' nothing winds up", "remove it")
        actual = wiring.read(Port("actual", target.unit, shown.start), c.actual)
    if c.track is not None and c.inner is not None:
        raise context.error("track", "'inner' says already what to follow", "give one of 'track' and 'inner'")
    law = _law(c, target, sensor.unit, context)
    low, high = law.limits
    return PIDSetup(
        period,
        wiring,
        law,
        PIDSources(measurement, setpoint, base, sample, actual, c.track, c.inner),
        output=Port(
            "value",
            target.unit,
            clamp(start, low, high),
            None if math.isinf(low) else low,
            None if math.isinf(high) else high,
            f"drives {c.output}" if c.output else "output",
        ),
        target=c.output,
        setpoint_unit=sensor.unit,
    )


def _target(c: PIDConfig, context: ControllerContext) -> Port:
    if c.output is not None:
        if c.output_unit is not None:
            raise context.error("output_unit", "'output' has its own unit", "remove 'output_unit'")
        return port_of(c.output, context, "output")
    if c.output_unit is None:
        raise context.error((), "the controller drives nothing", "add 'output: component.input'")
    return Port("value", c.output_unit)


def _law(c: PIDConfig, target: Port, measured: str, context: ControllerContext) -> PIDLaw:
    unit = target.unit
    gain = quantity(c.gain, f"({unit})/({measured})", context, "gain")
    if gain == 0.0:
        raise context.error("gain", "a gain of zero does nothing", "give a gain, or remove the controller")
    if c.type == "pi" and c.derivative_time is not None:
        raise context.error("derivative_time", "a PI controller has no derivative", "write 'type: pid'")
    if c.setpoint_weight != 1.0 and c.integral_time is None:
        raise context.error("setpoint_weight", "without 'integral_time' a weight is an offset", "remove it")
    if c.anti_windup == "clamping" and c.tracking_time is not None and c.actual is None:
        raise context.error("tracking_time", "clamping has no tracking time", "remove it, or 'anti_windup'")

    def time(value: Quantity | None, key: str) -> float | None:
        return None if value is None else positive(value, "s", context, key)

    return PIDLaw(
        gain,
        time(c.integral_time, "integral_time"),
        time(c.derivative_time, "derivative_time") or 0.0,
        c.derivative_filter,
        c.setpoint_weight,
        c.anti_windup == "clamping",
        time(c.tracking_time, "tracking_time"),
        limits_of(c.limits, Port(c.output or "value", unit, None, target.min, target.max), context, "limits"),
        math.inf if c.max_move is None else positive(c.max_move, unit, context, "max_move"),
    )
