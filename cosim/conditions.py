"""Conditions of a scenario: expressions over the system's signals, watched at every communication point."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from cosim.component import FloatArray, KeyPath
from cosim.expression_functions import Context
from cosim.expression_text import ExpressionError
from cosim.expressions import Expression, parse_expression
from cosim.scenario import Scenario
from fmus.errors import GalenicError

#: Half a nanostep of slack: t = k h is rounded, and what is due now must not come a step late.
SLACK = 1e-9


class Condition:
    """A condition, and since when it holds.

    Args:
        expression: the checked expression.
        held_for: how long it has to hold without a break before it counts, in s.
    """

    def __init__(self, expression: Expression, held_for: float = 0.0) -> None:
        self.expression, self._held_for = expression, held_for
        self._positions: list[int] = []
        self._signals: FloatArray = np.zeros(0)
        self._since: float | None = None

    def bind(self, index: Mapping[str, int], signals: FloatArray) -> None:
        """Look at these signals from now on, at the positions that ``index`` tells."""
        self._positions = [index[name] for name in self.expression.signals]
        self._signals = signals

    def holds(self, t: float) -> bool:
        """Whether it counts at ``t`` in s: it holds, and has done so for long enough."""
        signals = self._signals
        context = Context([signals[position] for position in self._positions], np.float64(t))
        if not bool(self.expression.evaluate(context)):
            self._since = None
            return False
        if self._since is None:
            self._since = t
        return t - self._since >= self._held_for * (1.0 - SLACK) - SLACK

    def forget(self) -> None:
        """Begin to count anew."""
        self._since = None

    def state(self) -> dict[str, Any]:
        """All that changes while it runs, as plain numbers."""
        return {"since": self._since}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state`."""
        self._since = state["since"]


def read_expression(
    scenario: Scenario, path: KeyPath, text: str, unit_of: Callable[[str], str], *, over_time: bool = False
) -> Expression:
    """The expression at a key of the scenario; its errors name file, line and column.

    Args:
        scenario: the scenario.
        path: of the key.
        text: the expression.
        unit_of: tells the unit of a signal, and raises GalenicError where there is none.
        over_time: whether functions over a whole run are allowed.
    """
    try:
        return parse_expression(text, unit_of, over_time=over_time)
    except ExpressionError as error:
        begin = scenario.column(path)
        where = f"column {error.column + 1 + (begin or 0)}" + (f" of '{text}'" if begin is None else "")
        raise scenario.error(path, f"{error.message} ({where})", error.cure) from error


def read_condition(
    scenario: Scenario, path: KeyPath, text: str, unit_of: Callable[[str], str], held_for: float | None = None
) -> Condition:
    """The condition at a key of the scenario. Arguments and errors as of `read_expression`."""
    expression = read_expression(scenario, path, text, unit_of)
    if not expression.is_condition:
        raise scenario.error(
            path, f"'{text}' is no condition", "compare it with something, as in 'press.hardness < 40 N'"
        )
    return Condition(expression, held_for or 0.0)


def unit_finder(find: Callable[[str], Any]) -> Callable[[str], str]:
    """`UnitOf` of a function that finds a signal's port and raises GalenicError; the place is the expression's."""

    def unit_of(signal: str) -> str:
        try:
            return str(find(signal).unit)
        except GalenicError as error:
            raise GalenicError(error.message, cure=error.cure) from error

    return unit_of
