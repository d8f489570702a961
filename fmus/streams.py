"""Solid streams between units: mass flow, API mass fraction, bulk density, under one prefix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import casadi as ca

from fmus.model import Role, UnitModel

# below this flow [kg/s] its composition is a quotient of rounding errors; what is held up is reported instead
_STILL = 1e-7


class SolidStream(NamedTuple):
    """The extensive flows of a stream: mass [kg/s], API [kg/s], bulk volume [m^3/s]."""

    mass: Any
    api: Any
    volume: Any


@dataclass(frozen=True)
class SolidInlet:
    """The declared inputs of a stream: kg/s, 1 and kg/m^3."""

    mass_flow: Any
    api_fraction: Any
    bulk_density: Any

    @property
    def specific(self) -> SolidStream:
        """What one kilogram carries: 1 kg, its API [kg], its bulk volume [m^3]."""
        return SolidStream(ca.SX(1), self.api_fraction, 1.0 / self.bulk_density)

    @property
    def flows(self) -> SolidStream:
        """What flows in each second."""
        return SolidStream(*(self.mass_flow * part for part in self.specific))


def solid_inlet(m: UnitModel, name: str, mass_flow: float, api_fraction: float) -> SolidInlet:
    """Declare the inputs ``name.*`` of a stream with start values ``mass_flow`` [kg/s] and ``api_fraction``."""
    mass = m.input(
        f"{name}.mass_flow", mass_flow, "kg/s", f"mass flow of {name}", minimum=0.0, nominal=5e-3, display_unit="kg/h"
    )
    api = m.input(
        f"{name}.api_fraction", api_fraction, "1", f"API mass fraction of {name}", minimum=0.0, maximum=1.0 + 1e-6
    )
    density = m.input(f"{name}.bulk_density", 480.0, "kg/m^3", f"bulk density of {name}", minimum=50.0, maximum=1500.0)
    _terminal(m, name)
    return SolidInlet(mass, api, density)


def solid_outlet(m: UnitModel, flow: SolidStream, held: SolidStream, name: str = "outlet") -> None:
    """Declare the outputs ``name.*``: the means of ``flow`` over the last communication step.

    Args:
        m: the unit model.
        flow: the flows that leave.
        held: mass, API and bulk volume of what is held up, whose composition stands in while nothing flows.
        name: of the stream.
    """
    mass, api, volume = (m.mean(part) for part in flow)
    flowing = mass > _STILL
    idle_api = ca.fmin(ca.fmax(held.api / ca.fmax(held.mass, 1e-9), 0.0), 1.0)
    idle_density = ca.fmin(ca.fmax(held.mass / ca.fmax(held.volume, 1e-12), 50.0), 1500.0)
    m.output(
        f"{name}.mass_flow",
        ca.fmax(mass, 0.0),
        "kg/s",
        "mass flow out, mean of the last communication step",
        minimum=0.0,
        nominal=5e-3,
        display_unit="kg/h",
    )
    m.output(
        f"{name}.api_fraction",
        ca.if_else(flowing, api / ca.fmax(mass, _STILL), idle_api),
        "1",
        "API mass fraction of the flow out",
        role=Role.CQA,
    )
    m.output(
        f"{name}.bulk_density",
        ca.if_else(flowing, mass / ca.fmax(volume, 1e-12), idle_density),
        "kg/m^3",
        "bulk density of the flow out",
        nominal=500.0,
    )
    _terminal(m, name)


def _terminal(m: UnitModel, name: str) -> None:
    parts = ("mass_flow", "api_fraction", "bulk_density")
    m.terminal(name, "solid_stream", {part: f"{name}.{part}" for part in parts}, f"powder stream {name}")


def holdup(m: UnitModel, mass: Any, api: Any) -> None:
    """Declare the outputs ``holdup.mass`` and ``holdup.api_mass`` [kg], from which a line's balance is drawn up."""
    m.output("holdup.mass", mass, "kg", "powder held up", role=Role.BALANCE)
    m.output("holdup.api_mass", api, "kg", "API held up", role=Role.BALANCE, nominal=0.1)
