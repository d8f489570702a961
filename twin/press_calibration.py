"""Calibration of the tablet press on a plant's recorded start-up phases.

The recipe, the same for every product:

1. Samples of the start-up phases (`twin.startup`) are gathered into plateaus of constant fill depth and gap.
2. The gains dF/d fill and dF/d gap are measured from the differences between plateaus, without a model.
3. The press model is fitted to the plateaus, to the production means and laboratory weights, and to the gains measured
   in step 2 at the mean operating point (`twin.press_fit`).
4. Strength and thickness follow from the laboratory's results (`twin.press_strength`).

Confidence intervals are percentiles of a bootstrap over batches that repeats steps 2 to 4, so the uncertainty of the
measured gains is in them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from fmus import GalenicError
from twin.csv_table import shown_values
from twin.parameter_estimates import estimates, interval95
from twin.plant_data import read_plant_data
from twin.press_fit import FREE, FitData, FitWeights, PressFit, fit_press
from twin.press_function import PressFunction
from twin.press_result import GainEstimate, PressCalibration, residual_statistics
from twin.press_strength import STRENGTH_FREE, Tabletability, fit_strength, tabletability, with_strength
from twin.startup import (
    MeasuredGains,
    Selection,
    estimate_gains,
    force_moves,
    gain_variants,
    gains_of_selection,
    mark_phases,
    measure_gains,
    plateaus,
    production_means,
    select_production,
    select_startup,
)

FloatArray = npt.NDArray[np.float64]

#: the share of the batches, by time, that calibrates while the rest is held back for the replay
TRAIN_SHARE = 2 / 3
#: with fewer batches than this left to calibrate none is held back: a bootstrap over a handful tells nothing
MIN_TRAIN_BATCHES = 8

_SOURCES = {
    "fill_density": "start-up plateaus, laboratory weights",
    "cup_volume": "start-up plateaus, measured gains",
    "machine_stiffness": "start-up plateaus, measured gains",
}


@dataclass(frozen=True)
class _Sample:
    """A set of batches, as recorded or resampled."""

    data: FitData
    laboratory: pd.DataFrame


def calibrate_press(
    data_dir: str | Path,
    product: int,
    *,
    train: float | Sequence[int] | None = None,
    resamples: int = 400,
    seed: int = 0,
    use_gains: bool = True,
    weights: FitWeights | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> PressCalibration:
    """Estimate the press's parameters for one product.

    Args:
        data_dir: folder with ``process_<product>.csv``, ``Laboratory.csv`` and ``Process.csv``.
        product: the product code.
        train: batches that calibrate: a share of them by time (1.0 is all), or their numbers. By default two thirds,
            or all where that leaves fewer than `MIN_TRAIN_BATCHES`.
        resamples: of the bootstrap over batches.
        seed: of the bootstrap.
        use_gains: whether the fit is held to the measured gains; False shows what the plateaus alone say.
        weights: see `FitWeights`.
        progress: called with (resamples done, total).

    Raises:
        GalenicError: bad data, with file, column and row; too few data; no convergence.
    """
    plant = read_plant_data(data_dir, product)
    batches = training_batches(plant.batches, train)
    marked = mark_phases(plant.series)
    steps = plateaus(select_startup(marked, plant.report, batches))
    production = production_means(select_production(marked, plant.report, batches))
    production["weight"] = plant.laboratory.weight.reindex(production.index)
    known = known_parameters(plant.laboratory, plant.files[1])
    function, strength_function = PressFunction(known, FREE), PressFunction(known, STRENGTH_FREE)
    measured = measure_gains(steps, seed=seed)
    gains = np.array([measured.fill, measured.gap]) if measured is not None and use_gains else None
    laboratory = with_strength(plant.laboratory)
    trend = tabletability(laboratory)
    sample = _Sample(FitData(steps, production, gains), laboratory)
    fit = fit_press(function, sample.data, weights=weights)
    point = sample.data.operating_point
    strength = fit_strength(strength_function, fit.theta, point, laboratory, trend.exponent if trend.resolved else None)
    drawn = _bootstrap(function, strength_function, sample, fit, trend, weights, resamples, seed, progress)
    parameters = {**function.parameters(fit.theta), **strength}
    return PressCalibration(
        product=product,
        parameters=estimates(parameters, function, drawn, trend, _SOURCES),
        gains=_gains(measured, fit, drawn),
        gain_variants=gain_variants(marked, batches),
        gains_within_runs=gains_of_selection(marked, Selection(within_runs=True), batches),
        residuals=residual_statistics(steps, fit.predicted, fit.predicted_batch, fit.predicted_mean),
        correlation=drawn[list(FREE)].corr(method="spearman") if len(drawn) > 2 else pd.DataFrame(),
        operating_point=dict(zip(("fill", "gap", "speed", "force"), point, strict=True)),
        mass_gain=fit.gains.mass,
        startup_shift=fit.startup_shift,
        tabletability=trend,
        plateaus=steps.assign(predicted=fit.predicted),
        batches=tuple(batches),
        held_back=tuple(b for b in plant.batches if b not in batches),
        resamples=(len(drawn), resamples),
        report=plant.report,
        files={f: hashlib.sha256(f.read_bytes()).hexdigest() for f in plant.files},
    )


def training_batches(batches: Sequence[int], train: float | Sequence[int] | None) -> list[int]:
    """The batches that calibrate, in time order; see `calibrate_press`.

    Raises:
        GalenicError: a share outside (0, 1], or a batch that is not there.
    """
    if train is None:
        count = round(TRAIN_SHARE * len(batches))
        return list(batches[: count if count >= MIN_TRAIN_BATCHES else len(batches)])
    if isinstance(train, int | float):
        if not 0 < train <= 1:
            raise GalenicError(
                f"the share of batches to calibrate on, {train:g}, is not in 0 .. 1", cure="give 0.67 or 1"
            )
        return list(batches[: max(1, round(train * len(batches)))])
    unknown = [b for b in train if b not in batches]
    if unknown:
        cure = f"there are the batches {shown_values(batches, 40)}"
        raise GalenicError(f"batch {shown_values(unknown)} is not recorded", cure=cure)
    return [b for b in batches if b in set(train)]


def known_parameters(laboratory: pd.DataFrame, file: Path) -> dict[str, float]:
    """``tooling_diameter`` mm and ``label_dose`` mg of a product, from a frame as of `read_laboratory`.

    Raises:
        GalenicError: one of them is not known.
    """
    result = {}
    for name, column in (("tooling_diameter", "diameter"), ("label_dose", "dose")):
        values = laboratory[column]
        values = values[values > 0]
        if values.empty:
            raise GalenicError(
                f"no {column} of this product is known",
                cure="fill in the columns tbl_max_diameter and strength",
                file=file,
            )
        result[name] = float(values.median())
    return result


def _bootstrap(
    function: PressFunction,
    strength_function: PressFunction,
    sample: _Sample,
    fit: PressFit,
    trend: Tabletability,
    weights: FitWeights | None,
    resamples: int,
    seed: int,
    progress: Callable[[int, int], None] | None,
) -> pd.DataFrame:
    """Parameters and gains of each resample of batches, one row each; a resample without a fit gives none."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(resamples):
        drawn = _resample(sample, rng)
        try:
            again = fit_press(function, drawn.data, fit.theta, weights)
            point = drawn.data.operating_point
            # of a resample that shows no exponent, the sign matters: strength must fall with porosity
            exponent = max(tabletability(drawn.laboratory).exponent, 0.05) if trend.resolved else None
            strength = fit_strength(strength_function, again.theta, point, drawn.laboratory, exponent)
        except (GalenicError, np.linalg.LinAlgError):
            again = None
        if again is not None:
            values = {**function.parameters(again.theta), **strength}
            rows.append({**values, "gain_fill": again.gains.fill, "gain_gap": again.gains.gap})
        if progress is not None:
            progress(number + 1, resamples)
    return pd.DataFrame(rows)


