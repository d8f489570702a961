"""The fit of the press model to what the batches of a product show on average: mass, force and the gain of the gap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import least_squares

from fmus import GalenicError
from twin.press_fit import FitWeights
from twin.press_function import PressFunction

FloatArray = npt.NDArray[np.float64]

#: how close mass (relative) and force (kN) are to be met
_LOG_WEIGHT, _FORCE = 1e-3, 0.01


@dataclass(frozen=True)
class BatchPoint:
    """Means over batches: mm, mm, 1/h, kN, mg."""

    fill: float
    gap: float
    speed: float
    force: float
    weight: float

    @classmethod
    def of(cls, frame: pd.DataFrame) -> BatchPoint:
        """The means of a frame as of `twin.batch_data.BatchData.frame`."""
        return cls(*(float(frame[name].mean()) for name in ("fill", "gap", "speed", "force", "weight")))

    @property
    def operating_point(self) -> tuple[float, float, float, float]:
        """Fill mm, gap mm, speed 1/h, force kN."""
        return self.fill, self.gap, self.speed, self.force


def fit_batches(
    function: PressFunction,
    point: BatchPoint,
    gap_gain: float | None,
    start: FloatArray | None = None,
    weights: FitWeights | None = None,
) -> FloatArray:
    """Fill density, cup volume and machine stiffness that give the mean mass and force and the measured gain.

    Three unknowns, three facts: the mass gives the fill density, the force the volume that the powder is pressed to,
    and the gain how much of that volume is elastic. The stiffness is drawn to its wide prior besides.

    Args:
        function: the press with the free parameters `twin.press_fit.FREE`.
        point: means over the batches.
        gap_gain: measured dF/d gap in kN/mm, or None: the stiffness is then its prior.
        start: logarithms to start from; otherwise the unit model's defaults, scaled to the tooling.
        weights: of the gain and of the stiffness's prior.

    Returns:
        Natural logarithms of the free parameters, shape (3,).

    Raises:
        GalenicError: no such press gives this mass and force.
    """
    w = weights or FitWeights()
    fill, gap, speed, force = point.operating_point
    stiffness = function.free.index("machine_stiffness")

    def both(theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        row = function.rows(fill, gap, speed, 0.0, theta)
        at, mass, slope = function.force_and_weight(row)
        prior = np.zeros(len(theta))
        prior[stiffness] = 1.0 / w.stiffness
        residuals = [
            np.log(mass[0] / point.weight) / _LOG_WEIGHT,
            (at[0] - force) / _FORCE,
            (theta[stiffness] - np.log(w.stiffness_mean)) / w.stiffness,
        ]
        jacobian = [slope[0, 1, 4:] / mass[0] / _LOG_WEIGHT, slope[0, 0, 4:] / _FORCE, prior]
        if gap_gain is not None:
            gains, gain_slope = function.force_gains(row[0])
            sd = w.gains * abs(gap_gain)
            residuals.append((gains[1] - gap_gain) / sd)
            jacobian.append(gain_slope[1, 4:] / sd)
        return np.array(residuals), np.vstack(jacobian)

    guess = _start(function, point) if start is None else start

    def residuals_of(theta: FloatArray) -> FloatArray:
        return both(theta)[0]

    def jacobian_of(theta: FloatArray) -> FloatArray:
        return both(theta)[1]

    refusal = GalenicError(
        f"no press gives {point.weight:.4g} mg and {force:.3g} kN at fill depth {fill:.3g} mm and gap {gap:.3g} mm",
        cure="check the units of these columns, or leave out the odd batch with --train",
    )
    try:
        result = least_squares(residuals_of, guess, jac=jacobian_of, x_scale="jac", max_nfev=300)
        theta = np.asarray(result.x, dtype=float)
        missed = np.abs(both(theta)[0][:2]).max()
    except RuntimeError as error:  # CasADi's, where the equations have no root
        raise refusal from error
    if not result.success or not np.isfinite(theta).all() or missed > 5.0:
        raise refusal
    return theta


def _start(function: PressFunction, point: BatchPoint) -> FloatArray:
    values = dict(function.values)
    scale = values["tooling_diameter"] / function.defaults["tooling_diameter"]
    values["cup_volume"] *= scale**3
    area = np.pi / 4.0 * values["tooling_diameter"] ** 2
    values["fill_density"] = 1e3 * point.weight / (area * point.fill + values["cup_volume"] / 2.0)
    return np.asarray(np.log([values[name] for name in function.free]), dtype=float)
