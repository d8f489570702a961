"""The section of any predictive controller, read into numbers in its model's units, and the ports that it asks for."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from controllers.base import (
    Key,
    Quantity,
    Wiring,
    period_of,
    port_of,
    positive,
    quantity,
    setpoint_source,
    unit_factor_at,
)
from controllers.design_space.space import DesignSpace, Range
from controllers.operation.border import Border, Channel, MeasuredChannel
from controllers.operation.config import CommonConfig, ManipulatedConfig, MeasurementConfig
from controllers.operation.enable import Enable
from controllers.operation.labels import label_of, labels_of
from controllers.operation.rules import OperationRules
from controllers.operation.schedule import ReferenceSchedule
from cosim.component import ControllerContext, FloatArray, Port
from fmus.errors import GalenicError

#: Weight of an operating point as resting value beside inputs whose ideal was chosen.
_NO_PREFERENCE = 1e-6
#: A sensor that gave nothing for so many of its periods is silent.
_SILENT_PERIODS = 5.0
#: A value further from the operating point than this many times the output's size is no measurement.
_FAR = 100.0
T = TypeVar("T")


class ModelSignal(Protocol):
    """An input or output of a model."""

    @property
    def name(self) -> str:
        """An input's is that of the scenario's signal."""

    @property
    def unit(self) -> str:
        """Of its values."""

    @property
    def operating_point(self) -> float:
        """Where it usually is."""


class SignalModel(Protocol):
    """What a section needs to know of a model."""

    @property
    def inputs(self) -> Sequence[ModelSignal]:
        """In the law's order."""

    @property
    def outputs(self) -> Sequence[ModelSignal]:
        """In the law's order."""

    @property
    def period(self) -> float:
        """In s."""

    def input_index(self, name: str) -> int:
        """By full or unique last name. Raises GalenicError."""

    def output_index(self, name: str) -> int:
        """By full or unique last name. Raises GalenicError."""


@dataclass(frozen=True)
class MeasurementRead:
    """A measurement in the model's units: the output, the noise, how old values are (s), the gate in sigmas."""

    output: int
    std: float
    delay: float
    gate: float | None


@dataclass(frozen=True)
class ControlledRead:
    """A controlled output in the model's units."""

    output: int
    tracked: bool
    weight: float
    limits: tuple[float, float]
    limit_weight: float
    rank: int
    scale: float | None


@dataclass(frozen=True)
class ManipulatedRead:
    """A manipulated input in the model's units."""

    low: float
    high: float
    max_move: float
    weight_move: float
    ideal: float
    weight_ideal: float
    weight_target: float


