"""What a powder's attributes and the speed of the turret do to compression, strength and ejection of a tablet.

Every factor here is exactly 1 for the reference powder at the reference speed without pre-compression, for which the
press is calibrated. The equations are in the docstring of `fmus.units.tablet_press.tablet_press`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import casadi as ca

from fmus.model import UnitModel
from fmus.physics.powder_attributes import REFERENCE, PowderAttributes

_ILLUSTRATIVE = "illustrative, uncalibrated"
_KUSHNER = "form after Kushner; value illustrative, uncalibrated"
_DENSIFIED = "illustrative, within what roller compaction does to MCC (PMC3167253, Table III)"
_OFF = "0: not told by the plant's records, which are of one speed; "
# share of the reference speed below which a turret counts as turning so: dwell times of a press at rest are infinite
_SLOWEST = 0.01
_TINY = 1e-6


def reference_powder(m: UnitModel) -> PowderAttributes:
    """Declare the attributes at which every effect of the powder is 1."""
    text = "at which its effects are 1"
    return PowderAttributes(
        m.parameter("reference_moisture", REFERENCE["moisture"], "1", f"moisture {text}", source=_ILLUSTRATIVE),
        m.parameter(
            "reference_lubrication",
            REFERENCE["lubrication"],
            "1",
            f"lubricant times turns {text}",
            source="1 % lubricant, 150 turns; " + _ILLUSTRATIVE,
        ),
        m.parameter(
            "reference_granule_size",
            REFERENCE["granule_size"],
            "um",
            f"granule size {text}",
            source=_ILLUSTRATIVE,
            minimum=1.0,
        ),
        m.parameter(
            "reference_granule_porosity", REFERENCE["granule_porosity"], "1", f"porosity {text}", source=_ILLUSTRATIVE
        ),
    )


def slowed(speed: Any, reference: Any) -> Any:
    """Speed over the reference speed, not quite 0."""
    return ca.fmax(speed / reference, _SLOWEST)


def yield_effect(m: UnitModel, powder: PowderAttributes, reference: PowderAttributes, relative_speed: Any) -> Any:
    """Yield pressure over that of the reference powder at the reference speed."""
    speed = m.parameter(
        "strain_rate_exponent",
        0.0,
        "1",
        "how the yield pressure rises with the speed",
        source=_OFF + "about 0.02 to 0.04 for MCC and lactose, illustrative",
    )
    moisture = m.parameter("moisture_softening", 6.0, "1", "how moisture lowers it", source=_ILLUSTRATIVE)
    porosity = m.parameter("porosity_softening", 0.5, "1", "how granule porosity lowers it", source=_DENSIFIED)
    softer = moisture * (powder.moisture - reference.moisture)
    softer += porosity * (powder.granule_porosity - reference.granule_porosity)
    return relative_speed**speed * ca.exp(-softer)


def strength_effect(m: UnitModel, powder: PowderAttributes, reference: PowderAttributes) -> Any:
    """Tensile strength over that of the reference powder, at the same solid fraction."""
    beta = m.parameter("lubrication_loss", 0.4, "1", "strength that lubrication can take", source=_KUSHNER, maximum=1.0)
    rate = m.parameter("lubrication_rate", 0.5, "1", "how fast, per lubricant times turns", source=_KUSHNER)
    moisture = m.parameter("moisture_loss", 8.0, "1", "how strength falls with moisture", source=_ILLUSTRATIVE)
    porosity = m.parameter("porosity_gain", 2.0, "1", "how it rises with granule porosity", source=_DENSIFIED)
    size = m.parameter("size_exponent", 0.1, "1", "how it falls with granule size", source=_ILLUSTRATIVE)

    def lubricated(lubrication: Any) -> Any:
        return 1.0 - beta * (1.0 - ca.exp(-rate * lubrication))

    gain = porosity * (powder.granule_porosity - reference.granule_porosity)
    gain -= moisture * (powder.moisture - reference.moisture)
    relative_size = powder.granule_size / reference.granule_size
    return lubricated(powder.lubrication) / lubricated(reference.lubrication) * ca.exp(gain) * relative_size ** (-size)


@dataclass(frozen=True)
class Air:
    """Air in the powder that the main roller meets.

    Attributes:
        relative: what the main roller has to drive out, over that at the reference speed without pre-compression.
        effect: on the tensile strength, over that at the same reference.
    """

    relative: Any
    effect: Any


def trapped_air(m: UnitModel, strains: tuple[Any, Any], loosest: Any, relative_speed: Any) -> Air:
    """What pre-compression and time leave of the air.

    Args:
        m: the unit model.
        strains: -ln(1 - solid fraction) at the pre-roller and at the main roller.
        loosest: the same of powder that bears no force.
        relative_speed: of `slowed`.
    """
    loss = m.parameter("air_loss", 0.15, "1", "strength that trapped air takes", source=_ILLUSTRATIVE)
    speed = m.parameter(
        "air_speed_exponent", 0.0, "1", "how less time leaves more air", source=_OFF + "about 0.5, illustrative"
    )

    def voids(strain: Any) -> Any:
        return 1.0 / (ca.exp(strain) - 1.0)  # volume of pores per volume of solid

    before, main = strains
    left = voids(main)
    driven = relative_speed**speed * ca.fmax(voids(before) - left, 0.0)
    reference = ca.fmax(voids(loosest) - left, 0.0)
    return Air((driven + _TINY) / (reference + _TINY), ca.exp(-loss * (driven - reference)))


def ejection_force(m: UnitModel, powder: PowderAttributes, pressure: Any, wall: Any, sticking: Any) -> Any:
    """Ejection force in N.

    Args:
        m: the unit model.
        powder: its lubrication sets the friction.
        pressure: greatest compression pressure [MPa].
        wall: area of the tablet's band at the die wall [mm^2].
        sticking: factor on the friction.
    """
    residual = m.parameter(
        "residual_wall_stress",
        0.192,
        "1",
        "stress on the die wall after compression, per pressure",
        source="fitted with the friction of the reference powder to Zagar & Mihelic 2022, products 3 and 7",
    )
    dry = m.parameter("friction_unlubricated", 0.4, "1", "friction at the die wall", source=_ILLUSTRATIVE)
    lubricated = m.parameter("friction_lubricated", 0.1, "1", "of fully lubricated powder", source=_ILLUSTRATIVE)
    rate = m.parameter("friction_rate", 1.2, "1", "how fast lubrication lowers it", source=_ILLUSTRATIVE)
    friction = sticking * (lubricated + (dry - lubricated) * ca.exp(-rate * powder.lubrication))
    return friction * residual * pressure * wall


def dwell_time(m: UnitModel, speed: Any, slowest: Any) -> Any:
    """Time [ms] for which the flat of a punch head is under a roller, at ``speed`` [1/h] and not below ``slowest``."""
    source = "rotary press with B tooling; " + _ILLUSTRATIVE
    stations = m.parameter("stations", 36.0, "1", "punch stations of the turret", source=source, minimum=1.0)
    circle = m.parameter("pitch_circle_diameter", 410.0, "mm", "of the punches on the turret", source=source)
    flat = m.parameter("head_flat", 9.5, "mm", "diameter of the flat of a punch head", source=source)
    path = math.pi * circle / stations  # mm of the pitch circle per tablet
    return 3.6e6 * flat / (path * ca.fmax(speed, slowest))
