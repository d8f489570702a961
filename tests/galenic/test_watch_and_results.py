from __future__ import annotations

import csv
import io
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from scipy.io import loadmat
from typer.testing import Result

from cosim import Results
from cosim.recorder import Recorder, Selection
from fmus.errors import GalenicError
from galenic.watch_view import WatchView

Write = Callable[..., Path]
Command = Callable[..., Result]

UNITS = {"press.force": "kN", "press.weight": "mg", "press.mean_weight": "mg"}
METADATA = {"scenario": "trial", "seed": 3, "step_size": 1.0, "duration": 100.0, "started": "2026-01-01T00:00:00+00:00"}


def recorder(folder: Path, **metadata: object) -> Recorder:
    return Recorder(folder, [Selection(UNITS, np.arange(3))], METADATA | metadata, 10)


def feed(into: Recorder, steps: range) -> None:
    for k in steps:
        into.record(k, float(k), np.array([float(k), 226.0, 226.0 + k % 2]))


def terminal(width: int = 80, height: int = 24) -> Console:
    return Console(file=io.StringIO(), force_terminal=True, color_system=None, width=width, height=height)


def picture(view: WatchView, console: Console) -> str:
    view.refresh()
    console.print(view.render(console))
    stream = console.file
    assert isinstance(stream, io.StringIO)
    return stream.getvalue()


def test_a_run_that_goes_on_is_drawn_as_far_as_it_is(tmp_path: Path) -> None:
    into = recorder(tmp_path)
    feed(into, range(40))
    view = WatchView(tmp_path, ["press.*"])
    shown = picture(view, terminal())
    assert "trial, seed 3: 0:00:39 of 0:01:40 simulated" in shown
    assert "signals [kN]" in shown or "force [kN]" in shown
    assert "press.force 39" in shown
    assert not view.ended
    feed(into, range(40, 101))
    into.close(True, wall_time=2.0)
    assert "trial, seed 3: complete, 0:01:40 of 0:01:40 simulated, 50 x real time" in picture(view, terminal())
    assert view.ended


@pytest.mark.parametrize(("width", "height"), [(80, 24), (40, 10), (200, 60), (20, 5)])
def test_the_picture_fits_the_terminal(tmp_path: Path, width: int, height: int) -> None:
    into = recorder(tmp_path)
    feed(into, range(101))
    into.close(True)
    lines = picture(WatchView(tmp_path, ["press.*"]), terminal(width, height)).splitlines()
    assert len(lines) <= max(height, 7)
    assert max(map(len, lines)) <= width


def test_rate_and_time_left_are_of_late(tmp_path: Path) -> None:
    into = recorder(tmp_path)
    view = WatchView(tmp_path, ["press.force"])
    began = time.time() - 4.0
    for part in range(4):
        feed(into, range(10 * part, 10 * part + 10))
        file = tmp_path / f"part-{part:05d}.parquet"
        os.utime(file, (began + part, began + part))
        shown = picture(view, terminal())
    assert "10 x real time, 0:00:06 left" in shown


def test_the_last_part_of_a_run_can_be_looked_at_alone(tmp_path: Path) -> None:
    into = recorder(tmp_path)
    feed(into, range(101))
    into.close(True)
    shown = picture(WatchView(tmp_path, ["press.force"], last=20.0), terminal())
    axis = shown.splitlines()[-1].split()
    assert axis == ["0:01:20", "0:01:40"]
    assert any(line.split()[:1] == ["100.0"] for line in shown.splitlines())
    assert any(line.split()[:1] == ["80.0"] for line in shown.splitlines())


def test_a_run_that_fell_silent_says_so(tmp_path: Path) -> None:
    into = recorder(tmp_path)
    feed(into, range(10))
    os.utime(tmp_path / "part-00000.parquet", (time.time() - 100, time.time() - 100))
    assert "nothing new for 0:01:40" in picture(WatchView(tmp_path, ["press.force"]), terminal())


def test_a_run_that_failed_says_why(tmp_path: Path) -> None:
    into = recorder(tmp_path)
    feed(into, range(10))
    into.close(False, error="the press broke\nat noon")
    assert "ended early (the press broke)" in picture(WatchView(tmp_path, ["press.force"]), terminal())


def test_a_new_run_in_the_same_folder_is_followed(tmp_path: Path) -> None:
    feed(recorder(tmp_path), range(40))
    view = WatchView(tmp_path, ["press.force"])
    assert "0:00:39 of" in picture(view, terminal())
    feed(recorder(tmp_path, started="2026-01-02T00:00:00+00:00"), range(20))
    assert "0:00:19 of" in picture(view, terminal())


