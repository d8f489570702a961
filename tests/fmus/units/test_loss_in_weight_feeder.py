"""The feeder's upsets by refills, with the screw's speed frozen and with a stored array of feed factors."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.linalg import expm

Drive = Callable[..., Any]
SETPOINT = 20.0
#: the reference's powder, hopper and filter; it starts full, so that three refills fall into the hour
CASE = {
    "feed_factor_max": 4.0,
    "feed_factor_min": 2.6,
    "mass_flow_setpoint": SETPOINT,
    "initial_hopper_mass": 8.0,
}
#: share of the packing that the stored array knows, chosen to meet the reference's upset behind the blender
ARRAY = 0.3


def table() -> dict[str, dict[str, float]]:
    lines = Path(__file__).with_name("feeder_refills.csv").read_text(encoding="utf-8").splitlines()
    rows = csv.DictReader(line for line in lines if not line.startswith("#"))
    return {row.pop("refill"): {k: float(v) for k, v in row.items()} for row in rows}


def hour(feeder: Any, pulsation: float, seed: int) -> np.ndarray:
    """Flow over setpoint, second by second."""
    factors = 1.0 + pulsation * np.random.default_rng(seed).standard_normal(3600)
    flow = []
    for factor in factors:
        feeder.set(flow_disturbance=float(factor))
        feeder.step(1.0)
        flow.append(3600.0 * feeder.get("outlet.mass_flow") / SETPOINT)
    return np.array(flow)


def behind_three_tanks(flow: np.ndarray, residence: float = 20.0) -> np.ndarray:
    """The exact response of three stirred tanks in series, at rest before, to what is held for a second each."""
    rates = (np.eye(3, k=-1) - np.eye(3)) / residence
    advance = expm(np.block([[rates, np.array([[1.0 / residence], [0.0], [0.0]])], [np.zeros((1, 4))]]))
    content, left = np.ones(3), []
    for value in flow:
        content = advance[:3, :3] @ content + advance[:3, 3] * value
        left.append(content[2])
    return np.array(left)


def upsets(drive: Drive, compensation: float) -> np.ndarray:
    """Refills, largest deviation of the 10 s average [%] and behind the blender [%]: means over three seeds."""
    found = []
    for seed in range(3):
        feeder = drive("loss_in_weight_feeder").start(**CASE, refill_compensation=compensation)
        flow = hour(feeder, 0.01, seed)
        average = np.convolve(flow, np.full(10, 0.1), "valid")
        found.append(
            [
                feeder.get("refill_count"),
                100.0 * np.abs(average - 1.0).max(),
                100.0 * np.abs(behind_three_tanks(flow) - 1.0).max(),
            ]
        )
    return np.mean(found, axis=0)


def test_refills_upset_the_blend_as_in_the_table(drive: Drive) -> None:
    frozen, array = (upsets(drive, compensation) for compensation in (0.0, ARRAY))
    expected = table()
    for found, row in ((frozen, expected["frozen speed"]), (array, expected["stored array"])):
        assert found[0] == row["refills"]
        assert found[2] == pytest.approx(row["blend_upset"], rel=0.06)
        # ours is short of the reference's peak, whose controller is not known: see docs/units.md
        assert 0.7 * row["ten_second_deviation"] < found[1] < row["ten_second_deviation"]
    ratio = expected["stored array"]["ten_second_deviation"] / expected["frozen speed"]["ten_second_deviation"]
    assert array[1] / frozen[1] == pytest.approx(ratio, rel=0.1)


def test_a_perfect_array_leaves_hardly_an_upset_and_no_jump_when_control_resumes(drive: Drive) -> None:
    frozen, perfect = (
        hour(drive("loss_in_weight_feeder").start(**CASE, refill_compensation=c), 0.0, 0) for c in (0.0, 1.0)
    )
    assert frozen.max() > 1.06
    assert abs(perfect[300:] - 1.0).max() < 0.015
    # what is left comes while the hopper fills: at the end of settling nothing jumps
    assert np.abs(np.diff(perfect[920:1000])).max() < 1e-3
