"""`galenic identify` as a user calls it, on a small batch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from controllers.surrogates import load_model

SCENARIO: dict[str, Any] = {
    "scenario": "galenic/1",
    "duration": "2 d",
    "communication_step": "5 min",
    "components": {
        "tank": {"unit": "media_tank", "parameters": {"content.glucose": "1 mol/L"}},
        "reactor": {"unit": "bioreactor_badr2021_fast", "parameters": {"initial.glucose": 41}},
    },
    "connections": ["tank.outlet -> reactor.supplement"],
}
PLAN: dict[str, Any] = {
    "identify": "galenic/1",
    "scenario": "batch.yaml",
    "period": "2 h",
    "settle": "0 s",
    "horizon": "2 d",
    "runs": 3,
    "fastest": "4 h",
    "slowest": "12 h",
    "inputs": {"tank.flow_setpoint": {"value": "0.05 L/h", "step": "0.05 L/h"}},
    "outputs": {"reactor.glucose": {}, "reactor.viable_cell_density": {}},
    "mechanistic": {"substeps": 4},
}


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    (tmp_path / "batch.yaml").write_text(yaml.safe_dump(SCENARIO), encoding="utf-8")
    file = tmp_path / "plan.yaml"
    file.write_text(yaml.safe_dump(PLAN, sort_keys=False), encoding="utf-8")
    return file


def test_a_batch_is_identified_and_the_file_tells_how(plan: Path, command: Callable[..., Any], tmp_path: Path) -> None:
    file = tmp_path / "folder" / "model.yaml"
    result = command("identify", str(plan), "--method", "mechanistic", "--workers", "1", "--out", str(file))
    assert result.exit_code == 0, result.output
    assert "reactor.viable_cell_density" in result.output
    model = load_model(file)
    assert model.notices == ()
    assert min(e.fit[-1] for e in model.errors.values()) > 95.0
    assert "--method mechanistic" in model.provenance["command"]
    assert (tmp_path / "folder" / "model_validation.png").stat().st_size > 10_000
    changed = SCENARIO | {"communication_step": "15 min"}
    (tmp_path / "batch.yaml").write_text(yaml.safe_dump(changed), encoding="utf-8")
    assert load_model(file).notices == ()  # the model is the same
    changed["components"]["reactor"]["parameters"]["initial.glucose"] = 40
    (tmp_path / "batch.yaml").write_text(yaml.safe_dump(changed), encoding="utf-8")
    assert "has changed" in load_model(file).notices[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--method", "magic"), "there is no method 'magic'"),
        (("--method", "era", "--excitation", "prbs"), "needs step tests"),
        (("--method", "subspace", "--excitation", "steps"), "longer runs than step tests"),
        (("--method", "narx", "--excitation", "steps"), "single steps"),
    ],
)
def test_what_does_not_go_together_is_told(
    plan: Path, command: Callable[..., Any], options: tuple[str, ...], message: str
) -> None:
    result = command("identify", str(plan), *options)
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())
