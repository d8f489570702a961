"""The parameter file: what a calibration found, in the form that a scenario's ``parameter_file`` names."""

from __future__ import annotations

import contextlib
import importlib.metadata
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from cosim.yaml_lines import read_yaml
from fmus import GalenicError
from twin.batch_calibration import BatchCalibration
from twin.csv_table import shown_values
from twin.press_result import GainEstimate, PressCalibration

UNIT = "tablet_press"
_HEADER = """\
# Parameters of the unit '{unit}' for product {product}, written by 'galenic calibrate'.
# Estimated from plant data; ci95 is a bootstrap (see below). Recipe and limits: docs/press_calibration.md
"""
#: whom the licence of the published data set asks to name
ATTRIBUTION = (
    "Derived from Zagar J., Mihelic J., Big data collection in pharmaceutical manufacturing and its use for product "
    "quality predictions, Scientific Data 9, 99 (2022), doi 10.6084/m9.figshare.c.5645578, licence CC BY 4.0"
)

_OPERATING_POINT = {
    "fill": ("fill_depth", "mm"),
    "gap": ("gap", "mm"),
    "speed": ("turret_speed", "1/h"),
    "force": ("main_compression_force", "kN"),
    "weight": ("tablet_weight", "mg"),
}
#: the published tables that the attribution is written for
PUBLISHED_SHA256 = frozenset(
    {
        "96a0cb06ad6d7e4d1858ef1bc8e6be671f573ea9458947b7b079f34958847cf0",
        "2ac26412b201e663562b5afa991b4dfff62ae46b40e5a25fb84460a4c65269a3",
        "60eddb3ec2d83775de60a50513899410cce317b294c2c2bb1018ec106b553b6a",
        "28ea23128cb9039551bfb4e36a9bc1a3c85b63ef443de2af09bf786e79a22870",
    }
)


@dataclass(frozen=True)
class ParameterFile:
    """What the replay needs of a parameter file; ``force`` is the mean force of production in kN, 0 where not told."""

    file: Path
    product: int
    values: dict[str, float]
    batches: tuple[int, ...]
    held_back: tuple[int, ...]
    force: float


def write_parameter_file(
    calibration: PressCalibration | BatchCalibration, file: str | Path, *, attribution: str = ""
) -> Path:
    """Write a calibration as YAML and return the path.

    Args:
        calibration: what to write.
        file: the file; its folder is made.
        attribution: whom the data's licence asks to name.
    """
    target = Path(file)
    target.parent.mkdir(parents=True, exist_ok=True)
    text = _HEADER.format(unit=UNIT, product=calibration.product)
    content = _content(calibration)
    if attribution:
        content["data"]["attribution"] = attribution
    text += yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=110)
    temporary = target.with_name(f".{target.name}.part")
    temporary.write_text(text, encoding="utf-8", newline="\n")
    temporary.replace(target)
    return target


def _content(c: PressCalibration | BatchCalibration) -> dict[str, Any]:
    parameters: dict[str, Any] = {}
    for p in c.parameters:
        entry: dict[str, Any] = {"value": _rounded(p.value), "unit": p.unit}
        if p.ci95 is not None:
            entry |= {"ci95": [_rounded(v) for v in p.ci95], "standard_error": _rounded(p.standard_error)}
        parameters[p.name] = entry | {"fitted": p.fitted, "source": p.source}
    by_series = isinstance(c, PressCalibration)
    data: dict[str, Any] = {
        "records": "series" if by_series else "batches",
        "files": [{"name": f.name, "sha256": digest} for f, digest in c.files.items()],
        "batches": list(c.batches),
        "held_back": list(c.held_back),
    }
    if isinstance(c, PressCalibration):
        data["rows"] = {"total": c.report.rows, **c.report.used}
    return {
        "unit": UNIT,
        "product": c.product,
        "galenic": importlib.metadata.version("galenic"),
        "parameters": parameters,
        "operating_point": {
            name: {"value": _rounded(c.operating_point[key]), "unit": unit}
            for key, (name, unit) in _OPERATING_POINT.items()
            if key in c.operating_point
        },
        "gains": _gains(c.gains),
        **(_residuals(c) if isinstance(c, PressCalibration) else _batch_check(c)),
        "bootstrap": {"resamples": c.resamples[0], "of": c.resamples[1], "over": "batches" if by_series else "set-ups"},
        "data": data,
    }


