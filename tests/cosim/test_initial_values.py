from __future__ import annotations

import pytest

from cosim import Scenario, Simulation, simulate

LOT = """\
    components:
      hopper: {fmu: lag.fmu, start: {u: 10}}
    disturbances:
      - {signal: hopper.u, lots: {every: 1 h, rsd: 5 %}}
    """


def test_the_first_lot_fills_the_line():
    """The first lot is in force while the FMUs initialise: the blender is full of it, and so is the feed frame."""
    line = {
        "scenario": "galenic/1",
        "duration": "1 min",
        "communication_step": "1 s",
        "components": {
            "feeder": {"unit": "loss_in_weight_feeder", "start": {"lot.bulk_density": 500, "lot.api_fraction": 0}},
            "blender": {"unit": "continuous_blender", "start": {"inlet_1.mass_flow": 0}},
            "feed_frame": {"unit": "feed_frame"},
        },
        "connections": ["feeder.outlet -> blender.inlet_2", "blender.outlet -> feed_frame.inlet"],
        "disturbances": [{"signal": "feeder.lot.bulk_density", "step": {"at": 0, "to": 430}}],
    }
    with Simulation(Scenario.from_mapping(line)) as simulation:
        simulation.initialize()
        for signal in ("feeder.lot.bulk_density", "blender.outlet.bulk_density", "feed_frame.outlet.bulk_density"):
            assert simulation.get(signal) == pytest.approx(430.0)
        assert simulation.get("blender.outlet.api_fraction") == pytest.approx(0.0)


def test_a_lot_is_drawn_once_for_the_start_and_the_first_step(scenario, tmp_path):
    drawn = simulate(scenario(LOT), out=tmp_path).frame()["hopper.u"]
    assert drawn.nunique() == 1
    assert drawn.iloc[0] != 10.0


def test_noise_at_the_start_is_that_of_the_first_step(scenario, tmp_path):
    noisy = LOT.replace("lots: {every: 1 h, rsd: 5 %}", "noise: {std: 5 %}")
    with Simulation(scenario(noisy), out=tmp_path) as simulation:
        simulation.initialize()
        first = simulation.get("hopper.u")
        simulation.step()
        assert simulation.get("hopper.u") == first
