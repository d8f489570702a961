"""A small unit with everything that a model can declare: arrays, types, events, an implicit equation, a terminal."""

from __future__ import annotations

import casadi as ca

from fmus import Role, UnitModel

FILLING, EMPTYING = 0.0, 1.0


def demo_unit() -> UnitModel:
    m = UnitModel("demo_unit", "A tank of three species that fills and empties")
    feed = m.input("feed", [1.0, 2.0, 3.0], "kg/s", "flow of each species", minimum=0.0, maximum=10.0, role=Role.CPP)
    valve = m.input("valve_open", 1.0, "1", "the inlet valve is open", kind="Boolean")
    heat = m.input("temperature", 300.0, "K", "temperature", display_unit="degC", minimum=250.0, maximum=400.0)
    gain = m.parameter("gain", 1.0, "1", "factor on the outflow", source="made up", tunable=True)
    weights = m.parameter("weights", [1.0, 0.5, 0.25], "1", "weight of each species", source="made up")
    limit = m.parameter("limit", 30.0, "kg", "amount at which it empties", source="made up", tunable=True)
    amount = m.state("amount", [1.0, 0.0, 0.0], "kg", "amount of each species", nominal=10.0)
    mode = m.state("mode", FILLING, "1", "what the tank does", kind="Enumeration", items=("filling", "emptying"))
    turns = m.state("turns", 0.0, "1", "how often it emptied", kind="Integer")
    level = m.algebraic("level", 1.0, "m", "level: level + level^3 = total / 10 kg")
    total = ca.sum1(amount)
    m.residual(level, level + level**3 - total / 10.0)
    filling = mode < 0.5
    out = gain * amount * ca.if_else(filling, 0.01, 0.5) * heat / 300.0
    m.derivative(amount, feed * ca.if_else(ca.logic_and(filling, valve > 0.5), 1.0, 0.0) - out)
    m.event("full", ca.if_else(filling, limit - total, 1.0), {"mode": EMPTYING})
    m.event("empty", ca.if_else(filling, 1.0, total - 1.0), {"mode": FILLING, "turns": turns + 1})
    m.output("outflow", m.mean(out), "kg/s", "flow out of each species")
    m.output("weighted", ca.dot(weights, amount), "kg", "weighted amount", nominal=10.0, role=Role.CQA)
    m.output("fill_level", level, "m", "level")
    m.output("tank_mode", mode, "1", "what the tank does", kind="Enumeration", items=("filling", "emptying"))
    m.output("turn_count", turns, "1", "how often it emptied", kind="Integer")
    m.output("accepts", valve, "1", "the valve is open", kind="Boolean")
    m.terminal("outlet", "species_stream", {"flow": "outflow"}, "what leaves")
    return m
