from __future__ import annotations

import math

import numpy as np
import pytest

from controllers.regulatory.loop_margins import passed_on, robustness
from controllers.regulatory.tuning import StepModel, Tuning, fit_step_model, simc
from cosim.component import FloatArray
from fmus.errors import GalenicError


def lag(gain: float, tau: float, dead: float, period: float, samples: int) -> FloatArray:
    time = np.arange(samples + 1) * period
    return gain * (1.0 - np.exp(-np.maximum(time - dead, 0.0) / tau))


@pytest.mark.parametrize(("gain", "tau", "dead"), [(2.0, 40.0, 12.0), (-0.3, 100.0, 5.0), (1.0, 15.0, 60.0)])
def test_a_first_order_model_is_found_again(gain: float, tau: float, dead: float) -> None:
    model = fit_step_model(lag(gain, tau, dead, 1.0, 600), 1.0)
    assert model.gain == pytest.approx(gain, rel=1e-4)
    assert model.time_constant == pytest.approx(tau, rel=1e-3)
    assert model.dead_time == pytest.approx(dead, rel=1e-3)
    assert model.error < 1e-4


def test_a_response_that_ramps_is_an_integrator() -> None:
    time = np.arange(601.0)
    model = fit_step_model(-0.02 * np.maximum(time - 30.0, 0.0), 1.0)
    assert model.integrating
    assert model.gain == pytest.approx(-0.02)
    assert model.dead_time == pytest.approx(30.0, abs=1e-6)


def test_a_second_order_response_tells_its_error() -> None:
    time = np.arange(0.0, 400.0)
    model = fit_step_model(1.0 - (1.0 + time / 20.0) * np.exp(-time / 20.0), 1.0)
    assert 0.005 < model.error < 0.05
    assert 5.0 < model.dead_time < 20.0  # the second lag counts as dead time in part


def test_no_response_is_refused() -> None:
    with pytest.raises(GalenicError, match="does not respond"):
        fit_step_model(np.zeros(100), 1.0)


def test_simc_of_the_paper() -> None:
    """Skogestad 2003, table 1: tau_c = theta."""
    assert simc(StepModel(1.0, 8.0, 1.0)) == Tuning(4.0, 8.0)
    assert simc(StepModel(1.0, 20.0, 1.0)) == Tuning(10.0, 8.0)  # lag-dominant: T_i = 8 theta
    assert simc(StepModel(1.0, math.inf, 1.0)) == Tuning(0.5, 8.0)
    assert simc(StepModel(-2.0, 8.0, 0.5), 0.5) == Tuning(-2.0, 8.0)
    assert simc(StepModel(1.0, 8.0, 1.0), slower=3.0).gain == 2.0
    with pytest.raises(GalenicError, match="without delay"):
        simc(StepModel(1.0, 8.0, 0.0))


def test_margins_of_simc_are_those_of_the_paper() -> None:
    """Skogestad 2003, table 2: Ms 1.59, gain margin 3.14, phase margin 61.4 for tau_c = theta, T_i = tau."""
    period = 0.02  # short beside the dead time, so that the sampled loop comes near the continuous one
    response = lag(1.0, 4.0, 1.0, period, 2500)
    found = robustness(response, period, simc(StepModel(1.0, 4.0, 1.0)))
    assert found.sensitivity == pytest.approx(1.59, rel=0.02)
    assert found.gain_margin == pytest.approx(3.14, rel=0.02)
    assert found.phase_margin == pytest.approx(61.4, rel=0.02)


def test_margins_of_an_integrating_process_are_those_of_the_paper() -> None:
    """Skogestad 2003, table 2: Ms 1.70, gain margin 2.96, phase margin 46.9 degrees."""
    period = 0.05
    response = np.maximum(np.arange(2001) * period - 1.0, 0.0)
    found = robustness(response, period, simc(StepModel(1.0, math.inf, 1.0)))
    assert found.sensitivity == pytest.approx(1.70, rel=0.03)
    assert found.gain_margin == pytest.approx(2.96, rel=0.04)
    assert found.phase_margin == pytest.approx(46.9, rel=0.04)


@pytest.mark.parametrize("delay", [0, 2])
def test_the_gain_margin_is_where_the_simulated_loop_begins_to_grow(delay: int) -> None:
    """The sampled law of `controllers.regulatory.pid` on the same step response."""
    response = lag(1.0, 30.0, 5.0, 10.0, 60)
    base = Tuning(1.0, 25.0)
    margin = robustness(response, 10.0, base, delay * 10.0).gain_margin
    assert not grows(response, Tuning(0.97 * margin, 25.0), delay)
    assert grows(response, Tuning(1.03 * margin, 25.0), delay)
    assert math.isinf(robustness(response, 10.0, Tuning(1.1 * margin, 25.0), delay * 10.0).sensitivity)


