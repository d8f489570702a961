from __future__ import annotations

import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import Result

from cosim import Results
from fmus.toolchain import this_platform

Command = Callable[..., Result]
PAGE = Path(__file__).parents[2] / "docs" / "ssp.md"


@pytest.fixture
def line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The page's example, in the working folder; the two blocks of YAML are a system and one that extends it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setenv("NO_COLOR", "1")
    first, second = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "press.yaml").write_text(first, encoding="utf-8")
    (tmp_path / "more.yaml").write_text(second, encoding="utf-8")
    return tmp_path


def answer(command: Command, *arguments: object) -> str:
    result = command(*arguments)
    assert result.exit_code == 0, result.output
    return result.output


def test_the_pages_example_exports_shows_and_runs(command: Command, line: Path) -> None:
    here = this_platform().fmi_name
    said = answer(command, "export-ssp", "press.yaml", "--platform", here)
    assert "press.ssp  (SSP 1.0" in said
    assert "open loop" in said
    with zipfile.ZipFile("press.ssp") as archive:
        assert {"SystemStructure.ssd", "resources/feed_frame.fmu", "resources/feed_frame.ssv"} <= set(
            archive.namelist()
        )
    shown = answer(command, "info", "press.ssp")
    for part in ("A press and its feed frame", "300 s in steps of 1 s", "components (2)", "connections (4)", "sensors"):
        assert part in shown
    for name in ("press.ssp", "press.yaml"):
        answer(command, "run", name, "--duration", "30 s", "--no-plot", "--out", Path(name).suffix[1:])
    frames = [Results.open(line / folder).frame() for folder in ("ssp", "yaml")]
    assert list(frames[0].columns) == list(frames[1].columns)
    np.testing.assert_array_equal(frames[0].to_numpy(), frames[1].to_numpy())
    answer(command, "run", "more.yaml", "--duration", "90 s", "--no-plot", "--out", "more")
    density = Results.open(line / "more").frame()["feed_frame.inlet.bulk_density"]
    assert density.iloc[-1] == pytest.approx(1.05 * density.iloc[0])


def test_the_version_and_the_file_are_chosen(command: Command, line: Path) -> None:
    answer(
        command, "export-ssp", "press.yaml", "--ssp", "2.0", "-o", "to/new.ssp", "--platform", this_platform().fmi_name
    )
    with zipfile.ZipFile(line / "to" / "new.ssp") as archive:
        assert b'version="2.0"' in archive.read("SystemStructure.ssd")


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("export-ssp", "press.yaml", "--ssp", "3.0"), ["no export to SSP 3.0", "1.0, 2.0"]),
        (("export-ssp", "press.yaml", "--out", "line.zip"), ["'line.zip' is not an .ssp file"]),
        (("export-ssp", "press.yaml", "--platform", "amiga"), ["amiga"]),
        (("export-ssp", "gone.yaml"), ["there is no such scenario file"]),
        (("info", "gone.ssp"), ["gone.ssp"]),
        (("run", "broken.ssp"), ["broken.ssp", "no zip archive"]),
        (("info", "broken.ssp"), ["broken.ssp", "no zip archive"]),
    ],
)
def test_what_cannot_be_is_refused_with_a_cure(command: Command, line: Path, arguments, parts) -> None:
    (line / "broken.ssp").write_text("nothing", encoding="utf-8")
    result = command(*arguments)
    assert result.exit_code == 2, result.output
    assert "Cure" in result.output
    for part in parts:
        assert part in result.output
    shutil.rmtree(line / "runs", ignore_errors=True)
    assert {f.name for f in line.iterdir()} == {"press.yaml", "more.yaml", "broken.ssp"}
