"""The blender's residence-time distribution against gamma densities, and what it leaves of feeder noise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.stats import gamma

Drive = Callable[..., Any]
THETA, TAU, CELLS, TANKS = 10.0, 20.0, 12, 3


def density(blender: Any, step: float, steps: int) -> np.ndarray:
    """E(t) [1/s] at the middle of each step, from the answer to a step of the composition."""
    blender.start(inlet_1__api_fraction=0.0, inlet_2__api_fraction=0.0)
    blender.set(inlet_1__api_fraction=1.0, inlet_2__api_fraction=1.0)
    # outlets are means over a step: their differences are densities averaged over two steps
    answer = blender.record(step, steps, ["outlet.api_fraction"])[:, 0]
    return np.diff(answer, prepend=0.0) / step


def test_hardly_any_dead_time_leaves_the_gamma_density_of_three_tanks(drive: Drive) -> None:
    step, dead = 0.5, 0.1
    blender = drive("continuous_blender")
    blender.set(dead_time=dead)
    found = density(blender, step, 600)
    times = step * np.arange(600)
    expected = gamma.pdf(times, TANKS, loc=dead, scale=TAU)
    np.testing.assert_allclose(found, expected, atol=0.002 * expected.max())
    # the density itself, where it is more than a tenth of its maximum: within 1 %
    high = expected > 0.1 * expected.max()
    np.testing.assert_allclose(found[high][4:], expected[high][4:], rtol=0.01)
    assert times[found.argmax()] == pytest.approx((TANKS - 1) * TAU + dead, abs=2 * step)


def test_the_screw_section_delays_by_a_gamma_density_of_its_own(drive: Drive) -> None:
    step, steps = 0.5, 600
    found = density(drive("continuous_blender"), step, steps)
    fine = 0.05
    grid = fine * (np.arange(round(step * steps / fine)) + 0.5)
    screw, tanks = (gamma.pdf(grid, n, scale=scale) for n, scale in ((CELLS, THETA / CELLS), (TANKS, TAU)))
    both = np.convolve(screw, tanks)[: len(grid)] * fine
    expected = np.interp(step * np.arange(steps), grid + fine / 2, both)
    assert np.sum(found) * step == pytest.approx(1.0, abs=1e-3)
    np.testing.assert_allclose(found, expected, atol=0.002 * expected.max())


def test_feeder_noise_is_filtered_as_the_residence_times_say(drive: Drive) -> None:
    """sigma2_out/sigma2_in of what is drawn anew each second: the integral of |G|^2 over its spectrum."""
    blender = drive("continuous_blender").start(inlet_1__api_fraction=0.5, inlet_2__api_fraction=0.5)
    drawn = 0.5 + 0.1 * np.random.default_rng(1).standard_normal(40_000).clip(-4, 4)
    out = []
    for value in drawn:
        blender.set(inlet_1__api_fraction=float(value), inlet_2__api_fraction=float(value))
        blender.step(1.0)
        out.append(blender.get("outlet.api_fraction"))
    frequency = np.linspace(-np.pi, np.pi, 200_001)  # rad/s; held for a second and averaged over one: sinc twice
    transfer = (1 + (frequency * TAU) ** 2) ** -TANKS * (1 + (frequency * THETA / CELLS) ** 2) ** -CELLS
    expected = np.trapezoid(transfer * np.sinc(frequency / (2 * np.pi)) ** 4, frequency) / (2 * np.pi)
    assert expected == pytest.approx(3 / 16 / TAU, rel=0.05)  # of three tanks alone: 3/(16 tau)
    assert np.var(out[500:]) / np.var(drawn) == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("period", [60.0, 300.0])
def test_a_swinging_feed_comes_out_with_the_gain_of_the_transfer_function(period: float, drive: Drive) -> None:
    blender = drive("continuous_blender").start(inlet_1__api_fraction=0.5, inlet_2__api_fraction=0.5)
    steps, omega = round(20 * period), 2 * np.pi / period
    out = []
    for k in range(steps):
        value = 0.5 + 0.3 * np.sin(omega * (k + 0.5))
        blender.set(inlet_1__api_fraction=value, inlet_2__api_fraction=value)
        blender.step(1.0)
        out.append(blender.get("outlet.api_fraction"))
    last = np.array(out[-round(4 * period) :])
    swing = np.sqrt(2.0 * np.var(last))
    gain = (1 + (omega * TAU) ** 2) ** (-TANKS / 2) * (1 + (omega * THETA / CELLS) ** 2) ** (-CELLS / 2)
    assert swing / 0.3 == pytest.approx(gain, rel=0.01)
