"""Liquid streams between tanks, bioreactors, harvest and capture: a volume flow and what a litre of it carries.

Every unit carries the same contents, so that any outlet connects to any inlet. What is not in the list (salts, amino
acids other than glutamine) is in the osmolality.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import casadi as ca

from fmus.model import Role, UnitModel

# below this flow [L/h] the composition is a quotient of rounding errors; what is held up is reported instead
_STILL = 1e-9


class Content(NamedTuple):
    """One thing that a litre of liquid carries.

    Attributes:
        unit: of its concentration.
        description: one phrase.
        start: of an inlet to which nothing is connected.
        minimum: of the concentration.
        maximum: of the concentration.
        nominal: the usual size.
    """

    unit: str
    description: str
    start: float
    minimum: float
    maximum: float
    nominal: float


#: what a liquid carries. Temperature, pH and osmolality mix by volume: exact at equal heat capacity, and for pH
#: a good approximation where the buffering is alike.
CONTENTS: dict[str, Content] = {
    "viable_cells": Content("1/mL", "viable cell density", 0.0, -1e3, 1e9, 1e7),
    "dead_cells": Content("1/mL", "dead cell density", 0.0, -1e3, 1e9, 1e6),
    "glucose": Content("mmol/L", "glucose", 0.0, -1e-3, 4000.0, 20.0),
    "glutamine": Content("mmol/L", "glutamine", 0.0, -1e-3, 1000.0, 2.0),
    "lactate": Content("mmol/L", "lactate", 0.0, -1e-3, 1000.0, 20.0),
    "ammonia": Content("mmol/L", "ammonia and ammonium", 0.0, -1e-3, 1000.0, 2.0),
    "mab": Content("g/L", "antibody", 0.0, -1e-6, 500.0, 1.0),
    "temperature": Content("K", "temperature", 310.15, 250.0, 380.0, 310.0),
    "ph": Content("1", "pH", 7.0, 0.0, 14.0, 7.0),
    "osmolality": Content("mmol/kg", "osmolality", 300.0, -1e-3, 10000.0, 300.0),
}


@dataclass(frozen=True)
class Liquid:
    """A flow or a hold-up: its volume and, by the names of `CONTENTS`, volume times concentration.

    Attributes:
        volume: L/h or L.
        carried: extensive, in the concentration's unit times L/h or L.
    """

    volume: Any
    carried: Mapping[str, Any]


@dataclass(frozen=True)
class LiquidInlet:
    """The declared inputs of a stream: flow in L/h, contents in the units of `CONTENTS`."""

    flow: Any
    content: Mapping[str, Any]

    @property
    def flows(self) -> Liquid:
        """What flows in each hour."""
        return Liquid(self.flow, {name: self.flow * value for name, value in self.content.items()})


def liquid_inlet(m: UnitModel, name: str, *, flow: float = 0.0, nominal: float = 0.1, **start: float) -> LiquidInlet:
    """Declare the inputs ``name.*`` of a stream; ``flow`` and ``nominal`` in L/h, other starts by content name."""
    declared = m.input(f"{name}.flow", flow, "L/h", f"volume flow of {name}", minimum=0.0, nominal=nominal)
    content = {
        key: m.input(
            f"{name}.{key}",
            start.get(key, c.start),
            c.unit,
            f"{c.description} of {name}",
            minimum=c.minimum,
            maximum=c.maximum,
            nominal=c.nominal,
            display_unit=_display(c),
        )
        for key, c in CONTENTS.items()
    }
    _terminal(m, name)
    return LiquidInlet(declared, content)


def liquid_outlet(m: UnitModel, flow: Liquid, held: Mapping[str, Any], name: str = "outlet") -> None:
    """Declare the outputs ``name.*``: the means of ``flow`` over the last communication step.

    Args:
        m: the unit model.
        flow: what leaves each hour.
        held: concentrations that stand in while nothing flows.
        name: of the stream.
    """
    volume = m.mean(flow.volume)
    flowing, safe = volume > _STILL, ca.fmax(volume, _STILL)
    m.output(
        f"{name}.flow",
        ca.fmax(volume, 0.0),
        "L/h",
        "volume flow, mean of the last communication step",
        minimum=0.0,
        nominal=0.1,
    )
    for key, c in CONTENTS.items():
        m.output(
            f"{name}.{key}",
            ca.if_else(flowing, m.mean(flow.carried[key]) / safe, held[key]),
            c.unit,
            f"{c.description} of {name}",
            nominal=c.nominal,
            display_unit=_display(c),
            role=Role.CQA if key == "mab" else Role.NONE,
        )
    _terminal(m, name)


def _display(content: Content) -> str:
    return "degC" if content.unit == "K" else ""


def _terminal(m: UnitModel, name: str) -> None:
    members = {part: f"{name}.{part}" for part in ("flow", *CONTENTS)}
    m.terminal(name, "liquid_stream", members, f"liquid stream {name}")
