"""terminalsAndIcons.xml of FMI 3.0: which variables are connected together, and where on the icon."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from enum import Enum

from fmus.errors import GalenicError
from fmus.model import Terminal, UnitModel

_HALF = 100.0
_MARK = 5.0
# beside the glyph, above the name
_LOWEST, _HIGHEST = 4.0, 92.0
_KINDS = "_galenic_"  # the standard's way to keep vendors' kinds apart


class Side(Enum):
    """Where on the icon a terminal stands."""

    LEFT = "left"
    RIGHT = "right"
    BELOW = "below"


@dataclass(frozen=True)
class Place:
    """A terminal on the icon, in coordinates from -100 to 100.

    Attributes:
        terminal: the terminal.
        side: inlets stand at the left, outlets at the right, what goes both ways below.
        x: its centre.
        y: its centre.
        room: height or width that belongs to it alone.
    """

    terminal: Terminal
    side: Side
    x: float
    y: float
    room: float

    @property
    def icon(self) -> str:
        """Base name of its image."""
        return "both_ways" if self.side is Side.BELOW else "flow"


def places(model: UnitModel) -> list[Place]:
    """Where the terminals of ``model`` stand, in their order.

    Raises:
        GalenicError: a member of a terminal can be neither set nor handed on.
    """
    sides = [_side(model, t) for t in model.terminals]
    return [
        _place(terminal, side, sides[:i].count(side), sides.count(side))
        for i, (terminal, side) in enumerate(zip(model.terminals, sides, strict=True))
    ]


def terminals_and_icons_xml(model: UnitModel) -> bytes:
    """The XML text, UTF-8. The rule is ``plug``: a stream of which a part is missing is not connected."""
    root = ET.Element("fmiTerminalsAndIcons", fmiVersion="3.0")
    graphics = ET.SubElement(root, "GraphicalRepresentation")
    extent = _extent(0.0, 0.0, _HALF)
    ET.SubElement(graphics, "CoordinateSystem", extent | {"suggestedScalingFactorTo_mm": "0.1"})
    ET.SubElement(graphics, "Icon", extent)
    there = places(model)
    if there:
        terminals = ET.SubElement(root, "Terminals")
        for place in there:
            _terminal(terminals, place)
    ET.indent(root)
    text: bytes = ET.tostring(root, encoding="UTF-8", xml_declaration=True)
    return text + b"\n"


def _terminal(parent: ET.Element, place: Place) -> None:
    terminal = place.terminal
    attributes = {"name": terminal.name, "matchingRule": "plug", "terminalKind": _KINDS + terminal.kind}
    if terminal.description:
        attributes["description"] = terminal.description
    element = ET.SubElement(parent, "Terminal", attributes)
    for member, variable in terminal.members.items():
        ET.SubElement(
            element, "TerminalMemberVariable", variableName=variable, memberName=member, variableKind="signal"
        )
    graphics = _extent(place.x, place.y, _MARK) | {"iconBaseName": place.icon, "defaultConnectionColor": "11 83 148"}
    ET.SubElement(element, "TerminalGraphicalRepresentation", graphics)


def _extent(x: float, y: float, half: float) -> dict[str, str]:
    return {"x1": f"{x - half:g}", "y1": f"{y - half:g}", "x2": f"{x + half:g}", "y2": f"{y + half:g}"}


def _side(model: UnitModel, terminal: Terminal) -> Side:
    causalities = {_causality(model, terminal, name) for name in terminal.members.values()}
    if causalities == {"output"}:
        return Side.RIGHT
    return Side.LEFT if causalities <= {"input", "parameter"} else Side.BELOW


def _causality(model: UnitModel, terminal: Terminal, name: str) -> str:
    (causality,) = {v.causality for v in model.variables if name in (v.name, v.array)}
    if causality == "local":
        raise GalenicError(
            f"terminal '{terminal.name}' of '{model.name}' has '{name}' as a member, which is a state or an unknown",
            cure="only inputs, outputs and parameters are connected; hand it out as an output",
        )
    return causality


def _place(terminal: Terminal, side: Side, number: int, of: int) -> Place:
    if side is Side.BELOW:
        room = 2 * _HALF / of
        return Place(terminal, side, -_HALF + room * (number + 0.5), -_HALF, room)
    room = (_HIGHEST - _LOWEST) / of
    return Place(terminal, side, -_HALF if side is Side.LEFT else _HALF, _HIGHEST - room * (number + 0.5), room)
