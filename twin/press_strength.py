"""Tensile strength and thickness of the press model from laboratory results."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from fmus import GalenicError
from twin.press_fit import FREE
from twin.press_function import OUTPUTS, PressFunction

FloatArray = npt.NDArray[np.float64]

STRENGTH_FREE = (*FREE, "strength_nonporous", "strength_porosity", "cup_height")
_STEP = 1e-4
_MIN_BATCHES = 5


@dataclass(frozen=True)
class Tabletability:
    """How strength rises with pressure between batches: ``d ln(sigma) / d ln(P)``.

    Attributes:
        exponent: slope of the regression of logarithms.
        standard_error: of the slope.
        correlation: of the logarithms.
        batches: with hardness, thickness, diameter and force.
        resolved: whether the slope is above 0 with 97.5 % confidence; otherwise it tells nothing.
    """

    exponent: float
    standard_error: float
    correlation: float
    batches: int
    resolved: bool


def with_strength(laboratory: pd.DataFrame) -> pd.DataFrame:
    """The batches with all that strength needs, plus ``strength`` in MPa.

    sigma = 2 H / (pi d t) with the mean thickness. The data's own ``tbl_tensile`` takes 3.14 and the greatest thickness
    and is about 1 % lower; with the mean one the model's hardness is the measured one.
    """
    needed = ["hardness", "thickness", "diameter", "force"]
    known = laboratory[(laboratory[needed] > 0).all(axis=1)].copy()
    known["strength"] = 2.0 * known.hardness / (np.pi * known.diameter * known.thickness)
    return known


def tabletability(batches: pd.DataFrame) -> Tabletability:
    """Regress log strength on log pressure over the rows of `with_strength`."""
    return log_trend(pd.Series(np.log(batches.force / batches.diameter**2)), pd.Series(np.log(batches.strength)))


def log_trend(x: pd.Series[float], log_strength: pd.Series[float]) -> Tabletability:
    """Regress log strength on log pressure or log force ``x``; NaN where too few batches differ in it."""
    if len(x) < _MIN_BATCHES or float(np.ptp(x)) < 1e-9:
        return Tabletability(np.nan, np.nan, np.nan, len(x), False)
    line = stats.linregress(x, log_strength)
    slope, error = float(line.slope), float(line.stderr)
    low = slope - float(stats.t.ppf(0.975, len(x) - 2)) * error
    return Tabletability(slope, error, float(line.rvalue), len(x), low > 0)


def fit_strength(
    function: PressFunction,
    theta: FloatArray,
    operating_point: tuple[float, float, float, float],
    batches: pd.DataFrame,
    exponent: float | None,
) -> dict[str, float]:
    """``strength_nonporous`` MPa, ``strength_porosity``, ``cup_height`` mm that give the mean strength and thickness.

    Args:
        function: the press with the free parameters `STRENGTH_FREE`.
        theta: logarithms of the fitted `FREE` parameters.
        operating_point: fill mm, gap mm, speed 1/h, force kN; the force is replaced by the mean of ``batches``.
        batches: of `with_strength`.
        exponent: tabletability exponent, or None to keep the unit model's ``strength_porosity``.

    Raises:
        GalenicError: no batch has a strength, or the tablets measured are thinner than the model's without cups.
    """
    if batches.empty:
        raise GalenicError(
            "no laboratory batch has hardness, thickness, diameter and force",
            cure="fill in tbl_av_hardness, tbl_min_thickness, tbl_max_thickness, tbl_max_diameter",
        )
    fill, gap, speed, _ = operating_point
    force = float(batches.force.mean())
    porosity = function.values["strength_porosity"]

    def at(effect: float, log_porosity: float) -> FloatArray:
        logs = np.r_[theta, 0.0, log_porosity, 0.0]
        return np.asarray(function.evaluate(function.rows(fill, gap, speed, effect, logs))[0], dtype=float)

    point = (np.array([fill]), np.array([gap]), np.array([speed]), np.array([force]))
    effect = float(function.density_effect(*point, np.r_[theta, 0.0, np.log(porosity), 0.0])[0])
    strength, thickness = OUTPUTS.index("tensile_strength"), OUTPUTS.index("thickness")
    if exponent is not None:
        # log strength is linear in the porosity coefficient
        high, low = at(effect + _STEP, np.log(porosity)), at(effect - _STEP, np.log(porosity))
        porosity *= exponent * float(np.log(high[0] / low[0]) / np.log(high[strength] / low[strength]))
    here = at(effect, np.log(porosity))
    height = float(batches.thickness.mean() - (here[thickness] - 1.0))
    if height <= 0:
        raise GalenicError(
            f"the measured thickness {batches.thickness.mean():.3g} mm is below the model's without cups",
            cure="check tbl_min_thickness, tbl_max_thickness and the gap in the series",
        )
    return {
        "strength_nonporous": float(batches.strength.mean() / here[strength]),
        "strength_porosity": float(porosity),
        "cup_height": height,
    }
