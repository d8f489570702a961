from __future__ import annotations

import multiprocessing
import os
import time
from pathlib import Path

import numpy as np
import pytest
from recorded import feed, record, recorder, value

import cosim.recorder as module
from cosim import Results
from cosim.recorder import Recorder, Selection
from fmus.errors import GalenicError

STATM = Path("/proc/self/statm")
FAST, SLOW = {"press.force": "kN", "press.weight": "mg"}, {"blender.mass": "kg"}


def test_each_group_has_rows_at_its_own_rate(tmp_path):
    results = record(tmp_path, [(FAST, 2), (SLOW, 20)])
    fast, slow = results.frame(FAST), results.frame(SLOW)
    assert fast.index.to_list() == [float(t) for t in range(0, 61, 2)]
    assert slow.index.to_list() == [0.0, 20.0, 40.0, 60.0]
    assert slow["blender.mass"].to_list() == [value(2, t) for t in slow.index]
    assert results.interval("press.force") == 2.0
    assert results.interval("blender.mass") == 20.0
    assert {part.name for part in results.parts} == {
        "part-00000.parquet", "part-00001.parquet", "part-00002.parquet", "part-00003.parquet",
        "group1-part-00000.parquet",
    }  # fmt: skip


def test_a_block_that_is_filled_from_outside_gives_the_same_files(tmp_path):
    """As the native kernel does: rows written at `row`, at most `room` of them, then `written`."""
    record(tmp_path / "rows", [(FAST, 1), (SLOW, 4)], rows=33)
    blocks = recorder(tmp_path / "blocks", [(FAST, 1), (SLOW, 4)])
    signals = np.zeros(3)
    for group in blocks.groups:
        assert group.block.flags.c_contiguous
        assert group.block.dtype == np.float64
        assert group.columns.dtype == np.int64
        times = [float(k) for k in range(33) if k % group.every == 0]
        while times:
            count = min(group.room, 7, len(times))
            for t in times[:count]:
                signals[:] = [value(position, t) for position in range(3)]
                row = group.block[group.row + times.index(t)]
                row[0], row[1:] = t, signals[group.columns]
            group.written(count)
            times = times[count:]
    blocks.close(True)
    one, other = Results.open(tmp_path / "rows"), Results.open(tmp_path / "blocks")
    assert one.frame().equals(other.frame())
    assert [part.name for part in one.parts] == [part.name for part in other.parts]


def test_rows_that_fill_no_part_are_readable_after_a_while_and_leave_no_file_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_TAIL_INTERVAL", 0.0)
    monkeypatch.setattr(module, "_TAIL_PAUSE", 0.0)
    into = recorder(tmp_path, [(FAST, 1), (SLOW, 1)])
    for k in range(25):
        feed(into, range(k, k + 1))
        frame = Results.open(tmp_path).frame()
        assert frame.index.to_list() == [float(t) for t in range(k + 1)]
        assert len(list(tmp_path.glob("*tail*"))) <= 2
    into.close(True)
    assert not list(tmp_path.glob("*tail*"))
    assert len(Results.open(tmp_path).frame()) == 25


def test_tails_cost_a_small_share_of_a_slow_run(tmp_path, monkeypatch):
    """With tails wanted every 0.01 s, each of which takes 0.02 s of work, there is one in a second."""
    written = []

    def work(_, file, *__):
        written.append(file.name)
        until = time.thread_time() + 0.02
        while time.thread_time() < until:
            pass

    monkeypatch.setattr(module, "write_part", work)
    monkeypatch.setattr(module, "_TAIL_INTERVAL", 0.01)
    into = Recorder(tmp_path, [Selection(FAST, np.arange(2))], {}, 10**7)
    began = time.monotonic()
    while time.monotonic() < began + 2.0:
        into.groups[0].record(0.0, np.zeros(2))
    assert 1 <= len(written) <= 3


def test_a_void_tail_is_not_read(tmp_path):
    results = record(tmp_path, [(FAST, 1)], rows=25)
    (tmp_path / "tail-00001.parquet").write_bytes((tmp_path / "part-00001.parquet").read_bytes())
    assert len(results.frame()) == 25


def _write_a_run(folder: Path) -> None:
    module._TAIL_INTERVAL, module._TAIL_PAUSE = 0.02, 1.0
    into = recorder(folder, [(FAST, 1), (SLOW, 3)], rows_per_part=20)
    for k in range(301):
        feed(into, range(k, k + 1))
        time.sleep(0.005)
    into.close(True)


def test_another_process_reads_a_run_while_it_goes_on(tmp_path):
    writer = multiprocessing.get_context("spawn").Process(target=_write_a_run, args=(tmp_path,))
    writer.start()
    lengths = []
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            results = Results.open(tmp_path)
        except GalenicError:  # it has not begun
            time.sleep(0.01)
            continue
        frame = results.frame(FAST)
        time_ = frame.index.to_numpy()
        assert (np.diff(time_) == 1.0).all()
        assert (frame["press.weight"].to_numpy() == 1000.0 + time_).all()
        slow = results.frame(["blender.mass", "press.weight"])["blender.mass"].dropna()
        assert (slow == 2000.0 + slow.index // 3 * 3).all()
        lengths.append(len(frame))
        if results.complete:
            break
    writer.join()
    assert lengths == sorted(lengths)
    assert lengths[-1] == 301
    assert len(set(lengths)) > 5
    assert not list(tmp_path.glob("*.tmp"))


def test_a_run_goes_on_from_a_checkpoint_as_if_nothing_had_happened(tmp_path):
    whole = record(tmp_path / "whole", [(FAST, 1), (SLOW, 4)])
    groups = [(FAST, 1), (SLOW, 4)]
    into = recorder(tmp_path / "broken", groups)
    feed(into, range(27))
    state = into.state()
    feed(into, range(27, 48))  # what a crash throws away
    selections = [Selection(group.units, group.columns, group.every) for group in into.groups]
    again = Recorder(tmp_path / "broken", selections, {"step_size": 1.0}, 10, resume=state)
    assert len(Results.open(tmp_path / "broken").frame(FAST)) == 20
    feed(again, range(27, 61))
    again.close(True)
    resumed = Results.open(tmp_path / "broken")
    assert resumed.frame().equals(whole.frame())
    assert [part.read_bytes() for part in resumed.parts] == [part.read_bytes() for part in whole.parts]
    assert resumed.metadata["rows"] == whole.metadata["rows"]


def test_a_full_disk_is_a_clear_error(tmp_path):
    if not Path("/dev/full").exists() or os.name != "posix":
        pytest.skip("needs a device that is always full")
    into = recorder(tmp_path, [(FAST, 1)])
    (tmp_path / "part-00000.parquet.tmp").symlink_to("/dev/full")
    with pytest.raises(GalenicError, match="results cannot be written to"):
        feed(into, range(10))


@pytest.mark.skipif(not STATM.exists(), reason="reads the memory of this process where Linux shows it")
def test_memory_stays_flat_however_long_the_run(tmp_path):
    """30 parts of 200 signals; benchmarks/memory.py has the whole scale."""
    signals = np.zeros(200)
    into = Recorder(tmp_path, [Selection({f"a.x{n}": "1" for n in range(200)}, np.arange(200))], {}, 1000)
    sizes = []
    for k in range(30_000):
        signals[:] = k
        into.record(k, float(k), signals)
        if k % 5000 == 4999:
            sizes.append(int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"))
    into.close(True)
    assert max(sizes[1:]) - sizes[0] < 20e6, sizes
