"""Split-range PID control: two actuators that push one variable in opposite directions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from pydantic import Field

from controllers.base import (
    Config,
    Quantity,
    SampledController,
    Source,
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


class ActuatorConfig(Config):
    """One of the two actuators."""

    output: str
    gain: Quantity
    integral_time: Quantity
    derivative_time: Quantity = 0.0
    limits: tuple[Quantity | None, Quantity | None] | None = None
    release: float = Field(default=0.0, ge=0.0, lt=1.0)
    actual: str | None = None


class SplitRangeConfig(Config):
    """The section of a scenario file."""

    type: str = "split_range"
    period: Quantity
    measurement: str
    setpoint: Quantity
    switch_at: Quantity
    main: ActuatorConfig
    other: ActuatorConfig


@dataclass
class _Actuator:
    """One side: its law, its output's position in ``output_values``, where its actual value is read."""

    position: int
    gain: float
    integral_time: float
    derivative_time: float
    limits: tuple[float, float]
    release: float
    actual: int | None


class SplitRangeController(SampledController):
    r"""A PID controller in incremental form with two actuators, of which one acts at a time.

    With the error e = setpoint - measurement y, the main actuator acts as long as e is on its side of ``switch_at``
    (for a positive ``switch_at``: e <= switch_at), else the other one::

        u_k = clamp(u_{k-1} + K (e_k - e_{k-1} + h/T_i e_k - T_d/h (y_k - 2 y_{k-1} + y_{k-2})))

    The actuator that does not act keeps the share ``release`` of its last value in each period: 0 shuts it at once.
    Where ``actual`` names what the actuator really does (a stuck valve), u_{k-1} is that, so that it does not wind up.
    A measurement that is not finite holds both.

    Ports: in ``measurement``, ``setpoint``, ``main.actual``, ``other.actual``; out ``main``, ``other``.

    Args:
        name: the controller's name.
        period: h in s.
        wiring: its ports.
        measurement: index of the measurement in ``input_values``.
        setpoint: gives the setpoint in the measurement's unit.
        switch_at: the error at which the other actuator takes over, in the measurement's unit.
        main: the main actuator.
        other: the other one.
    """

    remembered = ("_measured", "_error")

    def __init__(
        self,
        name: str,
        period: float,
        wiring: Wiring,
        *,
        measurement: int,
        setpoint: Source,
        switch_at: float,
        main: _Actuator,
        other: _Actuator,
    ) -> None:
        super().__init__(name, period, wiring)
        self._measurement, self._setpoint, self._switch_at = measurement, setpoint, switch_at
        self._main, self._other = main, other
        self._measured: list[float] = []
        self._error: float | None = None

    @classmethod
    def from_config(cls, name: str, config: Mapping[str, Any], context: ControllerContext) -> Self:
        """Build it from its section, see `SplitRangeConfig`. Raises GalenicError at the key at fault."""
        c = parse_config(SplitRangeConfig, config, context)
        wiring = Wiring()
        sensor = port_of(c.measurement, context, "measurement")
        measurement = wiring.read(Port("measurement", sensor.unit, sensor.start), c.measurement)
        setpoint = setpoint_source(c.setpoint, sensor.unit, "setpoint", wiring, context, "setpoint")
        switch_at = quantity(c.switch_at, sensor.unit, context, "switch_at")
        if switch_at == 0.0:
            raise context.error("switch_at", "its sign says on which side the other acts", "give it one, 0.05 or -0.05")
        sides = [
            _actuator(side, spec, sensor.unit, position, wiring, context)
            for position, (side, spec) in enumerate((("main", c.main), ("other", c.other)))
        ]
        return cls(
            name,
            period_of(c.period, context),
            wiring,
            measurement=measurement,
            setpoint=setpoint,
            switch_at=switch_at,
            main=sides[0],
            other=sides[1],
        )

    def do_step(self, communication_point: float, step_size: float) -> None:  # noqa: ARG002 (the contract's signature)
        """One execution at ``communication_point`` (s)."""
        inputs = self.input_values
        measured = float(inputs[self._measurement])
        error = self._setpoint(inputs) - measured
        if not math.isfinite(error):
            self._measured, self._error = [], None
            return
        self._measured = [measured, *self._measured][:3]
        beyond = error > self._switch_at if self._switch_at > 0.0 else error < self._switch_at
        acting, resting = (self._other, self._main) if beyond else (self._main, self._other)
        increment = acting.gain * self._terms(acting, error)
        self.output_values[acting.position] = clamp(self._last(acting, inputs) + increment, *acting.limits)
        self.output_values[resting.position] = clamp(self._last(resting, inputs) * resting.release, *resting.limits)
        self._error = error

    def _terms(self, actuator: _Actuator, error: float) -> float:
        before = error if self._error is None else self._error
        terms = error - before + self.period / actuator.integral_time * error
        if len(self._measured) == 3:
            now, last, earlier = self._measured
            terms -= actuator.derivative_time / self.period * (now - 2.0 * last + earlier)
        return terms

    def _last(self, actuator: _Actuator, inputs: FloatArray) -> float:
        if actuator.actual is not None:
            actual = float(inputs[actuator.actual])
            if math.isfinite(actual):
                return actual
        return float(self.output_values[actuator.position])


def _actuator(
    side: str, spec: ActuatorConfig, measured: str, position: int, wiring: Wiring, context: ControllerContext
) -> _Actuator:
    port = port_of(spec.output, context, (side, "output"))
    limits = limits_of(spec.limits, port, context, (side, "limits"))
    gain = quantity(spec.gain, f"({port.unit})/({measured})", context, (side, "gain"))
    if gain == 0.0:
        raise context.error((side, "gain"), "a gain of zero does nothing", "give a gain")
    actual = None
    if spec.actual is not None:
        shown = port_of(spec.actual, context, (side, "actual"))
        if shown.unit != port.unit:
            raise context.error((side, "actual"), f"'{spec.actual}' is in {shown.unit}, not in {port.unit}")
        actual = wiring.read(Port(f"{side}.actual", port.unit, shown.start), spec.actual)
    derivative_time = quantity(spec.derivative_time, "s", context, (side, "derivative_time"))
    if derivative_time < 0.0:
        raise context.error((side, "derivative_time"), f"'{spec.derivative_time}' is negative", "give 0 or more")
    start = clamp(0.0 if port.start is None else port.start, *limits)
    wiring.write(Port(side, port.unit, start, port.min, port.max, f"drives {spec.output}"), spec.output)
    return _Actuator(
        position,
        gain,
        positive(spec.integral_time, "s", context, (side, "integral_time")),
        derivative_time,
        limits,
        spec.release,
        actual,
    )
