"""The lubricant blender: residence time, revolutions, balances, and what it tells of the powder."""

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


def test_lubrication_is_lubricant_times_revolutions(drive: Drive) -> None:
    for values in ({}, {"lubricant__mass_flow": 0.36 / 3600}, {"impeller_speed": 300.0}):
        blender = settled(drive, **values)
        lubrication = blender.get("lubricant_fraction") * blender.get("revolutions")
        assert blender.get("outlet_attributes.lubrication") == pytest.approx(lubrication, rel=1e-9)
    assert settled(drive, impeller_speed=300.0).get("outlet_attributes.lubrication") > 1.6


def test_moisture_size_and_porosity_of_the_granules_are_handed_on(drive: Drive) -> None:
    blender = settled(drive, inlet__moisture=0.04, inlet__bulk_density=500.0)
    assert blender.get("outlet_attributes.moisture") == pytest.approx(0.04 / 1.04 / (1 / 1.04 + 0.01), rel=1e-6)
    assert blender.get("outlet_attributes.granule_size") == pytest.approx(500.0, rel=0.01)
    # 500 kg of moist granules in a cubic metre, half of which is granules
    porosity = 1.0 - 500.0 / 1.04 / (1540.0 * 0.5)
    assert blender.get("outlet_attributes.granule_porosity") == pytest.approx(porosity, rel=1e-9)
    dense = settled(drive, inlet__bulk_density=1500.0)
    assert dense.get("outlet_attributes.granule_porosity") == 0.0


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
