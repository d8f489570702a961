"""Sensors: what a controller sees of the plant, sampled, late, noisy and possibly wrong or broken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import gcd
from typing import Any

import numpy as np

from cosim.component import Measurement, Port
from cosim.disturbances import StandardNormal, generator


@dataclass(eq=False)
class Fault:
    """What is wrong with a sensor while the fault lasts.

    Attributes:
        name: that its random numbers hang on.
        seed: the run's.
        bias: constant error in the sensor's unit.
        drift: growth of the error since the fault began, per hour in the sensor's unit.
        noise: additional standard deviation in the sensor's unit.
        freeze: samples go on, but all show the value of the last one before.
        dropout: share of the samples that never arrive, 0 to 1.
        delay: additional time in s from sample to value.
    """

    name: str
    seed: int = 0
    bias: float = 0.0
    drift: float = 0.0
    noise: float = 0.0
    freeze: bool = False
    dropout: float = 0.0
    delay: float = 0.0
    since: float = 0.0

    def __post_init__(self) -> None:
        self.normal = StandardNormal(self.seed, f"fault {self.name}")
        self.random = generator(self.seed, f"dropout {self.name}")

    def error(self, t: float) -> float:
        """What it adds to a sample at ``t`` in s."""
        error = self.bias + self.drift / 3600.0 * (t - self.since)
        return error + self.noise * self.normal() if self.noise else error

    def loses(self) -> bool:
        """Whether the next sample is lost."""
        return self.dropout > 0.0 and float(self.random.random()) < self.dropout

    def state(self) -> dict[str, Any]:
        """All that changes while it runs, as plain numbers, lists and mappings."""
        return {"since": self.since, "normal": self.normal.state(), "random": self.random.bit_generator.state}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state`."""
        self.since = state["since"]
        self.normal.restore(state["normal"])
        self.random.bit_generator.state = dict(state["random"])


class Sensor:
    """Samples one signal every ``sampling`` seconds and shows the value ``delay`` seconds later.

    value = signal + bias + drift * t / (1 h) + noise * e,  e standard normal, new in each sample.

    Inputs are ``signal`` and ``bias`` (a fault is a disturbance on ``<sensor>.bias``); outputs are ``value`` and
    ``sample``, which counts the values shown so far, so that a controller can tell a fresh value from a held one.
    Until the first value is through, ``value`` shows ``start`` where given, else the undelayed first measurement,
    and ``sample`` is 0. What arrives after a newer sample is not shown.

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
        more_delays: additional delays in s that faults may bring, multiples of ``step_size``.
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
        more_delays: Sequence[float] = (),
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
        tick = gcd(ticks, late, *(round(more / step_size) for more in more_delays))
        self.period = tick * step_size
        self._every = ticks // tick
        self._late = late // tick
        self._ticks = 0
        self._samples = 0
        self._waiting: list[tuple[int, int, float]] = []  # due, sampled, value
        self._newest = -1  # sampling tick of what is shown
        self._last: float | None = None  # the last sample
        self._faults: list[Fault] = []
        self._active: list[Fault] = []
        self._noise = noise
        self._drift = drift / 3600.0
        self._held = start is not None
        self._normal = StandardNormal(seed, f"sensor {name}")

    def do_step(self, communication_point: float, step_size: float) -> None:  # noqa: ARG002 (the contract's signature)
        """Sample when due, then show what has arrived."""
        tick = self._ticks
        if tick % self._every == 0:
            self._sample(tick, communication_point)
        arrived = [entry for entry in self._waiting if entry[0] <= tick]
        if arrived:
            self._waiting = [entry for entry in self._waiting if entry[0] > tick]
            for _, sampled, value in sorted(arrived, key=lambda entry: entry[1]):
                if sampled > self._newest:
                    self.output_values[0] = value
                    self._newest = sampled
                    self._samples += 1
            self.output_values[1] = self._samples
        self._ticks = tick + 1

    def _sample(self, tick: int, t: float) -> None:
        signal, bias = self.input_values.tolist()
        value = signal + bias + self._drift * t
        if self._noise:
            value += self._noise * self._normal()
        late, lost, frozen = self._late, False, False
        for fault in self._active:
            value += fault.error(t)
            late += round(fault.delay / self.period)
            lost = fault.loses() or lost
            frozen = frozen or fault.freeze
        if frozen and self._last is not None:
            value = self._last
        self._last = value
        if not self._held:
            self.output_values[0] = value
            self._held = True
        if not lost:
            self._waiting.append((tick + late, tick, value))

    def add_fault(self, fault: Fault) -> None:
        """Make known what may become wrong. Called when the system is built."""
        self._faults.append(fault)

    def begin_fault(self, fault: Fault, t: float) -> None:
        """Be wrong from the next sample on, at ``t`` in s or after."""
        fault.since = t
        self._active.append(fault)

    def end_fault(self, fault: Fault) -> None:
        """Be right again from the next sample on."""
        self._active = [other for other in self._active if other is not fault]

    def state(self) -> dict[str, Any]:
        """All that changes while it runs, as plain numbers, lists and mappings."""
        return {
            "ticks": self._ticks,
            "samples": self._samples,
            "newest": self._newest,
            "waiting": [list(entry) for entry in self._waiting],
            "held": self._held,
            "last": self._last,
            "inputs": self.input_values.tolist(),
            "outputs": self.output_values.tolist(),
            "normal": self._normal.state(),
            "faults": [fault.state() for fault in self._faults],
            "active": [self._faults.index(fault) for fault in self._active],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state`."""
        self._ticks, self._samples, self._newest = state["ticks"], state["samples"], state["newest"]
        self._waiting = [(int(due), int(sampled), float(value)) for due, sampled, value in state["waiting"]]
        self._held, self._last = state["held"], state["last"]
        self.input_values[:], self.output_values[:] = state["inputs"], state["outputs"]
        self._normal.restore(state["normal"])
        for fault, its in zip(self._faults, state["faults"], strict=True):
            fault.restore(its)
        self._active = [self._faults[position] for position in state["active"]]
