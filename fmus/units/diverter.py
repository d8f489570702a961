"""Diverter: a flap that sends a powder stream to the next unit or to waste."""

from __future__ import annotations

import casadi as ca

from fmus.model import Role, UnitModel
from fmus.streams import SolidStream, solid_inlet, solid_outlet

_ILLUSTRATIVE = "illustrative, uncalibrated"

RESTING, TO_REJECT, TO_ACCEPT = 0.0, 1.0, 2.0
MOTIONS = ("resting", "to_reject", "to_accept")


def diverter() -> UnitModel:
    """Build the diverter.

    With phi the position of the flap (0 accepts, 1 rejects), tau the time of its travel and d the command::

        dphi/dt  = +1/tau while it moves to reject, -1/tau while it moves to accept, else 0
        m_accept = (1 - phi) m_in
        m_reject = phi m_in

    The flap sets off when the command differs from where it rests or moves, and stops at its end: four events. It
    holds nothing up, so that what arrives leaves in the same instant with its composition.
    """
    m = UnitModel("diverter", "Diverter flap for a powder stream", integrator="erk", documentation=__doc__ or "")
    inlet = solid_inlet(m, "inlet", 27.12 / 3600, 0.0885)
    divert = m.input("divert", 0.0, "1", "send the stream to waste", kind="Boolean", role=Role.CPP)
    travel = m.parameter(
        "travel_time", 0.5, "s", "travel of the flap from end to end", source=_ILLUSTRATIVE, minimum=0.01, tunable=True
    )

    phi = m.state("position", ca.if_else(divert > 0.5, 1.0, 0.0), "1", "0 accepts, 1 rejects")
    motion = m.state("motion", RESTING, "1", "what the flap does", kind="Enumeration", items=MOTIONS)
    accepted = m.state("accepted_mass", 0.0, "kg", "powder accepted so far", nominal=5.0)
    rejected = m.state("rejected_mass", 0.0, "kg", "powder rejected so far", nominal=5.0)
    accepted_api = m.state("accepted_api", 0.0, "kg", "API accepted so far", nominal=0.5)
    rejected_api = m.state("rejected_api", 0.0, "kg", "API rejected so far", nominal=0.5)

    to_reject, to_accept = ca.logic_and(motion > 0.5, motion < 1.5), motion > 1.5
    flow = inlet.flows
    m.derivative(phi, (ca.if_else(to_reject, 1.0, 0.0) - ca.if_else(to_accept, 1.0, 0.0)) / travel)
    m.derivative(accepted, (1.0 - phi) * flow.mass)
    m.derivative(rejected, phi * flow.mass)
    m.derivative(accepted_api, (1.0 - phi) * flow.api)
    m.derivative(rejected_api, phi * flow.api)

    never, wanted = 1.0, divert > 0.5
    rests_open, rests_shut = ca.logic_and(motion < 0.5, phi < 0.5), ca.logic_and(motion < 0.5, phi >= 0.5)
    leave = ca.logic_and(wanted, ca.logic_or(rests_open, to_accept))
    come_back = ca.logic_and(ca.logic_not(wanted), ca.logic_or(rests_shut, to_reject))
    m.event("sets off to reject", ca.if_else(leave, -1.0, never), {"motion": TO_REJECT})
    m.event("sets off to accept", ca.if_else(come_back, -1.0, never), {"motion": TO_ACCEPT})
    m.event("rejects", ca.if_else(to_reject, 1.0 - phi, never), {"motion": RESTING, "position": 1.0})
    m.event("accepts", ca.if_else(to_accept, phi, never), {"motion": RESTING, "position": 0.0})

    for name, share in (("accepted", 1.0 - phi), ("rejected", phi)):
        part = SolidStream(*(share * each for each in flow))
        solid_outlet(m, part, inlet.specific, name)
    m.output("flap_motion", motion, "1", "what the flap does", kind="Enumeration", items=MOTIONS)
    m.output("accepted_total.mass", accepted, "kg", "powder accepted so far", role=Role.BALANCE, nominal=5.0)
    m.output("accepted_total.api_mass", accepted_api, "kg", "API accepted so far", role=Role.BALANCE, nominal=0.5)
    m.output("rejected_total.mass", rejected, "kg", "powder rejected so far", role=Role.BALANCE, nominal=5.0)
    m.output("rejected_total.api_mass", rejected_api, "kg", "API rejected so far", role=Role.BALANCE, nominal=0.5)
    return m
