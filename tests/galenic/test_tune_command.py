from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from typer.testing import Result

from galenic.loop_tuning import Wishes, loops_of, tune_loop
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
    (chosen,) = found.choices
    assert 1.0 < chosen.margins.sensitivity <= 1.7
    assert chosen.margins.gain_margin > 1.7
    assert found.model.gain > 0.0
    for factor, calm in ((1.0, True), (1.3 * chosen.margins.gain_margin, False)):
        section = dict(line.controllers["force_loop"])
        section |= {"gain": factor * chosen.tuning.gain, "integral_time": chosen.tuning.integral_time}
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
    quick, slow, calm = tune_loop(
        line, loop, ["fixed_depth"], [Wishes(4.0), Wishes(12.0), Wishes(4.0, most_noise=0.05)]
    ).choices
    assert slow.tuning.gain < quick.tuning.gain
    assert slow.margins.sensitivity < quick.margins.sensitivity
    assert slow.margins.gain_margin > quick.margins.gain_margin
    assert calm.noise is not None
    assert quick.noise is not None
    assert calm.noise.measured <= 0.05 < quick.noise.measured


def test_a_loop_at_a_limit_is_tested_inside_it(write: Write) -> None:
    line = load(str(write(*QUICK)), None, ["force_loop.limits=[6.5 mm, 8 mm]", "force_loop.setpoint=2 kN"])
    (loop,) = loops_of(line, ["fixed_depth"], [])
    assert loop.step(6.5) == pytest.approx(0.075)
    assert tune_loop(line, loop, ["fixed_depth"]).model.gain > 0.0


CASCADE = """\
scenario: galenic/1
duration: 30 min
communication_step: 1 s
components:
  press: {unit: tablet_press, start: {turret_speed_setpoint: 120000 1/h}}
sensors:
  force_sensor: {measures: press.main_compression_force, period: 2 s, noise: 0.02 kN}
  hardness_meter: {measures: press.hardness, period: 6 s, delay: 6 s, noise: 0.3 N}
  density_meter: {measures: press.inlet.bulk_density, period: 2 s}
disturbances:
  - {signal: press.inlet.bulk_density, step: {at: 5 min, by: 4 %}}
controllers:
  hardness_loop: {type: pid, period: 6 s, measurement: hardness_meter.value, setpoint: 55 N, output_unit: kN,
                  gain: 0.01 kN/N, integral_time: 100 s, feed_forward: 6 kN, limits: [3 kN, 9 kN], inner: force_loop}
  density_ff: {type: feed_forward, period: 2 s, output_unit: mm, base: 6.5 mm, limits: [5 mm, 8 mm],
               signals: {density_meter.value: {gain: 0 mm/(kg/m^3)}}}
  force_loop: {type: pi, period: 2 s, measurement: force_sensor.value, setpoint: hardness_loop.value, gain: 0.02 mm/kN,
               output: press.fill_depth_setpoint, integral_time: 10 s, limits: [5 mm, 8 mm],
               feed_forward: density_ff.value}
kpis:
  product: {warm_up: 5 min}
  quality: {hardness: {signal: press.hardness, target: 55 N}, force: {signal: press.main_compression_force}}
"""


def test_the_inner_loop_of_a_cascade_comes_first_and_the_outer_one_is_tuned_with_it(
    write: Write, command: Command
) -> None:
    write()
    Path("cascade.yaml").write_text(CASCADE, encoding="utf-8")
    line = load("cascade.yaml")
    assert [loop.name for loop in loops_of(line, [], [])] == ["force_loop", "hardness_loop"]
    result = command("tune", "cascade.yaml", "--write", "tuned.yaml")
    assert result.exit_code == 0, result.output
    tuned = yaml.safe_load(Path("tuned.yaml").read_text(encoding="utf-8"))["controllers"]
    assert {"force_loop", "hardness_loop", "density_ff"} == set(tuned)
    assert "derivative_time" in tuned["hardness_loop"]

    from cosim import Simulation

    worst = {}
    for key, overrides in (
        ("with", []),
        ("without", ["controllers.density_ff.signals={density_meter.value: {gain: 0}}"]),
    ):
        with Simulation(load("tuned.yaml", None, [*overrides, "controllers.force_loop.gain=0.01 mm/kN"])) as simulation:
            simulation.step(300)
            forces = []
            for _ in range(120):
                simulation.step()
                forces.append(simulation.get("press.main_compression_force"))
        worst[key] = max(abs(f - forces[0]) for f in forces)
    assert worst["with"] < 0.35 * worst["without"]


def test_a_batch_without_such_loops_says_what_it_has(command: Command) -> None:
    result = command("tune", "penicillin_batch")
    assert result.exit_code == 2
    assert "ph_loop, temperature_loop (split_range: two actuators)" in " ".join(result.output.replace("│", " ").split())


def test_several_tau_c_are_rows_to_choose_from(write: Write, command: Command) -> None:
    file = write(*QUICK)
    result = command("tune", file, "--tau-c", "4", "--tau-c", "12")
    assert result.exit_code == 0, result.output
    assert "tau_c 4" in result.output.replace("\n", " ") or "12" in result.output
    refused = command("tune", file, "--tau-c", "4", "--tau-c", "12", "--write", "tuned.yaml")
    assert refused.exit_code == 2
    assert not Path("tuned.yaml").exists()


def test_an_earlier_file_is_not_written_over(write: Write, command: Command) -> None:
    file = write(*QUICK)
    Path("mine.yaml").write_text("mine", encoding="utf-8")
    result = command("tune", file, "--write", "mine.yaml")
    assert result.exit_code == 2
    assert Path("mine.yaml").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--loop", "fixed_depth"), "is no PI or PID controller"),
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
