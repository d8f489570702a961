"""Continuous tubular blender: hold-up, dead time and tanks in series, with composition balances.

Powder is carried first through a screw section that hardly mixes (the dead time, here a chain of small cells), then
through a mixing section of stirred tanks in series. Both carry three extensive quantities, mass, API mass and bulk
volume, so that composition and bulk density follow from balances and nothing is lost.
"""

from __future__ import annotations

import casadi as ca

from fmus.model import Role, UnitModel
from fmus.streams import SolidStream, holdup, solid_inlet, solid_outlet

_ILLUSTRATIVE = "illustrative, uncalibrated"

PLUG_FLOW_CELLS = 12
TANKS = 3


def continuous_blender() -> UnitModel:
    """Build the blender.

    With q any of (mass, API mass, bulk volume), theta the dead time and tau the residence time of one tank::

        dq_1/dt = q_in - q_1 N/theta,       dq_k/dt = (q_(k-1) - q_k) N/theta     k = 2..N, the screw section
        dq_j/dt = q_(j-1)/tau_(j-1) - q_j/tau                                     j = 1..n, the stirred tanks
        tau = tau_ref (speed_ref / speed)^a,   theta = theta_ref speed_ref / speed

    The residence-time distribution is a gamma density of n tanks behind a delay of mean theta and standard deviation
    theta / sqrt(N). Faster impellers carry less powder.
    """
    m = UnitModel(
        "continuous_blender",
        "Continuous tubular blender: dead time and tanks in series",
        integrator="erk",
        documentation=__doc__ or "",
    )
    inlets = [
        solid_inlet(m, "inlet_1", 2.55 / 3600, 0.944),
        solid_inlet(m, "inlet_2", 24.55 / 3600, 0.0),
    ]
    speed = m.input(
        "impeller_speed", 200.0, "rpm", "impeller speed", minimum=50.0, maximum=400.0, nominal=200.0, role=Role.CPP
    )
    speed_ref = m.parameter("reference_speed", 200.0, "rpm", "speed of the reference times", source=_ILLUSTRATIVE)
    theta_ref = m.parameter(
        "dead_time",
        10.0,
        "s",
        "mean delay of the screw section at the reference speed",
        source="range 5-20 s of tubular blenders; illustrative, uncalibrated",
        minimum=0.1,
    )
    tau_ref = m.parameter(
        "tank_residence_time",
        20.0,
        "s",
        "residence time of one tank at the reference speed",
        source="mean residence time 40-120 s of tubular blenders; illustrative, uncalibrated",
        minimum=0.1,
    )
    exponent = m.parameter("speed_exponent", 1.0, "1", "how hold-up falls with the speed", source=_ILLUSTRATIVE)

    theta = theta_ref * speed_ref / speed
    tau = tau_ref * (speed_ref / speed) ** exponent
    arriving = [sum(parts) for parts in zip(*(inlet.flows for inlet in inlets), strict=True)]
    quantities = (
        ("mass", "kg", "powder", 0.1),
        ("api_mass", "kg", "API", 0.01),
        ("volume", "m^3", "bulk volume", 2e-4),
    )
    totals, leaving = [], []
    for (quantity, unit, text, nominal), inflow in zip(quantities, arriving, strict=True):
        upstream, total = inflow, ca.SX(0)
        for k in range(1, PLUG_FLOW_CELLS + 1):
            rate = PLUG_FLOW_CELLS / theta
            cell = m.state(
                f"screw.{quantity}[{k}]",
                inflow / rate,
                unit,
                f"{text} in cell {k} of the screw section",
                minimum=0.0,
                nominal=nominal / PLUG_FLOW_CELLS,
            )
            m.derivative(cell, upstream - cell * rate)
            upstream, total = cell * rate, total + cell
        for k in range(1, TANKS + 1):
            tank = m.state(
                f"tank.{quantity}[{k}]", inflow * tau, unit, f"{text} in tank {k}", minimum=0.0, nominal=nominal
            )
            m.derivative(tank, upstream - tank / tau)
            upstream, total = tank / tau, total + tank
        totals.append(total)
        leaving.append(upstream)

    solid_outlet(m, SolidStream(*leaving), SolidStream(*totals))
    holdup(m, totals[0], totals[1])
    return m
