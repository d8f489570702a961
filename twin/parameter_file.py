"""The parameter file: what a calibration found, in the form that a scenario's ``parameter_file`` names."""

from __future__ import annotations

import contextlib
import importlib.metadata
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from cosim.yaml_lines import read_yaml
from fmus import GalenicError
from twin.press_result import PressCalibration

UNIT = "tablet_press"
_HEADER = """\
# Parameters of the unit '{unit}' for product {product}, written by 'galenic calibrate'.
# Estimated from plant data; ci95 is a bootstrap over batches. Recipe and limits: docs/press_calibration.md
"""
#: whom the licence of the published data set asks to name
ATTRIBUTION = (
    "Derived from Zagar J., Mihelic J., Big data collection in pharmaceutical manufacturing and its use for product "
    "quality predictions, Scientific Data 9, 99 (2022), doi 10.6084/m9.figshare.c.5645578, licence CC BY 4.0"
)

#: the published series that the attribution is written for
PUBLISHED_SHA256 = frozenset(
    {
        "96a0cb06ad6d7e4d1858ef1bc8e6be671f573ea9458947b7b079f34958847cf0",
        "2ac26412b201e663562b5afa991b4dfff62ae46b40e5a25fb84460a4c65269a3",
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


def write_parameter_file(calibration: PressCalibration, file: str | Path, *, attribution: str = "") -> Path:
    """Write a calibration as YAML and return the path.

    Args:
        calibration: what to write.
        file: the file; its folder is made.
        attribution: whom the data's licence asks to name.
    """
    target = Path(file)
    target.parent.mkdir(parents=True, exist_ok=True)
    text = _HEADER.format(unit=UNIT, product=calibration.product)
    text += yaml.safe_dump(_content(calibration, attribution), sort_keys=False, allow_unicode=True, width=110)
    temporary = target.with_name(f".{target.name}.part")
    temporary.write_text(text, encoding="utf-8", newline="\n")
    temporary.replace(target)
    return target


def _content(c: PressCalibration, attribution: str) -> dict[str, Any]:
    parameters: dict[str, Any] = {}
    for p in c.parameters:
        entry: dict[str, Any] = {"value": _rounded(p.value), "unit": p.unit}
        if p.ci95 is not None:
            entry |= {"ci95": [_rounded(v) for v in p.ci95], "standard_error": _rounded(p.standard_error)}
        parameters[p.name] = entry | {"fitted": p.fitted, "source": p.source}
    data: dict[str, Any] = {
        "files": [{"name": f.name, "sha256": digest} for f, digest in c.files.items()],
        "batches": list(c.batches),
        "held_back": list(c.held_back),
        "rows": {"total": c.report.rows, **c.report.used},
    }
    if attribution:
        data["attribution"] = attribution
    r = c.residuals
    return {
        "unit": UNIT,
        "product": c.product,
        "galenic": importlib.metadata.version("galenic"),
        "parameters": parameters,
        "operating_point": {
            "fill_depth": {"value": _rounded(c.operating_point["fill"]), "unit": "mm"},
            "gap": {"value": _rounded(c.operating_point["gap"]), "unit": "mm"},
            "turret_speed": {"value": _rounded(c.operating_point["speed"]), "unit": "1/h"},
            "main_compression_force": {"value": _rounded(c.operating_point["force"]), "unit": "kN"},
        },
        "gains": {
            g.name: {
                "unit": g.unit,
                "measured": _rounded(g.measured),
                "measured_ci95": [_rounded(v) for v in g.measured_ci95],
                "model": _rounded(g.model),
                "model_ci95": [_rounded(v) for v in g.model_ci95],
            }
            for g in c.gains
        },
        "residuals": {
            "unit": "kN",
            "plateaus": r.count,
            "rmse": _rounded(r.rmse),
            "robust_sd": _rounded(r.robust_sd),
            "bias": _rounded(r.bias),
            "lag1_autocorrelation": _rounded(r.lag1),
            "rmse_one_density_per_batch": _rounded(r.rmse_batch_density),
            "rmse_one_density": _rounded(r.rmse_common_density),
        },
        "bootstrap": {"resamples": c.resamples[0], "of": c.resamples[1], "over": "batches"},
        "data": data,
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


def _rounded(value: float | None) -> float | None:
    """Six significant digits, as a plain float; None where there is no number."""
    if value is None or not np.isfinite(value):
        return None
    return float(f"{value:.6g}")
