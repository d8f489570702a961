"""When a predictive controller may begin: a condition over the scenario's signals."""

from __future__ import annotations

import numpy as np

from controllers.base import Wiring
from cosim.component import ControllerContext, FloatArray, Port
from cosim.conditions import unit_finder
from cosim.expression_functions import Context
from cosim.expression_text import ExpressionError
from cosim.expressions import Expression, parse_expression


class Enable:
    """A condition over ports of the controller.

    Args:
        expression: a condition.
        ports: index of the port of each of its signals, in its order.
    """

    def __init__(self, expression: Expression, ports: list[int]) -> None:
        self._expression, self._ports = expression, ports

    @classmethod
    def read(cls, text: str, wiring: Wiring, context: ControllerContext) -> Enable:
        """A condition at the key ``enable``; each signal gets a port. Raises GalenicError at that key."""
        try:
            expression = parse_expression(text, unit_finder(context.port))
        except ExpressionError as error:
            where = f"column {error.column + 1} of '{text}'"
            raise context.error("enable", f"{error.message} ({where})", error.cure) from error
        if not expression.is_condition:
            raise context.error(
                "enable", f"'{text}' is no condition", "compare it with something, as in 'press.tablet_weight > 200 mg'"
            )
        ports = []
        for signal in expression.signals:
            source = context.port(signal)
            ports.append(wiring.read(Port(f"enable.{signal}", source.unit, source.start), signal))
        return cls(expression, ports)

    def holds(self, time: float, port_values: FloatArray) -> bool:
        """Whether it holds at ``time`` (s); not where a value is missing."""
        values = [np.float64(port_values[i]) for i in self._ports]
        if not np.isfinite(values).all():
            return False
        return bool(self._expression.evaluate(Context(values, np.float64(time))))
