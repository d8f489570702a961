"""`galenic explain` and `galenic advise` on a run of the tablet line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from controllers.mpc import MPCController
from cosim import Simulation, find_scenario, load_scenario, simulate
from galenic.advice import Prompt, ask_at_prompt
from galenic.console import output

SHORT = ("duration=12 min", "controllers.mpc.start_after=2 min")


OUTAGE = """\
extends: {base}
description: The NIR gives nothing for five minutes
actions:
  - {{at: 4 min, lasting: 5 min, fault: {{nir: {{dropout: true}}}}}}
"""


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with the MPC in force, whose NIR gives nothing from 4 to 9 min; after five of its periods it is missed."""
    folder = tmp_path_factory.mktemp("closed")
    file = folder / "outage.yaml"
    file.write_text(OUTAGE.format(base=find_scenario("tablet_line").resolve().as_posix()), encoding="utf-8")
    simulate(load_scenario(file, SHORT), out=folder / "run", seed=3)
    return folder / "run"


def explained(command: Callable[..., Result], *arguments: object) -> dict[str, Any]:
    result = command("explain", *arguments, "--json")
    assert result.exit_code == 0, result.output
    content: dict[str, Any] = json.loads(result.output)
    return content


def test_a_step_is_explained(command: Callable[..., Result], closed: Path) -> None:
    e = explained(command, closed, "--at", "3 min")
    assert (e["time"], e["mode"], e["rung"], e["reason"]) == (180.0, "closed", 0, "solved")
    assert {y["name"] for y in e["outputs"]} >= {"press.hardness", "feed_frame.level"}
    hardness = next(y for y in e["outputs"] if y["name"] == "press.hardness")
    assert hardness["reference"] == 52.0
    assert hardness["limits"] == [42.0, 62.0]
    assert all(c["std"] > 0.0 for c in hardness["prediction"])
    for u in e["inputs"]:
        assert u["bounds"][0] <= u["after"] <= u["bounds"][1]
        # the parts are all of the move
        assert sum(u["parts"].values()) == pytest.approx(u["planned"] - u["before"], abs=1e-4 * abs(u["before"]))
        assert u["sentence"].startswith(u["name"])
    assert 0.0 < e["design_space"]["margin"] < 1.0
    text = command("explain", closed, "--at", "3 min").output
    for word in ("press.fill_depth_setpoint", "tablet_weight", "Design space", "rung 0"):
        assert word in text


def test_what_is_missing_and_what_it_did_is_told(command: Callable[..., Result], closed: Path) -> None:
    e = explained(command, closed, "--at", "8 min")
    assert (e["rung"], e["reason"], e["missing"]) == (4, "measurement_missing", "press.label_claim")
    assert e["mode"] == "advisory"
    assert e["asked_mode"] == "closed"
    assert e["alarm"]
    assert all("the loop below sets it" in u["sentence"] or u["loops"] is None for u in e["inputs"])
    assert "ALARM" in command("explain", closed, "--at", "8 min").output


def test_the_summary_tells_when_the_plan_was_left(command: Callable[..., Result], closed: Path) -> None:
    s = explained(command, closed)
    assert s["steps"] == 72
    assert sum(row["steps"] for row in s["rungs"]) == 72
    assert [(span["reason"], span["rung"]) for span in s["left_the_plan"]][:2] == [
        ("waiting", 4),
        ("measurement_missing", 4),
    ]
    assert s["left_the_plan"][1]["first"] == pytest.approx(4.5 * 60.0 + 150.0, abs=60.0)
    assert "missing" in command("explain", closed).output


def test_wrong_questions_have_a_cure(command: Callable[..., Result], closed: Path, tmp_path: Path) -> None:
    for arguments, word in (
        ((closed, "--at", "-5 s"), "later time"),
        ((closed, "--controller", "mcp"), "mpc"),
        ((tmp_path,), "type mpc"),
        ((closed.parent / "ran",), "no folder"),
        ((closed, "--at", "3 kg"), "10 min"),
    ):
        result = command("explain", *arguments)
        assert result.exit_code == 2
        assert word in " ".join(result.output.split())


@pytest.fixture
def advising(tmp_path: Path) -> Any:
    scenario = load_scenario("tablet_line", (*SHORT, "controllers.mpc.operation.mode=advisory"))
    with Simulation(scenario, out=tmp_path / "run", seed=3) as simulation:
        simulation.step(200)
        yield simulation, tmp_path / "run"


def test_a_recommendation_is_shown_accepted_and_released_while_the_run_goes_on(
    command: Callable[..., Result], advising: tuple[Simulation, Path]
) -> None:
    simulation, run = advising
    assert simulation.get("mpc.active") == 0.0
    shown = command("advise", run)
    assert "mpc recommends (number 1" in shown.output
    assert "press.gap_setpoint" in shown.output
    assert command("advise", run, "--accept", 7).exit_code == 2
    accepted = command("advise", run, "--accept", 1)
    assert accepted.exit_code == 0, accepted.output
    before = simulation.get("press.gap_setpoint")
    simulation.step(60)
    assert simulation.get("mpc.active") == 1.0
    assert simulation.get("press.gap_setpoint") != before
    assert command("advise", run, "--release").exit_code == 0
    simulation.step(20)
    assert simulation.get("mpc.active") == 0.0
    what = [e["what"] for e in explained(command, run)["events"]]
    assert what[:2] == ["recommended", "accepted"]
    assert "released" in what


def test_at_the_prompt_each_recommendation_is_asked_once(tmp_path: Path) -> None:
    answers = iter(["what?", "a", "", "r"])
    asked: list[str] = []

    def read() -> str:
        asked.append(answer := next(answers, ""))
        return answer

    with Simulation(load_scenario("tablet_line", SHORT), out=tmp_path / "run", seed=3) as simulation:
        ask_at_prompt(simulation, output())
        mpc = simulation.system.controllers["mpc"]
        assert isinstance(mpc, MPCController)
        mpc.ask_with(Prompt("mpc", [(u.name, u.unit) for u in mpc.law.inputs], output(), read))
        simulation.step(720)
        assert simulation.get("mpc.mode_in_force") == 2.0
        assert simulation.get("mpc.active") == 1.0
        assert mpc.shell.advisor.number == len(asked) - 1  # the first was asked again


def test_no_controller_to_advise_has_a_cure(tmp_path: Path) -> None:
    from fmus.errors import GalenicError

    simulation = Simulation(load_scenario("tablet_line"), without=["mpc"])
    with pytest.raises(GalenicError, match="no predictive controller"):
        ask_at_prompt(simulation, output())
    simulation.close()
    assert not list(tmp_path.iterdir())


def test_a_resumed_run_has_the_record_of_one_that_never_stopped(closed: Path, tmp_path: Path) -> None:
    file = closed.parent / "outage.yaml"
    stopped = Simulation(load_scenario(file, SHORT), out=tmp_path / "run", seed=3, checkpoint_every=300.0)
    stopped.step(450)  # what comes after the checkpoint at 300 s is computed again
    stopped.close()
    resumed = Simulation(load_scenario(file, SHORT), out=tmp_path / "run", seed=3, checkpoint_every=300.0)
    resumed.resume()
    resumed.run()
    whole, again = (_steps(folder / "control" / "mpc.jsonl") for folder in (closed, tmp_path / "run"))
    assert again == whole


def _steps(file: Path) -> list[dict[str, Any]]:
    """The lines of a record without what the clock said."""
    return [{k: v for k, v in json.loads(line).items() if k != "ms"} for line in file.read_text("utf-8").splitlines()]
