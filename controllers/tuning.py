"""Tuning of PI loops: a first-order model with dead time from a step response, SIMC rules, and robustness."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from controllers.realization import looks_integrating
from cosim.component import FloatArray
from fmus.errors import GalenicError

_FREQUENCIES = 4000
_LOWEST = 1e-5


@dataclass(frozen=True)
class FirstOrder:
    """K exp(-theta s) / (tau s + 1), or for an integrating process k exp(-theta s) / s.

    Args:
        gain: K in output per input; of an integrating process k, per second.
        time_constant: tau in s; infinite where it integrates.
        dead_time: theta in s.
        error: RMS difference to the step response it was fitted to, relative to that response's largest value.
    """

    gain: float
    time_constant: float
    dead_time: float
    error: float = math.nan

    @property
    def integrating(self) -> bool:
        """Whether a step ends in a ramp."""
        return math.isinf(self.time_constant)


@dataclass(frozen=True)
class Tuning:
    """Gain in input per output (the sign of the process gain), and integral time in s (None: no integral part)."""

    gain: float
    integral_time: float | None


@dataclass(frozen=True)
class Robustness:
    """Of a loop.

    Args:
        sensitivity: Ms, the largest |1 / (1 + L)|; 1.2 to 2 is usual. Infinite where the loop is unstable.
        gain_margin: the factor by which the process gain may grow; infinite where it may without end.
        phase_margin: in degrees.
    """

    sensitivity: float
    gain_margin: float
    phase_margin: float


def fit_first_order(response: FloatArray, period: float) -> FirstOrder:
    """Least squares fit of a first-order model with dead time to a unit-step response.

    Args:
        response: shape (N + 1,), zero at the time of the step, every ``period``.
        period: in s.

    Raises:
        GalenicError: there is no response.
    """
    from scipy.optimize import least_squares

    size = float(np.abs(response).max())
    if not size > 0.0 or not np.isfinite(response).all():
        raise GalenicError("the measurement does not respond", cure="take a larger step, or a longer horizon")
    time = np.arange(len(response)) * period
    length = float(time[-1])
    if looks_integrating(response[:, None, None])[0]:
        late = time >= 0.5 * length
        slope, offset = (float(v) for v in np.polyfit(time[late], response[late], 1))
        dead = min(max(-offset / slope, 0.0), 0.9 * length)
        model = slope * np.maximum(time - dead, 0.0)
        return FirstOrder(slope, math.inf, dead, _rms(model - response) / size)

    def shape(x: FloatArray) -> FloatArray:
        tau, dead = math.exp(x[0]), x[1]
        return np.asarray(-np.expm1(-np.maximum(time - dead, 0.0) / tau), dtype=np.float64)

    def best_gain(x: FloatArray) -> float:
        form = shape(x)
        return float(form @ response) / max(float(form @ form), 1e-300)

    def residual(x: FloatArray) -> FloatArray:
        return (best_gain(x) * shape(x) - response) / size

    best = None
    for tau in (0.1 * period, period, 0.03 * length, 0.1 * length, 0.3 * length):
        for dead in (0.0, period, 0.1 * length):
            found = least_squares(
                residual,
                [math.log(tau), dead],
                bounds=([math.log(1e-3 * period), 0.0], [math.log(10 * length), length]),
            )
            if best is None or found.cost < best.cost:
                best = found
    assert best is not None
    x = np.asarray(best.x)
    return FirstOrder(best_gain(x), math.exp(x[0]), float(x[1]), _rms(residual(x)))


def _rms(values: FloatArray) -> float:
    return float(np.sqrt(np.mean(values**2)))


def simc(process: FirstOrder, extra_delay: float = 0.0, *, slower: float = 1.0) -> Tuning:
    r"""SIMC rules (Skogestad 2003, J. Process Control 13, 291).

    With the effective dead time theta (of process, sensor and sampling) and tau_c = slower theta,

        K_c = tau / (K (tau_c + theta)),   T_i = min(tau, 4 (tau_c + theta))

    and for an integrating process K_c = 1 / (k (tau_c + theta)), T_i = 4 (tau_c + theta).

    Args:
        process: the process.
        extra_delay: in s: of the sensor, and half a sampling period for sample and hold.
        slower: tau_c in dead times; 1 is SIMC's own choice, more is more robust.

    Raises:
        GalenicError: there is no delay at all, so that no gain would be too large.
    """
    theta = process.dead_time + extra_delay
    if not theta > 0.0:
        raise GalenicError("a loop without delay has no limit of its gain", cure="give the controller's period")
    closed = (1.0 + slower) * theta
    if process.integrating:
        return Tuning(1.0 / (process.gain * closed), 4.0 * closed)
    return Tuning(process.time_constant / (process.gain * closed), min(process.time_constant, 4.0 * closed))


def robustness(response: FloatArray, period: float, tuning: Tuning, delay: float = 0.0) -> Robustness:
    r"""Margins of the sampled loop, on the step response itself rather than on a model of it.

    With the unit-step response s_k at the controller's samples, a plant behind a zero-order hold is
    G(z) = sum_k (s_k - s_{k-1}) z^-k, whose last slope goes on where the response ends in a ramp; the controller of
    `controllers.pid` is C(z) = K (1 + (T / T_i) / (1 - z^-1)). L = C G exp(-j omega delay) for omega in (0, pi / T].

    Args:
        response: shape (N + 1,), every ``period``, zero at the time of the step.
        period: of the controller, T in s.
        tuning: of the controller.
        delay: of the sensor in s.
    """
    slope = float(np.mean(np.diff(response)[-max(1, len(response) // 10) :]))
    if not looks_integrating(response[:, None, None])[0]:
        slope = 0.0
    omega = np.geomspace(_LOWEST, 1.0, _FREQUENCIES) * math.pi / period
    z_inverse = np.exp(-1j * omega * period)
    powers = np.exp(-1j * np.outer(omega * period, np.arange(1, len(response))))
    plant = powers @ np.diff(response) + slope * z_inverse ** len(response) / (1.0 - z_inverse)
    control = tuning.gain * np.ones_like(plant)
    if tuning.integral_time:
        control = tuning.gain * (1.0 + period / tuning.integral_time / (1.0 - z_inverse))
    loop = control * plant * np.exp(-1j * omega * delay)
    size, angle = np.abs(loop), np.degrees(np.angle(loop))
    # through the negative real axis; at the highest frequency a sampled loop without delay ends on the real axis
    turns = np.flatnonzero((loop[:-1].imag < 0.0) & (loop[1:].imag >= 0.0) & (loop[1:].real < 0.0)) + 1
    ends = [len(loop) - 1] if loop[-1].real < 0.0 and abs(loop[-1].imag) < 1e-6 * size[-1] else []
    crossings = size[[*turns, *ends]]
    gain_margin = 1.0 / float(crossings.max()) if len(crossings) else math.inf
    down = np.flatnonzero((size[:-1] > 1.0) & (size[1:] <= 1.0)) + 1
    margins = np.where(angle[down] <= 0.0, 180.0 + angle[down], angle[down] - 180.0)
    phase_margin = float(margins.min()) if len(down) else math.inf
    stable = gain_margin > 1.0 and phase_margin > 0.0
    sensitivity = float(np.max(1.0 / np.abs(1.0 + loop))) if stable else math.inf
    return Robustness(sensitivity, gain_margin, phase_margin)
