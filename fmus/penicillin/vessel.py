"""Gas, heat and pH of the stirred vessel of IndPenSim. Rates per hour."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, NamedTuple

import casadi as ca
import numpy as np

#: volume of a mole of gas [L] and molar masses [g/mol]
_MOLAR_VOLUME = 22.4
_OXYGEN, _CARBON_DIOXIDE, _AIR = 32.0, 44.0, 28.97


class Flows(NamedTuple):
    """What enters and leaves: L/h, aeration m^3/min, discharge and ammonia kg/h, pressure bar over ambient, rpm."""

    sugar: Any
    oil: Any
    paa: Any
    water: Any
    base: Any
    acid: Any
    coolant: Any
    heating: Any
    aeration: Any
    pressure: Any
    agitator: Any
    discharge: Any
    ammonia: Any


class Gas(NamedTuple):
    """Saturation [mg/L] at the mean pressure [bar], kLa [1/h], power of agitation and aeration [kW], air [m^3/s]."""

    saturation: Any
    pressure: Any
    kla: Any
    power: Any
    air: Any


def gas_transfer(
    p: SimpleNamespace, f: Flows, *, volume: Any, density: Any, viscosity: Any, temperature: Any, oxygen: Any, kla: Any
) -> Gas:
    """Oxygen transfer from geometry, agitation and aeration.

    Args:
        p: parameters.
        f: flows.
        volume: of broth [L].
        density: of broth [kg/m^3].
        viscosity: of broth [cP].
        temperature: of broth [K].
        oxygen: fraction in the air fed.
        kla: coefficient of kLa.
    """
    cubic = volume / 1000.0
    height = cubic / (np.pi * p.vessel_radius**2) * (1.0 - p.gas_holdup)
    top = 1.0 + f.pressure
    bottom = top + density * height * 9.81e-5
    pressure = (bottom - top) / ca.log(bottom / top)
    # no air at all would need infinite power, no stirring would divide by zero
    air = ca.fmax(f.aeration, 0.05) / 60.0
    turns = ca.fmax(f.agitator, 1.0) / 60.0
    diameter = 2.0 * p.impeller_radius
    ungassed = p.impellers * p.power_number * density * turns**3 * diameter**5
    gassed = 0.706 * (ungassed**2 * turns * diameter**3 / air**0.56) ** 0.45
    stirring = ca.fmin(gassed, ungassed) / 1000.0
    velocity = air / (np.pi * p.vessel_radius**2)
    # the authors' mixed units of aeration power are kept
    aeration = (
        velocity
        * p.gas_constant
        * temperature
        * cubic
        / (_MOLAR_VOLUME * height)
        * ca.log(1.0 + density * p.gravity * height / (top * 1e5))
    )
    power = stirring + aeration
    # the small number keeps the slope finite without oil
    oil = (f.oil / volume + 1e-20) ** p.kla_oil_exponent
    coefficient = (
        kla
        * velocity**p.kla_velocity_exponent
        * (power / cubic) ** p.kla_power_exponent
        * (ca.fmax(viscosity, 1.0) / 100.0) ** p.kla_viscosity_exponent
        * (1.0 - oil)
    )
    return Gas(pressure * oxygen / p.henry_oxygen, pressure, coefficient, power, air)


def offgas(
    p: SimpleNamespace, gas: Gas, *, volume: Any, oxygen_in: Any, oxygen: Any, carbon_dioxide: Any, transfer: Any,
    evolution: Any,
) -> tuple[Any, Any]:  # fmt: skip
    """How oxygen [1] and carbon dioxide [%] in the off-gas change.

    Args:
        p: parameters.
        gas: aeration.
        volume: of broth [L].
        oxygen_in: fraction in the air fed.
        oxygen: fraction in the off-gas.
        carbon_dioxide: in the off-gas [%].
        transfer: of oxygen into the broth [mg/(L h)].
        evolution: of carbon dioxide [g/h].
    """
    cubic = volume / 1000.0
    held = p.gas_holdup * cubic * _AIR * 1000.0 / _MOLAR_VOLUME
    oxygen_flow = 60.0 * gas.air * 1000.0 * _OXYGEN / _MOLAR_VOLUME
    out = oxygen_flow * p.nitrogen_in_air / ca.fmax(1.0 - oxygen - carbon_dioxide / 100.0, 0.01)
    carbon_flow = 60.0 * gas.air * 1000.0 * _CARBON_DIOXIDE / _MOLAR_VOLUME
    return (
        (oxygen_flow * oxygen_in - out * oxygen - 0.06 * transfer * cubic) / held,
        (carbon_flow * (p.carbon_dioxide_in_air - carbon_dioxide) + evolution) / held,
    )


def dissolved_carbon_dioxide_saturation(gas: Gas, temperature: Any, carbon_dioxide: Any) -> Any:
    """In g/L, from the off-gas [%]."""
    return gas.pressure * carbon_dioxide * 4400.0 / ca.exp(11.25 - 395.9 / (temperature - 175.9))


def hydrogen_change(p: SimpleNamespace, f: Flows, *, hydrogen: Any, volume: Any, strength: Any, reactions: Any) -> Any:
    """How the hydrogen ions change [mol/(L h)]: reactions, feeds, acid and base against water's equilibrium.

    The authors' form for pH below 7, which their fermentations never leave, in which acid and base count with the
    amount of one solver step.

    Args:
        p: parameters.
        f: flows.
        hydrogen: ions [mol/L].
        volume: of broth [L].
        strength: of acid and base [mol/L].
        reactions: growth, production and maintenance [g/(L h)].
    """
    acid, base = f.acid * p.ph_mixing_time, f.base * p.ph_mixing_time
    net = (hydrogen * volume + strength * (acid - base)) / (volume + acid + base)
    # the root of net = H - 1e-14 / H, without the difference of two nearly equal numbers
    square = ca.sqrt(net**2 + 4e-14)
    balanced = ca.if_else(net > 0.0, 0.5 * (net + square), 2e-14 / (square - net))
    fed = f.sugar + f.oil + f.base + f.acid + f.water - f.discharge
    # what is consumed must leave some
    formed = p.hydrogen_per_reaction * reactions + p.hydrogen_per_feed * fed
    share = 1.0 - ca.exp(-ca.fmax(hydrogen, 0.0) / 1e-10)
    return ca.fmax(formed, 0.0) + ca.fmin(formed, 0.0) * share + (balanced - hydrogen) / p.ph_relaxation_time


def coil_heat(p: SimpleNamespace, *, flow: Any, difference: Any, density: Any) -> Any:
    """Heat that a coil takes from the broth [kJ/h]: water of ``flow`` [L/h], ``difference`` [K] to the broth.

    The authors' alpha F^(b+1) / (F + alpha F^b rho c / 2), divided by F so that no flow is no heat.
    """
    moving = flow + 1e-9  # keeps the slope by the exponent finite where nothing flows
    film = p.coil_coefficient * (moving / 1000.0) ** (p.coil_exponent - 1.0) * density * p.feed_heat_capacity / 2.0
    return p.coil_coefficient * moving**p.coil_exponent * difference / (1.0 + film)
