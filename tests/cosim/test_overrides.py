from __future__ import annotations

import json
import textwrap
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cosim import Scenario, build_system, load_scenario, simulate
from cosim.yaml_lines import parse_yaml
from fmus.errors import GalenicError

TEXT = """\
scenario: galenic/1
duration: 1 s
communication_step: 10 ms
components:
  a: {fmu: lag.fmu, start: {u: 1}, parameters: {tau: 1 s}}
  b: {fmu: bundled.fmu}
sensors:
  s: {measures: a.y}
disturbances:
  - {signal: s.bias, name: wrong, step: {at: 1 s, by: 1}}
actions:
  - {at: 100 ms, set: {a.u: 2}}
kpis:
  final: {end: {signal: a.y}}
"""


@pytest.fixture
def file(fmus: Path) -> Path:
    file = fmus / "overridden.yaml"
    file.write_text(TEXT, encoding="utf-8")
    return file


def values(file: Path, *overrides: str) -> dict[str, dict[str, float]]:
    return {c.name: c.values for c in build_system(load_scenario(file, overrides)).components}


def test_a_components_variable_becomes_a_parameter_or_a_start_value(file):
    assert values(file, "a.u=3", "a.tau=2000ms")["a"] == {"tau": 2.0, "u": 3.0}
    assert values(file, "b.in.a=4")["b"] == {"in.a": 4.0}


def test_the_last_of_two_counts(file):
    assert values(file, "a.u=3", "a.u=4")["a"]["u"] == 4.0


def test_keys_are_paths_into_the_file(file):
    overrides = [
        "duration=2s",
        "components.a.start.u=5",
        "s.noise=0.5",
        "sensors.s.period=100 ms",
        "disturbances.wrong.step.at=500ms",
        "disturbances.0.step.by=3",
        "actions.0.set.a.u=7",
        "kpis.final.end.signal=a.u",
        "seed=9",
        "master.kernel=python",
    ]
    loaded = load_scenario(file, overrides)
    assert loaded.duration == 2.0
    assert loaded.components["a"].start == {"u": 5}
    assert (loaded.sensors["s"].noise, loaded.sensors["s"].period) == (0.5, 0.1)
    step = loaded.disturbances[0].step
    assert step is not None
    assert (step.at, step.by) == (0.5, 3)
    assert loaded.actions[0].set == {"a.u": 7}
    assert loaded.kpis["final"]["end"]["signal"] == "a.u"
    assert (loaded.seed, loaded.master.kernel) == (9, "python")


def test_a_value_may_be_a_section_and_null_removes_one(file):
    loaded = load_scenario(file, ["a.u={uniform: {min: 1, max: 2}}", "kpis.final=null", "actions=[]"])
    assert 1.0 <= build_system(loaded).components[0].values["u"] <= 2.0
    assert loaded.kpis == {}
    assert loaded.actions == []


def test_the_runs_record_tells_what_was_set_and_can_be_read_again(file, tmp_path):
    loaded = load_scenario(file, ["a.u=3", "duration=0.1 s"])
    simulate(loaded, out=tmp_path)
    metadata = json.loads((tmp_path / "metadata.json").read_text(encoding="utf-8"))
    assert metadata["set"] == ["a.u=3", "duration=0.1 s"]
    again = Scenario.from_source(parse_yaml(metadata["scenario_text"]), file.parent, "again")
    assert again.components == loaded.components
    assert again.duration == 0.1


def test_a_variants_values_can_be_overridden(file):
    variant = file.with_name("variant.yaml")
    variant.write_text("extends: overridden.yaml\ncomponents: {a: {start: {u: 2}}}\n", encoding="utf-8")
    assert values(variant, "a.tau=3 s")["a"] == {"tau": 3.0, "u": 2.0}


@pytest.mark.parametrize(
    ("text", "message", "cure"),
    [
        ("a.u", "this is not KEY=VALUE", "for example"),
        ("=3", "this is not KEY=VALUE", "for example"),
        ("a..u=3", "this is not KEY=VALUE", "for example"),
        ("aa.u=3", "there is nothing named 'aa'", "'a'"),
        ("duratoin=3 s", "there is nothing named 'duratoin'", "'duration'"),
        ("duration=3 kg", "duration: 'kg' cannot be converted", "unit"),
        ("duration=", "'duration' is missing", "add"),
        ("a.v=3", "'a' has no variable 'v'", "known names"),
        ("a.u=3 furlong/x", "unknown unit", "units are written"),
        ("a.u=[1]", "must be a number or a quantity", "write for example"),
        ("a.u=[1", "not valid YAML", "check"),
        ("s.nois=1", "unknown key 'nois'", "'noise'"),
        ("disturbances.wrnog.step.at=1", "there is no 'wrnog' in the list", "'wrong'"),
        ("actions.7.at=1", "there is no '7' in the list", "0 to 0"),
        ("disturbances.wrong=null", "cannot be removed", "extend"),
        ("duration=1.005 s", "not a whole number of communication steps", "multiple"),
    ],
)
def test_a_wrong_override_is_an_error_that_names_it(file, text, message, cure):
    with pytest.raises(GalenicError) as caught:
        build_system(load_scenario(file, [text]))
    assert message in str(caught.value)
    assert cure in caught.value.cure
    if text != "duration=":
        assert f"--set {text}" in caught.value.message
    assert textwrap.shorten(str(caught.value), 400)


KEYS = [
    "a",
    "u",
    "tau",
    "s",
    "noise",
    "duration",
    "components",
    "disturbances",
    "0",
    "wrong",
    "step",
    "start",
    "x",
    "",
    "[0]",
]
RAW = [
    "1",
    "-3",
    "1 s",
    "700rpm",
    "[1, 2]",
    "{a: 1}",
    "null",
    "",
    "true",
    "'",
    "*a",
    "!!python/object:os.system {}",
    "é",
    "1e400",
]


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(KEYS), min_size=1, max_size=5), st.one_of(st.sampled_from(RAW), st.text(max_size=10)))
def test_any_override_loads_or_gives_a_clear_error(file, keys, raw):
    try:
        build_system(load_scenario(file, [".".join(keys) + "=" + raw]))
    except GalenicError as error:
        message = error.message
    else:
        message = "built"
    assert message
