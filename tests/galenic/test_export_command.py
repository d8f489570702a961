from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

Command = Callable[..., Result]


@pytest.mark.parametrize(
    ("options", "platforms"),
    [
        ((), {"linux64", "win64", "darwin64", "aarch64-linux"}),
        (("--platform", "aarch64-linux"), {"aarch64-linux"}),
        (("--platform", "aarch64-linux", "--platform", "linux64"), {"aarch64-linux", "linux64"}),
    ],
)
def test_export_writes_the_platforms_asked_for(
    command: Command, tmp_path: Path, options: tuple[str, ...], platforms: set[str]
) -> None:
    result = command("export", "feed_frame", "--out", tmp_path, *options)
    assert result.exit_code == 0, result.output
    with zipfile.ZipFile(tmp_path / "feed_frame.fmu") as archive:
        assert {n.split("/")[1] for n in archive.namelist() if n.startswith("binaries/")} == platforms
    assert all(platform in result.output for platform in platforms)


def test_export_names_the_platforms_when_one_is_unknown(command: Command, tmp_path: Path) -> None:
    result = command("export", "feed_frame", "--out", tmp_path, "--platform", "windows")
    assert result.exit_code == 2
    assert "win64" in result.output
    assert not (tmp_path / "feed_frame.fmu").exists()
