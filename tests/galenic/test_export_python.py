from __future__ import annotations

import importlib.util
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

Command = Callable[..., Result]

CLASS = '''\
import numpy as np

from cosim import Port


class Holding:
    """Passes a value on."""

    def __init__(self, name):
        self.name, self.period = name, 10.0
        self.inputs, self.outputs = (Port("value", "kN", 6.0),), (Port("held", "kN", 6.0),)
        self.input_values, self.output_values = np.array([6.0]), np.array([6.0])
        self.reads, self.writes, self.supervises = ("press.main_compression_force",), (None,), ()

    @classmethod
    def from_config(cls, name, config, context):
        return cls(name)

    def do_step(self, communication_point, step_size):
        self.output_values[:] = self.input_values
'''

SCENARIO = """\
scenario: galenic/1
duration: 1 min
communication_step: 10 s
components: {press: {unit: tablet_press}}
controllers: {holder: {type: "holding.py:Holding"}}
"""

pytestmark = pytest.mark.skipif(importlib.util.find_spec("pythonfmu") is None, reason="pythonfmu is not installed")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "holding.py").write_text(CLASS, encoding="utf-8")
    (tmp_path / "holding.yaml").write_text(SCENARIO, encoding="utf-8")
    return tmp_path


def test_export_writes_a_python_component(command: Command, folder: Path) -> None:
    result = command("export", f"{folder / 'holding.py'}:Holding", "--out", folder / "fmus")
    assert result.exit_code == 0, result.output
    assert [file.name for file in (folder / "fmus").iterdir()] == ["Holding.fmu"]
    assert "needs Python" in result.output
    with zipfile.ZipFile(folder / "fmus" / "Holding.fmu") as archive:
        assert {n.split("/")[1] for n in archive.namelist() if n.startswith("binaries/")} == {"linux64", "win64"}


def test_export_of_a_scenario_writes_its_units_and_its_own_controllers(command: Command, folder: Path) -> None:
    options = ("--out", folder / "fmus", "--fmi", "2", "--platform", "linux64")
    result = command("export", folder / "holding.yaml", *options)
    assert result.exit_code == 0, result.output
    assert sorted(file.name for file in (folder / "fmus").iterdir()) == ["holder.fmu", "press.fmu"]


def test_export_says_which_controllers_it_leaves_out(command: Command, folder: Path) -> None:
    options = ("--out", folder / "fmus", "--fmi", "3", "--platform", "linux64")
    result = command("export", folder / "holding.yaml", *options)
    assert result.exit_code == 0, result.output
    assert [file.name for file in (folder / "fmus").iterdir()] == ["press_fmi3.fmu"]
    assert "Not exported: 'holder'" in result.output


def test_export_of_a_component_says_what_is_wrong_with_it(command: Command, folder: Path) -> None:
    (folder / "holding.py").write_text(CLASS.replace("import numpy", "import pytest\nimport numpy"), encoding="utf-8")
    result = command("export", f"{folder / 'holding.py'}:Holding", "--out", folder / "fmus")
    assert result.exit_code == 2
    assert "requires = " in result.output
    result = command("export", f"{folder / 'holding.py'}:Holding", "--out", folder / "fmus", "--fmi", "3")
    assert result.exit_code == 2
    assert "FMI 2.0 only" in result.output
