"""What a scenario file may say of actions: when something happens, and what."""

from __future__ import annotations

from typing import Annotated, Any, Self

import pydantic
from pydantic import BeforeValidator, Field

from cosim.values import Name, PositiveSeconds, Quantity, Seconds, Section, Signal, fail


class FaultSpec(Section):
    """What is wrong with a sensor; of what an input receives it can only freeze."""

    bias: Quantity | None = None
    drift: Quantity | None = None
    noise: Quantity | None = None
    freeze: bool = False
    dropout: Quantity | None = None
    delay: PositiveSeconds | None = None

    @pydantic.model_validator(mode="after")
    def _something(self) -> Self:
        if not self.model_fields_set:
            raise fail("a fault without anything wrong", "give bias, drift, noise, freeze, dropout or delay")
        return self


class _When(Section):
    when: str | None = None
    at: Seconds | None = None
    held_for: PositiveSeconds | None = Field(default=None, alias="for")


class ActionSpec(_When):
    """Something that happens at a time or on a condition, and may end again."""

    name: Name | None = None
    once: bool = False
    until: Quantity | None = None
    lasting: PositiveSeconds | None = None
    set: dict[Signal, Quantity] = Field(default_factory=dict)
    override: dict[Signal, Quantity] = Field(default_factory=dict)
    ramp: dict[Signal, Quantity] = Field(default_factory=dict)
    over: PositiveSeconds | None = None
    fault: dict[str, FaultSpec] = Field(default_factory=dict)

    @pydantic.model_validator(mode="after")
    def _complete(self) -> Self:
        if self.when is None and self.at is None:
            raise fail("an action needs its time", "add 'at: 10 min', or 'when: press.hardness < 40 N'")
        if self.when is None and (self.held_for is not None or self.once):
            raise fail("'for' and 'once' are of a condition", "add 'when: ...', or 'lasting' for how long it goes on")
        if not (self.set or self.override or self.ramp or self.fault):
            raise fail("an action without anything to do", "add set, override, ramp or fault")
        if bool(self.ramp) != (self.over is not None):
            raise fail("a ramp takes its time", "give 'ramp: {signal: value}' and 'over: 5 min'")
        if self.until is not None and self.lasting is not None:
            raise fail("an action has one end", "give one of 'until' and 'lasting'")
        return self


class StopSpec(_When):
    """A condition that ends the run."""

    when: str
    reason: str = ""


def _stops(value: Any) -> Any:
    """One condition, or several: each as text or as a section."""
    entries = value if isinstance(value, list) else [value]
    return [{"when": entry} if isinstance(entry, str) else entry for entry in entries]


Stops = Annotated[list[StopSpec], BeforeValidator(_stops, json_schema_input_type=str | StopSpec | list[str | StopSpec])]
