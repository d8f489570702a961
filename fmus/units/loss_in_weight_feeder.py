"""Loss-in-weight feeder: hopper, screw, gravimetric control, refill with hysteresis.

A screw that turns at omega delivers ff(W) omega, where the feed factor ff falls with the fill level because a lower
powder column packs the screw less. The scale's loss of weight, filtered, gives the measured flow; from it the
feeder keeps an estimate of the feed factor and turns the screw at setpoint / estimate. While the hopper is refilled
the scale says nothing about the screw, so the feeder keeps its last estimate (volumetric mode), and for a while after
that, until the filtered loss of weight is valid again. A feeder that has stored how its feed factor changes with the
fill level corrects the estimate meanwhile, by as much as its stored array knows (`refill_compensation`).
"""

from __future__ import annotations

from typing import Any

import casadi as ca

from fmus.model import Role, UnitModel
from fmus.streams import SolidStream, holdup, solid_outlet

_METTA = "form: symbols of Metta 2019; value illustrative, uncalibrated"
_ILLUSTRATIVE = "illustrative, uncalibrated"

MODES = ("gravimetric", "refilling", "settling")
GRAVIMETRIC, REFILLING, SETTLING = 0.0, 1.0, 2.0


def loss_in_weight_feeder() -> UnitModel:
    """Build the feeder.

    Equations, with W the hopper mass, kappa = rho_b / rho_ref and d the flow disturbance::

        ff(W)     = ff_max - (ff_max - ff_min) exp(-beta W)                  [g/rev]
        m_out     = ff(W) omega kappa d (1 - exp(-(W - W_0)/W_e))            [kg/s]
        dW/dt     = -m_out + m_refill [mode is refilling]
        tau_s domega/dt = omega_sp - omega,   omega_sp = setpoint / (ff_hat g)   [rev/s]
        tau_f dm_f/dt   = m_out - m_f,        tau_f domega_f/dt = omega - omega_f
        tau_i dff_hat/dt = m_f/omega_f - ff_hat   [gravimetric mode, else 0]
        g = 1 + c (ff(W)/ff(W_r) - 1)             [refilling or settling, else 1]

    with W_r the hopper mass when the refill began and c the share of the change that the stored array knows: 0 leaves
    the screw at its speed, 1 is a perfect array. When settling ends, ff_hat becomes ff_hat g.
    The mode goes gravimetric -> refilling when W falls below W_low, refilling -> settling when W rises above W_high,
    settling -> gravimetric after t_settle; the integrator locates each in time. Refilled powder has the present lot's
    bulk density and assay and mixes with what is left in the hopper.
    """
    m = UnitModel(
        "loss_in_weight_feeder",
        "Loss-in-weight feeder with gravimetric control and refill",
        documentation=__doc__ or "",
    )
    setpoint = m.input(
        "mass_flow_setpoint", 24.0, "kg/h", "mass flow asked for", minimum=0.0, maximum=60.0, role=Role.CPP
    )
    lot_density = m.input(
        "lot.bulk_density",
        480.0,
        "kg/m^3",
        "bulk density of the lot that refills",
        minimum=50.0,
        maximum=1500.0,
        role=Role.CMA,
    )
    lot_api = m.input(
        "lot.api_fraction",
        0.0,
        "1",
        "API mass fraction (assay) of the lot that refills",
        minimum=0.0,
        maximum=1.0,
        role=Role.CMA,
    )
    disturbance = m.input(
        "flow_disturbance",
        1.0,
        "1",
        "factor on the delivered flow: pulsation, bridging",
        minimum=0.0,
        maximum=2.0,
        role=Role.DISTURBANCE,
    )

    ff_max = m.parameter("feed_factor_max", 16.0, "g", "feed factor of a full hopper per revolution", source=_METTA)
    ff_min = m.parameter("feed_factor_min", 10.4, "g", "feed factor of an empty hopper per revolution", source=_METTA)
    beta = m.parameter("feed_factor_decay", 0.55, "1/kg", "how fast the feed factor saturates with mass", source=_METTA)
    rho_ref = m.parameter(
        "reference_bulk_density",
        480.0,
        "kg/m^3",
        "bulk density at which the feed factors hold",
        source=_ILLUSTRATIVE,
        minimum=50.0,
    )
    w_low = m.parameter(
        "refill_start_mass", 3.0, "kg", "hopper mass at which a refill starts", source=_ILLUSTRATIVE, tunable=True
    )
    w_high = m.parameter(
        "refill_stop_mass", 8.0, "kg", "hopper mass at which a refill stops", source=_ILLUSTRATIVE, tunable=True
    )
    refill_rate = m.parameter("refill_mass_flow", 0.8, "kg/s", "mass flow of the refill valve", source=_ILLUSTRATIVE)
    settle = m.parameter(
        "settling_time", 20.0, "s", "volumetric hold after a refill", source=_ILLUSTRATIVE, tunable=True
    )
    known = m.parameter(
        "refill_compensation",
        0.0,
        "1",
        "c: share of the feed factor's change that the array corrects in a refill; 0: the screw's speed is frozen",
        source=_ILLUSTRATIVE,
        minimum=0.0,
        maximum=1.5,
        tunable=True,
    )
    tau_s = m.parameter("screw_time_constant", 1.0, "s", "lag of the screw drive", source=_ILLUSTRATIVE)
    tau_f = m.parameter(
        "filter_time_constant", 8.0, "s", "filter of the loss of weight", source=_ILLUSTRATIVE, tunable=True
    )
    tau_i = m.parameter(
        "adaptation_time", 8.0, "s", "integral time of the gravimetric loop", source=_ILLUSTRATIVE, tunable=True
    )
    w_empty = m.parameter(
        "empty_mass", 0.05, "kg", "mass below which the screw starves", source=_ILLUSTRATIVE, minimum=1e-6
    )
    heel = m.parameter("heel", 0.01, "kg", "powder that the screw never reaches", source=_ILLUSTRATIVE, minimum=1e-3)
    w_start = m.parameter("initial_hopper_mass", 7.0, "kg", "hopper mass at the start", source=_ILLUSTRATIVE)
    omega_max = m.parameter("screw_speed_max", 120.0, "rpm", "fastest the screw turns", source=_ILLUSTRATIVE)

    def feed_factor(mass: ca.SX) -> Any:
        return (ff_max - (ff_max - ff_min) * ca.exp(-beta * mass)) * 1e-3

    wanted = setpoint / 3600.0
    ff_start = feed_factor(w_start) * lot_density / rho_ref
    mass = m.state("hopper_mass", w_start, "kg", "powder in the hopper", minimum=0.0, nominal=5.0)
    api = m.state("hopper_api_mass", w_start * lot_api, "kg", "API in the hopper", minimum=0.0, nominal=5.0)
    volume = m.state("hopper_volume", w_start / lot_density, "m^3", "bulk volume in the hopper", nominal=0.01)
    omega = m.state("screw_revolutions", wanted / ff_start, "1/s", "screw speed in revolutions per second", nominal=0.5)
    flow_f = m.state("filtered_flow", wanted, "kg/s", "loss of weight, filtered", nominal=5e-3)
    omega_f = m.state("filtered_revolutions", wanted / ff_start, "1/s", "screw speed, filtered alike", nominal=0.5)
    ff_hat = m.state("feed_factor_estimate", ff_start, "kg", "estimated feed factor per revolution", nominal=0.01)
    mode = m.state("mode", GRAVIMETRIC, "1", "what the feeder does", kind="Enumeration", items=MODES)
    refilled_from = m.state("refill_mass", 1.0, "kg", "W_r: hopper mass when the last refill began")
    release = m.state("settling_ends", 0.0, "s", "when settling ends", nominal=1.0)
    last_refill = m.state("refill_started", 0.0, "s", "when the last refill started; 0 before the first", nominal=1.0)
    refills = m.state("refills", 0.0, "1", "refills so far")
    refilled = m.state("refilled_mass", 0.0, "kg", "powder refilled so far", nominal=5.0)
    refilled_api = m.state("refilled_api", 0.0, "kg", "API refilled so far", nominal=5.0)

    gravimetric = mode < 0.5
    refilling = ca.logic_and(mode > 0.5, mode < 1.5)
    density, assay = mass / volume, api / mass
    starved = 1.0 - ca.exp(-ca.fmax(mass - heel, 0.0) / w_empty)
    flow = feed_factor(mass) * omega * density / rho_ref * disturbance * starved
    inflow = ca.if_else(refilling, refill_rate, 0.0)
    packing = 1.0 + known * (feed_factor(mass) / feed_factor(refilled_from) - 1.0)
    estimate = ff_hat * ca.if_else(gravimetric, 1.0, packing)
    omega_sp = ca.fmin(wanted / ca.fmax(estimate, 1e-5), omega_max / 60.0)

    m.derivative(mass, inflow - flow)
    m.derivative(api, inflow * lot_api - flow * assay)
    m.derivative(volume, inflow / lot_density - flow / density)
    m.derivative(omega, (omega_sp - omega) / tau_s)
    m.derivative(flow_f, (flow - flow_f) / tau_f)
    m.derivative(omega_f, (omega - omega_f) / tau_f)
    turning = omega_f > 1e-4
    m.derivative(
        ff_hat,
        ca.if_else(ca.logic_and(gravimetric, turning), (flow_f / ca.fmax(omega_f, 1e-4) - ff_hat) / tau_i, 0.0),
    )
    m.derivative(refilled, inflow)
    m.derivative(refilled_api, inflow * lot_api)

    never = 1.0
    m.event(
        "refill starts",
        ca.if_else(gravimetric, mass - w_low, never),
        {"mode": REFILLING, "refill_started": m.time, "refill_mass": mass, "refills": refills + 1.0},
    )
    m.event(
        "refill stops",
        ca.if_else(refilling, w_high - mass, never),
        {"mode": SETTLING, "settling_ends": m.time + settle},
    )
    m.event(
        "settled",
        ca.if_else(mode > 1.5, release - m.time, never),
        {"mode": GRAVIMETRIC, "feed_factor_estimate": ff_hat * packing},
    )

    solid_outlet(m, SolidStream(flow, flow * assay, flow / density), SolidStream(mass, api, volume))
    m.output("measured_mass_flow", flow_f * 3600.0, "kg/h", "loss of weight as the feeder shows it", nominal=20.0)
    m.output("screw_speed", omega * 60.0, "rpm", "screw speed", nominal=30.0)
    m.output("refilling", ca.if_else(refilling, 1.0, 0.0), "1", "the refill valve is open", kind="Boolean")
    m.output("refill_count", refills, "1", "refills so far", kind="Integer")
    m.output("last_refill_time", last_refill, "s", "when the last refill started; 0 before the first")
    holdup(m, mass, api)
    m.output("refilled.mass", refilled, "kg", "powder refilled so far", role=Role.BALANCE, nominal=5.0)
    m.output("refilled.api_mass", refilled_api, "kg", "API refilled so far", role=Role.BALANCE, nominal=5.0)
    return m
