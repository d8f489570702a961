"""Calibration and replay on the real plant's series."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from recorded_plant import TABLETING, laboratory_row, needs_data, series_rows, write_laboratory, write_series

from fmus import GalenicError, unit_model
from twin.parameter_file import ATTRIBUTION, read_parameter_file, write_parameter_file
from twin.press_calibration import calibrate_press, training_batches
from twin.press_figures import draw_calibration, draw_replay
from twin.press_replay import drive_press, replay_press, running_mean
from twin.press_result import PressCalibration

# measured on the published series: dF/d fill depth, dF/d gap in kN/mm
PUBLISHED = {3: (3.98, -9.6), 7: (4.52, -9.0)}
RESAMPLES = 12


@pytest.fixture(scope="module", params=[3, 7])
def calibration(request: pytest.FixtureRequest) -> PressCalibration:
    if not (TABLETING / "process_3.csv").exists():
        pytest.skip(f"the plant data are not at {TABLETING}")
    return calibrate_press(TABLETING, request.param, resamples=RESAMPLES)


def test_model_gains_are_within_15_percent_of_the_published_ones(calibration: PressCalibration) -> None:
    for gain, published in zip(calibration.gains, PUBLISHED[calibration.product], strict=True):
        assert gain.model == pytest.approx(published, rel=0.15)


def test_measured_gains_have_intervals_that_hold_the_published_ones(calibration: PressCalibration) -> None:
    for gain, published in zip(calibration.gains, PUBLISHED[calibration.product], strict=True):
        low, high = gain.measured_ci95
        assert low < published < high


def test_residuals_are_unbiased_and_the_density_of_each_run_matters(calibration: PressCalibration) -> None:
    r = calibration.residuals
    assert abs(r.bias) < 0.1
    assert r.robust_sd < 0.35
    assert r.rmse < 0.6
    assert r.rmse < r.rmse_batch_density < r.rmse_common_density
    assert r.by_batch.plateaus.sum() == r.count == len(calibration.plateaus)


def test_every_parameter_is_one_of_the_unit_with_its_unit_and_source(calibration: PressCalibration) -> None:
    known = {v.name: v.unit for v, _ in unit_model("tablet_press").parameters}
    for p in calibration.parameters:
        assert known[p.name] == p.unit
        assert p.source
        assert p.fitted == (p.ci95 is not None)
        if p.ci95 is not None:
            assert p.ci95[0] < p.ci95[1]
    values = calibration.values
    assert values["fill_volume_offset"] == pytest.approx(values["cup_volume"] / 2)


def test_the_parameter_file_reads_back(calibration: PressCalibration, tmp_path: Path) -> None:
    file = write_parameter_file(calibration, tmp_path / "new" / "p.yaml", attribution=ATTRIBUTION)
    back = read_parameter_file(file)
    assert back.product == calibration.product
    assert back.batches == calibration.batches
    assert back.held_back == calibration.held_back
    assert back.values == pytest.approx(calibration.values, rel=1e-5)
    text = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert text["data"]["attribution"] == ATTRIBUTION
    assert {f["name"] for f in text["data"]["files"]} == {
        f"process_{calibration.product}.csv",
        "Laboratory.csv",
        "Process.csv",
    }


def test_the_figure_is_drawn(calibration: PressCalibration, tmp_path: Path) -> None:
    assert draw_calibration(calibration, tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")


@needs_data
def test_counts_add_up_to_the_rows(calibration: PressCalibration) -> None:
    for purpose, used in calibration.report.used.items():
        assert used + sum(calibration.report.excluded[purpose].values()) == calibration.report.rows


@needs_data
def test_replay_of_an_unseen_batch(tmp_path: Path) -> None:
    file = write_parameter_file(calibrate_press(TABLETING, 3, resamples=0), tmp_path / "p.yaml")
    replay = replay_press(file, TABLETING, 3, batches=[354])
    assert replay.seen == ()
    pooled = replay.pooled.set_index(["phase", "mode"]).rmse
    assert pooled["production", "running offset"] < 0.3
    assert pooled["production", "first 10 min"] < 0.5
    assert pooled["production", "running offset"] < pooled["production", "first 10 min"]
    trace = replay.traces[354]
    standing = trace.speed == 0
    assert standing.any()
    assert (trace.loc[standing, "no offset"] == 0).all()
    moves = replay.moves
    assert ((moves.predicted - moves.measured) ** 2).mean() < (moves.measured**2).mean()
    assert draw_replay(replay, tmp_path / "r.png").read_bytes().startswith(b"\x89PNG")


@needs_data
def test_replay_refuses_another_product_and_says_when_all_was_seen(tmp_path: Path) -> None:
    file = write_parameter_file(calibrate_press(TABLETING, 7, resamples=0), tmp_path / "p.yaml")
    with pytest.raises(GalenicError, match="product 7, not of 3"):
        replay_press(file, TABLETING, 3)
    with pytest.raises(GalenicError, match="saw every recorded batch"):
        replay_press(file, TABLETING, 7)
    with pytest.raises(GalenicError, match="batch 999"):
        replay_press(file, TABLETING, 7, batches=[999])


def test_the_driven_fmu_gives_the_force_of_its_equations() -> None:
    from cosim.fmu_archive import open_archive
    from fmus import build_fmu
    from twin.press_function import PressFunction

    fill, gap = np.array([6.5, 6.5, 6.7, 6.7, 6.4]), np.array([2.1, 2.1, 2.1, 2.0, 2.0])
    speed = np.array([120000.0, 0.0, 120000.0, 120000.0, 100000.0])
    archive = open_archive(build_fmu(unit_model("tablet_press")))
    force = drive_press(archive, {}, 10.0 * np.arange(5), fill, gap, speed, np.zeros(5))
    function = PressFunction({"fill_volume_offset": PressFunction({}).defaults["fill_volume_offset"]})
    expected = function.evaluate(function.rows(fill, gap, np.maximum(speed, 1e3)))[:, 0]
    assert force[1] == 0.0
    np.testing.assert_allclose(force[[0, 2, 3, 4]], expected[[0, 2, 3, 4]], rtol=1e-3)


def test_the_running_mean_looks_only_back() -> None:
    values = np.array([1.0, np.nan, 5.0, 100.0])
    mean = running_mean(values, start=0.0)
    assert mean[0] == 0.0
    assert mean[1] == mean[2] == 0.5
    assert mean[3] == pytest.approx(2.0)


def test_two_thirds_calibrate_unless_that_leaves_too_few() -> None:
    assert training_batches(list(range(16)), None) == list(range(11))
    assert training_batches(list(range(8)), None) == list(range(8))
    assert training_batches(list(range(8)), 0.67) == list(range(5))
    assert training_batches([5, 6, 7], [7, 5]) == [5, 7]
    with pytest.raises(GalenicError, match="batch 9"):
        training_batches([5, 6, 7], [9])
    with pytest.raises(GalenicError, match="not in 0"):
        training_batches([5, 6, 7], 1.5)


def test_a_series_without_start_ups_is_refused(tmp_path: Path) -> None:
    write_series(tmp_path, series_rows(60, produced=5))
    write_laboratory(tmp_path, [laboratory_row(1)])
    with pytest.raises(GalenicError, match="too few to fit"):
        calibrate_press(tmp_path, 3, resamples=0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("product: 3\n", "no 'parameters'"),
        ("product: 3\nparameters:\n  cup_volume: {unit: mm^3}\n", "'cup_volume' has no number"),
        ("parameters: {}\n", "'product' is not"),
        ("product: 3\nparameters: {}\ndata: {batches: all}\n", "'batches' is not a list"),
        ("[1, 2", "not valid YAML"),
    ],
)
def test_a_bad_parameter_file_is_refused_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(GalenicError, match=message) as caught:
        read_parameter_file(file)
    assert caught.value.file == file
    assert caught.value.line is not None


SHIPPED = Path(__file__).parents[2] / "scenarios" / "parameters"


def test_shipped_parameters_are_the_units_within_its_bounds_and_name_their_source() -> None:
    variables = {v.name: v for v, _ in unit_model("tablet_press").parameters}
    for product in (3, 7):
        content = yaml.safe_load((SHIPPED / f"tablet_press_product_{product}.yaml").read_text(encoding="utf-8"))
        assert content["product"] == product
        assert content["data"]["attribution"] == ATTRIBUTION
        for name, entry in content["parameters"].items():
            variable = variables[name]
            assert entry["unit"] == variable.unit
            assert variable.minimum is None or entry["value"] >= variable.minimum
            assert variable.maximum is None or entry["value"] <= variable.maximum


@needs_data
def test_shipped_parameters_are_what_the_command_finds(calibration: PressCalibration) -> None:
    shipped = read_parameter_file(SHIPPED / f"tablet_press_product_{calibration.product}.yaml")
    assert shipped.batches == calibration.batches
    assert shipped.values == pytest.approx(calibration.values, rel=1e-3)
