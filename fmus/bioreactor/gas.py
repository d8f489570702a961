"""Geometry of the vessel, gas transfer by agitation and sparging, and what leaves with the off-gas."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import casadi as ca

from fmus.bioreactor.interface import ILLUSTRATIVE, REFERENCE_TEMPERATURE
from fmus.model import UnitModel

_RIET = "van 't Riet 1979 (Ind. Eng. Chem. Process Des. Dev. 18, 357), coalescing; recalled, not read"
_SANDER = "Henry's law constants, Sander 2015 (Atmos. Chem. Phys. 15, 4399); recalled, not read"
_ATMOSPHERE = 1.01325  # bar
_WATER_VAPOUR = 0.0628  # bar, saturated at 37 degC
#: oxygen in dry air
AIR_OXYGEN = 0.2095
_AIR_CO2 = 4e-4
_MOLAR = 22.414  # L/mol at 0 degC and 1 atm
_DENSITY = 1000.0  # kg/m^3


@dataclass(frozen=True)
class Vessel:
    """Geometry and mixing.

    Attributes:
        working: working volume, L.
        diameter: of the vessel, m.
        level: liquid height, m.
        power: of the stirrer, W.
        power_input: W/m^3.
        mixing_time: s.
    """

    working: Any
    diameter: Any
    level: Any
    power: Any
    power_input: Any
    mixing_time: Any


def declare_vessel(m: UnitModel, working_volume: float) -> tuple[Any, Any]:
    """Declare working volume [L] and geometry; the vessel's and the stirrer's diameter [m] follow from them."""
    working = m.parameter(
        "working_volume",
        working_volume,
        "L",
        "volume at which the vessel is full: its scale",
        source="chosen",
        minimum=0.05,
    )
    slender = m.parameter(
        "vessel.aspect_ratio",
        1.5,
        "1",
        "height of the liquid over the diameter, full",
        source=ILLUSTRATIVE,
        minimum=0.1,
    )
    return working, (4e-3 * working / (math.pi * slender)) ** (1.0 / 3.0)


def stirred(m: UnitModel, working: Any, diameter: Any, volume: Any, speed: Any) -> Vessel:
    """What the stirrer does at ``speed`` [rpm] in ``volume`` [L].

    That is::

    P = N_p rho N^3 D_i^5,   t_mix = 5.9 D^(2/3) (P/(rho V))^(-1/3) (D_i/D)^(-1/3)
    """
    number = m.parameter("stirrer.power_number", 1.5, "1", "power number of all impellers", source=ILLUSTRATIVE)
    share = m.parameter("stirrer.diameter_ratio", 0.4, "1", "impeller over vessel diameter", source=ILLUSTRATIVE)
    power = number * _DENSITY * (speed / 60.0) ** 3 * (share * diameter) ** 5
    cubic = 1e-3 * volume
    dissipated = power / (_DENSITY * cubic) + 1e-6
    # Nienow 1997: independent of the impeller
    mixing = 5.9 * diameter ** (2.0 / 3.0) * dissipated ** (-1.0 / 3.0) * share ** (-1.0 / 3.0)
    level = cubic / (math.pi / 4.0 * diameter**2)
    return Vessel(working, diameter, level, power, power / cubic, mixing)


@dataclass(frozen=True)
class Gases:
    """Sparged gas, mmol/h of each."""

    oxygen: Any
    carbon_dioxide: Any
    inert: Any

    @property
    def total(self) -> Any:
        """mmol/h."""
        return self.oxygen + self.carbon_dioxide + self.inert


def sparged(working: Any, air: Any, oxygen: Any, carbon_dioxide: Any, nitrogen: Any) -> Gases:
    """Gas flows [1/min: normal litres per litre of working volume] as mmol/h."""
    molar = working * 60.0 / _MOLAR * 1000.0
    return Gases(
        molar * (AIR_OXYGEN * air + oxygen),
        molar * (_AIR_CO2 * air + carbon_dioxide),
        molar * ((1.0 - AIR_OXYGEN - _AIR_CO2) * air + nitrogen),
    )


@dataclass(frozen=True)
class Solubility:
    """What a liquid at ``temperature`` holds of a gas, mmol/L per bar of its partial pressure."""

    oxygen: Any
    carbon_dioxide: Any
    saturated: Any


def solubility(temperature: Any) -> Solubility:
    """Henry's law in water; ``saturated`` is the oxygen [mmol/L] at 1 atm of humid air: DO 100 %."""
    colder = 1.0 / temperature - 1.0 / 298.15
    oxygen = 1.3 / _ATMOSPHERE * ca.exp(1700.0 * colder)
    carbon_dioxide = 34.0 / _ATMOSPHERE * ca.exp(2400.0 * colder)
    return Solubility(oxygen, carbon_dioxide, oxygen * AIR_OXYGEN * (_ATMOSPHERE - _WATER_VAPOUR))


