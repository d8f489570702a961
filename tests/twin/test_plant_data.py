"""Bad data get a message that names file, column and row; stops, gaps and frozen records are left out and counted."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from recorded_plant import (
    SERIES_COLUMNS,
    START,
    TABLETING,
    laboratory_row,
    needs_data,
    series_rows,
    write_laboratory,
    write_series,
    write_table,
)

from fmus import GalenicError
from twin.plant_data import read_laboratory, read_plant_data, read_press_series
from twin.startup import mark_phases, plateaus, select_startup


def refused(folder: Path, rows: list[dict[str, object]], column: str, line: int) -> GalenicError:
    file = write_series(folder, rows)
    with pytest.raises(GalenicError) as caught:
        read_press_series(file, 3)
    error = caught.value
    assert error.file == file
    assert error.line == line
    assert f"column '{column}'" in error.message
    assert f"row {line}" in error.message
    assert error.cure
    return error


def test_text_in_a_number_is_refused_with_its_place(tmp_path: Path) -> None:
    rows = series_rows()
    rows[4]["main_comp"] = "high"
    assert "'high'" in refused(tmp_path, rows, "main_comp", 6).message


def test_a_decimal_comma_is_told_how_to_write(tmp_path: Path) -> None:
    rows = series_rows()
    rows[0]["tbl_fill"] = "6,5"
    assert "'.'" in refused(tmp_path, rows, "tbl_fill", 2).cure


@pytest.mark.parametrize("cell", ["inf", "nan", "1_000", "0x10", "٣"])
def test_what_only_python_reads_as_a_number_is_refused(tmp_path: Path, cell: str) -> None:
    rows = series_rows()
    rows[2]["cyl_main"] = cell
    refused(tmp_path, rows, "cyl_main", 4)


def test_a_negative_force_is_refused_with_its_place(tmp_path: Path) -> None:
    rows = series_rows()
    rows[7]["main_comp"] = -0.5
    assert "-0.5" in refused(tmp_path, rows, "main_comp", 9).message


def test_a_row_of_another_product_is_refused(tmp_path: Path) -> None:
    rows = series_rows()
    rows[3]["code"] = 7
    assert "--product 7" in refused(tmp_path, rows, "code", 5).cure


def test_time_that_goes_back_is_refused(tmp_path: Path) -> None:
    rows = series_rows()
    rows[5]["timestamp"] = rows[4]["timestamp"]
    refused(tmp_path, rows, "timestamp", 7)


def test_a_date_that_is_none_is_refused(tmp_path: Path) -> None:
    rows = series_rows()
    rows[1]["timestamp"] = "15.4.2019 18:13"
    refused(tmp_path, rows, "timestamp", 3)


def test_a_batch_that_comes_back_is_refused(tmp_path: Path) -> None:
    rows = [
        *series_rows(3),
        *series_rows(3, 2, START + timedelta(hours=1)),
        *series_rows(3, 1, START + timedelta(hours=2)),
    ]
    refused(tmp_path, rows, "batch", 8)


def test_a_missing_column_is_named_with_the_nearest(tmp_path: Path) -> None:
    columns = [c if c != "main_comp" else "main_cmp" for c in SERIES_COLUMNS]
    file = write_table(tmp_path / "process_3.csv", columns, series_rows())
    with pytest.raises(GalenicError, match="column 'main_comp' is missing") as caught:
        read_press_series(file, 3)
    assert caught.value.line == 1
    assert "main_cmp" in caught.value.cure


def test_a_row_with_too_few_cells_is_refused(tmp_path: Path) -> None:
    file = write_series(tmp_path, series_rows())
    lines = file.read_text().split("\n")
    lines[10] = lines[10].rpartition(";")[0]
    file.write_text("\n".join(lines))
    with pytest.raises(GalenicError, match="15 cells, the header 16") as caught:
        read_press_series(file, 3)
    assert caught.value.line == 11


def test_an_unknown_product_names_those_that_are_there(tmp_path: Path) -> None:
    write_series(tmp_path, series_rows())
    with pytest.raises(GalenicError, match="no series of product 9") as caught:
        read_plant_data(tmp_path, 9)
    assert "product 3" in caught.value.cure


def test_a_missing_laboratory_file_is_named(tmp_path: Path) -> None:
    write_series(tmp_path, series_rows())
    with pytest.raises(GalenicError, match=r"Laboratory\.csv"):
        read_plant_data(tmp_path, 3)


def test_a_gap_is_noted_with_its_row_and_splits_the_run(tmp_path: Path) -> None:
    rows = series_rows(10) + series_rows(10, start=START + timedelta(seconds=200))
    for i, row in enumerate(rows):
        row["waste"] = 333 * (i + 1)
    series, report = read_press_series(write_series(tmp_path, rows), 3)
    assert report.notice_counts["gap in time"] == 1
    notice = report.notices[0]
    assert (notice.line, notice.column) == (12, "timestamp")
    assert "110 s" in notice.message
    assert series.run.nunique() == 2
    select_startup(mark_phases(series), report)
    assert report.excluded["start-up"]["first sample after a stop or gap"] == 2


def test_stops_are_left_out_and_counted(tmp_path: Path) -> None:
    rows = series_rows(20)
    for row in rows[8:13]:
        row["tbl_speed"] = 0
    series, report = read_press_series(write_series(tmp_path, rows), 3)
    startup = select_startup(mark_phases(series), report)
    excluded = report.excluded["start-up"]
    assert excluded["stopped (speed 0)"] == 5
    assert report.notice_counts["force shown while stopped"] == 5
    assert (startup.tbl_speed > 0).all()
    assert report.used["start-up"] + sum(excluded.values()) == report.rows == 20


def test_a_blank_cell_leaves_its_sample_out(tmp_path: Path) -> None:
    rows = series_rows(20)
    rows[6]["SREL"] = "   "
    series, report = read_press_series(write_series(tmp_path, rows), 3)
    select_startup(mark_phases(series), report)
    assert report.excluded["start-up"]["blank cell"] == 1
    assert (report.notices[0].line, report.notices[0].column) == (8, "SREL")


def test_a_frozen_record_is_left_out_and_noted(tmp_path: Path) -> None:
    rows = series_rows(30)
    for row in rows[10:22]:
        row["waste"] = 5000
    series, report = read_press_series(write_series(tmp_path, rows), 3)
    assert report.notice_counts["frozen record"] == 11
    assert report.notices[0].line == 13
    assert series.frozen.sum() == 11


def test_production_and_large_scatter_are_not_start_up(tmp_path: Path) -> None:
    rows = series_rows(20)
    rows[5]["SREL"] = 30.0
    for row in rows[12:]:
        row["produced"] = 1
    series, report = read_press_series(write_series(tmp_path, rows), 3)
    startup = select_startup(mark_phases(series), report)
    assert report.excluded["start-up"]["production (loop closed)"] == 8
    assert set(startup.line) == set(range(3, 14)) - {7}
    assert len(plateaus(startup)) == 1


def test_slovene_months_and_doses_are_read(tmp_path: Path) -> None:
    rows = [laboratory_row(i, start=s) for i, s in enumerate(("maj.19", "avg.19", "okt.18", "jan.20"))]
    frame = read_laboratory(*write_laboratory(tmp_path, rows), 3)
    assert list(frame.month) == [pd.Timestamp(y, m, 1) for y, m in ((2019, 5), (2019, 8), (2018, 10), (2020, 1))]
    assert frame.dose.tolist() == [20.0] * 4


def test_a_month_that_is_none_is_refused(tmp_path: Path) -> None:
    files = write_laboratory(tmp_path, [laboratory_row(1), laboratory_row(2, start="mai.19")])
    with pytest.raises(GalenicError, match="column 'start', row 3"):
        read_laboratory(*files, 3)


def test_padded_blanks_in_the_laboratory_are_no_numbers(tmp_path: Path) -> None:
    frame = read_laboratory(*write_laboratory(tmp_path, [laboratory_row(1, tbl_min_weight="      ")]), 3)
    assert frame.weight.isna().all()


def test_a_product_without_laboratory_rows_is_refused(tmp_path: Path) -> None:
    files = write_laboratory(tmp_path, [laboratory_row(1)])
    with pytest.raises(GalenicError, match="no row of product 4") as caught:
        read_laboratory(*files, 4)
    assert "3" in caught.value.cure


cells = st.one_of(
    st.sampled_from(
        ["", "3", "6.5", "-1", "1e400", "nan", "2019-04-15 18:13:00", "2019-04-15 18:13:10", "maj.19", "20M"]
    ),
    st.text(max_size=6),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.dictionaries(st.sampled_from(SERIES_COLUMNS), cells), max_size=4), junk=st.binary(max_size=30))
def test_garbage_is_read_or_refused_and_nothing_else(tmp_path: Path, rows: list[dict[str, str]], junk: bytes) -> None:
    file = write_table(tmp_path / "process_3.csv", SERIES_COLUMNS, [{**series_rows(1)[0], **row} for row in rows])
    file.write_bytes(file.read_bytes() + junk)
    try:
        series, report = read_press_series(file, 3)
    except GalenicError as error:
        assert error.file == file  # noqa: PT017 (a garbled file may also be readable)
    else:
        assert len(series) == report.rows
        select_startup(mark_phases(series), report)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raw=st.binary(max_size=200))
def test_any_bytes_are_refused(tmp_path: Path, raw: bytes) -> None:
    file = tmp_path / "process_3.csv"
    file.write_bytes(raw)
    with pytest.raises(GalenicError):
        read_press_series(file, 3)


@needs_data
def test_the_quirks_of_the_real_series_are_noted() -> None:
    _, report = read_press_series(TABLETING / "process_3.csv", 3)
    assert report.rows == 53057
    assert report.notice_counts["force shown while stopped"] == 7080
    assert report.notice_counts["frozen record"] == 2465
    assert report.notice_counts["repeated column"] == 1
    assert len(report.batches) == 16
