"""Quantities of a scenario that are changes rather than values."""

from __future__ import annotations

import re
from typing import Any

from cosim.component import KeyPath
from cosim.scenario import Scenario
from fmus.errors import GalenicError
from fmus.quantity import conversion

_NUMBER_UNIT = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(.*?)\s*")


def difference(scenario: Scenario, path: KeyPath, raw: Any, unit: str, base: float | None = None) -> float:
    """A change rather than a value: an offset between units (degC to K) does not apply.

    Args:
        scenario: for the error's place.
        path: key of the quantity.
        raw: number, or text with a unit; with ``base``, text in per cent is relative to it.
        unit: unit of the result.
        base: the value that changes, in ``unit``.
    """
    if not isinstance(raw, str):
        return float(raw)
    match = _NUMBER_UNIT.fullmatch(raw)
    if match is None:
        raise scenario.error(path, f"'{raw}' is not a number with a unit", "write for example '1.5 kN' or '+5 %'")
    number, given = float(match[1]), match[2]
    if not given:
        return number
    if given == "%" and base is not None:
        if base == 0.0:
            raise scenario.error(
                path, f"{raw} of a start value of 0 is nothing", f"give the change in {unit}, or another start value"
            )
        return number / 100.0 * abs(base)
    try:
        return number * conversion(given, unit)[0]
    except GalenicError as error:
        raise scenario.located(path, error) from error
