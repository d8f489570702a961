"""Granule streams between granulator, dryer, mill and blender: dry solids, water, API, size classes, temperature.

The size of dry solids is a vector of mass fractions on one shared grid of geometric classes, so that a stream connects
without conversion; in FMI 3.0 it is one array, in FMI 2.0 scalars ``outlet.size[1]`` and so on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import casadi as ca
import numpy as np

from fmus.model import Role, UnitModel

#: edges of the shared size classes [m]: 30 geometric classes from 20 um to 4 mm
SIZE_EDGES = np.geomspace(20e-6, 4e-3, 31)
#: representative size of each class [m], the geometric mean of its edges
SIZES = np.sqrt(SIZE_EDGES[:-1] * SIZE_EDGES[1:])
N_SIZES = len(SIZES)

# specific heat [J/(kg K)] of dry pharmaceutical powder (lactose, MCC: 1.2 to 1.3) and of water
HEAT_CAPACITY_SOLID = 1250.0
HEAT_CAPACITY_WATER = 4186.0
_ZERO_CELSIUS = 273.15
# below this flow of dry solids [kg/s] its composition is a quotient of rounding errors
_STILL = 1e-7


@dataclass(frozen=True)
class GranuleFlow:
    """The extensive parts of a stream (per second) or of a hold-up.

    Attributes:
        dry: dry solids [kg/s] or [kg].
        api: API [kg/s] or [kg].
        water: [kg/s] or [kg].
        volume: bulk volume [m^3/s] or [m^3].
        heat: enthalpy above 0 degC [W] or [J], see `enthalpy`.
        size: dry solids in each class, a column of `N_SIZES` [kg/s] or [kg]; its sum is ``dry``.
    """

    dry: Any
    api: Any
    water: Any
    volume: Any
    heat: Any
    size: Any


@dataclass(frozen=True)
class GranuleInlet:
    """The declared inputs of a granule stream.

    Attributes:
        mass_flow: wet, kg/s.
        api_fraction: kg API per kg of dry solids.
        moisture: kg water per kg of dry solids.
        temperature: K.
        bulk_density: kg/m^3, wet.
        size: mass fractions of dry solids in the shared classes.
    """

    mass_flow: Any
    api_fraction: Any
    moisture: Any
    temperature: Any
    bulk_density: Any
    size: Any

    @property
    def flows(self) -> GranuleFlow:
        """What flows in each second. The size fractions are normalised: they need not sum to exactly 1."""
        dry = self.mass_flow / (1.0 + self.moisture)
        return GranuleFlow(
            dry=dry,
            api=dry * self.api_fraction,
            water=dry * self.moisture,
            volume=self.mass_flow / self.bulk_density,
            heat=enthalpy(dry, dry * self.moisture, self.temperature),
            size=dry * self.size / ca.fmax(ca.sum1(self.size), 1e-12),
        )


def enthalpy(dry: Any, water: Any, temperature: Any) -> Any:
    """Enthalpy above 0 degC of dry solids and liquid water at ``temperature`` [K]."""
    return (dry * HEAT_CAPACITY_SOLID + water * HEAT_CAPACITY_WATER) * (temperature - _ZERO_CELSIUS)


def temperature(dry: Any, water: Any, heat: Any) -> Any:
    """Temperature [K] of dry solids and water with the enthalpy ``heat`` above 0 degC."""
    return _ZERO_CELSIUS + heat / ca.fmax(dry * HEAT_CAPACITY_SOLID + water * HEAT_CAPACITY_WATER, 1e-12)


def lognormal_fractions(median: float, sigma: float) -> np.ndarray:
    """Mass fractions of the shared classes for a log-normal size distribution.

    Args:
        median: by mass [m].
        sigma: standard deviation of the logarithm.
    """
    cumulative = np.array([0.5 * math.erfc(-math.log(d / median) / (sigma * math.sqrt(2.0))) for d in SIZE_EDGES])
    cumulative[0], cumulative[-1] = 0.0, 1.0
    return np.diff(cumulative)


def granule_inlet(
    m: UnitModel, name: str, mass_flow: float, api_fraction: float, *, moisture: float = 0.02, median: float = 500e-6
) -> GranuleInlet:
    """Declare the inputs ``name.*`` of a stream with these start values; ``mass_flow`` in kg/s, ``median`` in m."""
    declared = GranuleInlet(
        m.input(
            f"{name}.mass_flow",
            mass_flow,
            "kg/s",
            f"wet mass flow of {name}",
            minimum=0.0,
            nominal=5e-3,
            display_unit="kg/h",
        ),
        m.input(
            f"{name}.api_fraction", api_fraction, "1", "API per dry solids, by mass", minimum=0.0, maximum=1.0 + 1e-6
        ),
        m.input(f"{name}.moisture", moisture, "1", "water per dry solids, by mass", minimum=0.0, maximum=2.0),
        m.input(
            f"{name}.temperature",
            298.15,
            "K",
            f"temperature of {name}",
            minimum=250.0,
            maximum=420.0,
            display_unit="degC",
        ),
        m.input(f"{name}.bulk_density", 480.0, "kg/m^3", f"wet bulk density of {name}", minimum=50.0, maximum=1500.0),
        m.input(
            f"{name}.size",
            lognormal_fractions(median, 0.6).tolist(),
            "1",
            "mass fraction of dry solids by size class",
            minimum=-1e-9,
            maximum=1.0 + 1e-6,
            nominal=0.1,
        ),
    )
    _terminal(m, name)
    return declared


def granule_outlet(m: UnitModel, flow: GranuleFlow, held: GranuleFlow, name: str = "outlet") -> None:
    """Declare the outputs ``name.*``: the means of ``flow`` over the last communication step.

    Args:
        m: the unit model.
        flow: what leaves each second.
        held: what is held up, whose composition stands in while nothing flows.
        name: of the stream.
    """
    dry, api, water, volume, heat = (m.mean(part) for part in (flow.dry, flow.api, flow.water, flow.volume, flow.heat))
    size = m.mean(flow.size)
    flowing = dry > _STILL
    held_dry = ca.fmax(held.dry, 1e-12)

    def composed(moving: Any, resting: Any, low: float = 0.0, high: float = 1.0) -> Any:
        # of next to nothing the composition is a quotient of rounding errors: kept within what an inlet takes
        return ca.if_else(flowing, moving, ca.fmin(ca.fmax(resting, low), high))

    safe = ca.fmax(dry, _STILL)
    m.output(
        f"{name}.mass_flow",
        ca.fmax(dry + water, 0.0),
        "kg/s",
        "wet mass flow, mean of the step",
        nominal=5e-3,
        display_unit="kg/h",
    )
    m.output(
        f"{name}.api_fraction",
        composed(api / safe, held.api / held_dry),
        "1",
        "API per dry solids, by mass",
        role=Role.CQA,
        nominal=0.1,
    )
    m.output(
        f"{name}.moisture",
        composed(water / safe, held.water / held_dry, 0.0, 2.0),
        "1",
        "water per dry solids, by mass",
        role=Role.CQA,
        nominal=0.1,
    )
    m.output(
        f"{name}.temperature",
        composed(temperature(safe, water, heat), temperature(held.dry, held.water, held.heat), 250.0, 420.0),
        "K",
        "temperature",
        nominal=300.0,
        display_unit="degC",
    )
    m.output(
        f"{name}.bulk_density",
        composed(
            (dry + water) / ca.fmax(volume, 1e-12),
            (held.dry + held.water) / ca.fmax(held.volume, 1e-12),
            50.0,
            1500.0,
        ),
        "kg/m^3",
        "wet bulk density",
        nominal=500.0,
    )
    m.output(
        f"{name}.size",
        composed(size / safe, held.size / held_dry),
        "1",
        "mass fraction of dry solids by size class",
        nominal=0.1,
    )
    _terminal(m, name)


def _terminal(m: UnitModel, name: str) -> None:
    parts = ("mass_flow", "api_fraction", "moisture", "temperature", "bulk_density", "size")
    m.terminal(name, "granule_stream", {part: f"{name}.{part}" for part in parts}, f"granules, {name}")
