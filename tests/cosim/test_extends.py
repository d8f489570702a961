from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from cosim import Scenario, build_system, load_scenario
from cosim.python_files import split_name
from cosim.yaml_lines import parse_yaml
from fmus.errors import GalenicError

BASE = """scenario: galenic/1
duration: 1 h
communication_step: 1 s
seed: 1
components:
  press: {unit: tablet_press, parameters: {label_dose: 20 mg}}
sensors:
  force: {measures: press.main_compression_force, period: 10 s}
disturbances:
  - {signal: press.strength_factor, step: {at: 10 s, to: 0.9}}
"""


def write(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


def test_a_variant_says_only_what_differs(tmp_path: Path) -> None:
    write(tmp_path, "base.yaml", BASE)
    variant = write(
        tmp_path,
        "variant.yaml",
        "extends: base.yaml\nduration: 2 h\nsensors:\n  force: {noise: 0.1 kN}\ndisturbances: []\n",
    )
    scenario = load_scenario(variant)
    assert scenario.name == "variant"
    assert scenario.duration == 7200.0
    assert scenario.seed == 1
    assert scenario.sensors["force"].period == 10.0
    assert scenario.sensors["force"].noise == "0.1 kN"
    assert scenario.disturbances == []


def test_null_removes_what_the_base_has(tmp_path: Path) -> None:
    write(tmp_path, "base.yaml", BASE)
    variant = write(tmp_path, "variant.yaml", "extends: base.yaml\nsensors: {force: null}\n")
    assert load_scenario(variant).sensors == {}


def test_errors_point_into_the_file_that_says_it(tmp_path: Path) -> None:
    write(tmp_path, "base.yaml", BASE)
    own = write(tmp_path, "own.yaml", "extends: base.yaml\nduration: 2 h\ndurtion: 3 h\n")
    with pytest.raises(GalenicError) as caught:
        load_scenario(own)
    assert caught.value.file == own
    assert caught.value.line == 3
    broken = write(tmp_path, "broken.yaml", BASE.replace("period: 10 s", "period: 10 kg"))
    variant = write(tmp_path, "variant.yaml", "extends: broken.yaml\nseed: 2\n")
    with pytest.raises(GalenicError) as caught:
        load_scenario(variant)
    assert caught.value.file is not None
    assert caught.value.file.resolve() == broken.resolve()
    assert caught.value.line == 8


def test_a_base_in_another_folder_finds_its_own_files(tmp_path: Path) -> None:
    write(tmp_path / "plant", "numbers.yaml", "parameters: {}\n")
    text = BASE.replace("parameters: {label_dose: 20 mg}", "parameter_file: numbers.yaml")
    write(tmp_path / "plant", "base.yaml", text)
    variant = write(tmp_path / "mine", "variant.yaml", "extends: ../plant/base.yaml\n")
    file = load_scenario(variant).components["press"].parameter_file
    assert file is not None
    assert Path(file) == (tmp_path / "plant" / "numbers.yaml").resolve()


def test_a_shipped_scenario_can_be_extended_by_name(tmp_path: Path) -> None:
    variant = write(tmp_path, "mine.yaml", "extends: tablet_line\nduration: 20 min\n")
    scenario = load_scenario(variant)
    assert scenario.duration == 1200.0
    assert "press" in scenario.components


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("extends: absent\n", "there is no scenario 'absent'"),
        ("extends: self.yaml\n", "extends itself"),
        ("extends: [a, b]\n", "there is no scenario 'a'"),
        ("extends: []\n", "names one scenario"),
        ("extends: {a: b}\n", "names one scenario"),
    ],
)
def test_a_base_that_cannot_be_is_an_error_at_its_line(tmp_path: Path, text: str, words: str) -> None:
    file = write(tmp_path, "self.yaml", text)
    with pytest.raises(GalenicError, match=words) as caught:
        load_scenario(file)
    assert caught.value.line == 1


DISTURBED = """\
scenario: galenic/1
duration: 10 s
communication_step: 1 s
components: {press: {unit: tablet_press}}
disturbances:
  - {signal: press.strength_factor, noise: {std: 1 %}}
  - {signal: press.yield_factor, name: powder, lots: {every: 5 s, rsd: 2 %}}
  - {signal: press.inlet.bulk_density, step: {at: 2 s, by: 1 %}}
"""


def test_entries_of_a_base_are_changed_removed_and_added_by_name(tmp_path: Path) -> None:
    write(tmp_path, "base.yaml", DISTURBED)
    text = """\
        extends: base.yaml
        disturbances:
          powder: {lots: {rsd: 4 %}}
          press.strength_factor noise 1: null
          tooling: {signal: press.friction_factor, step: {at: 1 s, by: 5 %}}
        """
    scenario = load_scenario(write(tmp_path, "variant.yaml", textwrap.dedent(text)))
    by_name = {spec.name: spec for spec in scenario.disturbances}
    assert list(by_name) == ["powder", None, "tooling"]
    lots = by_name["powder"].lots
    assert lots is not None
    assert (lots.every, lots.rsd) == (5.0, "4 %")
    again = write(tmp_path, "again.yaml", "extends: variant.yaml\ndisturbances: {tooling: null}\n")
    assert [spec.name for spec in load_scenario(again).disturbances] == ["powder", None]


