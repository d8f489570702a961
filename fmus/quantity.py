"""Units: pint's registry, conversion as (factor, offset), and what FMI needs of a unit."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Any

import pint

from fmus.errors import GalenicError

#: FMI 2.0 base units in the order in which the standard names them.
BASE_UNITS = ("kg", "m", "s", "A", "K", "mol", "cd", "rad")
_PINT_BASE = {
    "kilogram": "kg",
    "meter": "m",
    "second": "s",
    "ampere": "A",
    "kelvin": "K",
    "mole": "mol",
    "candela": "cd",
    "radian": "rad",
}
_QUANTITY = re.compile(r"^\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(.*?)\s*$")


@cache
def registry() -> pint.UnitRegistry:
    """The one pint registry of the process."""
    return pint.UnitRegistry(autoconvert_offset_to_baseunit=True)


@dataclass(frozen=True)
class BaseUnit:
    """A unit in FMI's base units: ``value_in_base = factor * value + offset``."""

    exponents: dict[str, int]
    factor: float
    offset: float


@cache
def base_unit(unit: str) -> BaseUnit:
    """Exponents, factor and offset of ``unit`` in FMI's base units.

    Raises:
        GalenicError: ``unit`` is unknown or has a fractional exponent.
    """
    parsed = _parse(unit)
    base = registry().Quantity(1.0, parsed).to_base_units()
    exponents: dict[str, int] = {}
    for name, power in base.unit_items():
        if name not in _PINT_BASE or int(power) != power:
            raise GalenicError(f"unit '{unit}' cannot be written in FMI base units ({name}^{power})")
        exponents[_PINT_BASE[name]] = int(power)
    zero = registry().Quantity(0.0, parsed).to_base_units().magnitude
    return BaseUnit(exponents, float(base.magnitude - zero), float(zero))


@cache
def conversion(source: str, target: str) -> tuple[float, float]:
    """Factor ``a`` and offset ``b`` with ``value_in_target = a * value_in_source + b``.

    Raises:
        GalenicError: a unit is unknown, or the two have different dimensions.
    """
    if source == target:
        return 1.0, 0.0
    a, b = base_unit(source), base_unit(target)
    if a.exponents != b.exponents:
        raise GalenicError(
            f"'{source or '1'}' cannot be converted to '{target or '1'}': their dimensions differ",
            cure=f"give a quantity whose unit converts to '{target or 'dimensionless'}'",
        )
    return a.factor / b.factor, (a.offset - b.offset) / b.factor


def convert(value: float, source: str, target: str) -> float:
    """``value`` given in ``source``, expressed in ``target``. Raises like `conversion`."""
    factor, offset = conversion(source, target)
    return factor * value + offset


def parse_quantity(text: str | float | int, target: str) -> float:
    """A number such as ``20`` (already in ``target``) or ``"20 kg/h"``, in the unit ``target``.

    Raises:
        GalenicError: no number in the text, an unknown unit, or one of another dimension.
    """
    if isinstance(text, bool):
        return float(text)
    if isinstance(text, int | float):
        return float(text)
    match = _QUANTITY.match(str(text))
    if match is None:
        raise GalenicError(f"'{text}' is not a number with a unit", cure=f"write for example '1.5 {target}'".rstrip())
    number, unit = match.groups()
    return convert(float(number), unit, target) if unit else float(number)


def _parse(unit: str) -> Any:
    try:
        if "//" in unit:  # Python's floor division, which pint would take for a division
            raise ValueError(unit)
        return registry().Unit(unit.replace("%", "percent") if unit else "dimensionless")
    except Exception as error:
        raise GalenicError(
            f"unknown unit '{unit}'", cure="units are written as in 'kg/h', 'mm', 'kN', 'degC', '1/h', '%'"
        ) from error


def rate_unit(unit: str) -> str:
    """The unit of a rate of change per second of a quantity in ``unit``."""
    base = base_unit(unit)
    if base.offset != 0.0:  # a difference of temperatures has no zero point
        return "K/s" if base.factor == 1.0 else f"delta_{unit}/s"
    return "1/s" if unit in ("", "1") else f"{unit}/s"


# powers of kg, m, s, K, mol -> the quantity's name in ISO 80000, where one dimension has one usual name
_QUANTITIES: dict[tuple[int, ...], str] = {
    (1, 0, 0, 0, 0): "Mass",
    (0, 1, 0, 0, 0): "Length",
    (0, 2, 0, 0, 0): "Area",
    (0, 3, 0, 0, 0): "Volume",
    (0, 0, 1, 0, 0): "Time",
    (0, 0, 0, 1, 0): "ThermodynamicTemperature",
    (0, 0, 0, 0, 1): "AmountOfSubstance",
    (1, 0, -1, 0, 0): "MassFlowRate",
    (0, 3, -1, 0, 0): "VolumeFlowRate",
    (1, -3, 0, 0, 0): "MassDensity",
    (0, -3, 0, 0, 1): "AmountOfSubstanceConcentration",
    (0, 1, -1, 0, 0): "Velocity",
    (1, 1, -2, 0, 0): "Force",
    (1, -1, -2, 0, 0): "Pressure",
    (1, 2, -3, 0, 0): "Power",
    (1, 0, -2, 0, 0): "Stiffness",
}


@cache
def quantity_name(unit: str) -> str:
    """What ``unit`` measures; empty where that is not said by its dimension (ratios, frequencies, energies)."""
    exponents = base_unit(unit).exponents
    if set(exponents) - {"kg", "m", "s", "K", "mol"}:
        return ""
    return _QUANTITIES.get(tuple(exponents.get(base, 0) for base in ("kg", "m", "s", "K", "mol")), "")
