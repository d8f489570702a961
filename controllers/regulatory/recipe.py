"""A recipe: setpoints and feeds that change at given times."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any, Self

from pydantic import Field

from controllers.base import (
    Config,
    Quantity,
    SampledController,
    Wiring,
    is_signal,
    parse_config,
    period_of,
    port_of,
    quantity,
)
from cosim.component import ControllerContext, Port, Schedule


class RecipeConfig(Config):
    """The section of a scenario file; a profile is a list of ``[time, value]``."""

    type: str = "recipe"
    period: Quantity
    profiles: dict[str, list[tuple[Quantity, Quantity]]] = Field(min_length=1)
    units: dict[str, str] = Field(default_factory=dict)


class RecipeController(SampledController):
    """Plays profiles: each value holds from its time until the next one's (sequential batch control).

    A profile is named by the input that it drives, or by a name of its own, whose signal ``<recipe>.<name>`` others
    follow, such as a loop that is to begin later: ``track: {value: recipe.feed, active: recipe.feed_by_recipe}``. The
    output changes at the first execution at or after the time given.

    Supervisable: it plays on whoever drives its targets meanwhile (``track.<target>``, ``track.active``), so it is what
    a supervisor falls back to.

    Args:
        name: the controller's name.
        period: in s.
        wiring: its ports.
        profiles: for each output its times in s, rising and the first at 0, and its values in the port's unit.
    """

    def __init__(
        self, name: str, period: float, wiring: Wiring, profiles: Sequence[tuple[Sequence[float], Sequence[float]]]
    ) -> None:
        super().__init__(name, period, wiring)
        self._profiles = tuple(profiles)

    @classmethod
    def from_config(cls, name: str, config: Mapping[str, Any], context: ControllerContext) -> Self:
        """Build it from its section, see `RecipeConfig`. Raises GalenicError at the key at fault."""
        c = parse_config(RecipeConfig, config, context)
        wiring, profiles = Wiring(), []
        for target, points in c.profiles.items():
            key = ("profiles", target)
            driven = is_signal(target)
            if driven and target in c.units:
                raise context.error(("units", target), f"'{target}' has its own unit", "remove it from 'units'")
            port = port_of(target, context, key) if driven else Port(target, c.units.get(target, "1"))
            times, values = _profile(points, port, context, key)
            wiring.write(
                Port(target, port.unit, values[0], port.min, port.max, f"drives {target}" if driven else "profile"),
                target if driven else None,
            )
            profiles.append((times, values))
        driven_targets = [port for port, target in zip(wiring.outputs, wiring.writes, strict=True) if target]
        for port in driven_targets:
            wiring.read(Port(f"track.{port.name}", port.unit, 0.0), None)
        if driven_targets:
            wiring.read(Port("track.active", "1", 0.0, description="1: another drives the targets"), None)
        for target in c.units:
            if target not in c.profiles:
                raise context.error(("units", target), f"there is no profile '{target}'", "add it to 'profiles'")
        return cls(name, period_of(c.period, context), wiring, profiles)

    def schedule(self, output: str) -> Schedule | None:
        """When a profile will be what, see `cosim.component.Scheduled`."""
        names = [port.name for port in self.outputs]
        return self._profiles[names.index(output)] if output in names else None

    def do_step(self, communication_point: float, step_size: float) -> None:  # noqa: ARG002 (the contract's signature)
        """One execution at ``communication_point`` (s)."""
        # t = k h is rounded, and a value must not change one period late
        now = communication_point + 1e-9 * max(communication_point, 1.0)
        for i, (times, values) in enumerate(self._profiles):
            self.output_values[i] = values[bisect_right(times, now) - 1]


def _profile(
    points: Sequence[tuple[Quantity, Quantity]], port: Port, context: ControllerContext, key: tuple[str, ...]
) -> tuple[list[float], list[float]]:
    """Times in s and values in the port's unit, checked."""
    if not points:
        raise context.error(key, "this profile is empty", "give a list of [time, value]")
    times: list[float] = []
    values: list[float] = []
    low = -math.inf if port.min is None else port.min
    high = math.inf if port.max is None else port.max
    for index, (time, raw) in enumerate(points):
        at = quantity(time, "s", context, (*key, index, 0))
        value = quantity(raw, port.unit, context, (*key, index, 1))
        if index == 0 and at != 0.0:
            raise context.error((*key, index, 0), f"the profile begins at {time}", "begin it at 0 h")
        if times and at <= times[-1]:
            raise context.error((*key, index, 0), f"{time} does not come after the time before", "let times rise")
        if not low <= value <= high:
            raise context.error((*key, index, 1), f"{raw} is outside {low:g} to {high:g} {port.unit}", "correct it")
        times.append(at)
        values.append(value)
    return times, values
