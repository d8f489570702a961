"""Drying of granules in cells of a fluid bed: what the cells hold, how fast they dry, and the size of granules."""

from __future__ import annotations

from typing import Any, NamedTuple

import casadi as ca
import numpy as np

from fmus import granules
from fmus.granules import N_SIZES, SIZE_EDGES, SIZES
from fmus.physics import psychrometrics

_LOG_SIZES = np.log(SIZES / SIZES[0])
_LOG_STEP = float(_LOG_SIZES[1])
_TINY = 1e-12


class Bed(NamedTuple):
    """What the cells hold, one row per cell: dry solids and water [kg], enthalpy above 0 degC [J]."""

    dry: Any
    water: Any
    heat: Any

    @property
    def moisture(self) -> Any:
        """Water per dry solids."""
        return self.water / ca.fmax(self.dry, _TINY)

    @property
    def loss_on_drying(self) -> Any:
        """In % of the wet mass."""
        return 100.0 * self.moisture / (1.0 + self.moisture)

    @property
    def temperature(self) -> Any:
        """In K."""
        return granules.temperature(self.dry, self.water, self.heat)


class Air(NamedTuple):
    """The inlet air: temperature [K], water per dry air, dry air to each cell [kg/s], and its pressure [Pa]."""

    temperature: Any
    humidity: Any
    flow: Any
    pressure: Any


class Kinetics(NamedTuple):
    """The parameters of drying."""

    contact_mass: Any
    efficiency: Any
    heat_loss: Any
    critical: Any
    equilibrium: Any
    exponent: Any
    reference_size: Any
    critical_by_size: Any
    exponent_by_size: Any


class Drying(NamedTuple):
    """Columns per cell: dry air [kg/s], evaporation [kg/s], heat from air to bed and lost to the surroundings [W]."""

    air: Any
    evaporation: Any
    sensible: Any
    lost: Any


class Rate(NamedTuple):
    """How the drying rate of a batch falls: critical moisture and exponent."""

    critical: Any
    exponent: Any


def rate_of_size(median: Any, kinetics: Kinetics) -> Rate:
    """How the drying rate of granules of this median size [m] falls."""
    size = ca.fmin(ca.fmax(median / kinetics.reference_size, 0.01), 100.0)
    # over a little range at least, whatever the parameters
    critical = ca.fmax(kinetics.critical * size**kinetics.critical_by_size, kinetics.equilibrium + 1e-4)
    return Rate(critical, ca.fmax(kinetics.exponent * size**kinetics.exponent_by_size, 1.0))


def drying(bed: Bed, rate: Rate, air: Air, flow: Any, ambient: Any, kinetics: Kinetics) -> Drying:
    """How the cells dry.

    Args:
        bed: what they hold.
        rate: of their batches, columns.
        air: that comes in.
        flow: of dry air to each cell [kg/s], a column.
        ambient: temperature around [K].
        kinetics: parameters.
    """
    moist = ca.fmin((bed.moisture - kinetics.equilibrium) / (rate.critical - kinetics.equilibrium), 1.0)
    wetness = ca.if_else(moist > 0.0, ca.fmax(moist, _TINY) ** rate.exponent, 0.0)
    contact = 1.0 - ca.exp(-ca.fmax(bed.dry, 0.0) / kinetics.contact_mass)
    met = flow * kinetics.efficiency * contact
    lack = ca.fmax(psychrometrics.saturation_humidity(bed.temperature, air.pressure) - air.humidity, 0.0)
    sensible = met * psychrometrics.heat_capacity(air.humidity) * (air.temperature - bed.temperature)
    return Drying(flow, met * wetness * lack, sensible, contact * kinetics.heat_loss * (bed.temperature - ambient))


def mixed_air(bed: Bed, air: Air, dried: Drying) -> tuple[Any, Any]:
    """Temperature [K] and humidity of all the air that leaves; vapour comes in at the temperature of its bed."""
    flow, vapour = ca.sum1(dried.air), ca.sum1(dried.evaporation)
    carried = flow * psychrometrics.heat_capacity(air.humidity)
    added = psychrometrics.HEAT_CAPACITY_VAPOUR * dried.evaporation
    # relative to the inlet's temperature, the more exact difference
    excess = ca.sum1(added * (bed.temperature - air.temperature) - dried.sensible)
    return air.temperature + excess / (carried + ca.sum1(added)), air.humidity + vapour / flow


def median_size(fractions: Any) -> Any:
    """Median by mass [m] of fractions of the classes: linear in the logarithm within a class.

    Every class counts with the share of it that lies below half of the mass.
    """
    below, log_size = ca.SX(0), ca.SX(0)
    for i in range(N_SIZES):
        share = (0.5 - below) / ca.fmax(fractions[i], _TINY)
        log_size += _LOG_STEP * ca.fmin(ca.fmax(share, 0.0), 1.0)
        below += fractions[i]
    return SIZE_EDGES[0] * ca.exp(log_size)


def log_moments(fractions: Any) -> Any:
    """A column: mean of the logarithm of the size, over the first class's, and of its square."""
    return ca.vertcat(ca.dot(fractions, ca.DM(_LOG_SIZES)), ca.dot(fractions, ca.DM(_LOG_SIZES**2)))


def lognormal_from_moments(moments: Any) -> Any:
    """Fractions of the classes of the log-normal distribution with these moments, a column."""
    mean, square = moments[0], moments[1]
    within_a_class = _LOG_STEP**2 / 12.0
    deviation = ca.sqrt(ca.fmax(square - mean**2 - within_a_class, 1e-3))
    inner = ca.DM(np.log(SIZE_EDGES[1:-1] / SIZES[0]))
    below = 0.5 * (1.0 + ca.erf((inner - mean) / (deviation * np.sqrt(2.0))))
    return ca.vertcat(below, 1.0) - ca.vertcat(0.0, below)


def median_from_moments(moments: Any) -> Any:
    """Median [m] of that distribution."""
    return SIZES[0] * ca.exp(moments[0])
