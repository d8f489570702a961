"""Media tank and surge tank: balances of every content, the pump, an empty tank, mixing."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fmus
from fmus.liquids import CONTENTS

Drive = Callable[..., Any]
HOUR = 3600.0
QUICK = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize("size", [60.0, 3600.0])
def test_surge_tank_conserves_every_content_whatever_the_step(size: float, drive: Drive) -> None:
    rich = {
        name: min(c.nominal * (2.0 + i), 0.9 * c.maximum)
        for i, (name, c) in enumerate(CONTENTS.items())
        if name not in ("temperature", "ph")
    }
    tank = drive("surge_tank").start(**{f"inlet__{name}": value for name, value in rich.items()})
    tank.set(inlet__flow=1.0, outlet_flow_setpoint=0.7)
    before = {name: tank.get(f"amount.{name}") for name in CONTENTS}
    out = dict.fromkeys(CONTENTS, 0.0)
    steps = round(24 * HOUR / size)
    for k in range(steps):
        tank.set(outlet_flow_setpoint=0.5 + 0.4 * (k % 3))
        tank.step(size)
        flow = tank.get("outlet.flow")
        for name in CONTENTS:
            out[name] += flow * tank.get(f"outlet.{name}") * size / HOUR
    for name in CONTENTS:
        into = 24.0 * tank.get(f"inlet.{name}")
        change = tank.get(f"amount.{name}") - before[name]
        assert into - out[name] - change == pytest.approx(0.0, abs=1e-9 * (into + before[name])), name


def test_surge_tank_washes_out_exponentially(drive: Drive) -> None:
    tank = drive("surge_tank").start(inlet__mab=2.0, inlet__flow=0.5, outlet_flow_setpoint=0.5, heel=0.01)
    for hours in (1, 2, 6):
        while tank.time < hours * HOUR:
            tank.step(600.0)
        expected = 2.0 * (1 - math.exp(-0.5 * hours))
        assert tank.get("holdup.mab") == pytest.approx(expected, rel=1e-7)


def test_an_empty_surge_tank_delivers_what_enters(drive: Drive) -> None:
    tank = drive("surge_tank").start(outlet_flow_setpoint=2.0, inlet__flow=0.5, inlet__mab=3.0)
    rows = tank.record(600.0, 72, ["holdup.volume", "outlet.flow", "outlet.mab"])
    assert np.all(rows >= 0)
    assert rows[-1] == pytest.approx([rows[-1, 0], 0.5, 3.0], rel=1e-6)
    assert 0.05 < rows[-1, 0] < 0.2


def test_media_tank_delivers_its_content_and_runs_empty(drive: Drive) -> None:
    tank = drive("media_tank").start(initial_volume=2.0, flow_setpoint=0.5, concentration_factor=0.9)
    tank.step(HOUR)
    assert tank.get("outlet.flow") == pytest.approx(0.5, rel=1e-9)
    assert tank.get("outlet.glucose") == pytest.approx(0.9 * 722.0, rel=1e-9)
    flows = [0.5, *tank.record(HOUR, 9, ["outlet.flow"])[:, 0]]
    assert flows[-1] < 1e-6
    assert sum(flows) == pytest.approx(2.0 - tank.get("holdup.volume"), rel=1e-8)


def test_a_pulsating_pump_keeps_its_mean(drive: Drive) -> None:
    tank = drive("media_tank").start(flow_setpoint=0.5, pulsation_amplitude=0.3)
    flows = tank.record(60.0, 60, ["outlet.flow"])[:, 0]
    assert np.mean(flows) == pytest.approx(0.5, rel=1e-6)
    assert np.max(flows) > 0.6


def test_liquid_terminals_fit_each_other() -> None:
    reactor, tank = fmus.unit_model("bioreactor_badr2021"), fmus.unit_model("surge_tank")
    members = {(t.kind, tuple(t.members)) for m in (reactor, tank) for t in m.terminals}
    assert len(members) == 1
    assert {t.name for t in reactor.terminals} == {"medium", "feed", "supplement", "harvest", "bleed"}


@QUICK
@given(st.lists(st.tuples(st.floats(0, 5), st.floats(0, 5), st.floats(0, 20), st.floats(0, 2)), min_size=2, max_size=6))
def test_surge_tank_stays_positive(drive: Drive, moves: list[tuple[float, float, float, float]]) -> None:
    tank = drive("surge_tank").start()
    for into, out, mab, factor in moves:
        tank.set(inlet__flow=into, outlet_flow_setpoint=out, inlet__mab=mab, pump_factor=factor)
        rows = tank.record(HOUR, 5, ["holdup.volume", "holdup.mab", "outlet.flow", "outlet.mab", "outlet.temperature"])
        assert np.all(np.isfinite(rows))
        assert np.all(rows >= -1e-9)  # what the integrator tolerates of 1 g/L
