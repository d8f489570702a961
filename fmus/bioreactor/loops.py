"""The inner control loops of a bioreactor: dissolved oxygen, pH, temperature. Each can be taken over by hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import casadi as ca

from fmus.bioreactor.interface import ILLUSTRATIVE, Inputs, Loop
from fmus.model import UnitModel

_COLDEST, _HOTTEST = 277.15, 333.15  # K, of the jacket


@dataclass(frozen=True)
class Actuators:
    """What the loops ask for.

    Attributes:
        nitrogen: 1/min.
        oxygen: 1/min.
        agitation: rpm.
        carbon_dioxide: 1/min.
        base: L/h.
        jacket: K.
    """

    nitrogen: Any
    oxygen: Any
    agitation: Any
    carbon_dioxide: Any
    base: Any
    jacket: Any


@dataclass(frozen=True)
class Probes:
    """What the probes show."""

    oxygen: Any
    ph: Any
    temperature: Any


def declare_probes(m: UnitModel, inputs: Inputs, start_oxygen: Any, start_ph: Any, start_temperature: Any) -> Probes:
    """Declare the probes, which begin at rest."""
    return Probes(
        m.state("probe.oxygen", start_oxygen + inputs.oxygen_loop.drift, "%", "oxygen as shown", nominal=50.0),
        m.state("probe.ph", start_ph + inputs.ph_loop.drift, "1", "pH as shown", nominal=7.0),
        m.state(
            "probe.temperature",
            start_temperature + inputs.temperature_loop.drift,
            "K",
            "temperature as shown",
            nominal=300.0,
            display_unit="degC",
        ),
    )


def follow(m: UnitModel, probe: Any, loop: Loop, true: Any, lag: float, name: str, mixing_time: Any) -> None:
    """A probe follows ``true`` with its own lag and the mixing time, and shows its drift on top."""
    own = m.parameter(f"probe.{name}_lag", lag, "s", "lag of the probe", source=ILLUSTRATIVE, minimum=1.0)
    m.derivative(probe, (true + loop.drift - probe) / (own + mixing_time))


def act(m: UnitModel, inputs: Inputs, probes: Probes, working: Any) -> Actuators:
    """Declare the controllers and return what they ask for.

    Oxygen and temperature: PI with back-calculation; pH: proportional with a dead band. The oxygen loop's output goes
    to nitrogen below 0, to oxygen from 0 to 50 %, to agitation above; that of pH to base below 0, to carbon dioxide
    above.
    """

    def parameter(name: str, value: float, unit: str, text: str, low: float = 0.0) -> Any:
        return m.parameter(name, value, unit, text, source=ILLUSTRATIVE, minimum=low, tunable=True)

    gain = parameter("oxygen_loop.gain", 0.8, "1", "percent of output per percent of air saturation")
    reset = parameter("oxygen_loop.reset_time", 900.0, "s", "integral time", 1.0)
    most_nitrogen = parameter("oxygen_loop.nitrogen_max", 0.02, "1/min", "most nitrogen per working volume")
    most_oxygen = parameter("oxygen_loop.oxygen_max", 0.05, "1/min", "most oxygen per working volume")
    fastest = parameter("oxygen_loop.agitation_ratio", 1.6, "1", "fastest agitation over its setpoint", 1.0)
    loop = inputs.oxygen_loop
    wanted = _pi(m, "oxygen", gain * (loop.setpoint - probes.oxygen), reset, -100.0, 100.0)
    u = _taken_over(loop, wanted) / 100.0
    agitation = inputs.agitation * (1.0 + (fastest - 1.0) * ca.fmax(2.0 * u - 1.0, 0.0))

    slope = parameter("ph_loop.gain", 500.0, "%", "percent of output per pH")
    band = parameter("ph_loop.dead_band", 0.02, "1", "distance from the setpoint that is left alone")
    most_base = parameter("ph_loop.base_max", 0.01, "1/h", "fastest base per working volume")
    most_co2 = parameter("ph_loop.co2_max", 0.01, "1/min", "most carbon dioxide per working volume")
    loop = inputs.ph_loop
    error = probes.ph - loop.setpoint
    beyond = ca.fmax(error - band, 0.0) + ca.fmin(error + band, 0.0)
    v = _taken_over(loop, ca.fmin(ca.fmax(slope * beyond, -100.0), 100.0)) / 100.0

    stiff = parameter("temperature_loop.gain", 5.0, "1", "kelvin of jacket per kelvin")
    slow = parameter("temperature_loop.reset_time", 1800.0, "s", "integral time", 1.0)
    loop = inputs.temperature_loop
    jacket = loop.setpoint + _pi(
        m, "temperature", stiff * (loop.setpoint - probes.temperature), slow, _COLDEST - 310.15, _HOTTEST - 310.15
    )
    return Actuators(
        nitrogen=most_nitrogen * ca.fmax(-u, 0.0),
        oxygen=most_oxygen * ca.fmin(ca.fmax(2.0 * u, 0.0), 1.0),
        agitation=agitation,
        carbon_dioxide=most_co2 * ca.fmax(v, 0.0),
        base=most_base * working * ca.fmax(-v, 0.0),
        jacket=_taken_over(loop, jacket),
    )


def _taken_over(loop: Loop, automatic: Any) -> Any:
    return (1.0 - loop.manual) * automatic + loop.manual * loop.output


def _pi(m: UnitModel, name: str, proportional: Any, reset: Any, low: float, high: float) -> Any:
    """The limited output of a PI controller; what the limit cuts off draws the integral back."""
    unit = "%" if name == "oxygen" else "K"
    integral = m.state(f"{name}_loop.integral", 0.0, unit, "integral part of the output", nominal=10.0)
    raw = proportional + integral
    limited = ca.fmin(ca.fmax(raw, low), high)
    m.derivative(integral, (proportional + limited - raw) / reset)
    return limited
