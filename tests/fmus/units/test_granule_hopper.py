"""The hopper: what arrives in pulses leaves evenly, nothing is lost, an empty one starves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

Drive = Callable[..., Any]


def test_pulses_leave_evenly_and_nothing_is_lost(drive: Drive) -> None:
    hopper = drive("granule_hopper").start(discharge_setpoint=5e-3, inlet__moisture=0.03, inlet__api_fraction=0.2)
    before = np.array([hopper.get(f"holdup.{part}") for part in ("mass", "api_mass", "water")])
    arrived, left, flows = np.zeros(3), np.zeros(3), []
    for k in range(360):
        flow = 0.9 / 10 if k % 36 < 2 else 0.0  # 0.9 kg in 10 s, every 180 s
        hopper.set(inlet__mass_flow=flow)
        hopper.step(5.0)
        out = hopper.get("outlet.mass_flow")
        flows.append(out)
        moisture = hopper.get("outlet.moisture")
        dry = out / (1.0 + moisture)
        left += 5.0 * np.array([out, dry * hopper.get("outlet.api_fraction"), dry * moisture])
        arrived += 5.0 * flow * np.array([1.0, 0.2 / 1.03, 0.03 / 1.03])
        assert sum(hopper.get(f"outlet.size[{i}]") for i in range(1, 31)) == pytest.approx(1.0, rel=1e-9)
    after = np.array([hopper.get(f"holdup.{part}") for part in ("mass", "api_mass", "water")])
    np.testing.assert_allclose(arrived - left, after - before, atol=1e-9 * arrived[0])
    np.testing.assert_allclose(flows, 5e-3, rtol=1e-3)


def test_an_empty_hopper_starves_and_keeps_its_heel(drive: Drive) -> None:
    hopper = drive("granule_hopper").start(inlet__mass_flow=0.0)
    for _ in range(60):
        hopper.step(60.0)
    assert hopper.get("outlet.mass_flow") < 1e-5
    assert hopper.get("mass") == pytest.approx(0.01, rel=1e-2)
    assert hopper.get("outlet.api_fraction") == pytest.approx(0.09, rel=1e-9)
