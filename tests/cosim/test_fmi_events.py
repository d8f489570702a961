"""Events: a bouncing ball whose solution is known, by Co-Simulation, with Event Mode or not, and Model Exchange."""

from __future__ import annotations

import math

import pytest
from foreign_fmu import write_odd

from cosim.fmi.instance import FmuEndedError, FmuFailureError
from cosim.fmi.stepping import CoSimulation
from cosim.fmu_archive import FmuArchive, open_archive
from cosim.fmu_component import FmuComponent
from fmus.errors import GalenicError

G, RESTITUTION, TICK = 9.81, 0.7, 0.3
WAYS = {
    "co_simulation": {"interface": "co_simulation", "event_mode": False},
    "event_mode": {"interface": "co_simulation", "event_mode": True},
    "model_exchange": {"interface": "model_exchange"},
}


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> FmuArchive:
    return open_archive(write_odd(tmp_path_factory.mktemp("odd") / "odd.fmu", event_mode=True))


def bounces(until: float) -> list[float]:
    """Times at which a ball dropped from 1 m meets the ground, in s."""
    time = math.sqrt(2.0 / G)
    speed, found = G * time, []
    while time < until:
        found.append(time)
        speed *= RESTITUTION
        time += 2.0 * speed / G
    return found


def height(t: float) -> float:
    """Height of the ball at ``t`` in s, in m."""
    before = bounces(t)
    if not before:
        return 1.0 - 0.5 * G * t * t
    speed = math.sqrt(2.0 * G) * RESTITUTION ** len(before)
    since = t - before[-1]
    return speed * since - 0.5 * G * since * since


def value(component: FmuComponent, output: str) -> float:
    return float(component.output_values[[port.name for port in component.outputs].index(output)])


def give(component: FmuComponent, name: str, number: float) -> None:
    component.input_values[[port.name for port in component.inputs].index(name)] = number


@pytest.mark.parametrize(("way", "error"), [("co_simulation", 1e-12), ("event_mode", 1e-12), ("model_exchange", 2e-8)])
@pytest.mark.parametrize("step", [0.01, 0.1, 1.0])
def test_the_ball_is_where_theory_says_whatever_the_step(odd, way, error, step):
    component = FmuComponent("ball", odd, tolerance=1e-9, **WAYS[way])
    component.initialize(0.0)
    for k in range(round(2.0 / step)):
        component.do_step(k * step, step)
        assert value(component, "h") == pytest.approx(height((k + 1) * step), abs=error)
    assert value(component, "bounces") == len(bounces(2.0)) == 4
    assert value(component, "ticks") == 6  # at 0.3 s, ... 1.8 s
    component.terminate()


@pytest.mark.parametrize(("way", "error"), [("event_mode", 1e-12), ("model_exchange", 1e-8)])
def test_a_step_returns_early_at_every_event(odd, way, error):
    component = FmuComponent("ball", odd, tolerance=1e-9, **WAYS[way])
    component.initialize(0.0)
    t, found = 0.0, []
    while (reached := component.advance(t, 1.25 - t)) is not None:
        found.append(reached)
        t = reached
    component.terminate()
    expected = sorted([*bounces(1.25), *(TICK * k for k in range(1, 5))])
    known = [t for t in found if min(abs(t - e) for e in expected) < 1e-6]
    # the height is zero after a bounce, so the ball leaves the ground by an event of its own
    distinct = [t for before, t in zip([-1.0, *known], known, strict=False) if t - before > 1e-6]
    assert distinct == pytest.approx(expected, abs=error)
    # Model Exchange: the step event, at the end of the solver's first step after 0.5 s
    assert len(set(found) - set(known)) == (way == "model_exchange")


def test_without_event_mode_a_step_never_returns_early(odd):
    component = FmuComponent("ball", odd, **WAYS["co_simulation"])
    component.initialize(0.0)
    assert component.advance(0.0, 2.0) is None
    assert component.native is not None
    component.terminate()


def test_an_event_that_is_known_in_advance_is_told(odd):
    component = FmuComponent("ball", odd, **WAYS["event_mode"])
    component.initialize(0.0)
    assert component.native is None
    assert component.next_event == pytest.approx(TICK)
    component.do_step(0.0, 0.4)
    assert component.next_event == pytest.approx(2 * TICK)
    component.terminate()


@pytest.mark.parametrize("way", ["event_mode", "model_exchange"])
def test_a_discrete_input_changes_in_event_mode_only(odd, way):
    """The FMU refuses it anywhere else."""
    component = FmuComponent("ball", odd, **WAYS[way])
    component.initialize(0.0)
    for k in range(10):
        give(component, "int32_in", float(k))
        give(component, "u[1]", 0.1 * k)
        component.do_step(0.02 * k, 0.02)
        assert value(component, "int32_out") == k
        assert value(component, "y[1]") == pytest.approx(0.2 * k + value(component, "h"))
    component.terminate()


@pytest.mark.parametrize("way", WAYS)
def test_an_input_event_acts_at_the_communication_point(odd, way):
    component = FmuComponent("ball", odd, tolerance=1e-9, **WAYS[way])
    component.initialize(0.0)
    component.do_step(0.0, 0.1)
    give(component, "kick", 1.0)  # one m/s more
    component.do_step(0.1, 0.1)
    lift = 0.1 if way != "co_simulation" else 0.0  # without Event Mode this FMU looks at it at the step's end
    assert value(component, "h") == pytest.approx(height(0.2) + lift, abs=1e-8)
    component.terminate()


@pytest.mark.parametrize("way", WAYS)
def test_an_fmu_that_asks_to_end_says_when(odd, way):
    component = FmuComponent("ball", odd, {"stop_at": 0.55}, **WAYS[way])
    component.initialize(0.0)
    for k in range(5):
        component.do_step(0.1 * k, 0.1)
    with pytest.raises(FmuEndedError, match=r"asked to end the simulation at t = 0\.6") as caught:
        component.do_step(0.5, 0.5 if way != "co_simulation" else 0.1)
    assert caught.value.cure
    assert caught.value.time == pytest.approx(0.6)
    assert value(component, "h") == pytest.approx(height(0.6), abs=1e-5)
    component.terminate()


@pytest.mark.parametrize("way", WAYS)
def test_a_simulation_may_start_at_any_time(odd, way):
    component = FmuComponent("ball", odd, tolerance=1e-9, **WAYS[way])
    component.initialize(100.0)
    for k in range(10):
        component.do_step(100.0 + 0.1 * k, 0.1)
    assert value(component, "h") == pytest.approx(height(1.0), abs=1e-7)
    component.terminate()


def test_an_fmu_that_fails_in_the_event_mode_it_declares_is_told_how_to_run_without(odd, monkeypatch):
    def refuses(self: CoSimulation) -> None:
        raise FmuFailureError("fmi3UpdateDiscreteStates", 3)

    monkeypatch.setattr(CoSimulation, "_leave_event_mode", refuses)
    with pytest.raises(GalenicError) as caught:
        FmuComponent("ball", odd, **WAYS["event_mode"]).initialize(0.0)
    assert "'event_mode: false'" in str(caught.value.cure)
