from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from galenic.comparison import Pair, headline, statistics
from galenic.indicator import Kpi


def pair(seed: int, a: float, b: float) -> Pair:
    return Pair(seed, [Kpi("x", "x", a, "mg", "")], [Kpi("x", "x", b, "mg", "")])


def test_the_interval_is_students_t_on_the_paired_differences() -> None:
    (row,) = statistics([pair(1, 10, 9), pair(2, 20, 18), pair(3, 30, 27)])
    # differences -1, -2, -3: mean -2, standard deviation 1, t(0.975, 2) = 4.302653
    assert row.difference == pytest.approx(-2.0)
    assert row.low == pytest.approx(-2.0 - 4.302653 / math.sqrt(3), rel=1e-6)
    assert row.high == pytest.approx(-2.0 + 4.302653 / math.sqrt(3), rel=1e-6)
    assert (row.mean_a, row.sd_a) == (20.0, 10.0)
    assert (row.won, row.tied, row.pairs) == (3, 0, 3)


def test_ties_and_rounding_win_nothing_and_missing_numbers_do_not_count() -> None:
    (row,) = statistics([pair(1, 1.0, 1.0), pair(2, 1e9, 1e9 * (1 + 1e-15)), pair(3, math.nan, 1.0), pair(4, 2, 1)])
    assert (row.won, row.tied, row.pairs) == (1, 2, 3)


def test_the_table_has_each_indicator_in_one_unit() -> None:
    kpis = [Kpi("waste_share", "waste", 1, "%", ""), Kpi("waste_mass", "waste", 1, "kg", "")]
    assert [r.unit for r in headline(statistics([Pair(1, kpis, kpis), Pair(2, kpis, kpis)]))] == ["%"]


def test_compare_runs_the_same_seeds_without_and_with_the_supervisor(
    command: Callable[..., Result], write: Callable[..., Path], tmp_path: Path
) -> None:
    result = command("compare", write(), "--seeds", 2, "--duration", "30 s", "--out", "both")
    assert result.exit_code == 0, result.output
    assert "PI alone" in result.output
    content = json.loads((tmp_path / "both" / "compare.json").read_text(encoding="utf-8"))
    assert content["seeds"] == [1, 2]
    assert content["a"]["without"] == ["fixed_depth"]
    first, second = content["pairs"]
    assert first["a"]["weight_mean"] != second["a"]["weight_mean"]
    assert first["a"]["weight_mean"] != first["b"]["weight_mean"]
    rows = list(csv.DictReader((tmp_path / "both" / "compare.csv").open(encoding="utf-8")))
    assert {row["variant"] for row in rows} == {content["a"]["label"], content["b"]["label"]}
    assert (tmp_path / "both" / "compare.png").stat().st_size > 10_000
    assert not (tmp_path / "both" / "a").exists()


def test_compare_of_a_scenario_with_itself_finds_no_difference(
    command: Callable[..., Result], write: Callable[..., Path], tmp_path: Path
) -> None:
    file, copy = write(), write(name="copy.yaml")
    result = command("compare", file, copy, "--seeds", 2, "--duration", "20 s", "--out", "both", "--keep")
    assert result.exit_code == 0, result.output
    content = json.loads((tmp_path / "both" / "compare.json").read_text(encoding="utf-8"))
    rows = {row["name"]: row for row in content["kpis"]}
    assert rows["weight_rsd"]["difference"] == 0.0
    assert rows["weight_rsd"]["tied"] == 2
    assert (tmp_path / "both" / "a" / "seed-2" / "metadata.json").is_file()


def test_a_failing_run_names_its_seed(command: Callable[..., Result], write: Callable[..., Path]) -> None:
    write()
    broken = Path("supervisor.py").read_text(encoding="utf-8").replace(
        "    def do_step(self, communication_point, step_size):\n",
        "    def do_step(self, communication_point, step_size):\n        1 / (communication_point - 10.0)\n",
    )  # fmt: skip
    Path("supervisor.py").write_text(broken, encoding="utf-8")
    result = command("compare", "tiny.yaml", "--seeds", 2, "--duration", "20 s")
    assert result.exit_code == 2
    assert "seed" in result.output
    assert "ZeroDivisionError" in result.output
