from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

from cosim import Results, Scenario, Simulation, simulate
from cosim.component import Component
from fmus.errors import GalenicError

CHAIN = """\
components:
  first: {fmu: lag.fmu}
  second: {fmu: lag.fmu, start: {u: 0}}
connections:
  - first.y -> second.u
"""


def test_an_unconnected_input_keeps_its_start_value(scenario, tmp_path):
    results = simulate(scenario(CHAIN), out=tmp_path / "out")
    frame = results.frame()
    # explicit Euler, Jacobi: x1 = 1 - 0.99^100, x2 = x1 - 100 * 0.01 * 0.99^99
    assert frame["first.y"].iloc[-1] == pytest.approx(0.63396766, abs=1e-8)
    assert frame["second.y"].iloc[-1] == pytest.approx(0.26423802, abs=1e-8)
    assert (frame["first.u"] == 1.0).all()


def test_time_is_the_product_of_step_and_step_size(scenario, tmp_path):
    frame = simulate(scenario(CHAIN), out=tmp_path).frame()
    assert frame.index.to_list() == [k * 0.01 for k in range(101)]
    assert frame.index.name == "time"


def test_the_first_row_is_the_initial_state_and_inputs_are_those_in_force(scenario, tmp_path):
    frame = simulate(scenario(CHAIN), out=tmp_path).frame()
    assert frame["first.y"].iloc[0] == 0.0
    # Jacobi: the input during a step is the output at its beginning
    assert frame["second.u"].iloc[2] == frame["first.y"].iloc[1]


def test_units_are_converted_on_a_connection(scenario, tmp_path):
    body = """\
        components:
          a: {fmu: grams.fmu, start: {u: 2}}
          b: {fmu: milligrams.fmu}
        connections: [a.y -> b.u]
        """
    frame = simulate(scenario(body), out=tmp_path).frame()
    assert frame["b.u"].iloc[1:].to_numpy() == pytest.approx(1000.0 * frame["a.y"].iloc[:-1].to_numpy())
    assert frame["b.u"].iloc[-1] > 1000.0


def test_units_with_an_offset_are_converted_on_a_connection(scenario, tmp_path):
    body = """\
        components:
          a: {fmu: celsius.fmu, start: {u: 20 degC}}
          b: {fmu: kelvin.fmu}
        connections: [a.y -> b.u]
        """
    frame = simulate(scenario(body), out=tmp_path).frame()
    assert frame["b.u"].iloc[1:].to_numpy() == pytest.approx(frame["a.y"].iloc[:-1].to_numpy() + 273.15)


def test_start_values_take_any_unit_of_their_dimension(scenario):
    with Simulation(scenario("components: {a: {fmu: grams.fmu, start: {u: 500 mg/L}}}")) as simulation:
        simulation.initialize()
        assert simulation.get("a.u") == pytest.approx(0.5)


def test_integers_and_booleans_are_read_and_written(scenario, tmp_path):
    body = """\
        components:
          a: {fmu: mixed.fmu, start: {level: 2, invert: true}}
          b: {fmu: mixed.fmu}
        connections: [a.high -> b.invert]
        """
    frame = simulate(scenario(body), out=tmp_path).frame()
    assert frame["a.steps"].iloc[-1] == 100
    # u inverted plus level: -1 + 2 drives it to 1, so above 0.5 it counts as high
    assert frame["a.high"].iloc[-1] == 1.0
    assert frame["a.y"].iloc[-1] == pytest.approx(0.63396766, abs=1e-8)
    switched = int(np.argmax(frame["a.high"].to_numpy() > 0))
    assert frame["b.y"].diff().iloc[switched] > 0 > frame["b.y"].diff().iloc[switched + 2]


