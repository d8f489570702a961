"""Proportional-integral control with anti-windup."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Self

from controllers.base import (
    Config,
    Quantity,
    SampledController,
    Wiring,
    clamp,
    limits_of,
    parse_config,
    period_of,
    port_of,
    positive,
    quantity,
    setpoint_source,
)
from cosim.component import ControllerContext, FloatArray, Port

_Value = Callable[[FloatArray], float]


class TrackConfig(Config):
    """Follow a value while another signal is above one half: what a cascade's outer loop needs."""

    value: str
    active: str


class PIConfig(Config):
    """The section of a scenario file; quantities are numbers in the variable's unit, or texts with a unit."""

    type: str = "pi"
    period: Quantity
    measurement: str
    setpoint: Quantity
    output: str | None = None
    output_unit: str | None = None
    gain: Quantity
    integral_time: Quantity | None = None
    tracking_time: Quantity | None = None
    feed_forward: Quantity | None = None
    limits: tuple[Quantity | None, Quantity | None] | None = None
    max_move: Quantity | None = None
    sample: str | None = None
    track: TrackConfig | None = None


class PIController(SampledController):
    r"""A PI controller in positional form with back-calculation.

    With the error e = setpoint - measurement, the base f (feed-forward) and the time h since the controller last acted,

        I_k = I_{k-1} + K h / T_i e_k
        v_k = f_k + K e_k + I_k                     (what the law asks for)
        u_k = clamp(v_k; limits; u_{k-1} +- max_move)     (what can be had)
        I_k = I_k + min(1, h / T_t) (u_k - v_k)     (anti-windup: back-calculation)

    The sign of the gain K = du/de makes it reverse or direct acting. T_t = h freezes the integral at a limit exactly
    (conditional clamping), a longer T_t lets it leave the limit later; the default is T_i. Without ``integral_time``
    the law is proportional around the base: no windup, a steady offset e = (u - f) / K.

    A value of a sensor counts once: where the sensor's ``sample`` counter stands still, the output holds, and h is the
    time since the last fresh value. A measurement or setpoint that is not finite holds the output too.

    While ``track.active`` is 1, a supervisor drives the target with w = ``track.value``; the output is w and the
    integral is set back to I = w - f - K e, so that the first own step after the take-over is u = w + K h / T_i e.

    Ports: in ``measurement``, ``sample``, ``setpoint``, ``feed_forward`` (the last three where they are signals),
    ``track.value``, ``track.active``; out ``value`` and ``setpoint_in_force``.

    Args:
        name: the controller's name.
        period: in s.
        wiring: its ports so far (measurement and what setpoint and base follow).
        measurement: index of the measurement in ``input_values``.
        sample: index of the sensor's counter, or None: every value counts as fresh.
        setpoint: gives the setpoint in the measurement's unit.
        base: gives the feed-forward base in the output's unit.
        gain: K in output unit per measurement unit.
        integral_time: T_i in s, or None.
        tracking_time: T_t in s, or None for T_i.
        limits: of the output, in its unit.
        max_move: largest change per period in the output's unit.
        output: the output's port; its ``start`` is the first value.
        target: the signal that it drives, or None.
        setpoint_unit: for the recorded setpoint.
        track: signals of value and active to follow where no supervisor is connected.
    """

    remembered = ("_integral", "_seen", "_acted", "_last")

    def __init__(
        self,
        name: str,
        period: float,
        wiring: Wiring,
        *,
        measurement: int,
        sample: int | None,
        setpoint: _Value,
        base: _Value,
        gain: float,
        integral_time: float | None,
        tracking_time: float | None,
        limits: tuple[float, float],
        max_move: float,
        output: Port,
        target: str | None,
        setpoint_unit: str,
        track: TrackConfig | None = None,
    ) -> None:
        self._track_value = wiring.read(
            Port("track.value", output.unit, 0.0, description="what drives the target instead"),
            track.value if track else None,
        )
        self._track_active = wiring.read(
            Port("track.active", "1", 0.0, description="1: follow"), track.active if track else None
        )
        wiring.write(output, target)
        wiring.write(Port("setpoint_in_force", setpoint_unit, 0.0, description="setpoint as used"))
        super().__init__(name, period, wiring)
        self._measurement, self._sample = measurement, sample
        self._setpoint, self._base = setpoint, base
        self._gain, self._integral_time = gain, integral_time
        self._tracking_time = integral_time if tracking_time is None else tracking_time
        self._limits, self._max_move = limits, max_move
        self._integral: float | None = None
        self._seen = 0.0
        self._acted: float | None = None
        self._last = float(self.output_values[0])

    @classmethod
    def from_config(cls, name: str, config: Mapping[str, Any], context: ControllerContext) -> Self:
        """Build it from its section, see `PIConfig`. Raises GalenicError at the key at fault."""
        c = parse_config(PIConfig, config, context)
        period = period_of(c.period, context)
        wiring = Wiring()
        sensor = port_of(c.measurement, context, "measurement")
        measurement = wiring.read(Port("measurement", sensor.unit, sensor.start), c.measurement)
        sample = None
        if c.sample is not None:
            port_of(c.sample, context, "sample")
            sample = wiring.read(Port("sample", "1", 0.0, description="counter of the sensor"), c.sample)
        setpoint = setpoint_source(c.setpoint, sensor.unit, "setpoint", wiring, context, "setpoint")
        if c.output is not None:
            if c.output_unit is not None:
                raise context.error("output_unit", "'output' has its own unit", "remove 'output_unit'")
            target = port_of(c.output, context, "output")
        elif c.output_unit is not None:
            target = Port("value", c.output_unit)
        else:
            raise context.error((), "the controller drives nothing", "add 'output: component.input'")
        unit = target.unit
        gain = quantity(c.gain, f"({unit})/({sensor.unit})", context, "gain")
        if gain == 0.0:
            raise context.error("gain", "a gain of zero does nothing", "give a gain, or remove the controller")
        start = target.start
        base: _Value
        if c.feed_forward is None:
            resting = 0.0 if start is None else start
            base = partial(_constant, resting)
        else:
            base = setpoint_source(c.feed_forward, unit, "feed_forward", wiring, context, "feed_forward")
            if start is None:
                start = wiring.inputs[-1].start
        limits = limits_of(c.limits, Port(c.output or "value", unit, start, target.min, target.max), context, "limits")
        first = clamp(0.0 if start is None else start, *limits)
        return cls(
            name,
            period,
            wiring,
            measurement=measurement,
            sample=sample,
            setpoint=setpoint,
            base=base,
            gain=gain,
            integral_time=None if c.integral_time is None else positive(c.integral_time, "s", context, "integral_time"),
            tracking_time=None if c.tracking_time is None else positive(c.tracking_time, "s", context, "tracking_time"),
            limits=limits,
            max_move=math.inf if c.max_move is None else positive(c.max_move, unit, context, "max_move"),
            output=Port(
                "value",
                unit,
                first,
                None if math.isinf(limits[0]) else limits[0],
                None if math.isinf(limits[1]) else limits[1],
                f"drives {c.output}" if c.output else "output",
            ),
            target=c.output,
            setpoint_unit=sensor.unit,
            track=c.track,
        )

    def do_step(self, communication_point: float, step_size: float) -> None:  # noqa: ARG002 (the contract's signature)
        """One execution at ``communication_point`` (s)."""
        inputs, outputs = self.input_values, self.output_values
        setpoint = self._setpoint(inputs)
        outputs[1] = setpoint
        error = setpoint - float(inputs[self._measurement])
        base = self._base(inputs)
        usable = math.isfinite(error) and math.isfinite(base)
        track = float(inputs[self._track_value])
        if inputs[self._track_active] > 0.5 and math.isfinite(track):
            self._last = clamp(track, *self._limits)
            if usable:
                self._integral = self._last - base - self._gain * error if self._integral_time else 0.0
            self._acted = communication_point
            outputs[0] = self._last
            return
        outputs[0] = self._last
        if not usable:
            self._acted = communication_point  # an outage is not integrated over
            return
        if not self._fresh(inputs):
            return
        elapsed = self.period if self._acted is None else communication_point - self._acted
        outputs[0] = self._last = self._act(error, base, elapsed)
        self._acted = communication_point

    def _fresh(self, inputs: FloatArray) -> bool:
        if self._sample is None:
            return True
        count = float(inputs[self._sample])
        fresh, self._seen = count != self._seen, count
        return fresh

    def _act(self, error: float, base: float, elapsed: float) -> float:
        gain, integral_time = self._gain, self._integral_time
        if self._integral is None:  # first action: no proportional kick from the value that stands
            self._integral = self._last - base - gain * error if integral_time else 0.0
        if integral_time:
            self._integral += gain * elapsed / integral_time * error
        asked = base + gain * error + self._integral
        moved = clamp(asked, self._last - self._max_move, self._last + self._max_move)
        output = clamp(moved, *self._limits)
        if integral_time and self._tracking_time:
            self._integral += min(1.0, elapsed / self._tracking_time) * (output - asked)
        return output


def _constant(value: float, _: FloatArray) -> float:
    return value
