"""Units and types as both versions of the model description declare them."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass

from fmus.quantity import base_unit, conversion, quantity_name
from fmus.slots import Slot


@dataclass(frozen=True)
class RealType:
    """A declared type of real variables."""

    name: str
    quantity: str
    unit: str
    display_unit: str


def real_type(slot: Slot) -> RealType | None:
    """The declared type of a real slot; None where its unit measures nothing that has a name."""
    if slot.kind != "Real" or slot.variable is None:
        return None
    quantity = quantity_name(slot.unit)
    display = slot.variable.display_unit
    if not quantity and not display:
        return None
    shown = f", shown in {display}" if display else ""
    return RealType(f"{quantity or 'Quantity'} [{slot.unit}{shown}]", quantity, slot.unit, display)


def real_types(slots: list[Slot]) -> list[RealType]:
    """The declared types in use, by name."""
    return sorted({t for t in map(real_type, slots) if t is not None}, key=lambda t: t.name)


def enumeration_name(slot: Slot) -> str:
    """The name of an enumeration's type: variables of the same items share it."""
    return " | ".join(slot.variable.items) if slot.variable else ""


def enumerations(slots: list[Slot]) -> list[tuple[str, tuple[str, ...]]]:
    """Name and items of the enumerations, each once."""
    found = {enumeration_name(s): s.variable.items for s in slots if s.kind == "Enumeration" and s.variable}
    return sorted(found.items())


def unit_definitions(root: ET.Element, slots: list[Slot]) -> None:
    """Append UnitDefinitions: exponents of the base units, and the display units of each unit."""
    units: dict[str, set[str]] = {}
    for slot in slots:
        if slot.unit:
            units.setdefault(slot.unit, set())
            if slot.variable and slot.variable.display_unit:
                units[slot.unit].add(slot.variable.display_unit)
    definitions = ET.SubElement(root, "UnitDefinitions")
    for unit, shown in sorted(units.items()):
        base = base_unit(unit)
        element = ET.SubElement(definitions, "Unit", name=unit)
        attributes = {name: str(power) for name, power in base.exponents.items()}
        ET.SubElement(element, "BaseUnit", attributes | {"factor": repr(base.factor), "offset": repr(base.offset)})
        for display in sorted(shown):
            factor, offset = conversion(unit, display)
            ET.SubElement(element, "DisplayUnit", name=display, factor=repr(factor), offset=repr(offset))
