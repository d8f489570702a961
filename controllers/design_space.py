"""The design space: hard bounds on setpoints and soft limits on critical quality attributes, from a file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cosim.yaml_lines import Source, read_yaml
from fmus.errors import GalenicError, nearest
from fmus.quantity import base_unit, convert, parse_quantity

SCHEMA = "galenic/1"


@dataclass(frozen=True)
class Range:
    """A closed range; a side may be infinite, not both."""

    min: float
    max: float
    unit: str

    def in_unit(self, unit: str) -> Range:
        """The same range in another unit. Raises GalenicError when the dimensions differ."""
        return Range(convert(self.min, self.unit, unit), convert(self.max, self.unit, unit), unit)

    def margin(self, value: float) -> float:
        """Distance to the nearer side: 1 in the middle, 0 on the edge, negative outside (-inf for NaN).

        Normalised by half the width, or by the finite side's magnitude where the range is open.
        """
        if not math.isfinite(value):
            return -math.inf
        if math.isinf(self.min) or math.isinf(self.max):
            edge = self.max if math.isinf(self.min) else self.min
            scale = abs(edge) or 1.0
        else:
            scale = (self.max - self.min) / 2.0
        return min(value - self.min, self.max - value) / scale


@dataclass(frozen=True)
class DesignSpace:
    """The region of setpoints in which the critical quality attributes hold.

    A box for now: setpoint i is inside when min_i <= u_i <= max_i (a hard bound for every controller), a critical
    quality attribute when it is inside its limits (soft: a controller may leave them rather than have no answer). The
    margin is the distance to the edge in the worst coordinate, normalised so that the box becomes [-1, 1]^n.

    Args:
        setpoints: by signal.
        critical_quality_attributes: by signal or name.
        description: one line for people.
        file: where it was read.
    """

    setpoints: Mapping[str, Range]
    critical_quality_attributes: Mapping[str, Range] = field(default_factory=dict)
    description: str = ""
    file: Path | None = None

    @classmethod
    def load(cls, file: Path | str) -> DesignSpace:
        """Read a design-space file.

        Raises:
            GalenicError: missing or malformed, with file, line and cure.
        """
        source = read_yaml(Path(file))
        data = source.data
        if not isinstance(data, dict):
            raise source.error((), "a design space is a mapping", "start with 'setpoints:'")
        known = {"design_space", "description", "setpoints", "critical_quality_attributes"}
        for key in data:
            if key not in known:
                raise source.error((key,), f"unknown key '{key}'", nearest(str(key), known))
        if data.get("design_space", SCHEMA) != SCHEMA:
            raise source.error(
                ("design_space",), f"'{data['design_space']}' is not a schema that this version reads", f"use {SCHEMA}"
            )
        if not data.get("setpoints"):
            raise source.error((), "there are no setpoints", "add 'setpoints: {signal: {min: .., max: .., unit: ..}}'")
        return cls(
            _ranges(source, "setpoints", both=True),
            _ranges(source, "critical_quality_attributes", both=False),
            str(data.get("description") or ""),
            Path(file),
        )

    def contains(self, values: Mapping[str, float], *, attributes: bool = False) -> bool:
        """Whether every given setpoint (with ``attributes``: also every attribute) is inside.

        Values are in the file's units. A name that the design space does not know is ignored; a NaN is outside.
        """
        return self.margin(values, attributes=attributes) >= 0.0

    def margin(self, values: Mapping[str, float], *, attributes: bool = False) -> float:
        """Normalised distance to the edge in the worst coordinate; infinite where no value is known. See `Range`."""
        ranges = {**self.setpoints, **(self.critical_quality_attributes if attributes else {})}
        return min((ranges[name].margin(value) for name, value in values.items() if name in ranges), default=math.inf)


def _ranges(source: Source, section: str, *, both: bool) -> dict[str, Range]:
    entries = source.data.get(section) or {}
    if not isinstance(entries, dict):
        raise source.error((section,), f"'{section}' is a mapping", "write 'signal: {min: .., max: .., unit: ..}'")
    return {name: _range(source, (section, name), entry, both=both) for name, entry in entries.items()}


def _range(source: Source, path: tuple[str, str], entry: Any, *, both: bool) -> Range:
    name = path[1]
    if not isinstance(entry, dict):
        raise source.error(path, f"'{name}' needs a range", "write '{min: .., max: .., unit: ..}'")
    for key in entry:
        if key not in ("min", "max", "unit", "description"):
            raise source.error((*path, key), f"unknown key '{key}'", nearest(str(key), ("min", "max", "unit")))
    if "unit" not in entry:
        raise source.error(path, f"'{name}' has no unit", "add 'unit:', '1' where it is dimensionless")
    unit = str(entry["unit"])
    try:
        base_unit(unit)
    except GalenicError as error:
        raise source.error((*path, "unit"), error.message, error.cure) from error
    sides = []
    for side, open_side in (("min", -math.inf), ("max", math.inf)):
        value = entry.get(side)
        if value is None and not both and len({"min", "max"} & entry.keys()) == 1:
            sides.append(open_side)
            continue
        if value is None:
            raise source.error(path, f"'{name}' has no '{side}'", f"add '{side}:'")
        try:
            sides.append(parse_quantity(value, unit))
        except GalenicError as error:
            raise source.error((*path, side), error.message, error.cure) from error
    if not sides[0] < sides[1]:
        raise source.error(path, f"'{name}': min {sides[0]:g} is not below max {sides[1]:g} {unit}", "swap or correct")
    return Range(sides[0], sides[1], unit)
