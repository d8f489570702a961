"""What disturbs a line: steps, ramps, waves, noise, drift and raw-material lots on any input that nothing else drives.

The disturbances of one input add up on its start value; the sum stays within the input's bounds. Each random one
draws from its own generator, seeded from the run's seed and its name, so two runs with the same seed meet the same
disturbances whatever else differs between them: that is what makes a comparison of controllers paired.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from cosim.component import FloatArray, Port
from cosim.distributions import lognormal

_BLOCK = 256
_LOT_TRUNCATION = 3.0


class Contribution(Protocol):
    """What one disturbance adds to a signal, in the signal's unit."""

    def __call__(self, t: float) -> float:
        """The contribution at ``t`` in s; called with t = 0, h, 2 h, ..."""

    def state(self) -> dict[str, Any]:
        """All that changes while it runs, as plain numbers, lists and mappings."""

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state`."""


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

    def state(self) -> dict[str, Any]:
        """See `Contribution.state`."""
        return {"generator": self._generator.bit_generator.state, "left": self._block[self._next :]}

    def restore(self, state: Mapping[str, Any]) -> None:
        """See `Contribution.restore`."""
        self._generator.bit_generator.state = dict(state["generator"])
        self._block, self._next = list(state["left"]), 0


class _Stateless:
    def state(self) -> dict[str, Any]:
        """Nothing: it depends on time alone."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Nothing to go on from."""


class Step(_Stateless):
    """``change`` from ``at`` (s) until ``until`` (s)."""

    def __init__(self, at: float, change: float, until: float = math.inf) -> None:
        self._at, self._change, self._until = at, change, until

    def __call__(self, t: float) -> float:
        """See `Contribution`."""
        return self._change if self._at <= t < self._until else 0.0


class Ramp(_Stateless):
    """From 0 at ``at`` (s) linearly to ``change`` at ``at + over``, where it stays or begins anew every ``every`` s."""

    def __init__(self, at: float, over: float, change: float, every: float = math.inf) -> None:
        self._at, self._over, self._change, self._every = at, over, change, every

    def __call__(self, t: float) -> float:
        """See `Contribution`."""
        since = t - self._at
        if since >= self._every:
            # t = k h is rounded: what is due now must not come a step late
            since -= self._every * math.floor(since / self._every + 1e-9)
        return self._change * min(max(since / self._over, 0.0), 1.0)


class Sine(_Stateless):
    """A wave of this amplitude and period (s), which begins at ``phase`` periods."""

    def __init__(self, amplitude: float, period: float, phase: float = 0.0) -> None:
        self._amplitude, self._period, self._phase = amplitude, period, phase

    def __call__(self, t: float) -> float:
        """See `Contribution`."""
        return self._amplitude * math.sin(2.0 * math.pi * (t / self._period + self._phase))


class _Random:
    """One value that changes at random."""

    _value: float | None
    _normal: StandardNormal

    def state(self) -> dict[str, Any]:
        """See `Contribution.state`."""
        return {"value": self._value, "normal": self._normal.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """See `Contribution.restore`."""
        self._value = state["value"]
        self._normal.restore(state["normal"])


class Noise(_Random):
    """Stationary first-order autoregressive noise, one value per communication step.

    x[k+1] = a x[k] + std sqrt(1 - a^2) e[k], a = exp(-h / tau): the standard deviation is ``std`` whatever the step h
    is, and the autocorrelation falls to 1/e after the time constant tau (s). tau = 0 is white noise.
    """

    def __init__(self, std: float, time_constant: float, step_size: float, normal: StandardNormal) -> None:
        self._a = math.exp(-step_size / time_constant) if time_constant > 0.0 else 0.0
        self._std, self._gain = std, std * math.sqrt(1.0 - self._a * self._a)
        self._value, self._normal = None, normal

    def __call__(self, t: float) -> float:  # noqa: ARG002 (the contract's signature)
        """See `Contribution`."""
        value = self._value
        value = self._std * self._normal() if value is None else self._a * value + self._gain * self._normal()
        self._value = value
        return value


class Walk(_Random):
    """A random walk from 0: it has wandered by ``std`` (one standard deviation) after ``per`` s, whatever the step."""

    def __init__(self, std: float, per: float, step_size: float, normal: StandardNormal) -> None:
        self._gain = std * math.sqrt(step_size / per)
        self._value, self._normal = None, normal

    def __call__(self, t: float) -> float:  # noqa: ARG002 (the contract's signature)
        """See `Contribution`."""
        self._value = 0.0 if self._value is None else self._value + self._gain * self._normal()
        return self._value


class LotDeviates:
    """A standard normal deviate for each lot, cut at three standard deviations.

    Args:
        normal: of these lots.
        other: deviates of the lots that these go with, drawn here once more.
        correlation: between the two, before the cut.
    """

    def __init__(self, normal: StandardNormal, other: LotDeviates | None = None, correlation: float = 0.0) -> None:
        self._normal, self._other, self._correlation = normal, other, correlation

    def __call__(self) -> float:
        """The next lot's."""
        shared = self._correlation * self._other() if self._other is not None else 0.0
        own = math.sqrt(1.0 - self._correlation**2)
        while True:
            deviate = shared + own * self._normal()
            if abs(deviate) <= _LOT_TRUNCATION:
                return deviate

    def state(self) -> dict[str, Any]:
        """See `Contribution.state`."""
        return {"normal": self._normal.state(), "other": None if self._other is None else self._other.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """See `Contribution.restore`."""
        self._normal.restore(state["normal"])
        if self._other is not None:
            self._other.restore(state["other"])


class Lots:
    """A new lot every ``every`` seconds, its value about ``mean``.

    Args:
        every: time between lot changes in s; the first lot is drawn at t = 0.
        mean: mean over lots, in the signal's unit.
        rsd: standard deviation over lots relative to the mean.
        base: the signal's start value, which the other disturbances of the signal also refer to.
        deviates: one for each lot.
        skewed: lognormal rather than normal.
        limits: no lot is beyond them, in the signal's unit.
    """

    def __init__(
        self,
        every: float,
        mean: float,
        rsd: float,
        base: float,
        deviates: LotDeviates,
        *,
        skewed: bool = False,
        limits: tuple[float, float] = (-math.inf, math.inf),
    ) -> None:
        self._every, self._mean, self._rsd, self._base = every, mean, rsd, base
        self._deviates, self._skewed, self._limits = deviates, skewed, limits
        self._lot, self._value = -1, 0.0

    def __call__(self, t: float) -> float:
        """See `Contribution`."""
        # half a nanostep of slack: t = k h is rounded, and a lot must not change one step late
        while self._lot < math.floor(t / self._every + 1e-9):
            deviate = self._deviates()
            mean, rsd = self._mean, self._rsd
            value = lognormal(mean, rsd, deviate) if self._skewed else mean * (1.0 + rsd * deviate)
            self._value = min(max(value, self._limits[0]), self._limits[1]) - self._base
            self._lot += 1
        return self._value

    def state(self) -> dict[str, Any]:
        """See `Contribution.state`."""
        return {"lot": self._lot, "value": self._value, "deviates": self._deviates.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """See `Contribution.restore`."""
        self._lot, self._value = state["lot"], state["value"]
        self._deviates.restore(state["deviates"])


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
        self,
        signal: str,
        port: Port,
        base: float,
        contributions: Sequence[Contribution],
        period: float,
    ) -> None:
        self.name = signal
        self.inputs: tuple[Port, ...] = ()
        self.outputs = (port,)
        self.input_values = np.zeros(0)
        self.output_values = np.array([base])
        self.period = period
        self._base = base
        self._contributions = tuple(contributions)
        self._at: float | None = None
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

    def values(self, first_step: int, count: int) -> FloatArray:
        """What `do_step` writes at the communication points k * period, for ``count`` steps k from ``first_step``.

        Returns:
            shape (count,), in the port's unit. It goes on from there: a call has to begin where the last one ended.
        """
        written = np.empty(count)
        for position in range(count):
            self.do_step((first_step + position) * self.period, self.period)
            written[position] = self.output_values[0]
        return written

    def state(self) -> dict[str, Any]:
        """See `Contribution.state`."""
        return {
            "at": self._at,
            "value": float(self.output_values[0]),
            "contributions": [contribution.state() for contribution in self._contributions],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """See `Contribution.restore`."""
        self._at = state["at"]
        self.output_values[0] = state["value"]
        for contribution, its in zip(self._contributions, state["contributions"], strict=True):
            contribution.restore(its)
