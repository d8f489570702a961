from __future__ import annotations

import time

import pytest

from cosim import Simulation, simulate

CHAIN = "components: {a: {fmu: lag.fmu}}\n"


def test_a_run_keeps_step_with_the_clock_and_says_how_well(scenario, tmp_path):
    loaded = scenario(CHAIN)
    free = simulate(loaded, out=tmp_path / "free")
    began = time.perf_counter()
    paced = simulate(loaded, out=tmp_path / "paced", real_time=2.0)
    assert time.perf_counter() - began >= 0.5
    assert paced.frame().equals(free.frame())
    summary = paced.metadata["real_time"]
    assert summary["factor"] == 2.0
    assert 50 <= summary["deadlines"] <= 52  # of 20 ms each, at twice the clock's pace
    assert 0 <= summary["overruns"] <= summary["deadlines"]
    assert free.metadata["real_time"] is None


def test_a_pause_between_steps_is_no_overrun(scenario):
    with Simulation(scenario(CHAIN), real_time=10.0) as simulation:
        for _ in range(3):
            simulation.step(10)
            time.sleep(0.05)
        assert simulation.time == pytest.approx(0.3)
