"""The section of an MPC in a scenario file, turned into numbers in the surrogate's units."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from controllers.base import (
    Config,
    Key,
    Quantity,
    Wiring,
    parse_config,
    period_of,
    port_of,
    positive,
    quantity,
    setpoint_source,
    unit_factor,
)
from controllers.design_space import DesignSpace, Range
from controllers.disturbance_model import Disturbance, DisturbanceModel, Kind, default_disturbances, default_wander
from controllers.dynamic import move_blocks
from controllers.estimator import MeasurementModel
from controllers.objective import ControlledOutput, ManipulatedInput, Objective
from controllers.quadratic_program import SOLVERS
from controllers.surrogate import LinearSurrogate
from cosim.component import ControllerContext, FloatArray, Port
from fmus.errors import GalenicError, nearest

#: Weight of an operating point as resting value beside inputs whose ideal was chosen.
_NO_PREFERENCE = 1e-6


class MeasurementConfig(Config):
    """How an output is measured; period, delay and noise default to those of the scenario's sensor."""

    sensor: str
    sample: str | None = None
    delay: Quantity | None = None
    std: Quantity | None = None
    gate: float | None = Field(default=None, gt=0.0)


class ControlledConfig(Config):
    """What an output is asked for."""

    reference: Quantity | None = None
    weight: float = Field(default=1.0, gt=0.0)
    limits: tuple[Quantity | None, Quantity | None] | None = None
    limit_weight: float = Field(default=100.0, gt=0.0)
    scale: Quantity | None = None


class ManipulatedConfig(Config):
    """What may be done with an input; its hard bounds are the design space's, or narrower.

    ``ideal`` is where it rests when the references leave a choice. Where no input has one, all rest near the
    surrogate's operating point; where some have, the others follow.
    """

    limits: tuple[Quantity | None, Quantity | None] | None = None
    max_move: Quantity | None = None
    weight_move: float = Field(default=1.0, gt=0.0)
    ideal: Quantity | None = None
    weight_ideal: float = Field(default=0.001, gt=0.0)
    weight_target: float = Field(default=0.001, gt=0.0)


class DisturbanceConfig(Config):
    """One integrating disturbance: ``on`` an input, ``on_output``, or ``ramp`` of an integrating output."""

    on: str | None = None
    on_output: str | None = None
    ramp: str | None = None
    wander: Quantity | None = None


class MPCConfig(Config):
    """The section of a scenario file."""

    type: str = "mpc"
    period: Quantity | None = None
    surrogate: str
    design_space: str | None = None
    supervises: list[str] = Field(default_factory=list)
    measurements: dict[str, MeasurementConfig] = Field(min_length=1)
    controlled: dict[str, ControlledConfig] = Field(min_length=1)
    manipulated: dict[str, ManipulatedConfig | None] = Field(default_factory=dict)
    disturbances: list[DisturbanceConfig] | None = None
    prediction_horizon: Quantity = "15 min"
    control_horizon: Quantity = "5 min"
    blocks: list[int] | None = None
    start_after: Quantity = 0.0
    max_missed: int = Field(default=0, ge=0)
    process_noise: float = Field(default=0.003, gt=0.0)
    solver: str = "daqp"


@dataclass(frozen=True)
class Channel:
    """A value that crosses the controller's border: index of its port, and ``model = factor * port + offset``."""

    index: int
    factor: float = 1.0
    offset: float = 0.0
    sample: int | None = None


@dataclass
class MPCSettings:
    """Everything that the controller needs, in the surrogate's units; made by `MPCSettings.from_config`."""

    surrogate: LinearSurrogate
    disturbances: DisturbanceModel
    measurements: list[MeasurementModel]
    objective: Objective
    steps: int
    blocks: list[int]
    period: float
    start_inputs: FloatArray
    process_noise: float = 0.003
    solver: str = "daqp"
    start_after: float = 0.0
    max_missed: int = 0
    supervises: Sequence[str] = ()
    wiring: Wiring = field(default_factory=Wiring)
    measured: list[Channel] = field(default_factory=list)
    references: list[Any] = field(default_factory=list)
    fallbacks: list[Channel] = field(default_factory=list)
    targets: list[Channel] = field(default_factory=list)

    @classmethod
    def from_config(cls, config: Mapping[str, Any], context: ControllerContext) -> MPCSettings:
        """Read and check a section. Raises GalenicError at the key at fault."""
        return _Reader(parse_config(MPCConfig, config, context), context).settings()


