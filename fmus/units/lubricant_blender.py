"""Lubricant blender: granules and lubricant are mixed, and every turn of the impeller spreads the lubricant further."""

from __future__ import annotations

from typing import Any

import casadi as ca

from fmus.granules import SIZES, granule_inlet
from fmus.model import Role, UnitModel
from fmus.physics.powder_attributes import PowderAttributes, attributes_outlet
from fmus.streams import SolidStream, solid_inlet, solid_outlet

TANKS = 3
_ILLUSTRATIVE = "illustrative, uncalibrated"


def lubricant_blender() -> UnitModel:
    """Build the blender.

    Three stirred tanks in series. With q any of (dry solids, API, water, lubricant, bulk volume, size moments), N the
    impeller speed in revolutions per second, tau the residence time of a tank, gamma the revolutions that the powder
    has seen and c the lubricant per powder::

        dq_j/dt = q_(j-1)/tau - q_j/tau                   j = 1..3,  q_0/tau what arrives,  tau = tau_ref (N_ref/N)^a
        d(gamma M)_j/dt = (gamma M)_(j-1)/tau - (gamma M)_j/tau + N M_j
        E = c gamma                                       lubrication: what acts on strength, friction and release
        eps = 1 - M_g/(rho_t f V_g)                       porosity of M_g dry granules of bulk volume V_g

    The granules' size is carried by its first moment, the mean of ln d: `d50` is exact for a log-normal size. Their
    porosity is that of their bulk volume, of which granules fill the share f as in the granulator; powder that was not
    granulated counts as such granules too.
    """
    m = UnitModel(
        "lubricant_blender",
        "Lubricant blender: tanks in series with shear history",
        integrator="erk",
        documentation=__doc__ or "",
    )
    granules = granule_inlet(m, "inlet", 18.0 / 3600, 0.09)
    lubricant = solid_inlet(m, "lubricant", 0.18 / 3600, 0.0)
    speed = m.input("impeller_speed", 150.0, "rpm", "impeller speed", minimum=20.0, maximum=400.0, role=Role.CPP)
    speed_ref = m.parameter("reference_speed", 150.0, "rpm", "speed of the reference time", source=_ILLUSTRATIVE)
    tau_ref = m.parameter(
        "tank_residence_time",
        20.0,
        "s",
        "residence time of one tank at the reference speed",
        source="mean residence time 40-120 s of tubular blenders; illustrative, uncalibrated",
        minimum=0.1,
    )
    exponent = m.parameter("speed_exponent", 0.6, "1", "how hold-up falls with the speed", source=_ILLUSTRATIVE)
    rho_t = m.parameter(
        "granule_true_density", 1540.0, "kg/m^3", "true density of the granules", source="assumed: API, lactose, MCC"
    )
    packing = m.parameter(
        "packing", 0.5, "1", "share of the bulk volume that granules fill", source="the granulator's; " + _ILLUSTRATIVE
    )

    turns = speed / 60.0
    tau = tau_ref * (speed_ref / speed) ** exponent
    first, added = granules.flows, lubricant.flows
    log_size = ca.dot(ca.DM(first_moments()), first.size)
    arriving: dict[str, tuple[Any, str, str, float]] = {
        "dry": (first.dry + added.mass, "kg", "dry powder with lubricant", 0.1),
        "api_mass": (first.api + added.api, "kg", "API", 0.01),
        "water": (first.water, "kg", "water", 2e-3),
        "lubricant_mass": (added.mass, "kg", "lubricant", 1e-3),
        "volume": (first.volume + added.volume, "m^3", "bulk volume", 2e-4),
        "granules": (first.dry, "kg", "dry granules", 0.1),
        "log_size": (log_size, "kg", "dry granules times ln(size/1 mm)", 0.1),
        "pores": (
            ca.fmax(rho_t * packing * first.volume - first.dry, 0.0),
            "kg",
            "granules' pore volume times true density",
            0.1,
        ),
    }
    totals: dict[str, Any] = {}
    leaving: dict[str, Any] = {}
    tanks: dict[str, list[Any]] = {}
    for name, (flow, unit, text, nominal) in arriving.items():
        upstream = flow
        tanks[name] = []
        for j in range(1, TANKS + 1):
            low = None if name == "log_size" else 0.0
            tank = m.state(f"tank_{j}.{name}", flow * tau, unit, f"{text} in tank {j}", minimum=low, nominal=nominal)
            m.derivative(tank, upstream - tank / tau)
            upstream = tank / tau
            tanks[name].append(tank)
        totals[name], leaving[name] = sum(tanks[name][1:], tanks[name][0]), upstream
    upstream = ca.SX(0)
    for j in range(1, TANKS + 1):
        start = arriving["dry"][0] * tau * j * turns * tau
        strain = m.state(
            f"tank_{j}.revolutions", start, "kg", f"powder in tank {j} times its revolutions", minimum=0.0, nominal=5.0
        )
        m.derivative(strain, upstream - strain / tau + turns * tanks["dry"][j - 1])
        upstream = strain / tau
    leaving["revolutions"] = upstream

    flow = SolidStream(leaving["dry"] + leaving["water"], leaving["api_mass"], leaving["volume"])
    held = SolidStream(totals["dry"] + totals["water"], totals["api_mass"], totals["volume"])
    solid_outlet(m, flow, held)
    dry = ca.fmax(tanks["dry"][-1], 1e-12)
    fraction, moisture = tanks["lubricant_mass"][-1] / dry, tanks["water"][-1] / dry
    gamma = strain / dry

    m.output("lubricant_fraction", fraction, "1", "lubricant per dry powder", role=Role.CMA, nominal=0.01)
    m.output("moisture", moisture, "1", "water per dry powder", role=Role.CMA, nominal=0.02)
    m.output("revolutions", gamma, "1", "revolutions that the powder has seen", role=Role.CMA, nominal=100.0)
    granular = ca.fmax(tanks["granules"][-1], 1e-12)
    size = 1e3 * ca.exp(tanks["log_size"][-1] / granular)
    void_ratio = tanks["pores"][-1] / granular
    attributes = PowderAttributes(moisture, fraction * gamma, size, void_ratio / (1.0 + void_ratio))
    wet_flow, wet_held = leaving["dry"] + leaving["water"], tanks["dry"][-1] + tanks["water"][-1]
    attributes_outlet(m, (wet_flow, attributes.carried(wet_flow)), (wet_held, attributes.carried(wet_held)))
    m.output("d50", size, "um", "median granule size by mass, log-normal", role=Role.CMA, nominal=500.0)
    m.output("holdup.mass", held.mass, "kg", "powder held up", role=Role.BALANCE)
    m.output("holdup.api_mass", held.api, "kg", "API held up", role=Role.BALANCE, nominal=0.1)
    return m


def first_moments() -> list[float]:
    """Logarithm of the representative size [mm] of each shared class."""
    return [float(x) for x in ca.log(ca.DM(SIZES) / 1e-3).full().ravel()]
