"""Tuning of PI and PID loops: models of a step response, and SIMC rules on them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from controllers.surrogates.realization import looks_integrating
from cosim.component import FloatArray
from fmus.errors import GalenicError


@dataclass(frozen=True)
class StepModel:
    """K exp(-theta s) / ((tau s + 1) (tau_2 s + 1)), or for an integrating process k exp(-theta s) / (s (tau_2 s + 1)).

    Args:
        gain: K in output per input; of an integrating process k, per second.
        time_constant: tau in s; infinite where it integrates.
        dead_time: theta in s.
        error: RMS difference to the step response it was fitted to, relative to that response's largest value.
        second: tau_2 in s, not above tau; 0 in a model of first order.
    """

    gain: float
    time_constant: float
    dead_time: float
    error: float = math.nan
    second: float = 0.0

    @property
    def integrating(self) -> bool:
        """Whether a step ends in a ramp."""
        return math.isinf(self.time_constant)

    def response(self, time: FloatArray) -> FloatArray:
        """To a unit step at time zero, shape of ``time`` (s)."""
        t = np.maximum(time - self.dead_time, 0.0)
        if self.integrating:
            return np.asarray(self.gain * (t - self.second * _rise(t, self.second)), dtype=np.float64)
        return np.asarray(self.gain * _two_lags(t, self.time_constant, self.second), dtype=np.float64)


@dataclass(frozen=True)
class Tuning:
    """Of a PID controller of the parallel form, see `controllers.regulatory.pid`.

    Args:
        gain: in input per output, the sign of the process gain.
        integral_time: in s; None: no integral part.
        derivative_time: in s; 0: no derivative.
        derivative_filter: N; the derivative's time constant is ``derivative_time`` / N.
    """

    gain: float
    integral_time: float | None
    derivative_time: float = 0.0
    derivative_filter: float = 8.0


def fit_step_model(response: FloatArray, period: float, *, order: int = 1) -> StepModel:
    """Least squares fit of a lag, or of a ramp where it ramps at the end, with dead time, to a unit-step response.

    Args:
        response: shape (N + 1,), zero at the time of the step, every ``period``.
        period: in s.
        order: 1, or 2 for a second lag.

    Raises:
        GalenicError: there is no response.
    """
    size = float(np.abs(response).max())
    if not size > 0.0 or not np.isfinite(response).all():
        raise GalenicError("the measurement does not respond", cure="take a larger step, or a longer horizon")
    time: FloatArray = np.arange(len(response), dtype=np.float64) * period
    if looks_integrating(response[:, None, None])[0]:
        return _fit_ramp(response, time, size) if order == 1 else _fit_slow_ramp(response, time, size)
    first = _fit_lags(response, time, size, order=1)
    return first if order == 1 else _fit_lags(response, time, size, order=2, near=first)


def _fit_ramp(response: FloatArray, time: FloatArray, size: float) -> StepModel:
    length = float(time[-1])
    late = time >= 0.5 * length
    slope, offset = (float(v) for v in np.polyfit(time[late], response[late], 1))
    dead = min(max(-offset / slope, 0.0), 0.9 * length)
    model = StepModel(slope, math.inf, dead)
    return StepModel(slope, math.inf, dead, _rms(model.response(time) - response) / size)


def _fit_slow_ramp(response: FloatArray, time: FloatArray, size: float) -> StepModel:
    first = _fit_ramp(response, time, size)
    length, period = float(time[-1]), float(time[1])

    def model(x: FloatArray) -> StepModel:
        return StepModel(1.0, math.inf, x[1], second=math.exp(x[0]))

    starts = [(share * first.dead_time, (1.0 - share) * first.dead_time) for share in (0.2, 0.6, 0.95)]
    found = _search(
        model, response, time, size,
        [[math.log(max(second, 0.1 * period)), dead] for second, dead in starts],
        ([math.log(1e-2 * period), 0.0], [math.log(length), length]),
    )  # fmt: skip
    return first if first.error <= found.error else found


def _fit_lags(
    response: FloatArray, time: FloatArray, size: float, *, order: int, near: StepModel | None = None
) -> StepModel:
    length, period = float(time[-1]), float(time[1])

    def model(x: FloatArray) -> StepModel:
        tau = math.exp(x[0])
        share = 1.0 / (1.0 + math.exp(-x[2])) if order == 2 else 0.0
        return StepModel(1.0, tau, x[1], second=share * tau)

    low, high = [math.log(1e-3 * period), 0.0], [math.log(10 * length), length]
    if near is None:
        starts = [
            [math.log(tau), dead]
            for tau in (0.1 * period, period, 0.03 * length, 0.1 * length, 0.3 * length)
            for dead in (0.0, period, 0.1 * length)
        ]
    else:
        tau, dead = near.time_constant, near.dead_time
        starts = [[math.log(tau), share * dead, second] for share in (0.1, 0.9) for second in (-2.0, 0.0, 2.0)]
        low, high = [*low, -8.0], [*high, 8.0]
    found = _search(model, response, time, size, starts, (low, high))
    return near if near is not None and near.error <= found.error else found


def _search(
    model: Callable[[FloatArray], StepModel],
    response: FloatArray,
    time: FloatArray,
    size: float,
    starts: list[list[float]],
    bounds: tuple[list[float], list[float]],
) -> StepModel:
    """The best of several starts; the gain follows from the shape."""
    from scipy.optimize import least_squares

    def gain(form: FloatArray) -> float:
        return float(form @ response) / max(float(form @ form), 1e-300)

    def residual(x: FloatArray) -> FloatArray:
        form = model(x).response(time)
        return (gain(form) * form - response) / size

    best = None
    for start in starts:
        found = least_squares(residual, np.clip(start, bounds[0], bounds[1]), bounds=bounds)
        if best is None or found.cost < best.cost:
            best = found
    assert best is not None
    shape = model(np.asarray(best.x))
    found_gain = gain(shape.response(time))
    return StepModel(
        found_gain, shape.time_constant, float(shape.dead_time), _rms(residual(np.asarray(best.x))), shape.second
    )


def _rise(t: FloatArray, tau: float) -> FloatArray:
    return np.asarray(-np.expm1(-t / tau) if tau > 0.0 else np.ones_like(t), dtype=np.float64)


def _two_lags(t: FloatArray, tau: float, second: float) -> FloatArray:
    if second < 1e-6 * tau:
        return _rise(t, tau)
    if tau - second < 1e-4 * tau:  # the limit of equal lags
        x = 2.0 * t / (tau + second)
        return np.asarray(1.0 - (1.0 + x) * np.exp(-x), dtype=np.float64)
    return np.asarray((tau * _rise(t, tau) - second * _rise(t, second)) / (tau - second), dtype=np.float64)


def _rms(values: FloatArray) -> float:
    return float(np.sqrt(np.mean(values**2)))


def simc(
    process: StepModel, extra_delay: float = 0.0, *, slower: float = 1.0, derivative_filter: float = 8.0
) -> Tuning:
    r"""SIMC rules (Skogestad 2003, J. Process Control 13, 291).

    With the effective dead time theta (of process, sensor and sampling) and tau_c = slower theta,

        K_c = tau / (K (tau_c + theta)),   T_i = min(tau, 4 (tau_c + theta)),   T_d = tau_2

    and for an integrating process K_c = 1 / (k (tau_c + theta)), T_i = 4 (tau_c + theta). These are of the series
    form; a second lag, hence a derivative, gives the parallel form of `controllers.regulatory.pid`, f = 1 + T_d / T_i,

        K = f K_c,   T_I = f T_i,   T_D = T_d / f

    Args:
        process: the process; one of first order gives a PI controller.
        extra_delay: in s: of the sensor, and half a sampling period for sample and hold.
        slower: tau_c in dead times; 1 is SIMC's own choice, more is more robust.
        derivative_filter: of the PID controller.

    Raises:
        GalenicError: there is no delay at all, so that no gain would be too large.
    """
    theta = process.dead_time + extra_delay
    if not theta > 0.0:
        raise GalenicError("a loop without delay has no limit of its gain", cure="give the controller's period")
    closed = (1.0 + slower) * theta
    if process.integrating:
        gain, integral_time = 1.0 / (process.gain * closed), 4.0 * closed
    else:
        gain = process.time_constant / (process.gain * closed)
        integral_time = min(process.time_constant, 4.0 * closed)
    if not process.second:
        return Tuning(gain, integral_time)
    factor = 1.0 + process.second / integral_time
    return Tuning(factor * gain, factor * integral_time, process.second / factor, derivative_filter)
