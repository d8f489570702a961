"""Feed-forward from measured disturbances: gain, lead-lag, dead time, washout."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
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
    resting_source,
)
from cosim.component import ControllerContext, Port

_Limits = tuple[Quantity | None, Quantity | None]


class FeedForwardSignalConfig(Config):
    """One measured disturbance, keyed by its signal."""

    gain: Quantity
    rest: Quantity | None = None
    lead: Quantity = 0.0
    lag: Quantity = 0.0
    dead_time: Quantity = 0.0
    washout: Quantity | None = None
    limits: _Limits | None = None


class FeedForwardConfig(Config):
    """The section of a scenario file."""

    type: str = "feed_forward"
    period: Quantity
    output: str | None = None
    output_unit: str | None = None
    base: Quantity | None = None
    signals: dict[str, FeedForwardSignalConfig] = Field(min_length=1)
    limits: _Limits | None = None
    max_move: Quantity | None = None


@dataclass(frozen=True)
class Compensation:
    """What one signal adds: K (T_1 s + 1) / (T_2 s + 1) exp(-theta s) [T_w s / (T_w s + 1)] (d - rest).

    Args:
        position: of the signal in ``input_values``.
        gain: K in output per signal.
        rest: d at which it adds nothing; None: the first value seen.
        lead: T_1 in s.
        lag: T_2 in s; zero only together with the lead.
        wait: theta in periods.
        washout: T_w in s; infinite: a lasting change is answered for good.
        limits: of what it adds.
    """

    position: int
    gain: float
    rest: float | None
    lead: float
    lag: float
    wait: int
    washout: float
    limits: tuple[float, float]


class FeedForwardController(SampledController):
    """Adds to a base what measured disturbances ask for.

    Lead-lag and washout are exact for signals that stand still between executions. A signal that is not finite counts
    as unchanged. The output is what a loop takes as its ``feed_forward``, or drives an input by itself.

    While ``track.active`` is 1 the output is ``track.value``; afterwards it is its own law's again, within the moves. A
    loop that takes the output as its base meets no bump by that, as long as it tracks too.

    Ports: in ``base`` where it is a signal or a number, ``<signal>`` for each, ``track.value``, ``track.active``; out
    ``value``.

    Args:
        name: the controller's name.
        period: in s.
        wiring: its ports so far.
        base: gives the base in the output's unit.
        compensations: one for each signal.
        limits: of the output.
        max_move: largest change of the output in a period.
        output: its port.
        target: the signal that it drives, or None.
    """

    remembered = ("_rest", "_seen", "_waiting", "_lagged", "_slow", "_last")

    def __init__(
        self,
        name: str,
        period: float,
        wiring: Wiring,
        *,
        base: Source,
        compensations: Sequence[Compensation],
        limits: tuple[float, float],
        max_move: float,
        output: Port,
        target: str | None,
    ) -> None:
        self._track = wiring.read(Port("track.value", output.unit, 0.0), None)
        self._track_active = wiring.read(Port("track.active", "1", 0.0, description="1: follow"), None)
        wiring.write(output, target)
        super().__init__(name, period, wiring)
        self._base, self._compensations = base, tuple(compensations)
        self._limits, self._max_move = limits, max_move
        self._rest: list[float | None] = [c.rest for c in compensations]
        self._seen: list[float] = [0.0] * len(compensations)  # deviations from rest
        self._waiting: list[list[float]] = [[0.0] * c.wait for c in compensations]
        self._lagged: list[tuple[float, float]] = [(0.0, 0.0)] * len(compensations)  # state, input held since
        self._slow: list[tuple[float, float]] = [(0.0, 0.0)] * len(compensations)
        self._last: float | None = None

    @classmethod
    def from_config(cls, name: str, config: Mapping[str, Any], context: ControllerContext) -> Self:
        """Build it from its section, see `FeedForwardConfig`. Raises GalenicError at the key at fault."""
        c = parse_config(FeedForwardConfig, config, context)
        period = period_of(c.period, context)
        if c.output is not None and c.output_unit is not None:
            raise context.error("output_unit", "'output' has its own unit", "remove 'output_unit'")
        if c.output is None and c.output_unit is None:
            raise context.error((), "the controller drives nothing", "add 'output: component.input', or 'output_unit'")
        target = port_of(c.output, context, "output") if c.output is not None else Port("value", c.output_unit or "1")
        wiring = Wiring()
        base, start = resting_source(c.base, target, "base", wiring, context)
        compensations = [
            _compensation(signal, spec, target.unit, period, wiring, context) for signal, spec in c.signals.items()
        ]
        low, high = limits_of(c.limits, target, context, "limits")
        return cls(
            name,
            period,
            wiring,
            base=base,
            compensations=compensations,
            limits=(low, high),
            max_move=math.inf if c.max_move is None else positive(c.max_move, target.unit, context, "max_move"),
            output=Port(
                "value",
                target.unit,
                clamp(start, low, high),
                target.min,
                target.max,
                f"drives {c.output}" if c.output else "output",
            ),
            target=c.output,
        )

    def do_step(self, communication_point: float, step_size: float) -> None:  # noqa: ARG002 (the contract's signature)
        """One execution at ``communication_point`` (s)."""
        inputs = self.input_values
        for memory in ("_rest", "_seen", "_waiting", "_lagged", "_slow"):  # a state taken before stays what it was
            setattr(self, memory, list(getattr(self, memory)))
        added = [self._added(i, float(inputs[c.position])) for i, c in enumerate(self._compensations)]
        base, track = self._base(inputs), float(inputs[self._track])
        last = float(self.output_values[0]) if self._last is None else self._last
        if inputs[self._track_active] > 0.5 and math.isfinite(track):
            value = clamp(track, *self._limits)
        elif math.isfinite(base):
            move = math.inf if self._last is None else self._max_move
            value = clamp(clamp(base + math.fsum(added), last - move, last + move), *self._limits)
        else:
            value = last
        self.output_values[0] = self._last = value

    def _added(self, i: int, value: float) -> float:
        c = self._compensations[i]
        rest = self._rest[i]
        if rest is None and math.isfinite(value):
            self._rest[i] = rest = value
        if rest is not None and math.isfinite(value):
            self._seen[i] = value - rest
        self._waiting[i] = [*self._waiting[i], self._seen[i]]
        deviation, self._waiting[i] = self._waiting[i][0], self._waiting[i][1:]
        if math.isfinite(c.washout):
            self._slow[i] = slow = self._lag(self._slow[i], c.washout, deviation)
            deviation -= slow[0]
        if c.lag > 0.0:
            self._lagged[i] = lagged = self._lag(self._lagged[i], c.lag, deviation)
            share = c.lead / c.lag
            deviation = share * deviation + (1.0 - share) * lagged[0]
        return clamp(c.gain * deviation, *c.limits)

    def _lag(self, memory: tuple[float, float], time_constant: float, value: float) -> tuple[float, float]:
        """A first-order lag of what was held since the last execution, and what is held from now on."""
        state, held = memory
        return held + (state - held) * math.exp(-self.period / time_constant), value


def _compensation(
    signal: str, spec: FeedForwardSignalConfig, unit: str, period: float, wiring: Wiring, context: ControllerContext
) -> Compensation:
    path = ("signals", signal)
    port = port_of(signal, context, path)
    position = wiring.read(Port(signal, port.unit, port.start, description=f"follows {signal}"), signal)

    def time(value: Quantity, key: str) -> float:
        seconds = quantity(value, "s", context, (*path, key))
        if seconds < 0.0:
            raise context.error((*path, key), f"'{value}' is negative", "give 0 or more")
        return seconds

    lead, lag, dead = time(spec.lead, "lead"), time(spec.lag, "lag"), time(spec.dead_time, "dead_time")
    if lead > 0.0 and lag == 0.0:
        raise context.error(
            (*path, "lead"), "a lead without a lag is no process", "add 'lag:', a fifth of the lead or so"
        )
    wait = round(dead / period)
    if abs(dead - wait * period) > 1e-6 * period:
        raise context.error(
            (*path, "dead_time"), f"{dead:g} s is no multiple of the period {period:g} s", f"write {wait * period:g} s"
        )
    return Compensation(
        position,
        quantity(spec.gain, f"({unit})/({port.unit})", context, (*path, "gain")),
        None if spec.rest is None else quantity(spec.rest, port.unit, context, (*path, "rest")),
        lead,
        lag,
        wait,
        math.inf if spec.washout is None else positive(spec.washout, "s", context, (*path, "washout")),
        limits_of(spec.limits, Port(signal, unit), context, (*path, "limits")),
    )
