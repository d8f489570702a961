from __future__ import annotations

from pathlib import Path

import pytest

from cosim import Controller, Results, Simulation, simulate
from cosim.registry import controller_types
from fmus.errors import GalenicError

PLANT = """\
components:
  plant: {fmu: lag.fmu, start: {u: 2}}
sensors:
  probe: {measures: plant.y, noise: 0.01}
controllers:
"""
LOOP = "  loop: {type: 'my_controllers.py:Loop', measures: probe.value, drives: plant.u, gain: 3, setpoint: 1}\n"
TOP = "  top: {type: 'my_controllers.py:Supervisor', drives: plant.u, begins: 0.5, supervises: [loop]}\n"


@pytest.fixture(autouse=True)
def _my_controllers(fmus):
    file = Path(__file__).with_name("my_controllers.py")
    (fmus / "my_controllers.py").write_text(file.read_text(encoding="utf-8"), encoding="utf-8")


def test_a_controller_of_ones_own_reads_its_sensor_and_drives_its_input(scenario, tmp_path):
    frame = simulate(scenario(PLANT + LOOP), out=tmp_path).frame()
    # the sensor and then the controller are executed at t_k, and what they show is in force during the step
    expected = 2.0 + 3.0 * (1.0 - frame["probe.value"])
    assert frame["loop.output"].to_numpy() == pytest.approx(expected.to_numpy())
    assert (frame["plant.u"] == frame["loop.output"]).all()
    assert frame["loop.executions"].iloc[-1] == 100


def test_a_controller_is_executed_at_its_period_and_holds_in_between(scenario, tmp_path):
    frame = simulate(scenario(PLANT + LOOP.replace("gain", "period: 0.2, gain")), out=tmp_path).frame()
    assert frame["loop.executions"].iloc[-1] == 5
    held = frame["plant.u"].iloc[1:].to_numpy().reshape(5, 20)
    assert (held == held[:, :1]).all()


@pytest.mark.parametrize("order", [LOOP + TOP, TOP + LOOP])
def test_a_supervisor_takes_over_and_the_supervised_controller_is_told(scenario, tmp_path, order):
    with Simulation(scenario(PLANT + order)) as simulation:
        simulation.step(40)
        # the supervisor passes on what the supervised controller wants, computed in the same step
        assert simulation.get("top.active") == 0.0
        assert simulation.get("plant.u") == simulation.get("loop.output") == simulation.get("top.fallback.plant.u")
        simulation.step(20)
        assert simulation.get("top.active") == 1.0
        assert simulation.get("plant.u") == 100.0
        assert simulation.get("loop.track.output") == 100.0
        assert simulation.get("loop.track.active") == 1.0
        assert [c.name for c in simulation.system.sampled] == ["probe", "loop", "top"]
    assert all(isinstance(c, Controller) for c in simulation.system.controllers.values())


def test_without_the_supervisor_the_supervised_controller_drives(scenario, tmp_path):
    results = simulate(scenario(PLANT + LOOP + TOP), out=tmp_path, without=["top"])
    frame = results.frame()
    assert (frame["plant.u"] == frame["loop.output"]).all()
    assert (frame["loop.track.active"] == 0.0).all()
    assert results.metadata["without"] == ["top"]
    assert not [name for name in results.signals if name.startswith("top.")]


def test_without_the_supervised_controller_the_supervisor_still_runs(scenario):
    with Simulation(scenario(PLANT + LOOP + TOP), without=["loop"]) as simulation:
        simulation.step(60)
        assert simulation.get("plant.u") == 100.0


def test_leaving_out_a_controller_leaves_the_noise_as_it_is(scenario, tmp_path):
    # signal is what was measured; the difference is the noise alone
    runs = [
        simulate(scenario(PLANT + LOOP + TOP), out=tmp_path / str(len(w)), without=w).frame() for w in ([], ["top"])
    ]
    with_top, without = (frame["probe.value"] - frame["probe.signal"] for frame in runs)
    assert with_top.iloc[1:].to_numpy() == pytest.approx(without.iloc[1:].to_numpy(), abs=1e-12)


