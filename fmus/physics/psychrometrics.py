"""Moist air: how much water it carries when saturated, and enthalpies above 0 degC and liquid water."""

from __future__ import annotations

from typing import Any

import casadi as ca

#: specific heat of dry air and of water vapour [J/(kg K)]
HEAT_CAPACITY_AIR = 1006.0
HEAT_CAPACITY_VAPOUR = 1860.0
#: heat of evaporation of water at 0 degC [J/kg]
EVAPORATION_HEAT = 2.501e6
#: molar mass of water over that of dry air
MOLAR_MASS_RATIO = 0.622
_ZERO_CELSIUS = 273.15


def saturation_pressure(temperature: Any) -> Any:
    """Vapour pressure [Pa] over water at ``temperature`` [K] (Magnus formula, Alduchov and Eskridge 1996)."""
    celsius = temperature - _ZERO_CELSIUS
    return 610.94 * ca.exp(17.625 * celsius / (celsius + 243.04))


def saturation_humidity(temperature: Any, pressure: Any) -> Any:
    """Water per dry air, by mass, in saturated air at ``temperature`` [K] and ``pressure`` [Pa].

    Bounded at 0.9 of the pressure: near the boiling point the quotient has a pole.
    """
    vapour = ca.fmin(saturation_pressure(temperature), 0.9 * pressure)
    return MOLAR_MASS_RATIO * vapour / (pressure - vapour)


def relative_humidity(temperature: Any, humidity: Any, pressure: Any) -> Any:
    """Vapour pressure of air at ``temperature`` [K] with ``humidity`` over that of saturated air."""
    return pressure * humidity / (MOLAR_MASS_RATIO + humidity) / saturation_pressure(temperature)


def heat_capacity(humidity: Any) -> Any:
    """Specific heat [J/(kg K)] of air with ``humidity``, per dry air."""
    return HEAT_CAPACITY_AIR + humidity * HEAT_CAPACITY_VAPOUR


def vapour_enthalpy(temperature: Any) -> Any:
    """Enthalpy [J/kg] of water vapour at ``temperature`` [K] above liquid at 0 degC."""
    return EVAPORATION_HEAT + HEAT_CAPACITY_VAPOUR * (temperature - _ZERO_CELSIUS)
