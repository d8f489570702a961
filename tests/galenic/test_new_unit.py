from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from fmus import unit_model
from galenic.variable_tables import markdown_tables

Command = Callable[..., Result]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_COLOR", "1")
    return tmp_path


def test_a_new_unit_passes_its_own_tests(command: Command, folder: Path) -> None:
    result = command("new", "unit", "my_hopper")
    assert result.exit_code == 0, result.output
    assert {f.name for f in folder.iterdir()} == {"my_hopper.py", "test_my_hopper.py", "my_hopper.md"}
    for shown in ("galenic info my_hopper.py", "galenic export my_hopper.py", "pytest test_my_hopper.py"):
        assert shown in result.output
    environment = dict(os.environ) | {"PYTHONPATH": os.pathsep.join(p or os.getcwd() for p in sys.path)}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_my_hopper.py"],
        capture_output=True, text=True, check=False, env=environment, cwd=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


def test_a_new_unit_shows_every_part_of_a_model(command: Command, folder: Path) -> None:
    assert command("new", "unit", "roller", "--out", "models/own").exit_code == 0
    file = folder / "models" / "own" / "roller.py"
    model = unit_model(str(file))
    assert model.name == "roller"
    for part in (model.inputs, model.parameters, model.states, model.outputs, model.means, model.events):
        assert part
    assert all(variable.source for variable, _ in model.parameters)
    assert "@" not in file.read_text(encoding="utf-8")
    assert markdown_tables(model) in file.with_suffix(".md").read_text(encoding="utf-8")
    shown = command("info", file, "--markdown").output
    assert shown.strip() == markdown_tables(model)


@pytest.mark.parametrize(
    ("name", "message", "cure"),
    [
        ("My Hopper", "cannot be the name", "my_hopper"),
        ("hopper.py", "cannot be the name", "'hopper'"),
        ("../hopper", "cannot be the name", "small letters"),
        ("2nd", "cannot be the name", "small letters"),
        ("", "cannot be the name", "small letters"),
        ("lambda", "reserved word", "my_lambda"),
        ("double", "reserved word", "my_double"),
        ("ca", "reserved word", "my_ca"),
        ("tablet_press", "already", "my_tablet_press"),
        ("numpy", "Python module", "my_numpy"),
        ("statistics", "Python module", "my_statistics"),
    ],
)
def test_a_name_that_cannot_be_is_refused(command: Command, folder: Path, name: str, message: str, cure: str) -> None:
    result = command("new", "unit", name)
    assert result.exit_code == 2
    output = " ".join(result.output.split())
    assert message in output
    assert cure in output
    assert not any(folder.iterdir())


def test_existing_files_are_kept_unless_forced(command: Command, folder: Path) -> None:
    (folder / "test_mill.py").write_text("mine", encoding="utf-8")
    result = command("new", "unit", "mill")
    assert result.exit_code == 2
    assert "test_mill.py" in result.output
    assert "--force" in result.output
    assert [f.name for f in folder.iterdir()] == ["test_mill.py"]
    for _ in range(2):
        assert command("new", "unit", "mill", "--force").exit_code == 0
    assert "mine" not in (folder / "test_mill.py").read_text(encoding="utf-8")


def test_a_file_is_no_folder(command: Command, folder: Path) -> None:
    (folder / "taken").write_text("", encoding="utf-8")
    assert command("new", "unit", "mill", "--out", "taken").exit_code == 2


def test_help_shows_an_example(command: Command) -> None:
    for arguments in (("new", "--help"), ("new", "unit", "--help")):
        output = command(*arguments).output
        assert "galenic new unit my_hopper" in output
