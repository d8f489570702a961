from __future__ import annotations

import numpy as np
import pytest
from recorded import feed, recorder, value

import cosim.recorder as module
from cosim.follow import Follower
from fmus.errors import GalenicError

FAST, SLOW = {"press.force": "kN", "press.weight": "mg"}, {"blender.mass": "kg"}


@pytest.mark.parametrize("tails", [False, True])
def test_each_row_is_read_once(tmp_path, monkeypatch, tails):
    if tails:
        monkeypatch.setattr(module, "_TAIL_INTERVAL", 0.0)
        monkeypatch.setattr(module, "_TAIL_PAUSE", 0.0)
    into = recorder(tmp_path, [(FAST, 1), (SLOW, 5)])
    follower = Follower(tmp_path, ["press.weight", "blender.mass"])
    seen: dict[str, list[float]] = {"press.weight": [], "blender.mass": []}

    def look() -> None:
        for rows in follower.poll():
            assert rows.values.shape == (len(rows.times), 1)
            position = {"press.weight": 1, "blender.mass": 2}[rows.signals[0]]
            assert rows.values[:, 0].tolist() == [value(position, t) for t in rows.times]
            seen[rows.signals[0]] += rows.times.tolist()

    for k in range(64):
        feed(into, range(k, k + 1))
        if k % 3 == 0:
            look()
            if tails:
                assert seen["press.weight"] == [float(t) for t in range(k + 1)]
    assert not follower.results.closed
    into.close(True)
    look()
    look()
    assert seen["press.weight"] == [float(t) for t in range(64)]
    assert seen["blender.mass"] == [float(t) for t in range(0, 64, 5)]
    assert follower.results.closed


def test_parts_that_were_read_are_not_opened_again(tmp_path):
    into = recorder(tmp_path, [(FAST, 1)])
    follower = Follower(tmp_path, ["press.force"])
    feed(into, range(20))
    assert len(follower.poll()[0].times) == 20
    (tmp_path / "part-00000.parquet").write_bytes(b"no longer needed")
    feed(into, range(20, 30))
    assert follower.poll()[0].times.tolist() == np.arange(20.0, 30.0).tolist()


def test_a_damaged_part_is_a_clear_error(tmp_path):
    into = recorder(tmp_path, [(FAST, 1)])
    feed(into, range(20))
    (tmp_path / "part-00001.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(GalenicError, match="damaged"):
        Follower(tmp_path, ["press.force"]).poll()


def test_a_run_that_replaces_another_is_noticed(tmp_path):
    recorder(tmp_path, [(FAST, 1)], started="one")
    follower = Follower(tmp_path, ["press.force"])
    follower.poll()
    assert follower.same_run
    recorder(tmp_path, [(FAST, 1)], started="two")
    follower.poll()
    assert not follower.same_run
