"""Calibration of the tablet press on one row a batch, for products without a 10-second series.

1. Batches are ordered in time; the first two thirds calibrate, the rest is held back.
2. Gains that batches can show (`twin.batch_gains`): that of the gap from batch to batch of a set-up, and force against
   mass from SREL / weight RSD.
3. Fill density, cup volume and machine stiffness are fitted to mean mass, mean force and the gain of the gap
   (`twin.batch_fit`). The gain of the mass is **not** fitted: it tests the model.
4. Strength and thickness at the mean force, and how strength follows force within set-ups, give the strength's
   parameters.
5. Intervals are percentiles of a bootstrap over set-ups that repeats steps 2 to 4.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from fmus import GalenicError
from twin.batch_data import BatchData, read_batches
from twin.batch_fit import BatchPoint, fit_batches
from twin.batch_gains import (
    FEW_SETUPS,
    BatchGains,
    batch_moves,
    bootstrap_gains,
    gap_gain_variants,
    measure_batch_gains,
    regression_over_all,
    resample_setups,
    strength_trend,
)
from twin.batch_statistics import batch_statistics, zero_of_setups
from twin.parameter_estimates import estimates, interval95
from twin.press_calibration import known_parameters, training_batches
from twin.press_fit import FREE, FitWeights
from twin.press_function import Gains, PressFunction
from twin.press_result import Estimate, GainEstimate
from twin.press_strength import STRENGTH_FREE, Tabletability, fit_strength, tabletability, with_strength

FloatArray = npt.NDArray[np.float64]

#: yield pressures that are tried besides the one that is set, MPa
YIELD_PRESSURES = (85.0, 130.0)
_SOURCES = {
    "reference_speed": "mean speed of the batches that calibrate; not fitted",
    "fill_density": "mean weight of the batches",
    "cup_volume": "mean force of the batches",
    "machine_stiffness": "force against gap from batch to batch of a set-up",
}


@dataclass(frozen=True)
class BatchCalibration:
    """A press calibrated on batches.

    Attributes:
        product: the product code.
        parameters: what the unit model is given.
        gains: measured and model gains at the operating point; that of the fill depth is measured by way of the mass.
        gap_gain_variants: the gain of the gap measured in other ways.
        regression: what a regression over all batches used would take for dF/d fill and dF/d gap, kN/mm.
        later: the gains of gap and mass that the batches held back show, beside the same model's; empty without such.
        operating_point: means of the batches used: ``fill``, ``gap`` mm, ``speed`` 1/h, ``force`` kN, ``weight`` mg.
        statistics: see `twin.batch_statistics.batch_statistics`.
        zeros: see `twin.batch_statistics.zero_of_setups`, of all set-ups.
        sensitivity: the fit at other yield pressures; a row each: ``yield_pressure`` MPa, ``cup_volume`` mm3,
            ``machine_stiffness`` kN/mm, ``fill_gain``, ``gap_gain`` kN/mm, ``mass_gain``; NaN where none fits.
        trend, trend_over_all: strength against force within set-ups, and over all batches used.
        moves: differences from batch to batch (`twin.batch_gains.batch_moves`) of all batches, with ``used``.
        frame: all batches, with ``used``.
        correlation: rank correlation of the fitted parameters over the bootstrap.
        batches, held_back: in time order.
        left_out: batches without a needed value, and which.
        resamples: bootstrap resamples that gave a fit, and how many were drawn.
        files: what was read, with its SHA-256.
    """

    product: int
    parameters: tuple[Estimate, ...]
    gains: tuple[GainEstimate, ...]
    gap_gain_variants: Mapping[str, float]
    regression: tuple[float, float]
    later: tuple[GainEstimate, ...]
    operating_point: dict[str, float]
    statistics: pd.DataFrame
    zeros: pd.Series[float]
    sensitivity: pd.DataFrame
    trend: Tabletability
    trend_over_all: Tabletability
    moves: pd.DataFrame
    frame: pd.DataFrame
    correlation: pd.DataFrame
    batches: tuple[int, ...]
    held_back: tuple[int, ...]
    left_out: Mapping[int, str]
    resamples: tuple[int, int]
    files: dict[Path, str]

    @property
    def values(self) -> dict[str, float]:
        """Parameter name -> value."""
        return {p.name: p.value for p in self.parameters}


@dataclass(frozen=True)
class _Fit:
    theta: FloatArray
    parameters: dict[str, float]
    gains: Gains


def calibrate_batches(
    data_dir: str | Path,
    product: int,
    *,
    train: float | Sequence[int] | None = None,
    resamples: int = 400,
    seed: int = 0,
    use_gains: bool = True,
    weights: FitWeights | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> BatchCalibration:
    """Estimate the press's parameters for one product from its batches; arguments as of `calibrate_press`.

    Raises:
        GalenicError: bad data, with file, column and row; too few data; no press gives the mean mass and force.
    """
    data = read_batches(data_dir, product)
    order = [int(b) for b in data.frame.index]
    batches = training_batches(order, train)
    frame = data.frame.assign(used=data.frame.index.isin(batches))
    used, later = frame[frame.used], frame[~frame.used]
    measured = measure_batch_gains(used)
    if use_gains and not measured.gap < 0:
        raise GalenicError(
            f"{len(batch_moves(used))} changes of the gap from batch to batch of product {product} show no gain",
            cure="give more batches (--train all uses every one), or fit without gains (--no-gains)",
            file=data.files[1],
        )
    known = known_parameters(data.frame, data.files[0]) | {"reference_speed": float(used.speed.mean())}
    function, strength_function = PressFunction(known, FREE), PressFunction(known, STRENGTH_FREE)
    trend = strength_trend(batch_moves(used))
    fit = _fit(function, strength_function, used, measured, trend.resolved, use_gains, None, weights)
    drawn = _bootstrap(function, strength_function, used, fit, trend.resolved, use_gains, weights, resamples, seed,
                       progress)  # fmt: skip
    point = BatchPoint.of(used)
    gains = _gains(measured, fit, drawn, point)
    strengths = f"{len(with_strength(used))} laboratory batches"
    sources = _SOURCES | {
        "strength_nonporous": f"mean strength of {strengths}",
        "cup_height": f"mean thickness of {strengths}",
    }
    if not use_gains:
        sources["machine_stiffness"] = "its prior: gains were not used"
    if trend.resolved:
        sources["strength_porosity"] = (
            f"strength against force over {trend.batches} changes from batch to batch of a set-up "
            f"(exponent {trend.exponent:.2f}, correlation {trend.correlation:.2f})"
        )
    return BatchCalibration(
        product=product,
        parameters=estimates(fit.parameters, function, drawn, trend, sources),
        gains=gains,
        gap_gain_variants=gap_gain_variants(used),
        regression=regression_over_all(used),
        later=_later(later, gains, resamples, seed),
        operating_point=vars(point),
        statistics=batch_statistics(fit.parameters, used, later),
        zeros=zero_of_setups(fit.parameters, used, frame),
        sensitivity=_sensitivity(known, point, measured, use_gains, weights),
        trend=trend,
        trend_over_all=tabletability(with_strength(used)),
        moves=_moves(frame),
        frame=frame,
        correlation=drawn[list(FREE)].corr(method="spearman") if len(drawn) > 2 else pd.DataFrame(),
        batches=tuple(batches),
        held_back=tuple(b for b in order if b not in set(batches)),
        left_out=data.left_out,
        resamples=(len(drawn), resamples),
        files=_digests(data),
    )


def _digests(data: BatchData) -> dict[Path, str]:
    return {f: hashlib.sha256(f.read_bytes()).hexdigest() for f in data.files}


def _moves(frame: pd.DataFrame) -> pd.DataFrame:
    moves = batch_moves(frame)
    return moves.assign(used=frame.used.reindex(moves.index))


def _fit(
    function: PressFunction,
    strength_function: PressFunction,
    frame: pd.DataFrame,
    measured: BatchGains,
    resolved: bool,
    use_gains: bool,
    start: FloatArray | None,
    weights: FitWeights | None,
) -> _Fit:
    point = BatchPoint.of(frame)
    theta = fit_batches(function, point, measured.gap if use_gains else None, start, weights)
    # of a resample that shows no exponent, the sign matters: strength must fall with porosity
    exponent = max(measured.exponent, 0.05) if resolved else None
    strength = fit_strength(strength_function, theta, point.operating_point, with_strength(frame), exponent)
    gains = function.gains_at_force(*point.operating_point, theta)
    return _Fit(theta, {**function.parameters(theta), **strength}, gains)


def _bootstrap(
    function: PressFunction,
    strength_function: PressFunction,
    frame: pd.DataFrame,
    fit: _Fit,
    resolved: bool,
    use_gains: bool,
    weights: FitWeights | None,
    resamples: int,
    seed: int,
    progress: Callable[[int, int], None] | None,
) -> pd.DataFrame:
    """Parameters and gains of each resample of set-ups, one row each; a resample without a fit gives none.

    One or two set-ups give none either: drawing from them tells nothing.
    """
    if frame.setup.nunique() <= FEW_SETUPS:
        resamples = 0
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(resamples):
        drawn = resample_setups(frame, rng)
        measured = measure_batch_gains(drawn)
        try:
            if use_gains and not measured.gap < 0:
                raise GalenicError("this resample shows no gain")
            again = _fit(function, strength_function, drawn, measured, resolved, use_gains, fit.theta, weights)
        except (GalenicError, np.linalg.LinAlgError):
            again = None
        if again is not None:
            gains = {f"model_{name}": value for name, value in vars(again.gains).items()}
            shown = {f"measured_{name}": value for name, value in vars(measured).items()}
            shown["measured_fill"] = _fill_gain(measured.mass, BatchPoint.of(drawn), again.parameters)
            rows.append({**again.parameters, **gains, **shown})
        if progress is not None:
            progress(number + 1, resamples)
    return pd.DataFrame(rows)


def _fill_gain(mass_gain: float, point: BatchPoint, parameters: Mapping[str, float]) -> float:
    """dF/d fill depth in kN/mm of a press whose force follows the mass with ``mass_gain``."""
    area = np.pi / 4.0 * parameters["tooling_diameter"] ** 2
    return float(mass_gain * point.force / (point.fill + parameters["fill_volume_offset"] / area))


def _gains(measured: BatchGains, fit: _Fit, drawn: pd.DataFrame, point: BatchPoint) -> tuple[GainEstimate, ...]:
    fill = _fill_gain(measured.mass, point, fit.parameters)
    rows = (("dF/d fill depth", "kN/mm", "fill", fill), ("dF/d gap", "kN/mm", "gap", measured.gap),
            ("dln F/dln mass", "1", "mass", measured.mass))  # fmt: skip
    return tuple(
        GainEstimate(
            name,
            unit,
            value,
            interval95(drawn, f"measured_{key}"),
            float(getattr(fit.gains, key)),
            interval95(drawn, f"model_{key}"),
        )
        for name, unit, key, value in rows
    )


def _later(frame: pd.DataFrame, gains: tuple[GainEstimate, ...], resamples: int, seed: int) -> tuple[GainEstimate, ...]:
    if frame.empty:
        return ()
    shown, drawn = measure_batch_gains(frame), bootstrap_gains(frame, resamples, seed)
    _, gap, mass = gains
    return (
        replace(gap, measured=shown.gap, measured_ci95=interval95(drawn, "gap")),
        replace(mass, measured=shown.mass, measured_ci95=interval95(drawn, "mass")),
    )


def _sensitivity(
    known: Mapping[str, float],
    point: BatchPoint,
    measured: BatchGains,
    use_gains: bool,
    weights: FitWeights | None,
) -> pd.DataFrame:
    rows = []
    for pressure in sorted((*YIELD_PRESSURES, PressFunction(known).values["yield_pressure"])):
        function = PressFunction({**known, "yield_pressure": pressure}, FREE)
        row = {"yield_pressure": pressure}
        try:
            theta = fit_batches(function, point, measured.gap if use_gains else None, None, weights)
        except GalenicError:
            rows.append(row)
            continue
        gains = function.gains_at_force(*point.operating_point, theta)
        found = function.parameters(theta)
        row |= {name: found[name] for name in ("cup_volume", "machine_stiffness")}
        rows.append(row | {"fill_gain": gains.fill, "gap_gain": gains.gap, "mass_gain": gains.mass})
    columns = ["yield_pressure", "cup_volume", "machine_stiffness", "fill_gain", "gap_gain", "mass_gain"]
    return pd.DataFrame(rows, columns=columns)
