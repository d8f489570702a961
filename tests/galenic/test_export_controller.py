from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

Command = Callable[..., Result]


def test_it_writes_the_versions_and_platforms_asked_for(command: Command, tmp_path: Path) -> None:
    result = command("export-controller", "tablet_line", "--out", tmp_path, "--fmi", 3, "--platform", "aarch64-linux")
    assert result.exit_code == 0, result.output
    (file,) = tmp_path.iterdir()
    assert file.name == "tablet_line_mpc_fmi3.fmu"
    with zipfile.ZipFile(file) as archive:
        assert [n for n in archive.namelist() if n.startswith("binaries/")] == [
            "binaries/aarch64-linux/tablet_line_mpc.so"
        ]
    assert "aarch64-linux" in result.output


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("tablet_line", "--controller", "force_loop"), ["no predictive controller", "mpc"]),
        (("tablet_line", "--controller", "mcp"), ["no controller 'mcp'", "mpc"]),
        (("penicillin_batch",), ["no predictive controllers"]),
        (("tablet_line", "--fmi", 1), ["--fmi", "3 for FMI 3.0"]),
        (("tablet_line", "--platform", "linux"), ["linux64"]),
        (("tablet_line", "--name", "2 mpc"), ["cannot name a model"]),
    ],
)
def test_what_cannot_be_exported_is_told_with_a_cure(
    command: Command, tmp_path: Path, options: tuple[str, ...], words: list[str]
) -> None:
    result = command("export-controller", *options, "--out", tmp_path / "fmus")
    assert result.exit_code == 2
    assert all(word in " ".join(result.output.split()) for word in words), result.output
    assert not (tmp_path / "fmus").exists()


def test_help_teaches_how_to_connect_it(command: Command) -> None:
    text = " ".join(command("export-controller", "--help").output.split())
    for word in ("export-controller tablet_line", "fallback_connected", "measured", "docs/controller_fmu.md"):
        assert word in text
