from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from controllers.design_space.fit import fit_probability
from controllers.design_space.region import ProbabilityRegion, quadratic_features, scaled
from controllers.design_space.space import Range
from fmus.errors import GalenicError

DOMAIN = {"press.force": Range(4.0, 8.0, "kN"), "press.gap": Range(1.0, 3.0, "mm")}
TRUE = np.array([2.0, 0.5, -0.5, -4.0, 2.0, -4.0])


def draw(count: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    points = rng.uniform([4.0, 1.0], [8.0, 3.0], (count, 2))
    truth = expit(quadratic_features(scaled(points, DOMAIN)) @ TRUE)
    return points, rng.uniform(size=count) < truth


def test_a_known_probability_is_found_again() -> None:
    fit = fit_probability(*draw(4000), DOMAIN)
    region = ProbabilityRegion(DOMAIN, fit.coefficients, fit.covariance, 0.9)
    points = np.random.default_rng(2).uniform([4.0, 1.0], [8.0, 3.0], (1000, 2))
    truth = expit(quadratic_features(scaled(points, DOMAIN)) @ TRUE)
    assert np.abs(region.probability(points) - truth).max() < 0.06


def test_the_standard_error_covers_the_truth_in_repeated_ensembles() -> None:
    middle = np.array([[6.0, 2.0]])
    inside = 0
    for seed in range(60):
        fit = fit_probability(*draw(400, seed + 10), DOMAIN)
        region = ProbabilityRegion(DOMAIN, fit.coefficients, fit.covariance, 0.9)
        inside += bool(abs(region.logit(middle)[0] - TRUE[0]) < 1.96 * region.standard_error(middle)[0])
    assert inside >= 50  # 57 expected of 60


def test_the_cross_validated_error_is_that_of_the_irreducible_noise() -> None:
    points, passed = draw(4000)
    truth = expit(quadratic_features(scaled(points, DOMAIN)) @ TRUE)
    error = fit_probability(points, passed, DOMAIN).error
    assert error.brier == pytest.approx(float((truth * (1 - truth)).mean()), rel=0.05)
    assert error.brier < 0.8 * error.brier_constant
    assert sum(c.runs for c in error.calibration) == 4000
    assert all(abs(c.predicted - c.observed) < 0.08 for c in error.calibration if c.runs > 100)


def test_setpoints_that_explain_nothing_show_no_gain() -> None:
    points, _ = draw(400)
    error = fit_probability(points, np.random.default_rng(5).uniform(size=400) < 0.5, DOMAIN).error
    assert error.brier > 0.97 * error.brier_constant


def test_replicates_of_a_setpoint_are_left_out_together() -> None:
    rng = np.random.default_rng(3)
    points = np.repeat(rng.uniform([4.0, 1.0], [8.0, 3.0], (40, 2)), 10, axis=0)
    passed = np.repeat(rng.uniform(size=40) < 0.5, 10)  # each setpoint has its own fate, unrelated to where it is
    error = fit_probability(points, passed, DOMAIN).error
    assert error.brier > 0.95 * error.brier_constant


def test_a_clean_edge_gives_finite_coefficients_and_the_same_twice() -> None:
    points, _ = draw(200)
    passed = points[:, 0] < 6.0
    first, second = (fit_probability(points, passed, DOMAIN) for _ in range(2))
    assert np.isfinite(first.coefficients).all()
    assert np.abs(first.coefficients).max() < 100.0
    assert (first.coefficients == second.coefficients).all()
    assert first.error == second.error


@pytest.mark.parametrize(("passes", "cure"), [(0, "narrower"), (4, "narrower"), (97, "wider")])
def test_too_few_of_a_kind_are_refused(passes: int, cure: str) -> None:
    points, _ = draw(100)
    with pytest.raises(GalenicError, match="too few") as error:
        fit_probability(points, np.arange(100) < passes, DOMAIN)
    assert cure in error.value.cure