def test_an_fmu_that_fails_is_named_with_the_time_and_what_it_says(scenario, tmp_path):
    body = """\
        components:
          good: {fmu: lag.fmu}
          bad:
            fmu: lag.fmu
            parameters: {fail_at: 500 ms}
        """
    with pytest.raises(GalenicError) as caught:
        simulate(scenario(body), out=tmp_path / "out")
    text = str(caught.value)
    assert "'bad'" in text
    assert "t = 0.5 s" in text
    assert "fmi2Error" in text
    assert "the lag broke at 0.5, x = 0.394994" in text
    assert caught.value.line == 6
    results = Results.open(tmp_path / "out")
    assert not results.complete
    assert "the lag broke" in results.metadata["error"]
    assert results.frame().index[-1] == 0.5


def test_an_fmu_that_fails_to_initialise_is_named_with_its_line(scenario, tmp_path):
    with pytest.raises(
        GalenicError, match=r"'a' failed during initialisation.*tau must be positive, it is -1"
    ) as caught:
        simulate(scenario("components:\n  a: {fmu: lag.fmu, parameters: {tau: -1}}"), out=tmp_path)
    assert caught.value.line == 5


def test_a_value_that_is_not_finite_stops_the_run_and_is_named(scenario, tmp_path):
    with pytest.raises(GalenicError, match=r"'a\.y' became nan in the step to t = 0\.51 s"):
        simulate(scenario("components: {a: {fmu: lag.fmu, parameters: {nan_at: 0.5}}}"), out=tmp_path)
    frame = Results.open(tmp_path).frame()
    assert frame.index[-1] == 0.5
    assert np.isfinite(frame.to_numpy()).all()


def test_an_interrupted_run_leaves_readable_results(scenario, tmp_path):
    def interrupt(t: float) -> None:
        if t > 0.3:
            raise KeyboardInterrupt

    body = CHAIN.replace("lag.fmu}", "lag.fmu, parameters: {tau: 2 s}}", 1)
    slow = scenario(body, header="scenario: galenic/1\nduration: 10000000 s\ncommunication_step: 0.1 s\n")
    with pytest.raises(KeyboardInterrupt):
        simulate(slow, out=tmp_path, progress=interrupt)
    results = Results.open(tmp_path)
    frame = results.frame()
    assert not results.complete
    assert results.metadata["rows"] == len(frame) > 3
    assert len(frame) < 100_000_000
    assert results.metadata["error"] == "KeyboardInterrupt"


def test_a_killed_run_leaves_its_sealed_parts(scenario, tmp_path):
    loaded = scenario(CHAIN, header="scenario: galenic/1\nduration: 1000000 s\ncommunication_step: 0.1 s\n")
    out = tmp_path / "out"
    process = _run_elsewhere(loaded, out)
    try:
        _wait_for(out / "part-00002.parquet")
    finally:
        process.kill()
        process.wait()
    results = Results.open(out)
    frame = results.frame(["second.y"])
    assert not results.complete
    assert len(frame) >= 3 * 4096
    assert np.diff(frame.index) == pytest.approx(0.1)


@pytest.mark.skipif(os.name != "posix", reason="a signal to one process is sent differently on Windows")
def test_ctrl_c_leaves_readable_results(scenario, tmp_path):
    loaded = scenario(CHAIN, header="scenario: galenic/1\nduration: 10000000 s\ncommunication_step: 0.1 s\n")
    out = tmp_path / "out"
    process = _run_elsewhere(loaded, out)
    _wait_for(out / "part-00001.parquet")
    process.send_signal(signal.SIGINT)
    assert process.wait(60) != 0
    results = Results.open(out)
    assert not results.complete
    assert results.metadata["rows"] == len(results.frame()) > 2 * 4096
    assert not list(out.glob("*.tmp"))


