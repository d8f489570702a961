"""Quantities of a scenario that are more than a value: changes, rates, multiples of the communication step."""

from __future__ import annotations

import re
from typing import Any

from cosim.component import KeyPath
from cosim.scenario import Scenario
from fmus.errors import GalenicError
from fmus.quantity import conversion, parse_quantity

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


def drift(scenario: Scenario, path: KeyPath, raw: Any, unit: str) -> float:
    """Per hour, in the signal's unit; text may give the rate ("0.1 kN/h") or the growth in an hour ("0.1 kN")."""
    try:
        return parse_quantity(raw, f"({unit})/h" if unit != "1" else "1/h")
    except GalenicError:
        return difference(scenario, path, raw, unit)


def check_multiple(scenario: Scenario, path: KeyPath, time: float, what: str) -> int:
    """How many communication steps ``time`` is; an error where it is no whole number of them."""
    ratio = time / scenario.communication_step
    if abs(ratio - round(ratio)) > 1e-6:
        raise scenario.error(
            path,
            f"{what} of {time:g} s is not a multiple of the communication step of {scenario.communication_step:g} s",
            "make it a multiple, or choose a smaller communication_step",
        )
    return round(ratio)
