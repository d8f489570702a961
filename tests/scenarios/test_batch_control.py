"""Batches and perfusion under predictive control: each loads, its MPC is in force and holds what it should."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cosim import Simulation, load_scenario, simulate


def test_the_schedule_feeds_in_boluses() -> None:
    with Simulation(load_scenario("cho_inoculum_bolus", ["duration=5 d"]), seed=1) as simulation:
        index = simulation.system.index["glucose_tank.flow_setpoint"]
        flows = []
        for _ in range(5 * 24 * 12):
            simulation.step()
            flows.append(simulation.signals[index])
    fed = np.array(flows) > 0.0
    assert 0.5 < fed.sum() / 12 < 2.5  # hours, on the third and the fourth day
    assert not fed[: 3 * 24 * 12 - 2].any()


@pytest.mark.parametrize("name", ["cho_fed_batch_mpc", "cho_inoculum_mpc"])
def test_glucose_is_held_by_the_mpc_of_the_fed_batch(name: str, tmp_path: Path) -> None:
    scenario = load_scenario(name, ["duration=5 d", "controllers.mpc.start_after=72 h", "kpis.product.warm_up=4.5 d"])
    results = simulate(scenario, out=tmp_path / "run", seed=2)
    frame = results.frame(["reactor.glucose", "mpc.active", "mpc.failures"])
    assert frame["mpc.active"].iloc[-1] == 1.0
    assert frame["mpc.failures"].iloc[-1] == 0.0
    glucose = frame["reactor.glucose"][frame.index > 4.25 * 86400]
    assert np.sqrt(np.mean((glucose - 16.7) ** 2)) < 0.6


def test_the_harvest_is_a_decision_within_its_limits(tmp_path: Path) -> None:
    short = ["duration=4 d", "controllers.mpc.batch.min_harvest=3.2 d", "controllers.mpc.batch.duration=3.5 d"]
    scenario = load_scenario("cho_harvest_mpc", [*short, "controllers.mpc.batch.max_harvest=3.8 d"])
    results = simulate(scenario, out=tmp_path / "run", seed=1)
    frame = results.frame(["mpc.active", "mpc.harvest_time", "mpc.time_to_harvest", "reactor.temperature_setpoint"])
    active = frame[frame["mpc.active"] > 0.5]
    assert len(active)
    decided = active["mpc.harvest_time"].iloc[2:]
    assert decided.between(3.2 * 86400 - 1.0, 3.8 * 86400 + 1.0).all()
    assert frame["reactor.temperature_setpoint"].between(304.15 - 1e-6, 310.15 + 1e-6).all()


@pytest.mark.parametrize("name", ["perfusion_ramp_mpc", "perfusion_filter_blockage_mpc"])
def test_the_perfusion_rate_holds_glucose(name: str, tmp_path: Path) -> None:
    shortened = ["duration=4.5 d", "controllers.mpc.start_after=3 d", "kpis.product.warm_up=4 d"]
    results = simulate(load_scenario(name, shortened), out=tmp_path / "run", seed=1)
    frame = results.frame(["reactor.glucose", "reactor.broth_volume", "mpc.active", "mpc.failures"])
    assert frame["mpc.active"].iloc[-1] == 1.0
    assert frame["mpc.failures"].iloc[-1] == 0.0
    settled = frame[frame.index > 4.0 * 86400]
    assert np.abs(settled["reactor.glucose"] - 15.0).max() < 0.4
    assert np.abs(settled["reactor.broth_volume"] - 2.0).max() < 0.1


def test_sugar_and_precursor_are_fed_by_the_mpc_of_the_penicillin_batch(tmp_path: Path) -> None:
    scenario = load_scenario("penicillin_batch_mpc", ["duration=84 h"])
    results = simulate(scenario, out=tmp_path / "run", seed=1)
    signals = ["fermenter.paa_concentration", "fermenter.sugar_feed", "recipe.fermenter.sugar_feed"]
    frame = results.frame([*signals, "mpc.active", "mpc.failures"])
    assert frame["mpc.active"].iloc[-1] == 1.0
    assert frame["mpc.failures"].iloc[-1] == 0.0
    late = frame[frame.index > 74 * 3600]
    assert np.abs(late["fermenter.paa_concentration"] - 1200.0).max() < 50.0
    assert np.abs(late["fermenter.sugar_feed"] - late["recipe.fermenter.sugar_feed"]).max() > 1.0