def grows(response: FloatArray, tuning: Tuning, delay: int, period: float = 10.0) -> bool:
    pulse = np.diff(response)
    moves: list[float] = []
    outputs: list[float] = [0.0] * delay
    integral = 0.0
    assert tuning.integral_time is not None
    for _ in range(1500):
        recent = np.array(moves[::-1][: len(pulse)])
        outputs.append(float(pulse[: len(recent)] @ recent))
        error = 1.0 - outputs[-1 - delay]
        integral += tuning.gain * period / tuning.integral_time * error
        moves.append(tuning.gain * error + integral)
    early, late = np.abs(np.array(outputs[200:400]) - 1.0).max(), np.abs(np.array(outputs[-200:]) - 1.0).max()
    return bool(late > early)


def two_lags(gain: float, tau: float, second: float, dead: float, time: FloatArray) -> FloatArray:
    t = np.maximum(time - dead, 0.0)
    return gain * (1.0 - (tau * np.exp(-t / tau) - second * np.exp(-t / second)) / (tau - second))


@pytest.mark.parametrize(("tau", "second", "dead"), [(40.0, 12.0, 6.0), (30.0, 25.0, 0.0), (100.0, 8.0, 20.0)])
def test_a_second_order_model_is_found_again(tau: float, second: float, dead: float) -> None:
    model = fit_step_model(two_lags(1.7, tau, second, dead, np.arange(801.0)), 1.0, order=2)
    assert model.gain == pytest.approx(1.7, rel=1e-3)
    assert (model.time_constant, model.second) == pytest.approx((tau, second), rel=0.03)
    assert model.dead_time == pytest.approx(dead, abs=0.3)


def test_an_integrator_behind_a_lag_is_found_again() -> None:
    time = np.arange(601.0)
    t = np.maximum(time - 15.0, 0.0)
    model = fit_step_model(0.03 * (t - 40.0 * (1.0 - np.exp(-t / 40.0))), 1.0, order=2)
    assert model.integrating
    assert (model.gain, model.second, model.dead_time) == pytest.approx((0.03, 40.0, 15.0), rel=0.02)


def test_the_parallel_form_is_the_series_form_of_the_rules() -> None:
    tuning = simc(StepModel(2.0, 50.0, 3.0, second=8.0), 1.0)
    kc, ti, td = 50.0 / (2.0 * 8.0), 32.0, 8.0  # theta = tau_c = 4
    assert tuning.integral_time is not None
    for s in (0.01j, 0.3j, 2j):
        parallel = tuning.gain * (1.0 + 1.0 / (tuning.integral_time * s) + tuning.derivative_time * s)
        assert parallel == pytest.approx(kc * (1.0 + 1.0 / (ti * s)) * (1.0 + td * s))


def test_a_derivative_takes_a_second_lag_out_of_the_loop() -> None:
    """What is left is the paper's first-order loop: Ms 1.59, gain margin 3.14, phase margin 61.4 degrees."""
    period = 0.02
    response = two_lags(1.0, 4.0, 2.0, 1.0, np.arange(2501) * period)
    tuning = simc(StepModel(1.0, 4.0, 1.0, second=2.0), derivative_filter=100.0)
    found = robustness(response, period, tuning)
    # the derivative's filter and the sampling add .03 to a dead time of 1
    assert found.sensitivity == pytest.approx(1.59, rel=0.05)
    assert found.gain_margin == pytest.approx(3.14, rel=0.05)
    assert found.phase_margin == pytest.approx(61.4, rel=0.05)


def test_noise_that_is_passed_on_is_that_of_the_simulated_loop() -> None:
    response, period = lag(1.5, 30.0, 5.0, 10.0, 60), 10.0
    tuning = Tuning(0.5, 40.0, 12.0, 4.0)
    found = passed_on(response, period, tuning)
    rng, pulse = np.random.default_rng(1), np.diff(response)
    integral = derivative = last = 0.0
    moves, outputs = np.zeros(20060), np.zeros(20060)
    for k in range(60, 20060):
        outputs[k] = pulse @ moves[k - 60 : k][::-1]
        seen = outputs[k] + rng.standard_normal()
        integral -= tuning.gain * period / 40.0 * seen
        derivative = (3.0 * derivative - tuning.gain * 12.0 * (seen - last)) / (3.0 + period)
        moves[k], last = -tuning.gain * seen + integral + derivative, seen
    assert found.measured == pytest.approx(outputs[1000:].std(), rel=0.03)
    assert found.output == pytest.approx(moves[1000:].std(), rel=0.03)
