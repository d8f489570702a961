"""Cone mill: breakage of dry granules until they pass the screen, population balance over 30 size classes."""

from __future__ import annotations

import casadi as ca

from fmus.model import UnitModel
from fmus.physics.milling import broken, declare, declare_outputs, declare_vessel


def cone_mill() -> UnitModel:
    """Build the mill.

    With M_k the dry solids of size class k that are held up, F_k what comes in and a the opening of the screen, grown
    by wear::

        dM_k/dt = F_k - P_k M_k + sum_j b_kj S_j M_j - S_k M_k
        P_k = s p(d_k/a)/tau                                          passage; p 1 below 0.8, 0 above 1, a ramp between
        S_k = S_0 (n/n_ref)^1.5 (d_k/1mm)^2 / c  for d_k > a/4        breakage, else 0
        b_kj                                                          from the cumulative mass (x/y)^q of the fragments
        s = (1 - blinded)/(1 + (max(X - X_s, 0)/X_w)^2)               share of the screen that is open
        c = strength exp(k_X (X - X_ref))                             moist granules are tougher, dry ones make fines

    The limit of breakage at a/4 is a ramp of +- 10 %, so that a wearing screen changes nothing by jumps. API, water,
    bulk volume and heat are mixed over the hold-up and leave in proportion to the dry solids. The screen lets nothing
    pass that is larger than its openings, whatever comes in.
    """
    m = UnitModel(
        "cone_mill",
        "Cone mill: population balance with screen",
        integrator="erk",
        relative_tolerance=1e-6,
        absolute_tolerance=1e-8,
        documentation=__doc__ or "",
    )
    mill = declare(m)
    arriving = mill.inlet.flows
    size = m.state(
        "held.size",
        ca.vertsplit(mill.residence * arriving.size),
        "kg",
        "dry solids held up by size class",
        minimum=0.0,
        nominal=1e-3,
    )
    vessel = declare_vessel(m, arriving, mill.residence)
    leaving = mill.passing * size
    out = vessel.leaving(ca.sum1(leaving), ca.sum1(size))
    m.derivative(size, arriving.size - leaving + broken(mill, size))
    for content, inflow, outflow in (
        (vessel.api, arriving.api, out.api),
        (vessel.water, arriving.water, out.water),
        (vessel.volume, arriving.volume, out.volume),
        (vessel.heat, arriving.heat, out.heat),
    ):
        m.derivative(content, inflow - outflow)
    declare_outputs(m, mill, out.flow(leaving), vessel.flow(size))
    return m
