"""How temperature, pH and dissolved oxygen act on the cells: factors on the published rates, 1 where those hold."""

from __future__ import annotations

from typing import Any

import casadi as ca

from fmus.bioreactor.interface import ILLUSTRATIVE, REFERENCE_TEMPERATURE, Inputs
from fmus.bioreactor.kinetics import Effects
from fmus.model import UnitModel

_COLD = (
    "direction: mild hypothermia slows growth and death and raises productivity in batch culture "
    "(e.g. Vergara et al. 2014, PLoS ONE 9, e93865, discuss it); value illustrative, uncalibrated"
)
_ACID = (
    "direction: a lower pH slows growth and metabolism (Trummer et al. 2006, Biotechnol. Bioeng. 94, 1033, abstract); "
    "the same above pH 7 and value illustrative, uncalibrated"
)


def declare_effects(m: UnitModel, inputs: Inputs, temperature: Any, ph: Any, oxygen: Any) -> Effects:
    """Declare the parameters ``effect.*`` and return the factors.

    With s the sensitivity, dT and dpH the distance from the reference and DO the dissolved oxygen::

        growth       = g exp(-s (dT/w_T)^2 - s (dpH/w_pH)^2) (1 - s exp(-(DO/DO_g)^2))
        death        = exp(s k_d dT) (1 + s (dpH/w_d)^2)
        productivity = p exp(-s k_p dT - s (dpH/w_p)^2)

    Args:
        m: the unit model.
        inputs: the growth and productivity factors g and p, both disturbances.
        temperature: K.
        ph: 1.
        oxygen: dissolved oxygen in percent of air saturation.
    """

    def parameter(name: str, value: float, unit: str, text: str, source: str = ILLUSTRATIVE) -> Any:
        return m.parameter(f"effect.{name}", value, unit, text, source=source, minimum=0.0, tunable=True)

    s = m.parameter(
        "effect.sensitivity",
        1.0,
        "1",
        "0: temperature, pH and oxygen do not act, the published kinetics hold everywhere",
        source="chosen",
        minimum=0.0,
        maximum=1.0,
        tunable=True,
    )
    reference = m.parameter(
        "effect.reference_temperature",
        REFERENCE_TEMPERATURE,
        "K",
        "where the published kinetics hold",
        source="36.8 to 37.2 degC: Badr et al. 2021; assumed for the other kinetics",
        display_unit="degC",
        minimum=300.0,
    )
    neutral = m.parameter("effect.reference_ph", 7.0, "1", "where the published kinetics hold", source="assumed")
    warmer, off = temperature - reference, ph - neutral
    growth_width = parameter("growth_temperature_width", 4.8, "K", "distance at which growth falls to 1/e", _COLD)
    growth_ph = parameter("growth_ph_width", 0.45, "1", "distance at which growth falls to 1/e", _ACID)
    growth_oxygen = parameter("growth_oxygen", 8.0, "%", "dissolved oxygen at which growth loses 1/e")
    death_cold = parameter("death_per_kelvin", 0.12, "1/K", "relative rise of death with temperature", _COLD)
    death_ph = parameter("death_ph_width", 0.4, "1", "distance at which death is doubled")
    mab_cold = parameter("productivity_per_kelvin", 0.065, "1/K", "relative fall of productivity", _COLD)
    mab_ph = parameter("productivity_ph_width", 0.6, "1", "distance at which productivity falls to 1/e")
    breathing = 1.0 - s * ca.exp(-((oxygen / growth_oxygen) ** 2))
    return Effects(
        growth=inputs.growth_factor * ca.exp(-s * ((warmer / growth_width) ** 2 + (off / growth_ph) ** 2)) * breathing,
        death=ca.exp(s * death_cold * warmer) * (1.0 + s * (off / death_ph) ** 2),
        productivity=inputs.productivity_factor * ca.exp(-s * (mab_cold * warmer + (off / mab_ph) ** 2)),
    )
