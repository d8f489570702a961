"""KPIs that a scenario states as expressions: ``yield: {value: "tablets.mass / feed.mass", unit: "%"}``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from fmus.errors import GalenicError, nearest
from fmus.quantity import base_unit
from galenic.indicator import Kpi

if TYPE_CHECKING:
    import pandas as pd

    from cosim.expressions import Expression
    from cosim.scenario import Scenario

FloatArray = npt.NDArray[np.float64]


class ExpressionSection(BaseModel):
    """A KPI by its formula; signals outside of functions over time have their value at the end."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    value: str
    unit: str = "1"
    better: Literal["higher", "lower"] | None = None


def expressions_of(
    scenario: Scenario, sections: Mapping[str, ExpressionSection], units: Mapping[str, str]
) -> dict[str, Expression]:
    """The expressions by name, without those of controllers that were left out.

    Args:
        scenario: for the places of errors.
        sections: below ``kpis.expressions``.
        units: of the signals that there are.

    Raises:
        GalenicError: an expression is not valid, or has not the dimension of its unit; with line and column.
    """
    from cosim.conditions import read_expression

    left_out: list[str] = []

    def unit_of(signal: str) -> str:
        if signal in units:
            return units[signal]
        owner = signal.partition(".")[0]
        if owner in scenario.controllers and not any(known.startswith(f"{owner}.") for known in units):
            left_out.append(signal)  # the run was made without that controller
        raise GalenicError(f"there is no signal '{signal}'", cure=nearest(signal, units))

    found = {}
    for name, section in sections.items():
        path = ("kpis", "expressions", name)
        try:
            expression = read_expression(scenario, (*path, "value"), section.value, unit_of, over_time=True)
        except GalenicError:
            if left_out:
                left_out.clear()
                continue
            raise
        if expression.exponents is None:
            raise scenario.error(
                (*path, "value"), f"'{section.value}' is a condition", "write share(...) for how long it holds"
            )
        try:
            base = base_unit(section.unit)
        except GalenicError as error:
            raise scenario.located((*path, "unit"), error) from error
        if base.exponents != expression.exponents:
            raise scenario.error(
                (*path, "unit"), f"'{section.value}' is no quantity in {section.unit}", "give a unit of its dimension"
            )
        found[name] = expression
    return found


def expression_kpis(
    scenario: Scenario,
    sections: Mapping[str, ExpressionSection],
    frame: pd.DataFrame,
    units: Mapping[str, str],
    weights: FloatArray,
) -> list[Kpi]:
    """The KPIs.

    Args:
        scenario: as of `expressions_of`.
        sections: as of `expressions_of`.
        frame: signals over time, indexed by time in s.
        units: as of `expressions_of`.
        weights: how long each row counts, in s; shape (len(frame),).

    Raises:
        GalenicError: as `expressions_of`.
    """
    from cosim.expression_functions import Context

    time = frame.index.to_numpy(dtype=float)
    kpis = []
    for name, expression in expressions_of(scenario, sections, units).items():
        section = sections[name]
        columns = [frame[signal].to_numpy(dtype=float) for signal in expression.signals]
        value = _last(expression.evaluate(Context(list(columns), time, weights)))
        base = base_unit(section.unit)
        value = (value - base.offset) / base.factor
        kpis.append(
            Kpi(f"expression_{name}", name.replace("_", " "), value, section.unit, section.value, section.better)
        )
    return kpis


def _last(value: Any) -> float:
    flat = np.atleast_1d(np.asarray(value, dtype=float))
    return float(flat[-1]) if len(flat) else math.nan
