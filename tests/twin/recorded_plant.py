"""Small recorded series that tests write, and where the real ones are."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

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
