"""The press's parameters as a calibration tells them: value, interval, and where each is from."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from twin.press_fit import FREE
from twin.press_function import PressFunction
from twin.press_result import Estimate, Interval
from twin.press_strength import Tabletability

_NAMES = (
    "tooling_diameter",
    "label_dose",
    "reference_speed",
    "true_density",
    "fill_density",
    "fill_volume_offset",
    "cup_volume",
    "yield_pressure",
    "heckel_intercept",
    "machine_stiffness",
    "strength_nonporous",
    "strength_porosity",
    "elastic_recovery",
    "cup_height",
)
_FITTED = frozenset((*FREE, "fill_volume_offset", "strength_nonporous", "strength_porosity", "cup_height"))
#: what every calibration sets and none fits
_FIXED = {
    "tooling_diameter": "median of the laboratory's greatest tablet diameters; not fitted",
    "label_dose": "the laboratory's strength; not fitted",
    "true_density": "assumed: API, lactose, cellulose, starch; not fitted",
    "yield_pressure": "set, not fitted: force alone cannot tell it from cup volume and stiffness; "
    "cellulose has 80 to 99 MPa (PMC3167253)",
    "heckel_intercept": "set, not fitted: see yield_pressure",
    "elastic_recovery": "illustrative, not fitted: no out-of-die density is recorded",
}


def estimates(
    values: Mapping[str, float],
    function: PressFunction,
    drawn: pd.DataFrame,
    trend: Tabletability,
    sources: Mapping[str, str],
) -> tuple[Estimate, ...]:
    """All parameters that a parameter file holds, in its order.

    Args:
        values: name -> value; of them those with a source are told.
        function: whose units and sources are told.
        drawn: values of each resample, a column a fitted parameter.
        trend: of the strength, where the strength parameters are from.
        sources: of ``fill_density``, ``cup_volume`` and ``machine_stiffness``, and what differs from the usual ones.
    """
    told = {
        **_FIXED,
        "fill_volume_offset": "half of cup_volume: one punch of two equal cups",
        "strength_nonporous": f"mean strength of {trend.batches} laboratory batches",
        "strength_porosity": f"strength against pressure over {trend.batches} laboratory batches "
        f"(exponent {trend.exponent:.2f}, correlation {trend.correlation:.2f})",
        "cup_height": f"mean thickness of {trend.batches} laboratory batches",
        **sources,
    }
    fitted = _FITTED
    if not trend.resolved:
        fitted = fitted - {"strength_porosity"}
        told["strength_porosity"] = (
            f"the unit model's default: {function.sources['strength_porosity']}; not fitted, as strength against "
            f"pressure is not resolved here (exponent {trend.exponent:.2f} +- {trend.standard_error:.2f})"
        )
    result = []
    for name in (n for n in _NAMES if n in told):
        value, unit = values[name], function.units[name]
        if name not in fitted or len(drawn) < 2:
            result.append(Estimate(name, value, unit, told[name], fitted=name in fitted))
        else:
            error = float(drawn[name].std())
            result.append(Estimate(name, value, unit, told[name], True, error, interval95(drawn, name)))
    return tuple(result)


def interval95(drawn: pd.DataFrame, column: str) -> Interval:
    """Percentiles 2.5 and 97.5 of a column of resamples; NaN where there are fewer than two."""
    values = drawn[column].dropna().to_numpy(dtype=float) if column in drawn else np.zeros(0)
    if len(values) < 2:
        return (float("nan"), float("nan"))
    low, high = np.percentile(values, [2.5, 97.5])
    return (float(low), float(high))
