"""Tank of medium, feed or buffer with its pump: what a bioreactor is fed from."""

from __future__ import annotations

from typing import Any

import casadi as ca

from fmus.liquids import CONTENTS, Liquid, liquid_outlet
from fmus.model import Role, UnitModel

_ILLUSTRATIVE = "illustrative, uncalibrated"
_HOUR = 3600.0
_STARTS = {"glucose": 722.0, "osmolality": 800.0, "temperature": 298.15}


def media_tank() -> UnitModel:
    """Build the tank and its pump.

    With V the volume, a and f the amplitude and frequency of the pump's pulsation::

        dV/dt = -F_out
        F_out = F_setpoint d (1 + a sin(2 pi f t)) (1 - exp(-max(V - V_0, 0)/V_e))

    d disturbs the pump; an emptying tank starves it down to a heel V_0. The composition is in the parameters
    ``content.*``; a disturbance scales its glucose and glutamine.
    """
    m = UnitModel("media_tank", "Tank of medium or feed with its pump", integrator="erk", documentation=__doc__ or "")
    setpoint = m.input("flow_setpoint", 0.0, "L/h", "flow asked of the pump", minimum=0.0, nominal=0.1, role=Role.CPP)

    def disturbance(name: str, start: float, text: str, most: float) -> Any:
        return m.input(name, start, "1", text, minimum=0.0, maximum=most, role=Role.DISTURBANCE)

    pump = disturbance("pump_factor", 1.0, "factor on the pumped flow: wear, blockage", 2.0)
    pulsation = disturbance("pulsation_amplitude", 0.0, "amplitude of the pump's pulsation over its flow", 1.0)
    strength = disturbance("concentration_factor", 1.0, "factor on glucose and glutamine", 3.0)
    frequency = m.parameter(
        "pulsation_frequency", 1.0 / 600.0, "1/s", "of the pump's pulsation", source=_ILLUSTRATIVE, minimum=0.0
    )
    first = m.parameter("initial_volume", 50.0, "L", "volume at the start", source="chosen", minimum=1e-3)
    heel = m.parameter("heel", 0.5, "%", "of the volume at the start: never drawn", source=_ILLUSTRATIVE, minimum=0.01)
    content = {
        name: m.parameter(
            f"content.{name}",
            _STARTS.get(name, c.start),
            c.unit,
            c.description,
            source="130 g/L glucose: the supplement of Badr et al. 2021" if name == "glucose" else "chosen",
            minimum=max(c.minimum, 0.0),
            maximum=c.maximum,
            display_unit="degC" if c.unit == "K" else "",
            tunable=True,
        )
        for name, c in CONTENTS.items()
    }
    content |= {name: strength * content[name] for name in ("glucose", "glutamine")}
    volume = m.state("volume", first, "L", "volume in the tank", nominal=50.0)
    bottom = 0.01 * heel * first
    supply = 1.0 - ca.exp(-ca.fmax(volume - bottom, 0.0) / bottom)
    flow = setpoint * pump * (1.0 + pulsation * ca.sin(2.0 * ca.pi * frequency * m.time)) * supply
    m.derivative(volume, -flow / _HOUR)
    liquid_outlet(m, Liquid(flow, {name: flow * value for name, value in content.items()}), content)
    m.output("level", 100.0 * volume / first, "%", "volume over that at the start", nominal=50.0)
    m.output("holdup.volume", volume, "L", "volume held up", role=Role.BALANCE, nominal=50.0)
    return m