@dataclass(frozen=True)
class Transfer:
    """Gas transfer.

    Attributes:
        kla: 1/h, of oxygen.
        oxygen: into the liquid, mmol/h.
        carbon_dioxide: out of the liquid, mmol/h.
        off_oxygen: dry mole fraction in the off-gas.
        off_carbon_dioxide: dry mole fraction in the off-gas.
    """

    kla: Any
    oxygen: Any
    carbon_dioxide: Any
    off_oxygen: Any
    off_carbon_dioxide: Any


def transferred(
    m: UnitModel, vessel: Vessel, volume: Any, temperature: Any, gases: Gases, oxygen: Any, carbon_dioxide: Any
) -> Transfer:
    """Transfer between bubbles and a liquid with ``oxygen`` and ``carbon_dioxide`` dissolved [mmol/L].

    With n_in of a gas sparged and G all gas [mmol/h], p its mean pressure and H the solubility. Bubbles are mixed: they
    hold what leaves, so that they exhaust and large vessels strip less carbon dioxide::

        kLa = k (P/V)^a v_s^b 1.024^(T - 37 degC)
        N   = kLa V (H p n_in - c G)/(G + kLa V H p)
    """
    coefficient = m.parameter("gas.kla_coefficient", 0.026, "1/s", "kLa at 1 W/m^3 and 1 m/s", source=_RIET)
    by_power = m.parameter("gas.kla_power_exponent", 0.4, "1", "how kLa rises with power", source=_RIET)
    by_gas = m.parameter("gas.kla_gas_exponent", 0.5, "1", "how kLa rises with the gas", source=_RIET)
    slower = m.parameter(
        "gas.kla_ratio_co2", 0.9, "1", "kLa of carbon dioxide over that of oxygen", source=ILLUSTRATIVE
    )
    head = m.parameter("gas.head_pressure", 1.05, "bar", "absolute pressure above the liquid", source=ILLUSTRATIVE)
    pressure = head - _WATER_VAPOUR + 0.5 * vessel.level * _DENSITY * 9.81e-5
    area = math.pi / 4.0 * vessel.diameter**2
    cubic_per_second = gases.total / 3.6e6 * _MOLAR * 1e-3 * temperature / 273.15 * _ATMOSPHERE / pressure
    velocity = cubic_per_second / area
    # 1e-12 keeps the slope of the powers finite where nothing is stirred or sparged
    kla = (
        3600.0
        * coefficient
        * (vessel.power_input + 1e-12) ** by_power
        * (velocity + 1e-12) ** by_gas
        * 1.024 ** (temperature - REFERENCE_TEMPERATURE)
    )
    held = solubility(temperature)

    def into(rate: Any, soluble: Any, sparged_gas: Any, dissolved: Any) -> Any:
        ideal = rate * volume * soluble * pressure
        return (
            rate * volume * (soluble * pressure * sparged_gas - dissolved * gases.total) / (gases.total + ideal + 1e-9)
        )

    oxygen_in = into(kla, held.oxygen, gases.oxygen, oxygen)
    co2_out = -into(slower * kla, held.carbon_dioxide, gases.carbon_dioxide, carbon_dioxide)
    return Transfer(kla, oxygen_in, co2_out, *off_gas(gases, oxygen_in, co2_out))


def off_gas(gases: Gases, oxygen_in: Any, co2_out: Any) -> tuple[Any, Any]:
    """Dry mole fractions of oxygen and carbon dioxide that leave, from the balance of what was sparged."""
    leaving = ca.fmax(gases.total - oxygen_in + co2_out, 1e-9)
    return (gases.oxygen - oxygen_in) / leaving, (gases.carbon_dioxide + co2_out) / leaving
