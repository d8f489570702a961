from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from controllers.design_space import DesignSpace
from controllers.design_space.back_off import Tightening
from fmus.errors import GalenicError
from galenic import executors
from galenic.back_off import ClosedLoop, ClosedRun, Watched, learn, with_file, write

Command = Callable[..., Result]

SPACE = """\
design_space: galenic/1  # the comment stays
setpoints:
  press.gap: {min: 1.5, max: 2.5, unit: mm}
critical_quality_attributes:
  weight: {min: 219, max: 233, unit: mg}
  press.hardness: {min: 42, unit: N}
REGION
proven_acceptable_ranges:
  press.gap: {min: 1.4, max: 2.6, unit: mm}
"""
REGION = """\
region:
  kind: probability
  at_least: 0.9
  confidence: 0.5
  domain: {press.gap: {min: 1, max: 3, unit: mm}}
  coefficients: [6, 0, -10]
  covariance: [[0, 0, 0], [0, 0, 0], [0, 0, 0]]
"""


@pytest.fixture
def plan(tmp_path: Path) -> ClosedLoop:
    file = tmp_path / "space.yaml"
    file.write_text(SPACE.replace("REGION\n", ""), encoding="utf-8")
    watched = (
        Watched("weight", "press.tablet_weight", "mg", 219.0, 233.0),
        Watched("press.hardness", "press.hardness", "N", 42.0, math.inf),
    )
    return ClosedLoop("line.yaml", (), 600.0, 60.0, 0.0, "mpc", watched, str(file))


def runs(count: int, outside: float = 0.0) -> list[ClosedRun]:
    """The k-th is k/10 mg and k N away below, twice that above."""
    return [ClosedRun(k, (k / 10, float(k)), (k / 5, 2.0 * k), outside, 0.4) for k in range(1, count + 1)]


def test_the_back_off_is_what_the_asked_share_of_runs_stays_within(plan: ClosedLoop) -> None:
    found = learn(plan, runs(20), 0.9)
    # 18.1 of 20: the 19th; a side without a limit has none
    assert found.back_off.attributes == {
        "weight": Tightening(1.9, 3.8, "mg"),
        "press.hardness": Tightening(19.0, 0.0, "N"),
    }
    assert found.in_specification == 20
    assert found.back_off.region == 0.0
    assert learn(plan, runs(20), 0.5).back_off.attributes["weight"].low < 1.9


def test_an_attribute_that_wanders_further_than_its_limits_is_refused(plan: ClosedLoop) -> None:
    found = learn(plan, runs(60), 1.0)
    assert found.refused == {"weight": (6.0, 12.0)}
    assert set(found.back_off.attributes) == {"press.hardness"}


def test_runs_that_ended_early_count_as_out_of_specification(plan: ClosedLoop) -> None:
    broken = ClosedRun(99, (math.nan, math.nan), (math.nan, math.nan), 1.0, math.nan, "the press stopped")
    found = learn(plan, [*runs(9), broken], 0.9)
    assert found.in_specification == 9
    assert math.isfinite(found.back_off.attributes["weight"].low)
    with pytest.raises(GalenicError, match="the press stopped"):
        learn(plan, [broken], 0.9)


def test_a_probability_that_closed_loop_does_not_reach_is_asked_for_with_more(plan: ClosedLoop) -> None:
    Path(plan.file).write_text(SPACE.replace("REGION\n", REGION), encoding="utf-8")
    assert learn(plan, runs(40), 0.9).back_off.region == 0.0
    some = [*runs(30), *runs(10, outside=0.2)]
    given = 30.5 / 41.0
    found = learn(plan, some, 0.9).back_off.region
    assert found == pytest.approx(math.log(9.0) - math.log(given / (1.0 - given)), abs=0.1)
    assert found >= math.log(9.0) - math.log(given / (1.0 - given))


def test_the_rest_of_the_file_stays_and_an_earlier_back_off_goes(plan: ClosedLoop, tmp_path: Path) -> None:
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    write(plan, learn(plan, runs(20), 0.9), first, {"runs": 20})
    again = with_file(plan, first)
    assert again.overrides == (f"controllers.mpc.design_space={first.resolve().as_posix()}",)
    write(again, learn(again, runs(10), 0.9), second, {"runs": 10})
    text = second.read_text(encoding="utf-8")
    assert text.startswith(SPACE.replace("REGION\n", "").rstrip("\n"))
    assert text.count("back_off:") == 1
    space = DesignSpace.load(second)
    assert space.back_off is not None
    assert space.back_off.attributes["weight"] == Tightening(1.0, 2.0, "mg")
    assert space.soft_limits["weight"].max == pytest.approx(231.0)


class _Here(Executor):
    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def local(jobs: int) -> Iterator[Executor]:
        yield _Here()

    monkeypatch.setattr(executors, "local_processes", local)


SHORT = ("--duration", "8 min", "--set", "kpis.product.warm_up=6 min", "--back-off", "5")


@pytest.mark.usefixtures("here")
def test_the_tablet_line_gets_a_back_off_that_its_mpc_reads(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = command("design-space", "tablet_line", *SHORT, "--out", "found")
    assert result.exit_code == 0, result.output
    space = DesignSpace.load("found/design_space.yaml")
    assert space.back_off is not None
    assert set(space.back_off.attributes) == {"press.label_claim", "press.tablet_weight", "press.hardness"}
    file = (tmp_path / "found" / "design_space.yaml").as_posix()
    done = command("run", "tablet_line", "--no-plot", "--duration", "12 min", "--out", "run",
                   "--set", f"controllers.mpc.design_space={file}")  # fmt: skip
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize(
    ("scenario", "options", "message"),
    [
        ("penicillin_batch_paa", (), "no controller with a design space"),
        ("tablet_line", ("--vary", "press.gap_setpoint=10 %"), "--vary is of the ensemble"),
        ("tablet_line", ("--duration", "5 min"), "nothing would count"),
    ],
)
def test_what_cannot_be_done_is_refused_with_a_cure(
    command: Command, scenario: str, options: tuple[str, ...], message: str
) -> None:
    result = command("design-space", scenario, "--back-off", "5", *options)
    assert result.exit_code == 2
    assert message in " ".join(result.output.replace("│", " ").split())
    assert "Cure" in result.output