def _gains(gains: Sequence[GainEstimate]) -> dict[str, Any]:
    return {
        g.name: {
            "unit": g.unit,
            "measured": _rounded(g.measured),
            "measured_ci95": [_rounded(v) for v in g.measured_ci95],
            "model": _rounded(g.model),
            "model_ci95": [_rounded(v) for v in g.model_ci95],
        }
        for g in gains
    }


def _residuals(c: PressCalibration) -> dict[str, Any]:
    r = c.residuals
    return {
        "residuals": {
            "unit": "kN",
            "plateaus": r.count,
            "rmse": _rounded(r.rmse),
            "robust_sd": _rounded(r.robust_sd),
            "bias": _rounded(r.bias),
            "lag1_autocorrelation": _rounded(r.lag1),
            "rmse_one_density_per_batch": _rounded(r.rmse_batch_density),
            "rmse_one_density": _rounded(r.rmse_common_density),
        }
    }


def _batch_check(c: BatchCalibration) -> dict[str, Any]:
    return {
        "gains_of_held_back": _gains(c.later),
        "gap_zero_of_setups": {
            "unit": "mm",
            "setups": len(c.zeros),
            "standard_deviation": _rounded(float(c.zeros.std())),
        },
    }


def read_parameter_file(file: str | Path) -> ParameterFile:
    """Read a file of `write_parameter_file`.

    Raises:
        GalenicError: missing, not YAML, or without parameters, with file and line.
    """
    path = Path(file)
    source = read_yaml(path)
    data = source.data
    cure = "write one with 'galenic calibrate tablet_press'"
    if not isinstance(data, Mapping) or not isinstance(data.get("parameters"), Mapping):
        raise source.error((), "this parameter file has no 'parameters'", cure)
    values = {}
    for name, entry in data["parameters"].items():
        value = entry.get("value") if isinstance(entry, Mapping) else None
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise source.error(("parameters", name), f"'{name}' has no number", "write '{value: 1.5, unit: mm}'")
        values[str(name)] = float(value)
    product = data.get("product")
    if not isinstance(product, int) or isinstance(product, bool):
        raise source.error(("product",), "'product' is not a product code", cure)
    recorded = data.get("data")
    recorded = recorded if isinstance(recorded, Mapping) else {}
    numbers = []
    for key in ("batches", "held_back"):
        listed = recorded.get(key, [])
        if not isinstance(listed, list) or any(not isinstance(b, int) or isinstance(b, bool) for b in listed):
            raise source.error(("data", key), f"'{key}' is not a list of batch numbers", "write [19, 20]")
        numbers.append(tuple(listed))
    force = 0.0
    with contextlib.suppress(KeyError, TypeError, ValueError):
        force = float(data["operating_point"]["main_compression_force"]["value"])
    return ParameterFile(path, product, values, numbers[0], numbers[1], force)


def refuse_other_product(parameters: ParameterFile, product: int) -> None:
    """Raise GalenicError where the file is another product's."""
    if parameters.product != product:
        raise GalenicError(
            f"this file has the parameters of product {parameters.product}, not of {product}",
            cure=f"replay with --product {parameters.product}, or name the other product's file",
            file=parameters.file,
        )


def batches_to_replay(parameters: ParameterFile, recorded: Sequence[int], batches: Sequence[int] | None) -> list[int]:
    """The batches that a replay predicts: those asked for, otherwise all that the calibration did not see.

    Raises:
        GalenicError: a batch that is not recorded, or nothing that the calibration did not see.
    """
    if batches is None:
        unseen = [b for b in recorded if b not in parameters.batches]
        if not unseen:
            raise GalenicError(
                "the calibration saw every recorded batch, so there is none to test it on",
                cure="calibrate with --train 0.67 to hold a third back, or name batches with --batches",
                file=parameters.file,
            )
        return unseen
    unknown = [b for b in batches if b not in recorded]
    if unknown:
        cure = f"there are the batches {shown_values(recorded, 40)}"
        raise GalenicError(f"batch {shown_values(unknown)} is not recorded", cure=cure)
    return list(dict.fromkeys(batches))


def _rounded(value: float | None) -> float | None:
    """Six significant digits, as a plain float; None where there is no number."""
    if value is None or not np.isfinite(value):
        return None
    return float(f"{value:.6g}")
