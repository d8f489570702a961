from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

from typer.testing import Result

from fmus import build_fmu, unit_model

Command = Callable[..., Result]


def test_check_says_what_it_found_and_writes_it(command: Command, tmp_path: Path) -> None:
    verdicts = tmp_path / "verdicts.json"
    result = command("check", build_fmu(unit_model("feed_frame")), "--json", verdicts)
    assert result.exit_code == 0, result.output
    assert "It passes." in result.output
    (found,) = json.loads(verdicts.read_text(encoding="utf-8"))
    assert found["passed"] is True
    assert {"interface": None, "check": "XML schema", "outcome": "ok", "found": "valid FMI 2.0"} in found["verdicts"]


def test_a_failure_makes_the_exit_status_1(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "empty.fmu"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("readme.txt", "nothing")
    result = command("check", file)
    assert result.exit_code == 1
    assert "there is no modelDescription.xml" in result.output
    assert "It fails." in result.output


def test_a_missing_file_makes_it_2_before_anything_is_checked(command: Command, tmp_path: Path) -> None:
    result = command("check", build_fmu(unit_model("feed_frame")), tmp_path / "none.fmu")
    assert result.exit_code == 2
    assert "It passes" not in result.output
