"""Sensors: what a controller sees of the plant, sampled, late, noisy and possibly wrong."""

from __future__ import annotations

from collections import deque
from math import gcd

import numpy as np

from cosim.component import Measurement, Port
from cosim.disturbances import StandardNormal


class Sensor:
    """Samples one signal every ``sampling`` seconds and shows the value ``delay`` seconds later.

    value = signal + bias + drift * t / (1 h) + noise * e,  e standard normal, new in each sample.

    Inputs are ``signal`` and ``bias`` (a fault is a disturbance on ``<sensor>.bias``); outputs are ``value`` and
    ``sample``, which counts the values shown so far, so that a controller can tell a fresh value from a held one.
    Until the first value is through, ``value`` shows ``start`` where given, else the undelayed first measurement,
    and ``sample`` is 0.

    Args:
        name: the sensor's name.
        measured: port of the measured signal; gives the unit.
        measures: name of the measured signal.
        step_size: communication step in s.
        sampling: time between samples in s, a multiple of ``step_size``.
        delay: from sample to value in s, a multiple of ``step_size``.
        noise: standard deviation in the signal's unit.
        bias: constant error in the signal's unit, until a disturbance changes it.
        drift: growth of the error per hour in the signal's unit.
        start: shown until the first value is through, in the signal's unit.
        seed: the run's seed.
    """

    def __init__(
        self,
        name: str,
        measured: Port,
        measures: str,
        *,
        step_size: float,
        sampling: float,
        delay: float = 0.0,
        noise: float = 0.0,
        bias: float = 0.0,
        drift: float = 0.0,
        start: float | None = None,
        seed: int = 0,
    ) -> None:
        unit = measured.unit
        self.name = name
        self.inputs = (
            Port("signal", unit, measured.start, description=f"measured signal, {measures}"),
            Port("bias", unit, bias, description="error of the sensor"),
        )
        self.outputs = (
            Port("value", unit, start, description=f"measured value of {measures}"),
            Port("sample", "1", 0.0, 0.0, None, "number of values shown so far"),
        )
        self.input_values = np.array([measured.start or 0.0, bias])
        self.output_values = np.array([start or 0.0, 0.0])
        self.measurement = Measurement(measures, sampling, delay, noise)
        ticks, late = round(sampling / step_size), round(delay / step_size)
        # executed often enough to hit both the sampling instants and the instants at which a late value appears
        tick = gcd(ticks, late)
        self.period = tick * step_size
        self._every = ticks // tick
        self._late = late // tick
        self._ticks = 0
        self._samples = 0
        self._waiting: deque[tuple[int, float]] = deque()
        self._noise = noise
        self._drift = drift / 3600.0
        self._held = start is not None
        self._normal = StandardNormal(seed, f"sensor {name}")

    def do_step(self, communication_point: float, step_size: float) -> None:  # noqa: ARG002 (the contract's signature)
        """Sample when due, then show what has arrived."""
        tick = self._ticks
        if tick % self._every == 0:
            signal, bias = self.input_values.tolist()
            value = signal + bias + self._drift * communication_point
            if self._noise:
                value += self._noise * self._normal()
            self._waiting.append((tick + self._late, value))
            if not self._held:
                self.output_values[0] = value
                self._held = True
        while self._waiting and self._waiting[0][0] <= tick:
            self.output_values[0] = self._waiting.popleft()[1]
            self._samples += 1
            self.output_values[1] = self._samples
        self._ticks = tick + 1
