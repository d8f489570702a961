"""The shipped tablet line as a whole: balances over a shift, admissible setpoints, step-size independence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cosim import Results, Scenario, Simulation, load_scenario, scenario_names, simulate
from cosim.lots import STATISTICS
from fmus.quantity import parse_quantity
from galenic.kpi import kpis_of

SHIFT = 8 * 3600.0


def without_mpc(scenario: Scenario) -> list[str]:
    return [name for name, config in scenario.controllers.items() if config["type"] == "mpc"]


def run(scenario: Scenario, out: Path, seed: int = 3) -> Results:
    return simulate(scenario, out=out, seed=seed, without=without_mpc(scenario))


def test_mass_and_api_of_a_shift_are_all_accounted_for(tmp_path: Path) -> None:
    scenario = load_scenario("tablet_line").model_copy(update={"duration": SHIFT})
    results = run(scenario, tmp_path / "run")
    kpis = {k.name: k.value for k in kpis_of(scenario, results)}
    assert kpis["mass_balance_error"] < 1e-6
    assert kpis["api_balance_error"] < 1e-6
    frame = results.frame(["press.tablets.mass", "excipient_feeder.refill_count", "api_feeder.lot.api_fraction"])
    assert frame["press.tablets.mass"].iloc[-1] > 200
    assert frame["excipient_feeder.refill_count"].iloc[-1] > 30
    assert frame["api_feeder.lot.api_fraction"].nunique() > 3


def test_halving_the_communication_step_hardly_changes_the_line(tmp_path: Path) -> None:
    scenario = load_scenario("tablet_line").model_copy(
        update={"duration": 1800.0, "disturbances": [], "sensors": {}, "controllers": {}}
    )
    coarse = run(scenario, tmp_path / "coarse").frame()
    fine = run(scenario.model_copy(update={"communication_step": 0.5}), tmp_path / "fine").frame()
    for name in ("excipient_feeder.last_refill_time", "api_feeder.last_refill_time"):
        assert coarse[name].iloc[-1] > 0
        assert coarse[name].iloc[-1] == pytest.approx(fine[name].iloc[-1], abs=1e-5)
    assert coarse["press.label_claim"].iloc[-1] == pytest.approx(fine["press.label_claim"].iloc[-1], rel=1e-4)


SETPOINTS = {
    "api_feeder.mass_flow_setpoint": (0.0, 60.0),
    "excipient_feeder.mass_flow_setpoint": (0.0, 60.0),
    "blender.impeller_speed": (50.0, 400.0),
    "press.fill_depth_setpoint": (2.0, 12.0),
    "press.gap_setpoint": (0.5, 5.0),
    "press.turret_speed_setpoint": (0.0, 270000.0),
}


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(*(st.floats(0, 1) for _ in SETPOINTS)), min_size=2, max_size=5))
def test_no_admissible_setpoint_makes_anything_negative_or_nan(moves: list[tuple[float, ...]]) -> None:
    scenario = load_scenario("tablet_line").model_copy(
        update={"disturbances": [], "sensors": {}, "controllers": {}, "duration": 86400.0}
    )
    with Simulation(scenario) as simulation:
        for move in moves:
            for (signal, (low, high)), share in zip(SETPOINTS.items(), move, strict=True):
                simulation.set(signal, low + share * (high - low))
            for _ in range(15):
                simulation.step(10)
                values = simulation.signals
                assert np.all(np.isfinite(values))
                negative = [
                    n
                    for n, v in zip(simulation.system.names, values, strict=True)
                    if v < -1e-9 and not n.endswith("thickness")
                ]
                assert not negative


@pytest.mark.parametrize("name", scenario_names())
def test_every_shipped_scenario_can_be_built_and_stepped(name: str) -> None:
    with Simulation(load_scenario(name)) as simulation:
        simulation.step(20)
        assert np.all(np.isfinite(simulation.signals[: simulation.system.physical]))


def test_lots_vary_as_the_plants_lots_do() -> None:
    table = pd.read_csv(STATISTICS).set_index("name")["rsd_percent"]
    lots = {d.signal: d.lots for d in load_scenario("tablet_line").disturbances if d.lots is not None}
    quoted = {
        "api_feeder.lot.api_fraction": table["API assay"],
        "excipient_feeder.lot.bulk_density": table["SMCC bulk density"],
    }
    for signal, rsd in quoted.items():
        assert parse_quantity(lots[signal].rsd, "1") == pytest.approx(rsd / 100)
    changed = load_scenario("tablet_line_api_lot").disturbances
    assert any(
        d.lots is not None and parse_quantity(d.lots.rsd, "1") == pytest.approx(table["API assay"] / 100)
        for d in changed
    )
    (step,) = [d.step for d in load_scenario("tablet_line_density_step").disturbances if d.step is not None]
    assert parse_quantity(step.by, "1") == pytest.approx(2 * table["SMCC bulk density"] / 100)
