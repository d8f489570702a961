from __future__ import annotations

import json
import textwrap

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosim import Results, Scenario, Simulation, build_system, simulate
from fmus.errors import GalenicError

# one second of 100 steps
BODY = """\
    components:
      a: {fmu: lag.fmu, start: {u: 1}}
      b: {fmu: lag.fmu}
    connections: [a.y -> b.u]
    sensors:
      s: {measures: a.u, period: 100 ms}
    """


def run(scenario, tmp_path, rest: str, body: str = BODY):
    return simulate(scenario(textwrap.dedent(body) + textwrap.dedent(rest)), out=tmp_path).frame()


def at(series, t: float) -> float:
    """The value in force in the step that begins at ``t``."""
    return float(series.iloc[round(t / 0.01) + 1])


def test_an_input_is_set_at_a_time_and_let_go(scenario, tmp_path):
    frame = run(scenario, tmp_path, "actions:\n  - {name: up, at: 200 ms, until: 500 ms, set: {a.u: 3}}\n")
    assert [at(frame["a.u"], t) for t in (0.19, 0.2, 0.49, 0.5, 0.9)] == [1.0, 3.0, 3.0, 1.0, 1.0]
    assert [at(frame["actions.up"], t) for t in (0.19, 0.2, 0.49, 0.5)] == [0.0, 1.0, 1.0, 0.0]


def test_what_is_set_at_the_start_holds_while_the_fmus_initialise(scenario, tmp_path):
    frame = run(scenario, tmp_path, "actions:\n  - {at: 0, set: {a.u: 3}}\n")
    assert (frame["a.u"] == 3.0).all()


def test_a_ramp_goes_from_the_present_value(scenario, tmp_path):
    frame = run(scenario, tmp_path, "actions:\n  - {at: 200 ms, ramp: {a.u: 2}, over: 100 ms}\n")
    assert [at(frame["a.u"], t) for t in (0.2, 0.25, 0.3, 0.9)] == pytest.approx([1.0, 1.5, 2.0, 2.0])


@pytest.mark.parametrize("algorithm", ["jacobi", "gauss_seidel", "iterative"])
@pytest.mark.parametrize("kernel", ["python", "native"])
def test_an_override_takes_over_a_driven_input_and_gives_it_back(scenario, tmp_path, kernel, algorithm):
    master = f"master: {{kernel: {kernel}, algorithm: {algorithm}}}\n"
    rest = "actions:\n  - {at: 200 ms, lasting: 100 ms, override: {b.u: 7}}\n"
    frame = run(scenario, tmp_path / "with", master + rest)
    free = run(scenario, tmp_path / "without", master)
    taken = (frame.index > 0.2 + 1e-9) & (frame.index < 0.3 + 1e-9)
    assert (frame["b.u"][taken] == 7.0).all()
    assert (frame["b.u"][~taken] == free["b.u"][~taken]).all()


def test_the_latest_action_counts_and_then_the_one_before(scenario, tmp_path):
    rest = """\
    actions:
      - {at: 100 ms, set: {a.u: 2}}
      - {at: 200 ms, until: 400 ms, set: {a.u: 3}}
      - {at: 300 ms, until: 350 ms, set: {a.u: 4}}
    """
    frame = run(scenario, tmp_path, rest)
    times = (0.05, 0.15, 0.25, 0.32, 0.37, 0.45)
    assert [at(frame["a.u"], t) for t in times] == [1.0, 2.0, 3.0, 4.0, 3.0, 2.0]


def test_a_condition_begins_an_action_each_time_it_comes_true(scenario, tmp_path):
    # y follows u with a time constant of one second: up to 0.3, then down to 0.2, and so on
    rest = """\
    actions:
      - {name: down, when: a.y > 0.3, set: {a.u: -1}}
      - {name: up, when: a.y < 0.2 and time > 300 ms, set: {a.u: 1}}
    """
    long = "scenario: galenic/1\nduration: 3 s\ncommunication_step: 10 ms\n"
    frame = simulate(scenario(textwrap.dedent(BODY) + textwrap.dedent(rest), long), out=tmp_path).frame()
    late = frame["a.y"][frame.index > 0.5]
    assert 0.17 < late.min() < 0.2
    assert 0.3 < late.max() < 0.32
    events = json.loads((tmp_path / "metadata.json").read_text(encoding="utf-8"))["actions"]
    assert [event["name"] for event in events[:4]] == ["down", "up", "down", "up"]
    assert len(events) > 6


