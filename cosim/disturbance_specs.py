"""What a scenario file may say of disturbances."""

from __future__ import annotations

from typing import Annotated, Literal, Self, get_args

import pydantic
from pydantic import Field

from cosim.values import PositiveSeconds, Quantity, Seconds, Section, Signal, fail

Kind = Literal["step", "ramp", "sine", "noise", "walk", "lots", "typical"]


class _Change(Section):
    to: Quantity | None = None
    by: Quantity | None = None

    @pydantic.model_validator(mode="after")
    def _one_change(self) -> Self:
        if (self.to is None) == (self.by is None):
            raise fail("say how the signal changes", "give one of 'to: VALUE' and 'by: CHANGE'")
        return self


class StepSpec(_Change):
    """A jump at a time, for good or until another time."""

    at: Seconds
    until: PositiveSeconds | None = None

    @pydantic.model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.until is not None and self.until <= self.at:
            raise fail("'until' comes before 'at'", "swap them")
        return self


class RampSpec(_Change):
    """A linear change that begins at a time and takes ``over``; with ``every`` it begins anew."""

    at: Seconds
    over: PositiveSeconds
    every: PositiveSeconds | None = None


class SineSpec(Section):
    """A wave."""

    amplitude: Quantity
    period: PositiveSeconds
    phase: float = 0.0


class NoiseSpec(Section):
    """Random noise; a time constant of 0 is white."""

    std: Quantity
    time_constant: Seconds = 0.0


class WalkSpec(Section):
    """A random walk: how far it has wandered after ``per``."""

    std: Quantity
    per: PositiveSeconds = 3600.0


class CorrelationSpec(Section):
    """The lots of another disturbance that these go with."""

    with_: str = Field(alias="with")
    coefficient: Annotated[float, Field(ge=-1.0, le=1.0)]


class LotsSpec(Section):
    """A new lot every so often; a mean of None is the signal's start value."""

    every: PositiveSeconds
    rsd: Quantity | None = None
    material: str | None = None
    property: str | None = None
    mean: Quantity | None = None
    shape: Literal["normal", "lognormal"] | None = None
    correlation: CorrelationSpec | None = None

    @pydantic.model_validator(mode="after")
    def _one_spread(self) -> Self:
        if (self.material is None) != (self.property is None):
            raise fail("a lot's spread is of a property of a material", "give both 'material' and 'property'")
        if (self.rsd is None) == (self.material is None):
            raise fail("say how lots differ", "give 'rsd: 3 %', or 'material: smcc' and 'property: bulk_density'")
        return self


class DisturbanceSpec(Section):
    """One disturbance of one input. ``name`` keeps its random numbers when the list is changed."""

    signal: Signal
    name: str | None = None
    step: StepSpec | None = None
    ramp: RampSpec | None = None
    sine: SineSpec | None = None
    noise: NoiseSpec | None = None
    walk: WalkSpec | None = None
    lots: LotsSpec | None = None
    typical: str | None = None

    @property
    def kind(self) -> Kind:
        """Which of them it is."""
        return next(kind for kind in _KINDS if getattr(self, kind) is not None)

    @pydantic.model_validator(mode="after")
    def _one_kind(self) -> Self:
        if sum(getattr(self, kind) is not None for kind in _KINDS) != 1:
            listed = f"{', '.join(_KINDS[:-1])} and {_KINDS[-1]}"
            raise fail("a disturbance has one kind", f"give one of {listed}; list several entries")
        return self


_KINDS: tuple[Kind, ...] = get_args(Kind)


def names_of(specs: list[DisturbanceSpec]) -> list[str]:
    """Of each disturbance the name that its random numbers hang on: its own, else signal, kind and number."""
    counts: dict[tuple[str, Kind], int] = {}
    names = []
    for spec in specs:
        key = (spec.signal, spec.kind)
        counts[key] = counts.get(key, 0) + 1
        names.append(spec.name or f"{spec.signal} {spec.kind} {counts[key]}")
    return names
