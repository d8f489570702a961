from __future__ import annotations

from pathlib import Path

import pytest

from cosim import load_scenario
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
        ("extends: [a, b]\n", "names one scenario"),
    ],
)
def test_a_base_that_cannot_be_is_an_error_at_its_line(tmp_path: Path, text: str, words: str) -> None:
    file = write(tmp_path, "self.yaml", text)
    with pytest.raises(GalenicError, match=words) as caught:
        load_scenario(file)
    assert caught.value.line == 1
