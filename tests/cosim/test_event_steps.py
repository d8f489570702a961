"""Events of one FMU reach the others when they happen."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from foreign_fmu import write_odd
from lag_fmu import description, write_fmu

from cosim import Results, Scenario, Simulation

UNITS = Path(__file__).with_name("small_units.py").as_posix()
HEADER = "scenario: galenic/1\nduration: 1.5 s\ncommunication_step: 0.25 s\n"
Load = Callable[..., Scenario]

# a ball dropped from 1 m, restitution 0.7: it meets the ground at these times in s
FALL = math.sqrt(2.0 / 9.81)
BOUNCES = [FALL, FALL + 1.4 * FALL, FALL + 1.4 * FALL + 0.98 * FALL]


@pytest.fixture(scope="module", autouse=True)
def odd(fmus: Path) -> None:
    write_odd(fmus / "odd.fmu", event_mode=True)


def counted(duration: float) -> float:
    """Integral of the number of bounces."""
    return sum(duration - t for t in BOUNCES if t < duration)


def run(load: Load, way: str, more: str = "") -> Simulation:
    body = f"""
        components:
          ball: {{fmu: odd.fmu, {way}}}
          counter: {{unit: "{UNITS}:integrator"}}
          {more}
        connections: [ball.bounces -> counter.u]
        """
    return Simulation(load(body, HEADER))


@pytest.mark.parametrize(("way", "error"), [("event_mode: true", 1e-9), ("interface: model_exchange", 1e-5)])
def test_what_an_event_changes_reaches_the_others_at_its_time(scenario: Load, way: str, error: float) -> None:
    with run(scenario, way) as simulation:
        simulation.step(6)
        assert simulation.get("counter.x") == pytest.approx(counted(1.5), abs=error)


def test_without_event_mode_it_reaches_them_at_the_next_communication_point(scenario: Load) -> None:
    with run(scenario, "event_mode: false") as simulation:
        simulation.step(6)
        late = sum(1.5 - 0.25 * math.ceil(t / 0.25) for t in BOUNCES if t < 1.5)
        assert simulation.get("counter.x") == pytest.approx(late, abs=1e-9)


def test_of_two_with_events_the_earlier_divides_the_step_for_both(scenario: Load) -> None:
    more = f'second: {{fmu: odd.fmu, event_mode: true}}\n          other: {{unit: "{UNITS}:integrator"}}'
    body = f"""
        components:
          ball: {{fmu: odd.fmu, event_mode: true}}
          counter: {{unit: "{UNITS}:integrator"}}
          {more}
        connections: [ball.bounces -> counter.u, second.bounces -> other.u]
        """
    with Simulation(scenario(body, HEADER)) as simulation:
        simulation.step(6)
        assert simulation.get("counter.x") == pytest.approx(counted(1.5), abs=1e-9)
        assert simulation.get("other.x") == pytest.approx(counted(1.5), abs=1e-9)


def test_one_that_takes_whole_steps_only_takes_them(scenario: Load, fmus: Path) -> None:
    write_fmu(fmus / "rigid.fmu", xml=description().replace(' canHandleVariableCommunicationStepSize="true"', ""))
    with run(scenario, "event_mode: true", "rigid: {fmu: rigid.fmu}") as simulation:
        simulation.step(6)
        assert simulation.get("counter.x") == pytest.approx(counted(1.5), abs=1e-9)
        assert simulation.get("rigid.y") == pytest.approx(1.0 - 0.75**6)


@pytest.mark.parametrize("more", ["", ", isolate: true", ", event_mode: true"])
def test_a_run_ends_where_an_fmu_asks_to_end_it(scenario: Load, tmp_path: Path, more: str) -> None:
    body = f"components: {{ball: {{fmu: odd.fmu, parameters: {{stop_at: 0.6}}{more}}}, lag: {{fmu: lag.fmu}}}}"
    with Simulation(scenario(body, HEADER), out=tmp_path) as simulation:
        simulation.run()
        # without Event Mode it says so at the end of its step
        assert re.search(r"asked to end the simulation at t = 0\.(6|75) s", simulation.stopped)
    results = Results.open(tmp_path)
    assert results.complete
    assert results.frame().index[-1] == 0.5


def test_inputs_are_carried_on_between_events_too(scenario: Load) -> None:
    def error(extrapolation: int) -> float:
        body = f"""
            components:
              a: {{unit: "{UNITS}:mass", interface: model_exchange, parameters: {{x_start: 1 m}}}}
              b: {{unit: "{UNITS}:mass", interface: model_exchange}}
            connections: [a.x -> b.u, b.x -> a.u]
            master: {{extrapolation: {extrapolation}}}
            """
        with Simulation(scenario(body, HEADER.replace("0.25", "0.1"))) as simulation:
            simulation.step(simulation.steps)
            exact = 0.5 * (math.cos(1.5) + math.cos(math.sqrt(3.0) * 1.5))
            return abs(simulation.get("a.x") - exact)

    assert error(0) > 5e-3
    assert error(1) < 5e-4