def test_a_condition_may_count_once_and_only_when_it_has_held_for_a_while(scenario, tmp_path):
    rest = """\
    actions:
      - {name: late, when: time > 100 ms and time < 300 ms, for: 50 ms, once: true, lasting: 20 ms, set: {a.u: 9}}
      - {name: never, when: time < 30 ms, for: 50 ms, set: {a.u: 5}}
    """
    frame = run(scenario, tmp_path, rest)
    nine = frame.index[frame["a.u"] == 9.0]
    # true from 0.11 on, for 50 ms: in force in the steps that begin at 0.16 and 0.17
    assert nine.to_list() == pytest.approx([0.17, 0.18])
    assert (frame["a.u"] != 5.0).all()


def test_an_action_may_end_on_a_condition_and_conditions_see_actions(scenario, tmp_path):
    rest = """\
    actions:
      - {name: pulse, at: 100 ms, until: a.y > 0.5, set: {a.u: 10}}
      - {name: after, when: actions.pulse < 0.5 and time > 110 ms, set: {a.u: 0}}
    """
    frame = run(scenario, tmp_path, rest)
    assert 0.5 < frame["a.y"].max() < 0.62
    assert frame["a.u"].iloc[-1] == 0.0


def test_an_input_may_freeze(scenario, tmp_path):
    frame = run(scenario, tmp_path, "actions:\n  - {at: 500 ms, lasting: 200 ms, fault: {b.u: {freeze: true}}}\n")
    held = frame["b.u"][(frame.index > 0.5) & (frame.index <= 0.7 + 1e-9)]
    assert held.nunique() == 1
    assert held.iloc[0] == frame["b.u"].iloc[50]
    assert frame["b.u"].iloc[72] > held.iloc[0]


def test_an_override_takes_over_a_disturbed_input(scenario, tmp_path):
    rest = """\
    disturbances: [{signal: a.u, noise: {std: 10 %}}]
    actions: [{at: 200 ms, until: 300 ms, override: {a.u: 5}}]
    """
    frame = run(scenario, tmp_path / "with", rest)
    free = run(scenario, tmp_path / "without", rest.splitlines()[0])
    assert (frame["a.u"].iloc[22:31] == 5.0).all()
    # the disturbance goes on beneath
    assert (frame["a.u"].iloc[32:] == free["a.u"].iloc[32:]).all()


def test_a_stop_condition_ends_the_run_as_complete_with_its_reason(scenario, tmp_path):
    rest = """\
    stop_when:
      - {when: a.y > 0.3, for: 20 ms, reason: tank full}
      - time > 900 ms
    """
    frame = run(scenario, tmp_path, rest)
    results = Results.open(tmp_path)
    assert results.complete
    assert results.metadata["stopped"] == "tank full (t = 0.38 s)"
    assert frame.index[-1] == pytest.approx(0.38)
    assert frame["a.y"].iloc[-3] > 0.3


def test_a_stop_condition_may_be_one_text(scenario, tmp_path):
    run(scenario, tmp_path, "stop_when: time >= 0.5 s\n")
    assert Results.open(tmp_path).metadata["stopped"] == "stop condition 'time >= 0.5 s' holds (t = 0.5 s)"


def test_a_stopped_simulation_steps_no_further(scenario):
    with Simulation(scenario(textwrap.dedent(BODY) + "stop_when: time >= 0.5 s\n")) as simulation:
        simulation.step(100)
        assert simulation.time == 0.5
        simulation.step(3)
        assert simulation.time == 0.5
        assert "time >= 0.5 s" in simulation.stopped


# ---- faults of sensors ---------------------------------------------------------------------------------------------


