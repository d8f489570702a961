from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.linalg import expm

from cosim import Scenario, Simulation
from fmus.errors import GalenicError

UNITS = Path(__file__).with_name("small_units.py").as_posix()
OSCILLATOR = np.array([[0, 1, 0, 0], [-2, 0, 1, 0], [0, 0, 0, 1], [1, 0, -2, 0]], dtype=float)

Load = Callable[..., Scenario]


def header(step: float, duration: float = 4.0, **master: Any) -> str:
    text = f"scenario: galenic/1\nduration: {duration} s\ncommunication_step: {step} s\n"
    return text + (f"master: {master}\n".replace("'", "") if master else "")


def oscillator(load: Load, step: float, duration: float = 4.0, x_second: float = 0.0, **master: Any) -> Simulation:
    body = f"""
        components:
          first: {{unit: "{UNITS}:mass", parameters: {{x_start: 1 m}}}}
          second: {{unit: "{UNITS}:mass", parameters: {{x_start: {x_second} m}}}}
        connections: [first.x -> second.u, second.x -> first.u]
        """
    return Simulation(load(body, header(step, duration, **master)))


def error_of(simulation: Simulation) -> float:
    """Largest error of the positions over the run, against the matrix exponential."""
    step, worst = simulation.step_size, 0.0
    exact, forward = np.array([1.0, 0.0, 0.0, 0.0]), expm(OSCILLATOR * step)
    with simulation:
        for _ in range(simulation.steps):
            simulation.step()
            exact = forward @ exact
            worst = max(worst, *(abs(simulation.get(f"{n}.x") - exact[i]) for n, i in (("first", 0), ("second", 2))))
    return worst


@pytest.mark.parametrize(
    ("algorithm", "extrapolation", "order"),
    [("jacobi", 0, 1), ("jacobi", 1, 2), ("gauss_seidel", 0, 1), ("gauss_seidel", 1, 2), ("iterative", 0, 1)],
)
def test_order_of_convergence(scenario: Load, algorithm: str, extrapolation: int, order: int) -> None:
    errors = [
        error_of(oscillator(scenario, h, algorithm=algorithm, extrapolation=extrapolation))
        for h in (0.05, 0.025, 0.0125)
    ]
    measured = np.log2(np.array(errors[:-1]) / errors[1:])
    assert measured == pytest.approx(order, abs=0.2)


@pytest.mark.parametrize(("extrapolation", "power"), [(0, 1 / 2), (1, 2 / 3)])
def test_the_error_follows_the_tolerance_as_the_order_says(scenario: Load, extrapolation: int, power: float) -> None:
    settings = {"algorithm": "error_controlled", "extrapolation": extrapolation}
    errors = [error_of(oscillator(scenario, 0.5, tolerance=t, **settings)) for t in (1e-4, 1e-6)]
    assert errors[0] / errors[1] == pytest.approx(100**power, rel=0.35)


def energy(simulation: Simulation) -> float:
    x1, v1, x2, v2 = (simulation.get(f"{n}.{s}") for n in ("first", "second") for s in "xv")
    return 0.5 * (v1**2 + v2**2 + x1**2 + x2**2 + (x1 - x2) ** 2)


def test_energy_grows_and_falls_as_the_delay_of_the_coupling_says(scenario: Load) -> None:
    growth = {}
    for algorithm in ("jacobi", "gauss_seidel", "iterative"):
        with oscillator(scenario, 0.05, 40.0, x_second=-1.0, algorithm=algorithm) as simulation:
            simulation.initialize()
            before = energy(simulation)
            simulation.step(simulation.steps)
            growth[algorithm] = energy(simulation) / before
    # x'' = -3 x + tau v in this mode, with the other's position late by tau: half a step in the mean under Jacobi,
    # early by as much where it is that of the step's end, one late and one early under Gauss-Seidel
    assert growth["jacobi"] == pytest.approx(np.exp(0.025 * 40), rel=0.03)
    assert growth["iterative"] == pytest.approx(np.exp(-0.025 * 40), rel=0.03)
    assert growth["gauss_seidel"] == pytest.approx(1.0, abs=0.03)


@pytest.mark.parametrize("algorithm", ["jacobi", "gauss_seidel", "iterative", "error_controlled"])
def test_the_kernels_in_c_and_in_python_give_the_same_bits(scenario: Load, algorithm: str, tmp_path: Path) -> None:
    found = {}
    for kernel in ("native", "python"):
        with oscillator(scenario, 0.05, algorithm=algorithm, kernel=kernel, extrapolation=1) as simulation:
            simulation.step(simulation.steps)
            found[kernel] = simulation.signals.copy()
    assert np.array_equal(found["native"], found["python"])


def loop(load: Load, gain: float, **master: Any) -> Simulation:
    body = f"""
        components:
          a: {{unit: "{UNITS}:gain", parameters: {{k: {gain}}}}}
          b: {{unit: "{UNITS}:gain", parameters: {{k: 1, offset: 0}}}}
        connections: [b.y -> a.u, a.y -> b.u]
        """
    return Simulation(load(body, header(0.1, 1.0, **master)))


