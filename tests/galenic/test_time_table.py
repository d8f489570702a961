from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from typer.testing import Result

from galenic.tables import pacing_text, time_table


def text_of(metadata: dict[str, object]) -> list[str]:
    stream = io.StringIO()
    table = time_table(metadata)
    assert table is not None
    Console(file=stream, width=100).print(table)
    return [" ".join(line.replace("│", " ").split()) for line in stream.getvalue().splitlines()]


def test_components_are_sorted_by_their_share_of_the_time() -> None:
    lines = text_of({"wall_time": 10.0, "cpu_time": {"a": 1.0, "b": 5.0, "c": 0.5}})
    assert lines[0] == "Time of the run: 10 s"
    assert [line for line in lines if "%" in line] == [
        "b 5 s 50.0 %", "a 1 s 10.0 %", "c 0.5 s 5.0 %", "loading, controllers, recording 3.5 s 35.0 %"
    ]  # fmt: skip


def test_many_small_components_share_a_row() -> None:
    lines = text_of({"wall_time": 100.0, "cpu_time": {f"c{n}": float(n) for n in range(1, 12)}})
    assert "3 other components 6 s 6.0 %" in lines
    assert not any(line.startswith("c3 ") for line in lines)


def test_what_a_paced_run_waits_is_its_own_row() -> None:
    pacing = {"factor": 2.0, "deadlines": 100, "overruns": 3, "worst_lateness": 0.0123, "slept": 6.0}
    metadata = {"wall_time": 10.0, "cpu_time": {"a": 1.0}, "real_time": pacing}
    assert "waiting for the clock 6 s 60.0 %" in text_of(metadata)
    assert pacing_text(metadata) == "Real time: 2x, 3 of 100 deadlines missed, at worst by 12.3 ms"
    assert pacing_text({"real_time": pacing | {"overruns": 0}}) == "Real time: 2x, 0 of 100 deadlines missed"
    assert pacing_text({"real_time": None}) == ""


def test_a_run_that_does_not_say_has_no_table() -> None:
    assert time_table({}) is None
    assert time_table({"wall_time": 1.0, "cpu_time": {"a": 0.0}}) is None


def test_a_run_reports_times_and_pacing(write: Callable[..., Path], command: Callable[..., Result]) -> None:
    out = write().parent / "run"
    result = command("run", "tiny.yaml", "--out", out, "--duration", "5 s", "--real-time", "20x", "--no-plot")
    assert result.exit_code == 0, result.output
    kpis = json.loads((out / "kpis.json").read_text(encoding="utf-8"))
    assert kpis["real_time"]["factor"] == 20.0
    assert kpis["wall_time"] >= 0.25
    assert kpis["cpu_time"]["press"] > 0.0
    assert "waiting for the clock" in result.output
    assert "Real time: 20x" in result.output
    assert "time in press:" in (out / "run.log").read_text(encoding="utf-8")


def test_a_factor_that_is_none_is_refused_before_the_run(
    write: Callable[..., Path], command: Callable[..., Result]
) -> None:
    result = command("run", write(), "--out", "run", "--real-time", "fast")
    assert result.exit_code == 2
    assert "'fast' is not a real-time factor" in result.output
    assert not Path("run").exists()
