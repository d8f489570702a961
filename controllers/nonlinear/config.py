"""What the section of a nonlinear predictive controller may say."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from controllers.base import Config, Quantity
from controllers.operation.config import CommonConfig, ControlledConfig, ManipulatedConfig


class NonlinearControlledConfig(ControlledConfig):
    """As of every law, and the weight of the deviation at the end of the horizon alone; ``weight`` may be 0 then."""

    weight: float = Field(default=1.0, ge=0.0)
    terminal_weight: float = Field(default=0.0, ge=0.0)


class NonlinearManipulatedConfig(ManipulatedConfig):
    """As of every law, and how often it may change where that is less often than the law is executed."""

    every: Quantity | None = None


class NonlinearDisturbanceConfig(Config):
    """An integrating disturbance: ``on`` an input, ``on_output``, on the ``rate`` of a state, or of a ``parameter``."""

    on: str | None = None
    on_output: str | None = None
    rate: str | None = None
    parameter: str | None = None
    wander: Quantity | None = None
    limits: tuple[float | None, float | None] | None = None


class EconomicConfig(Config):
    """What ``per`` of a signal is worth (negative: what it costs): over the horizon (for an hour), or at its end."""

    value: float
    per: Quantity | None = None
    at: Literal["running", "end"] = "running"


class BatchConfig(Config):
    """A horizon that ends with the batch; with ``min_harvest`` and ``max_harvest`` its end is a decision.

    With ``horizon`` it is no longer than that: it recedes until the end of the batch comes into sight.
    """

    duration: Quantity
    horizon: Quantity | None = None
    min_harvest: Quantity | None = None
    max_harvest: Quantity | None = None
    value_per_hour: float = 0.0


class KnownConfig(Config):
    """An input that others decide.

    As the recipe ``profile_of`` drives it, by a ``profile`` of [time, value], held between, or as a ``signal`` tells,
    held from now on.
    """

    profile_of: str | None = None
    profile: list[tuple[Quantity, Quantity]] | None = None
    signal: str | None = None


class InitialConfig(Config):
    """A state when the estimator begins, in the state's unit; without any the model's start is that at the time 0."""

    value: float | None = None
    std: float | None = Field(default=None, ge=0.0)


class ScenarioConfig(Config):
    """What may be instead of what the model says: what is added to parameters, inputs or outputs (% of their value)."""

    probability: float = Field(gt=0.0, le=1.0)
    changes: dict[str, Quantity] = Field(min_length=1)


class NonlinearSection(CommonConfig):
    """The section of a scenario file: ``type: mpc`` with ``model:``.

    ``outside_domain``: limits beyond the model's training range are refused, or predictions there widened; by default
    the first for models from data that are not linear, the second for the others.
    """

    model: str
    controlled: dict[str, NonlinearControlledConfig] = Field(default_factory=dict)  # type: ignore[assignment]
    manipulated: dict[str, NonlinearManipulatedConfig | None] = Field(default_factory=dict)  # type: ignore[assignment]
    engine: str = "hpipm"
    passes: int | None = Field(default=None, ge=1)
    restart_every: int = Field(default=0, ge=0)
    estimator: Literal["ekf", "mhe"] = "ekf"
    window: int = Field(default=10, ge=1)
    memory: Quantity | None = None
    prediction_horizon: Quantity | None = None
    grid: list[int] | None = None
    integration_step: Quantity | None = None
    disturbances: list[NonlinearDisturbanceConfig] | None = None
    economic: dict[str, EconomicConfig] = Field(default_factory=dict)
    batch: BatchConfig | None = None
    known: dict[str, KnownConfig] = Field(default_factory=dict)
    initial: dict[str, InitialConfig] = Field(default_factory=dict)
    target: bool | None = None
    scenario_tree: list[ScenarioConfig] = Field(default_factory=list)
    robust_horizon: int = Field(default=1, ge=1)
    outside_domain: Literal["refuse", "widen"] | None = None
