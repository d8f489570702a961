"""Rotary tablet press: die fill, pre- and main compression with machine compliance, ejection, tablet quality.

The force of a roller is the root of an implicit equation: the powder in the die follows Heckel's law at the gap that
the loaded machine leaves, and the machine yields in proportion to the force. Parameters of a real press come from
`galenic calibrate tablet_press`; the defaults below are one such calibration (product 3).
"""

from __future__ import annotations

import math
from typing import Any

import casadi as ca

from fmus.model import Role, UnitModel
from fmus.physics import tableting
from fmus.physics.powder_attributes import CARRIED, Carried, PowderAttributes, attributes_inlet
from fmus.physics.tablet_release import declare_release
from fmus.streams import holdup, solid_inlet

_PLANT = "calibrated on Zagar & Mihelic 2022 (Sci. Data 9:99), product 3"
_ILLUSTRATIVE = "illustrative, uncalibrated"


def tablet_press() -> UnitModel:
    """Build the press.

    With A = pi d^2/4 the die area, s_f fill depth, h gap, n turret speed, rho_b bulk density, phi tabletability and
    psi compressibility of the powder lot (1 for the lot of the calibration)::

        rho_fill = rho_fill_ref (rho_b/rho_ref) (1 - xi (n/n_ref - 1))             die-fill density
        m        = rho_fill (A s_f + V_fill) (1 - exp(-(M_z - M_0)/M_e))            tablet mass
        h_load   = h + F/k_m                                                       machine compliance
        SF       = m / (rho_t (A h_load + V_cups))                                 in-die solid fraction
        F/A      = psi Y P_y (ln(1/(1 - SF)) - A_H)                                Heckel

    Solved for s = -ln(1 - SF)::

        q(s) = A psi Y P_y (s - A_H) - k_m (m/(rho_t A (1 - e^-s)) - V_cups/A - h) = 0

    q increases and is concave for s > 0, and q(A_H) <= 0 for a loaded die: Newton's method from s = A_H converges for
    every input. A die too empty to be loaded is given the mass at which s = A_H, so that F = 0. The pre-roller obeys
    the same equation with its own gap (s_p, F_p). After ejection::

        SF_out  = max(SF, SF_p) (1 - e_r)                                          elastic recovery
        sigma_t = phi S G sigma_0 exp(-k_b (1 - SF_out))                           Ryshkewitch-Duckworth
        t       = (m/(rho_t SF_out) - V_cups)/A + t_cups,   H = sigma_t pi d t/2   thickness, hardness

    The powder acts through its moisture X, lubrication E (lubricant per powder times turns of the impeller), granule
    size d_g and granule porosity eps, each relative to a reference (index r), and the turret through n/n_ref::

        Y   = (n/n_ref)^a exp(-p_X (X - X_r) - p_e (eps - eps_r))                  on the yield pressure
        S   = L/L_r (d_g/d_r)^(-k_d) exp(k_e (eps - eps_r) - k_X (X - X_r))        on the strength
        L   = 1 - beta (1 - exp(-k_L E))                                           Kushner
        G   = exp(-k_a (U - U_r)),   U = (n/n_ref)^c max(v(s_p) - v(s), 0)         air; U_r: s_p = A_H, n = n_ref
        v(s) = 1/(e^s - 1)                                                         voids per volume of solid

    Compactibility, strength at a solid fraction, does not depend on the speed itself (Tye 2005); air may make it so.
    Y, S and G are 1 for the reference powder at the reference speed without pre-compression. Ejection and dwell time::

        F_e  = f mu eta max(F, F_p)/A pi d t_b,   mu = mu_1 + (mu_0 - mu_1) exp(-k_f E),   t_b = t - t_cups
        t_D  = d_f N/(pi D n)                                                      N stations, D pitch circle, d_f flat

    f is the factor for sticking. Disintegration time and release, with d_a the API's size and r the lot's factor::

        t_dis = t_dis_r exp(g_1 (SF_out - SF_r) + g_2 (E - E_r))
        D(t)  = 100 (1 - exp(-((t - l t_dis)/T_D)^b))                              Weibull
        T_D   = r T_r (d_a/d_ar)^c_3 exp(c_1 (SF_out - SF_r) + c_2 (E - E_r) + c_4 (X - X_r))

    M_z is the powder in the filling zone above the die table, of which a heel M_0 never leaves; its attributes mix
    there as its API does. The press asks the feed frame for what the dies take and for what the zone lacks, so that
    mass, API and water are conserved whatever the communication step.
    """
    m = UnitModel(
        "tablet_press",
        "Rotary tablet press: die fill, pre- and main compression (Heckel, compliance), ejection, tablet quality",
        documentation=__doc__ or "",
    )
    inlet = solid_inlet(m, "inlet", 27.12 / 3600, 0.0885)
    powder_in = attributes_inlet(m)
    fill_sp = m.input("fill_depth_setpoint", 6.74, "mm", "fill depth", minimum=2.0, maximum=12.0, role=Role.CPP)
    gap_sp = m.input("gap_setpoint", 2.1, "mm", "gap of the main rollers", minimum=0.5, maximum=5.0, role=Role.CPP)
    pre_gap_sp = m.input(
        "precompression_gap_setpoint", 5.0, "mm", "gap of the pre-rollers", minimum=0.5, maximum=8.0, role=Role.CPP
    )
    speed_sp = m.input(
        "turret_speed_setpoint", 120000.0, "1/h", "tablets per hour", minimum=0.0, maximum=270000.0, role=Role.CPP
    )

    tabletability = m.input(
        "strength_factor",
        1.0,
        "1",
        "factor on the tensile strength: tabletability of the powder lot",
        minimum=0.2,
        maximum=3.0,
        role=Role.DISTURBANCE,
    )

    compressibility = m.input(
        "yield_factor",
        1.0,
        "1",
        "factor on the yield pressure: compressibility of the powder lot",
        minimum=0.3,
        maximum=3.0,
        role=Role.DISTURBANCE,
    )
    sticking = m.input(
        "friction_factor",
        1.0,
        "1",
        "factor on the friction at the die wall: sticking, worn tooling",
        minimum=0.2,
        maximum=20.0,
        role=Role.DISTURBANCE,
    )

    d = m.parameter("tooling_diameter", 8.1, "mm", "punch diameter", source="Zagar & Mihelic 2022: tablet diameter")
    label = m.parameter(
        "label_dose", 20.0, "mg", "API per tablet on the label", source="Zagar & Mihelic 2022: strength"
    )
    rho_t = m.parameter(
        "true_density", 1540.0, "kg/m^3", "true density of the blend", source="assumed: API, lactose, MCC, starch"
    )
    rho_ref = m.parameter(
        "reference_bulk_density", 480.0, "kg/m^3", "bulk density of the reference powder", source=_ILLUSTRATIVE
    )
    rho_fill = m.parameter("fill_density", 604.8, "kg/m^3", "die-fill density of the reference powder", source=_PLANT)
    v_fill = m.parameter("fill_volume_offset", 26.6, "mm^3", "die volume at fill depth 0 (lower cup)", source=_PLANT)
    v_cups = m.parameter("cup_volume", 53.1, "mm^3", "volume of both punch cups", source=_PLANT)
    p_y = m.parameter("yield_pressure", 107.0, "MPa", "Heckel's mean yield pressure", source=_PLANT)
    a_h = m.parameter("heckel_intercept", 0.96, "1", "Heckel's intercept", source=_PLANT, minimum=0.05)
    k_m = m.parameter("machine_stiffness", 42.4, "kN/mm", "stiffness of machine and punches", source=_PLANT)
    xi = m.parameter(
        "speed_effect", 0.0, "1", "relative loss of fill density at twice the reference speed", source=_ILLUSTRATIVE
    )
    n_ref = m.parameter("reference_speed", 120000.0, "1/h", "speed of the fill density", source="Zagar & Mihelic 2022")
    recovery = m.parameter("elastic_recovery", 0.03, "1", "loss of solid fraction after ejection", source=_ILLUSTRATIVE)
    sigma_0 = m.parameter("strength_nonporous", 2.25, "MPa", "tensile strength at solid fraction 1", source=_PLANT)
    k_b = m.parameter("strength_porosity", 5.03, "1", "how strength falls with porosity", source=_PLANT)
    t_cups = m.parameter("cup_height", 1.643, "mm", "height of both cups", source=_PLANT)
    tau_a = m.parameter("actuator_time_constant", 2.0, "s", "lag of fill cam and roller servo", source=_ILLUSTRATIVE)
    tau_n = m.parameter("turret_time_constant", 4.0, "s", "lag of the turret drive", source=_ILLUSTRATIVE)
    zone = m.parameter("filling_zone_mass", 0.2, "kg", "powder in the filling zone", source=_ILLUSTRATIVE)
    tau_z = m.parameter("filling_zone_time", 10.0, "s", "how fast the zone is filled up", source=_ILLUSTRATIVE)
    m_e = m.parameter("starving_mass", 0.005, "kg", "powder below which dies stay part empty", source=_ILLUSTRATIVE)
    heel = m.parameter("heel", 0.001, "kg", "powder that never leaves the zone", source=_ILLUSTRATIVE, minimum=1e-4)

    fill = m.state("fill_depth_actual", fill_sp, "mm", "fill depth", nominal=5.0)
    gap = m.state("gap_actual", gap_sp, "mm", "gap of the main rollers", nominal=2.0)
    pre_gap = m.state("precompression_gap_actual", pre_gap_sp, "mm", "gap of the pre-rollers", nominal=5.0)
    speed = m.state("turret_speed_actual", speed_sp, "1/h", "tablets per hour", nominal=1e5)
    zone_mass = m.state("zone.mass", zone, "kg", "powder in the filling zone", minimum=0.0, nominal=0.1)
    zone_api = m.state(
        "zone.api_mass", zone * inlet.api_fraction, "kg", "API in the filling zone", minimum=0.0, nominal=0.01
    )
    zone_volume = m.state(
        "zone.volume", zone / inlet.bulk_density, "m^3", "bulk volume in the zone", minimum=0.0, nominal=2e-4
    )
    carried_in = powder_in.carried(inlet.mass_flow)
    carried = Carried(
        *(
            m.state(f"zone.{name}", share, unit, f"{text} in the filling zone", nominal=0.2 * nominal)
            for (name, unit, text, nominal), share in zip(CARRIED, powder_in.carried(zone), strict=True)
        )
    )
    tablets = m.state("tablets", 0.0, "1", "tablets made", nominal=1e4)
    mass_out = m.state("tablet_mass", 0.0, "kg", "mass of the tablets made", nominal=10.0)
    api_out = m.state("tablet_api_mass", 0.0, "kg", "API in the tablets made", nominal=1.0)
    water_out = m.state("tablet_water", 0.0, "kg", "water in the tablets made", nominal=0.1)

    area = math.pi / 4 * d**2  # mm^2
    x_api, density = zone_api / zone_mass, zone_mass / zone_volume
    fill_density = rho_fill * density / rho_ref * (1.0 - xi * (speed / n_ref - 1.0))
    weight = fill_density * (area * fill + v_fill) * 1e-3 * (1.0 - ca.exp(-ca.fmax(zone_mass - heel, 0.0) / m_e))  # mg

    powder, reference = PowderAttributes.of(zone_mass, carried), tableting.reference_powder(m)
    relative_speed = tableting.slowed(speed, n_ref)
    pressure_scale = compressibility * p_y * tableting.yield_effect(m, powder, reference, relative_speed)

    def compress(name: str, roller_gap: Any, text: str) -> tuple[Any, Any]:
        """Declare -ln(1 - in-die solid fraction) under a roller; that and the force [kN]."""
        unloaded = rho_t * 1e-3 * (area * roller_gap + v_cups) * (1.0 - ca.exp(-a_h))
        compact = ca.fmax(weight, unloaded) / (rho_t * 1e-3)  # mm^3 of solid
        strain = m.algebraic(name, a_h, "1", f"-ln(1 - in-die solid fraction) {text}")
        load = 1e-3 * area * pressure_scale * (strain - a_h)
        loaded_gap = compact / (area * (1.0 - ca.exp(-strain))) - v_cups / area
        m.residual(strain, load - k_m * (loaded_gap - roller_gap))
        return strain, load

    s, force = compress("heckel_strain", gap, "at the main rollers")
    s_pre, pre_force = compress("precompression_strain", pre_gap, "at the pre-rollers")

    rate = speed / 3600.0
    flow, api_flow = rate * weight * 1e-6, rate * weight * 1e-6 * x_api
    m.derivative(fill, (fill_sp - fill) / tau_a)
    m.derivative(gap, (gap_sp - gap) / tau_a)
    m.derivative(pre_gap, (pre_gap_sp - pre_gap) / tau_a)
    m.derivative(speed, (speed_sp - speed) / tau_n)
    m.derivative(zone_mass, inlet.mass_flow - flow)
    m.derivative(zone_api, inlet.flows.api - api_flow)
    m.derivative(zone_volume, inlet.flows.volume - flow / density)
    for content, arriving in zip(carried, carried_in, strict=True):
        m.derivative(content, arriving - flow * content / zone_mass)
    m.derivative(tablets, rate)
    m.derivative(mass_out, flow)
    m.derivative(api_out, api_flow)
    m.derivative(water_out, flow * carried.water / zone_mass)

    turning = speed > 1.0
    in_die = 1.0 - ca.exp(-ca.fmax(s, s_pre))
    relaxed = in_die * (1.0 - recovery)
    band = (weight / (rho_t * 1e-3) / relaxed - v_cups) / area
    thickness = band + t_cups
    air = tableting.trapped_air(m, (s_pre, s), a_h, relative_speed)
    powder_effect = tableting.strength_effect(m, powder, reference) * air.effect
    strength = tabletability * powder_effect * sigma_0 * ca.exp(-k_b * (1.0 - relaxed))
    pressure = 1e3 * ca.fmax(force, pre_force) / area  # MPa
    wall = math.pi * d * ca.fmax(band, 0.0)
    ejection = tableting.ejection_force(m, powder, pressure, wall, sticking)
    draw = ca.fmax(flow + (zone - zone_mass) / tau_z, 0.0)
    m.output(
        "draw_mass_flow",
        ca.fmax(m.mean(draw), 0.0),
        "kg/s",
        "mass flow asked of the feed frame",
        nominal=5e-3,
        display_unit="kg/h",
    )
    m.output(
        "main_compression_force",
        ca.if_else(turning, force, 0.0),
        "kN",
        "main compression force; 0 at standstill",
        role=Role.CPP,
        nominal=5.0,
    )
    m.output(
        "pre_compression_force",
        ca.if_else(turning, pre_force, 0.0),
        "kN",
        "pre-compression force; 0 at standstill",
        role=Role.CPP,
        nominal=5.0,
    )
    m.output(
        "ejection_force",
        ca.if_else(turning, ejection, 0.0),
        "N",
        "ejection force; 0 at standstill",
        nominal=200.0,
    )
    m.output(
        "dwell_time",
        tableting.dwell_time(m, speed, 0.01 * n_ref),
        "ms",
        "dwell time under the main rollers",
        nominal=10.0,
    )
    m.output("trapped_air", air.relative, "1", "air that the main rollers drive out, over that without pre-compression")
    m.output("fill_depth", fill, "mm", "fill depth", role=Role.CPP, nominal=5.0)
    m.output("gap", gap, "mm", "gap of the main rollers", role=Role.CPP, nominal=2.0)
    m.output("precompression_gap", pre_gap, "mm", "gap of the pre-rollers", role=Role.CPP, nominal=5.0)
    m.output("turret_speed", speed, "1/h", "tablets per hour", role=Role.CPP, nominal=1e5)
    m.output("tablet_weight", weight, "mg", "mean tablet weight", role=Role.CQA, nominal=200.0)
    m.output("solid_fraction", relaxed, "1", "solid fraction of the ejected tablet")
    m.output("tensile_strength", strength, "MPa", "tensile strength", role=Role.CQA)
    m.output("hardness", strength * math.pi * d * thickness / 2, "N", "breaking force", role=Role.CQA, nominal=50.0)
    m.output("thickness", thickness, "mm", "tablet thickness over the cups", role=Role.CQA, nominal=4.0)
    m.output(
        "label_claim",
        100.0 * weight * x_api / label,
        "%",
        "API per tablet of the label dose",
        role=Role.CQA,
        nominal=100.0,
    )
    declare_release(m, relaxed, powder, reference)
    m.output("tablets_total", tablets, "1", "tablets made", nominal=1e4)
    m.output("tablets.mass", mass_out, "kg", "mass of the tablets made", role=Role.BALANCE, nominal=10.0)
    m.output("tablets.api_mass", api_out, "kg", "API in the tablets made", role=Role.BALANCE)
    m.output("tablets.water", water_out, "kg", "water in the tablets made", role=Role.BALANCE, nominal=0.1)
    holdup(m, zone_mass, zone_api)
    m.output("holdup.water", carried.water, "kg", "water held up", role=Role.BALANCE, nominal=0.01)
    return m
