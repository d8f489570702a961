"""Runs of a unit under valgrind: no access outside memory, no use of what was never set, nothing left behind."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from native_host import WHATS, compile_host, host_run

import fmus
from fmus.toolchain import this_platform

# one with events, one with an implicit equation
UNITS: dict[str, dict[str, float]] = {
    "loss_in_weight_feeder": {"refill_start_mass": 6.95, "refill_stop_mass": 7.2, "settling_time": 1.0},
    "tablet_press": {},
}

pytestmark = pytest.mark.skipif(shutil.which("valgrind") is None, reason="valgrind is not installed")


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # valgrind knows the plain processor better than the newest, and wants the program to say where an error is
    return compile_host(tmp_path_factory.mktemp("host"), this_platform(), "-g", "-mcpu=baseline")


@pytest.mark.skipif(sys.platform != "linux", reason="valgrind is for Linux here")
@pytest.mark.parametrize("what", WHATS)
@pytest.mark.parametrize("unit", UNITS)
def test_a_run_leaves_no_memory_behind_and_reads_none_that_is_not_its_own(
    unit: str, what: str, host: Path, tmp_path: Path
) -> None:
    model = fmus.unit_model(unit).with_starts(UNITS[unit])
    size = 0.5 if what.endswith("me") else 2.0
    run = host_run(model, what, this_platform(), tmp_path, 40, size)
    checker = [
        "valgrind",
        "--error-exitcode=97",
        "--leak-check=full",
        "--show-leak-kinds=all",
        "--errors-for-leak-kinds=all",
    ]
    done = subprocess.run(
        [*checker, str(host), *run.arguments], capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert "ERROR SUMMARY: 0 errors" in done.stderr
    assert len(done.stdout.splitlines()) == 40
    if unit == "loss_in_weight_feeder":
        last = dict(zip(run.columns, map(float, done.stdout.splitlines()[-1].split()), strict=True))
        assert last["refilled.mass"] > 0
