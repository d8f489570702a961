from __future__ import annotations

import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cosim import Results, Scenario, Simulation, checkpoint
from fmus.errors import GalenicError

UNITS = Path(__file__).with_name("small_units.py").as_posix()
HEADER = "scenario: galenic/1\nduration: 4 s\ncommunication_step: 0.05 s\nseed: 3\n"
BODY = f"""
    components:
      first: {{unit: "{UNITS}:mass", parameters: {{x_start: 1 m}}}}
      second: {{unit: "{UNITS}:mass"}}
      push: {{unit: "{UNITS}:gain"}}
    connections: [first.x -> second.u, second.x -> first.u]
    sensors:
      ruler: {{measures: first.x, period: 0.2 s, delay: 0.1 s, noise: 0.01 m, drift: 0.1 m}}
    disturbances:
      - {{signal: push.u, noise: {{std: 0.5, time_constant: 0.3 s}}}}
      - {{signal: push.u, step: {{at: 3 s, by: 1}}}}
    """

Load = Callable[..., Scenario]


def header(**master: object) -> str:
    return HEADER + (f"master: {master}\n".replace("'", "") if master else "")


def until(scenario: Scenario, folder: Path, steps: int, every: float = 0.5) -> None:
    """Run some steps, then vanish without closing anything."""
    simulation = Simulation(scenario, out=folder, checkpoint_every=every)
    simulation.step(steps)
    for component in simulation.system.components:
        component.terminate()


@pytest.mark.parametrize(
    "master",
    [
        {"extrapolation": 1},
        {"algorithm": "gauss_seidel", "kernel": "python", "extrapolation": 1},
        {"algorithm": "iterative"},
        {"algorithm": "error_controlled", "tolerance": 1e-4, "extrapolation": 1},
    ],
)
def test_a_run_that_goes_on_from_a_checkpoint_is_the_same_to_the_bit(
    scenario: Load, tmp_path: Path, master: dict[str, object]
) -> None:
    loaded = scenario(BODY, header(**master))
    with Simulation(loaded, out=tmp_path / "whole") as simulation:
        simulation.run()
    until(loaded, tmp_path / "broken", 37)
    simulation = Simulation(loaded, out=tmp_path / "broken")
    simulation.resume()
    assert simulation.completed_steps == 30
    simulation.run()
    whole, broken = (Results.open(tmp_path / name) for name in ("whole", "broken"))
    assert broken.complete
    assert broken.metadata["resumed"] >= broken.metadata["started"]
    pd.testing.assert_frame_equal(whole.frame(), broken.frame(), check_exact=True)


def test_a_process_that_is_killed_loses_what_came_after_the_last_checkpoint_and_no_more(
    scenario: Load, tmp_path: Path
) -> None:
    loaded = scenario(BODY, HEADER)
    assert loaded.file is not None
    file = tmp_path / "case.yaml"
    file.write_text(loaded.text, encoding="utf-8")
    script = textwrap.dedent(f"""
        import sys
        from pathlib import Path
        from cosim import Simulation, load_scenario
        simulation = Simulation(load_scenario({str(file)!r}), out=Path({str(tmp_path / "run")!r}), checkpoint_every=0.5)
        simulation.step(30)
        print("there", flush=True)
        while True:
            simulation.step(1)
            sys.stdin.readline()
        """)
    process = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == "there\n"
    process.stdin.write("\n\n\n")
    process.stdin.flush()
    time.sleep(0.2)
    process.kill()
    process.wait()
    simulation = Simulation(loaded, out=tmp_path / "run", checkpoint_every=0.5)
    simulation.resume()
    assert simulation.time == pytest.approx(1.5)
    simulation.run()
    with Simulation(loaded, out=tmp_path / "whole") as whole:
        whole.run()
    frames = [Results.open(tmp_path / name).frame() for name in ("run", "whole")]
    pd.testing.assert_frame_equal(*frames, check_exact=True)


def test_without_a_checkpoint_the_error_says_how_to_have_one(scenario: Load, tmp_path: Path) -> None:
    with Simulation(scenario(BODY, HEADER), out=tmp_path / "run") as simulation:
        simulation.step(3)
    with pytest.raises(GalenicError, match="no checkpoint") as caught:
        Simulation(scenario(BODY, HEADER), out=tmp_path / "run").resume()
    assert "--checkpoint-every" in caught.value.cure


def test_a_damaged_checkpoint_is_an_error(scenario: Load, tmp_path: Path) -> None:
    until(scenario(BODY, HEADER), tmp_path, 20)
    file = tmp_path / checkpoint.FILE
    whole = file.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"x" * 100, whole[:200] + b"\0" * 50 + whole[250:]):
        file.write_bytes(damaged)
        with pytest.raises(GalenicError, match=r"cannot be read|damaged|no checkpoint of"):
            Simulation(scenario(BODY, HEADER), out=tmp_path).resume()


def test_a_checkpoint_of_another_system_is_refused(scenario: Load, tmp_path: Path) -> None:
    until(scenario(BODY, HEADER), tmp_path, 20)
    other = BODY.replace("push:", "pull:").replace("push.u", "pull.u")
    with pytest.raises(GalenicError, match="another system"):
        Simulation(scenario(other, HEADER), out=tmp_path).resume()


def test_what_cannot_be_kept_is_named_before_the_start(scenario: Load, tmp_path: Path) -> None:
    body = "components: {plain: {fmu: lag.fmu}}"
    with pytest.raises(GalenicError, match=r"'plain'.*canGetAndSetFMUstate"):
        Simulation(scenario(body), out=tmp_path, checkpoint_every=0.5)


def test_the_interval_is_a_multiple_of_the_communication_step(scenario: Load, tmp_path: Path) -> None:
    with pytest.raises(GalenicError, match="not a whole number"):
        Simulation(scenario(BODY, HEADER), out=tmp_path, checkpoint_every=0.07)


def test_what_is_packed_is_unpacked(tmp_path: Path) -> None:
    content = {"a": [1, 2.5, None, True, "x"], "b": {"c": np.arange(6.0).reshape(2, 3), "d": b"\x00\xff"}, "e": np.inf}
    checkpoint.write(tmp_path, content)
    found = checkpoint.read(tmp_path)
    assert found["a"] == content["a"]
    assert np.array_equal(found["b"]["c"], content["b"]["c"])
    assert found["b"]["d"] == b"\x00\xff"
    assert found["e"] == np.inf