def _resample(sample: _Sample, rng: np.random.Generator) -> _Sample:
    """Batches drawn with replacement; one that is drawn twice counts as two batches."""
    steps, production = sample.data.steps, sample.data.production
    batches = sorted(set(steps.batch) | set(production.index))
    step_parts, production_parts = [], []
    for number, batch in enumerate(rng.choice(batches, len(batches))):
        part = steps[steps.batch == batch]
        step_parts.append(part.assign(batch=number, run=part.run + 10**7 * number))
        own = production[production.index == batch]
        production_parts.append(own.set_axis([number] * len(own)))
    new_steps = pd.concat(step_parts, ignore_index=True)
    gains = sample.data.gains
    if gains is not None:
        moves = force_moves(new_steps)
        if np.linalg.matrix_rank(moves[["fill", "gap"]].to_numpy()) == 2:
            gains = estimate_gains(moves)
    laboratory = sample.laboratory.iloc[rng.integers(len(sample.laboratory), size=len(sample.laboratory))]
    return _Sample(FitData(new_steps, pd.concat(production_parts), gains), laboratory)


def _gains(measured: MeasuredGains | None, fit: PressFit, drawn: pd.DataFrame) -> tuple[GainEstimate, ...]:
    if measured is None:
        return ()

    unit = "kN/mm"
    return (
        GainEstimate(
            "dF/d fill depth", unit, measured.fill, measured.fill_ci, fit.gains.fill, interval95(drawn, "gain_fill")
        ),
        GainEstimate("dF/d gap", unit, measured.gap, measured.gap_ci, fit.gains.gap, interval95(drawn, "gain_gap")),
    )