def test_a_disturbance_moves_a_setpoint_that_nothing_drives(scenario, tmp_path):
    body = PLANT + LOOP + "disturbances:\n  - {signal: loop.setpoint, step: {at: 0.5, to: 2}}\n"
    frame = simulate(scenario(body), out=tmp_path).frame()
    assert frame["loop.setpoint"].iloc[[0, 50, 51]].to_list() == [1.0, 1.0, 2.0]
    assert frame["loop.output"].iloc[51] - frame["loop.output"].iloc[50] == pytest.approx(3.0, abs=0.2)


@pytest.mark.parametrize(
    ("controllers", "line", "parts"),
    [
        (LOOP + LOOP.replace("loop:", "other:"), 10, ["'plant.u' is driven already, by 'loop.output' in line 9"]),
        (
            LOOP + TOP.replace("[loop]", "[lop]"),
            10,
            ["there is no controller 'lop' to supervise", "did you mean 'loop'"],
        ),
        (LOOP.replace("plant.u", "plant.v"), 9, ["'plant' has no variable 'v'"]),
        (LOOP.replace("probe.value", "prob.value"), 9, ["there is no component 'prob'", "did you mean 'probe'"]),
        (LOOP.replace("plant.u", "plant.y"), 9, ["'plant.y' is an output"]),
        (LOOP.replace("gain: 3", "gian: 3"), 9, ["a loop needs a gain"]),
        (LOOP.replace("gain: 3", "gain: much"), 9, ["'much' is not a number"]),
        (LOOP.replace("gain", "period: 0.015, gain"), 9, ["not a multiple of the communication step"]),
        (LOOP.replace("my_controllers.py:Loop", "pdi"), 9, ["unknown controller type 'pdi'"]),
        (LOOP.replace(":Loop", ":Lop"), 9, ["there is no class 'Lop'", "did you mean 'Loop'"]),
        (LOOP.replace(":Loop", ":NotAController"), 9, ["has no from_config"]),
        (LOOP.replace(":Loop", ":Misshapen"), 9, ["has 4 inputs but 'reads' names 1"]),
        (LOOP.replace("my_controllers", "nowhere"), 9, ["there is no controller file"]),
        (
            LOOP + TOP.replace("top:", "top2:").replace("[loop]", "[top]") + TOP.replace("[loop]", "[top2]"),
            10,
            ["'plant.u' is driven already"],
        ),
    ],
)
def test_a_controller_that_does_not_fit_is_refused_with_its_line(scenario, controllers, line, parts):
    with pytest.raises(GalenicError) as caught:
        Simulation(scenario(PLANT + controllers))
    text = str(caught.value)
    assert caught.value.line == line, text
    for part in parts:
        assert part in text


def test_a_supervisor_over_a_controller_that_cannot_follow_is_refused(scenario):
    second = TOP.replace("top:", "low:").replace("[loop]", "[]")
    with pytest.raises(GalenicError, match=r"'top' cannot supervise 'low': 'low' has no port 'track\.output'"):
        Simulation(scenario(PLANT + second + TOP.replace("[loop]", "[low]")))


def test_an_exception_in_a_controller_names_it_and_the_time(scenario, tmp_path):
    with pytest.raises(
        GalenicError, match=r"'loop' failed at t = 0\.36 s: ZeroDivisionError: no measurement"
    ) as caught:
        simulate(scenario(PLANT + LOOP.replace(":Loop", ":Stumbling")), out=tmp_path)
    assert caught.value.line == 9
    assert Results.open(tmp_path).frame().index[-1] == 0.36


def test_a_controller_file_with_a_mistake_is_named_with_its_own_line(scenario, fmus):
    (fmus / "broken.py").write_text("import math\nmath.squareroot(2)\n")
    with pytest.raises(GalenicError) as caught:
        Simulation(scenario(PLANT + LOOP.replace("my_controllers", "broken")))
    assert caught.value.file.name == "broken.py"
    assert caught.value.line == 2


def test_a_controller_knows_the_sensors_and_the_seed(scenario):
    body = PLANT.replace("noise: 0.01", "noise: 0.01, period: 20 ms, delay: 50 ms") + LOOP
    with Simulation(scenario(body), seed=5) as simulation:
        context = simulation.system.controllers["loop"].context
        probe = context.measurements["probe.value"]
        assert (probe.measures, probe.period, probe.delay, probe.noise) == ("plant.y", 0.02, 0.05, 0.01)
        assert context.seed == 5
        assert context.step_size == 0.01


def test_the_shipped_controller_types_are_known_without_importing_them():
    assert {"pi", "ratio", "mpc"} <= set(controller_types())
