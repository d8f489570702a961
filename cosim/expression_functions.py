"""What expressions are evaluated on, and their functions: of one instant, and over the records of a run."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from cosim.component import FloatArray


@dataclass
class Context:
    """What an expression is evaluated on.

    Args:
        values: for each signal of the expression its value, or an array over time, in the signal's unit.
        time: in s, a number or an array.
        weights: for functions over a run, how long each record counts, in s; shape of an array over time.
    """

    values: list[Any]
    time: Any
    weights: FloatArray | None = None


def _weighted(values: Any, context: Context) -> tuple[FloatArray, FloatArray]:
    weights = np.ones(1) if context.weights is None else context.weights
    return np.broadcast_to(np.asarray(values, dtype=np.float64), weights.shape), weights


def _mean(values: Any, context: Context) -> float:
    series, weights = _weighted(values, context)
    total = float(weights.sum())
    return float(series[weights > 0.0] @ weights[weights > 0.0]) / total if total else math.nan


def _std(values: Any, context: Context) -> float:
    series, _ = _weighted(values, context)
    return math.sqrt(max(_mean((series - _mean(series, context)) ** 2, context), 0.0))


def _extreme(function: Callable[[FloatArray], Any]) -> Callable[[Any, Context], float]:
    def reduction(values: Any, context: Context) -> float:
        series, weights = _weighted(values, context)
        counted = series[weights > 0.0]
        return float(function(counted)) if len(counted) else math.nan

    return reduction


def _integral(values: Any, context: Context) -> float:
    series, weights = _weighted(values, context)
    return float(series @ weights)


COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "==": np.equal,
    "!=": np.not_equal,
}
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": np.abs,
    "sqrt": np.sqrt,
    "exp": np.exp,
    "log": np.log,
    "min": np.minimum,
    "max": np.maximum,
}
#: Over the records of a run, each weighted by its time.
OVER_TIME = ("mean", "std", "integral", "share", "first", "last", "change")
REDUCTIONS: dict[str, Callable[[Any, Context], float]] = {
    "mean": _mean,
    "std": _std,
    "share": _mean,
    "integral": _integral,
    "min": _extreme(np.min),
    "max": _extreme(np.max),
    "first": _extreme(lambda series: series[0]),
    "last": _extreme(lambda series: series[-1]),
    "change": _extreme(lambda series: series[-1] - series[0]),
}