class _Reader:
    def __init__(self, config: MPCConfig, context: ControllerContext) -> None:
        self.config, self.context, self.wiring = config, context, Wiring()
        self.surrogate: LinearSurrogate = self._load("surrogate", config.surrogate, LinearSurrogate.load)
        self.space: DesignSpace | None = (
            None if config.design_space is None else self._load("design_space", config.design_space, DesignSpace.load)
        )
        self.period = self.surrogate.period if config.period is None else period_of(config.period, context)
        if abs(self.period - self.surrogate.period) > 1e-9 * self.period:
            raise context.error(
                "period",
                f"the surrogate is for {self.surrogate.period:g} s, the controller runs every {self.period:g} s",
                "leave 'period' out, or identify the surrogate again at this period",
            )
        if config.solver not in SOLVERS:
            raise context.error("solver", f"unknown solver '{config.solver}'", nearest(config.solver, SOLVERS))

    def _load(self, key: str, name: str, load: Any) -> Any:
        file = self.context.directory / Path(name).expanduser()
        if not file.is_file():
            cure = "run 'galenic identify' to make it" if key == "surrogate" else "check the path"
            raise self.context.error(key, f"there is no file {file}", f"{cure}; it is relative to the scenario")
        return load(file)

    def settings(self) -> MPCSettings:
        c, context, s = self.config, self.context, self.surrogate
        period = period_of(self.period, context)
        steps = max(1, round(positive(c.prediction_horizon, "s", context, "prediction_horizon") / period))
        control = max(1, round(positive(c.control_horizon, "s", context, "control_horizon") / period))
        if c.blocks is None and control > steps:
            raise context.error(
                "control_horizon", "the control horizon is longer than the prediction horizon", "shorten it"
            )
        if c.blocks is not None and (not c.blocks or min(c.blocks) < 1 or sum(c.blocks) > steps):
            raise context.error(
                "blocks", f"blocks {c.blocks} do not fit into {steps} periods", "give lengths in periods from 1 on"
            )
        measurements, measured = self._measurements()
        controlled, references = self._controlled()
        manipulated, fallbacks, targets, start = self._manipulated()
        return MPCSettings(
            surrogate=s,
            disturbances=self._disturbances([m.output for m in measurements]),
            measurements=measurements,
            objective=Objective(tuple(controlled), tuple(manipulated)),
            steps=steps,
            blocks=list(c.blocks) if c.blocks is not None else move_blocks(control),
            period=period,
            start_inputs=np.array(start),
            process_noise=c.process_noise,
            solver=c.solver,
            start_after=max(0.0, quantity(c.start_after, "s", context, "start_after")),
            max_missed=c.max_missed,
            supervises=tuple(c.supervises),
            wiring=self.wiring,
            measured=measured,
            references=references,
            fallbacks=fallbacks,
            targets=targets,
        )

    def _index(self, kind: str, name: str, key: Key) -> int:
        try:
            return self.surrogate.input_index(name) if kind == "input" else self.surrogate.output_index(name)
        except GalenicError as error:
            raise self.context.error(key, error.message, error.cure) from error

    def _conversion(self, source: str, target: str, key: Key) -> tuple[float, float]:
        try:
            return unit_factor(source, target)
        except GalenicError as error:
            raise self.context.error(key, error.message, error.cure) from error

    def _measurements(self) -> tuple[list[MeasurementModel], list[Channel]]:
        context, models, channels = self.context, [], []
        for name, entry in self.config.measurements.items():
            key = ("measurements", name)
            index = self._index("output", name, key)
            y = self.surrogate.outputs[index]
            port = port_of(entry.sensor, context, (*key, "sensor"))
            factor, offset = self._conversion(port.unit, y.unit, (*key, "sensor"))
            known = context.measurements.get(entry.sensor)
            sample = entry.sample
            if sample is None and known is not None:
                sample = f"{entry.sensor.partition('.')[0]}.sample"
            elif sample is not None:
                port_of(sample, context, (*key, "sample"))
            delay = known.delay if known else 0.0
            if entry.delay is not None:
                delay = quantity(entry.delay, "s", context, (*key, "delay"))
            if delay < 0.0:
                raise context.error((*key, "delay"), "a delay cannot be negative", "give 0 s or more")
            noise = abs(factor) * known.noise if known else 0.0
            if entry.std is not None:
                noise = positive(entry.std, y.unit, context, (*key, "std"))
            if noise <= 0.0:  # a filter needs to trust a perfect sensor a little less than fully
                noise = 0.02 * default_wander(self.surrogate, "output", y.name)
            models.append(MeasurementModel(index, noise, round(delay / self.period), entry.gate))
            label = _label(y.name)
            value = self.wiring.read(Port(f"{label}.measured", port.unit, port.start), entry.sensor)
            counter = None if sample is None else self.wiring.read(Port(f"{label}.sample", "1", 0.0), sample)
            channels.append(Channel(value, factor, offset, counter))
        return models, channels

    def _limits(
        self, given: Sequence[Quantity | None] | None, limit: Range | None, unit: str, key: tuple[str | int, ...]
    ) -> tuple[float, float]:
        """Configured limits, not wider than the design space's, in ``unit``."""
        low, high = -math.inf, math.inf
        if limit is not None:
            factor, offset = self._conversion(limit.unit, unit, key)
            low, high = factor * limit.min + offset, factor * limit.max + offset
        for side, value in enumerate(given or ()):
            if value is not None:
                number = quantity(value, unit, self.context, (*key, "limits", side))
                low, high = (max(low, number), high) if side == 0 else (low, min(high, number))
        if low >= high:
            raise self.context.error(
                key,
                f"limits {low:g} to {high:g} {unit} leave nothing",
                "the lower limit has to be below the upper one, and both inside the design space",
            )
        return low, high

    def _controlled(self) -> tuple[list[ControlledOutput], list[Any]]:
        context, outputs, references = self.context, [], []
        half = np.array([(u.max - u.min) / 2.0 for u in self.surrogate.inputs])
        response = np.abs(self.surrogate.step_response(60)).max(axis=0) @ half
        seen: set[int] = set()
        for name, entry in self.config.controlled.items():
            key = ("controlled", name)
            index = self._index("output", name, key)
            if index in seen:
                raise context.error(key, f"'{name}' is controlled twice", "remove one of the two")
            seen.add(index)
            y = self.surrogate.outputs[index]
            attributes = self.space.critical_quality_attributes if self.space else {}
            limits = self._limits(entry.limits, attributes.get(y.name, attributes.get(_label(y.name))), y.unit, key)
            if entry.reference is None and not any(map(math.isfinite, limits)):
                raise context.error(key, f"'{name}' has neither a reference nor limits", "add 'reference:'")
            if entry.scale is not None:
                scale = positive(entry.scale, y.unit, context, (*key, "scale"))
            elif all(map(math.isfinite, limits)):
                scale = (limits[1] - limits[0]) / 2.0
            else:
                scale = float(response[index]) or 1.0
            tracked = entry.reference is not None
            if entry.reference is not None:
                references.append(
                    setpoint_source(
                        entry.reference, y.unit, f"{_label(y.name)}.setpoint", self.wiring, context, (*key, "reference")
                    )
                )
            outputs.append(ControlledOutput(index, scale, tracked, entry.weight, limits, entry.limit_weight))
        return outputs, references

    def _manipulated(self) -> tuple[list[ManipulatedInput], list[Channel], list[Channel], list[float]]:
        context, space = self.context, self.space
        given = {self._index("input", n, ("manipulated", n)): (n, e) for n, e in self.config.manipulated.items()}
        chosen = any(e is not None and e.ideal is not None for _, e in given.values())
        inputs, fallbacks, targets, start = [], [], [], []
        for index, u in enumerate(self.surrogate.inputs):
            name, entry = given.get(index, (u.name, None))
            entry = entry or ManipulatedConfig()
            key: tuple[str, ...] = ("manipulated", name) if index in given else ("surrogate",)
            port = port_of(u.name, context, key)
            factor, offset = self._conversion(port.unit, u.unit, key)
            hard = space.setpoints.get(u.name) if space else None
            low, high = self._limits(entry.limits, hard, u.unit, key)
            if port.min is not None:
                low = max(low, factor * port.min + offset)
            if port.max is not None:
                high = min(high, factor * port.max + offset)
            if not (math.isfinite(low) and math.isfinite(high) and low < high):
                raise context.error(
                    key,
                    f"'{u.name}' has no finite bounds, or none that the variable itself allows",
                    "add it to the design space, or give 'limits: [min, max]'",
                )
            width = high - low
            max_move = width / 20.0
            if entry.max_move is not None:
                max_move = positive(entry.max_move, u.unit, context, (*key, "max_move"))
            ideal = u.operating_point
            if entry.ideal is not None:
                ideal = quantity(entry.ideal, u.unit, context, (*key, "ideal"))
            weight_ideal = entry.weight_ideal if entry.ideal is not None or not chosen else _NO_PREFERENCE
            inputs.append(
                ManipulatedInput(
                    (low, high), width / 2.0, max_move, entry.weight_move, ideal, weight_ideal, entry.weight_target
                )
            )
            back = self.wiring.read(Port(f"fallback.{u.name}", port.unit, None), None)
            fallbacks.append(Channel(back, factor, offset))
            first = u.operating_point if port.start is None else factor * port.start + offset
            first = min(max(first, low), high)
            bounds = ((low - offset) / factor, (high - offset) / factor)
            target = self.wiring.write(
                Port(u.name, port.unit, (first - offset) / factor, *bounds, f"drives {u.name}"), u.name
            )
            targets.append(Channel(target, factor, offset))
            start.append(first)
        return inputs, fallbacks, targets, start

    def _disturbances(self, measured: Sequence[int]) -> DisturbanceModel:
        s, context = self.surrogate, self.context
        entries = self.config.disturbances
        chosen = (
            default_disturbances(s, measured)
            if entries is None
            else [self._disturbance(e, ("disturbances", i)) for i, e in enumerate(entries)]
        )
        try:
            model = DisturbanceModel.build(s, chosen)
            model.check_detectable(s, measured)
        except GalenicError as error:
            raise context.error("disturbances" if entries is not None else (), error.message, error.cure) from error
        return model

    def _disturbance(self, entry: DisturbanceConfig, key: tuple[str | int, ...]) -> Disturbance:
        places: tuple[tuple[Kind, str, str | None], ...] = (
            ("input", "on", entry.on),
            ("output", "on_output", entry.on_output),
            ("ramp", "ramp", entry.ramp),
        )
        kinds = [(kind, option, value) for kind, option, value in places if value is not None]
        if len(kinds) != 1:
            raise self.context.error(
                key, "a disturbance acts in one place", "write one of 'on: input', 'on_output: output', 'ramp: output'"
            )
        kind, option, signal = kinds[0]
        index = self._index("input" if kind == "input" else "output", signal, (*key, option))
        item = self.surrogate.inputs[index] if kind == "input" else self.surrogate.outputs[index]
        wander = default_wander(self.surrogate, kind, item.name)
        if entry.wander is not None:
            unit = f"({item.unit})/h" if kind == "ramp" else item.unit
            wander = positive(entry.wander, unit, self.context, (*key, "wander"))
        return Disturbance(kind, item.name, wander)


def _label(signal: str) -> str:
    """The last name of a signal: ``label_claim`` of ``press.label_claim``."""
    return signal.rsplit(".", 1)[-1]
