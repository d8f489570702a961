from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from galenic.comparison import Trial, Variant, statistics
from galenic.comparison_runs import run_trials
from galenic.comparison_table import cells, headline
from galenic.indicator import Kpi


def trial(seed: int, *values: float) -> Trial:
    return Trial(seed, tuple([Kpi("x", "x", value, "mg", "")] for value in values))


def test_the_interval_is_students_t_on_the_paired_differences() -> None:
    (row,) = statistics([trial(1, 10, 9), trial(2, 20, 18), trial(3, 30, 27)])
    # differences -1, -2, -3: mean -2, standard deviation 1, t(0.975, 2) = 4.302653
    (difference,) = row.differences
    assert difference.mean == pytest.approx(-2.0)
    assert difference.low == pytest.approx(-2.0 - 4.302653 / math.sqrt(3), rel=1e-6)
    assert difference.high == pytest.approx(-2.0 + 4.302653 / math.sqrt(3), rel=1e-6)
    assert (row.means[0], row.spreads[0]) == (20.0, 10.0)
    assert (difference.won, difference.tied, difference.pairs) == (3, 0, 3)


def test_the_last_variant_is_judged_against_each_of_the_others() -> None:
    (row,) = statistics([trial(1, 10, 5, 4), trial(2, 20, 7, 8), trial(3, 30, math.nan, 9)])
    assert row.means == (20.0, 6.0, 7.0)
    assert [(d.mean, d.won, d.pairs) for d in row.differences] == [(-13.0, 3, 3), (0.0, 1, 2)]


def test_ties_and_rounding_win_nothing_and_missing_numbers_do_not_count() -> None:
    (row,) = statistics([trial(1, 1.0, 1.0), trial(2, 1e9, 1e9 * (1 + 1e-15)), trial(3, math.nan, 1.0), trial(4, 2, 1)])
    (difference,) = row.differences
    assert (difference.won, difference.tied, difference.pairs) == (1, 2, 3)


def test_the_table_has_each_indicator_in_one_unit() -> None:
    kpis = [Kpi("waste_share", "waste", 1, "%", ""), Kpi("waste_mass", "waste", 1, "kg", "")]
    assert [r.unit for r in headline(statistics([Trial(1, (kpis, kpis)), Trial(2, (kpis, kpis))]))] == ["%"]


def test_a_cell_shows_nothing_as_0_and_hundreds_without_exponents() -> None:
    def row(unit: str, *pairs: tuple[float, float]) -> list[str]:
        kpi = [[Kpi("k", "k", value, unit, "", "lower") for value in pair] for pair in pairs]
        return cells(statistics([Trial(i, ([a], [b])) for i, (a, b) in enumerate(kpi)])[0])

    assert row("%", (1e-23, 1e-24), (2e-23, 1e-24))[1:] == ["0 +- 0", "0 +- 0", "0 (0 to 0)", "0 of 2, 2 equal"]
    assert row("1", (1e-23, 1e-24), (3e-23, 1e-24))[1] == "2e-23 +- 1.4e-23"
    assert row("1", (480000.0, 1.0), (480000.0 + 6e-10, 1.0))[1] == "480 000 +- 0"
    assert row("1", (0.0, 900.0), (0.0, 1100.0))[3] == "1000 (-270.6 to 2271)"


def test_compare_runs_the_same_seeds_without_and_with_the_supervisor(
    command: Callable[..., Result], write: Callable[..., Path], tmp_path: Path
) -> None:
    result = command("compare", write(), "--seeds", 2, "--duration", "30 s", "--out", "both")
    assert result.exit_code == 0, result.output
    assert "PI alone" in result.output
    content = json.loads((tmp_path / "both" / "compare.json").read_text(encoding="utf-8"))
    assert content["seeds"] == [1, 2]
    assert content["variants"][0]["without"] == ["fixed_depth"]
    first, second = (trial["sides"] for trial in content["trials"])
    assert first[0]["weight_mean"] != second[0]["weight_mean"]
    assert first[0]["weight_mean"] != first[1]["weight_mean"]
    rows = list(csv.DictReader((tmp_path / "both" / "compare.csv").open(encoding="utf-8")))
    assert {row["variant"] for row in rows} == {variant["label"] for variant in content["variants"]}
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
    (difference,) = rows["weight_rsd"]["differences"]
    assert (difference["mean"], difference["tied"]) == (0.0, 2)
    assert (tmp_path / "both" / "a" / "seed-2" / "metadata.json").is_file()


