from __future__ import annotations

import math

import numpy as np
import pytest

from controllers.tuning import FirstOrder, Tuning, fit_first_order, robustness, simc
from cosim.component import FloatArray
from fmus.errors import GalenicError


def lag(gain: float, tau: float, dead: float, period: float, samples: int) -> FloatArray:
    time = np.arange(samples + 1) * period
    return gain * (1.0 - np.exp(-np.maximum(time - dead, 0.0) / tau))


@pytest.mark.parametrize(("gain", "tau", "dead"), [(2.0, 40.0, 12.0), (-0.3, 100.0, 5.0), (1.0, 15.0, 60.0)])
def test_a_first_order_model_is_found_again(gain: float, tau: float, dead: float) -> None:
    model = fit_first_order(lag(gain, tau, dead, 1.0, 600), 1.0)
    assert model.gain == pytest.approx(gain, rel=1e-4)
    assert model.time_constant == pytest.approx(tau, rel=1e-3)
    assert model.dead_time == pytest.approx(dead, rel=1e-3)
    assert model.error < 1e-4


def test_a_response_that_ramps_is_an_integrator() -> None:
    time = np.arange(601.0)
    model = fit_first_order(-0.02 * np.maximum(time - 30.0, 0.0), 1.0)
    assert model.integrating
    assert model.gain == pytest.approx(-0.02)
    assert model.dead_time == pytest.approx(30.0, abs=1e-6)


def test_a_second_order_response_tells_its_error() -> None:
    time = np.arange(0.0, 400.0)
    model = fit_first_order(1.0 - (1.0 + time / 20.0) * np.exp(-time / 20.0), 1.0)
    assert 0.005 < model.error < 0.05
    assert 5.0 < model.dead_time < 20.0  # the second lag counts as dead time in part


def test_no_response_is_refused() -> None:
    with pytest.raises(GalenicError, match="does not respond"):
        fit_first_order(np.zeros(100), 1.0)


def test_simc_of_the_paper() -> None:
    """Skogestad 2003, table 1: tau_c = theta."""
    assert simc(FirstOrder(1.0, 8.0, 1.0)) == Tuning(4.0, 8.0)
    assert simc(FirstOrder(1.0, 20.0, 1.0)) == Tuning(10.0, 8.0)  # lag-dominant: T_i = 8 theta
    assert simc(FirstOrder(1.0, math.inf, 1.0)) == Tuning(0.5, 8.0)
    assert simc(FirstOrder(-2.0, 8.0, 0.5), 0.5) == Tuning(-2.0, 8.0)
    assert simc(FirstOrder(1.0, 8.0, 1.0), slower=3.0).gain == 2.0
    with pytest.raises(GalenicError, match="without delay"):
        simc(FirstOrder(1.0, 8.0, 0.0))


def test_margins_of_simc_are_those_of_the_paper() -> None:
    """Skogestad 2003, table 2: Ms 1.59, gain margin 3.14, phase margin 61.4 for tau_c = theta, T_i = tau."""
    period = 0.02  # short beside the dead time, so that the sampled loop comes near the continuous one
    response = lag(1.0, 4.0, 1.0, period, 2500)
    found = robustness(response, period, simc(FirstOrder(1.0, 4.0, 1.0)))
    assert found.sensitivity == pytest.approx(1.59, rel=0.02)
    assert found.gain_margin == pytest.approx(3.14, rel=0.02)
    assert found.phase_margin == pytest.approx(61.4, rel=0.02)


def test_margins_of_an_integrating_process_are_those_of_the_paper() -> None:
    """Skogestad 2003, table 2: Ms 1.70, gain margin 2.96, phase margin 46.9 degrees."""
    period = 0.05
    response = np.maximum(np.arange(2001) * period - 1.0, 0.0)
    found = robustness(response, period, simc(FirstOrder(1.0, math.inf, 1.0)))
    assert found.sensitivity == pytest.approx(1.70, rel=0.03)
    assert found.gain_margin == pytest.approx(2.96, rel=0.04)
    assert found.phase_margin == pytest.approx(46.9, rel=0.04)


@pytest.mark.parametrize("delay", [0, 2])
def test_the_gain_margin_is_where_the_simulated_loop_begins_to_grow(delay: int) -> None:
    """The sampled law of `controllers.pid` on the same step response."""
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