def test_watching_ends_with_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal, the command follows a run that another thread makes."""
    from galenic.commands import watch

    console = terminal()
    monkeypatch.setattr("galenic.console.output", lambda: console)
    into = recorder(tmp_path)
    feed(into, range(20))

    def go_on() -> None:
        for k in range(2, 10):
            time.sleep(0.1)
            feed(into, range(10 * k, 10 * k + 10))
        feed(into, range(100, 101))
        into.close(True, wall_time=1.0)

    thread = threading.Thread(target=go_on)
    thread.start()
    watch.watch(tmp_path, signals=["press.force"], every=0.1)
    thread.join()
    stream = console.file
    assert isinstance(stream, io.StringIO)
    shown = stream.getvalue()
    assert shown.count("of 0:01:40 simulated") > 3
    assert "complete, 0:01:40" in shown


def test_a_finished_run_is_drawn_once_with_the_panels_of_its_scenario(write: Write, command: Command) -> None:
    write()
    assert command("run", "tiny.yaml", "--no-plot", "-q").exit_code == 0
    result = command("watch")
    assert result.exit_code == 0, result.output
    assert "tiny, seed 1: complete, 0:02:00 of 0:02:00 simulated" in result.output
    assert "weight [mg]" in result.output
    assert "hardness [N]" in result.output


def test_results_are_shown_and_exported(write: Write, command: Command) -> None:
    write()
    assert command("run", "tiny.yaml", "--no-plot", "-q", "--out", "run").exit_code == 0
    shown = command("results", "run", "--signals", "press.tablet_weight", "--unit", "press.tablet_weight=g")
    assert shown.exit_code == 0, shown.output
    frame = Results.open("run").frame(["press.tablet_weight"])
    row = next(line for line in shown.output.splitlines() if "press.tablet_weight" in line)
    cells = row.split()
    assert cells[1:5] == ["g", "1", "s", "121"]
    assert float(cells[7]) == pytest.approx(frame["press.tablet_weight"].iloc[-1] / 1000, rel=1e-3)
    assert float(cells[5]) == pytest.approx(frame["press.tablet_weight"].min() / 1000, rel=1e-3)

    done = command(
        "results", "run", "--signals", "press.tablet*", "--unit", "press.tablet_weight=g", "--start", "1 min",
        "--every", "10", "--csv", "a.csv", "--mat", "a.mat", "--parquet", "a.parquet",
    )  # fmt: skip
    assert done.output.split() == ["a.csv", "a.mat", "a.parquet"]
    with open("a.csv", newline="", encoding="utf-8") as stream:
        table = list(csv.DictReader(stream))
    assert [float(line["time [s]"]) for line in table] == [60.0, 70.0, 80.0, 90.0, 100.0, 110.0, 120.0]
    weights = frame.loc[60.0::10, "press.tablet_weight"] / 1000
    assert [float(line["press.tablet_weight [g]"]) for line in table] == pytest.approx(weights.to_list())
    assert loadmat("a.mat", squeeze_me=True)["press_tablet_weight"] == pytest.approx(weights.to_numpy())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["results", "none"], "there is no folder"),
        (["results", "run", "--signals", "press.wait"], "was not recorded"),
        (["results", "run", "--unit", "press.force"], "has no '='"),
        (["results", "run", "--unit", "press.force=kg"], "cannot be converted"),
        (["results", "run", "--every", "soon", "--csv", "a.csv"], "every:"),
        (["watch", "none"], "there is no folder"),
        (["watch", "run", "--signals", "press.wait"], "was not recorded"),
        (["watch", "run", "--last", "soon"], "--last:"),
        (["watch"], "there is no run below"),
    ],
)
def test_what_is_wrong_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    into = recorder(Path("run"))
    feed(into, range(10))
    into.close(True)
    result = command(*arguments)
    assert result.exit_code == 2
    assert message in result.output


def test_a_picture_needs_no_more_than_ascii_where_there_is_no_more(tmp_path: Path) -> None:
    into = recorder(tmp_path)
    feed(into, range(101))
    into.close(True)
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    console = Console(file=stream, width=80)
    view = WatchView(tmp_path, ["press.*"])
    view.refresh()
    console.print(view.render(console))
    stream.flush()


def test_the_newest_run_is_the_one_that_began_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from galenic.session import newest_run

    monkeypatch.chdir(tmp_path)
    with pytest.raises(GalenicError, match="no run below"):
        newest_run()
    for name, day in (("b", 2), ("a", 3), ("c", 1)):
        recorder(Path("runs") / name, started=f"2026-01-0{day}T00:00:00+00:00")
    assert newest_run() == Path("runs") / "a"
