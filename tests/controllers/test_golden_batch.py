"""The golden batch: the nominal batch it starts from, a short optimum, and the shipped file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from controllers.nonlinear.golden_batch import GoldenBatch, GoldenBatchProblem, Wishes
from cosim import load_scenario
from fmus.errors import GalenicError
from galenic.golden_batch_file import profile_of, write_golden_batch

YIELD, SUGAR = "fermenter.penicillin_yield", "fermenter.sugar_feed"
SHIPPED = Path(load_scenario("penicillin_batch_mpc").file or "").parent / "schedules" / "penicillin_golden.yaml"


@pytest.fixture(scope="module")
def short() -> tuple[GoldenBatchProblem, GoldenBatch]:
    """The last hours of a batch of 96 h, in stages of 4 h."""
    scenario = load_scenario("penicillin_batch_mpc", ["duration=96 h"])
    wishes = Wishes((YIELD, "1170 kg"), {SUGAR: 1.0}, begin=72 * 3600.0, step=4 * 3600.0, iterations=60)
    problem = GoldenBatchProblem(scenario, None, wishes)
    return problem, problem.solve()


def test_the_equations_follow_the_fmus(short: tuple[GoldenBatchProblem, GoldenBatch]) -> None:
    """States along the nominal batch give the outputs of the FMUs."""
    problem, found = short
    nominal, process = found.nominal, found.model.process
    k = nominal.place(72 * 3600.0)
    told = process.measure(nominal.states[k], nominal.inputs[k], found.model.parameters).full().ravel()
    assert told[problem.reached] == pytest.approx(nominal.outputs[k, problem.reached], rel=2e-3)


def test_it_reaches_what_is_asked_with_less(short: tuple[GoldenBatchProblem, GoldenBatch]) -> None:
    """Inside the bounds; a batch that needs less than the recipe gives is fed less."""
    problem, found = short
    assert found.outputs[-1, problem.reached] >= 1170.0 - 1.5
    assert found.exact_end[problem.reached] == pytest.approx(found.outputs[-1, problem.reached], rel=0.02)
    place = [u.name for u in found.model.inputs].index(SUGAR)
    low, high = next(u.bounds for u in problem.law.specification.manipulated if u.input == SUGAR)
    assert low <= found.inputs[:, place].min() <= found.inputs[:, place].max() <= high
    assert found.marginal > 0.0


def test_the_file_is_a_part_of_the_scenario(short: tuple[GoldenBatchProblem, GoldenBatch], tmp_path: Path) -> None:
    problem, found = short
    file = tmp_path / "golden.yaml"
    data = write_golden_batch(file, problem, found, profile_of(problem), "galenic golden-batch ...")
    assert len(data.read_text(encoding="utf-8").splitlines()) == len(found.times) + 1
    (tmp_path / "mine.yaml").write_text(f"extends: [penicillin_batch_mpc, {file.name}]\n", encoding="utf-8")
    scenario = load_scenario(tmp_path / "mine.yaml")
    points = scenario.controllers["recipe"]["profiles"]["golden_yield"]
    assert len(points) == len(found.times) + 1
    assert float(str(points[-1][1]).split()[0]) == pytest.approx(found.outputs[-1, problem.reached], rel=1e-5)


def test_the_shipped_file_is_of_the_shipped_scenario(short: tuple[GoldenBatchProblem, GoldenBatch]) -> None:
    """Its yield and its estimator's start are those of the nominal batch, where it begins."""
    _, found = short
    controllers = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))["controllers"]
    points = {str(t): float(str(v).split()[0]) for t, v in controllers["recipe"]["profiles"]["golden_yield"]}
    assert points["72 h"] == pytest.approx(found.outputs[0, found.reach[0]], rel=1e-3)
    names = [s.name for s in found.model.process.states]
    state = found.nominal.states[found.nominal.place(48 * 3600.0)]
    for name, entry in controllers["mpc"]["initial"].items():
        assert float(entry["value"]) == pytest.approx(state[names.index(name)], rel=5e-3, abs=1e-3), name
    assert np.all(np.diff(list(points.values())) > 0.0)


@pytest.mark.parametrize(
    ("scenario", "wishes", "message"),
    [
        ("penicillin_batch_paa", Wishes((YIELD, 3500.0), {SUGAR: 1.0}), "has no predictive controller"),
        ("tablet_line", Wishes((YIELD, 3500.0), {SUGAR: 1.0}), "no model of the batch"),
        ("penicillin_batch_mpc", Wishes(("fermenter.yeald", 3500.0), {SUGAR: 1.0}), "no output 'fermenter.yeald'"),
        ("penicillin_batch_mpc", Wishes((YIELD, 3500.0), {"fermenter.oil_feed": 1.0}), "no manipulated input"),
        ("penicillin_batch_mpc", Wishes((YIELD, 3500.0), {SUGAR: 1.0}, step=5 * 3600.0), "stages of 5 h"),
    ],
)
def test_what_makes_no_sense_is_told(scenario: str, wishes: Wishes, message: str) -> None:
    with pytest.raises(GalenicError, match=message):
        GoldenBatchProblem(load_scenario(scenario), None, wishes)
