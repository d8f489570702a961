"""Ten thousand lives in one process leave nothing behind; many instances in threads do not notice each other."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from endurance import Lives
from fmpy import extract
from native_host import WHATS

import fmus

CYCLES = 10_000
# in the second half, when Python has settled too; a leak of 64 bytes a life would exceed it
GROWTH = 256 * 1024
THREADS = 8


@pytest.mark.skipif(sys.platform != "linux", reason="memory and open files of a process are read from /proc")
@pytest.mark.parametrize("what", WHATS)
@pytest.mark.parametrize("unit", ["loss_in_weight_feeder", "tablet_press"])
def test_ten_thousand_lives_leave_nothing_behind(unit: str, what: str, tmp_path: Path) -> None:
    folder = extract(str(fmus.build_fmu(fmus.unit_model(unit), fmi=int(what[0]))), str(tmp_path))
    program = [sys.executable, str(Path(__file__).with_name("endurance.py")), what, folder, str(CYCLES)]
    done = subprocess.run(program, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    (memory, files), (memory_later, files_later) = json.loads(done.stderr.splitlines()[-1])
    assert memory_later - memory < GROWTH
    assert files_later == files


@pytest.mark.parametrize("what", WHATS)
@pytest.mark.parametrize("unit", ["feed_frame", "loss_in_weight_feeder", "tablet_press"])
def test_instances_in_threads_compute_what_they_compute_alone(unit: str, what: str, tmp_path: Path) -> None:
    # one folder, so that all share one library
    folder = extract(str(fmus.build_fmu(fmus.unit_model(unit), fmi=int(what[0]))), str(tmp_path))

    def trajectory(number: int) -> list[Any]:
        lives = Lives(what, folder)
        lives.inputs = {r: start * (1 + 0.003 * number) for r, start in lives.inputs.items()}
        lives.fmu.instantiate()
        lives.begin()
        rows = []
        for _ in range(200):
            lives.step(5.0)
            rows.append(lives.get())
        lives.free()
        return rows

    alone = [trajectory(number) for number in range(THREADS)]
    with ThreadPoolExecutor(THREADS) as pool:
        together = list(pool.map(trajectory, range(THREADS)))
    assert together == alone
    assert len({json.dumps(rows) for rows in alone}) == THREADS
