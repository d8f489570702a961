"""Units whose coupled solution is known."""

from __future__ import annotations

from fmus import UnitModel


def gain() -> UnitModel:
    """An output that is its input at once: y = k u + 1."""
    m = UnitModel("gain", "y = k u + 1")
    u = m.input("u", 0.0, "1", "input")
    k = m.parameter("k", 1.0, "1", "gain", source="made up")
    offset = m.parameter("offset", 1.0, "1", "offset", source="made up")
    clock = m.state("clock", 0.0, "s", "a state, so that there is something to step")
    m.derivative(clock, 1.0)
    m.output("y", k * u + offset, "1", "output")
    return m


def mass() -> UnitModel:
    """A mass of 1 kg on a spring to the ground and one to a place that it is told."""
    m = UnitModel("mass", "x'' = c (u - x) - x")
    u = m.input("u", 0.0, "m", "other end of its second spring")
    c = m.parameter("stiffness", 1.0, "N/m", "second spring", source="made up")
    x0 = m.parameter("x_start", 0.0, "m", "where it starts", source="made up")
    x = m.state("position", x0, "m", "position")
    v = m.state("velocity", 0.0, "m/s", "velocity")
    m.derivative(x, v)
    m.derivative(v, c * (u - x) - x)
    m.output("x", x, "m", "position")
    m.output("v", v, "m/s", "velocity")
    return m


def integrator() -> UnitModel:
    """The integral of what it is told."""
    m = UnitModel("integrator", "x' = u")
    u = m.input("u", 0.0, "1", "what is integrated")
    x = m.state("integral", 0.0, "s", "integral")
    m.derivative(x, u)
    m.output("x", x, "s", "integral")
    return m
