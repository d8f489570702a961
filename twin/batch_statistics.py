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
    ("fill depth", "mm", True),
    ("force", "kN", True),
    ("pressure", "MPa", True),
    ("tensile strength", "MPa", True),
    ("hardness", "N", True),
    ("thickness", "mm", True),
    ("SREL, median", "%", False),
)


def batch_statistics(parameters: Mapping[str, float], used: pd.DataFrame, later: pd.DataFrame) -> pd.DataFrame:
    """Means over batches, of SREL the median, measured and of the model.

    The model is given each batch's gap and speed, the mean weight of the batches used (the weight loop's target), and
    for SREL the batch's weight RSD; for the fill depth its weight.

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
    rows = function.rows(fill, frame.gap, frame.speed)
    force, mass, slope = function.force_and_weight(rows)
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
    return {
        "fill depth": (float(frame.fill[weighed].mean()), float(needed.mean())),
        "force": (float(frame.force.mean()), float(force.mean())),
        "pressure": (1e3 * float(frame.force.mean()) / area, 1e3 * float(force.mean()) / area),
        "tensile strength": (float(known.strength.mean()), _mean(at["tensile_strength"][strong])),
        "hardness": (float(known.hardness.mean()), _mean(at["hardness"][strong])),
        "thickness": (float(known.thickness.mean()), _mean(at["thickness"][strong])),
        "SREL, median": (float(frame.srel[told].median()), float(np.median(srel[told])) if told.any() else np.nan),
    }


def _mean(values: FloatArray) -> float:
    return float(values.mean()) if values.size else float("nan")
