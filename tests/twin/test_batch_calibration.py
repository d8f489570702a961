"""Calibration and replay on one row a batch: on a plant that is known, and on the real one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from recorded_plant import SETUP_ZEROS, TABLETING, TRUE_PRESS, needs_data, recorded_batches, write_batches

from fmus import GalenicError
from twin.batch_calibration import BatchCalibration, calibrate_batches
from twin.batch_data import number_setups, read_batches
from twin.batch_figures import draw_batch_calibration, draw_batch_replay
from twin.batch_gains import batch_moves, measure_batch_gains
from twin.batch_replay import SCOPES, replay_batches
from twin.parameter_file import ATTRIBUTION, read_parameter_file, write_parameter_file
from twin.press_calibration import calibrate_press
from twin.press_fit import FitWeights
from twin.press_function import PressFunction

SHIPPED = Path(__file__).parents[2] / "scenarios" / "parameters"
#: products of the real plant whose gains batches show within the tolerance of docs/press_calibration.md
PRODUCTS = (13, 17, 21, 23)
TOLERANCE = 0.15


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plant")
    write_batches(folder, recorded_batches())
    return folder


@pytest.fixture(scope="module")
def known(plant: Path) -> BatchCalibration:
    return calibrate_batches(plant, 9, resamples=20)


def test_the_press_that_made_the_batches_is_found(tmp_path: Path) -> None:
    write_batches(tmp_path, recorded_batches(noise=0.0))
    found = calibrate_batches(tmp_path, 9, resamples=0, train=1.0, weights=FitWeights(stiffness=100.0))
    point = found.operating_point
    true = PressFunction(TRUE_PRESS).gains_at_force(6.6, 2.0, 120000.0, point["force"])
    for gain, value in zip(found.gains, (true.fill, true.gap, true.mass), strict=True):
        assert gain.model == pytest.approx(value, rel=0.08)
        assert gain.measured == pytest.approx(value, rel=0.08)
    assert found.values["fill_density"] == pytest.approx(TRUE_PRESS["fill_density"], rel=0.03)
    assert found.values["machine_stiffness"] == pytest.approx(TRUE_PRESS["machine_stiffness"], rel=0.25)
    assert found.values["strength_porosity"] == pytest.approx(TRUE_PRESS["strength_porosity"], rel=0.1)


def test_noise_widens_the_intervals_and_they_hold_the_true_gain(known: BatchCalibration) -> None:
    true = PressFunction(TRUE_PRESS).gains_at_force(6.6, 2.0, 120000.0, known.operating_point["force"])
    _, gap, mass = known.gains
    assert gap.measured_ci95[0] < true.gap < gap.measured_ci95[1]
    assert mass.model == pytest.approx(true.mass, rel=0.1)
    assert known.resamples == (20, 20)


def test_two_set_ups_give_no_intervals(tmp_path: Path) -> None:
    write_batches(tmp_path, recorded_batches(setups=2))
    found = calibrate_batches(tmp_path, 9, resamples=20, train=1.0)
    assert found.resamples == (0, 20)
    assert all(p.ci95 is None for p in found.parameters)
    assert np.isnan(found.gains[1].measured_ci95).all()


def test_a_regression_over_all_set_ups_would_miss_the_gain(plant: Path) -> None:
    frame = read_batches(plant, 9).frame
    slope = np.polyfit(frame.gap, frame.force, 1)[0]
    within = measure_batch_gains(frame).gap
    assert abs(slope) < 0.6 * abs(within)


def test_the_first_two_thirds_in_time_calibrate(known: BatchCalibration) -> None:
    assert len(known.batches) == 43
    assert len(known.held_back) == 21
    assert max(known.batches) < min(known.held_back)
    assert known.moves.used.sum() < len(known.moves)
    assert [g.name for g in known.later] == ["dF/d gap", "dln F/dln mass"]
    assert (known.statistics.later_batches == 21).all()


def test_without_gains_the_stiffness_is_its_prior(plant: Path) -> None:
    found = calibrate_batches(plant, 9, resamples=0, use_gains=False)
    assert found.values["machine_stiffness"] == pytest.approx(FitWeights().stiffness_mean, rel=0.01)
    source = next(p.source for p in found.parameters if p.name == "machine_stiffness")
    assert "prior" in source


def test_the_model_has_the_mean_mass_and_force(known: BatchCalibration) -> None:
    point = known.operating_point
    function = PressFunction(known.values)
    force, weight = function.evaluate(function.rows(point["fill"], point["gap"], point["speed"]))[0, :2]
    assert force == pytest.approx(point["force"], abs=0.02)
    assert weight == pytest.approx(point["weight"], rel=1e-3)


def test_batch_means_of_the_press_that_made_them_are_those_of_the_model(tmp_path: Path) -> None:
    write_batches(tmp_path, recorded_batches(noise=0.0))
    s = calibrate_batches(tmp_path, 9, resamples=0).statistics.set_index("quantity")
    assert s.model["gap at the recorded force"] == pytest.approx(s.measured["gap at the recorded force"], abs=0.01)
    for name in ("fill depth at the recorded weight", "force at the recorded gap", "hardness", "thickness"):
        assert s.model[name] == pytest.approx(s.measured[name], rel=0.03)
    # not fitted, of batches that were not seen
    assert s.later_model["SREL, median"] == pytest.approx(s.later_measured["SREL, median"], rel=0.08)


def test_a_set_up_ends_where_another_product_a_pause_or_a_speed_comes_between() -> None:
    months = pd.to_datetime(["2019-01-01", "2019-01-01", "2019-02-01", "2019-02-01", "2019-06-01", "2019-06-01"])
    frame = pd.DataFrame({"month": months, "speed": [120e3, 121e3, 120e3, 100e3, 100e3, 100e3]}, [1, 2, 3, 4, 5, 7])
    assert list(number_setups(frame)) == [0, 0, 0, 1, 2, 3]


def test_the_zero_of_each_set_up_is_found(tmp_path: Path) -> None:
    write_batches(tmp_path, recorded_batches(noise=0.0))
    found = calibrate_batches(tmp_path, 9, resamples=0, train=1.0)
    zeros = np.array(SETUP_ZEROS) - np.mean(SETUP_ZEROS)
    np.testing.assert_allclose(found.zeros - found.zeros.mean(), zeros, atol=0.01)


def test_moves_do_not_cross_set_ups(plant: Path) -> None:
    frame = read_batches(plant, 9).frame
    assert len(batch_moves(frame)) == len(frame) - frame.setup.nunique()


def test_replay_of_unseen_batches_uses_the_batch_before(known: BatchCalibration, plant: Path, tmp_path: Path) -> None:
    file = write_parameter_file(known, tmp_path / "p.yaml")
    replay = replay_batches(file, plant, 9)
    assert set(replay.predictions.batch) == set(known.held_back)
    assert replay.seen == ()
    scores = replay.scores[replay.scores.scope == SCOPES[1]].set_index(["quantity", "mode"]).rmse
    assert scores["force", "model from the last batch"] < 0.5 * scores["force", "last batch"]
    assert scores["hardness", "model from the last batch"] < 0.5 * scores["hardness", "last batch"]
    own = replay.predictions[replay.predictions.quantity == "force"]
    first = own[own.setup != own.setup.shift()].iloc[1:]
    assert first["model from the last batch"].isna().all()
    assert draw_batch_replay(replay, tmp_path / "r.png").read_bytes().startswith(b"\x89PNG")
    assert draw_batch_calibration(known, tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")


def test_a_prediction_does_not_use_the_batch_that_it_predicts(
    known: BatchCalibration, plant: Path, tmp_path: Path
) -> None:
    file = write_parameter_file(known, tmp_path / "p.yaml")
    before = replay_batches(file, plant, 9).predictions
    last = known.held_back[-1]
    other = tmp_path / "other"
    other.mkdir()
    rows = recorded_batches()
    changed = [r | {"main_CompForce mean": 9.0, "tbl_av_hardness": 99.0} if r["batch"] == last else r for r in rows]
    write_batches(other, changed)
    after = replay_batches(file, other, 9).predictions
    kept = before.quantity != "weight"
    columns = ["calibration's mean", "model alone", "last batch", "model from the last batch"]
    pd.testing.assert_frame_equal(before.loc[kept, columns], after.loc[kept, columns])


def test_the_parameter_file_says_that_it_is_from_batches(known: BatchCalibration, tmp_path: Path) -> None:
    file = write_parameter_file(known, tmp_path / "p.yaml")
    back = read_parameter_file(file)
    assert back.batches == known.batches
    assert back.values == pytest.approx(known.values, rel=1e-5)
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert content["data"]["records"] == "batches"
    assert content["operating_point"]["tablet_weight"]["unit"] == "mg"
    assert set(content["gains_of_held_back"]) == {"dF/d gap", "dln F/dln mass"}


def test_batches_without_a_needed_value_are_left_out_and_named(tmp_path: Path) -> None:
    rows = recorded_batches()
    rows[3]["cyl_height_mean"] = ""
    rows[7]["tbl_min_weight"] = ""
    write_batches(tmp_path, rows)
    data = read_batches(tmp_path, 9)
    assert data.left_out == {rows[3]["batch"]: "gap"}
    assert np.isnan(data.frame.weight[rows[7]["batch"]])
    assert np.isfinite(calibrate_batches(tmp_path, 9, resamples=0).gains[1].model)


def test_bad_batches_are_refused_with_their_place(plant: Path, tmp_path: Path) -> None:
    with pytest.raises(GalenicError, match="no row of product 4"):
        read_batches(plant, 4)
    rows = recorded_batches()
    rows[2]["tbl_fill_mean"] = "6,6"
    write_batches(tmp_path, rows)
    with pytest.raises(GalenicError, match="column 'tbl_fill_mean', row 4") as caught:
        read_batches(tmp_path, 9)
    assert caught.value.line == 4
    write_batches(tmp_path, [r | {"cyl_height_mean": 2.0} for r in recorded_batches()])
    with pytest.raises(GalenicError, match="show no gain"):
        calibrate_batches(tmp_path, 9, resamples=0)
    write_batches(tmp_path, [r | {"main_CompForce mean": 500.0} for r in recorded_batches()])
    with pytest.raises(GalenicError, match="no press gives"):
        calibrate_batches(tmp_path, 9, resamples=0, use_gains=False)


def test_replay_says_when_all_was_seen_or_nothing_is_known(plant: Path, tmp_path: Path) -> None:
    file = write_parameter_file(calibrate_batches(plant, 9, train=1.0, resamples=0), tmp_path / "p.yaml")
    with pytest.raises(GalenicError, match="saw every recorded batch"):
        replay_batches(file, plant, 9)
    with pytest.raises(GalenicError, match="batch 99999 is not recorded"):
        replay_batches(file, plant, 9, [99999])
    rows = [r | {"batch": r["batch"] + 5000} for r in recorded_batches()]
    write_batches(tmp_path, rows)
    with pytest.raises(GalenicError, match="none of the batches"):
        replay_batches(file, tmp_path, 9)


# the real plant


@pytest.fixture(scope="module", params=PRODUCTS)
def calibration(request: pytest.FixtureRequest) -> BatchCalibration:
    if not (TABLETING / "Process.csv").exists():
        pytest.skip(f"the plant data are not at {TABLETING}")
    return calibrate_batches(TABLETING, request.param, resamples=12)


def test_the_gain_of_the_mass_is_predicted_without_having_been_fitted(calibration: BatchCalibration) -> None:
    assert calibration.gains[2].deviation == pytest.approx(0.0, abs=TOLERANCE)


def test_batch_means_are_met_where_they_were_fitted(calibration: BatchCalibration) -> None:
    fitted = calibration.statistics[calibration.statistics.fitted]
    assert fitted.model.to_numpy() == pytest.approx(fitted.measured.to_numpy(), rel=0.03)


def test_later_batches_show_the_gain_of_the_gap_that_the_earlier_ones_gave(calibration: BatchCalibration) -> None:
    assert calibration.later[0].deviation == pytest.approx(0.0, abs=TOLERANCE)
    # the ratio itself drifts by up to a fifth between the earlier and the later batches
    assert calibration.later[1].deviation == pytest.approx(0.0, abs=0.25)


def test_a_change_of_an_unseen_batch_is_foretold_better_than_by_no_change(
    calibration: BatchCalibration, tmp_path: Path
) -> None:
    file = write_parameter_file(calibration, tmp_path / "p.yaml")
    replay = replay_batches(file, TABLETING, calibration.product)
    scores = replay.scores[replay.scores.scope == SCOPES[1]].set_index(["quantity", "mode"]).rmse
    for naive in ("last batch", "calibration's mean"):
        assert scores["force", "model from the last batch"] < 0.75 * scores["force", naive]
        assert scores["hardness", "model from the last batch"] < 0.8 * scores["hardness", naive]


def test_shipped_parameters_are_what_the_command_finds(calibration: BatchCalibration) -> None:
    shipped = read_parameter_file(SHIPPED / f"tablet_press_product_{calibration.product}.yaml")
    assert shipped.batches == calibration.batches
    assert shipped.held_back == calibration.held_back
    assert shipped.values == pytest.approx(calibration.values, rel=1e-3)
    content = yaml.safe_load(shipped.file.read_text(encoding="utf-8"))
    assert content["data"]["attribution"] == ATTRIBUTION


@needs_data
def test_batches_and_start_ups_of_one_product_agree_on_its_gains() -> None:
    by_batch = calibrate_batches(TABLETING, 3, train=1.0, resamples=0)
    by_series = calibrate_press(TABLETING, 3, resamples=0)
    fill, gap = by_series.gains
    assert by_batch.gains[0].model == pytest.approx(fill.measured, rel=TOLERANCE)
    assert by_batch.gains[0].measured == pytest.approx(fill.measured, rel=TOLERANCE)
    # the start-ups' own interval is -12.2 .. -7.4 kN/mm
    assert gap.measured_ci95[0] < by_batch.gains[1].measured < gap.measured_ci95[1]


# published batch means, no data needed

CODES = pd.read_csv(Path(__file__).with_name("press_codes.csv"), comment="#").set_index("code")


@pytest.mark.parametrize("product", [13, 17, 23])
def test_shipped_parameters_give_the_published_batch_means(product: int) -> None:
    published = CODES.loc[product]
    file = SHIPPED / f"tablet_press_product_{product}.yaml"
    values = read_parameter_file(file).values
    spread = yaml.safe_load(file.read_text(encoding="utf-8"))["gap_zero_of_setups"]["standard_deviation"]
    function = PressFunction(values)
    area = np.pi / 4 * values["tooling_diameter"] ** 2
    fill = published.weight / (1e-3 * values["fill_density"] * area) - values["fill_volume_offset"] / area
    rows = function.rows(fill, published.gap, 1e3 * published.speed)
    force, weight, strength = function.evaluate(rows)[0, :3]
    slope = function.force_and_weight(rows)[2][0, 0]
    assert weight == pytest.approx(published.weight, rel=1e-3)
    assert fill == pytest.approx(published.fill, rel=0.03)
    # set-ups differ in the zero of the gap: that is how well a force at a gap can be known
    assert force == pytest.approx(published.force, abs=2.0 * spread * abs(slope[1]))
    assert published.pressure == pytest.approx(1e3 * published.force / area, rel=0.05)
    assert strength == pytest.approx(published.strength, rel=0.2)
    # at the published force, where the gain is asked for
    gains = function.gains_at_force(published.fill, published.gap, 1e3 * published.speed, published.force)
    assert gains.mass == pytest.approx(published.srel / published.weight_rsd, rel=0.2)
