from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cosim import Scenario, Simulation, find_scenario, load_scenario, scenario_names
from cosim.yaml_lines import parse_yaml
from fmus.errors import GalenicError

GOOD = """\
scenario: galenic/1
description: two lags
duration: 2 min
communication_step: 100 ms
seed: 3
components:
  a: {fmu: lag.fmu}
  b:
    fmu: lag.fmu
    start: {u: 1}
connections:
  - a.y -> b.u
sensors:
  s: {measures: a.y, period: 1 s, delay: 2 s, noise: 0.1}
disturbances:
  - {signal: a.u, step: {at: 10 s, to: 2}}
  - {signal: a.u, noise: {std: 5 %, time_constant: 20 s}}
controllers:
  c: {type: pi, gain: 1}
kpis:
  rsd: {signal: a.y}
plot:
  - {title: A, unit: '1', signals: [a.y], limits: [0, null]}
record: [a.*]
"""


def write(folder: Path, text: str) -> Path:
    file = folder / "case.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def test_a_scenario_is_read_with_times_in_seconds(tmp_path):
    loaded = load_scenario(write(tmp_path, GOOD))
    assert loaded.duration == pytest.approx(120.0)
    assert loaded.communication_step == pytest.approx(0.1)
    assert loaded.sensors["s"].delay == 2.0
    assert loaded.disturbances[1].kind == "noise"
    assert loaded.plot[0].limits == (0, None)
    assert loaded.name == "case"
    assert loaded.controllers["c"] == {"type": "pi", "gain": 1}


@pytest.mark.parametrize(
    ("old", "new", "line", "parts"),
    [
        ("duration:", "duraton:", 3, ["unknown key 'duraton'", "did you mean 'duration'"]),
        ("seed: 3", "sede: 3", 5, ["unknown key 'sede'", "did you mean 'seed'"]),
        ("    start:", "    strat:", 10, ["unknown key 'strat'", "'start'"]),
        ("period: 1 s", "priod: 1 s", 14, ["unknown key 'priod'", "'period'"]),
        ("at: 10 s", "att: 10 s", 16, ["unknown key 'att'", "'at'"]),
        ("std: 5 %", "sdt: 5 %", 17, ["unknown key 'sdt'", "'std'"]),
        ("title: A", "titel: A", 23, ["unknown key 'titel'", "'title'"]),
        ("2 min", "2 kg", 3, ["cannot be converted to 's'"]),
        ("2 min", "soon", 3, ["is not a number with a unit"]),
        ("2 min", "[1]", 3, ["this must be a time"]),
        ("2 min", "-2 min", 3, ["greater than zero"]),
        ("2 min", "119.95", 3, ["not a whole number of communication steps"]),
        ("100 ms", "0", 4, ["greater than zero"]),
        ("100 ms", "5e-324", 4, ["at least a nanosecond"]),
        ("2 min", "1e300 h", 3, ["too long a time"]),
        ("to: 2}", "to: 2, until: 5 s}", 16, ["'until' comes before 'at'"]),
        ("noise: {std: 5 %, time_constant: 20 s}", "lots: {every: 1 ms, rsd: 1 %}", 17, ["more often than once"]),
        ("seed: 3", "seed: -3", 5, ["seed is -3"]),
        ("seed: 3", "seed: many", 5, ["seed is 'many', not a whole number"]),
        ("two lags", "12", 2, ["description is 12, not text", "in quotes"]),
        ("  - a.y -> b.u\n", "  a.y: b.u\n", 11, ["connections is {'a.y': 'b.u'}, not a list"]),
        ("{fmu: lag.fmu}", "lag.fmu", 7, ["components.a is 'lag.fmu', not a section"]),
        ("[a.*]", "some", 24, ["record is 'some'"]),
        ("  a: {fmu: lag.fmu}", "  a: {}", 7, ["either a unit or an FMU"]),
        ("  a: {fmu: lag.fmu}", "  a-b: {fmu: lag.fmu}", 7, ["'a-b' is not a name"]),
        ("  a: {fmu: lag.fmu}", "  b: {fmu: lag.fmu}", 8, ["'b' stands twice, first in line 7"]),
        ("  s: {", "  a: {", 14, ["'a' is also one of the components"]),
        ("a.y -> b.u", "a.y to b.u", 12, ["is not a connection"]),
        ("{u: 1}", "{u: [1]}", 10, ["this must be a number or a quantity"]),
        (
            "noise: {std: 5 %, time_constant: 20 s}",
            "step: {at: 1, to: 1}, ramp: {at: 1, over: 1, by: 1}",
            17,
            ["has one kind"],
        ),
        ("to: 2", "to: 2, by: 3", 16, ["say how the signal changes"]),
        ("type: pi", "kind: pi", 19, ["a controller needs a type"]),
        ("galenic/1", "galenic/9", 1, ["unknown scenario format 'galenic/9'"]),
        ("scenario: galenic/1", "title: mine", 1, ["does not say that it is a scenario"]),
        ("  b:\n", "\tb:\n", 8, ["not valid YAML"]),
        ("connections:", "connections", 11, ["not valid YAML"]),
    ],
)
def test_a_mistake_is_named_with_its_line_and_a_cure(tmp_path, old, new, line, parts):
    assert old in GOOD
    file = write(tmp_path, GOOD.replace(old, new, 1))
    with pytest.raises(GalenicError) as caught:
        load_scenario(file)
    text = str(caught.value)
    assert caught.value.file == file
    assert caught.value.line is not None
    assert abs(caught.value.line - line) <= (1 if "YAML" in text else 0), text
    assert caught.value.cure
    assert all(part in text for part in parts), text


