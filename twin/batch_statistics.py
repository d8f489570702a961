"""Batch means of a product beside those of the calibrated press, for the batches used and for the later ones."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from twin.press_function import OUTPUTS, PressFunction
from twin.press_strength import with_strength

FloatArray = npt.NDArray[np.float64]

#: name, unit, whether the mean over the batches used was fitted
QUANTITIES = (
    ("fill depth at the recorded weight", "mm", True),
    ("force at the recorded gap", "kN", True),
    ("gap at the recorded force", "mm", True),
    ("tensile strength", "MPa", True),
    ("hardness", "N", True),
    ("thickness", "mm", True),
    ("SREL, median", "%", False),
)
_LONGEST_STEP = 0.1  # mm


def batch_statistics(parameters: Mapping[str, float], used: pd.DataFrame, later: pd.DataFrame) -> pd.DataFrame:
    """Means over batches, of SREL the median, measured and of the model.

    The model is given the mean weight of the batches used (the weight loop's target), each batch's speed, and what the
    row names; the last four rows are at the recorded force, which a loop holds, and SREL takes the batch's weight RSD.

    Args:
        parameters: of the calibration.
        used: batches that calibrated, as of `twin.batch_data.BatchData.frame`.
        later: batches held back; may be empty.

    Returns:
        A row a quantity: ``quantity``, ``unit``, ``fitted``, ``measured``, ``model``, ``batches`` and the same with
        ``later_`` before it.
    """
    columns: dict[str, list[object]] = {"quantity": [], "unit": [], "fitted": []}
    for name, unit, fitted in QUANTITIES:
        columns["quantity"].append(name)
        columns["unit"].append(unit)
        columns["fitted"].append(fitted)
    fill = float(used.fill.mean())
    for prefix, frame in (("", used), ("later_", later)):
        both = _means(parameters, frame, fill)
        columns[f"{prefix}measured"] = [both[name][0] for name, _, _ in QUANTITIES]
        columns[f"{prefix}model"] = [both[name][1] for name, _, _ in QUANTITIES]
        columns[f"{prefix}batches"] = [len(frame)] * len(QUANTITIES)
    return pd.DataFrame(columns)


def zero_of_setups(parameters: Mapping[str, float], used: pd.DataFrame, frame: pd.DataFrame) -> pd.Series[float]:
    """By how much each set-up's gap reads differently, in mm: the shift that explains its mean force.

    Args:
        parameters: of the calibration.
        used: batches that calibrated.
        frame: batches whose set-ups are looked at.

    Returns:
        Index: the set-up; the recorded gap less the one at which the model gives the recorded force.
    """
    function = PressFunction(parameters)
    rows = function.rows(float(used.fill.mean()), frame.gap, frame.speed)
    force, _, slope = function.force_and_weight(rows)
    shift = pd.Series((force - frame.force.to_numpy(dtype=float)) / -slope[:, 0, 1], index=frame.index)
    return -shift.groupby(frame.setup).mean()


def _means(parameters: Mapping[str, float], frame: pd.DataFrame, fill: float) -> dict[str, tuple[float, float]]:
    if frame.empty:
        return {name: (np.nan, np.nan) for name, _, _ in QUANTITIES}
    function = PressFunction(parameters)
    there, mass, _ = function.force_and_weight(function.rows(fill, frame.gap, frame.speed))
    force = frame.force.to_numpy(dtype=float)
    rows = function.rows(fill, _gap_at(function, fill, frame), frame.speed)
    slope = function.force_and_weight(rows)[2]
    at = dict(zip(OUTPUTS, function.evaluate(rows).T, strict=True))
    area = np.pi / 4.0 * parameters["tooling_diameter"] ** 2
    # the press fills the mean weight at the mean fill depth, so that both scale from there
    volume = area * fill + parameters["fill_volume_offset"]
    needed = (frame.weight * volume / float(mass[0]) - parameters["fill_volume_offset"]) / area
    weighed = frame.weight.notna()
    known = with_strength(frame)
    strong = frame.index.isin(known.index)
    srel = slope[:, 0, 3] / force * frame.weight_rsd.to_numpy(dtype=float)
    told = frame.srel.notna().to_numpy() & np.isfinite(srel)
    values = (
        (float(frame.fill[weighed].mean()), float(needed.mean())),
        (float(force.mean()), float(there.mean())),
        (float(frame.gap.mean()), float(rows[:, 1].mean())),
        (float(known.strength.mean()), _mean(at["tensile_strength"][strong])),
        (float(known.hardness.mean()), _mean(at["hardness"][strong])),
        (float(known.thickness.mean()), _mean(at["thickness"][strong])),
        (float(frame.srel[told].median()), float(np.median(srel[told])) if told.any() else np.nan),
    )
    return {name: pair for (name, _, _), pair in zip(QUANTITIES, values, strict=True)}


def _gap_at(function: PressFunction, fill: float, frame: pd.DataFrame) -> FloatArray:
    """The gap in mm at which each batch's force results, with the mass of ``fill``; Newton's method."""
    gap = np.full(len(frame), float(frame.gap.min()))
    target = frame.force.to_numpy(dtype=float)
    for _ in range(60):
        force, _, slope = function.force_and_weight(function.rows(fill, gap, frame.speed))
        # force falls with the gap, ever slower: steps from the loaded side do not overshoot
        step = (target - force) / np.minimum(slope[:, 0, 1], -1e-3)
        gap = gap + np.clip(step, -_LONGEST_STEP, _LONGEST_STEP)
        if np.abs(step).max(initial=0.0) < 1e-9:
            break
    return gap


def _mean(values: FloatArray) -> float:
    return float(values.mean()) if values.size else float("nan")
