"""Small recorded series that tests write, and where the real ones are."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from twin.press_function import PressFunction

DATA = Path(os.environ.get("GALENIC_DATA") or Path(__file__).parents[3] / "shared" / "data")
TABLETING = DATA / "tableting"
needs_data = pytest.mark.skipif(
    not (TABLETING / "process_3.csv").exists(),
    reason=f"the plant data are not at {TABLETING}; set GALENIC_DATA to the folder that holds 'tableting'",
)

SERIES_COLUMNS = (
    "timestamp", "campaign", "batch", "code", "tbl_speed", "fom", "main_comp", "tbl_fill", "SREL", "pre_comp",
    "produced", "waste", "cyl_main", "cyl_pre", "stiffness", "ejection",
)  # fmt: skip
LABORATORY_COLUMNS = (
    "batch", "code", "strength", "start", "tbl_min_weight", "tbl_max_weight", "tbl_min_thickness",
    "tbl_max_thickness", "tbl_max_diameter", "tbl_av_hardness",
)  # fmt: skip
START = datetime(2019, 4, 15, 18, 13)


def series_rows(count: int = 20, batch: int = 1, start: datetime = START, **values: Any) -> list[dict[str, Any]]:
    """Rows of steady running, 10 s apart; counters move."""
    base = {
        "campaign": 1, "code": 3, "tbl_speed": 120.0, "fom": 60.0, "main_comp": 6.0, "tbl_fill": 6.5, "SREL": 4.0,
        "pre_comp": 0.0, "produced": 0, "cyl_main": 2.1, "cyl_pre": 5.0, "stiffness": 10, "ejection": 20,
    }  # fmt: skip
    return [
        {
            **base,
            "timestamp": (start + timedelta(seconds=10 * i)).isoformat(sep=" "),
            "batch": batch,
            "waste": 333 * (i + 1),
            **values,
        }
        for i in range(count)
    ]


def write_table(file: Path, columns: Iterable[str], rows: Iterable[Mapping[str, Any]]) -> Path:
    """Write rows with ';' between the cells; a missing key is a blank."""
    columns = list(columns)
    lines = [";".join(columns), *(";".join(str(row.get(c, "")) for c in columns) for row in rows)]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def write_series(folder: Path, rows: Iterable[Mapping[str, Any]], product: int = 3) -> Path:
    return write_table(folder / f"process_{product}.csv", SERIES_COLUMNS, rows)


def laboratory_row(batch: int, **values: Any) -> dict[str, Any]:
    return {
        "batch": batch, "code": 3, "strength": "20M", "start": "maj.19", "tbl_min_weight": 220, "tbl_max_weight": 230,
        "tbl_min_thickness": 3.9, "tbl_max_thickness": 4.0, "tbl_max_diameter": 8.1, "tbl_av_hardness": 51, **values,
    }  # fmt: skip


def write_laboratory(folder: Path, rows: Iterable[Mapping[str, Any]]) -> tuple[Path, Path]:
    rows = list(rows)
    laboratory = write_table(folder / "Laboratory.csv", LABORATORY_COLUMNS, rows)
    features = [{"batch": r["batch"], "code": r["code"], "main_CompForce mean": 6.0} for r in rows]
    return laboratory, write_table(folder / "Process.csv", ("batch", "code", "main_CompForce mean"), features)


#: the press of `recorded_batches`
TRUE_PRESS = {
    "tooling_diameter": 8.1, "label_dose": 20.0, "fill_density": 615.0, "cup_volume": 52.0, "machine_stiffness": 30.0,
    "strength_nonporous": 2.4, "strength_porosity": 5.3, "cup_height": 1.65,
}  # fmt: skip
#: by how much the gap of each set-up reads differently, mm
SETUP_ZEROS = (0.06, -0.11, 0.02, 0.13, -0.05, -0.09, 0.1, -0.06)
PROCESS_COLUMNS = (
    "batch", "code", "main_CompForce mean", "tbl_fill_mean", "cyl_height_mean", "tbl_speed_mean",
    "SREL_production_mean",
)  # fmt: skip


def recorded_batches(setups: int = 8, size: int = 8, noise: float = 1.0, seed: int = 5) -> list[dict[str, Any]]:
    """Batches of `TRUE_PRESS` whose loops hold the weight on target; rows for `write_batches`.

    The zero of the gap differs between set-ups, the powder's density from batch to batch; the operator moves the gap.
    """
    function = PressFunction(TRUE_PRESS)
    rng = np.random.default_rng(seed)
    target = float(function.evaluate(function.rows(6.6, 2.0, 120000.0))[0, 1])
    rows: list[dict[str, Any]] = []
    for setup in range(setups):
        zero = SETUP_ZEROS[setup % len(SETUP_ZEROS)]
        for _ in range(size):
            gap, density = 2.0 + 0.05 * rng.standard_normal(), 0.03 * rng.standard_normal()
            mass = target * np.exp(0.002 * noise * rng.standard_normal())
            point = function.rows(6.6, gap, 120000.0, np.log(mass / target))
            force, weight, _, hardness, thickness, _ = function.evaluate(point)[0]
            gain = function.force_and_weight(point)[2][0, 0, 3] / force
            area = np.pi / 4 * 8.1**2
            fill = (6.6 + 26.0 / area) * weight / target * np.exp(-density) - 26.0 / area
            scatter = rng.uniform(0.8, 1.4)
            rows.append(
                {
                    "batch": 100 * setup + len(rows) + 1, "code": 9, "strength": "20M",
                    "start": f"{('jan', 'feb', 'mar', 'apr', 'maj', 'jun', 'jul', 'avg')[setup % 8]}.{19 + setup // 8}",
                    "tbl_min_weight": weight - 3, "tbl_max_weight": weight + 3, "tbl_min_thickness": thickness - 0.05,
                    "tbl_max_thickness": thickness + 0.05, "tbl_max_diameter": 8.1, "tbl_av_hardness": hardness,
                    "tbl_rsd_weight": scatter, "main_CompForce mean": force, "tbl_fill_mean": fill,
                    "cyl_height_mean": gap + zero, "tbl_speed_mean": 120.0,
                    "SREL_production_mean": gain * scatter * np.exp(0.05 * noise * rng.standard_normal()),
                }
            )  # fmt: skip
    return rows


def write_batches(folder: Path, rows: Iterable[Mapping[str, Any]]) -> tuple[Path, Path]:
    """`Laboratory.csv` and `Process.csv` of rows as of `recorded_batches`."""
    rows = list(rows)
    laboratory = write_table(folder / "Laboratory.csv", (*LABORATORY_COLUMNS, "tbl_rsd_weight"), rows)
    return laboratory, write_table(folder / "Process.csv", PROCESS_COLUMNS, rows)
