from __future__ import annotations

import time

import pytest

from fmus.errors import GalenicError
from galenic.executors import as_they_end, local_processes, run_all, tell_share, told_to_stop


def half_way(number: int) -> int:
    tell_share(0.5)
    time.sleep(0.4)
    return number


def until_told(number: int) -> int | None:
    if number == 0:
        return number
    while not told_to_stop():
        time.sleep(0.01)
    return None


def failing(number: int) -> int:
    raise GalenicError(f"job {number} cannot be done", cure="do another", file="plan.yaml", line=3)


def test_results_come_in_the_order_of_the_jobs_and_progress_counts_those_under_way() -> None:
    told: list[float] = []
    with local_processes(2) as executor:
        assert run_all(half_way, [3, 1, 2], executor, told.append) == [3, 1, 2]
    assert told == sorted(told)
    assert told[-1] == 3.0
    assert any(done % 1.0 == 0.5 for done in told)


def test_ctrl_c_passes_through_and_ends_what_runs_and_what_has_not_begun() -> None:
    given: list[int] = []

    def progress(_: float) -> None:
        if given:
            raise KeyboardInterrupt

    with local_processes(1) as executor, pytest.raises(KeyboardInterrupt):
        given.extend(place for place, _ in as_they_end(until_told, range(20), executor, progress))
    assert given == [0]


def test_an_error_arrives_with_its_file_line_and_cure() -> None:
    with local_processes(1) as executor, pytest.raises(GalenicError, match="cannot be done") as raised:
        run_all(failing, range(20), executor)
    error = raised.value
    assert (error.cure, str(error.file), error.line) == ("do another", "plan.yaml", 3)