def sensed(scenario, tmp_path, fault: str, sensor: str = "") -> tuple[np.ndarray, np.ndarray]:
    """Values of a sensor of a ramp from 0 to 1, at its samples, and the counter; the fault lasts from 0.3 to 0.6 s."""
    body = BODY.replace("period: 100 ms", f"period: 100 ms{sensor}").replace("u: 1", "u: 0")
    rest = f"""\
    disturbances: [{{signal: a.u, ramp: {{at: 0, over: 1 s, to: 1}}}}]
    actions: [{{at: 300 ms, until: 600 ms, fault: {{s: {{{fault}}}}}}}]
    """
    frame = run(scenario, tmp_path, rest, body)
    rows = frame.iloc[[round(t / 0.01) + 1 for t in np.arange(0.0, 0.95, 0.1)]]
    return rows["s.value"].to_numpy(), rows["s.sample"].to_numpy()


TRUE = np.arange(0.0, 0.95, 0.1)


def test_a_sensor_with_a_bias(scenario, tmp_path):
    value, _ = sensed(scenario, tmp_path, "bias: 0.5")
    assert value - TRUE == pytest.approx([0, 0, 0, 0.5, 0.5, 0.5, 0, 0, 0, 0], abs=1e-9)


def test_a_sensor_that_drifts_from_when_the_fault_began(scenario, tmp_path):
    value, _ = sensed(scenario, tmp_path, "drift: 1 1/s")
    assert value - TRUE == pytest.approx([0, 0, 0, 0, 0.1, 0.2, 0, 0, 0, 0], abs=1e-9)


def test_a_sensor_with_more_noise(scenario, tmp_path):
    error = sensed(scenario, tmp_path, "noise: 0.1")[0] - TRUE
    assert np.abs(error[3:6]).min() > 0.0
    assert np.abs(np.delete(error, [3, 4, 5])).max() < 1e-9


def test_a_sensor_that_freezes_goes_on_counting(scenario, tmp_path):
    value, sample = sensed(scenario, tmp_path, "freeze: true")
    assert value == pytest.approx([0, 0.1, 0.2, 0.2, 0.2, 0.2, 0.6, 0.7, 0.8, 0.9])
    assert sample.tolist() == list(range(1, 11))


def test_a_sensor_that_drops_out_shows_no_new_sample(scenario, tmp_path):
    value, sample = sensed(scenario, tmp_path, "dropout: true")
    assert value == pytest.approx([0, 0.1, 0.2, 0.2, 0.2, 0.2, 0.6, 0.7, 0.8, 0.9])
    assert sample.tolist() == [1, 2, 3, 3, 3, 3, 4, 5, 6, 7]


def test_a_sensor_may_lose_a_share_of_its_samples(scenario, tmp_path):
    body = BODY.replace("period: 100 ms", "period: 10 ms")
    header = "scenario: galenic/1\nduration: 20 s\ncommunication_step: 10 ms\n"
    rest = "actions: [{at: 0, fault: {s: {dropout: 30 %}}}]\n"
    frame = simulate(scenario(textwrap.dedent(body) + rest, header), out=tmp_path).frame()
    assert frame["s.sample"].iloc[-1] / 2000 == pytest.approx(0.7, abs=0.04)


def test_a_sensor_with_more_delay(scenario, tmp_path):
    value, sample = sensed(scenario, tmp_path, "delay: 150 ms")
    # samples of 0.3 to 0.5 s arrive at 0.45, 0.55 and 0.65 s; the last one comes after that of 0.6 s and is not shown
    assert value == pytest.approx([0, 0.1, 0.2, 0.2, 0.2, 0.3, 0.6, 0.7, 0.8, 0.9])
    assert sample.tolist() == [1, 2, 3, 3, 3, 4, 6, 7, 8, 9]


# ---- state ---------------------------------------------------------------------------------------------------------

EVENTFUL = """\
disturbances: [{signal: a.u, noise: {std: 10 %}}]
actions:
  - {name: hold, at: 200 ms, until: 600 ms, override: {b.u: 7}}
  - {name: ramp, at: 300 ms, ramp: {a.u: 2}, over: 300 ms}
  - {name: dry, when: a.y > 0.2, for: 50 ms, lasting: 100 ms, fault: {s: {bias: 0.5, noise: 0.1, dropout: 20 %}}}
  - {name: stuck, when: b.y > 0.1, until: time > 900 ms, fault: {b.u: {freeze: true}}}
"""


