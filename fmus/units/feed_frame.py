"""Hopper and feed frame of a tablet press: what stands between the blender and the dies.

The hopper is a stirred hold-up whose level rises and falls; the paddle chamber below stays full while the hopper has
powder, and mixes. The press takes what its dies need (``draw_mass_flow``).
"""

from __future__ import annotations

import casadi as ca

from fmus.model import Role, UnitModel

_ILLUSTRATIVE = "illustrative, uncalibrated"


def feed_frame() -> UnitModel:
    """Build the hopper and the feed frame.

    For each of q = (mass M, API mass, bulk volume), hopper h and chamber c::

        dq_h/dt = q_in - f q_h/M_h,   dq_c/dt = f q_h/M_h - d q_c/M_c
        f = max(d + (M_full - M_c)/tau_c, 0) (1 - exp(-M_h/M_e))     from the hopper into the chamber
        d = draw (1 - exp(-M_c/M_e))                                 from the chamber to the dies

    The factors 1 - exp(-M/M_e) let an emptying vessel starve smoothly, so that no hold-up turns negative.
    """
    m = UnitModel(
        "feed_frame",
        "Hopper and feed frame of a tablet press",
        integrator="erk",
        documentation=__doc__ or "",
    )
    inflow = m.input("inlet.mass_flow", 27.12 / 3600, "kg/s", "mass flow in", minimum=0.0, nominal=5e-3)
    x_in = m.input("inlet.api_fraction", 0.0885, "1", "API mass fraction in", minimum=0.0, maximum=1.0)
    rho_in = m.input("inlet.bulk_density", 480.0, "kg/m^3", "bulk density in", minimum=50.0, maximum=1500.0)
    draw = m.input("draw_mass_flow", 27.12 / 3600, "kg/s", "mass flow that the press takes", minimum=0.0, nominal=5e-3)

    capacity = m.parameter("hopper_capacity", 4.0, "kg", "powder in the hopper at level 100 %", source=_ILLUSTRATIVE)
    start = m.parameter("initial_level", 50.0, "%", "hopper level at the start", source=_ILLUSTRATIVE)
    full = m.parameter(
        "chamber_mass",
        0.5,
        "kg",
        "powder in the full paddle chamber",
        source="residence time 30-120 s of feed frames; illustrative, uncalibrated",
    )
    tau_c = m.parameter(
        "chamber_fill_time", 5.0, "s", "how fast the chamber fills from the hopper", source=_ILLUSTRATIVE
    )
    empty = m.parameter("starving_mass", 0.02, "kg", "mass below which a vessel starves", source=_ILLUSTRATIVE)

    hopper_start = capacity * start / 100.0
    carried = (
        ("mass", "kg", "powder", ca.SX(1)),
        ("api_mass", "kg", "API", x_in),
        ("volume", "m^3", "bulk volume", 1 / rho_in),
    )
    hopper, chamber = [], []
    for quantity, unit, text, share in carried:
        nominal = 1e-3 if unit == "m^3" else 1.0
        hopper.append(
            m.state(
                f"hopper.{quantity}", hopper_start * share, unit, f"{text} in the hopper", minimum=0.0, nominal=nominal
            )
        )
        chamber.append(
            m.state(f"chamber.{quantity}", full * share, unit, f"{text} in the chamber", minimum=0.0, nominal=nominal)
        )
    hopper_mass, chamber_mass = ca.fmax(hopper[0], 1e-12), ca.fmax(chamber[0], 1e-12)
    taken = draw * (1.0 - ca.exp(-chamber[0] / empty))
    fill = ca.fmax(taken + (full - chamber[0]) / tau_c, 0.0) * (1.0 - ca.exp(-hopper[0] / empty))
    leaving = []
    for (_, _, _, share), in_hopper, in_chamber in zip(carried, hopper, chamber, strict=True):
        falls, leaves = fill * in_hopper / hopper_mass, taken * in_chamber / chamber_mass
        m.derivative(in_hopper, inflow * share - falls)
        m.derivative(in_chamber, falls - leaves)
        leaving.append(m.mean(leaves))

    flow, api_flow, volume_flow = leaving
    flowing = flow > 1e-12
    m.output(
        "outlet.mass_flow",
        flow,
        "kg/s",
        "mass flow to the dies, mean of the last communication step",
        minimum=0.0,
        nominal=5e-3,
    )
    m.output(
        "outlet.api_fraction",
        ca.if_else(flowing, api_flow / ca.fmax(flow, 1e-12), chamber[1] / chamber_mass),
        "1",
        "API mass fraction to the dies",
        role=Role.CQA,
    )
    m.output(
        "outlet.bulk_density",
        ca.if_else(flowing, flow / ca.fmax(volume_flow, 1e-15), chamber[0] / ca.fmax(chamber[2], 1e-15)),
        "kg/m^3",
        "bulk density to the dies",
        nominal=500.0,
    )
    m.output("level", 100.0 * hopper[0] / capacity, "%", "hopper level", nominal=50.0)
    m.output("holdup.mass", hopper[0] + chamber[0], "kg", "powder in hopper and chamber", role=Role.BALANCE)
    m.output("holdup.api_mass", hopper[1] + chamber[1], "kg", "API in hopper and chamber", role=Role.BALANCE)
    return m
