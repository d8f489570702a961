"""What a tuning does in its sampled loop: robustness, and how much of the sensor's noise it passes on."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from controllers.regulatory.tuning import Tuning
from controllers.surrogates.realization import looks_integrating
from cosim.component import FloatArray

_FREQUENCIES = 4000
_LOWEST = 1e-5
_Complex = npt.NDArray[np.complex128]


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


@dataclass(frozen=True)
class PassedOn:
    """Standard deviations in a loop for white noise of standard deviation 1 in each sample of its sensor.

    Args:
        measured: of the controlled variable itself, noise of the sensor left out.
        output: of the controller's output.
    """

    measured: float
    output: float


def robustness(response: FloatArray, period: float, tuning: Tuning, delay: float = 0.0) -> Robustness:
    r"""Margins of the sampled loop, on the step response itself rather than on a model of it.

    With the unit-step response s_k at the controller's samples, a plant behind a zero-order hold is
    G(z) = sum_k (s_k - s_{k-1}) z^-k, whose last slope goes on where the response ends in a ramp; the controller of
    `controllers.regulatory.pid` is, with T_f = T_d / N,

        C(z) = K (1 + (T / T_i) / (1 - z^-1) + T_d (1 - z^-1) / (T_f (1 - z^-1) + T))

    and L = C G exp(-j omega delay) for omega in (0, pi / T].

    Args:
        response: shape (N + 1,), every ``period``, zero at the time of the step.
        period: of the controller, T in s.
        tuning: of the controller.
        delay: of the sensor in s.
    """
    omega = np.geomspace(_LOWEST, 1.0, _FREQUENCIES) * math.pi / period
    plant, control = _plant(response, period, omega), _control(tuning, period, omega)
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


def passed_on(response: FloatArray, period: float, tuning: Tuning, delay: float = 0.0) -> PassedOn:
    """What noise of the sensor becomes, by Parseval's theorem on the sampled loop; arguments as of `robustness`.

    Only of a stable loop.
    """
    omega = (np.arange(_FREQUENCIES) + 0.5) * math.pi / period / _FREQUENCIES
    plant, control = _plant(response, period, omega), _control(tuning, period, omega)
    closed = control / (1.0 + control * plant * np.exp(-1j * omega * delay))
    spreads = (math.sqrt(float(np.mean(np.abs(part) ** 2))) for part in (plant * closed, closed))
    return PassedOn(*spreads)


def _plant(response: FloatArray, period: float, omega: FloatArray) -> _Complex:
    slope = float(np.mean(np.diff(response)[-max(1, len(response) // 10) :]))
    if not looks_integrating(response[:, None, None])[0]:
        slope = 0.0
    z_inverse = np.exp(-1j * omega * period)
    powers = np.exp(-1j * np.outer(omega * period, np.arange(1, len(response))))
    return np.asarray(powers @ np.diff(response) + slope * z_inverse ** len(response) / (1.0 - z_inverse))


def _control(tuning: Tuning, period: float, omega: FloatArray) -> _Complex:
    difference = 1.0 - np.exp(-1j * omega * period)
    control = np.ones_like(difference)
    if tuning.integral_time:
        control = control + period / tuning.integral_time / difference
    if tuning.derivative_time:
        filter_time = tuning.derivative_time / tuning.derivative_filter
        control = control + tuning.derivative_time * difference / (filter_time * difference + period)
    return np.asarray(tuning.gain * control)