@pytest.mark.parametrize("gain", [-0.5, -2.0, -10.0, 3.0])
def test_an_algebraic_loop_is_solved_whatever_its_gain(scenario: Load, gain: float) -> None:
    with loop(scenario, gain, algorithm="iterative") as simulation:
        simulation.initialize()
        assert simulation.get("a.y") == pytest.approx(1.0 / (1.0 - gain), rel=1e-10)
        simulation.step(5)
        assert simulation.get("a.y") == pytest.approx(1.0 / (1.0 - gain), rel=1e-10)


@pytest.mark.parametrize("algorithm", ["jacobi", "gauss_seidel", "error_controlled"])
def test_an_algebraic_loop_is_refused_where_it_would_be_wrong(scenario: Load, algorithm: str) -> None:
    with pytest.raises(GalenicError, match=r"algebraic loop.*a\.u -> a\.y -> b\.u -> b\.y -> a\.u") as caught:
        loop(scenario, -2.0, algorithm=algorithm)
    assert "algorithm: iterative" in (caught.value.cure or "")


def test_a_lagged_connection_is_accepted(scenario: Load) -> None:
    body = f"""
        components:
          a: {{unit: "{UNITS}:gain", parameters: {{k: -0.5}}}}
          b: {{unit: "{UNITS}:gain", parameters: {{k: 1, offset: 0}}}}
        connections: [b.y -> a.u, {{from: a.y, to: b.u, lagged: true}}]
        """
    with Simulation(scenario(body, header(0.1, 5.0))) as simulation:
        simulation.step(50)
        assert simulation.get("a.y") == pytest.approx(1.0 / 1.5, rel=1e-6)


def test_a_loop_without_a_solution_is_named(scenario: Load) -> None:
    with (
        loop(scenario, 1.0, algorithm="iterative") as simulation,
        pytest.raises(GalenicError, match=r"no solution.*a\.u"),
    ):
        simulation.initialize()


def test_a_slow_component_steps_at_its_own_period(scenario: Load) -> None:
    body = f"""
        components:
          fast: {{unit: "{UNITS}:mass", parameters: {{x_start: 1 m}}}}
          slow: {{unit: "{UNITS}:mass", period: 0.2 s}}
        connections: [fast.x -> slow.u]
        """
    with Simulation(scenario(body, header(0.05, 2.0))) as simulation:
        simulation.initialize()
        seen = []
        for _ in range(8):
            simulation.step()
            seen.append((simulation.get("slow.u"), simulation.get("slow.x")))
    inputs, outputs = ([pair[i] for pair in seen] for i in (0, 1))
    assert inputs[0] == inputs[3] != inputs[4]
    assert outputs[0] == outputs[2] == 0.0
    assert outputs[3] > 0.0
    assert outputs[3] == outputs[6] != outputs[7]


def test_threads_change_nothing_but_the_time(scenario: Load) -> None:
    found = []
    for threads in (1, 2, 3):
        body = f"""
            components:
              a: {{unit: "{UNITS}:mass", parameters: {{x_start: 1 m}}}}
              b: {{unit: "{UNITS}:mass"}}
              c: {{unit: twin_screw_granulator_fast}}
              d: {{unit: twin_screw_granulator_fast}}
            connections: [a.x -> b.u, b.x -> a.u]
            """
        with Simulation(scenario(body, header(0.5, 60.0, threads=threads))) as simulation:
            simulation.step(simulation.steps)
            found.append(simulation.signals.copy())
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[0], found[2])


def test_a_failure_in_a_thread_is_told_like_any_other(scenario: Load) -> None:
    body = "components: {a: {fmu: lag.fmu}, b: {fmu: lag.fmu, parameters: {fail_at: 0.5}}, c: {fmu: lag.fmu}}"
    with Simulation(scenario(body, header(0.01, 1.0, threads=2))) as simulation:
        with pytest.raises(GalenicError, match=r"'b' failed at t = 0\.5 s .*the lag broke"):
            simulation.step(100)
        assert simulation.completed_steps == 50


@pytest.mark.parametrize(("algorithm", "order"), [("jacobi", 2), ("gauss_seidel", None), ("error_controlled", None)])
def test_an_output_that_follows_its_input_at_once_is_that_of_the_steps_end(
    scenario: Load, algorithm: str, order: int | None
) -> None:
    def error(step: float) -> float:
        body = f"""
            components:
              swing: {{unit: "{UNITS}:mass", parameters: {{x_start: 1 m}}}}
              shown: {{unit: "{UNITS}:gain", parameters: {{k: 2, offset: 0}}}}
            connections: [{{from: swing.x, to: shown.u, convert_units: false}}]
            """
        settings = {"algorithm": algorithm, "extrapolation": 1, "tolerance": 1e-4}
        worst = 0.0
        with Simulation(scenario(body, header(step, 2.0, **settings))) as simulation:
            simulation.step(3)
            for _ in range(simulation.steps - 3):
                simulation.step()
                worst = max(worst, abs(simulation.get("shown.y") - 2.0 * simulation.get("swing.x")))
        return worst

    if order is None:
        assert error(0.05) < 1e-12
    else:
        assert np.log2(error(0.05) / error(0.025)) == pytest.approx(order, abs=0.2)
