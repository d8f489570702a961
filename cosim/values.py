"""How values are written in a scenario file: times, quantities, names. Pydantic's types for its sections."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any

import pydantic
from pydantic import AfterValidator, BeforeValidator, ConfigDict, WithJsonSchema
from pydantic_core import PydanticCustomError

from fmus.errors import GalenicError
from fmus.quantity import parse_quantity

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SIGNAL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\.\S+")
_SHORTEST, _LONGEST = 1e-9, 1e10  # s


class Section(pydantic.BaseModel):
    """A section of a scenario file: strict, immutable, without keys of other names."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


def fail(message: str, cure: str = "") -> PydanticCustomError:
    """What a validator raises: `cosim.scenario` makes an error with file and line of it."""
    return PydanticCustomError("galenic", "{message}", {"message": message, "cure": cure})


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise fail("this must be a time", "write for example '30 s' or '4 h'")
    try:
        seconds = parse_quantity(value, "s")
    except GalenicError as error:
        raise fail(error.message, error.cure or "write for example '30 s' or '4 h'") from error
    if not abs(seconds) <= _LONGEST:
        raise fail("this is too long a time", "write for example '30 s' or '4 h'")
    return seconds


def _quantity(value: Any) -> float | str | bool:
    if isinstance(value, str) and value.strip():
        return value
    if isinstance(value, bool) or (isinstance(value, int | float) and math.isfinite(value)):
        return value
    raise fail("this must be a number or a quantity", "write for example 20 or '20 kg/h'")


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise fail(f"'{value}' is not a name", "use letters, digits and underscores, beginning with a letter")
    return value


def _signal(value: str) -> str:
    if not _SIGNAL.fullmatch(value):
        raise fail(f"'{value}' is not a signal", "write component.variable")
    return value


def _positive(value: float) -> float:
    if value < _SHORTEST:
        raise fail("this must be greater than zero, at least a nanosecond", "give a positive time, such as '1 s'")
    return value


def _not_negative(value: float) -> float:
    if value < 0.0:
        raise fail("this must not be negative", "give 0 or a positive time")
    return value


#: A time as a number in s or text with a unit; in s after reading.
Seconds = Annotated[float, BeforeValidator(_seconds), AfterValidator(_not_negative)]
PositiveSeconds = Annotated[float, BeforeValidator(_seconds), AfterValidator(_positive)]
#: A number or text with a unit; converted when the variable's unit is known.
Quantity = Annotated[Any, AfterValidator(_quantity), WithJsonSchema({"type": ["number", "string", "boolean"]})]
Name = Annotated[str, AfterValidator(_name)]
Signal = Annotated[str, AfterValidator(_signal)]
