"""What the section of any predictive controller may say; quantities are numbers in the signal's unit, or texts."""

from __future__ import annotations

from pydantic import Field

from controllers.base import Config, Quantity
from controllers.operation.rules import OperationConfig


class QualityConfig(Config):
    """A signal that tells how good a value is; good from ``good_from`` on (OPC quality codes: 192)."""

    signal: str
    good_from: float = 0.5


class MeasurementConfig(Config):
    """How an output is measured; period, delay and noise default to those of the scenario's sensor.

    ``output`` names the output where the key is a name of its own: for a second sensor of one output.
    """

    sensor: str
    output: str | None = None
    sample: str | None = None
    delay: Quantity | None = None
    std: Quantity | None = None
    gate: float | None = Field(default=None, gt=0.0)
    needed: bool = True
    max_missed: int | None = Field(default=None, ge=0)
    limits: tuple[Quantity | None, Quantity | None] | None = None
    max_rate: Quantity | None = None
    frozen_after: int | None = Field(default=None, ge=2)
    max_age: Quantity | None = None
    quality: QualityConfig | None = None


class ControlledConfig(Config):
    """What an output is asked for; with ``preview`` the plan knows the reference's changes to come."""

    reference: Quantity | None = None
    preview: bool = False
    weight: float = Field(default=1.0, gt=0.0)
    limits: tuple[Quantity | None, Quantity | None] | None = None
    limit_weight: float = Field(default=100.0, gt=0.0)
    rank: int = Field(default=2, ge=2, le=3)
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


class CommonConfig(Config):
    """What the sections of all predictive controllers share, whatever their law.

    It drives from ``start_after`` on, once the condition ``enable`` has held.
    """

    type: str = "mpc"
    period: Quantity | None = None
    design_space: str | None = None
    supervises: list[str] = Field(default_factory=list)
    measurements: dict[str, MeasurementConfig] = Field(min_length=1)
    controlled: dict[str, ControlledConfig] = Field(min_length=1)
    manipulated: dict[str, ManipulatedConfig | None] = Field(default_factory=dict)
    estimate_after: Quantity = 0.0
    start_after: Quantity = 0.0
    enable: str | None = None
    max_missed: int = Field(default=0, ge=0)
    operation: OperationConfig = Field(default_factory=OperationConfig)
