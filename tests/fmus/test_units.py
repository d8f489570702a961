"""Physics of each unit, through its FMU: balances, positivity, known limits, exact events."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

Drive = Callable[..., Any]
QUICK = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

# --- feeder -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [0.5, 7.0, 60.0])
def test_refills_happen_at_the_same_time_whatever_the_step(step: float, drive: Drive) -> None:
    fine = drive("loss_in_weight_feeder").start()
    coarse = drive("loss_in_weight_feeder").start()
    fine.record(1.0, 3360, [])
    coarse.record(step, round(3360 / step), [])
    assert fine.get("refill_count") == coarse.get("refill_count") == 4
    assert coarse.get("last_refill_time") == pytest.approx(fine.get("last_refill_time"), abs=1e-5)
    assert not fine.get("last_refill_time").is_integer()


def test_feeder_conserves_mass_and_api_over_refills_of_other_lots(drive: Drive) -> None:
    feeder = drive("loss_in_weight_feeder").start(lot__api_fraction=0.9)
    mass, api = feeder.get("holdup.mass"), feeder.get("holdup.api_mass")
    out = np.zeros(2)
    for k in range(720):
        if k % 100 == 0:
            feeder.set(lot__api_fraction=0.85 + 0.01 * (k // 100), lot__bulk_density=450.0 + 10 * (k // 100))
        feeder.step(5.0)
        flow = feeder.get("outlet.mass_flow")
        out += 5.0 * flow * np.array([1.0, feeder.get("outlet.api_fraction")])
    into = np.array([feeder.get("refilled.mass"), feeder.get("refilled.api_mass")])
    held = np.array([feeder.get("holdup.mass") - mass, feeder.get("holdup.api_mass") - api])
    assert into[0] > 15
    np.testing.assert_allclose(into - out - held, 0.0, atol=1e-8 * out[0])


def test_gravimetric_control_holds_the_flow_and_a_refill_upsets_it(drive: Drive) -> None:
    feeder = drive("loss_in_weight_feeder").start()
    flow = 3600 * feeder.record(1.0, 3600, ["outlet.mass_flow"])[:, 0]
    assert np.mean(flow) == pytest.approx(24.0, rel=0.02)
    # a refill packs the screw while the controller cannot see it: between 2 and 25 % for some seconds
    assert 1.02 < np.max(flow) / 24.0 < 1.25


@QUICK
@given(
    st.lists(st.tuples(st.floats(0, 60), st.floats(200, 900), st.floats(0, 1), st.floats(0, 2)), min_size=3, max_size=8)
)
def test_feeder_stays_positive_and_finite(drive: Drive, moves: list[tuple[float, float, float, float]]) -> None:
    feeder = drive("loss_in_weight_feeder").start()
    for setpoint, density, api, disturbance in moves:
        feeder.set(
            mass_flow_setpoint=setpoint, lot__bulk_density=density, lot__api_fraction=api, flow_disturbance=disturbance
        )
        values = feeder.record(30.0, 10, ["outlet.mass_flow", "holdup.mass", "holdup.api_mass", "screw_speed"])
        assert np.all(np.isfinite(values))
        assert np.all(values >= -1e-9)
        assert 0 <= feeder.get("outlet.api_fraction") <= 1 + 1e-9


# --- blender ----------------------------------------------------------------------------------------------------------


def test_blender_residence_time_is_a_delayed_gamma(drive: Drive) -> None:
    blender = drive("continuous_blender").start(inlet_1__api_fraction=0.0, inlet_2__api_fraction=0.0)
    blender.set(inlet_2__api_fraction=1.0)
    response = blender.record(1.0, 600, ["outlet.api_fraction"])[:, 0]
    response = response / response[-1]
    rest = 1.0 - response
    mean = np.sum(rest) + 0.5
    variance = 2 * np.sum(rest * (np.arange(600) + 0.5)) - np.sum(rest) ** 2
    theta, tau, tanks, cells = 10.0, 20.0, 3, 12
    assert mean == pytest.approx(theta + tanks * tau, rel=0.01)
    assert variance == pytest.approx(tanks * tau**2 + theta**2 / cells, rel=0.02)


def test_blender_holds_residence_time_times_flow(drive: Drive) -> None:
    blender = drive("continuous_blender").start()
    inflow = 27.1 / 3600
    assert blender.get("holdup.mass") == pytest.approx(inflow * 70.0, rel=1e-9)
    blender.set(impeller_speed=400.0)
    blender.record(5.0, 200, [])
    assert blender.get("holdup.mass") == pytest.approx(inflow * 35.0, rel=1e-6)


@QUICK
@given(st.lists(st.tuples(st.floats(0, 0.02), st.floats(0, 1), st.floats(50, 400)), min_size=3, max_size=8))
def test_blender_conserves_mass_and_api(drive: Drive, moves: list[tuple[float, float, float]]) -> None:
    blender = drive("continuous_blender").start()
    held = np.array([blender.get("holdup.mass"), blender.get("holdup.api_mass")])
    balance = np.zeros(2)
    for flow, fraction, speed in moves:
        blender.set(inlet_2__mass_flow=flow, inlet_2__api_fraction=fraction, impeller_speed=speed)
        first = 2.55 / 3600
        for _ in range(10):
            blender.step(3.0)
            out = blender.get("outlet.mass_flow")
            into = np.array([first + flow, 0.944 * first + flow * fraction])
            balance += 3.0 * (into - out * np.array([1.0, blender.get("outlet.api_fraction")]))
            assert blender.get("holdup.mass") >= 0
            assert -1e-12 <= blender.get("outlet.api_fraction") <= 1 + 1e-9
    now = np.array([blender.get("holdup.mass"), blender.get("holdup.api_mass")])
    np.testing.assert_allclose(balance, now - held, atol=1e-7)


# --- feed frame -------------------------------------------------------------------------------------------------------


def test_feed_frame_runs_empty_without_turning_negative(drive: Drive) -> None:
    frame = drive("feed_frame").start(inlet__mass_flow=0.0)
    held = frame.get("holdup.mass")
    flows = frame.record(5.0, 200, ["outlet.mass_flow", "holdup.mass", "level", "outlet.api_fraction"])
    assert np.all(flows >= 0)
    assert flows[-1, 1] == pytest.approx(2 * frame.get("heel"), rel=1e-6)
    assert 5.0 * np.sum(flows[:, 0]) + flows[-1, 1] == pytest.approx(held, rel=1e-7)


# --- press ------------------------------------------------------------------------------------------------------------


def test_force_solves_heckel_with_machine_compliance(drive: Drive) -> None:
    press = drive("tablet_press").start(fill_depth_setpoint=6.9, gap_setpoint=2.0)
    force, weight = press.get("main_compression_force"), press.get("tablet_weight")
    k_m, p_y, a_h, cups = (
        press.get(n) for n in ("machine_stiffness", "yield_pressure", "heckel_intercept", "cup_volume")
    )
    area = math.pi / 4 * 8.1**2
    solid = weight / 1.54 / (area * (2.0 + force / k_m) + cups)
    assert force == pytest.approx(1e-3 * area * p_y * (-math.log(1 - solid) - a_h), rel=1e-10)


def test_an_empty_die_bears_no_force(drive: Drive) -> None:
    press = drive("tablet_press").start(fill_depth_setpoint=2.0, gap_setpoint=5.0)
    assert press.get("main_compression_force") == pytest.approx(0.0, abs=1e-9)
    standing = drive("tablet_press").start(turret_speed_setpoint=0.0)
    assert standing.get("main_compression_force") == 0.0


def test_force_rises_with_fill_and_falls_with_gap(drive: Drive) -> None:
    def force(fill: float, gap: float) -> float:
        return float(
            drive("tablet_press").start(fill_depth_setpoint=fill, gap_setpoint=gap).get("main_compression_force")
        )

    assert force(6.7, 2.1) > force(6.6, 2.1) > force(6.6, 2.2)


def test_press_conserves_mass_and_api(drive: Drive) -> None:
    press = drive("tablet_press").start()
    held = np.array([press.get("holdup.mass"), press.get("holdup.api_mass")])
    fed = np.zeros(2)
    for k in range(400):
        flow, x = 7.5e-3 * (1 + 0.2 * math.sin(k / 20)), 0.0885 * (1 + 0.1 * math.cos(k / 15))
        press.set(inlet__mass_flow=flow, inlet__api_fraction=x, fill_depth_setpoint=6.6 + 0.3 * math.sin(k / 30))
        press.step(2.0)
        fed += 2.0 * flow * np.array([1.0, x])
    made = np.array([press.get("tablets.mass"), press.get("tablets.api_mass")])
    now = np.array([press.get("holdup.mass"), press.get("holdup.api_mass")])
    np.testing.assert_allclose(fed - made - (now - held), 0.0, atol=1e-8)


@QUICK
@given(
    st.lists(
        st.tuples(st.floats(2, 12), st.floats(0.5, 5), st.floats(0, 270000), st.floats(300, 900), st.floats(0, 0.02)),
        min_size=2,
        max_size=6,
    )
)
def test_press_never_turns_negative_or_nan(drive: Drive, moves: list[tuple[float, ...]]) -> None:
    press = drive("tablet_press").start()
    names = [v.name for v in press.description.modelVariables if v.causality == "output" and v.type == "Real"]
    for fill, gap, speed, density, flow in moves:
        press.set(
            fill_depth_setpoint=fill,
            gap_setpoint=gap,
            turret_speed_setpoint=speed,
            inlet__bulk_density=density,
            inlet__mass_flow=flow,
        )
        values = press.record(10.0, 6, names)
        assert np.all(np.isfinite(values))
        physical = [n for n in names if n != "thickness"]
        assert np.all(values[:, [names.index(n) for n in physical]] >= -1e-9)


def test_press_stands_still_over_a_weekend_and_runs_again(drive: Drive) -> None:
    press = drive("tablet_press").start()
    force, weight = press.get("main_compression_force"), press.get("tablet_weight")
    press.record(10.0, 10, [])
    press.set(turret_speed_setpoint=0.0)
    press.set(inlet__mass_flow=0.0)
    draw = press.record(10.0, 6 * 60 * 60, ["draw_mass_flow", "main_compression_force"])
    assert np.all(draw[:, 0] >= 0)
    assert draw[-1, 1] == 0.0
    press.set(turret_speed_setpoint=120000.0, inlet__mass_flow=weight * 1e-6 * 120000 / 3600)
    press.record(10.0, 20, [])
    assert press.get("main_compression_force") == pytest.approx(force, rel=1e-6)
