from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from lag_fmu import description, write_fmu

from cosim import Results, Scenario, Simulation, simulate
from cosim.isolation.isolated import IsolatedComponent
from fmus.errors import GalenicError

Load = Callable[..., Scenario]
CRASH, EXIT, HANG, ABORT = 1, 2, 3, 4
UNITS = Path(__file__).with_name("small_units.py").as_posix()


def chain(harm: int, more: str = "") -> str:
    return f"""
        components:
          good: {{fmu: lag.fmu}}
          bad: {{fmu: lag.fmu, isolate: true, parameters: {{harm_at: 0.5 s, harm: {harm}}}{more}}}
        connections: [good.y -> bad.u]
        """


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (CRASH, r"crashed \((SIGSEGV|0xC0000005|SIGBUS)\)"),
        (EXIT, r"ended itself with exit status 3"),
        (ABORT, r"crashed \(SIGABRT\)|ended itself|crashed"),
    ],
)
def test_an_fmu_that_dies_is_an_error_with_its_name_time_and_inputs(
    scenario: Load, tmp_path: Path, harm: int, told: str
) -> None:
    with pytest.raises(GalenicError, match=told) as caught:
        simulate(scenario(chain(harm)), out=tmp_path)
    message = str(caught.value)
    assert "'bad' (lag.fmu)" in message
    assert "t = 0.5 s" in message
    assert "u = 0.39" in message  # 1 - 0.99^50
    assert "about to do harm" in message
    assert caught.value.line is not None
    frame = Results.open(tmp_path).frame()
    assert frame.index[-1] == pytest.approx(0.5)
    assert np.isfinite(frame.to_numpy()).all()


def test_an_fmu_that_hangs_is_stopped_after_its_time_limit(scenario: Load, tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(GalenicError, match=r"'bad' .* did not answer within 1 s and was stopped at t = 0\.5 s"):
        simulate(scenario(chain(HANG, ", time_limit: 1 s")), out=tmp_path)
    assert time.monotonic() - began < 30.0
    assert Results.open(tmp_path).frame().index[-1] == pytest.approx(0.5)


def test_an_isolated_run_gives_the_same_bits(scenario: Load, tmp_path: Path) -> None:
    frames = []
    for name, isolate in (("in", "false"), ("out", "true")):
        body = f"""
            components:
              a: {{unit: "{UNITS}:mass", isolate: {isolate}, parameters: {{x_start: 1 m}}}}
              b: {{unit: "{UNITS}:mass", isolate: {isolate}}}
            connections: [a.x -> b.u, b.x -> a.u]
            master: {{algorithm: iterative}}
            """
        frames.append(simulate(scenario(body), out=tmp_path / name).frame())
    pd.testing.assert_frame_equal(*frames, check_exact=True)


def test_an_fmu_of_one_instance_a_process_is_isolated_by_itself(scenario: Load, fmus: Path) -> None:
    xml = description().replace("canHandleVariable", 'canBeInstantiatedOnlyOncePerProcess="true" canHandleVariable')
    write_fmu(fmus / "lonely.fmu", xml=xml)
    body = """
        components: {a: {fmu: lonely.fmu}, b: {fmu: lonely.fmu}}
        connections: [a.y -> b.u]
        """
    with Simulation(scenario(body)) as simulation:
        assert all(isinstance(c, IsolatedComponent) for c in simulation.system.components)
        simulation.step(100)
        assert simulation.get("a.y") == pytest.approx(0.63396766, abs=1e-8)


def test_what_the_fmu_says_when_it_refuses_comes_through(scenario: Load) -> None:
    body = "components: {a: {fmu: lag.fmu, isolate: true, parameters: {tau: -1}}}"
    with pytest.raises(GalenicError, match="tau must be positive, it is -1"), Simulation(scenario(body)) as simulation:
        simulation.initialize()


def test_checkpoints_hold_isolated_fmus_too(scenario: Load, tmp_path: Path) -> None:
    body = f'components: {{a: {{unit: "{UNITS}:mass", isolate: true, parameters: {{x_start: 1 m}}}}}}'
    simulation = Simulation(scenario(body), out=tmp_path, checkpoint_every=0.2)
    simulation.step(50)
    here = simulation.signals.copy()
    for component in simulation.system.components:
        component.terminate()
    again = Simulation(scenario(body), out=tmp_path)
    again.resume()
    again.step(10)
    assert np.array_equal(again.signals, here)
    again.close()


def test_no_process_and_no_file_stays_behind(scenario: Load) -> None:
    before = set(Path(tempfile.gettempdir()).glob("galenic-values-*"))
    with Simulation(scenario(chain(0))) as simulation:
        simulation.step(10)
        processes = [c._worker._process for c in simulation.system.components if isinstance(c, IsolatedComponent)]
        assert all(p.poll() is None for p in processes)
    assert all(p.poll() is not None for p in processes)
    assert set(Path(tempfile.gettempdir()).glob("galenic-values-*")) <= before
