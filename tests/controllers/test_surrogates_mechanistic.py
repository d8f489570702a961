"""Reduced mechanistic models of a scenario's components."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from controllers.estimation import unit_process
from controllers.surrogates import SurrogateModel, load_model
from cosim import Scenario, Simulation
from fmus.errors import GalenicError
from fmus.library import unit_model

SCENARIO: dict[str, Any] = {
    "scenario": "galenic/1",
    "duration": "10 d",
    "communication_step": "5 min",
    "components": {
        "tank": {"unit": "media_tank", "parameters": {"content.glucose": "1 mol/L"}},
        "reactor": {"unit": "bioreactor_badr2021_fast", "parameters": {"initial.glucose": 41}},
    },
    "connections": ["tank.outlet -> reactor.supplement"],
}
FILE: dict[str, Any] = {
    "surrogate": "galenic/1",
    "kind": "mechanistic",
    "scenario": "plant.yaml",
    "period": "5 min",
    "substeps": 2,
    "inputs": {"tank.flow_setpoint": {"operating_point": "0.05 L/h", "min": 0, "max": "0.2 L/h"}},
    "outputs": {"reactor.glucose": {}, "reactor.viable_cell_density": {}, "reactor.titre": {}},
    "parameters": ["reactor.growth_rate_factor"],
    "states": {"reactor.amount.*": {"relative_noise": 0.01, "low": 0.0}},
}


def written(folder: Path, scenario: dict[str, Any] | None = None, **changes: Any) -> Path:
    (folder / "plant.yaml").write_text(yaml.safe_dump(scenario or SCENARIO), encoding="utf-8")
    file = folder / "surrogate.yaml"
    file.write_text(
        yaml.safe_dump({k: v for k, v in (FILE | changes).items() if v is not None}, sort_keys=False), encoding="utf-8"
    )
    return file


def test_a_single_unit_steps_as_its_own_process(tmp_path: Path) -> None:
    """As `unit_process` of the same unit, which is tested against its own integrator."""
    changes = {
        "components": ["reactor"],
        "inputs": {"reactor.supplement.flow": {"operating_point": 0.05}},
        "values": {"reactor.supplement.glucose": "1 mol/L"},
    }
    model = load_model(written(tmp_path, **changes))
    names = [s.name.removeprefix("reactor.") for s in model.process.states]
    own = unit_process(
        unit_model("bioreactor_badr2021_fast"),
        300.0,
        inputs=["supplement.flow"],
        outputs=["glucose", "viable_cell_density", "titre"],
        states={n: {} for n in names},
        values={"supplement.glucose": 1000.0, "initial.glucose": 41.0},
        substeps=2,
    )
    x = y = model.initial
    for _ in range(50):
        x = model.process.step(x, [0.05], model.parameters).full().ravel()
        y = own.step(y, [0.05], []).full().ravel()
    np.testing.assert_allclose(x, y, rtol=1e-12)


def test_a_unit_steps_as_its_fmu(tmp_path: Path) -> None:
    """Nothing is reduced; the FMU integrates to 1e-8."""
    changes = {
        "components": ["reactor"],
        "inputs": {"reactor.supplement.flow": {"operating_point": 0.05}},
        "values": {"reactor.supplement.glucose": "1 mol/L"},
    }
    model = load_model(written(tmp_path, **changes))
    alone = SCENARIO | {"connections": [], "components": {"reactor": dict(SCENARIO["components"]["reactor"])}}
    alone["components"]["reactor"]["start"] = {"supplement.glucose": "1 mol/L", "supplement.flow": 0.05}
    levels = np.random.default_rng(1).uniform(0.0, 0.1, (100, 1))
    with Simulation(Scenario.from_mapping(alone)) as plant:
        plant.initialize()
        found = []
        for level in levels:
            plant.set("reactor.supplement.flow", float(level[0]))
            plant.step()
            found.append([plant.get(y.name) for y in model.outputs])
    np.testing.assert_allclose(model.simulate(levels)[1:], found, rtol=1e-8, atol=1e-12)


def chained(tmp_path: Path, step: str) -> tuple[SurrogateModel, np.ndarray, np.ndarray]:
    model = load_model(written(tmp_path, period="1 h", substeps=4))
    levels = np.repeat(np.random.default_rng(2).uniform(0.0, 0.1, 5), 24)[:, None]
    with Simulation(Scenario.from_mapping(SCENARIO | {"communication_step": step})) as plant:
        plant.initialize()
        found = []
        for level in levels:
            plant.set("tank.flow_setpoint", float(level[0]))
            plant.step(round(3600.0 / plant.step_size))
            found.append([plant.get(y.name) for y in model.outputs])
    return model, model.simulate(levels)[1:], np.array(found)


def test_a_chain_is_what_the_co_simulation_tends_to(tmp_path: Path) -> None:
    errors = []
    for step in ("10 min", "5 min"):
        _, own, found = chained(tmp_path, step)
        errors.append(np.abs(own / found - 1.0).max())
    assert errors[1] < 0.6 * errors[0] < 0.01


def test_what_no_output_depends_on_is_no_state(tmp_path: Path) -> None:
    model = load_model(written(tmp_path))
    names = [s.name for s in model.process.states]
    assert "reactor.amount.viable_cells" in names
    assert not any(".total." in n for n in names)
    assert model.process.states[names.index("reactor.amount.glucose")].relative_noise == 0.01


def test_a_parameter_that_may_be_disturbed_acts(tmp_path: Path) -> None:
    model = load_model(written(tmp_path, period="1 h", substeps=4))
    assert model.process.parameters == (("reactor.growth_rate_factor", 1.0),)
    slow, fast = (model.initial, model.initial)
    for _ in range(24):
        slow = model.process.step(slow, [0.0], [0.8]).full().ravel()
        fast = model.process.step(fast, [0.0], [1.2]).full().ravel()
    cells = [s.name for s in model.process.states].index("reactor.amount.viable_cells")
    assert fast[cells] > 1.2 * slow[cells]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"outputs": {"reactor.titer": {}}}, "no output 'reactor.titer'"),
        ({"inputs": {"tank.flow": {}}}, "no input or parameter 'tank.flow'"),
        ({"residual": ["reactor.nothing"]}, "no state 'reactor.nothing'"),
        ({"components": ["pump"]}, "no component 'pump'"),
        ({"kind": "mechanical"}, "no kind 'mechanical'"),
        ({"periode": 1}, "unknown key 'periode'"),
        ({"period": None}, "'period' is missing"),
    ],
)
def test_a_wrong_key_is_told_with_its_line(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(GalenicError, match=message) as error:
        load_model(written(tmp_path, **changes))
    assert error.value.file is not None


def test_bounds_beyond_the_range_are_refused(tmp_path: Path) -> None:
    model = load_model(written(tmp_path))
    model.check_bounds(np.array([0.0]), np.array([0.2]))
    assert model.inflation(np.array([0.2])) == 1.0
    assert model.inflation(np.array([0.3])) == pytest.approx(2.0)
    with pytest.raises(GalenicError, match=r"only known from 0 to 0\.2"):
        model.check_bounds(np.array([0.0]), np.array([0.3]))
