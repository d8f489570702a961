"""What a press calibration returns: estimates, gains, residual statistics."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from twin.plant_data import DataReport
from twin.press_strength import Tabletability

FloatArray = npt.NDArray[np.float64]
Interval = tuple[float, float]


@dataclass(frozen=True)
class Estimate:
    """A parameter of the press: fitted (with standard error and 95 % interval) or fixed."""

    name: str
    value: float
    unit: str
    source: str
    fitted: bool = False
    standard_error: float | None = None
    ci95: Interval | None = None


@dataclass(frozen=True)
class GainEstimate:
    """An open-loop gain, measured without the model and of the fitted model, with 95 % intervals."""

    name: str
    unit: str
    measured: float
    measured_ci95: Interval
    model: float
    model_ci95: Interval

    @property
    def deviation(self) -> float:
        """Model over measured, minus 1."""
        return self.model / self.measured - 1.0


@dataclass(frozen=True)
class ResidualStatistics:
    """Residuals (predicted minus measured) of the start-up plateaus' force.

    Attributes:
        count: plateaus.
        rmse: root mean square, kN.
        robust_sd: 1.4826 times the median absolute value, kN.
        bias: mean, kN.
        lag1: correlation of consecutive plateaus in a batch; near 0 where the model leaves no pattern.
        rmse_batch_density: with one density a batch instead of one a run, kN.
        rmse_common_density: with one density for all, kN.
        by_batch: index ``batch``; ``plateaus``, ``rmse``, ``bias`` in kN.
    """

    count: int
    rmse: float
    robust_sd: float
    bias: float
    lag1: float
    rmse_batch_density: float
    rmse_common_density: float
    by_batch: pd.DataFrame


@dataclass(frozen=True)
class PressCalibration:
    """A calibrated press.

    Attributes:
        product: the product code.
        parameters: what the unit model is given.
        gains: measured and model gains; empty where no gains could be measured.
        gain_variants: measured gains (fill, gap) of other selections of start-up samples, kN/mm, shape (variants, 2).
        gains_within_runs: measured from moves without a stop in between, kN/mm, shape (2,), or None.
        residuals: of the plateaus' force.
        correlation: rank correlation of the fitted parameters over the bootstrap.
        operating_point: mean of production: ``fill`` mm, ``gap`` mm, ``speed`` 1/h, ``force`` kN.
        mass_gain: relative force per relative tablet mass there.
        startup_shift: log density of start-up over production.
        tabletability: of the laboratory's batches.
        plateaus: start-up plateaus with ``predicted`` force.
        batches: used, in time order.
        held_back: not used, for the replay.
        resamples: bootstrap resamples that gave a fit, and how many were drawn.
        report: rows used and excluded.
        files: what was read, with its SHA-256.
    """

    product: int
    parameters: tuple[Estimate, ...]
    gains: tuple[GainEstimate, ...]
    gain_variants: FloatArray
    gains_within_runs: FloatArray | None
    residuals: ResidualStatistics
    correlation: pd.DataFrame
    operating_point: dict[str, float]
    mass_gain: float
    startup_shift: float
    tabletability: Tabletability
    plateaus: pd.DataFrame
    batches: tuple[int, ...]
    held_back: tuple[int, ...]
    resamples: tuple[int, int]
    report: DataReport
    files: dict[Path, str]

    def parameter(self, name: str) -> Estimate:
        """The estimate called ``name``. Raises KeyError."""
        for estimate in self.parameters:
            if estimate.name == name:
                return estimate
        raise KeyError(name)

    @property
    def values(self) -> dict[str, float]:
        """Parameter name -> value."""
        return {p.name: p.value for p in self.parameters}


def residual_statistics(
    steps: pd.DataFrame, predicted: FloatArray, predicted_batch: FloatArray, predicted_mean: FloatArray
) -> ResidualStatistics:
    """Statistics of predictions in kN, shape (plateaus,), against ``steps.force``."""
    force = steps.force.to_numpy(dtype=float)
    error = predicted - force
    frame = pd.DataFrame({"batch": steps.batch.to_numpy(), "error": error})
    centred = frame.error - frame.error.mean()
    before = centred.groupby(frame.batch).shift()
    pairs = before.notna()
    scale = float((centred**2).mean())
    lag1 = float((centred[pairs] * before[pairs]).mean() / scale) if pairs.any() and scale > 0 else float("nan")
    by_batch = pd.DataFrame(
        {
            "plateaus": frame.groupby("batch").error.size(),
            "rmse": (frame.error**2).groupby(frame.batch).mean() ** 0.5,
            "bias": frame.groupby("batch").error.mean(),
        }
    )
    return ResidualStatistics(
        count=len(error),
        rmse=_rms(error),
        robust_sd=float(1.4826 * np.median(np.abs(error))),
        bias=float(error.mean()),
        lag1=lag1,
        rmse_batch_density=_rms(predicted_batch - force),
        rmse_common_density=_rms(predicted_mean - force),
        by_batch=by_batch,
    )


def _rms(values: FloatArray) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
