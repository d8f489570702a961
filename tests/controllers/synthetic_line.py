"""A small nonlinear tablet line for tests of controllers, and a context without a scenario file."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cosim.component import ControllerContext, Measurement, Port
from fmus.errors import GalenicError, nearest

INPUTS = {
    "api_feeder.mass_flow_setpoint": ("kg/h", 2.545),
    "excipient_feeder.mass_flow_setpoint": ("kg/h", 24.575),
    "press.turret_speed_setpoint": ("1/h", 120000.0),
    "press.fill_depth_setpoint": ("mm", 6.55),
    "press.gap_setpoint": ("mm", 2.07),
}
OUTPUTS = {
    "press.label_claim": "%",
    "press.tablet_weight": "mg",
    "press.hardness": "N",
    "press.main_compression_force": "kN",
    "feed_frame.level": "%",
}


@dataclass
class SyntheticLine:
    """A tablet line reduced to lags, a dead time and a hopper; one step is one second."""

    fill_gain: float = 1.0
    force_gain: float = 1.0
    label_claim_gain: float = 1.0
    density: float = 1.0
    strength: float = 1.0
    label_claim_bias: float = 0.0
    force_bias: float = 0.0
    excipient_loss: float = 0.0
    capacity: float = 5.0
    start: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.inputs = {name: self.start.get(name, value) for name, (_, value) in INPUTS.items()}
        self.time = 0.0
        self.in_line = deque([2.545 / 27.12] * 60)
        self.blend = 2.545 / 27.12
        self.fill, self.gap, self.speed = 6.55, 2.07, 120000.0
        self.level = 50.0

    def unit(self, name: str) -> str:
        known = {**{n: u for n, (u, _) in INPUTS.items()}, **OUTPUTS}
        if name not in known:
            raise GalenicError(f"there is no signal '{name}'", cure=nearest(name, known))
        return known[name]

    def set(self, name: str, value: float) -> None:
        self.inputs[name] = value

    def advance(self, seconds: float) -> None:
        u = self.inputs
        for _ in range(round(seconds)):
            api, excipient = u["api_feeder.mass_flow_setpoint"], u["excipient_feeder.mass_flow_setpoint"]
            total = api + excipient * (1.0 - self.excipient_loss)
            self.in_line.append(api / total)
            arriving = self.in_line.popleft()
            self.blend += (arriving - self.blend) * (1.0 - math.exp(-1.0 / 150.0))
            mix = 1.0 - math.exp(-1.0 / 3.0)
            self.fill += (u["press.fill_depth_setpoint"] - self.fill) * mix
            self.gap += (u["press.gap_setpoint"] - self.gap) * mix
            self.speed += (u["press.turret_speed_setpoint"] - self.speed) * mix
            drawn = self.weight * 1e-6 * self.speed
            self.level += (total - drawn) / 3600.0 / self.capacity * 100.0
            self.time += 1.0

    def close(self) -> None:
        pass

    @property
    def weight(self) -> float:
        return self.density * (226.0 + self.fill_gain * 34.5 * (self.fill - 6.55))

    @property
    def equivalent_fill(self) -> float:
        return self.weight / 34.5

    @property
    def force(self) -> float:
        fill = self.equivalent_fill - 226.0 / 34.5
        return max(0.1, 6.0 + self.force_gain * (4.0 * fill - 9.6 * (self.gap - 2.07)) + 0.2 * fill**2)

    def outputs(self) -> dict[str, float]:
        weight, force = self.weight, self.force
        label_claim = 100.0 * weight / 226.0 * self.blend / (2.545 / 27.12)
        return {
            "press.label_claim": self.label_claim_gain * (label_claim - 100.0) + 100.0 + self.label_claim_bias,
            "press.tablet_weight": weight,
            "press.hardness": self.strength * (51.0 + 8.0 * (force - 6.0)),
            "press.main_compression_force": force + self.force_bias,
            "feed_frame.level": self.level,
        }

    def get(self, names: Sequence[str]) -> np.ndarray:
        values = {**self.inputs, **self.outputs()}
        return np.array([values[name] for name in names])


@dataclass
class Sensors:
    """The measurements of the synthetic line, with sampling, delay and noise; ``step`` every 10 s."""

    specs: Mapping[str, tuple[str, int, int, float]]
    seed: int = 1
    noisy: bool = True

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.seed)
        self.count = 0
        self.values = dict.fromkeys(self.specs, math.nan)
        self.samples = dict.fromkeys(self.specs, 0)
        self.waiting: list[tuple[int, str, float]] = []

    def step(self, outputs: Mapping[str, float]) -> None:
        k = self.count
        for name, (signal, every, late, noise) in self.specs.items():
            if k % every == 0:
                value = outputs[signal] + (noise * self.random.normal() if self.noisy else 0.0)
                self.waiting.append((k + late, name, value))
                if math.isnan(self.values[name]):
                    self.values[name] = value
        for due, name, value in [w for w in self.waiting if w[0] <= k]:
            self.values[name] = value
            self.samples[name] += 1
            self.waiting.remove((due, name, value))
        self.count += 1


SENSORS = {
    "force_sensor": ("press.main_compression_force", 1, 0, 0.05),
    "level_sensor": ("feed_frame.level", 1, 0, 0.3),
    "nir": ("press.label_claim", 3, 3, 0.5),
    "weight_check": ("press.tablet_weight", 30, 6, 0.5),
    "hardness_check": ("press.hardness", 30, 6, 1.0),
}


class Context:
    """A `ControllerContext` for ports of the synthetic line; errors keep the key path."""

    def __init__(self, directory: Path = Path("."), extra: Mapping[str, Port] | None = None) -> None:
        self.ports: dict[str, Port] = {n: Port(n, u, v) for n, (u, v) in INPUTS.items()}
        self.ports |= {n: Port(n, u) for n, u in OUTPUTS.items()}
        measurements = {}
        for name, (signal, every, late, noise) in SENSORS.items():
            self.ports[f"{name}.value"] = Port("value", OUTPUTS[signal])
            self.ports[f"{name}.sample"] = Port("sample", "1", 0.0)
            measurements[f"{name}.value"] = Measurement(signal, 10.0 * every, 10.0 * late, noise)
        self.ports |= dict(extra or {})
        self.context = ControllerContext("test", directory, 1.0, 1, self._port, self._error, measurements)

    def _port(self, signal: str) -> Port:
        if signal not in self.ports:
            raise GalenicError(f"there is no signal '{signal}'", cure=nearest(signal, self.ports))
        return self.ports[signal]

    def _error(self, path: tuple[Any, ...], message: str, cure: str) -> GalenicError:
        return GalenicError(message, cure=cure, file=Path("/".join(str(p) for p in path) or "section"), line=1)