def test_instances_and_unpacked_files_are_gone_after_a_run(scenario, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    loaded = scenario(CHAIN)
    with Simulation(loaded) as simulation:
        simulation.step()
        assert list(tmp_path.glob("galenic-*"))
    assert not list(tmp_path.glob("galenic-*"))
    with pytest.raises(GalenicError):
        simulate(
            scenario("components:\n  a: {fmu: lag.fmu}\n  b: {fmu: lag.fmu, parameters: {tau: 0}}"),
            out=tmp_path / "out",
        )
    assert not list(tmp_path.glob("galenic-*"))


def test_stepping_gives_what_running_gives(scenario, tmp_path):
    running = simulate(scenario(CHAIN), out=tmp_path).frame()
    with Simulation(scenario(CHAIN)) as simulation:
        for _ in range(40):
            simulation.step()
        simulation.step(60)
        assert simulation.time == pytest.approx(1.0)
        assert simulation.get("second.y") == running["second.y"].iloc[-1]


def test_an_input_that_nothing_drives_can_be_set_between_steps(scenario):
    with Simulation(scenario(CHAIN)) as simulation:
        simulation.step()
        simulation.set("first.u", 3.0)
        simulation.step()
        assert simulation.get("first.y") == pytest.approx(0.01 + 0.01 * (3.0 - 0.01))
        with pytest.raises(GalenicError, match=r"driven by first\.y"):
            simulation.set("second.u", 1.0)
        with pytest.raises(GalenicError, match="is an output"):
            simulation.set("first.y", 1.0)
        with pytest.raises(GalenicError, match=r"did you mean 'first\.u'"):
            simulation.set("first.uu", 1.0)


def test_only_the_signals_asked_for_are_recorded(scenario, tmp_path):
    results = simulate(scenario(CHAIN + "record: ['second.*']\n"), out=tmp_path)
    assert results.signals == ["second.u", "second.y"]
    assert results.frame()["second.y"].iloc[-1] == pytest.approx(0.26423802, abs=1e-8)


def test_progress_ends_at_the_duration(scenario, tmp_path):
    times: list[float] = []
    simulate(scenario(CHAIN), out=tmp_path, progress=times.append)
    assert times[-1] == pytest.approx(1.0)
    assert times == sorted(times)


def test_a_run_repeated_into_the_same_folder_replaces_it(scenario, tmp_path):
    simulate(scenario(CHAIN), out=tmp_path)
    assert len(simulate(scenario(CHAIN), out=tmp_path).frame()) == 101


def test_the_metadata_say_what_was_run(scenario, tmp_path):
    loaded = scenario(CHAIN)
    metadata = simulate(loaded, out=tmp_path, seed=7).metadata
    assert metadata["complete"] is True
    assert metadata["seed"] == 7
    assert metadata["scenario_text"] == loaded.file.read_text(encoding="utf-8")
    assert len(metadata["fmus"]["first"]["sha256"]) == 64
    assert metadata["rows"] == 101


def test_an_fmu_fulfils_the_contract_of_a_component(scenario):
    with Simulation(scenario(CHAIN)) as simulation:
        assert all(isinstance(component, Component) for component in simulation.system.components)


def test_the_loop_costs_little_beside_the_fmus(scenario):
    loaded = scenario(CHAIN, header="scenario: galenic/1\nduration: 200 s\ncommunication_step: 0.01 s\n")
    with Simulation(loaded) as simulation:
        simulation.initialize()
        best = min(_seconds(simulation, 2000) for _ in range(5))
    # the aim is 6 us a step of one FMU; the bound leaves room for a busy machine
    assert best / 2000 / 2 < 30e-6


def _seconds(simulation: Simulation, count: int) -> float:
    begin = time.perf_counter()
    simulation.step(count)
    return time.perf_counter() - begin


def _run_elsewhere(loaded: Scenario, out: Path) -> subprocess.Popen[bytes]:
    code = (
        "import sys; from pathlib import Path; from cosim import load_scenario, simulate\n"
        "simulate(load_scenario(sys.argv[1]), out=Path(sys.argv[2]))"
    )
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", code, str(loaded.file), str(out)]
    return subprocess.Popen(command, cwd=root, stderr=subprocess.DEVNULL)


def _wait_for(file: Path) -> None:
    deadline = time.monotonic() + 60.0
    while not file.exists():
        assert time.monotonic() < deadline, f"{file} did not come"
        time.sleep(0.02)
