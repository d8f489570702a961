"""Nonlinear laws in C: each against its controller, its engine at a tight tolerance, over a recorded run."""

from __future__ import annotations

import contextlib
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

Run = list[tuple[np.ndarray, np.ndarray]]
GLUCOSE = {"start_after: 12 h": "start_after: 1 h", "reference: 16.7 mmol/L": "reference: 40.9 mmol/L"}

TREE = "scenario_tree: [{probability: 0.2, changes: {reactor.glucose: 1 mmol/L}}]"


def scenario_file(folder: Path, name: str, changes: dict[str, str]) -> Path:
    """A shipped scenario, changed in its text."""
    shutil.copytree(find_scenario(name).parent, folder)
    file = folder / f"{name}.yaml"
    text = file.read_text(encoding="utf-8")
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    file.write_text(text, encoding="utf-8")
    return file


def nonlinear(controller: object) -> tuple[MPCController, NonlinearLaw]:
    assert isinstance(controller, MPCController)
    assert isinstance(controller.law, NonlinearLaw)
    return controller, controller.law


def recorded(file: Path, folder: Path, executions: int, tolerance: float) -> tuple[MPCController, Path, Run]:
    """The controller, its FMU, and what it read and wrote in each execution."""
    rows: Run = []
    original = MPCController.do_step

    def do_step(self: MPCController, communication_point: float, step_size: float) -> None:
        read = self.input_values.copy()
        original(self, communication_point, step_size)
        rows.append((read, self.output_values.copy()))

    with pytest.MonkeyPatch.context() as patch, contextlib.ExitStack() as stack:
        patch.setattr(MPCController, "do_step", do_step)
        simulation = stack.enter_context(Simulation(load_scenario(file)))
        controller, law = nonlinear(simulation.system.controllers["mpc"])
        law._planner.engine = HPIPMEngine(law._planner.engine.problem, qp_tolerance=tolerance)
        fmu = build_controller_fmu(controller_model("exported", "", exported_mpc(controller)), folder)
        simulation.step(round(executions * controller.period / simulation.step_size))
    assert len(rows) == executions
    return controller, fmu, rows


def differences(controller: MPCController, file: Path, rows: Run) -> dict[str, float]:
    """The largest difference of each output, by its nominal value."""
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
    worst: dict[str, float] = {}
    for k, (read, shown) in enumerate(rows):
        slave.setReal([variables[n].valueReference for _, n in inputs], [float(read[i]) for i, _ in inputs])
        slave.doStep(k * controller.period, controller.period)
        for i, name in outputs:
            variable = variables[name]
            get = {"Real": slave.getReal, "Integer": slave.getInteger, "Boolean": slave.getBoolean}[variable.type]
            if np.isfinite(shown[i]):
                off = abs(float(get([variable.valueReference])[0]) - shown[i]) / float(variable.nominal or 1.0)
                worst[name] = max(worst.get(name, 0.0), off)
    slave.terminate()
    slave.freeInstance()
    return worst


@pytest.mark.parametrize(
    ("name", "changes", "executions", "tolerance", "told"),
    [
        pytest.param("cho_fed_batch_mpc", GLUCOSE, 120, 1e-10, 1e-6, id="late values"),
        pytest.param(
            "perfusion_filter_blockage_mpc",
            {
                "  mpc:\n    measurements": "  mpc:\n    start_after: 1 h\n    measurements",
                "reference: 15 mmol/L": "reference: 30 mmol/L",
                "reference: perfusion.cells": "preview: true, reference: perfusion.cells",
            },
            100,
            1e-9,
            1e-3,  # the controller's own target optimiser keeps its rows to 1e-6
            id="steady target, bounded states, references known in advance",
        ),
        pytest.param(
            "cho_harvest_mpc",
            {},
            110,
            1e-7,
            1e-4,
            id="economics, own rates, harvest",
        ),
    ],
)
def test_it_returns_what_the_controller_returns(
    name: str, changes: dict[str, str], executions: int, tolerance: float, told: float, tmp_path: Path
) -> None:
    """Setpoints to 1e-6; ``told``: what else it shows, such as a target by another solver of quadratic programs."""
    file = scenario_file(tmp_path / "scenarios", name, changes)
    controller, fmu, rows = recorded(file, tmp_path, executions, tolerance)
    assert validate_fmu(str(fmu)) == []
    worst = differences(controller, fmu, rows)
    setpoints = [u.name for u in controller.law.inputs]
    assert {n: worst[n] for n in setpoints if worst[n] > 1e-6} == {}
    assert {n: off for n, off in worst.items() if off > told} == {}
    names = [p.name for p in controller.outputs]
    solved = np.array([shown[names.index("rung")] == 0 for _, shown in rows])
    assert solved.sum() > executions / 3
    moved = [np.ptp([shown[names.index(setpoint)] for _, shown in rows]) for setpoint in setpoints]
    assert max(moved) > 1e-3


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"target: false": "target: false\n    estimator: mhe"}, "moving horizon"),
        (
            {"target: false": f"target: false\n    {TREE}"},
            "scenarios",
        ),
    ],
)
def test_what_has_no_c_is_refused_with_the_way_out(changes: dict[str, str], words: str, tmp_path: Path) -> None:
    file = scenario_file(tmp_path / "scenarios", "cho_fed_batch_mpc", changes)
    controller, _ = nonlinear(build_system(load_scenario(file)).controllers["mpc"])
    with pytest.raises(GalenicError, match=words) as caught:
        exported_mpc(controller)
    assert "--python" in str(caught.value)
