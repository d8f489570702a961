"""`galenic run --set`: other values than the file's, told in the report; what a stop condition ended too."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from galenic.cli import app

TEXT = """\
scenario: galenic/1
duration: 1 min
communication_step: 1 s
components:
  feeder: {unit: loss_in_weight_feeder}
  blender: {unit: continuous_blender}
connections: [feeder.outlet -> blender.inlet_1]
kpis:
  expressions: {flow: {value: mean(blender.outlet.mass_flow), unit: kg/h}}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "small.yaml"
    file.write_text(TEXT, encoding="utf-8")
    return file


def run(file: Path, *values: str) -> tuple[int, str, Path]:
    out = file.parent / "run"
    options = [part for value in values for part in ("--set", value)]
    result = CliRunner().invoke(app, ["run", str(file), "--no-plot", "--out", str(out), *options])
    return result.exit_code, result.output, out


def test_values_are_in_force_and_in_the_record(file: Path) -> None:
    values = ("duration=30s", "feeder.mass_flow_setpoint=20 kg/h", "stop_when=time >= 20 s")
    code, output, out = run(file, *values)
    assert code == 0, output
    assert "Stopped: stop condition 'time >= 20 s' holds (t = 20 s)" in " ".join(output.split())
    content = json.loads((out / "kpis.json").read_text(encoding="utf-8"))
    assert content["set"] == list(values)
    assert content["complete"] is True
    assert content["simulated_time"] == 20.0
    assert "expression_flow" in content["kpis"]
    log = (out / "run.log").read_text(encoding="utf-8")
    assert "set feeder.mass_flow_setpoint=20 kg/h" in log
    assert "stopped: stop condition" in log


def test_a_value_of_a_driven_input_is_said_to_be_its_start_alone(file: Path) -> None:
    code, output, _ = run(file, "duration=2s", "blender.inlet_1.mass_flow=3 kg/h")
    assert code == 0
    assert "feeder.outlet.mass_flow drives blender.inlet_1.mass_flow" in " ".join(output.split())


@pytest.mark.parametrize(
    "value", ["nonsense", "feeder.mass_flow_stpoint=1", "duration=", "feeder.mass_flow_setpoint=1 mm"]
)
def test_a_wrong_value_is_an_error_without_a_run(file: Path, value: str) -> None:
    code, output, out = run(file, value)
    assert code == 2
    assert "Cure" in output
    assert not out.exists()


KEYS = ["feeder", "kpis", "actions", "duration", "x.y", "components.feeder"]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    key=st.sampled_from(["feeder", "kpis", "actions", "duration", "x.y", "components.feeder"]), raw=st.text(max_size=12)
)
def test_any_value_ends_in_a_run_or_an_error_but_no_traceback(file: Path, key: str, raw: str) -> None:
    code, output, _ = run(file, f"{key}={raw}", "duration=2s")
    assert code in {0, 2}, output
