from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from typer.testing import Result

from galenic.loop_tuning import loops_of, tune_loop
from galenic.session import load

Write = Callable[..., Path]
Command = Callable[..., Result]
# the press's own lags are seconds, so a loop of 1 s sees them
QUICK = (
    ("duration: 2 min", "duration: 10 min"),
    ("period: 10 s, noise", "period: 1 s, noise"),
    ("    period: 10 s\n    measurement", "    period: 1 s\n    measurement"),
)


def test_it_shows_both_tunings_and_writes_a_scenario_that_runs(write: Write, command: Command) -> None:
    file = write(*QUICK)
    result = command("tune", file, "--write", "tuned.yaml")
    assert result.exit_code == 0, result.output
    assert "force_loop" in result.output
    assert "SIMC" in result.output
    content = yaml.safe_load(Path("tuned.yaml").read_text(encoding="utf-8"))
    assert content["extends"] == "tiny.yaml"
    assert set(content["controllers"]) == {"force_loop"}
    tuned = load("tuned.yaml")
    assert tuned.controllers["force_loop"]["setpoint"] == "6.2 kN"
    assert str(tuned.controllers["force_loop"]["gain"]).endswith("(mm)/(kN)")
    done = command("run", "tuned.yaml", "--no-plot", "--duration", "1 min")
    assert done.exit_code == 0, done.output


def test_a_scenario_in_another_folder_finds_its_base(write: Write, command: Command) -> None:
    assert command("tune", write(*QUICK), "--write", "variants/tuned.yaml").exit_code == 0
    assert load("variants/tuned.yaml").controllers["force_loop"]["setpoint"] == "6.2 kN"


def test_the_tuned_loop_settles_where_its_sensitivity_says_it_does(write: Write) -> None:
    from cosim import Simulation

    line = load(str(write(*QUICK)))
    (loop,) = loops_of(line, ["fixed_depth"], [])
    found = tune_loop(line, loop, ["fixed_depth"])
    assert 1.0 < found.after.sensitivity <= 1.7
    assert found.after.gain_margin > 1.7
    assert found.model.gain > 0.0
    for factor, calm in ((1.0, True), (1.3 * found.after.gain_margin, False)):
        section = dict(line.controllers["force_loop"])
        section |= {"gain": factor * found.tuning.gain, "integral_time": found.tuning.integral_time}
        quiet = {n: s.model_copy(update={"noise": 0.0}) for n, s in line.sensors.items()}
        closed = line.model_copy(
            update={"controllers": {**line.controllers, "force_loop": section}, "disturbances": [], "sensors": quiet}
        )
        with Simulation(closed, without=["fixed_depth"]) as simulation:
            simulation.step(120)
            last = []
            for _ in range(30):
                simulation.step()
                last.append(simulation.get("press.main_compression_force"))
        assert (max(last) - min(last) < 1e-3) is calm
        if calm:
            assert last[-1] == pytest.approx(6.2, abs=1e-2)


def test_a_slower_loop_has_less_gain_and_more_margin(write: Write) -> None:
    line = load(str(write(*QUICK)))
    (loop,) = loops_of(line, ["fixed_depth"], ["force_loop"])
    quick, slow = (tune_loop(line, loop, ["fixed_depth"], slower=factor) for factor in (4.0, 12.0))
    assert slow.tuning.gain < quick.tuning.gain
    assert slow.after.sensitivity < quick.after.sensitivity
    assert slow.after.gain_margin > quick.after.gain_margin


def test_a_loop_that_starts_at_a_limit_is_tested_inside_it(write: Write) -> None:
    line = load(str(write(*QUICK)), None, ["force_loop.limits=[6.5 mm, 8 mm]"])
    (loop,) = loops_of(line, ["fixed_depth"], [])
    assert loop.step == pytest.approx(0.075)
    assert loop.resting >= 6.5 + loop.step
    assert tune_loop(line, loop, ["fixed_depth"]).model.gain > 0.0


def test_an_earlier_file_is_not_written_over(write: Write, command: Command) -> None:
    file = write(*QUICK)
    Path("mine.yaml").write_text("mine", encoding="utf-8")
    result = command("tune", file, "--write", "mine.yaml")
    assert result.exit_code == 2
    assert Path("mine.yaml").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--loop", "fixed_depth"), "is no PI controller"),
        (("--settle", "soon"), "--settle"),
    ],
)
def test_what_cannot_be_tuned_is_refused_with_a_cure(
    write: Write, command: Command, options: tuple[str, ...], message: str
) -> None:
    result = command("tune", write(*QUICK), *options)
    assert result.exit_code == 2
    assert message in " ".join(result.output.replace("│", " ").split())
    assert "Cure" in result.output