@settings(deadline=None, max_examples=15)
@given(steps=st.integers(1, 99))
def test_actions_and_sensors_go_on_from_their_state(fmus, steps):
    data = {"scenario": "galenic/1", "duration": "1 s", "communication_step": "10 ms"}
    import yaml

    data |= yaml.safe_load(textwrap.dedent(BODY)) | yaml.safe_load(EVENTFUL)
    loaded = Scenario.from_mapping(data, fmus)

    def parts(simulation: Simulation):
        tasks = simulation.system.tasks
        owners = [getattr(task.execute, "__self__", None) for task in tasks]
        actions = next(owner for owner in owners if type(owner).__name__ == "Actions")
        return [actions, *simulation.system.sampled]

    with Simulation(loaded) as one, Simulation(loaded) as other:
        one.initialize()
        other.initialize()
        one.step(steps)
        other.step(steps)
        states = [part.state() for part in parts(one)]
        for part, state in zip(parts(other), states, strict=True):
            part.restore(json.loads(json.dumps(state)))
        one.step(100 - steps)
        other.step(100 - steps)
        assert (one.signals == other.signals).all()


# ---- errors --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entry", "message", "cure"),
    [
        ("{at: 1 s, set: {a.v: 1}}", "'a' has no variable 'v'", "known names"),
        ("{at: 1 s, set: {a.y: 1}}", "'a.y' is an output", "inputs of 'a'"),
        ("{at: 1 s, set: {b.u: 1}}", "'b.u' is driven by 'a.y'", "override"),
        ("{at: 1 s, set: {a.u: 1 kg}}", "dimensions differ", "unit"),
        ("{at: 1 s, sett: {a.u: 1}}", "unknown key 'sett'", "'set'"),
        ("{set: {a.u: 1}}", "needs its time", "at: 10 min"),
        ("{at: 1 s}", "without anything to do", "add set"),
        ("{at: 1 s, once: true, set: {a.u: 1}}", "are of a condition", "add 'when"),
        ("{at: 1 s, ramp: {a.u: 1}}", "a ramp takes its time", "over: 5 min"),
        ("{at: 1 s, until: 500 ms, set: {a.u: 1}}", "'until' is not after 'at'", "later"),
        ("{at: 1 s, until: 2 s, lasting: 2 s, set: {a.u: 1}}", "one end", "one of"),
        ("{at: 1 s, set: {a.u: 1}, ramp: {a.u: 1}, over: 1 s}", "does two things", "two actions"),
        ("{at: 1 s, fault: {t: {bias: 1}}}", "there is no sensor 't'", "known names: s"),
        ("{at: 1 s, fault: {s: {}}}", "without anything wrong", "give bias"),
        ("{at: 1 s, fault: {s: {dropout: 2}}}", "no share of samples", "0 to 1"),
        ("{at: 1 s, fault: {s: {noise: -2}}}", "must not be negative", "0 or more"),
        ("{at: 1 s, fault: {s: {delay: 5 ms}}}", "not a multiple", "multiple"),
        ("{at: 1 s, fault: {a.u: {bias: 1}}}", "can only freeze", "override it"),
        ("{name: a b, at: 1 s, set: {a.u: 1}}", "'a b' is not a name", "letters"),
        ("{when: a.y, set: {a.u: 1}}", "is no condition", "compare it"),
        ("{when: a.y > 1 kg, set: {a.u: 1}}", "cannot be compared with", "same dimension"),
        ("{when: a.z > 1, set: {a.u: 1}}", "'a' has no variable 'z'", "known names"),
        ("{at: 0, until: soon, set: {a.u: 1}}", "'soon' is neither a signal nor a function", "component.variable"),
    ],
)
def test_a_wrong_action_is_an_error_with_its_line_and_a_cure(scenario, entry, message, cure):
    with pytest.raises(GalenicError) as caught:
        build_system(scenario(textwrap.dedent(BODY) + "actions:\n\n  - " + entry + "\n"))
    assert message in caught.value.message
    assert cure in caught.value.cure
    assert caught.value.line == 12


