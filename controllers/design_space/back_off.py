"""By how much a controller keeps off the edge, because in closed loop it does not stay where it wants to be."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from controllers.design_space.ranges import Range
from cosim.yaml_lines import Source
from fmus.errors import GalenicError, nearest
from fmus.quantity import convert, parse_quantity


@dataclass(frozen=True)
class Tightening:
    """What is taken from each side of an attribute's limits, in ``unit``; not negative."""

    low: float
    high: float
    unit: str


@dataclass(frozen=True)
class BackOff:
    """Found by closed-loop simulation, see `galenic.back_off`.

    Args:
        attributes: by critical quality attribute.
        region: added to the margin that is asked for, in the region's own measure (logits, or shares of the domain).
    """

    attributes: Mapping[str, Tightening] = field(default_factory=dict)
    region: float = 0.0

    def tightened(self, limits: Mapping[str, Range]) -> dict[str, Range]:
        """Limits of attributes with the back-off taken off; those without one stay.

        Raises:
            GalenicError: nothing is left of one.
        """
        result = dict(limits)
        for name, part in self.attributes.items():
            known = limits[name]
            # differences: an offset between units (K, degC) does not count
            low, high = (
                convert(side, part.unit, known.unit) - convert(0.0, part.unit, known.unit)
                for side in (part.low, part.high)
            )
            inner = Range(known.min + low, known.max - high, known.unit)
            if not inner.min < inner.max:
                raise GalenicError(
                    f"the back-off leaves nothing of the limits of '{name}'",
                    cure="the loop wanders more than the limits allow: tune it, or give less back-off",
                )
            result[name] = inner
        return result


def read_back_off(source: Source, limits: Mapping[str, Range]) -> BackOff | None:
    """The section ``back_off`` of a design-space file; None where there is none.

    Args:
        source: the file.
        limits: of its critical quality attributes.

    Raises:
        GalenicError: with file, line and cure.
    """
    data = source.data.get("back_off")
    if data is None:
        return None
    if not isinstance(data, dict):
        raise source.error(("back_off",), "'back_off' is a mapping", "write {attributes: {..}, region: 0.2}")
    _check_keys(source, ("back_off",), data, ("attributes", "region", "provenance"))
    region = data.get("region", 0.0)
    if isinstance(region, bool) or not isinstance(region, int | float) or not 0.0 <= region < math.inf:
        raise source.error(("back_off", "region"), f"{region!r} is not a number above zero", "write for example 0.5")
    found = {}
    for name, entry in (data.get("attributes") or {}).items():
        path = ("back_off", "attributes", name)
        if name not in limits:
            raise source.error(path, f"'{name}' is not among 'critical_quality_attributes'", nearest(str(name), limits))
        if not isinstance(entry, dict):
            raise source.error(path, f"'{name}' is a mapping", "write {low: .., high: .., unit: ..}")
        _check_keys(source, path, entry, ("low", "high", "unit"))
        unit = str(entry.get("unit", limits[name].unit))
        sides = [_side(source, (*path, side), entry.get(side, 0.0), unit) for side in ("low", "high")]
        found[str(name)] = Tightening(sides[0], sides[1], unit)
    result = BackOff(found, float(region))
    try:
        result.tightened(limits)
    except GalenicError as error:
        raise source.error(("back_off", "attributes"), error.message, error.cure) from error
    return result


def _check_keys(source: Source, path: tuple[str, ...], data: Mapping[Any, Any], known: tuple[str, ...]) -> None:
    for key in data:
        if key not in known:
            raise source.error((*path, key), f"unknown key '{key}'", nearest(str(key), known))


def _side(source: Source, path: tuple[str, ...], value: Any, unit: str) -> float:
    try:
        number = parse_quantity(value, unit)
    except GalenicError as error:
        raise source.error(path, error.message, error.cure) from error
    if not 0.0 <= number < math.inf:
        raise source.error(path, f"{value!r} widens the limits", "give zero or more")
    return number
