"""`galenic calibrate`, `replay` and `lots`: what they print and write, and what bad input gets."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from recorded_plant import (
    TABLETING,
    laboratory_row,
    needs_data,
    recorded_batches,
    series_rows,
    write_batches,
    write_laboratory,
    write_series,
)

from galenic.cli import main


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    return int(caught.value.code or 0)


@pytest.fixture(autouse=True)
def working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")


def test_bad_data_show_file_row_column_and_cure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = series_rows()
    rows[4]["main_comp"] = "7,1"
    write_series(tmp_path, rows)
    write_laboratory(tmp_path, [laboratory_row(1)])
    assert run("calibrate", "tablet_press", "--data", str(tmp_path), "--product", "3") == 2
    shown = capsys.readouterr().err
    assert "process_3.csv:6" in shown
    assert "column 'main_comp', row 6" in shown
    assert "Cure:" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("calibrate", "tablet_pres", "--data", ".", "--product", "3"), "tablet_press"),
        (("calibrate", "tablet_press", "--data", "nowhere", "--product", "3"), "no folder nowhere"),
        (("calibrate", "tablet_press", "--data", ".", "--product", "3", "--train", "half"), "does not choose batches"),
        (("replay", "tablet_press", "--data", ".", "--product", "3"), "parameters.yaml"),
        (("replay", "tablet_press", "--data", ".", "--product", "3", "--batches", "a"), "not a list of batch numbers"),
        (("lots", "--data", "nowhere"), "Laboratory.csv"),
    ],
)
def test_wrong_arguments_are_told(arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*arguments) == 2
    assert message in capsys.readouterr().err


@needs_data
def test_calibrate_then_replay(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    common = ("tablet_press", "--data", str(TABLETING), "--product", "3")
    assert run("calibrate", *common, "--resamples", "20") == 0
    shown = capsys.readouterr().out
    assert "machine_stiffness" in shown
    assert "[kN]" in shown
    assert "dF/d gap" in shown
    folder = tmp_path / "calibration" / "tablet_press_product_3"
    assert (folder / "parameters.yaml").is_file()
    assert (folder / "calibration.png").is_file()
    written = yaml.safe_load((folder / "parameters.yaml").read_text(encoding="utf-8"))
    assert "CC BY 4.0" in written["data"]["attribution"]
    assert run("replay", *common, "--batches", "354") == 0
    assert "running offset" in capsys.readouterr().out
    assert (folder / "replay.png").is_file()
    assert (folder / "replay_scores.csv").is_file()


def test_calibrate_then_replay_on_batches_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_batches(tmp_path, recorded_batches())
    common = ("tablet_press", "--data", str(tmp_path), "--product", "9")
    assert run("calibrate", *common, "--resamples", "20") == 0
    shown = capsys.readouterr().out
    assert "64 batches in 8 set-ups" in shown
    assert "dln F/dln mass" in shown
    folder = tmp_path / "calibration" / "tablet_press_product_9"
    assert (folder / "parameters.yaml").is_file()
    assert (folder / "calibration.png").is_file()
    written = yaml.safe_load((folder / "parameters.yaml").read_text(encoding="utf-8"))
    assert "attribution" not in written["data"]
    assert run("replay", *common) == 0
    assert "model from the last batch" in capsys.readouterr().out
    assert (folder / "replay.png").is_file()
    assert (folder / "replay_scores.csv").is_file()
    assert run("calibrate", *common, "--records", "series") == 2
    assert "no series" in capsys.readouterr().err


@needs_data
def test_a_product_with_a_series_can_be_told_by_its_batches(capsys: pytest.CaptureFixture[str]) -> None:
    common = ("tablet_press", "--data", str(TABLETING), "--product", "3", "--records", "batches")
    assert run("calibrate", *common, "--resamples", "20", "--train", "all", "--no-plot") == 0
    assert "16 batches in" in capsys.readouterr().out


@needs_data
def test_lots_prints_the_comparison(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("lots", "--data", str(TABLETING)) == 0
    shown = capsys.readouterr().out
    assert "SMCC bulk density" in shown
    assert "agrees" in shown
