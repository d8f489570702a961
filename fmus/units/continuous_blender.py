"""Continuous tubular blender: hold-up, dead time and tanks in series, with composition balances.

Powder is carried first through a screw section that hardly mixes (the dead time, here a chain of small cells), then
through a mixing section of stirred tanks in series. Both carry three extensive quantities, mass, API mass and bulk
volume, so that composition and bulk density follow from balances and nothing is lost.
"""

from __future__ import annotations

import casadi as ca

from fmus.model import Role, UnitModel

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
    inlets = []
    for number, (flow, fraction) in enumerate(((2.55, 0.944), (24.55, 0.0)), start=1):
        name = f"inlet_{number}"
        mass = m.input(
            f"{name}.mass_flow", flow / 3600, "kg/s", f"mass flow of inlet {number}", minimum=0.0, nominal=5e-3
        )
        api = m.input(
            f"{name}.api_fraction", fraction, "1", f"API mass fraction of inlet {number}", minimum=0.0, maximum=1.0
        )
        density = m.input(
            f"{name}.bulk_density", 480.0, "kg/m^3", f"bulk density of inlet {number}", minimum=50.0, maximum=1500.0
        )
        inlets.append((mass, mass * api, mass / density))
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
    arriving = [sum(stream[i] for stream in inlets) for i in range(3)]
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

    flow, api_flow, volume_flow = (m.mean(q) for q in leaving)
    flowing = flow > 1e-12
    m.output(
        "outlet.mass_flow",
        flow,
        "kg/s",
        "mass flow out, mean of the last communication step",
        minimum=0.0,
        nominal=5e-3,
    )
    m.output(
        "outlet.api_fraction",
        ca.if_else(flowing, api_flow / ca.fmax(flow, 1e-12), 0.0),
        "1",
        "API mass fraction of the flow out",
        role=Role.CQA,
    )
    m.output(
        "outlet.bulk_density",
        ca.if_else(flowing, flow / ca.fmax(volume_flow, 1e-15), 480.0),
        "kg/m^3",
        "bulk density of the flow out",
        nominal=500.0,
    )
    m.output("holdup.mass", totals[0], "kg", "powder in the blender", role=Role.BALANCE)
    m.output("holdup.api_mass", totals[1], "kg", "API in the blender", role=Role.BALANCE, nominal=0.1)
    return m
