from __future__ import annotations

import duckdb
import numpy as np
import pytest

from cosim import Results
from cosim.recorder import Recorder, Selection
from fmus.errors import GalenicError

UNITS = {"a.x": "kN", "odd \"name's": "%"}
EVERYTHING = [Selection(UNITS, np.arange(2))]


def record(folder, rows: int, rows_per_part: int = 10, complete: bool = True) -> np.ndarray:
    recorder = Recorder(folder, EVERYTHING, {"seed": 1}, rows_per_part)
    data = np.random.default_rng(1).random((rows, 2))
    for k, row in enumerate(data):
        recorder.record(k, k * 0.5, row)
    recorder.close(complete)
    return data


@pytest.mark.parametrize("rows", [0, 1, 9, 10, 11, 20, 35])
def test_what_is_recorded_comes_back_exactly(tmp_path, rows):
    data = record(tmp_path, rows)
    results = Results.open(tmp_path)
    frame = results.frame()
    assert frame.to_numpy().tolist() == data.tolist()
    assert frame.index.to_list() == [k * 0.5 for k in range(rows)]
    assert results.units == UNITS
    assert results.complete
    assert results.metadata["rows"] == rows
    assert len(results.parts) == max(1, -(-rows // 10))


@pytest.mark.parametrize("name", ["with space", "it's", "run [1]", "100 %", "größe"])
def test_any_folder_name_will_do(tmp_path, name):
    data = record(tmp_path / name, 12)
    assert Results.open(tmp_path / name).frame().to_numpy().tolist() == data.tolist()


def test_units_are_in_the_parquet_files_too(tmp_path):
    record(tmp_path, 15)
    file = str(Results.open(tmp_path).parts[0])
    pairs = duckdb.sql(f"SELECT decode(key), decode(value) FROM parquet_kv_metadata('{file}')").fetchall()
    assert '"a.x": "kN"' in dict(pairs)["galenic.units"]


def test_sealed_parts_are_readable_before_the_run_ends(tmp_path):
    recorder = Recorder(tmp_path, EVERYTHING, {}, 10)
    for k in range(25):
        recorder.record(k, float(k), np.zeros(2))
    results = Results.open(tmp_path)
    assert not results.complete
    assert len(results.frame()) == 20


def test_a_run_without_any_part_has_an_empty_frame(tmp_path):
    Recorder(tmp_path, EVERYTHING, {})
    frame = Results.open(tmp_path).frame()
    assert frame.empty
    assert list(frame.columns) == list(UNITS)


def test_an_interruption_while_a_part_is_written_loses_and_doubles_nothing(tmp_path, monkeypatch):
    import cosim.recorder as module

    recorder = Recorder(tmp_path, EVERYTHING, {}, 10)
    for k in range(9):
        recorder.record(k, float(k), np.full(2, k))
    write_part, calls = module.write_part, []

    def interrupted(*args):
        write_part(*args)
        if not calls:
            calls.append(1)
            raise KeyboardInterrupt

    monkeypatch.setattr(module, "write_part", interrupted)
    with pytest.raises(KeyboardInterrupt):
        recorder.record(9, 9.0, np.full(2, 9))
    recorder.close(False)
    assert Results.open(tmp_path).frame().index.to_list() == [float(k) for k in range(10)]


def test_a_selection_keeps_its_order_and_unknown_signals_are_refused(tmp_path):
    record(tmp_path, 5)
    results = Results.open(tmp_path)
    assert list(results.frame(list(UNITS)[::-1]).columns) == list(UNITS)[::-1]
    with pytest.raises(GalenicError, match=r"'a\.y' was not recorded[\s\S]*did you mean 'a\.x'"):
        results.frame(["a.y"])


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(GalenicError, match="there is no folder"):
        Results.open(tmp_path / "none")
    with pytest.raises(GalenicError, match="holds no results"):
        Results.open(tmp_path)
    (tmp_path / "metadata.json").write_text("{")
    with pytest.raises(GalenicError, match="metadata cannot be read"):
        Results.open(tmp_path)
    (tmp_path / "metadata.json").write_text("{}")
    with pytest.raises(GalenicError, match="not results of the format"):
        Results.open(tmp_path)
    for rest in ('"units": 3', '"groups": [3]', '"units": {}, "groups": [{"every": 0, "signals": []}]', '"x": 1'):
        (tmp_path / "metadata.json").write_text(f'{{"format": "galenic-results/1", {rest}}}')
        with pytest.raises(GalenicError, match="metadata are damaged"):
            Results.open(tmp_path)


def test_a_damaged_part_is_a_clear_error(tmp_path):
    record(tmp_path, 15)
    (tmp_path / "part-00001.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(GalenicError, match="damaged"):
        Results.open(tmp_path).frame()


def test_a_folder_with_other_files_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(GalenicError, match="holds files that are no results"):
        Recorder(tmp_path, EVERYTHING, {})
    assert [f.name for f in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(GalenicError, match="cannot be written"):
        Recorder(tmp_path / "file" / "out", EVERYTHING, {})


def test_no_temporary_files_stay(tmp_path):
    record(tmp_path, 25)
    assert sorted(f.name for f in tmp_path.iterdir()) == [
        "metadata.json",
        "part-00000.parquet",
        "part-00001.parquet",
        "part-00002.parquet",
    ]
