"""Surge tank: a stirred hold-up of liquid between the bioreactor and what takes its harvest."""

from __future__ import annotations

import casadi as ca

from fmus.liquids import CONTENTS, Liquid, liquid_inlet, liquid_outlet
from fmus.model import Role, UnitModel

_ILLUSTRATIVE = "illustrative, uncalibrated"
_HOUR = 3600.0


def surge_tank() -> UnitModel:
    """Build the surge tank.

    With V the volume and c each of the contents of a liquid::

        dV/dt     = F_in - F_out
        d(V c)/dt = F_in c_in - F_out c
        F_out     = F_setpoint d (1 - exp(-max(V - V_0, 0)/V_e))

    d disturbs the pump; an emptying tank starves it down to a heel V_0. Nothing reacts; temperature, pH and osmolality
    mix by volume.
    """
    m = UnitModel("surge_tank", "Stirred surge tank for liquids", integrator="erk", documentation=__doc__ or "")
    inlet = liquid_inlet(m, "inlet", nominal=0.1)
    setpoint = m.input(
        "outlet_flow_setpoint", 0.0, "L/h", "flow asked of the outlet pump", minimum=0.0, nominal=0.1, role=Role.CPP
    )
    disturbance = m.input(
        "pump_factor",
        1.0,
        "1",
        "factor on the pumped flow: wear, pulsation",
        minimum=0.0,
        maximum=2.0,
        role=Role.DISTURBANCE,
    )
    capacity = m.parameter("capacity", 10.0, "L", "volume at level 100 %", source=_ILLUSTRATIVE, minimum=1e-3)
    first = m.parameter("initial_volume", 1.0, "L", "buffer in the tank at the start", source=_ILLUSTRATIVE)
    heel = m.parameter("heel", 0.5, "%", "of the capacity: never drawn", source=_ILLUSTRATIVE, minimum=0.01)

    volume = m.state("volume", first, "L", "volume in the tank")
    held = {
        name: m.state(
            f"amount.{name}",
            first * c.start,
            f"{c.unit}*L" if c.unit != "1" else "L",
            f"{c.description}, times volume",
            nominal=c.nominal,
        )
        for name, c in CONTENTS.items()
    }
    bottom = 0.01 * heel * capacity
    supply = 1.0 - ca.exp(-ca.fmax(volume - bottom, 0.0) / bottom)
    flow = setpoint * disturbance * supply
    content = {name: amount / ca.fmax(volume, 1e-9) for name, amount in held.items()}
    m.derivative(volume, (inlet.flow - flow) / _HOUR)
    for name, amount in held.items():
        m.derivative(amount, (inlet.flows.carried[name] - flow * content[name]) / _HOUR)

    liquid_outlet(m, Liquid(flow, {name: flow * value for name, value in content.items()}), content)
    m.output("level", 100.0 * volume / capacity, "%", "volume over capacity; above 100 % it overflows", nominal=50.0)
    m.output("holdup.volume", volume, "L", "volume held up", role=Role.BALANCE)
    m.output("holdup.mab", held["mab"], "g", "antibody held up", role=Role.BALANCE)
    m.output("holdup.glucose", held["glucose"], "mmol", "glucose held up", role=Role.BALANCE, nominal=20.0)
    return m
