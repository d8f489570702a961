"""The fit finds the parameters from which plateaus were made, and its derivatives are those of its residuals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from fmus import GalenicError
from twin.press_fit import FREE, FitData, FitWeights, _Problem, fit_press
from twin.press_function import OUTPUTS, PressFunction
from twin.press_strength import STRENGTH_FREE, fit_strength, tabletability, with_strength
from twin.startup import estimate_gains, force_moves, measure_gains

TRUE = {"fill_density": 610.0, "cup_volume": 52.0, "machine_stiffness": 35.0}
SPEED = 120000.0


@pytest.fixture(scope="module")
def function() -> PressFunction:
    return PressFunction({"tooling_diameter": 8.1}, FREE)


def synthetic(function: PressFunction, noise: float, seed: int = 3) -> FitData:
    """Plateaus, production means and gains of the model itself, with batch and run densities."""
    rng = np.random.default_rng(seed)
    theta = np.log([TRUE[name] for name in FREE])
    steps, production = [], []
    for batch in range(12):
        density = 0.03 * rng.standard_normal()
        for run in range(3):
            effect = 0.02 + density + 0.015 * rng.standard_normal()
            fill, gap = 6.4 + 0.4 * rng.standard_normal(6), 2.05 + 0.12 * rng.standard_normal(6)
            force = function.evaluate(function.rows(fill, gap, SPEED, effect, theta))[:, 0]
            force = force + noise * rng.standard_normal(6)
            frame = pd.DataFrame({"batch": batch, "run": 10 * batch + run, "fill": fill, "gap": gap, "force": force})
            steps.append(frame.assign(speed=SPEED, samples=2))
        fill_0 = 6.55 - 8.0 * density
        force_0, weight = function.evaluate(function.rows(fill_0, 2.08, SPEED, density, theta))[0, :2]
        production.append({"fill": fill_0, "gap": 2.08, "speed": SPEED, "force": force_0, "weight": weight})
    means = pd.DataFrame(production)
    point = (float(means.fill.mean()), 2.08, SPEED, float(means.force.mean()))
    gains = function.gains_at_force(*point, theta)
    return FitData(pd.concat(steps, ignore_index=True), means, np.array([gains.fill, gains.gap]))


def test_parameters_are_recovered_from_exact_plateaus(function: PressFunction) -> None:
    data = synthetic(function, noise=0.0)
    fit = fit_press(function, data, weights=FitWeights(stiffness=100.0))
    found = dict(zip(FREE, np.exp(fit.theta), strict=True))
    assert found["fill_density"] == pytest.approx(TRUE["fill_density"], rel=0.01)
    assert found["cup_volume"] == pytest.approx(TRUE["cup_volume"], rel=0.03)
    assert found["machine_stiffness"] == pytest.approx(TRUE["machine_stiffness"], rel=0.15)
    assert fit.startup_shift == pytest.approx(0.02, abs=0.01)


def test_gains_are_recovered_from_noisy_plateaus_without_gain_residuals(function: PressFunction) -> None:
    data = synthetic(function, noise=0.15)
    assert data.gains is not None
    fit = fit_press(function, FitData(data.steps, data.production, None))
    assert fit.gains.fill == pytest.approx(data.gains[0], rel=0.10)
    assert fit.gains.gap == pytest.approx(data.gains[1], rel=0.10)


def test_the_fit_is_pulled_to_the_measured_gains(function: PressFunction) -> None:
    data = synthetic(function, noise=0.15)
    assert data.gains is not None
    lower = FitData(data.steps, data.production, 0.8 * data.gains)
    free = fit_press(function, FitData(data.steps, data.production, None)).gains
    pulled = fit_press(function, lower).gains
    held = fit_press(function, lower, weights=FitWeights(gains=0.001)).gains
    assert 0.8 * data.gains[0] < pulled.fill < free.fill
    assert 0.8 * abs(data.gains[1]) < abs(pulled.gap) < abs(free.gap)
    assert held.fill == pytest.approx(0.8 * data.gains[0], rel=0.05)
    assert held.gap == pytest.approx(0.8 * data.gains[1], rel=0.05)


def test_the_jacobian_is_that_of_the_residuals(function: PressFunction) -> None:
    problem = _Problem(function, synthetic(function, noise=0.2), FitWeights())
    v = np.r_[np.log([600.0, 50.0, 45.0]), 0.01 * np.random.default_rng(0).standard_normal(problem.size - 3)]
    exact = problem.jacobian(v)
    for i in range(0, problem.size, 5):
        step = np.zeros(problem.size)
        step[i] = 1e-6
        slope = (problem.residuals(v + step) - problem.residuals(v - step)) / 2e-6
        np.testing.assert_allclose(exact[:, i], slope, rtol=1e-4, atol=1e-3)


def test_the_density_that_explains_a_force_gives_that_force(function: PressFunction) -> None:
    theta = np.log([TRUE[name] for name in FREE])
    fill, gap = np.array([5.0, 6.5, 7.5]), np.array([1.2, 2.1, 2.3])
    force = np.array([1.0, 6.0, 15.0])
    effect = function.density_effect(fill, gap, np.full(3, SPEED), force, theta)
    again = function.evaluate(function.rows(fill, gap, SPEED, effect, theta))[:, 0]
    np.testing.assert_allclose(again, force, rtol=1e-6)


def test_too_few_plateaus_are_refused(function: PressFunction) -> None:
    data = synthetic(function, noise=0.0)
    with pytest.raises(GalenicError, match="too few"):
        fit_press(function, FitData(data.steps[:4], data.production))


def test_an_unknown_parameter_is_refused() -> None:
    with pytest.raises(GalenicError, match="no parameter 'stifness'"):
        PressFunction({"stifness": 1.0})


def test_measured_gains_are_those_of_linear_moves_despite_outliers() -> None:
    rng = np.random.default_rng(1)
    frames = []
    for batch in range(8):
        fill, gap = 6.5 + np.cumsum(rng.uniform(-0.3, 0.3, 8)), 2.0 + np.cumsum(rng.uniform(-0.1, 0.1, 8))
        force = 6.0 + 4.0 * (fill - 6.5) - 9.0 * (gap - 2.0) + 0.05 * rng.standard_normal(8) + rng.normal()
        force[3] += 4.0 * (batch == 2)
        frames.append(pd.DataFrame({"batch": batch, "fill": fill, "gap": gap, "force": force}))
    steps = pd.concat(frames, ignore_index=True)
    np.testing.assert_allclose(estimate_gains(force_moves(steps)), [4.0, -9.0], rtol=0.05)
    gains = measure_gains(steps, resamples=100)
    assert gains is not None
    assert gains.fill_ci[0] < 4.0 < gains.fill_ci[1]
    assert gains.gap_ci[0] < -9.0 < gains.gap_ci[1]


def test_gains_that_cannot_be_told_are_none() -> None:
    only_fill = pd.DataFrame({"batch": 1, "fill": np.linspace(6, 7, 12), "gap": 2.0, "force": np.linspace(5, 9, 12)})
    assert measure_gains(only_fill) is None


def test_strength_reproduces_mean_hardness_thickness_and_the_exponent() -> None:
    rng = np.random.default_rng(2)
    force = np.exp(np.log(6.0) + 0.08 * rng.standard_normal(20))
    laboratory = pd.DataFrame(
        {"hardness": 50.0 * (force / 6.0) ** 0.7, "thickness": 3.95, "diameter": 8.1, "force": force}
    )
    batches = with_strength(laboratory)
    trend = tabletability(batches)
    assert trend.resolved
    assert trend.exponent == pytest.approx(0.7, abs=1e-6)
    function = PressFunction({"tooling_diameter": 8.1}, STRENGTH_FREE)
    theta = np.log([TRUE[name] for name in FREE])
    found = fit_strength(function, theta, (6.55, 2.08, SPEED, 6.0), batches, trend.exponent)
    logs = np.r_[theta, np.log([found[n] for n in STRENGTH_FREE[3:]])]
    mean = float(force.mean())
    point = (np.array([6.55]), np.array([2.08]), np.array([SPEED]))
    effects = [float(function.density_effect(*point, np.array([f]), logs)[0]) for f in (mean, 1.01 * mean)]
    here, above = function.evaluate(function.rows(6.55, 2.08, SPEED, effects, logs))
    assert here[OUTPUTS.index("hardness")] == pytest.approx(laboratory.hardness.mean(), rel=1e-6)
    assert here[OUTPUTS.index("thickness")] == pytest.approx(3.95, rel=1e-6)
    k = OUTPUTS.index("tensile_strength")
    assert np.log(above[k] / here[k]) / np.log(1.01) == pytest.approx(0.7, rel=0.02)
