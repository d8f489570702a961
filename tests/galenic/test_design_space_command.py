from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import Result

from controllers.design_space import DesignSpace
from galenic import executors

Write = Callable[..., Path]
Command = Callable[..., Result]

# stochastic lots, a specification that half of the ranges leaves, and runs as short as can be
EDITS = (
    ("duration: 2 min", "duration: 20 s"),
    ("- {signal: press.inlet.bulk_density, step: {at: 1 min, by: 5 %}}",
     "- {signal: press.strength_factor, lots: {every: 1 h, rsd: 5 %}}"),
    ("limits: [30 N, null]", "limits: [45 N, 60 N]"),
)  # fmt: skip
VARY = ("--vary", "press.gap_setpoint=1.8:2.4 mm", "--vary", "force_loop.setpoint=20 %")
OPTIONS = (*VARY, "--points", "40", "--at-least", "0.6", "--confidence", "0.5")


class _Here(Executor):
    """Computes in this process when asked: any executor will do."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:
            future.set_exception(error)
        return future


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs in this process, which is quicker for forty short ones."""

    @contextmanager
    def local(jobs: int) -> Iterator[Executor]:
        yield _Here()

    monkeypatch.setattr(executors, "local_processes", local)


@pytest.mark.usefixtures("here")
def test_it_writes_a_design_space_that_reads_back(write: Write, command: Command) -> None:
    file = write(*EDITS)
    result = command("design-space", file, *OPTIONS, "--out", "found")
    assert result.exit_code == 0, result.output
    space = DesignSpace.load("found/design_space.yaml")
    assert set(space.setpoints) == {"press.gap_setpoint", "force_loop.setpoint"}
    assert space.region is not None
    assert space.region.domain["force_loop.setpoint"].max == pytest.approx(6.2 * 1.2)
    middle = {name: (r.min + r.max) / 2 for name, r in space.setpoints.items()}
    assert space.margin(middle) > 0.0
    assert space.critical_quality_attributes["press.hardness"].max == 60.0
    assert space.critical_quality_attributes["press.tablet_weight"].min == 200.0  # the design space's counts more
    assert Path("found/design_space.png").stat().st_size > 10_000
    content = yaml.safe_load(Path("found/design_space.yaml").read_text(encoding="utf-8"))
    assert content["provenance"]["runs"] == len(content["samples"]["rows"]) == 40
    assert content["provenance"]["plan"]["without"] == ["fixed_depth"]  # a supervisor is left out by itself
    # a run that is said to have passed kept its limits, and the other way round
    columns = content["samples"]["columns"]
    for row in content["samples"]["rows"]:
        value = dict(zip(columns, row, strict=True))
        low, high = value["press.hardness lowest"], value["press.hardness highest"]
        light, heavy = value["press.tablet_weight lowest"], value["press.tablet_weight highest"]
        assert value["passed"] == (low >= 45.0 and high <= 60.0 and light >= 200.0 and heavy <= 250.0)
    # a scenario that names the file is checked against its ranges
    assert (
        command("run", write(*EDITS, ("file: space.yaml", "file: found/design_space.yaml")), "--no-plot").exit_code == 0
    )


