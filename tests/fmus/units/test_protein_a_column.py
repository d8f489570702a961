"""One Protein A column: against cadet-core, against what is known exactly, its balance, its operations."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import cadet_column
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from in_process import Equations

from fmus.units.protein_a_column import protein_a_column

Drive = Callable[..., Any]
IDLE, LOADING, WASHING, ELUTION, CLEANING, EQUILIBRATION = range(6)
HOUR = 3600.0
BED = math.pi / 4 * 0.7**2  # L, 7 cm wide and 10 cm high
QUICK = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def flow(velocity: float) -> float:
    """L/h of a superficial velocity in cm/h."""
    return velocity * 0.1 * BED


def balance(column: Any) -> float:
    """What came less what left and is held, over what came."""
    left = ("eluted.mab", "lost.flow_through", "lost.buffers", "holdup.mab")
    return float((column.get("loaded.mab") - sum(column.get(n) for n in left)) / column.get("loaded.mab"))


@pytest.mark.parametrize("curve", cadet_column.CURVES)
def test_breakthrough_is_that_of_cadet_core(curve: str, drive: Drive) -> None:
    times, expected = cadet_column.recorded()[curve]
    height, velocity, feed = cadet_column.CURVES[curve]
    column = drive("protein_a_column").start(bed_height=height, inlet__flow=flow(velocity), inlet__mab=feed)
    size = float(times[1])
    obtained = np.array([0.0, *column.record(size, len(times) - 1, ["leaving.mab"])[:, 0]])
    # 24 cells against 400: 0.18 % of the feed at worst
    assert np.max(np.abs(obtained - expected)) / feed < 2e-3
    # mean breakthrough time: the antibody that was held back
    assert np.sum(feed - obtained) == pytest.approx(np.sum(feed - expected), rel=1e-4)


def test_the_difference_from_cadet_core_falls_with_more_cells() -> None:
    times, expected = cadet_column.recorded()["reference"]
    errors = []
    for cells in (8, 24, 64):
        equations = Equations(protein_a_column(cells=cells))
        run = equations.co_simulation(len(times) - 1, float(times[1]), lambda _: {"inlet.flow": flow(200.0)})
        errors.append(float(np.max(np.abs(run["leaving.mab"] - expected[1:]))))
    assert errors[0] > 1.4 * errors[1] > 1.4**2 * errors[2]
    assert errors[2] / 3.0 < 6e-4


@pytest.mark.skipif(bool(cadet_column.missing()), reason=f"cadet-core: {cadet_column.missing()}")
@pytest.mark.parametrize("curve", cadet_column.CURVES)
def test_cadet_core_still_computes_the_recorded_curve(curve: str) -> None:
    times, expected = cadet_column.recorded()[curve]
    again, obtained = cadet_column.breakthrough(curve)
    assert again == pytest.approx(times)
    assert obtained == pytest.approx(expected, abs=2e-6)


def test_nothing_that_does_not_bind_is_late_or_early(drive: Drive) -> None:
    column = drive("protein_a_column").start(binding_rate=0.0, inlet__mab=2.0)
    leaving = column.record(1.0, 1500, ["leaving.mab"])[:, 0]
    residence = 0.5 + np.sum(1.0 - leaving / 2.0)
    total = 0.37 + 0.63 * 0.65
    assert residence == pytest.approx(total * BED / 7.7 * HOUR, rel=1e-6)
    assert column.get("holdup.mab") == pytest.approx(total * BED * 2.0, rel=1e-6)
    assert np.all(np.diff(leaving) > -1e-9)


def test_a_saturated_column_holds_what_langmuir_says(drive: Drive) -> None:
    column = drive("protein_a_column").start(inlet__mab=1.0, inlet__flow=50.0)
    column.record(HOUR, 10, [])
    assert column.get("bound") == pytest.approx(65.0 * 1.0 / (1.0 + 0.03), rel=1e-6)
    assert column.get("breakthrough") == pytest.approx(100.0, abs=1e-4)


def test_half_breakthrough_comes_at_the_stoichiometric_time_of_fast_transfer(drive: Drive) -> None:
    fast = {"pore_diffusivity": 4e-10, "free_diffusivity": 5e-9, "binding_rate": 0.05, "affinity": 1e-4}
    column = drive("protein_a_column").start(**fast)
    held = 65.0 + 3.0 * (0.37 + 0.63 * 0.65)
    stoichiometric = held * BED / (7.7 * 3.0) * HOUR
    column.record(stoichiometric - 30.0, 1, [])
    assert column.get("breakthrough") < 40.0
    column.record(60.0, 1, [])
    assert column.get("breakthrough") > 60.0


def test_a_cycle_elutes_what_was_bound_and_ages_the_resin(drive: Drive) -> None:
    column = drive("protein_a_column").start(ageing=0.01)
    volumes = {WASHING: 6, ELUTION: 5, CLEANING: 5, EQUILIBRATION: 5}
    streamed = 0.0
    for cycle in range(2):
        column.set(operation=LOADING)
        column.record(600.0, 4, [])
        assert column.get("cycle_count") == cycle
        assert column.get("bindable") == pytest.approx(65.0 * 0.99**cycle)
        for operation, beds in volumes.items():
            column.set(operation=operation)
            for _ in range(beds):
                column.step(120.0)
                streamed += column.get("eluate.flow") * column.get("eluate.mab") / 30.0
        assert column.get("holdup.mab") < 1e-3 * column.get("eluted.mab")
    assert streamed == pytest.approx(column.get("eluted.mab"), rel=1e-9)
    assert column.get("eluted.mab") > 0.94 * column.get("loaded.mab")
    assert column.get("buffer.volume") == pytest.approx(42 * BED, rel=1e-9)
    assert abs(balance(column)) < 1e-9


def test_the_feed_passes_by_a_column_that_is_not_loaded(drive: Drive) -> None:
    column = drive("protein_a_column").start(operation=IDLE)
    column.step(HOUR)
    assert column.get("passed_by.mab") == pytest.approx(7.7 * 3.0, rel=1e-9)
    assert column.get("loaded.mab") == column.get("holdup.mab") == column.get("eluate.flow") == 0.0


@QUICK
@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.floats(0, 40), st.floats(0, 20), st.floats(0, 1000), st.floats(0.1, 2)),
        min_size=1,
        max_size=5,
    )
)
def test_it_stays_positive_and_balanced(drive: Drive, moves: list[tuple[int, float, float, float, float]]) -> None:
    column = drive("protein_a_column").start()
    column.step(600.0)
    for operation, feed, mab, velocity, lot in moves:
        column.set(operation=operation, inlet__flow=feed, inlet__mab=mab, buffer_velocity=velocity)
        column.set(capacity_factor=lot)
        names = [f"column.{part}[{k}]" for part in ("liquid", "pores", "bound", "eluent") for k in (1, 2, 12, 23, 24)]
        rows = column.record(300.0, 4, [*names, "eluate.mab", "holdup.mab", "lost.buffers"])
        assert np.all(np.isfinite(rows))
        assert np.min(rows) > -1e-8  # what the integrator tolerates of 10 g/L
    assert abs(balance(column)) < 1e-9
