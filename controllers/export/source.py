"""What of a predictive controller is exported, read from its law and its border."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from controllers.export.nonlinear_tables import refuse_what_is_not_exported
from controllers.linear.law import LinearLaw
from controllers.mpc import MPCController
from controllers.nonlinear.law import NonlinearLaw
from controllers.operation.border import Border, Channel, MeasuredChannel
from controllers.operation.rules import OperationRules
from controllers.operation.schedule import ReferenceSchedule
from controllers.operation.shell import _FAR
from cosim.component import FloatArray, Port
from fmus.errors import GalenicError


@dataclass(frozen=True)
class PortChannel:
    """A variable of the FMU, and how its value is read: ``model = factor * value + offset``."""

    name: str
    unit: str
    start: float
    factor: float
    offset: float


@dataclass(frozen=True)
class MeasuredPort:
    """A measurement: its value, its counter and its quality code where it has them, and its checks."""

    value: PortChannel
    sample: str
    quality: str
    checks: MeasuredChannel


@dataclass(frozen=True)
class SoftLimits:
    """Of an output, in its unit; infinite where there is none."""

    output: int
    limits: tuple[float, float]
    scale: float


@dataclass(frozen=True)
class ExportedMPC:
    """An MPC as it is exported; times in s, values in the model's units.

    Attributes:
        law: what plans.
        period: between executions.
        estimate_after: when the estimator begins.
        start_after: from when answers are in force.
        start: where the inputs begin, shape (m,).
        measured: in the order of the law's measurements.
        delays: of each measurement.
        rules: how it is operated.
        tracked: outputs with a reference, in the law's order.
        controlled: outputs that are shown.
        soft: outputs with soft limits that may be changed.
        operating_point: of each output.
        references: of ``tracked``.
        plausible_references: what each may be.
        fallbacks: of each input.
        targets: of each input.
        told: known inputs that are measured, by name.
        schedules: of ``references``, where they are known in advance.
        waits: whether a condition has to hold once before it drives.
    """

    law: LinearLaw | NonlinearLaw
    period: float
    estimate_after: float
    start_after: float
    start: FloatArray
    measured: Sequence[MeasuredPort]
    delays: Sequence[float]
    rules: OperationRules
    tracked: Sequence[int]
    controlled: Sequence[int]
    soft: Sequence[SoftLimits]
    operating_point: Sequence[float]
    references: Sequence[PortChannel]
    plausible_references: Sequence[tuple[float, float]]
    fallbacks: Sequence[PortChannel]
    targets: Sequence[PortChannel]
    told: Mapping[str, PortChannel] = field(default_factory=dict)
    schedules: Sequence[ReferenceSchedule | None] = ()
    waits: bool = False


def exported_mpc(controller: MPCController) -> ExportedMPC:
    """Of a controller.

    Raises:
        GalenicError: its law, or what the law does, cannot be exported.
    """
    law, border = controller.law, controller.border
    inputs, outputs = border.wiring.inputs, border.wiring.outputs
    points = list(border.operating_point)
    if isinstance(law, LinearLaw):
        if law.region is not None:
            raise GalenicError(
                "a design space that is more than ranges cannot be exported as C", cure="export it with --python"
            )
        if any(border.schedules):
            raise GalenicError(
                "references known in advance (preview:) of a linear law cannot be exported as C",
                cure="export it with --python",
            )
        tracked = [y.index for y in law._objective.tracked]
        controlled = [y.index for y in law._objective.outputs]
        soft = [SoftLimits(y.index, y.limits, y.scale) for y in law._objective.limited]
        delays = [m.delay * border.period for m in law.estimator._measurements]
    elif isinstance(law, NonlinearLaw):
        refuse_what_is_not_exported(law)
        tracked = [law.model.output_index(c.output) for c in law.specification.tracked]
        controlled, soft = list(border.controlled), []
        delays = [c.delay * border.period for c in law.estimator.channels]
    else:
        raise GalenicError(
            f"a controller with a {type(law).__name__} cannot be exported as C", cure="export it with --python"
        )
    measured = [
        MeasuredPort(
            _channel(inputs[c.index], c, points[c.output]),
            "" if c.sample is None else inputs[c.sample].name,
            "" if c.quality is None else inputs[c.quality].name,
            c,
        )
        for c in border.measured
    ]
    return ExportedMPC(
        law,
        border.period,
        border.estimate_after,
        border.start_after,
        np.array(border.start),
        measured,
        delays,
        border.rules,
        tracked,
        controlled,
        soft,
        points,
        _references(border, tracked),
        [(points[i] - _FAR * border.sizes[i], points[i] + _FAR * border.sizes[i]) for i in tracked],
        [_channel(inputs[c.index], c, s) for c, s in zip(border.fallbacks, border.start, strict=True)],
        [_channel(outputs[c.index], c, s) for c, s in zip(border.targets, border.start, strict=True)],
        _told(law, inputs) if isinstance(law, NonlinearLaw) else {},
        border.schedules,
        border.enable is not None,
    )


def _told(law: NonlinearLaw, inputs: Sequence[Port]) -> dict[str, PortChannel]:
    found = {}
    for name, index, factor, offset in law.known_ports:
        port = inputs[index]
        start = (law._known[name].values[0] - offset) / factor
        found[name] = PortChannel(port.name, port.unit or "1", start, factor, offset)
    return found


def _channel(port: Port, channel: Channel, at: float) -> PortChannel:
    start = (float(at) - channel.offset) / channel.factor
    return PortChannel(port.name, port.unit or "1", start, channel.factor, channel.offset)


def _references(border: Border, tracked: Sequence[int]) -> list[PortChannel]:
    """In the law's order; the border has them in the order of the outputs."""
    ports, found = border.wiring.inputs, {}
    for index, reference in zip(sorted(tracked), border.references, strict=True):
        offset = reference(np.zeros(len(ports)))  # affine in one input
        slopes = [reference(row) - offset for row in np.eye(len(ports))]
        place = int(np.argmax(np.abs(slopes)))
        port, at = ports[place], border.operating_point[index]
        start = float((at - offset) / slopes[place]) if port.start is None else port.start
        found[index] = PortChannel(port.name, port.unit or "1", start, float(slopes[place]), float(offset))
    return [found[index] for index in tracked]