@pytest.mark.usefixtures("here")
def test_an_ensemble_that_was_cut_off_goes_on_to_the_same_result(write: Write, command: Command) -> None:
    file = write(*EDITS)
    assert command("design-space", file, *OPTIONS, "--out", "whole").exit_code == 0
    lines = Path("whole/samples.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    Path("cut").mkdir()
    Path("cut/plan.json").write_bytes(Path("whole/plan.json").read_bytes())
    Path("cut/samples.csv").write_text("".join(lines[:20]) + lines[20][:30], encoding="utf-8")
    result = command("design-space", file, *OPTIONS, "--resume", "cut")
    assert result.exit_code == 0, result.output
    assert Path("cut/samples.csv").read_text(encoding="utf-8") == "".join(lines)
    again, first = (DesignSpace.load(f"{folder}/design_space.yaml") for folder in ("cut", "whole"))
    assert again.setpoints == first.setpoints


@pytest.mark.usefixtures("here")
def test_more_points_continue_those_that_are_there(write: Write, command: Command) -> None:
    file = write(*EDITS)
    command("design-space", file, *VARY, "--points", "10", "--out", "more")
    before = Path("more/samples.csv").read_text(encoding="utf-8")
    result = command("design-space", file, *OPTIONS, "--resume", "more")
    assert result.exit_code == 0, result.output
    after = Path("more/samples.csv").read_text(encoding="utf-8")
    assert after.startswith(before)
    assert len(after.splitlines()) == 41


@pytest.mark.usefixtures("here")
def test_another_ensemble_is_not_continued(write: Write, command: Command) -> None:
    file = write(*EDITS)
    command("design-space", file, *VARY, "--points", "10", "--out", "first")
    for change, key in ((("--duration", "30 s"), "duration"), (("--set", "press.yield_factor=1.1"), "overrides")):
        result = command("design-space", file, *VARY, "--points", "10", "--resume", "first", *change)
        assert result.exit_code == 2
        assert f"'{key}' was another" in result.output
    write(*EDITS, ("gain: 0.05 mm/kN", "gain: 0.06 mm/kN"))
    assert "'fingerprint' was another" in command(
        "design-space", file, *VARY, "--points", "10", "--resume", "first"
    ).output  # fmt: skip


@pytest.mark.usefixtures("here")
def test_runs_that_all_fail_are_kept_and_the_cure_is_told(write: Write, command: Command) -> None:
    file = write(*EDITS, ("limits: [45 N, 60 N]", "limits: [400 N, 600 N]"))
    result = command("design-space", file, *VARY, "--points", "10", "--out", "none")
    assert result.exit_code == 2
    assert "0 of 10 runs passed" in result.output
    assert "narrower" in result.output
    assert len(Path("none/samples.csv").read_text(encoding="utf-8").splitlines()) == 11


@pytest.mark.usefixtures("here")
def test_no_file_is_written_where_nothing_is_probable_enough(write: Write, command: Command) -> None:
    result = command("design-space", write(*EDITS), *VARY, "--points", "40", "--at-least", "0.999", "--out", "high")
    assert result.exit_code == 1
    assert "no design-space file is written" in " ".join(result.output.split())
    assert not Path("high/design_space.yaml").exists()
    assert Path("high/design_space.png").exists()


@pytest.mark.usefixtures("here")
def test_one_setpoint_alone_is_drawn_too(write: Write, command: Command) -> None:
    result = command(
        "design-space", write(*EDITS), "--vary", "press.gap_setpoint=1.8:2.4 mm", *OPTIONS[4:], "--out", "one"
    )
    assert result.exit_code == 0, result.output
    assert Path("one/design_space.png").stat().st_size > 10_000


@pytest.mark.usefixtures("here")
def test_fresh_runs_at_the_corners_are_counted(write: Write, command: Command) -> None:
    result = command("design-space", write(*EDITS), *OPTIONS, "--verify", "8", "--out", "checked")
    assert result.exit_code == 0, result.output
    content = yaml.safe_load(Path("checked/design_space.yaml").read_text(encoding="utf-8"))
    shown = content["provenance"]["verification_at_corners"]
    assert shown["runs"] == 8
    assert f"{shown['passed']} of 8 in specification" in " ".join(result.output.split())
    assert shown["low"] <= shown["passed"] / 8 <= shown["high"]


def test_processes_give_what_one_process_gives(write: Write, command: Command) -> None:
    file = write(*EDITS)
    result = command("design-space", file, *VARY, "--points", "10", "--out", "parallel")
    assert "runs" in result.output
    rows = {line.split(",")[0]: line for line in Path("parallel/samples.csv").read_text(encoding="utf-8").splitlines()}
    plan = json.loads(Path("parallel/plan.json").read_text(encoding="utf-8"))
    assert plan["seeds_each"] == 1
    with pytest.MonkeyPatch.context() as patch:

        @contextmanager
        def local(jobs: int) -> Iterator[Executor]:
            yield _Here()

        patch.setattr(executors, "local_processes", local)
        command("design-space", file, *VARY, "--points", "10", "--out", "serial")
    serial = Path("serial/samples.csv").read_text(encoding="utf-8").splitlines()
    assert {line.split(",")[0]: line for line in serial} == rows


def test_a_dask_cluster_gives_what_one_process_gives(
    write: Write, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("distributed", reason="Dask is optional: pip install 'galenic[cluster]'")
    file = write(*EDITS)
    result = command("design-space", file, *VARY, "--points", "10", "--out", "cluster", "--scheduler", "local:1")
    assert result.exit_code in (0, 1, 2), result.output  # ten runs may be too few for a fit

    @contextmanager
    def local(jobs: int) -> Iterator[Executor]:
        yield _Here()

    monkeypatch.setattr(executors, "local_processes", local)
    command("design-space", file, *VARY, "--points", "10", "--out", "serial")
    found = [Path(f"{folder}/samples.csv").read_text(encoding="utf-8") for folder in ("cluster", "serial")]
    assert found[0] == found[1]
    assert len(found[0].splitlines()) == 11


def test_a_scheduler_that_is_none_is_refused_with_a_cure(write: Write, command: Command) -> None:
    pytest.importorskip("distributed", reason="Dask is optional: pip install 'galenic[cluster]'")
    result = command("design-space", write(*EDITS), *VARY, "--points", "10", "--scheduler", "local:many")
    assert result.exit_code == 2
    assert "no number of processes" in result.output
    assert "Cure" in result.output


@pytest.mark.usefixtures("here")
def test_what_counts_at_the_end_is_judged_at_the_end(write: Write, command: Command) -> None:
    # the powder gets heavier at 10 s: at the end only is every tablet that heavy
    file = write(EDITS[0], ("{at: 1 min, by: 5 %}", "{at: 10 s, by: 10 %}"), ("limits: [30 N, null]", "limits: null"))
    ask = ("--at-end", "hardness=:62 N", "--set", "kpis.quality.weight.limits=null", "--set", "kpis.design_space=null")
    result = command("design-space", file, *VARY, *ask, "--points", "24", "--at-least", "0.6", "--confidence", "0.5",
                     "--out", "found")  # fmt: skip
    assert result.exit_code == 0, result.output
    content = yaml.safe_load(Path("found/design_space.yaml").read_text(encoding="utf-8"))
    assert content["critical_quality_attributes"] == {}
    assert content["final_attributes"] == {"press.hardness": {"max": 62.0, "unit": "N"}}
    columns = content["samples"]["columns"]
    rows = [dict(zip(columns, row, strict=True)) for row in content["samples"]["rows"]]
    assert {row["passed"] for row in rows} == {0, 1}
    for row in rows:
        assert row["press.hardness lowest"] == row["press.hardness highest"]
        assert row["passed"] == (row["press.hardness highest"] <= 62.0)
    space = DesignSpace.load("found/design_space.yaml")
    assert space.soft_limits == {}
    assert space.final_attributes["press.hardness"].max == 62.0


@pytest.mark.parametrize(
    ("option", "text", "message"),
    [
        ("--keep", "press.hardness", "no range is given"),
        ("--keep", "press.hardnes=40 N:", "there is no signal"),
        ("--at-end", "press.hardness=40 kg:", "dimensions differ"),
        ("--at-end", "press.hardness=60:40 N", "not below"),
        ("--at-end", "press.hardness=:", "no range is given"),
    ],
)
def test_a_wrong_specification_is_refused_with_a_cure(
    write: Write, command: Command, option: str, text: str, message: str
) -> None:
    result = command("design-space", write(*EDITS), *VARY, option, text)
    assert result.exit_code == 2
    assert message in " ".join(result.output.replace("│", " ").split())
    assert "Cure" in result.output


@pytest.mark.parametrize(
    ("vary", "message"),
    [
        ("press.fill_depth_setpoint=5:8 mm", "force_loop.value drives"),
        ("press.tablet_weight=5:8 mg", "is an output"),
        ("press.gap_setpiont=2:3 mm", "press.gap_setpoint"),
        ("press.gap_setpoint=3:2 mm", "not below"),
        ("press.gap_setpoint=2:3 kg", "dimensions differ"),
        ("press.gap_setpoint=2:30 mm", "goes beyond"),
        ("press.gap_setpoint", "no range"),
        ("press.gap_setpoint=3 mm", "--vary press.gap_setpoint=3 mm"),
    ],
)
def test_a_wrong_range_is_refused_with_a_cure(write: Write, command: Command, vary: str, message: str) -> None:
    result = command("design-space", write(), "--vary", vary)
    assert result.exit_code == 2
    assert message in " ".join(result.output.replace("│", " ").split())
    assert "Cure" in result.output
    assert not Path("runs").exists()


def test_a_scenario_without_specification_is_refused(write: Write, command: Command) -> None:
    file = write(
        (", limits: 5 %, reject: [200 mg, 240 mg]", ""), (", limits: [30 N, null]", ""),
        ("  design_space: {file: space.yaml}\n", ""),
    )  # fmt: skip
    result = command("design-space", file, "--vary", "press.gap_setpoint=10 %")
    assert result.exit_code == 2
    assert "no quality attribute has limits" in " ".join(result.output.replace("│", " ").split())


def test_a_driven_setpoint_of_the_design_space_is_no_default(write: Write, command: Command) -> None:
    result = command("design-space", write())
    assert result.exit_code == 2
    assert "nothing to vary" in result.output