class SectionReader:
    """Reads what all sections share; call `measurements`, `controlled` and `manipulated` once each, then `border`.

    Args:
        config: the section.
        context: of the controller.
        model: its signals.
        sizes: usual size of each output, for what nobody gave; shape (p,).

    Raises:
        GalenicError: at the key at fault; so do all methods.
    """

    def __init__(
        self, config: CommonConfig, context: ControllerContext, model: SignalModel, sizes: FloatArray, *, key: str
    ) -> None:
        self.config, self.context, self.model, self.sizes, self.key = config, context, model, sizes, key
        self.wiring = Wiring()
        self.space: DesignSpace | None = None
        if config.design_space is not None:
            self.space = load_file(context, "design_space", config.design_space, DesignSpace.load)
        self.period = model.period if config.period is None else period_of(config.period, context)
        if abs(self.period - model.period) > 1e-9 * self.period:
            raise context.error(
                "period",
                f"the {key} is for {model.period:g} s, the controller runs every {self.period:g} s",
                f"leave 'period' out, or make the {key} again at this period",
            )
        self._labels = labels_of([y.name for y in model.outputs])
        self._measured: list[MeasuredChannel] = []
        self._references: dict[int, Callable[[FloatArray], float]] = {}
        self._schedules: dict[int, ReferenceSchedule] = {}
        self._controlled: list[int] = []
        self._fallbacks: list[Channel] = []
        self._targets: list[Channel] = []
        self._start: list[float] = []

    def index(self, kind: str, name: str, key: Key) -> int:
        """Where a signal stands in the model."""
        try:
            return self.model.input_index(name) if kind == "input" else self.model.output_index(name)
        except GalenicError as error:
            raise self.context.error(key, error.message, error.cure) from error

    def measurements(self) -> list[MeasurementRead]:
        """What is measured, in the order of the file."""
        return [self._measurement(name, entry) for name, entry in self.config.measurements.items()]

    def _measurement(self, name: str, entry: MeasurementConfig) -> MeasurementRead:
        context, key = self.context, ("measurements", name)
        index = self.index("output", entry.output or name, key)
        y = self.model.outputs[index]
        port = port_of(entry.sensor, context, (*key, "sensor"))
        factor, offset = unit_factor_at(port.unit, y.unit, context, (*key, "sensor"))
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
            noise = 0.0004 * float(self.sizes[index])
        low, high = self._limits(entry.limits, None, y.unit, key)
        far = _FAR * float(self.sizes[index])
        silent = _SILENT_PERIODS * max(known.period, self.period) + delay if known else math.inf
        if entry.max_age is not None:
            silent = positive(entry.max_age, "s", context, (*key, "max_age"))
        label = self._labels[index] if entry.output is None else name
        value = self.wiring.read(Port(f"{label}.measured", port.unit, port.start), entry.sensor)
        counter = None if sample is None else self.wiring.read(Port(f"{label}.sample", "1", 0.0), sample)
        quality = None
        if entry.quality is not None:
            port_of(entry.quality.signal, context, (*key, "quality", "signal"))
            quality = self.wiring.read(Port(f"{label}.quality", "1", 0.0), entry.quality.signal)
        self._measured.append(
            MeasuredChannel(
                value,
                factor,
                offset,
                name=y.name if entry.output is None else name,
                output=index,
                sample=counter,
                quality=quality,
                good_from=0.5 if entry.quality is None else entry.quality.good_from,
                needed=entry.needed,
                max_missed=self.config.max_missed if entry.max_missed is None else entry.max_missed,
                low=max(low, y.operating_point - far),
                high=min(high, y.operating_point + far),
                max_rate=math.inf
                if entry.max_rate is None
                else positive(entry.max_rate, f"({y.unit})/s", context, (*key, "max_rate")),
                frozen_after=entry.frozen_after or 0,
                max_age=silent,
                noise=noise,
            )
        )
        return MeasurementRead(index, noise, delay, entry.gate)

    def _limits(
        self, given: Sequence[Quantity | None] | None, limit: Range | None, unit: str, key: tuple[str | int, ...]
    ) -> tuple[float, float]:
        """Configured limits, not wider than the design space's, in ``unit``."""
        low, high = -math.inf, math.inf
        if limit is not None:
            factor, offset = unit_factor_at(limit.unit, unit, self.context, key)
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

    def controlled(self) -> list[ControlledRead]:
        """What is asked of outputs, in the order of the file."""
        context, result = self.context, []
        attributes = self.space.soft_limits if self.space else {}
        for name, entry in self.config.controlled.items():
            key = ("controlled", name)
            index = self.index("output", name, key)
            if index in self._controlled:
                raise context.error(key, f"'{name}' is controlled twice", "remove one of the two")
            self._controlled.append(index)
            y = self.model.outputs[index]
            limit = attributes.get(y.name, attributes.get(label_of(y.name)))
            limits = self._limits(entry.limits, limit, y.unit, key)
            if entry.reference is None and not any(map(math.isfinite, limits)):
                raise context.error(key, f"'{name}' has neither a reference nor limits", "add 'reference:'")
            scale = None
            if entry.scale is not None:
                scale = positive(entry.scale, y.unit, context, (*key, "scale"))
            elif all(map(math.isfinite, limits)):
                scale = (limits[1] - limits[0]) / 2.0
            if entry.reference is not None:
                self._references[index] = setpoint_source(
                    entry.reference,
                    y.unit,
                    f"{self._labels[index]}.setpoint",
                    self.wiring,
                    context,
                    (*key, "reference"),
                )
            if entry.preview:
                self._schedules[index] = ReferenceSchedule.read(entry.reference, y.unit, context, (*key, "preview"))
            tracked = entry.reference is not None
            result.append(ControlledRead(index, tracked, entry.weight, limits, entry.limit_weight, entry.rank, scale))
        return result

    def manipulated(self) -> list[ManipulatedRead]:
        """What may be done with inputs, in the order of the model."""
        context, space = self.context, self.space
        given = {self.index("input", n, ("manipulated", n)): (n, e) for n, e in self.config.manipulated.items()}
        chosen = any(e is not None and e.ideal is not None for _, e in given.values())
        ranges = space.hard_ranges([u.name for u in self.model.inputs]) if space else {}
        result = []
        for index, u in enumerate(self.model.inputs):
            name, entry = given.get(index, (u.name, None))
            entry = entry or ManipulatedConfig()
            key: tuple[str, ...] = ("manipulated", name) if index in given else (self.key,)
            port = port_of(u.name, context, key)
            factor, offset = unit_factor_at(port.unit, u.unit, self.context, key)
            hard = ranges.get(u.name)
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
            max_move = (high - low) / 20.0
            if entry.max_move is not None:
                max_move = positive(entry.max_move, u.unit, context, (*key, "max_move"))
            ideal = u.operating_point
            if entry.ideal is not None:
                ideal = quantity(entry.ideal, u.unit, context, (*key, "ideal"))
            weight_ideal = entry.weight_ideal if entry.ideal is not None or not chosen else _NO_PREFERENCE
            result.append(
                ManipulatedRead(low, high, max_move, entry.weight_move, ideal, weight_ideal, entry.weight_target)
            )
            back = self.wiring.read(Port(f"fallback.{u.name}", port.unit, None), None)
            self._fallbacks.append(Channel(back, factor, offset))
            first = u.operating_point if port.start is None else factor * port.start + offset
            first = min(max(first, low), high)
            bounds = ((low - offset) / factor, (high - offset) / factor)
            target = self.wiring.write(
                Port(u.name, port.unit, (first - offset) / factor, *bounds, f"drives {u.name}"), u.name
            )
            self._targets.append(Channel(target, factor, offset))
            self._start.append(first)
        return result

    def border(self) -> Border:
        """The ports that were made, and how the controller is operated."""
        config, context = self.config, self.context
        signals = {u.name: u.unit for u in self.model.inputs}
        estimate_after = max(0.0, quantity(config.estimate_after, "s", context, "estimate_after"))
        start_after = max(estimate_after, quantity(config.start_after, "s", context, "start_after"))
        return Border(
            period=self.period,
            wiring=self.wiring,
            supervises=tuple(config.supervises),
            estimate_after=estimate_after,
            start_after=start_after,
            rules=OperationRules.read(config.operation, context, signals, self.period),
            measured=self._measured,
            references=[self._references[i] for i in sorted(self._references)],
            controlled=self._controlled,
            fallbacks=self._fallbacks,
            targets=self._targets,
            start=self._start,
            space=self.space,
            sizes=self.sizes,
            labels=self._labels,
            operating_point=[y.operating_point for y in self.model.outputs],
            schedules=[self._schedules.get(i) for i in sorted(self._references)],
            enable=None if config.enable is None else Enable.read(config.enable, self.wiring, context),
        )


def load_file(context: ControllerContext, key: str, name: str, load: Callable[[Path], T], cure: str = "") -> T:
    """A file named in a section, relative to the scenario. Raises GalenicError at the key."""
    file = context.directory / Path(name).expanduser()
    if not file.is_file():
        where = f"{cure or 'check the path'}; it is relative to the scenario"
        raise context.error(key, f"there is no file {file}", where)
    return load(file)
