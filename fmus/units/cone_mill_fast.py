"""Cone mill, fast: the sizes that the mill at rest would give, then one mixed vessel."""

from __future__ import annotations

import casadi as ca

from fmus.model import UnitModel
from fmus.physics.milling import declare, declare_outputs, declare_vessel, steady


def cone_mill_fast() -> UnitModel:
    """Build the fast mill; the interface is that of `cone_mill`.

    What comes in is broken at once to the sizes that the detailed mill would give at rest, and mixed in a vessel::

        N = A^-1 F,   A_kj = (P_k + S_k)[k = j] - b_kj S_j        solved from the largest class down
        dM_k/dt = P_k N_k - s M_k/tau_v

    with the symbols of `cone_mill` and tau_v the residence time of the whole. Sum P_k N_k = sum F_k: nothing is lost.
    """
    m = UnitModel(
        "cone_mill_fast",
        "Cone mill, fast: sizes of the mill at rest, then a mixed vessel",
        integrator="erk",
        relative_tolerance=1e-6,
        absolute_tolerance=1e-8,
        documentation=__doc__ or "",
    )
    mill = declare(m)
    vessel_time = m.parameter(
        "vessel_time",
        3.5,
        "s",
        "tau_v: mean residence time in the mill, breakage included",
        source="hold-up over flow of cone_mill at rest with its defaults",
        minimum=0.1,
    )
    arriving = mill.inlet.flows
    milled = mill.passing * steady(mill, arriving.size)
    rate = mill.open_share / vessel_time
    size = m.state(
        "held.size",
        ca.vertsplit(vessel_time * milled),
        "kg",
        "dry solids held up by size class",
        minimum=0.0,
        nominal=1e-3,
    )
    vessel = declare_vessel(m, arriving, vessel_time)
    leaving = rate * size
    out = vessel.leaving(ca.sum1(leaving), ca.sum1(size))
    m.derivative(size, milled - leaving)
    m.derivative(vessel.api, arriving.api - out.api)
    m.derivative(vessel.water, arriving.water - out.water)
    m.derivative(vessel.volume, arriving.volume - out.volume)
    m.derivative(vessel.heat, arriving.heat - out.heat)
    declare_outputs(m, mill, out.flow(leaving), vessel.flow(size))
    return m