def test_an_error_in_a_condition_names_the_column_in_the_file(scenario):
    line = "  - {name: x, when: 'a.y > 1 and a.forse > 2', set: {a.u: 1}}\n"
    with pytest.raises(GalenicError) as caught:
        build_system(scenario(textwrap.dedent(BODY) + "actions:\n" + line))
    assert f"column {line.index('a.forse') + 1}" in caught.value.message
    stop = "stop_when: [a.y > 3, a.y > 4 kg]\n"
    with pytest.raises(GalenicError) as caught:
        build_system(scenario(textwrap.dedent(BODY) + stop))
    assert f"(column {stop.index('4 kg') + 1})" in caught.value.message


def test_two_actions_of_one_name_are_an_error(scenario):
    rest = "actions:\n  - {name: x, at: 0, set: {a.u: 1}}\n  - {name: x, at: 1 s, set: {a.u: 1}}\n"
    with pytest.raises(GalenicError, match="two actions 'x'") as caught:
        build_system(scenario(textwrap.dedent(BODY) + rest))
    assert caught.value.line == 12


VALUES = st.one_of(
    st.none(),
    st.integers(-3, 3),
    st.sampled_from(["1 s", "a.y > 1", "soon", "", "5 %", True, 1e9]),
    st.dictionaries(st.sampled_from(["a.u", "b.u", "s", "a.y", "bias", "freeze"]), st.integers(-2, 2), max_size=2),
)
KEYS = ["name", "at", "when", "for", "once", "until", "lasting", "set", "override", "ramp", "over", "fault", "x"]


@settings(deadline=None, max_examples=150)
@given(st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=5))
def test_any_action_builds_or_gives_a_clear_error(fmus, entry):
    data = {
        "scenario": "galenic/1",
        "duration": "1 s",
        "communication_step": "10 ms",
        "components": {"a": {"fmu": "lag.fmu"}, "b": {"fmu": "lag.fmu"}},
        "sensors": {"s": {"measures": "a.y"}},
        "actions": [entry],
    }
    try:
        build_system(Scenario.from_mapping(data, fmus))
    except GalenicError as error:
        message = error.message
    else:
        message = "built"
    assert message


LINE = """\
scenario: galenic/1
duration: 100 s
communication_step: 1 s
components:
  feeder: {unit: loss_in_weight_feeder}
  blender: {unit: continuous_blender}
connections: [feeder.outlet -> blender.inlet_1]
sensors: {scale: {measures: blender.outlet.mass_flow, period: 2 s, noise: 0.1 kg/h}}
disturbances:
  - {signal: feeder.flow_disturbance, noise: {std: 2 %, time_constant: 2 s}}
  - {signal: feeder.lot.bulk_density, lots: {every: 40 s, material: smcc, property: bulk_density}}
actions:
  - {name: hold, at: 20 s, until: 60 s, override: {blender.inlet_1.mass_flow: 5 kg/h}}
  - {name: ramp, at: 30 s, ramp: {blender.impeller_speed: 250 rpm}, over: 30 s}
  - name: dry
    when: time > 20 s
    for: 5 s
    lasting: 10 s
    fault: {scale: {bias: 1 kg/h, noise: 1 kg/h, dropout: 20 %}}
  - name: jam
    at: 50 s
    when: blender.outlet.mass_flow > 0
    until: time > 90 s
    fault: {blender.inlet_1.api_fraction: {freeze: true}}
"""


@pytest.mark.parametrize("kernel", ["python", "native"])
@pytest.mark.parametrize("broken_off", [28, 45, 70])
def test_a_run_with_actions_goes_on_from_a_checkpoint_to_the_bit(scenario, tmp_path, broken_off, kernel):
    loaded = scenario(LINE + f"master: {{kernel: {kernel}}}\n", header="")
    whole = simulate(loaded, out=tmp_path / "whole")
    with Simulation(loaded, out=tmp_path / "broken", checkpoint_every=5.0) as broken:
        broken.step(broken_off)
    with Simulation(loaded, out=tmp_path / "broken", checkpoint_every=5.0) as resumed:
        resumed.resume()
        resumed.run()
    found = Results.open(tmp_path / "broken")
    assert found.frame().equals(whole.frame())
    assert found.metadata["actions"] == whole.metadata["actions"]
