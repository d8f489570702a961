"""Hopper and feed frame of a tablet press: what stands between the blender and the dies.

The hopper is a stirred hold-up whose level rises and falls; the paddle chamber below stays full while the hopper has
powder, and mixes. The press takes what its dies need (``draw_mass_flow``).
"""

from __future__ import annotations

from typing import Any

import casadi as ca

from fmus.model import Role, UnitModel
from fmus.physics.powder_attributes import CARRIED, Carried, attributes_inlet, attributes_outlet
from fmus.streams import SolidStream, holdup, solid_inlet, solid_outlet

_ILLUSTRATIVE = "illustrative, uncalibrated"
#: of the quantities that mix: name, unit, description, nominal in a vessel
_QUANTITIES = (
    ("mass", "kg", "powder", 1.0),
    ("api_mass", "kg", "API", 1.0),
    ("volume", "m^3", "bulk volume", 1e-3),
    *CARRIED,
)


def feed_frame() -> UnitModel:
    """Build the hopper and the feed frame.

    For each of q = (mass M, API mass, bulk volume, and what the powder's attributes mix by: water, dry powder times
    lubrication, times the logarithm of granule size, times the void ratio of granules), hopper h and chamber c::

        dq_h/dt = q_in - f q_h/M_h,   dq_c/dt = f q_h/M_h - d q_c/M_c
        f = max(d + (M_full - M_c)/tau_c, 0) (1 - exp(-(M_h - M_0)/M_e))     from the hopper into the chamber
        d = draw (1 - exp(-(M_c - M_0)/M_e))                                 from the chamber to the dies

    The factors 1 - exp(-(M - M_0)/M_e) let an emptying vessel starve smoothly down to a heel M_0.
    """
    m = UnitModel(
        "feed_frame",
        "Hopper and feed frame of a tablet press",
        integrator="erk",
        documentation=__doc__ or "",
    )
    inlet = solid_inlet(m, "inlet", 27.12 / 3600, 0.0885)
    attributes = attributes_inlet(m)
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

    heel = m.parameter("heel", 0.002, "kg", "powder that never leaves a vessel", source=_ILLUSTRATIVE, minimum=1e-4)

    hopper: list[Any] = []
    chamber: list[Any] = []
    content = (*inlet.specific, *attributes.carried(1.0))
    for (quantity, unit, text, nominal), share in zip(_QUANTITIES, content, strict=True):
        for vessel, name, mass in ((hopper, "hopper", capacity * start / 100.0), (chamber, "chamber", full)):
            vessel.append(m.state(f"{name}.{quantity}", mass * share, unit, f"{text} in the {name}", nominal=nominal))

    def supply(mass: Any) -> Any:
        return 1.0 - ca.exp(-ca.fmax(mass - heel, 0.0) / empty)

    taken = draw * supply(chamber[0])
    fill = ca.fmax(taken + (full - chamber[0]) / tau_c, 0.0) * supply(hopper[0])
    leaving = []
    arriving = (*inlet.flows, *attributes.carried(inlet.mass_flow))
    for arrives, in_hopper, in_chamber in zip(arriving, hopper, chamber, strict=True):
        falls, leaves = fill * in_hopper / hopper[0], taken * in_chamber / chamber[0]
        m.derivative(in_hopper, arrives - falls)
        m.derivative(in_chamber, falls - leaves)
        leaving.append(leaves)

    solid_outlet(m, SolidStream(*leaving[:3]), SolidStream(*chamber[:3]))
    attributes_outlet(m, (leaving[0], Carried(*leaving[3:])), (chamber[0], Carried(*chamber[3:])))
    m.output("level", 100.0 * hopper[0] / capacity, "%", "hopper level", nominal=50.0)
    holdup(m, hopper[0] + chamber[0], hopper[1] + chamber[1])
    m.output("holdup.water", hopper[3] + chamber[3], "kg", "water held up", role=Role.BALANCE, nominal=0.05)
    return m
