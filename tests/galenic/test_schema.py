"""The published schema takes what the program takes: shipped scenarios, and the examples of the scenario reference."""

from __future__ import annotations

import json
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cosim import find_scenario, scenario_names
from cosim.yaml_lines import parse_yaml
from galenic.cli import app
from galenic.commands.schema import scenario_schema

jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")

PAGE = Path(__file__).parents[2] / "docs" / "scenarios.md"
EXAMPLES = re.findall(r"```yaml\n((?:scenario|extends):.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def problems(data: Any) -> list[str]:
    validator = jsonschema.Draft202012Validator(scenario_schema())
    return [f"{list(error.absolute_path)}: {error.message[:200]}" for error in validator.iter_errors(data)]


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(scenario_schema())


@pytest.mark.parametrize("name", scenario_names())
def test_shipped_scenarios_fit(name: str) -> None:
    assert problems(parse_yaml(find_scenario(name).read_text(encoding="utf-8")).data) == []


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_the_references_examples_fit(number: int) -> None:
    assert problems(parse_yaml(EXAMPLES[number]).data) == []


LEAST = (
    "scenario: galenic/1\nduration: 1 min\ncommunication_step: 1 s\ncomponents: {blender: {unit: continuous_blender}}\n"
)


@pytest.mark.parametrize(
    "more",
    [
        "actions: {slow: {at: 1 min, set: {a.u: 1 kg/h}}}\n",
        "actions: [{when: a.y > 1, for: 3 s, until: a.y < 1, fault: {s: {dropout: true}}}]\n",
        "stop_when: time > 3 s\n",
        "disturbances: {lots: {signal: a.u, lots: {every: 1 h, material: smcc, property: d50}}}\n",
        "disturbances: [{signal: a.u, typical: pump_pulsation}]\n",
        "sensors: {s: {measures: a.y, noise: 0.1 kN}}\n",
    ],
)
def test_what_a_scenario_may_say_fits(more: str) -> None:
    assert problems(parse_yaml(LEAST + more).data) == []


@pytest.mark.parametrize(
    "wrong",
    [
        LEAST.replace("duration: 1 min\n", ""),
        LEAST + "durration: 3 s\n",
        LEAST + "actions: [{at: 1 min, sett: {a.u: 1}}]\n",
        LEAST + "master: {algorithm: jacoby}\n",
        "extends: tablet_line\nmaster: {algorithm: jacoby}\n",
        "extends: tablet_line\nsesnors: null\n",
    ],
)
def test_what_no_scenario_may_say_does_not_fit(wrong: str) -> None:
    assert problems(parse_yaml(wrong).data)


def test_a_variant_may_leave_out_and_remove_what_its_base_has() -> None:
    text = """\
        extends: [tablet_line, more.yaml]
        sensors: {nir: {noise: 2 %}}
        controllers: {mpc: null}
        kpis: {solver: null}
        disturbances: {powder: null, more: {noise: {std: 1 %}}}
        """
    assert problems(parse_yaml(textwrap.dedent(text)).data) == []


@pytest.mark.parametrize("option", ["--out", "--output"])
def test_the_schema_is_printed_or_written(option: str, tmp_path: Path) -> None:
    file = tmp_path / "schema.json"
    assert CliRunner().invoke(app, ["schema", option, str(file)]).exit_code == 0
    printed = CliRunner().invoke(app, ["schema"]).output
    assert json.loads(file.read_text(encoding="utf-8")) == json.loads(printed) == scenario_schema()