@pytest.mark.parametrize(
    ("own", "file", "line"),
    [
        ("powder: {lots: {rsd: 40 kg}}", "variant.yaml", 4),
        ("powder: null", "base.yaml", 8),  # what is left of the base has moved up, its lines have not
        ("more: {signal: press.friction_factor, stp: 1}", "variant.yaml", 4),
        ("more: {signal: press.friction_factor, step: {at: 1 s, by: 5 %}}", "base.yaml", 8),
    ],
)
def test_errors_of_entries_by_name_point_where_they_are_said(tmp_path: Path, own: str, file: str, line: int) -> None:
    write(tmp_path, "base.yaml", DISTURBED.replace("by: 1 %", "by: 1 kN") if file == "base.yaml" else DISTURBED)
    variant = write(tmp_path, "variant.yaml", f"extends: base.yaml\n\ndisturbances:\n  {own}\n")
    with pytest.raises(GalenicError) as caught:
        build_system(load_scenario(variant))
    assert caught.value.file is not None
    assert (caught.value.file.name, caught.value.line) == (file, line)


def test_entries_by_name_need_no_base_and_are_read_again_from_a_runs_record(tmp_path: Path) -> None:
    listed = DISTURBED[: DISTURBED.index("  - {signal")]
    text = f"{listed}  powder: {{signal: press.yield_factor, lots: {{every: 5 s, rsd: 2 %}}}}\n"
    scenario = load_scenario(write(tmp_path, "named.yaml", text))
    assert [spec.name for spec in scenario.disturbances] == ["powder"]
    again = Scenario.from_source(parse_yaml(scenario.text), tmp_path, "again")
    assert again.disturbances == scenario.disturbances


def test_a_list_replaces_the_bases(tmp_path: Path) -> None:
    write(tmp_path, "base.yaml", DISTURBED)
    own = "extends: base.yaml\ndisturbances:\n  - {signal: press.yield_factor, noise: {std: 1 %}}\n"
    assert len(load_scenario(write(tmp_path, "variant.yaml", own)).disturbances) == 1


def test_a_list_of_bases_counts_the_later_more_and_may_hold_fragments(tmp_path: Path) -> None:
    write(tmp_path, "base.yaml", DISTURBED)
    write(tmp_path, "more.yaml", "duration: 20 s\ndisturbances:\n  powder: {lots: {rsd: 7 %}}\nseed: 3\n")
    text = "extends: [base.yaml, more.yaml]\nseed: 4\n"
    scenario = load_scenario(write(tmp_path, "variant.yaml", text))
    assert (scenario.duration, scenario.seed) == (20.0, 4)
    lots = next(spec.lots for spec in scenario.disturbances if spec.name == "powder")
    assert lots is not None
    assert (lots.every, lots.rsd) == (5.0, "7 %")
    assert len(scenario.disturbances) == 3


@pytest.mark.parametrize(("file", "change", "line"), [("base.yaml", "rsd: 2 %", 7), ("more.yaml", "rsd: 7 %", 3)])
def test_errors_point_into_the_one_of_several_bases_that_says_it(
    tmp_path: Path, file: str, change: str, line: int
) -> None:
    more = "duration: 20 s\ndisturbances:\n  other: {signal: press.strength_factor, lots: {every: 1 s, rsd: 7 %}}\n"
    for name, text in (("base.yaml", DISTURBED), ("more.yaml", more)):
        write(tmp_path, name, text.replace(change, "rsd: 3 kg") if name == file else text)
    variant = write(tmp_path, "variant.yaml", "extends: [base.yaml, more.yaml]\nseed: 4\n")
    with pytest.raises(GalenicError) as caught:
        build_system(load_scenario(variant))
    assert caught.value.file is not None
    assert (caught.value.file.name, caught.value.line) == (file, line)


def test_a_class_in_a_file_beside_the_base_is_found_from_a_variant_elsewhere(fmus, tmp_path):
    source = Path(__file__).with_name("my_controllers.py").read_text(encoding="utf-8")
    (tmp_path / "mine.py").write_text(source, encoding="utf-8")
    (tmp_path / "base.yaml").write_text(
        "scenario: galenic/1\nduration: 1 s\ncommunication_step: 0.1 s\n"
        f"components: {{a: {{fmu: {(fmus / 'lag.fmu').as_posix()}}}}}\n"
        "controllers: {c: {type: 'mine.py:Loop'}}\n",
        encoding="utf-8",
    )
    (tmp_path / "variants").mkdir()
    (tmp_path / "variants" / "v.yaml").write_text("extends: ../base.yaml\nduration: 2 s\n", encoding="utf-8")
    named = load_scenario(tmp_path / "variants" / "v.yaml").controllers["c"]["type"]
    assert split_name(named) == (str(tmp_path / "mine.py"), ":Loop")


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("my.py:make", ("my.py", ":make")),
        ("my.py", ("my.py", "")),
        (r"C:\units\my.py:make", (r"C:\units\my.py", ":make")),
        ("tablet_press", None),
        ("my.python:make", None),
    ],
)
def test_a_name_in_a_python_file_is_read_on_every_system(name, parts):
    assert split_name(name) == parts
