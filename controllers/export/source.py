"""What of a predictive controller is exported, read from its law and its border."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from controllers.linear_law import LinearLaw
from controllers.mpc import MPCController
from controllers.operation.border import Border, Channel, MeasuredChannel
from controllers.operation.rules import OperationRules
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
class LinearMPC:
    """A linear MPC as it is exported; times in s, values in the model's units."""

    law: LinearLaw
    period: float
    estimate_after: float
    start_after: float
    start: FloatArray
    measured: Sequence[MeasuredPort]
    rules: OperationRules
    references: Sequence[PortChannel]
    plausible_references: Sequence[tuple[float, float]]
    fallbacks: Sequence[PortChannel]
    targets: Sequence[PortChannel]


def linear_mpc(controller: MPCController) -> LinearMPC:
    """Of a controller.

    Raises:
        GalenicError: its law is no linear one.
    """
    law, border = controller.law, controller.border
    if not isinstance(law, LinearLaw):
        raise GalenicError(
            f"a controller with a {type(law).__name__} cannot be exported as C",
            cure="export it with --python, or one with 'surrogate:', a linear model",
        )
    inputs, outputs = border.wiring.inputs, border.wiring.outputs
    points = [y.operating_point for y in law._surrogate.outputs]
    tracked = [y.index for y in law._objective.tracked]
    measured = [
        MeasuredPort(
            _channel(inputs[c.index], c, points[c.output]),
            "" if c.sample is None else inputs[c.sample].name,
            "" if c.quality is None else inputs[c.quality].name,
            c,
        )
        for c in border.measured
    ]
    return LinearMPC(
        law,
        border.period,
        border.estimate_after,
        border.start_after,
        np.array(border.start),
        measured,
        border.rules,
        _references(law, border),
        [(points[i] - _FAR * border.sizes[i], points[i] + _FAR * border.sizes[i]) for i in tracked],
        [_channel(inputs[c.index], c, s) for c, s in zip(border.fallbacks, border.start, strict=True)],
        [_channel(outputs[c.index], c, s) for c, s in zip(border.targets, border.start, strict=True)],
    )


def _channel(port: Port, channel: Channel, at: float) -> PortChannel:
    start = (float(at) - channel.offset) / channel.factor
    return PortChannel(port.name, port.unit or "1", start, channel.factor, channel.offset)


def _references(law: LinearLaw, border: Border) -> list[PortChannel]:
    """In the order of the objective's tracked outputs; the border has them in the order of the outputs."""
    ports, found = border.wiring.inputs, {}
    tracked = sorted(law._objective.tracked, key=lambda y: y.index)
    for y, reference in zip(tracked, border.references, strict=True):
        offset = reference(np.zeros(len(ports)))  # affine in one input
        slopes = [reference(row) - offset for row in np.eye(len(ports))]
        place = int(np.argmax(np.abs(slopes)))
        port, at = ports[place], law._surrogate.outputs[y.index].operating_point
        start = float((at - offset) / slopes[place]) if port.start is None else port.start
        found[y.index] = PortChannel(port.name, port.unit or "1", start, float(slopes[place]), float(offset))
    return [found[y.index] for y in law._objective.tracked]
