"""Three Protein A columns in periodic counter-current: balance, switches, roles, records, limits."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import cadet_column
import fmpy
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fmus

Drive = Callable[..., Any]
HOUR = 3600.0
BED = math.pi / 4 * 0.7**2  # L, 7 cm wide and 10 cm high
LEFT = ("eluted.mab", "lost.flow_through", "lost.buffers", "holdup.mab")
FIRST, SECOND, RECOVERED_WASH, WASH, ELUTION, CLEANING, EQUILIBRATION, READY = range(8)
QUICK = settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def imbalance(capture: Any) -> float:
    """What came less what left and is held, over what came."""
    return float((capture.get("loaded.mab") - sum(capture.get(n) for n in LEFT)) / capture.get("loaded.mab"))


@pytest.mark.parametrize("size", [10.0, 600.0])
def test_antibody_is_conserved_over_cycles_whatever_the_step(size: float, drive: Drive) -> None:
    capture = drive("protein_a_capture").start()
    streamed = fed = 0.0
    for k in range(round(8 * HOUR / size)):
        capture.set(inlet__mab=3.0 + (k % 3), inlet__flow=6.0 + 0.5 * (k % 5))
        fed += capture.get("inlet.flow") * capture.get("inlet.mab") * size / HOUR
        capture.step(size)
        streamed += capture.get("eluate.flow") * capture.get("eluate.mab") * size / HOUR
    assert capture.get("switch_count") >= 7
    assert abs(imbalance(capture)) < 1e-9
    assert capture.get("loaded.mab") == pytest.approx(fed, rel=1e-9)
    assert streamed == pytest.approx(capture.get("eluted.mab"), rel=1e-9)


def test_switches_do_not_depend_on_the_communication_step(drive: Drive) -> None:
    times = {}
    for size in (5.0, 60.0, 900.0):
        capture = drive("protein_a_capture").start()
        capture.record(size, round(4.5 * HOUR / size), [])
        assert capture.get("switch_count") == 4
        times[size] = (capture.get("switched_at"), capture.get("load_time"))
    assert times[5.0] == pytest.approx(times[900.0], abs=1e-3)
    assert times[60.0] == pytest.approx(times[900.0], abs=1e-3)


def test_the_first_switch_is_where_cadet_core_breaks_through(drive: Drive) -> None:
    seconds, leaving = cadet_column.recorded()["reference"]
    expected = float(np.interp(0.9, leaving, seconds))
    feed = 0.2 * math.pi / 4 * 0.7**2 * 100.0  # 200 cm/h
    capture = drive("protein_a_capture").start(inlet__flow=feed)
    capture.record(60.0, 75, [])
    # 12 cells against 400; found by the line between two points a minute apart
    assert capture.get("load_time") == pytest.approx(expected, rel=1e-3)


def test_columns_take_their_turns(drive: Drive) -> None:
    capture = drive("protein_a_capture").start()
    states = capture.record(60.0, 300, [f"column_state[{k}]" for k in (1, 2, 3)]).astype(int)
    for row in states:
        assert sorted(row)[:2] == [FIRST, SECOND]
    for column in states.T:
        moves = [int(column[0]), *(int(b) for a, b in itertools.pairwise(column) if a != b)]
        start = moves.index(READY) if READY in moves else 0
        order = [SECOND, FIRST, RECOVERED_WASH, WASH, ELUTION, CLEANING, EQUILIBRATION, READY]
        begins = order.index(moves[start])
        assert moves[start:] == [order[(begins + k) % 8] for k in range(len(moves) - start)]
    assert capture.get("late_count") == 0


def test_loading_in_series_uses_the_resin_and_loses_little(drive: Drive) -> None:
    capture = drive("protein_a_capture").start()
    capture.record(300.0, 96, [])
    assert 80.0 < capture.get("resin_utilisation") < 100.0
    assert capture.get("yield") > 98.0
    assert capture.get("lost.flow_through") < 0.005 * capture.get("loaded.mab")
    pool, interval = capture.get("pool.mab_mass"), capture.get("load_time")
    assert capture.get("pool.titre") == pytest.approx(pool / (5 * BED), rel=1e-9)
    assert capture.get("productivity") == pytest.approx(pool / (3 * BED) / (interval / HOUR), rel=1e-2)
    # in the steady cycle what is fed between two switches is eluted, but for what is lost
    assert pool == pytest.approx(7.7 * 3.0 * interval / HOUR, rel=0.02)
    ratios = [capture.get(f"buffer.{n}") / capture.get("buffer.elution") for n in ("wash", "cleaning")]
    assert ratios == pytest.approx([6 / 5, 1.0], rel=0.2)


def test_columns_switch_on_schedule_where_asked(drive: Drive) -> None:
    capture = drive("protein_a_capture").start(scheduled_switch=3300.0)
    capture.record(70.0, 190, [])
    assert capture.get("switch_count") == 4
    assert capture.get("switched_at") == pytest.approx(4 * 3300.0, abs=1e-5)


def test_a_column_that_is_due_waits_for_the_third(drive: Drive) -> None:
    capture = drive("protein_a_capture").start(inlet__mab=8.0)
    capture.record(60.0, 240, [])
    assert capture.get("late_count") == capture.get("switch_count") - 1 > 2
    # 21 bed volumes of buffer at 300 cm/h
    assert capture.get("load_time") == pytest.approx(21 * 120.0, abs=1e-3)
    assert capture.get("yield") < 95.0
    assert abs(imbalance(capture)) < 1e-9


def test_a_drifting_detector_switches_late(drive: Drive) -> None:
    times = []
    for drift in (0.0, -10.0):
        capture = drive("protein_a_capture").start(breakthrough_drift=drift)
        capture.record(60.0, 75, [])
        times.append(capture.get("load_time"))
    assert times[1] > times[0] + 60.0


def test_resin_ages_by_cycle(drive: Drive) -> None:
    capture = drive("protein_a_capture").start(ageing=0.02)
    capture.record(300.0, 120, [])
    cycles = [round(capture.get(f"cycles[{k}]")) for k in (1, 2, 3)]
    assert sum(cycles) >= 8
    for k, n in enumerate(cycles, start=1):
        assert capture.get(f"column_capacity[{k}]") == pytest.approx(65.0 * 0.98**n, rel=1e-9)


@pytest.mark.parametrize("fmi", [2, 3])
def test_model_exchange_switches_at_the_same_time(fmi: int, drive: Drive) -> None:
    capture = drive("protein_a_capture").start()
    capture.record(60.0, 70, [])
    path = fmus.build_fmu(fmus.unit_model("protein_a_capture"), fmi=fmi)
    run = fmpy.simulate_fmu(
        str(path),
        fmi_type="ModelExchange",
        stop_time=4200.0,
        relative_tolerance=1e-7,
        output_interval=600.0,
        output=["load_time", "loaded.mab", *LEFT],
    )
    assert run["load_time"][-1] == pytest.approx(capture.get("load_time"), rel=1e-4)
    left = sum(run[name][-1] for name in LEFT)
    assert left == pytest.approx(run["loaded.mab"][-1], rel=1e-6)


@QUICK
@given(
    st.lists(
        st.tuples(st.floats(0, 30), st.floats(0, 20), st.floats(0.1, 99), st.floats(0.1, 2), st.floats(-100, 100)),
        min_size=1,
        max_size=4,
    )
)
def test_it_stays_positive_and_balanced(drive: Drive, moves: list[tuple[float, ...]]) -> None:
    capture = drive("protein_a_capture").start()
    capture.step(1200.0)
    parts = [
        f"column_{j}.{p}[{k}]" for j in (1, 2, 3) for p in ("liquid", "pores", "bound", "eluent") for k in (1, 6, 12)
    ]
    for flow, mab, setpoint, lot, drift in moves:
        capture.set(inlet__flow=flow, inlet__mab=mab, breakthrough_setpoint=setpoint, capacity_factor=lot)
        capture.set(breakthrough_drift=drift)
        rows = capture.record(900.0, 4, [*parts, "eluate.flow", "eluate.mab", "lost.flow_through", "lost.buffers"])
        assert np.all(np.isfinite(rows))
        assert np.min(rows) > -1e-8  # what the integrator tolerates of 10 g/L
    assert abs(imbalance(capture)) < 1e-9
