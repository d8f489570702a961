from __future__ import annotations

import numpy as np
import pytest
from closed_loop import identify

from controllers.surrogates.plan import IdentificationPlan, InputPlan
from controllers.surrogates.simulation_plant import SimulationPlant
from cosim import load_scenario
from fmus.errors import GalenicError

INPUTS = ["press.fill_depth_setpoint", "press.gap_setpoint"]
OUTPUTS = ["press.main_compression_force", "press.tablet_weight"]


def test_the_shipped_line_can_be_identified_on_its_fmus() -> None:
    scenario = load_scenario("tablet_line")
    plan = IdentificationPlan(
        {INPUTS[0]: InputPlan("0.05 mm"), INPUTS[1]: InputPlan("0.02 mm")},
        dict.fromkeys(OUTPUTS),
        period=10.0,
        horizon=120.0,
        settle=120.0,
        validations=1,
    )
    surrogate = identify(lambda: SimulationPlant(scenario), plan)
    assert all(y.fit > 90.0 for y in surrogate.outputs)
    gains = surrogate.step_response(12)[12]
    assert gains[0, 0] > 0.0 > gains[0, 1]
    assert gains[1, 0] > 0.0
    assert gains[1, 1] == pytest.approx(0.0, abs=1.0)


def test_two_plants_give_the_same_numbers_and_controllers_are_gone() -> None:
    scenario = load_scenario("tablet_line")
    seen = []
    for _ in range(2):
        plant = SimulationPlant(scenario)
        plant.set(INPUTS[0], 6.7)
        plant.advance(60.0)
        seen.append(plant.get([*INPUTS, *OUTPUTS]))
        plant.close()
        plant.close()
    np.testing.assert_array_equal(*seen)
    assert seen[0][0] == 6.7


def test_errors_name_what_is_near() -> None:
    scenario = load_scenario("tablet_line")
    with pytest.raises(GalenicError, match="no component 'pres'"):
        SimulationPlant(scenario, {"pres": {"x": 1.0}})
    plant = SimulationPlant(scenario)
    try:
        with pytest.raises(GalenicError, match="multiple"):
            plant.advance(0.5)
        with pytest.raises(GalenicError) as error:
            plant.unit("press.tablet_wieght")
        assert "press.tablet_weight" in error.value.cure
    finally:
        plant.close()
