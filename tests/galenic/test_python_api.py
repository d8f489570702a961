"""The examples of docs/python_api.md run as they stand, and print what the page says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import matplotlib
import pytest

import galenic
from fmus.errors import GalenicError
from galenic import Results, Scenario, Simulation

PAGE = Path(__file__).parents[2] / "docs" / "python_api.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
SAID = re.compile(r"^ *print\(.*\)  # (.*)$", re.MULTILINE)

PRESS = {
    "scenario": "galenic/1",
    "duration": "5 s",
    "communication_step": "1 s",
    "components": {"press": {"unit": "tablet_press"}},
}


def test_the_page_runs_as_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    matplotlib.use("Agg")
    names: dict[str, Any] = {}
    for number, block in enumerate(BLOCKS, 1):
        exec(compile(block, f"{PAGE.name}, example {number}", "exec"), names)
        assert capsys.readouterr().out.splitlines() == SAID.findall(block), block
    assert (tmp_path / "press.csv").stat().st_size > 0
    assert (tmp_path / "first.mat").exists()


def test_the_page_names_what_the_package_offers() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for name in galenic.__all__:
        assert getattr(galenic, name) is not None
        assert f"galenic.{name}" in text, name


def test_a_run_is_that_of_the_command(tmp_path: Path) -> None:
    results = galenic.simulate(PRESS, out=tmp_path / "run")
    assert (tmp_path / "run" / "kpis.json").exists()
    assert results.complete
    assert galenic.plot(results, tmp_path / "figure.png").stat().st_size > 10_000
    assert galenic.kpis(results).loc["real_time_factor", "value"] > 0.0


def test_a_run_without_a_folder_makes_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert galenic.simulate(PRESS, duration=2).folder.parent == Path("runs")


def test_a_file_and_a_scenario_do_too(tmp_path: Path) -> None:
    made = Scenario.from_mapping(PRESS)
    assert (
        galenic.simulate(made, out=tmp_path / "a").frame().equals(galenic.simulate(PRESS, out=tmp_path / "b").frame())
    )
    with pytest.raises(GalenicError, match="there is no scenario 'tablet_lin'"):
        galenic.simulate("tablet_lin", out=tmp_path / "c")
    with pytest.raises(GalenicError, match="whole number of communication steps"):
        galenic.simulate(PRESS, out=tmp_path / "c", duration="1.5 s")


def test_results_so_far_need_a_folder(tmp_path: Path) -> None:
    made = Scenario.from_mapping(PRESS)
    with Simulation(made, out=tmp_path / "run") as simulation:
        simulation.step(2)
        assert simulation.results.frame().index.to_list() == [0.0, 1.0, 2.0]
        simulation.step()
        assert len(simulation.results.frame()) == 4
        assert not simulation.results.complete
    assert len(Results.open(tmp_path / "run").frame()) == 4
    with Simulation(made) as simulation, pytest.raises(GalenicError, match="records nothing"):
        _ = simulation.results
