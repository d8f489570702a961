"""Units as SSP defines them: exponents of base units, factor and offset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cosim.ssp.xml_tree import Element
from fmus.errors import GalenicError
from fmus.quantity import BASE_UNITS, base_unit


@dataclass(frozen=True)
class Unit:
    """``value_in_base = factor * value + offset``; exponents in the order of `fmus.quantity.BASE_UNITS`."""

    name: str
    exponents: tuple[int, ...]
    factor: float
    offset: float


def defined_units(root: Element) -> dict[str, Unit]:
    """The units that a file defines, by name."""
    units = {}
    for element in root.below("Units", "Unit"):
        base = element.child("BaseUnit")
        if base is None:
            raise element.error("a unit is defined by its base units", "add <ssc:BaseUnit .../>")
        exponents = tuple(round(base.number(name, 0.0)) for name in BASE_UNITS)
        factor = base.number("factor", 1.0)
        if factor == 0.0:
            raise base.error("a unit's factor cannot be 0", "write the factor to the base units")
        name = element.required("name")
        units[name] = Unit(name, exponents, factor, base.number("offset", 0.0))
    return units


def known_unit(name: str) -> Unit | None:
    """A unit by the name that scenarios use for it, None where there is no such unit."""
    try:
        base = base_unit(name)
    except GalenicError:
        return None
    return Unit(name, tuple(base.exponents.get(b, 0) for b in BASE_UNITS), base.factor, base.offset)


def fmu_units(description: Any) -> dict[str, Unit]:
    """The units that an FMU defines by base units, from FMPy's model description."""
    units = {}
    for unit in description.unitDefinitions or ():
        base = unit.baseUnit
        if base is not None:
            exponents = tuple(int(getattr(base, name, 0) or 0) for name in BASE_UNITS)
            units[unit.name] = Unit(unit.name, exponents, float(base.factor), float(base.offset))
    return units


def conversion(source: Unit | None, target: Unit | None) -> tuple[float, float] | None:
    """``a`` and ``b`` with ``value_in_target = a * value_in_source + b``; None where the dimensions differ.

    Where a unit is not known nothing is converted.
    """
    if source is None or target is None or source == target:
        return 1.0, 0.0
    if source.exponents != target.exponents:
        return None
    return source.factor / target.factor, (source.offset - target.offset) / target.factor
