"""A predictive controller as an FMU that runs Galenic: any law and engine."""

from __future__ import annotations

import shutil
from pathlib import Path

import fmpy
import numpy as np
import pytest
from fmpy.fmi2 import FMU2Slave
from fmpy.validation import validate_fmu

from controllers.export.python_variant import build_python_variant
from controllers.mpc import MPCController
from controllers.operation.reasons import Rung
from cosim import find_scenario, load_scenario
from cosim.system_builder import build_system
from fmus.errors import GalenicError

pytest.importorskip("pythonfmu")
CASES = {"tablet_line": (10.0, 40), "cho_fed_batch_mpc": (900.0, 56)}


def export(name: str, folder: Path, engine: str | None = None) -> tuple[Path, MPCController]:
    scenario = load_scenario(name)
    system = build_system(scenario)
    controller = system.controllers["mpc"]
    assert isinstance(controller, MPCController)
    return build_python_variant(scenario, system, controller, "controller", folder, engine=engine), controller


def begun(file: Path, folder: Path) -> FMU2Slave:
    """An instance in step mode."""
    description = fmpy.read_model_description(str(file))
    unpacked, identifier = fmpy.extract(str(file), str(folder)), description.coSimulation.modelIdentifier
    slave = FMU2Slave(guid=description.guid, unzipDirectory=unpacked, modelIdentifier=identifier)
    slave.instantiate()
    slave.setupExperiment(startTime=0.0)
    slave.enterInitializationMode()
    slave.exitInitializationMode()
    return slave


@pytest.mark.parametrize("name", CASES)
def test_it_returns_what_the_controller_returns(name: str, tmp_path: Path) -> None:
    period, steps = CASES[name]
    file, controller = export(name, tmp_path)
    assert validate_fmu(str(file)) == []
    description = fmpy.read_model_description(str(file))
    assert description.coSimulation.needsExecutionTool
    assert "galenic>=" in description.description
    references = {v.name: v.valueReference for v in description.modelVariables}
    slave = begun(file, tmp_path / "unpacked")
    slave.setBoolean([references["fallback_connected"]], [True])
    rng = np.random.default_rng(3)
    starts = {
        v.name: float(v.start or 0.0) for v in description.modelVariables if v.causality == "input" and v.type == "Real"
    }
    mine = [p.name for p in controller.inputs]
    shown = [p.name for p in controller.outputs if p.name != "solve_time"]
    for k in range(steps):
        values = {n: v * (1.0 + 0.002 * rng.normal()) if n.endswith(".measured") else v for n, v in starts.items()}
        values |= {n: k + 1.0 for n in values if n.endswith(".sample")}
        controller.input_values[:] = [values[n] for n in mine]
        controller.do_step(k * period, period)
        slave.setReal([references[n] for n in values], list(values.values()))
        slave.doStep(k * period, period)
        found = dict(zip(shown, slave.getReal([references[n] for n in shown]), strict=True))
        expected = {n: controller.output_values[[p.name for p in controller.outputs].index(n)] for n in shown}
        np.testing.assert_allclose(list(found.values()), list(expected.values()), rtol=1e-9, atol=1e-12)
    assert found["active"] == 1.0
    slave.terminate()
    slave.freeInstance()


def test_an_engine_that_does_not_fit_is_told_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(GalenicError, match="linear law"):
        export("tablet_line", tmp_path, "ipopt")
    with pytest.raises(GalenicError, match=r"no engine 'ipop'.*\n.*'ipopt'"):
        export("cho_fed_batch_mpc", tmp_path, "ipop")


def test_do_mpc_is_an_engine_of_such_an_fmu(tmp_path: Path) -> None:
    pytest.importorskip("do_mpc")
    folder = tmp_path / "scenarios"
    shutil.copytree(find_scenario("cho_fed_batch_mpc").parent, folder)
    file = folder / "cho_fed_batch_mpc.yaml"
    text = file.read_text(encoding="utf-8")
    changed = text.replace("grid: [1, 1, 2, 4, 8]", "grid: [1, 1, 1, 1, 1]\n    integration_step: 15 min")
    changed = changed.replace("max_move: 0.2 L/h", "max_move: 1 L/h").replace(
        "start_after: 12 h", "start_after: 30 min"
    )
    # a reference where it is: do-mpc's solver does not converge where it cannot be reached
    changed = changed.replace("reference: 16.7 mmol/L", "reference: 41 mmol/L")
    assert changed != text
    file.write_text(changed, encoding="utf-8")
    fmu, _ = export(str(file), tmp_path, "do_mpc")
    description = fmpy.read_model_description(str(fmu))
    assert "do-mpc>=" in description.description
    references = {v.name: v.valueReference for v in description.modelVariables}
    slave = begun(fmu, tmp_path / "unpacked")
    for k in range(4):
        slave.doStep(900.0 * k, 900.0)
    active, rung = slave.getReal([references["active"], references["rung"]])
    assert (active, rung) == (1.0, Rung.SOLVED)
    slave.terminate()
    slave.freeInstance()
