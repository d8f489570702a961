"""How a controller is operated: the section ``operation`` of a scenario, and the rules that it becomes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from controllers.base import Config, Quantity, positive, quantity
from controllers.operation.reasons import Mode, Rung
from cosim.component import ControllerContext
from fmus.errors import nearest


def _mode(value: Any) -> Any:
    """YAML reads a bare ``off`` as false."""
    return "off" if value is False else value


class LimitsConfig(Config):
    """How often in a row each rung may be used before the next one is; None: always."""

    out_of_time: int | None = Field(default=20, ge=0)
    relaxed: int | None = Field(default=None, ge=0)
    shifted: int | None = Field(default=5, ge=0)
    backup: int | None = Field(default=None, ge=0)
    hold: int | None = Field(default=30, ge=0)


class MismatchConfig(Config):
    """When plant and model are said to differ: the smoothed size of prediction errors, in standard deviations."""

    sigmas: float = Field(default=3.0, gt=0.0)
    time_constant: Quantity = "10 min"
    step_down: bool = False


class AdvisoryConfig(Config):
    """What is recommended, and how long an answer is waited for.

    A recommendation is where the plan is after ``ahead``; there is one when an input is to move by ``least``, a share
    of its range.
    """

    expires: Quantity = "5 min"
    ahead: Quantity = "5 min"
    least: float = Field(default=0.01, ge=0.0, le=1.0)
    answers: str | None = None


class OperationConfig(Config):
    """How a predictive controller is operated."""

    mode: Annotated[Literal["off", "shadow", "advisory", "closed"], BeforeValidator(_mode)] = "closed"
    deadline: Quantity | None = None
    fallback: LimitsConfig = Field(default_factory=LimitsConfig)
    safe: dict[str, Quantity] = Field(default_factory=dict)
    mismatch: MismatchConfig = Field(default_factory=MismatchConfig)
    advisory: AdvisoryConfig = Field(default_factory=AdvisoryConfig)
    record: bool = True


@dataclass(frozen=True)
class AdvisoryRules:
    """Times in s; ``answers`` is a path, or empty: beside the record."""

    expires: float = 300.0
    ahead: float = 300.0
    least: float = 0.01
    answers: str = ""


@dataclass(frozen=True)
class OperationRules:
    """`OperationConfig` in numbers; times in s.

    Attributes:
        mode: at the start.
        deadline: of one step.
        uses: of a rung in a row before the next one; a rung that is not in it always may be.
        safe: setpoints of the safe state in the model's units.
        mismatch_sigmas: smoothed prediction error from which plant and model differ.
        mismatch_time: of the smoothing.
        mismatch_steps_down: whether a mismatch goes down the ladder, or is only told.
        advisory: how recommendations are made.
        record: whether each step is recorded.
    """

    mode: Mode = Mode.CLOSED
    deadline: float = math.inf
    uses: Mapping[Rung, int] = field(default_factory=dict)
    safe: Mapping[str, float] = field(default_factory=dict)
    mismatch_sigmas: float = 3.0
    mismatch_time: float = 600.0
    mismatch_steps_down: bool = False
    advisory: AdvisoryRules = field(default_factory=AdvisoryRules)
    record: bool = True

    @classmethod
    def read(
        cls, config: OperationConfig, context: ControllerContext, inputs: Mapping[str, str], period: float
    ) -> OperationRules:
        """From a section.

        Args:
            config: the section.
            context: for errors.
            inputs: the manipulated inputs with their units.
            period: of the controller in s.

        Raises:
            GalenicError: at the key at fault.
        """
        key = "operation"
        safe: dict[str, float] = {}
        for name, value in config.safe.items():
            full = [n for n in inputs if n == name or n.rsplit(".", 1)[-1] == name]
            if len(full) != 1:
                raise context.error((key, "safe", name), f"'{name}' is not a manipulated input", nearest(name, inputs))
            safe[full[0]] = quantity(value, inputs[full[0]], context, (key, "safe", name))
        deadline = math.inf
        if config.deadline is not None:
            deadline = positive(config.deadline, "s", context, (key, "deadline"))
            if deadline > period:
                raise context.error(
                    (key, "deadline"),
                    f"a deadline of {deadline:g} s is longer than the period of {period:g} s",
                    "an answer is needed before the next one is due",
                )
        limits = config.fallback
        uses = {
            Rung.OUT_OF_TIME: limits.out_of_time,
            Rung.RELAXED: limits.relaxed,
            Rung.SHIFTED: limits.shifted,
            Rung.BACKUP: limits.backup,
            Rung.HOLD: limits.hold,
        }
        a, where = config.advisory, (key, "advisory")
        answers = "" if a.answers is None else str(context.directory / a.answers)
        return cls(
            mode=Mode[config.mode.upper()],
            deadline=deadline,
            uses={rung: count for rung, count in uses.items() if count is not None},
            safe=safe,
            mismatch_sigmas=config.mismatch.sigmas,
            mismatch_time=positive(config.mismatch.time_constant, "s", context, (key, "mismatch", "time_constant")),
            mismatch_steps_down=config.mismatch.step_down,
            advisory=AdvisoryRules(
                positive(a.expires, "s", context, (*where, "expires")),
                max(0.0, quantity(a.ahead, "s", context, (*where, "ahead"))),
                a.least,
                answers,
            ),
            record=config.record,
        )
