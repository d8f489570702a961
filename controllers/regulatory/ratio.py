"""Ratio control: total mass flow and API fraction to the setpoints of the feeders."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
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
from fmus.errors import GalenicError


class FeederConfig(Config):
    """One feeder, keyed by the setpoint that it takes."""

    api_fraction: Quantity = 0.0
    share: float = Field(default=1.0, gt=0.0)
    limits: tuple[Quantity | None, Quantity | None] | None = None
    max_move: Quantity | None = None


class RatioConfig(Config):
    """The section of a scenario file."""

    type: str = "ratio"
    period: Quantity
    total_mass_flow: Quantity
    api_fraction: Quantity
    feeders: dict[str, FeederConfig] = Field(min_length=2)


class RatioController(SampledController):
    r"""Splits a total mass flow M into feeder setpoints so that the blend has the API mass fraction x.

    The feeder whose material is richest in API (fraction a) doses it; the others share the rest in fixed proportions
    p_i (sum 1) and have the mean fraction b = sum p_i a_i. The balances of mass and of API give

        w = (x - b) / (a - b),     m_api = w M,     m_i = p_i (1 - w) M

    with w clamped to [0, 1]. When one feeder hits a limit or its move limit, all are scaled back to what it can do,
    m_j <- s m_j with the s nearest to 1 that every feeder can reach: the ratio, hence the label claim, has precedence
    over the total. Where no such s exists each feeder goes as far as it can.

    Supervisable: while ``track.active`` is 1 the outputs follow ``track.<target>``, and the own law takes over from
    there, within the move limits. A setpoint that is not finite holds the outputs.

    Ports: in ``total_mass_flow`` and ``api_fraction`` where they are signals, ``track.<target>``, ``track.active``;
    out ``<target>`` for each feeder, ``total`` (sum of the outputs, kg/h), ``following`` (1 while supervised),
    ``blocked`` (1: the feeders give less than asked and a limit is why, -1: more) and ``reachable`` (the total): what a
    level loop above it needs, which names it as its ``inner``.

    Args:
        name: the controller's name.
        period: in s.
        wiring: its ports so far.
        total: gives M in kg/h.
        fraction: gives x.
        targets: port of each feeder's setpoint with the signal's name, in kg/h.
        api_fractions: a_i, shape (n,).
        shares: proportions of the feeders, shape (n,); the richest feeder's is not used.
        limits: of each feeder, in kg/h.
        max_moves: of each feeder per period, in kg/h.
    """

    def __init__(
        self,
        name: str,
        period: float,
        wiring: Wiring,
        *,
        total: Source,
        fraction: Source,
        targets: list[Port],
        api_fractions: list[float],
        shares: list[float],
        limits: list[tuple[float, float]],
        max_moves: list[float],
    ) -> None:
        self._track = [wiring.read(Port(f"track.{p.name}", p.unit, 0.0), None) for p in targets]
        self._track_active = wiring.read(Port("track.active", "1", 0.0, description="1: follow"), None)
        for port in targets:
            wiring.write(port, port.name)
        wiring.write(Port("total", "kg/h", sum(p.start or 0.0 for p in targets), description="sum of the setpoints"))
        wiring.write(Port("following", "1", 0.0, description="1: a supervisor drives the feeders"))
        wiring.write(Port("blocked", "1", 0.0, description="1: a higher total has no effect, -1: a lower one"))
        wiring.write(Port("reachable", "kg/h", sum(p.start or 0.0 for p in targets), description="what a loop follows"))
        super().__init__(name, period, wiring)
        self._total, self._fraction = total, fraction
        api = np.array(api_fractions)
        self._rich = int(np.argmax(api))
        rest = np.array(shares, dtype=np.float64)
        rest[self._rich] = 0.0
        self._rest: FloatArray = rest / rest.sum()
        self._poor_fraction = float(self._rest @ api)
        self._rich_fraction = float(api[self._rich])
        self._low: FloatArray = np.array([low for low, _ in limits])
        self._high: FloatArray = np.array([high for _, high in limits])
        self._move: FloatArray = np.array(max_moves)

    @classmethod
    def from_config(cls, name: str, config: Mapping[str, Any], context: ControllerContext) -> Self:
        """Build it from its section, see `RatioConfig`. Raises GalenicError at the key at fault."""
        c = parse_config(RatioConfig, config, context)
        wiring = Wiring()
        total = setpoint_source(c.total_mass_flow, "kg/h", "total_mass_flow", wiring, context, "total_mass_flow")
        fraction = setpoint_source(c.api_fraction, "1", "api_fraction", wiring, context, "api_fraction")
        targets, api_fractions, limits, max_moves = [], [], [], []
        for signal, feeder in c.feeders.items():
            key = ("feeders", signal)
            port = port_of(signal, context, key)
            if port.unit != "kg/h":
                raise context.error(
                    key, f"'{signal}' is in {port.unit}, not in kg/h", "name a feeder's mass flow setpoint"
                )
            bounds = limits_of(feeder.limits, port, context, (*key, "limits"))
            start = clamp(0.0 if port.start is None else port.start, *bounds)
            targets.append(Port(signal, port.unit, start, port.min, port.max, f"drives {signal}"))
            api_fractions.append(_fraction(feeder.api_fraction, context, (*key, "api_fraction")))
            limits.append(bounds)
            max_moves.append(
                math.inf
                if feeder.max_move is None
                else positive(feeder.max_move, port.unit, context, (*key, "max_move"))
            )
        if sorted(api_fractions)[-1] <= sorted(api_fractions)[-2]:
            raise context.error(
                "feeders", "no feeder is richer in API than the others", "give the API feeder its 'api_fraction'"
            )
        return cls(
            name,
            period_of(c.period, context),
            wiring,
            total=total,
            fraction=fraction,
            targets=targets,
            api_fractions=api_fractions,
            shares=[f.share for f in c.feeders.values()],
            limits=limits,
            max_moves=max_moves,
        )

    def do_step(self, communication_point: float, step_size: float) -> None:  # noqa: ARG002 (the contract's signature)
        """One execution at ``communication_point`` (s)."""
        outputs = self.output_values[:-4]
        following, blocked = bool(self.input_values[self._track_active] > 0.5), 0.0
        if following:
            followed = self.input_values[self._track]
            outputs[:] = np.clip(np.where(np.isfinite(followed), followed, outputs), self._low, self._high)
        else:
            total, fraction = self._total(self.input_values), self._fraction(self.input_values)
            if math.isfinite(total) and math.isfinite(fraction):
                outputs[:] = self._reachable(self.split(total, fraction), outputs)
                short = total - float(outputs.sum())
                if abs(short) > 1e-9 * max(1.0, total) and self._at_limit(outputs, short):
                    blocked = math.copysign(1.0, short)
        total = float(outputs.sum())
        self.output_values[-4:] = total, float(following), blocked, total

    def _at_limit(self, outputs: FloatArray, short: float) -> bool:
        """Whether a feeder is at a limit, not only at its move limit, that keeps the total short (negative: above)."""
        edge = self._high if short > 0.0 else self._low
        return bool(np.isclose(outputs, edge, rtol=1e-9, atol=1e-9).any())

    def split(self, total: float, fraction: float) -> FloatArray:
        """Mass flows in kg/h, shape (n,), for a total in kg/h and an API mass fraction."""
        rich = clamp((fraction - self._poor_fraction) / (self._rich_fraction - self._poor_fraction), 0.0, 1.0)
        flows = (1.0 - rich) * self._rest
        flows[self._rich] = rich
        return np.asarray(max(total, 0.0) * flows)

    def _reachable(self, wanted: FloatArray, last: FloatArray) -> FloatArray:
        low = np.clip(last - self._move, self._low, self._high)
        high = np.clip(last + self._move, self._low, self._high)
        used = wanted > 1e-9  # kg/h; a flow of nothing has no ratio to keep
        if used.any():
            smallest = float((low[used] / wanted[used]).max())
            largest = float((high[used] / wanted[used]).min())
            if smallest <= largest:
                wanted = wanted * clamp(1.0, smallest, largest)
        return np.asarray(np.clip(wanted, low, high))


def _fraction(value: Quantity, context: ControllerContext, key: tuple[str, ...]) -> float:
    number: float = quantity(value, "1", context, key)
    if not 0.0 <= number <= 1.0:
        error: GalenicError = context.error(key, f"'{value}' is not a mass fraction", "give a number from 0 to 1")
        raise error
    return number
