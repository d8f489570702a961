"""The line scenarios one by one: each builds, its MPC takes over, and its indicators are there for both variants."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from cosim import Scenario, load_scenario, scenario_names, simulate
from fmus.quantity import parse_quantity
from galenic.kpi import kpis_of
from galenic.kpi_section import kpi_section

LINES = [n for n in scenario_names() if n.startswith(("tablet_line", "wet_granulation_line"))]


def short(name: str) -> Scenario:
    """Up to a minute after the MPC took over: half a minute from the start where the line is not to be filled first."""
    scenario = load_scenario(name)
    mpc, begins = dict(scenario.controllers["mpc"]), 30.0
    if "filling" in {action.name for action in scenario.actions}:
        begins = parse_quantity(mpc["start_after"], "s")
    mpc["start_after"] = begins
    product = {**scenario.kpis["product"], "warm_up": "0 s"}
    return scenario.model_copy(
        update={
            "duration": begins + 90.0,
            "controllers": {**scenario.controllers, "mpc": mpc},
            "kpis": {**scenario.kpis, "product": product, "settling": {}},
        }
    )


def test_both_lines_have_the_events_that_upset_a_line() -> None:
    for line in ("tablet_line", "wet_granulation_line"):
        for event in ("refill", "throughput", "startup", "nir_outage"):
            assert f"{line}_{event}" in LINES
    assert {"tablet_line_api_lot", "tablet_line_density_step", "wet_granulation_line_moisture_drift"} <= set(LINES)
    assert all("mpc" in load_scenario(name).controllers for name in LINES)


@pytest.mark.parametrize("name", LINES)
def test_a_line_scenario_runs_under_its_mpc_and_tells_its_indicators(name: str, tmp_path: Path) -> None:
    scenario = short(name)
    results = simulate(scenario, out=tmp_path / "run", seed=3)
    frame = results.frame(["mpc.active", "mpc.failures", "press.tablets_total"])
    assert frame["mpc.active"].iloc[-1] == 1.0
    assert frame["mpc.active"].iloc[0] == 0.0
    assert frame["mpc.failures"].iloc[-1] == 0.0
    kpis = {k.name: k.value for k in kpis_of(scenario, results)}
    assert kpis["design_space_setpoints"] <= 100.0
    assert frame["press.tablets_total"].iloc[-1] > 0.0
    for quality in kpi_section(scenario).quality:
        assert math.isfinite(kpis[f"{quality}_rsd"])


@pytest.mark.parametrize("line", ["tablet_line", "wet_granulation_line"])
def test_the_schedule_drives_the_press_where_there_is_no_mpc_and_asks_the_mpc_where_there_is_one(
    line: str, tmp_path: Path
) -> None:
    """Both variants make tablets at the scheduled rate."""
    scenario = short(f"{line}_throughput")
    asked = scenario.controllers["schedule"]["profiles"]["speed"][0][1]
    for number, without in enumerate(([], ["mpc"])):
        results = simulate(scenario, out=tmp_path / str(number), seed=3, without=without)
        speed = results.frame(["press.turret_speed"])["press.turret_speed"].iloc[-1]
        assert speed == pytest.approx(asked, rel=5e-3)


def test_settling_and_startup_are_judged_after_the_event_that_the_scenario_plays() -> None:
    """A window that begins before its event would judge something else."""
    for name in LINES:
        scenario = load_scenario(name)
        section = kpi_section(scenario)
        times = [scenario.quantity(("kpis", "settling", n, "after"), s.after, "s") for n, s in section.settling.items()]
        assert all(0.0 < t < scenario.duration for t in times), name
