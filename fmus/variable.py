"""What a unit model declares: variables with unit, range and role, and terminals that bundle them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from fmus.errors import GalenicError
from fmus.quantity import base_unit, conversion

Causality = Literal["input", "parameter", "local", "output"]
Kind = Literal["Real", "Integer", "Boolean", "Enumeration"]


class Role(StrEnum):
    """What a variable means to quality: ICH Q8's vocabulary."""

    CPP = "critical process parameter"
    CQA = "critical quality attribute"
    CMA = "critical material attribute"
    DISTURBANCE = "disturbance"
    BALANCE = "balance"
    NONE = ""


@dataclass(frozen=True)
class Variable:
    """A declared scalar, or one element of a declared array.

    Attributes:
        name: for an element of an array ``array[i]``, counted from 1.
        causality: as in FMI.
        unit: what its values are in.
        description: one phrase.
        start: None for a calculated variable.
        minimum: in ``unit``; a value below is refused.
        maximum: in ``unit``; a value above is refused.
        nominal: the usual size, > 0, in ``unit``.
        role: what it means to quality.
        kind: all but Real are discrete.
        source: where a parameter's value is from.
        display_unit: what people would rather read it in.
        items: an enumeration's values by name, counted from 0.
        tunable: a parameter that may be changed during a run.
        array: the name of the array of which this is an element.
    """

    name: str
    causality: Causality
    unit: str
    description: str
    start: float | None = None
    minimum: float | None = None
    maximum: float | None = None
    nominal: float = 1.0
    role: Role = Role.NONE
    kind: Kind = "Real"
    source: str = ""
    display_unit: str = ""
    items: tuple[str, ...] = ()
    tunable: bool = False
    array: str = ""

    def check(self, model: str) -> None:
        """Refuse units that do not exist or do not convert, and a start value outside the range.

        Raises:
            GalenicError: naming model and variable.
        """
        base_unit(self.unit)
        if self.display_unit:
            conversion(self.unit, self.display_unit)
        if (self.kind == "Enumeration") != bool(self.items):
            raise GalenicError(
                f"'{model}.{self.name}' is {self.kind} and has {len(self.items)} items",
                cure="an Enumeration, and nothing else, names its values in items=",
            )
        if not self.nominal > 0.0:
            raise GalenicError(f"nominal {self.nominal} of '{model}.{self.name}' is not above 0")
        if self.start is not None:
            self.check_value(model, self.start)

    def check_value(self, model: str, value: float) -> None:
        """Refuse a start value outside the range. Raises GalenicError naming model and variable."""
        low = -math.inf if self.minimum is None else self.minimum
        high = math.inf if self.maximum is None else self.maximum
        if not low <= value <= high:
            raise GalenicError(f"start {value} of '{model}.{self.name}' is outside {low} to {high} {self.unit}")


@dataclass(frozen=True)
class Terminal:
    """A bundle of variables that is connected as one: FMI 3.0's terminal.

    Attributes:
        name: of the terminal, ``inlet``.
        kind: terminals of one kind fit each other, ``solid_stream``.
        members: name within the kind -> variable.
        description: one phrase.
    """

    name: str
    kind: str
    members: Mapping[str, str]
    description: str = ""
