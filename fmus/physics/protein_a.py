"""What Protein A units share: the packed bed's parameters, the steps of a cycle, ageing, the eluate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import casadi as ca

from fmus.liquids import CONTENTS, Liquid, liquid_outlet
from fmus.model import Role, UnitModel
from fmus.physics.chromatography import Resin

HOUR = 3600.0
LITRES = 1000.0  # in a cubic metre
ILLUSTRATIVE = "illustrative, uncalibrated"
BADR = "Badr et al. 2021, Tables 1 and 3"
_USUAL = "usual size for a Protein A resin; illustrative, uncalibrated"
# below this feed [g/L] a breakthrough is not a share of it
_LEAST = 0.01


@dataclass(frozen=True)
class Bed:
    """A packed bed: height [m], cross-section [m^2], resin, cells along its height.

    ``ageing`` is the share of the capacity that a cycle costs.
    """

    height: Any
    area: Any
    resin: Resin
    ageing: Any
    cells: int

    @property
    def volume(self) -> Any:
        """Of the bed [L]."""
        return self.height * self.area * LITRES

    def velocity(self, flow: Any) -> Any:
        """Superficial velocity [m/s] of a flow [L/h]."""
        return flow / (LITRES * HOUR * self.area)

    def flow(self, velocity: Any) -> Any:
        """The flow [L/h] of a superficial velocity [m/s]."""
        return velocity * self.area * LITRES * HOUR

    def capacity(self, cycles: Any, factor: Any) -> Any:
        """Antibody that resin binds after so many cycles [g/L]; ``factor`` is the resin lot's."""
        return self.resin.capacity * factor * (1.0 - self.ageing) ** cycles


def packed_bed(m: UnitModel, cells: int) -> Bed:
    """Declare the parameters of a packed bed."""

    def declare(
        name: str, value: float, unit: str, description: str, source: str, least: float, most: Any = None
    ) -> Any:
        return m.parameter(name, value, unit, description, source=source, minimum=least, maximum=most)

    height = declare("bed_height", 10.0, "cm", "of the packed bed", f"{BADR}: 10 to 20 cm", 1.0)
    diameter = declare("column_diameter", 7.0, "cm", "of the packed bed", f"{BADR}: 7 to 50 cm", 0.1)
    resin = Resin(
        porosity=declare("bed_porosity", 0.37, "1", "liquid between particles per bed", _USUAL, 0.1, 0.9),
        particle_porosity=declare("particle_porosity", 0.65, "1", "pores per particle volume", _USUAL, 0.05, 0.95),
        radius=1e-6 * declare("particle_radius", 42.0, "um", "of the resin's particles", _USUAL, 1.0),
        pore_diffusivity=declare(
            "pore_diffusivity", 8e-12, "m^2/s", "effective diffusivity of antibody in the particles", _USUAL, 1e-14
        ),
        free_diffusivity=declare(
            "free_diffusivity", 5e-11, "m^2/s", "of antibody in water", "usual size for an antibody", 1e-12
        ),
        dispersion_length=1e-3
        * declare("dispersion_length", 0.42, "mm", "dispersion over velocity", f"5 particles; {ILLUSTRATIVE}", 0.0),
        capacity=declare("capacity", 65.0, "g/L", "antibody that a litre of fresh bed binds", _USUAL, 0.1),
        binding_rate=declare("binding_rate", 2e-3, "L/g/s", "of the Langmuir kinetics", ILLUSTRATIVE, 0.0),
        affinity=declare("affinity", 0.03, "g/L", "antibody at half the capacity, in buffer", ILLUSTRATIVE, 1e-6),
        eluted_affinity=declare("eluted_affinity", 100.0, "g/L", "the same in the eluent", ILLUSTRATIVE, 1e-6),
    )
    ageing = declare(
        "ageing",
        0.001,
        "1",
        "share of the capacity that a cycle costs",
        f"80 % left after the 200 cycles of {BADR}; illustrative",
        0.0,
        0.5,
    )
    return Bed(0.01 * height, ca.pi / 4.0 * (0.01 * diameter) ** 2, resin, ageing, cells)


def breakthrough(leaving: Any, feed: Any) -> Any:
    """Antibody at a column's outlet in percent of that in the feed."""
    return 100.0 * leaving / ca.fmax(feed, _LEAST)


def so_far(m: UnitModel, name: str, rate: Any, unit: str, description: str, role: Role = Role.BALANCE) -> Any:
    """Add up a ``rate`` per hour in a state and hand that out as ``name``; returns the state."""
    total = m.state(f"so_far.{name}", 0.0, unit, f"{description} so far", nominal=10.0)
    m.derivative(total, rate / HOUR)
    m.output(name, total, unit, f"{description} so far", role=role, nominal=10.0)
    return total


def yield_of(loaded: Any, lost: Any) -> Any:
    """What was not lost, in percent of what was fed [g]."""
    return 100.0 - 100.0 * lost / ca.fmax(loaded, 1e-6)


def eluate(m: UnitModel, flow: Any, antibody: Any) -> None:
    """Declare the stream ``eluate``: ``flow`` [L/h] of eluent with ``antibody`` [g/L] and nothing else of the feed."""

    def buffer(name: str, value: float, unit: str, description: str, display: str = "") -> Any:
        source = f"{ILLUSTRATIVE}; not used by the equations"
        return m.parameter(f"eluent.{name}", value, unit, description, source=source, display_unit=display)

    content = dict.fromkeys(CONTENTS, ca.SX(0.0)) | {
        "mab": antibody,
        "temperature": buffer("temperature", 293.15, "K", "temperature of the eluent", "degC"),
        "ph": buffer("ph", 3.5, "1", "pH of the eluent"),
        "osmolality": buffer("osmolality", 150.0, "mmol/kg", "osmolality of the eluent"),
    }
    liquid_outlet(m, Liquid(flow, {k: flow * c for k, c in content.items()}), content, "eluate")