def test_several_mistakes_are_counted_with_their_lines(tmp_path):
    file = write(tmp_path, GOOD.replace("seed: 3", "sede: 3").replace("title: A", "titel: A"))
    with pytest.raises(GalenicError, match=r"more problems in line 23") as caught:
        load_scenario(file)
    assert caught.value.line == 5


def test_yaml_traps_are_closed():
    data = parse_yaml("a: 1e-3\nb: yes\nc: 010\nd: 1:30\ne: ~\nf: 2026-01-01\ng: true\nh: '5'\n").data
    assert data == {"a": 0.001, "b": "yes", "c": 10, "d": "1:30", "e": None, "f": "2026-01-01", "g": True, "h": "5"}


def test_an_alias_that_contains_itself_is_refused():
    with pytest.raises(GalenicError, match="contains itself"):
        parse_yaml("a: &x [*x]\n")


def test_aliases_that_multiply_are_refused():
    levels = "\n".join(f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 10)}]" for i in range(1, 9))
    with pytest.raises(GalenicError, match="too many"):
        parse_yaml("l0: &l0 x\n" + levels)


def test_a_file_that_is_not_text_is_refused(tmp_path):
    file = tmp_path / "case.yaml"
    file.write_bytes(b"\xff\xfe\x00PK\x03\x04")
    with pytest.raises(GalenicError, match="UTF-8"):
        load_scenario(file)


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path):
    file = tmp_path / "case.yaml"
    file.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert load_scenario(file).line(("seed",)) == 5


def test_shipped_scenarios_are_found_by_name_and_all_load():
    for name in scenario_names():
        assert find_scenario(name).stem == name
        assert load_scenario(name).name == name


def test_an_unknown_scenario_is_refused_with_what_there_is(tmp_path, monkeypatch):
    monkeypatch.setattr("cosim.library._shipped", lambda: tmp_path)
    write(tmp_path, GOOD)
    with pytest.raises(GalenicError, match=r"there is no scenario 'csae'[\s\S]*did you mean 'case'"):
        find_scenario("csae")
    with pytest.raises(GalenicError, match="no such scenario file"):
        find_scenario(tmp_path / "csae.yaml")
    assert find_scenario("case") == tmp_path / "case.yaml"


def test_a_variant_keeps_the_lines(tmp_path):
    variant = load_scenario(write(tmp_path, GOOD)).model_copy(update={"disturbances": []})
    assert variant.disturbances == []
    assert variant.error(("seed",), "x").line == 5


def test_a_scenario_can_be_made_in_python():
    made = Scenario.from_mapping(yaml.safe_load(GOOD))
    assert made.duration == 120.0
    with pytest.raises(GalenicError, match="unknown key 'sede'"):
        Scenario.from_mapping({**yaml.safe_load(GOOD), "sede": 1})


def test_the_format_has_a_json_schema():
    assert "communication_step" in Scenario.model_json_schema()["properties"]


WORDS = (
    "scenario duration communication_step seed components connections sensors disturbances controllers kpis plot "
    "record a b s fmu unit parameters start measures period noise step lots at to by every rsd type title signals"
)
KEYS = st.sampled_from(WORDS.split())
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=12),
    st.sampled_from(["galenic/1", "1 s", "a.y -> b.u", "a.y", "5 %", "lag.fmu"]),
)
TREES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS | st.text(max_size=6), inner, max_size=5)
)


def loads_or_says_why(load: Callable[[], object]) -> None:
    """Whatever is wrong is told as a GalenicError with a message; anything else fails the test."""
    with suppress(GalenicError):
        load()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.dictionaries(KEYS, TREES, max_size=8))
def test_any_data_is_a_scenario_or_a_clear_error(data):
    loads_or_says_why(lambda: Scenario.from_mapping(data))
    loads_or_says_why(lambda: Scenario.from_mapping({**yaml.safe_load(GOOD), **data}))


@settings(max_examples=150, deadline=None)
@given(text=st.text(max_size=200))
def test_any_text_is_data_or_a_clear_error(text):
    loads_or_says_why(lambda: parse_yaml(text))


@settings(max_examples=150, deadline=None)
@given(position=st.integers(0, len(GOOD) - 1), junk=st.text(max_size=5), length=st.integers(0, 10))
def test_a_damaged_scenario_loads_or_gives_a_clear_error(tmp_path_factory, position, junk, length):
    file = tmp_path_factory.getbasetemp() / "damaged.yaml"
    file.write_text(GOOD[:position] + junk + GOOD[position + length :], encoding="utf-8", errors="replace")
    loads_or_says_why(lambda: load_scenario(file))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_value_in_a_scenario_builds_a_system_or_gives_a_clear_error(fmus, data):
    changed = yaml.safe_load(GOOD.replace("controllers:\n  c: {type: pi, gain: 1}\n", ""))
    section = changed
    while isinstance(section, dict | list) and section:
        keys = list(section) if isinstance(section, dict) else list(range(len(section)))
        key = data.draw(st.sampled_from(keys))
        if not isinstance(section[key], dict | list) or data.draw(st.integers(0, 3)) == 0:
            section[key] = data.draw(QUANTITIES | TREES)
            break
        section = section[key]

    def build() -> None:
        scenario = Scenario.from_mapping(changed, fmus)
        if scenario.duration / scenario.communication_step < 1e5:
            with Simulation(scenario) as simulation:
                simulation.step(2)

    loads_or_says_why(build)


QUANTITIES = st.one_of(
    st.floats(-1e3, 1e3),
    st.sampled_from(["1 s", "-1 s", "5 %", "1e999", "1e999 s", "2 kN", "1 degC", "a.y", "a.u", "s.bias", "*", "b.u"]),
)
