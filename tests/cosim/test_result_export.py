from __future__ import annotations

import csv

import duckdb
import numpy as np
import pytest
from recorded import feed, record, recorder, value
from scipy.io import loadmat

import cosim.result_export
from cosim import Results
from cosim.result_export import matlab_names
from fmus.errors import GalenicError

FAST, SLOW = {"press.force": "kN", "press.weight": "mg"}, {"blender.mass": "kg"}


@pytest.fixture
def results(tmp_path) -> Results:
    return record(tmp_path / "run", [(FAST, 2), (SLOW, 20)])


def test_csv_has_units_in_its_header_and_the_values_of_the_frame(results, tmp_path):
    with results.to_csv(tmp_path / "a.csv", start=10, every=10).open(newline="") as stream:
        header, *rows = csv.reader(stream)
    assert header == ["time [s]", "press.force [kN]", "press.weight [mg]", "blender.mass [kg]"]
    frame = results.frame(start=10, every=10).reset_index()
    assert np.array(rows, dtype=float).tolist() == frame.to_numpy().tolist()
    assert [file.name for file in tmp_path.iterdir() if file.is_file()] == ["a.csv"]


def test_csv_in_other_units(results, tmp_path):
    lines = results.to_csv(tmp_path / "a.csv", {"press.weight": "g"}).read_text().splitlines()
    assert lines[0] == "time [s],press.weight [g]"
    assert float(lines[1].split(",")[1]) == pytest.approx(value(1, 0.0) / 1000)


def test_parquet_is_one_file_with_units(results, tmp_path):
    file = str(results.to_parquet(tmp_path / "a.parquet"))
    pairs = dict(duckdb.sql(f"SELECT decode(key), decode(value) FROM parquet_kv_metadata('{file}')").fetchall())
    assert '"blender.mass": "kg"' in pairs["galenic.units"]
    table = duckdb.sql(f"SELECT * FROM '{file}'").df().set_index("time")
    assert table.equals(results.frame())


@pytest.mark.parametrize("size", [1, 100, 250])
@pytest.mark.parametrize("rows", [{}, {"start": 11, "stop": 47}, {"every": 6, "start": 5}])
def test_a_join_piece_by_piece_is_that_of_the_whole(tmp_path, monkeypatch, size, rows):
    """Spans of 1, 3 and 7 rows instead of millions."""
    results = record(tmp_path / "run", [(FAST, 2), (SLOW, 7), ({"a.x": "1"}, 3)])
    monkeypatch.setattr(cosim.result_export, "_CHUNK_BYTES", size)
    whole = results.frame(**rows)
    table = duckdb.sql(f"SELECT * FROM '{results.to_parquet(tmp_path / 'a.parquet', **rows)}'").df()
    assert table.set_index("time").equals(whole)
    content = loadmat(results.to_mat(tmp_path / "a.mat", **rows), squeeze_me=True)
    assert content["blender_mass"].tolist() == whole["blender.mass"].to_list()
    assert content["time"].tolist() == whole.index.to_list()
    assert {file.name for file in tmp_path.iterdir()} == {"run", "a.parquet", "a.mat"}


def test_mat_has_legal_names_with_units_beside(results, tmp_path):
    content = loadmat(results.to_mat(tmp_path / "a.mat"), squeeze_me=True)
    frame = results.frame()
    assert content["time"].tolist() == frame.index.to_list()
    for name in frame:
        assert content[name.replace(".", "_")].tolist() == frame[name].to_list()
    assert content["units"]["press_weight"].item() == "mg"
    assert content["names"]["blender_mass"].item() == "blender.mass"


def test_a_mat_file_of_a_span_in_other_units(results, tmp_path):
    content = loadmat(results.to_mat(tmp_path / "a.mat", {"blender.*": "g"}, start=30))
    assert content["time"].shape == (2, 1)
    assert content["blender_mass"][:, 0].tolist() == [1000 * value(2, t) for t in (40.0, 60.0)]


def test_matlab_names_are_legal_and_different():
    names = ["a.b", "a_b", "a[1].x", "1.x", "_private.x", "time", "größe.x", "x" * 70, "x" * 71, "x" * 70 + ".y"]
    legal = matlab_names(names, taken=("time",))
    assert len(set(legal)) == len(names)
    assert legal[:6] == ["a_b", "a_b_2", "a_1__x", "x1_x", "x_private_x", "time_2"]
    assert all(name.isidentifier() and name.isascii() and name[0].isalpha() and len(name) <= 63 for name in legal)


def test_an_incomplete_run_is_exported_too(tmp_path):
    into = recorder(tmp_path / "run", [(FAST, 1), (SLOW, 1)])
    feed(into, range(25))
    results = Results.open(tmp_path / "run")
    for file in (results.to_csv(tmp_path / "a.csv"), results.to_parquet(tmp_path / "a.parquet")):
        assert duckdb.sql(f"SELECT count(*) FROM '{file}'").fetchall() == [(20,)]
    assert loadmat(results.to_mat(tmp_path / "a.mat"))["time"].shape == (20, 1)


def test_a_run_without_rows_is_refused_or_empty(tmp_path):
    recorder(tmp_path / "run", [(FAST, 1)])
    with pytest.raises(GalenicError, match="nothing is recorded yet"):
        Results.open(tmp_path / "run").to_csv(tmp_path / "a.csv")
    assert not list(tmp_path.glob("*a.csv*"))


def test_a_file_that_cannot_be_written_is_a_clear_error(results, tmp_path):
    (tmp_path / "file").write_text("")
    for write in (results.to_csv, results.to_mat, results.to_parquet):
        with pytest.raises(GalenicError, match="cannot be written"):
            write(tmp_path / "file" / "out")
        with pytest.raises(GalenicError, match="it is a folder"):
            write(tmp_path)
