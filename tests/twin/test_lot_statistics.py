"""Lot statistics: recomputed from a table, and compared with what the scenarios quote."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from recorded_plant import TABLETING, needs_data, write_table

from fmus import GalenicError
from twin.lot_statistics import compare_lot_statistics, lot_statistics, reference_statistics

KEYS = ("smcc_batch", "lactose_batch", "starch_batch", "api_code", "api_batch")


def laboratory(folder: Path, rows: list[dict[str, object]]) -> Path:
    columns = [*KEYS, *(r.column for r in reference_statistics())]
    filled = [{**dict.fromkeys(columns, 1), **row} for row in rows]
    write_table(folder / "Laboratory.csv", columns, filled)
    return folder


def test_a_lot_counts_once_however_many_batches_use_it(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {**dict.fromkeys(KEYS, lot), "smcc_bd": value}
        for lot, value in ((1, 0.30), (1, 0.30), (1, 0.30), (2, 0.34), (3, 0.32), (3, ""))
    ]
    found = next(s for s in lot_statistics(laboratory(tmp_path, rows)) if s.column == "smcc_bd")
    assert found.lots == 3
    assert found.mean == pytest.approx(0.32)
    assert found.rsd == pytest.approx(100 * 0.02 / 0.32)
    assert (found.minimum, found.maximum) == (0.30, 0.34)


def test_api_lots_are_told_apart_by_code_and_number(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {**dict.fromkeys(KEYS, lot), "api_code": code, "api_batch": lot, "api_content": value}
        for code, lot, value in ((1, 1, 94.0), (2, 1, 95.0), (1, 2, 94.5), (1, 2, 94.7))
    ]
    found = next(s for s in lot_statistics(laboratory(tmp_path, rows)) if s.column == "api_content")
    assert found.lots == 3
    assert found.inconsistent == 1


def test_text_in_a_lot_value_is_refused_with_its_place(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [dict.fromkeys(KEYS, 1), {**dict.fromkeys(KEYS, 2), "api_ps05": "coarse"}]
    with pytest.raises(GalenicError, match="column 'api_ps05', row 3"):
        lot_statistics(laboratory(tmp_path, rows))


def test_one_lot_has_no_spread(tmp_path: Path) -> None:
    with pytest.raises(GalenicError, match="1 lots"):
        lot_statistics(laboratory(tmp_path, [dict.fromkeys(KEYS, 1)]))


def test_the_shipped_table_holds_what_the_scenarios_quote() -> None:
    rsd = {s.column: s.rsd for s in reference_statistics()}
    assert rsd["smcc_bd"] == 3.4
    assert rsd["api_content"] == 0.49


@needs_data
def test_the_plant_agrees_with_the_shipped_table() -> None:
    rows = compare_lot_statistics(lot_statistics(TABLETING))
    assert len(rows) == 10
    for row in rows:
        assert row.agrees, row
        assert math.isfinite(row.deviation_rsd)
