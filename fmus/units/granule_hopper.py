"""Granule hopper: evens out what arrives in batches, and hands it on at the rate that is asked for."""

from __future__ import annotations

import casadi as ca

from fmus.granules import GranuleFlow, enthalpy, granule_inlet, granule_outlet, lognormal_fractions
from fmus.model import Role, UnitModel

_ILLUSTRATIVE = "illustrative, uncalibrated"


def granule_hopper() -> UnitModel:
    """Build the hopper.

    With M the dry solids held up, of which a heel M_0 never leaves, X their moisture, and m_set the wet mass flow asked
    for::

        m_out = m_set (1 - exp(-(M - M_0)/M_e))           M_e: below it the outlet starves
        dq/dt = q_in - q m_out/((1 + X) M)                q: dry solids, API, water, volume, heat, each size class

    The content is ideally mixed; walls and headspace take no heat.
    """
    m = UnitModel(
        "granule_hopper", "Hopper for granules with a discharge rate", integrator="erk", documentation=__doc__ or ""
    )
    inlet = granule_inlet(m, "inlet", 0.0, 0.09)
    asked = m.input(
        "discharge_setpoint",
        18.0 / 3600,
        "kg/s",
        "wet mass flow asked for",
        minimum=0.0,
        maximum=0.05,
        nominal=5e-3,
        display_unit="kg/h",
        role=Role.CPP,
    )
    start = m.parameter("initial_mass", 2.0, "kg", "dry solids at the start", source=_ILLUSTRATIVE, minimum=0.02)
    moist = m.parameter("initial_moisture", 0.02, "1", "their moisture", source=_ILLUSTRATIVE, minimum=0.0)
    # not what the inlet tells at the start: a mill that stands empty tells nothing of the granules here
    api = m.parameter("initial_api_fraction", 0.09, "1", "their API", source=_ILLUSTRATIVE, minimum=0.0, maximum=1.0)
    density = m.parameter(
        "initial_bulk_density", 480.0, "kg/m^3", "their wet bulk density", source=_ILLUSTRATIVE, minimum=50.0
    )
    warm = m.parameter(
        "initial_temperature", 298.15, "K", "their temperature", source=_ILLUSTRATIVE, display_unit="degC"
    )
    heel = m.parameter("heel", 0.01, "kg", "solids that never leave", source=_ILLUSTRATIVE, minimum=1e-3)
    starving = m.parameter(
        "starving_mass", 0.1, "kg", "below it the outlet starves", source=_ILLUSTRATIVE, minimum=1e-3
    )
    full = m.parameter("full_mass", 10.0, "kg", "dry solids of a full hopper", source=_ILLUSTRATIVE, minimum=0.1)

    first = inlet.flows
    held = GranuleFlow(
        dry=m.state("mass", start, "kg", "dry solids", minimum=0.0, nominal=2.0),
        api=m.state("api_mass", start * api, "kg", "API", minimum=0.0, nominal=0.2),
        water=m.state("water", start * moist, "kg", "water", minimum=0.0, nominal=0.05),
        volume=m.state("volume", start * (1.0 + moist) / density, "m^3", "bulk volume", minimum=0.0, nominal=4e-3),
        heat=m.state("heat", enthalpy(start, start * moist, warm), "J", "enthalpy above 0 degC", nominal=6e4),
        size=m.state(
            "size_mass",
            start * ca.DM(lognormal_fractions(500e-6, 0.6)),
            "kg",
            "dry solids by size class",
            minimum=0.0,
            nominal=0.1,
        ),
    )
    wet = held.dry + held.water
    outflow = asked * (1.0 - ca.exp(-ca.fmax(held.dry - heel, 0.0) / starving))
    share = outflow / wet
    leaving = GranuleFlow(
        *(share * part for part in (held.dry, held.api, held.water, held.volume, held.heat, held.size))
    )
    for state, arriving, gone in zip(
        (held.dry, held.api, held.water, held.volume, held.heat, held.size),
        (first.dry, first.api, first.water, first.volume, first.heat, first.size),
        (leaving.dry, leaving.api, leaving.water, leaving.volume, leaving.heat, leaving.size),
        strict=True,
    ):
        m.derivative(state, arriving - gone)

    granule_outlet(m, leaving, held)
    m.output("level", 100.0 * held.dry / full, "%", "dry solids of those of a full hopper", nominal=50.0)
    m.output("holdup.mass", wet, "kg", "granules held up, wet", role=Role.BALANCE)
    m.output("holdup.api_mass", held.api, "kg", "API held up", role=Role.BALANCE, nominal=0.1)
    m.output("holdup.water", held.water, "kg", "water held up", role=Role.BALANCE, nominal=0.05)
    return m