def supervisor_begins_with(*statements: str) -> None:
    """What the supervisor in this folder does first in a step."""
    step = "    def do_step(self, communication_point, step_size):\n"
    file = Path("supervisor.py")
    text = file.read_text(encoding="utf-8")
    assert step in text
    file.write_text(text.replace(step, step + "".join(f"        {s}\n" for s in statements)), encoding="utf-8")


def test_a_failing_run_names_its_seed(command: Callable[..., Result], write: Callable[..., Path]) -> None:
    write()
    supervisor_begins_with("1 / (communication_point - 10.0)")
    result = command("compare", "tiny.yaml", "--seeds", 2, "--duration", "20 s")
    assert result.exit_code == 2
    assert "seed" in result.output
    assert "ZeroDivisionError" in result.output


def test_three_variants_stand_side_by_side(
    command: Callable[..., Result], write: Callable[..., Path], tmp_path: Path
) -> None:
    write()
    sides = ["open = tiny.yaml without fixed_depth", "tiny.yaml", "slow = tiny.yaml"]
    result = command(
        "compare", *sides, "--seeds", 2, "--duration", "20 s", "--set", "kpis.product.warm_up=5 s", "--out", "three"
    )
    assert result.exit_code == 0, result.output
    content = json.loads((tmp_path / "three" / "compare.json").read_text(encoding="utf-8"))
    assert [v["label"] for v in content["variants"]] == ["open", "tiny", "slow"]
    head = (tmp_path / "three" / "compare.md").read_text(encoding="utf-8").splitlines()[0]
    assert head == "| KPI | open | tiny | slow | slow less open (95 % CI) | won | slow less tiny (95 % CI) | won |"


def test_a_controller_that_no_variant_has_is_named(command: Callable[..., Result], write: Callable[..., Path]) -> None:
    write()
    result = command("compare", "tiny.yaml without fixed_dept", "tiny.yaml", "--seeds", 2)
    assert result.exit_code == 2
    assert "fixed_dept" in result.output
    result = command("compare", "tiny.yaml", "tiny.yaml", "--without", "fixed_depth")
    assert result.exit_code == 2
    assert "tiny.yaml without fixed_depth" in result.output


def test_ctrl_c_keeps_the_seeds_that_were_finished(write: Callable[..., Path], tmp_path: Path) -> None:
    file = str(write())
    sides = [Variant("A", file, ("fixed_depth",)), Variant("B", file)]
    told: list[float] = []

    def progress(done: float) -> None:
        told.append(done)
        if done > 2.0:  # the first seed is through
            raise KeyboardInterrupt

    trials, interrupted = run_trials(sides, range(1, 5), tmp_path / "out", duration="2 min", jobs=1, progress=progress)
    assert interrupted
    assert 1 <= len(trials) < 4
    assert [len(side) > 3 for side in trials[0].sides] == [True, True]
    assert told == sorted(told)
    assert not any((tmp_path / "out").glob("*"))


def test_a_process_that_dies_is_named_with_a_cure(command: Callable[..., Result], write: Callable[..., Path]) -> None:
    write()
    supervisor_begins_with("import os", "os._exit(3)")
    result = command("compare", "tiny.yaml", "--seeds", 2, "--duration", "20 s", "--jobs", 1)
    assert result.exit_code == 2
    assert "a run's process ended without a word" in result.output
    assert "--jobs 1" in result.output
