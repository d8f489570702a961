"""The lubricant blender: residence time, revolutions, balances, and what lubrication costs in strength."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

Drive = Callable[..., Any]


def settled(drive: Drive, **values: float) -> Any:
    blender = drive("lubricant_blender").start(**values)
    for _ in range(60):
        blender.step(20.0)
    return blender


def test_at_rest_the_revolutions_are_speed_times_residence_time(drive: Drive) -> None:
    blender = settled(drive)
    assert blender.get("revolutions") == pytest.approx(3 * 20.0 * 150.0 / 60.0, rel=1e-7)
    dry, lubricant = 18.0 / 3600 / 1.02, 0.18 / 3600
    assert blender.get("lubricant_fraction") == pytest.approx(lubricant / (dry + lubricant), rel=1e-7)
    assert blender.get("holdup.mass") == pytest.approx(60.0 * (18.18 / 3600), rel=1e-7)


def test_more_lubricant_and_moisture_cost_strength_as_the_equation_says(drive: Drive) -> None:
    assert settled(drive).get("strength_factor") == pytest.approx(1.0, abs=2e-3)
    for name, value in (("lubricant__mass_flow", 0.36 / 3600), ("inlet__moisture", 0.04)):
        blender = settled(drive, **{name: value})
        c, gamma, x = (blender.get(n) for n in ("lubricant_fraction", "revolutions", "moisture"))
        reference = 1.0 - 0.4 * (1.0 - math.exp(-0.5 * 0.01 * 150.0))
        expected = (1.0 - 0.4 * (1.0 - math.exp(-0.5 * c * gamma))) * math.exp(-8.0 * (x - 0.02)) / reference
        assert blender.get("strength_factor") == pytest.approx(expected, rel=1e-9)
        assert blender.get("strength_factor") < 0.95


def test_a_pulse_of_lubricant_leaves_like_three_tanks_in_series(drive: Drive) -> None:
    blender = drive("lubricant_blender").start(lubricant__mass_flow=0.0)
    # the blender is at rest with the start values of its inputs: without lubricant here
    times, found = 2.0 * np.arange(1, 200), []
    blender.set(lubricant__mass_flow=1e-4)
    blender.step(1e-3)
    blender.set(lubricant__mass_flow=0.0)
    for _ in times:
        blender.step(2.0)
        found.append(blender.get("lubricant_fraction"))
    density = times**2 * np.exp(-times / 20.0) / (2.0 * 20.0**3)
    expected = 1e-4 * 1e-3 * density / (18.0 / 3600 / 1.02)
    np.testing.assert_allclose(found, expected, atol=1e-3 * expected.max())


def test_what_arrives_leaves_or_stays(drive: Drive) -> None:
    blender = drive("lubricant_blender").start()
    before = np.array([blender.get("holdup.mass"), blender.get("holdup.api_mass")])
    arrived, left = np.zeros(2), np.zeros(2)
    for k in range(100):
        flow, api = (18.0 + 6.0 * math.sin(0.4 * k)) / 3600, 0.09 + 0.02 * math.cos(0.3 * k)
        blender.set(inlet__mass_flow=flow, inlet__api_fraction=api, impeller_speed=150.0 + 50.0 * math.sin(0.1 * k))
        blender.step(3.0)
        out = blender.get("outlet.mass_flow")
        left += 3.0 * out * np.array([1.0, blender.get("outlet.api_fraction")])
        arrived += 3.0 * np.array([flow + 0.18 / 3600, flow / 1.02 * api])
    after = np.array([blender.get("holdup.mass"), blender.get("holdup.api_mass")])
    np.testing.assert_allclose(arrived - left, after - before, atol=1e-8 * arrived[0])
