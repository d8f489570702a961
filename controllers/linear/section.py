"""The section of an MPC in a scenario file, turned into a control law and its border."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import Field

from controllers.base import Config, Key, Quantity, parse_config, positive
from controllers.design_space.constraint import region_constraint
from controllers.linear.disturbance_model import (
    Disturbance,
    DisturbanceModel,
    Kind,
    default_disturbances,
    default_wander,
    output_scale,
)
from controllers.linear.dynamic import move_blocks
from controllers.linear.estimator import MeasurementModel
from controllers.linear.law import LinearLaw
from controllers.linear.objective import ControlledOutput, ManipulatedInput, Objective
from controllers.linear.quadratic_program import SOLVERS
from controllers.operation.border import Border
from controllers.operation.config import CommonConfig
from controllers.operation.law import ControlLaw
from controllers.operation.section import SectionReader, load_file
from controllers.surrogates.linear_surrogate import LinearSurrogate
from cosim.component import ControllerContext
from fmus.errors import GalenicError, nearest


class DisturbanceConfig(Config):
    """One integrating disturbance: ``on`` an input, ``on_output``, or ``ramp`` of an integrating output."""

    on: str | None = None
    on_output: str | None = None
    ramp: str | None = None
    wander: Quantity | None = None


class MPCConfig(CommonConfig):
    """The section of a scenario file where the law is linear."""

    surrogate: str
    disturbances: list[DisturbanceConfig] | None = None
    prediction_horizon: Quantity = "15 min"
    control_horizon: Quantity = "5 min"
    blocks: list[int] | None = None
    process_noise: float = Field(default=0.003, gt=0.0)
    solver: str = "daqp"


def build(config: Mapping[str, Any], context: ControllerContext) -> tuple[ControlLaw, Border]:
    """The law that a section asks for, and its border: linear with ``surrogate:``, nonlinear with ``model:``.

    Raises:
        GalenicError: at the key at fault.
    """
    if "model" in config:
        from controllers.nonlinear import section

        asked = parse_config(section.NonlinearSection, config, context)
        model, common = section.reader(asked, context)
        return section.build(asked, model, common), common.border()
    reader = _LinearReader(parse_config(MPCConfig, config, context), context)
    return reader.law(), reader.common.border()


class _LinearReader:
    def __init__(self, config: MPCConfig, context: ControllerContext) -> None:
        self.config, self.context = config, context
        cure = "run 'galenic identify' to make it"
        self.surrogate, self._file = load_file(
            context, "surrogate", config.surrogate, lambda file: (LinearSurrogate.load(file), file), cure
        )
        self.common = SectionReader(config, context, self.surrogate, output_scale(self.surrogate), key="surrogate")
        if config.solver not in SOLVERS:
            raise context.error("solver", f"unknown solver '{config.solver}'", nearest(config.solver, SOLVERS))

    def law(self) -> LinearLaw:
        c, context, period = self.config, self.context, self.common.period
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
        measurements = [
            MeasurementModel(m.output, m.std, round(m.delay / period), m.gate) for m in self.common.measurements()
        ]
        controlled, manipulated = self._controlled(), self._manipulated()
        space, inputs = self.common.space, self.surrogate.inputs
        law = LinearLaw(
            self.surrogate,
            self._disturbances([m.output for m in measurements]),
            measurements,
            Objective(controlled, manipulated),
            steps=steps,
            blocks=list(c.blocks) if c.blocks is not None else move_blocks(control),
            process_noise=c.process_noise,
            solver=c.solver,
            region=None
            if space is None
            else region_constraint(space, [u.name for u in inputs], [u.unit for u in inputs]),
        )
        law.notices = self._changes()
        return law

    def _changes(self) -> tuple[str, ...]:
        """What has changed at the plant since the surrogate was made."""
        if "model_digest" not in self.surrogate.provenance:
            return ()  # so that CasADi is not loaded for nothing
        from controllers.surrogates.files import changes_since

        return changes_since(self.surrogate.provenance, self._file)

    def _controlled(self) -> tuple[ControlledOutput, ...]:
        half = np.array([(u.max - u.min) / 2.0 for u in self.surrogate.inputs])
        response = np.abs(self.surrogate.step_response(60)).max(axis=0) @ half
        return tuple(
            ControlledOutput(
                y.output,
                y.scale or float(response[y.output]) or 1.0,
                y.tracked,
                y.weight,
                y.limits,
                y.limit_weight,
                y.rank,
            )
            for y in self.common.controlled()
        )

    def _manipulated(self) -> tuple[ManipulatedInput, ...]:
        return tuple(
            ManipulatedInput(
                (u.low, u.high),
                (u.high - u.low) / 2.0,
                u.max_move,
                u.weight_move,
                u.ideal,
                u.weight_ideal,
                u.weight_target,
            )
            for u in self.common.manipulated()
        )

    def _index(self, kind: str, name: str, key: Key) -> int:
        return self.common.index(kind, name, key)

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
