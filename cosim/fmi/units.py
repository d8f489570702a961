"""Units of foreign FMUs under names that the rest of the program understands.

An FMU names its units as its tool writes them (``m3/s``, ``kg.m2``, ``Nm``) and may say what they are in the standard's
base units. What it says is what counts: a name that means something else here is not used, and a unit without a name
here gets one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from fmus.errors import GalenicError
from fmus.quantity import BASE_UNITS, BaseUnit, base_unit, registry

_AGREEMENT = 1e-9


def unit_names(described: Any) -> dict[str, str]:
    """For each unit that an FMU defines its name here.

    Args:
        described: FMPy's model description.
    """
    definitions = {unit.name: _defined(unit.baseUnit) for unit in described.unitDefinitions or ()}
    return {name: name_of(name, base) for name, base in definitions.items()}


def name_of(name: str, base: BaseUnit | None) -> str:
    """A unit's name here.

    Args:
        name: as the FMU writes it.
        base: what the FMU says that it is, or None.

    Returns:
        The name itself, or its translation, where it means the same here; else a name made for it. A name that nobody
        explains is left as it is: an error tells it where the unit has to be converted.
    """
    candidates = [text for text in (name, _translated(name)) if text]
    for candidate in candidates:
        known = _known(candidate)
        if known is not None and (base is None or _same(known, base)):
            return candidate
    if base is None:
        return name or "1"
    return _made(name, base)


def _defined(base: Any) -> BaseUnit | None:
    if base is None:
        return None
    exponents = {unit: int(getattr(base, unit, 0) or 0) for unit in BASE_UNITS}
    return BaseUnit({u: n for u, n in exponents.items() if n}, float(base.factor or 1.0), float(base.offset or 0.0))


def _known(name: str) -> BaseUnit | None:
    try:
        return base_unit(name)
    except GalenicError:
        return None


def _same(a: BaseUnit, b: BaseUnit) -> bool:
    return (
        a.exponents == b.exponents
        and math.isclose(a.factor, b.factor, rel_tol=_AGREEMENT)
        and math.isclose(a.offset, b.offset, rel_tol=_AGREEMENT, abs_tol=1e-12)
    )


def _translated(name: str) -> str:
    """Modelica's way to write units: ``kg.m2/s3`` is kg*m^2/s^3, ``m s-1`` is m*s^-1; ``-`` has no dimension."""
    if name.strip() in {"", "-"}:
        return "1"
    text = re.sub(r"(?<=[A-Za-z])(-?\d+)", r"^\1", name.strip())
    return re.sub(r"(?<=[A-Za-z0-9)])[.\s](?=[A-Za-z(])", "*", text)


def _made(name: str, base: BaseUnit) -> str:
    """Give a unit a name of its own in the registry."""
    made = "fmu_" + (re.sub(r"\W", "_", name) or "unit")
    text = "*".join(f"{unit}**{power}" for unit, power in base.exponents.items()) or "dimensionless"
    number = 0
    while (known := _known(made)) is not None and not _same(known, base):
        number += 1
        made = f"{made}_{number}"
    if known is None:
        shift = f"; offset: {base.offset!r}" if base.offset else ""
        registry().define(f"{made} = {base.factor!r} * {text}{shift}")
    return made


def named(unit: str | None, names: Mapping[str, str]) -> str:
    """The name here of the unit that a variable states."""
    if not unit:
        return "1"
    return names.get(unit) or name_of(unit, None)
