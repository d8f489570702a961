"""A predictive controller's border: its ports, and how each value is read and written, in the model's units."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from controllers.base import Wiring
from controllers.design_space import DesignSpace
from controllers.operation.enable import Enable
from controllers.operation.rules import OperationRules
from controllers.operation.schedule import ReferenceSchedule
from cosim.component import FloatArray


@dataclass(frozen=True)
class Channel:
    """A value that crosses the controller's border: index of its port, and ``model = factor * port + offset``."""

    index: int
    factor: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True)
class MeasuredChannel(Channel):
    """A measurement as it arrives, with what its values are checked for, in the model's unit and s.

    Attributes:
        name: of the output, or of the sensor where one output has several.
        output: index of the output.
        sample: index of the sensor's counter; without one every value is new.
        quality: index of the quality code, which is good from ``good_from`` on.
        needed: whether the controller steps back when it is missing.
        max_missed: values in a row that may be missing.
        low: a value below is no measurement.
        high: a value above is no measurement.
        max_rate: a value that came faster than that from the last good one is none; per s.
        frozen_after: so many equal values in a row are a frozen probe.
        max_age: time without a good value after which it counts as missing.
        noise: standard deviation; a jump of some of these is no rate.
    """

    name: str = ""
    output: int = 0
    sample: int | None = None
    quality: int | None = None
    good_from: float = 0.5
    needed: bool = True
    max_missed: int = 0
    low: float = -math.inf
    high: float = math.inf
    max_rate: float = math.inf
    frozen_after: int = 0
    max_age: float = math.inf
    noise: float = 0.0


@dataclass
class Border:
    """A controller's ports, and what it may do; all in the model's units and order.

    Attributes:
        references: for each output with a reference, in the order of the outputs, its value from ``input_values``.
        controlled: indices of the controlled outputs in the order of the file.
        fallbacks: what the supervised loops would do, for each input.
        targets: what the controller drives, for each input.
        start: where the inputs begin.
        estimate_after: time in s at which estimation begins.
        start_after: time in s from which answers are in force.
        space: the design space, for its margin.
        sizes: usual size of each output.
        labels: name of each output's ports.
        schedules: for each of ``references`` what it will be, None where only its present value is known.
        enable: what has to have held once before answers are in force.
    """

    period: float
    wiring: Wiring
    supervises: Sequence[str]
    estimate_after: float
    start_after: float
    rules: OperationRules
    measured: list[MeasuredChannel]
    references: list[Callable[[FloatArray], float]]
    controlled: list[int]
    fallbacks: list[Channel]
    targets: list[Channel]
    start: list[float]
    space: DesignSpace | None
    sizes: FloatArray
    labels: list[str] = field(default_factory=list)
    operating_point: list[float] = field(default_factory=list)
    schedules: Sequence[ReferenceSchedule | None] = ()
    enable: Enable | None = None
