"""Ranges of quantities, and how they are read from a file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from cosim.component import FloatArray
from cosim.yaml_lines import Source
from fmus.errors import GalenicError, nearest
from fmus.quantity import base_unit, convert, parse_quantity

_Path = tuple[str | int, ...]


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


def sides_of(ranges: Mapping[str, Range]) -> tuple[FloatArray, FloatArray]:
    """Lower and upper sides, each of shape (n,), in the ranges' order and units."""
    return np.array([r.min for r in ranges.values()]), np.array([r.max for r in ranges.values()])


def read_ranges(source: Source, path: _Path, entries: Any, *, both: bool) -> dict[str, Range]:
    """Ranges by name, ``{name: {min, max, unit}}``.

    Args:
        source: the file.
        path: where they stand in it.
        entries: what stands there; None is an empty section.
        both: whether both sides have to be given, not only one.

    Raises:
        GalenicError: with file, line and cure.
    """
    if entries is not None and not isinstance(entries, dict):
        raise source.error(path, f"'{path[-1]}' is a mapping", "write 'signal: {min: .., max: .., unit: ..}'")
    return {name: _range(source, (*path, name), entry, both=both) for name, entry in (entries or {}).items()}


def _range(source: Source, path: _Path, entry: Any, *, both: bool) -> Range:
    name = path[-1]
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
