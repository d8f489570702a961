"""A nonlinear law in C: filter and sequential quadratic programming, against the controller with a converged engine."""

from __future__ import annotations

import shutil
from pathlib import Path

import fmpy
import numpy as np
import pytest
from fmpy.fmi2 import FMU2Slave
from fmpy.validation import validate_fmu

from controllers.export.build import build_controller_fmu, controller_model
from controllers.export.source import exported_mpc
from controllers.mpc import MPCController
from controllers.nonlinear.law import NonlinearLaw
from controllers.optimal_control.engine_hpipm import HPIPMEngine
from cosim import Simulation, find_scenario, load_scenario
from cosim.system_builder import build_system
from fmus.errors import GalenicError

EXECUTIONS = 120


def scenario_file(folder: Path, **changes: str) -> Path:
    """The glucose control of the CHO fed-batch, active from the start and with a reference that can be held."""
    shutil.copytree(find_scenario("cho_fed_batch_mpc").parent, folder)
    file = folder / "cho_fed_batch_mpc.yaml"
    text = file.read_text(encoding="utf-8")
    usual = {
        "start_after: 12 h": "start_after: 1 h",
        "reference: 16.7 mmol/L": "reference: 40.9 mmol/L",
    }
    for old, new in (usual | changes).items():
        assert old in text, old
        text = text.replace(old, new)
    file.write_text(text, encoding="utf-8")
    return file


def nonlinear(controller: object) -> tuple[MPCController, NonlinearLaw]:
    assert isinstance(controller, MPCController)
    assert isinstance(controller.law, NonlinearLaw)
    return controller, controller.law


def test_it_returns_what_the_controller_with_a_converged_engine_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[tuple[np.ndarray, np.ndarray]] = []
    original = MPCController.do_step

    def recorded(self: MPCController, communication_point: float, step_size: float) -> None:
        read = self.input_values.copy()
        original(self, communication_point, step_size)
        rows.append((read, self.output_values.copy()))

    monkeypatch.setattr(MPCController, "do_step", recorded)
    with Simulation(load_scenario(scenario_file(tmp_path / "scenarios"))) as simulation:
        controller, law = nonlinear(simulation.system.controllers["mpc"])
        problem = law._planner.engine.problem
        law._planner.engine = HPIPMEngine(
            problem, iterations=60, first_iterations=60, tolerance=1e-10, qp_tolerance=1e-10
        )
        file = build_controller_fmu(controller_model("glucose", "", exported_mpc(controller)), tmp_path)
        simulation.step(round(EXECUTIONS * controller.period / simulation.step_size))
    assert validate_fmu(str(file)) == []
    assert len(rows) == EXECUTIONS
    description = fmpy.read_model_description(str(file))
    variables = {v.name: v for v in description.modelVariables}
    unpacked, identifier = fmpy.extract(str(file)), description.coSimulation.modelIdentifier
    slave = FMU2Slave(guid=description.guid, unzipDirectory=unpacked, modelIdentifier=identifier)
    slave.instantiate()
    slave.setupExperiment(startTime=0.0)
    slave.setBoolean([variables["fallback_connected"].valueReference], [True])
    slave.enterInitializationMode()
    slave.exitInitializationMode()
    inputs = [(i, p.name) for i, p in enumerate(controller.inputs) if p.name != "mode"]
    outputs = [(i, p.name) for i, p in enumerate(controller.outputs) if p.name in variables]
    feeds = []
    for k, (read, shown) in enumerate(rows):
        slave.setReal([variables[n].valueReference for _, n in inputs], [float(read[i]) for i, _ in inputs])
        slave.doStep(k * controller.period, controller.period)
        for i, name in outputs:
            variable = variables[name]
            get = {"Real": slave.getReal, "Integer": slave.getInteger, "Boolean": slave.getBoolean}[variable.type]
            if np.isfinite(shown[i]):
                off = abs(float(get([variable.valueReference])[0]) - shown[i]) / float(variable.nominal or 1.0)
                assert off < 1e-6, (name, k, shown[i])
        feeds.append(slave.getReal([variables["glucose_tank.flow_setpoint"].valueReference])[0])
    slave.terminate()
    slave.freeInstance()
    assert np.ptp(feeds[10:]) > 0.01  # L/h
    assert any(law.estimator.channels[i].delay for i in range(3))  # the laboratory's values are late


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"target: false": "target: true"}, "steady target"),
        ({"target: false": "target: false\n    estimator: mhe"}, "moving horizon"),
        ({"target: false": "target: false\n    batch: {duration: 230 h}"}, "batch"),
    ],
)
def test_what_has_no_c_is_refused_with_the_way_out(changes: dict[str, str], words: str, tmp_path: Path) -> None:
    file = scenario_file(tmp_path / "scenarios", **changes)
    controller, _ = nonlinear(build_system(load_scenario(file)).controllers["mpc"])
    with pytest.raises(GalenicError, match=words) as caught:
        exported_mpc(controller)
    assert "--python" in str(caught.value)
