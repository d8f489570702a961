"""What powder on its way to a press is like: moisture, lubrication, size and porosity of its granules.

A bundle beside the solid stream, ``inlet_attributes`` beside ``inlet``: units that need no more than mass, API and bulk
volume do not carry it, and where nothing is connected the powder is the reference powder.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import Any, NamedTuple

import casadi as ca

from fmus.model import Role, UnitModel

#: the reference powder, at which every effect on a tablet is 1; near what the wet-granulation line makes
REFERENCE = {"moisture": 0.02, "lubrication": 1.5, "granule_size": 250.0, "granule_porosity": 0.34}
_TERMINAL = "powder_attributes"
# dry powder [kg/s] or [kg] below which attributes are quotients of rounding errors
_STILL = 1e-7


class Carried(NamedTuple):
    """What mixes in proportion: of a flow in kg/s, of a hold-up in kg.

    Attributes:
        water: mass.
        lubrication: dry powder times lubrication.
        log_size: dry powder times ln(granule size / 1 mm).
        pores: volume of the granules' pores times their true density, which is dry powder times eps/(1 - eps).
    """

    water: Any
    lubrication: Any
    log_size: Any
    pores: Any


#: of `Carried`, for the states that hold it: name, unit, description, nominal per kg of powder
CARRIED = (
    ("water", "kg", "water", 0.01),
    ("lubrication", "kg", "dry powder times lubrication", 1.0),
    ("log_size", "kg", "dry powder times ln(granule size/1 mm)", 1.0),
    ("pores", "kg", "granules' pore volume times true density", 0.5),
)


@dataclass(frozen=True)
class PowderAttributes:
    """Attributes of a powder.

    Attributes:
        moisture: water per dry powder.
        lubrication: lubricant per dry powder times the turns of impellers that it has seen.
        granule_size: median by mass [um].
        granule_porosity: pores within granules per volume of granules.
    """

    moisture: Any
    lubrication: Any
    granule_size: Any
    granule_porosity: Any

    def carried(self, mass: Any) -> Carried:
        """What ``mass`` of moist powder carries."""
        dry = mass / (1.0 + self.moisture)
        return Carried(
            water=dry * self.moisture,
            lubrication=dry * self.lubrication,
            log_size=dry * ca.log(self.granule_size * 1e-3),
            pores=dry * self.granule_porosity / (1.0 - self.granule_porosity),
        )

    @staticmethod
    def of(mass: Any, carried: Carried) -> PowderAttributes:
        """The attributes of ``mass`` of moist powder that carries this; within the range of an inlet at any rate."""
        dry = ca.fmax(mass - carried.water, _STILL)
        void_ratio = ca.fmax(carried.pores / dry, 0.0)
        return PowderAttributes(
            moisture=ca.fmin(ca.fmax(carried.water / dry, 0.0), _MOST["moisture"]),
            lubrication=ca.fmin(ca.fmax(carried.lubrication / dry, 0.0), _MOST["lubrication"]),
            granule_size=ca.fmin(ca.fmax(1e3 * ca.exp(carried.log_size / dry), 1.0), _MOST["granule_size"]),
            granule_porosity=ca.fmin(void_ratio / (1.0 + void_ratio), _MOST["granule_porosity"]),
        )


_TEXTS = (
    ("moisture", "1", "water per dry powder", 0.0, 0.05),
    ("lubrication", "1", "lubricant per dry powder times turns of the impeller seen", 0.0, 1.0),
    ("granule_size", "um", "median granule size by mass", 1.0, 500.0),
    ("granule_porosity", "1", "porosity of the granules", 0.0, 0.5),
)
_MOST = {"moisture": 0.5, "lubrication": 100.0, "granule_size": 5000.0, "granule_porosity": 0.9}


def attributes_inlet(m: UnitModel, name: str = "inlet_attributes") -> PowderAttributes:
    """Declare the inputs ``name.*``, which start as the reference powder's."""
    # a value at its limit arrives with the rounding errors of its conversion
    declared = [
        m.input(
            f"{name}.{part}",
            REFERENCE[part],
            unit,
            text,
            minimum=low - 1e-9,
            maximum=_MOST[part] * (1.0 + 1e-9),
            nominal=nominal,
            role=Role.CMA,
        )
        for part, unit, text, low, nominal in _TEXTS
    ]
    _declare_terminal(m, name)
    return PowderAttributes(*declared)


def attributes_outlet(
    m: UnitModel,
    flow: tuple[Any, Carried],
    held: tuple[Any, Carried],
    name: str = "outlet_attributes",
) -> None:
    """Declare the outputs ``name.*``: those of the powder that left in the last communication step.

    Args:
        m: the unit model.
        flow: mass flow of moist powder [kg/s] and what it carries [kg/s].
        held: mass [kg] and what it carries [kg], whose attributes stand in while nothing flows.
        name: of the bundle.
    """
    dry = m.mean(flow[0] - flow[1].water)
    carried = Carried(*(m.mean(part) for part in flow[1]))
    moving = astuple(PowderAttributes.of(dry + carried.water, carried))
    resting = astuple(PowderAttributes.of(*held))
    for (part, unit, text, _, nominal), flows, rests in zip(_TEXTS, moving, resting, strict=True):
        value = ca.if_else(dry > _STILL, flows, rests)
        m.output(f"{name}.{part}", value, unit, text, role=Role.CMA, nominal=nominal)
    _declare_terminal(m, name)


def _declare_terminal(m: UnitModel, name: str) -> None:
    m.terminal(name, _TERMINAL, {part: f"{name}.{part}" for part, *_ in _TEXTS}, f"attributes of the powder, {name}")
