"""What disturbs a line: steps, ramps, noise and raw-material lots on any input that nothing else drives.

The disturbances of one input add up on its start value; the sum stays within the input's bounds. Each random one
draws from its own generator, seeded from the run's seed and its name, so two runs with the same seed meet the same
disturbances whatever else differs between them: that is what makes a comparison of controllers paired.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence

import numpy as np

from cosim.component import Port

_BLOCK = 256
_LOT_TRUNCATION = 3.0

#: Contribution to the signal at time t (s), in the signal's unit. Called with t = 0, h, 2 h, ...
Contribution = Callable[[float], float]


def generator(seed: int, name: str) -> np.random.Generator:
    """A random generator of its own for ``name``: the same for the same (seed, name) on every machine."""
    digest = hashlib.blake2b(name.encode(), digest_size=16).digest()
    words = [int.from_bytes(digest[i : i + 4], "little") for i in range(0, 16, 4)]
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, *words])))


class StandardNormal:
    """Independent standard normal numbers, drawn in blocks."""

    def __init__(self, seed: int, name: str) -> None:
        self._generator = generator(seed, name)
        self._block: list[float] = []
        self._next = 0

    def __call__(self) -> float:
        """The next number."""
        if self._next == len(self._block):
            self._block = self._generator.standard_normal(_BLOCK).tolist()
            self._next = 0
        self._next += 1
        return self._block[self._next - 1]


def step(at: float, change: float, until: float = math.inf) -> Contribution:
    """``change`` from ``at`` (s) until ``until`` (s)."""
    return lambda t: change if at <= t < until else 0.0


def ramp(at: float, over: float, change: float) -> Contribution:
    """Rises linearly from 0 at ``at`` to ``change`` at ``at + over`` (s) and stays there."""
    return lambda t: change * min(max((t - at) / over, 0.0), 1.0)


def noise(std: float, time_constant: float, step_size: float, normal: StandardNormal) -> Contribution:
    """Stationary first-order autoregressive noise, one value per communication step.

    x[k+1] = a x[k] + std sqrt(1 - a^2) e[k], a = exp(-h / tau): the standard deviation is ``std`` whatever the step h
    is, and the autocorrelation falls to 1/e after the time constant tau (s). tau = 0 is white noise.
    """
    a = math.exp(-step_size / time_constant) if time_constant > 0.0 else 0.0
    gain = std * math.sqrt(1.0 - a * a)
    value: float | None = None

    def contribution(_t: float) -> float:
        nonlocal value
        value = std * normal() if value is None else a * value + gain * normal()
        return value

    return contribution


def lots(every: float, mean: float, rsd: float, base: float, normal: StandardNormal) -> Contribution:
    """A new lot every ``every`` seconds, its value normal about ``mean`` and cut at three standard deviations.

    Args:
        every: time between lot changes in s; the first lot is drawn at t = 0.
        mean: mean over lots, in the signal's unit.
        rsd: standard deviation over lots relative to the mean.
        base: the signal's start value, which the other disturbances of the signal also refer to.
        normal: source of random numbers.
    """
    lot = -1
    value = 0.0

    def contribution(t: float) -> float:
        nonlocal lot, value
        # half a nanostep of slack: t = k h is rounded, and a lot must not change one step late
        while lot < math.floor(t / every + 1e-9):
            deviate = normal()
            while abs(deviate) > _LOT_TRUNCATION:
                deviate = normal()
            value = mean * (1.0 + rsd * deviate) - base
            lot += 1
        return value

    return contribution


class Disturbance:
    """All disturbances of one input, as a sampled component without inputs.

    Args:
        signal: the input that it drives, ``component.port``.
        port: that input's port; its bounds limit the sum.
        base: the input's start value, in the port's unit.
        contributions: what is added to ``base``.
        period: the communication step in s.
    """

    def __init__(
        self, signal: str, port: Port, base: float, contributions: Sequence[Contribution], period: float
    ) -> None:
        self.name = signal
        self.inputs: tuple[Port, ...] = ()
        self.outputs = (port,)
        self.input_values = np.zeros(0)
        self.output_values = np.array([base])
        self.period = period
        self._base = base
        self._contributions = tuple(contributions)
        self._at = math.nan
        self._min = -math.inf if port.min is None else port.min
        self._max = math.inf if port.max is None else port.max

    def do_step(self, communication_point: float, step_size: float) -> None:  # noqa: ARG002 (the contract's signature)
        """Write the sum at ``communication_point``; a second call there draws nothing new."""
        if communication_point == self._at:
            return
        self._at = communication_point
        value = self._base
        for contribution in self._contributions:
            value += contribution(communication_point)
        self.output_values[0] = min(max(value, self._min), self._max)
