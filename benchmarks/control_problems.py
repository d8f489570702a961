"""The two control problems of the latency suite: each a model, an optimal control problem, and a plant that differs.

`bioreactor`: a CHO fed-batch, 8 states, 2 feeds, 30 stages of 1 h: glucose and glutamine on their setpoints, product
formation as a linear economic term, 4 soft limits. Monod kinetics with inhibition by lactate and ammonium.

`tablet`: a direct-compression line in reduced order, 13 states, 5 inputs, 30 stages of 5 s: content, weight, tensile
strength, throughput and hopper level, 7 soft limits. First-order feeders and drives, two stirred tanks each for
blender and feed frame, the tensile strength of Ryshkewitch and Duckworth.

`bioreactor_tree`: the first with three scenarios of growth rate and yield. `bioreactor_neural`: the first with a
network of 64 tanh units in place of the balances, trained by scikit-learn on runs of the model with random feeds.

Parameters are of a typical order of magnitude, not of a product.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import casadi
import numpy as np

from controllers.optimal_control import OptimalControlProblem, Scenarios, SoftConstraint

UNIFORM = (1,) * 30
#: The same horizon in 12 stages.
NON_UNIFORM = (1, 1, 2, 2, 2, 2, 2, 3, 3, 3, 4, 5)


@dataclass(frozen=True)
class ControlCase:
    """A problem with what a closed loop needs.

    Attributes:
        problem: as the controller knows it; its parameters are zero.
        plant: (x, u) -> x one sampling period later, with other parameters.
        start: the plant's first state, and the input before.
        start_input: see ``start``.
        noise: standard deviation of each measured state.
        references: step -> setpoints.
    """

    problem: OptimalControlProblem
    plant: Any
    start: np.ndarray
    start_input: np.ndarray
    noise: np.ndarray
    references: Callable[[int], np.ndarray] = field(repr=False)


# ---- bioreactor ------------------------------------------------------------------------------------------------------

_CELLS = {"mu_max": 0.032, "death": 0.006, "yield_glucose": 0.4, "maintenance": 0.012, "yield_glutamine": 1.2}
_CELLS |= {"lactate_per_glucose": 1.1, "lactate_uptake": 0.03, "ammonium_per_glutamine": 0.6, "product": 1.0}
_CELLS_OF_PLANT = {"mu_max": 0.030, "maintenance": 0.014, "yield_glutamine": 1.1, "product": 0.95}


def _bioreactor_rates(x: Any, u: Any, c: Mapping[str, float]) -> tuple[Any, ...]:
    """Time derivatives per hour; cells in 1e9/L, metabolites in mM, product in mg/L, volume in L, feeds in mL/h."""
    viable, dead, glucose, glutamine, lactate, ammonium, product, volume = (x[i] for i in range(8))
    feed_glucose, feed_glutamine = u[0] * 1e-3, u[1] * 1e-3
    dilution = (feed_glucose + feed_glutamine) / volume
    limited = glucose / (1.0 + glucose) * glutamine / (0.3 + glutamine)
    growth = c["mu_max"] * limited * 60.0 / (60.0 + lactate) * 8.0 / (8.0 + ammonium)
    death = c["death"] * (1.0 + ammonium / 8.0)
    use_glucose = growth / c["yield_glucose"] + c["maintenance"] * glucose / (0.5 + glucose)
    use_glutamine = growth / c["yield_glutamine"]
    uptake = c["lactate_uptake"] * lactate / (10.0 + lactate)
    return (
        (growth - death - dilution) * viable,
        death * viable - (0.002 + dilution) * dead,
        -use_glucose * viable + feed_glucose / volume * 500.0 - dilution * glucose,
        -use_glutamine * viable - 0.001 * glutamine + feed_glutamine / volume * 100.0 - dilution * glutamine,
        (c["lactate_per_glucose"] * use_glucose - uptake) * viable - dilution * lactate,
        c["ammonium_per_glutamine"] * use_glutamine * viable + 0.001 * glutamine - dilution * ammonium,
        c["product"] * viable - dilution * product,
        feed_glucose + feed_glutamine,
    )


def bioreactor(grid: Sequence[int] = UNIFORM) -> ControlCase:
    """The fed-batch on a grid of hours."""
    x, u = casadi.SX.sym("x", 8), casadi.SX.sym("u", 2)
    return _bioreactor(x, u, grid, dynamics=casadi.vertcat(*_bioreactor_rates(x, u, _CELLS)))


def bioreactor_tree(grid: Sequence[int] = UNIFORM) -> ControlCase:
    """The fed-batch with three scenarios of its growth rate and of its yield from glutamine."""
    x, u, p = casadi.SX.sym("x", 8), casadi.SX.sym("u", 2), casadi.SX.sym("p", 2)
    cells = {**_CELLS, "mu_max": _CELLS["mu_max"] * (1.0 + p[0]), "yield_glutamine": 1.2 * (1.0 + p[1])}
    rates = casadi.vertcat(*_bioreactor_rates(x, u, cells))
    scenarios = Scenarios([[0.0, 0.0], [-0.1, -0.1], [0.1, 0.1]])
    return _bioreactor(x, u, grid, dynamics=rates, parameters=p, scenarios=scenarios)


def bioreactor_neural(grid: Sequence[int] = UNIFORM) -> ControlCase:
    """The fed-batch as x+ = x + network(x, u) over an hour."""
    x, u = casadi.SX.sym("x", 8), casadi.SX.sym("u", 2)
    mean, deviation, layers, change = _trained_network()
    hidden = casadi.tanh(layers[0][0].T @ ((casadi.vertcat(x, u) - mean) / deviation) + layers[0][1])
    after = x + change * (layers[1][0].T @ hidden + layers[1][1])
    return _bioreactor(x, u, grid, dynamics=after, discrete=True)


@cache
def _trained_network() -> tuple[np.ndarray, np.ndarray, list[tuple[np.ndarray, np.ndarray]], np.ndarray]:
    """Mean and deviation of (x, u), the two layers' weights, and the deviation of the change in an hour."""
    from sklearn.neural_network import MLPRegressor

    case, draw = bioreactor(), np.random.default_rng(0)
    step = case.problem.next_state(case.problem.x, case.problem.u, case.problem.p, 1.0, 4)
    model = casadi.Function("model", [case.problem.x, case.problem.u], [step])
    given, changes = [], []
    for _ in range(40):
        state, feeds = case.start * draw.uniform(0.7, 1.3, 8), draw.uniform(0.0, 6.0, 2)
        for hour in range(240):
            if hour % 8 == 0:
                feeds = draw.uniform(0.0, 1.0, 2) * draw.choice([2.0, 6.0, 20.0])
            after = np.maximum(np.array(model(state, feeds)).ravel(), 0.0)
            given.append(np.r_[state, feeds])
            changes.append(after - state)
            state = after
            if state[7] > 2.0 or state[2] > 40.0 or state[3] > 15.0:
                break
    inputs, targets = np.array(given), np.array(changes)
    mean, deviation, change = inputs.mean(axis=0), inputs.std(axis=0), targets.std(axis=0)
    network = MLPRegressor(
        hidden_layer_sizes=(64,), activation="tanh", solver="lbfgs", alpha=1e-4, max_iter=600, random_state=0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that more iterations would fit better still
        network.fit((inputs - mean) / deviation, targets / change)
    return mean, deviation, list(zip(network.coefs_, network.intercepts_, strict=True)), change


def _bioreactor(x: Any, u: Any, grid: Sequence[int], **model: Any) -> ControlCase:
    scale = np.array([5.0, 2.0, 5.0, 1.0, 10.0, 2.0, 500.0, 1.0])
    problem = OptimalControlProblem(
        states=x,
        inputs=u,
        step=1.0,
        grid=grid,
        substeps=[2] * len(grid),
        outputs=casadi.vertcat(x[2], x[3]),
        output_weights=[1.0, 10.0],
        terminal_weights=[1.0, 10.0],
        economic=-1e-3 * x[6],
        move_weights=[0.05, 0.05],
        ramps=True,
        input_bounds=([0.0, 0.0], [20.0, 20.0]),
        soft_constraints=[
            SoftConstraint("glucose", x[2], lower=2.0, scale=1.0, rank=2, penalty=50.0, quadratic=1.0),
            SoftConstraint("lactate", x[4], upper=18.0, scale=1.0, rank=2, penalty=50.0, quadratic=1.0),
            SoftConstraint("ammonium", x[5], upper=5.0, scale=1.0, rank=2, penalty=50.0, quadratic=1.0),
            SoftConstraint("volume", x[7], upper=1.8, scale=0.1, rank=1, penalty=200.0, quadratic=2.0),
        ],
        state_scale=scale,
        **model,
    )
    plant = _plant(problem, casadi.vertcat(*_bioreactor_rates(x, u, {**_CELLS, **_CELLS_OF_PLANT})))
    start = np.array([0.6, 0.05, 8.0, 1.5, 2.0, 0.5, 10.0, 1.0])
    noise = np.array([0.05, 0.02, 0.1, 0.03, 0.15, 0.03, 2.0, 0.002])
    return ControlCase(
        problem,
        plant,
        start,
        np.zeros(2),
        noise,
        lambda step: np.array([6.0 if step < 120 else 4.0, 1.0 if step < 180 else 0.7]),
    )


# ---- tablet ----------------------------------------------------------------------------------------------------------

_LINE = {"api_gain": 1.0, "excipient_gain": 1.0, "density": 0.45, "filling": 0.05, "strength": 12.0, "bonding": 10.0}
_LINE_OF_PLANT = {"api_gain": 0.97, "excipient_gain": 1.02, "density": 0.455, "filling": 0.06, "bonding": 10.4}
_DIE = 50.0  # mm2
_STATIONS = 30
_LABEL = 20.0  # mg


def _tablet_quality(x: Any, c: Mapping[str, float]) -> tuple[Any, ...]:
    """Weight in mg, content in % of the label, tensile strength in MPa, throughput in kg/h, solid fraction."""
    speed, depth, gap, density = x[9], x[10], x[11], x[12]
    weight = density * _DIE * depth * (1.0 - c["filling"] * speed**2)
    solid = weight / (1.5 * _DIE * gap)
    strength = c["strength"] * casadi.exp(-c["bonding"] * (1.0 - solid))
    return weight, 100.0 * x[8] * weight / _LABEL, strength, speed * _STATIONS * weight * 3600e-6, solid


def _tablet_rates(x: Any, u: Any, c: Mapping[str, float]) -> tuple[Any, ...]:
    """Time derivatives per second; flows in kg/h, masses in kg, speed in 1/s, depth and gap in mm, density in g/cm3."""
    api, excipient, holdup, blend_1, blend_2, hopper, in_hopper, frame_1, frame_2 = (x[i] for i in range(9))
    pressed = _tablet_quality(x, c)[3]
    fed, blended = api + excipient, 3600.0 * holdup / 40.0
    return (
        (c["api_gain"] * u[0] - api) / 6.0,
        (c["excipient_gain"] * u[1] - excipient) / 6.0,
        (fed - blended) / 3600.0,
        (api - fed * blend_1) / (1800.0 * holdup),
        blended * (blend_1 - blend_2) / (1800.0 * holdup),
        (blended - pressed) / 3600.0,
        blended * (blend_2 - in_hopper) / (3600.0 * hopper),
        pressed * (in_hopper - frame_1) / (3600.0 * 0.2),
        pressed * (frame_1 - frame_2) / (3600.0 * 0.2),
        (u[2] - x[9]) / 6.0,
        (u[3] - x[10]) / 6.0,
        (u[4] - x[11]) / 6.0,
        (c["density"] - 0.5 * (in_hopper - 0.1) - x[12]) / 60.0,
    )


def tablet(grid: Sequence[int] = UNIFORM) -> ControlCase:
    """The tablet line on a grid of 5 s."""
    x, u = casadi.SX.sym("x", 13), casadi.SX.sym("u", 5)
    weight, content, strength, throughput, solid = _tablet_quality(x, _LINE)
    problem = OptimalControlProblem(
        states=x,
        inputs=u,
        dynamics=casadi.vertcat(*_tablet_rates(x, u, _LINE)),
        step=5.0,
        grid=grid,
        substeps=[2 if d < 3 else 4 for d in grid],  # the drives of 6 s
        outputs=casadi.vertcat(content, weight, strength, throughput, x[5]),
        output_weights=[1.0, 0.25, 4.0, 0.25, 4.0],
        terminal_weights=[1.0, 0.25, 4.0, 0.25, 4.0],
        move_weights=[1.0, 0.1, 50.0, 10.0, 100.0],
        ramps=True,
        input_bounds=([0.5, 5.0, 0.3, 6.0, 2.5], [5.0, 40.0, 1.6, 14.0, 4.5]),
        soft_constraints=[
            SoftConstraint("content", content, 95.0, 105.0, scale=1.0, rank=2, penalty=100.0, quadratic=1.0),
            SoftConstraint("weight", weight, 195.0, 205.0, scale=1.0, rank=2, penalty=100.0, quadratic=1.0),
            SoftConstraint("strength", strength, 1.7, 3.0, scale=0.1, rank=2, penalty=100.0, quadratic=1.0),
            SoftConstraint("level", x[5], 1.0, 3.0, scale=0.1, rank=1, penalty=200.0, quadratic=2.0),
            SoftConstraint("solid fraction", solid, 0.7, 0.9, scale=0.01, rank=1, penalty=200.0, quadratic=2.0),
            SoftConstraint("throughput", throughput, 5.0, 28.0, scale=1.0, rank=3, penalty=50.0, quadratic=1.0),
            SoftConstraint("blender", x[2], 0.05, 0.3, scale=0.01, rank=1, penalty=200.0, quadratic=2.0),
        ],
        state_scale=[1.0, 10.0, 0.1, 0.02, 0.02, 1.0, 0.02, 0.02, 0.02, 0.3, 2.0, 0.5, 0.05],
    )
    plant = _plant(problem, casadi.vertcat(*_tablet_rates(x, u, {**_LINE, **_LINE_OF_PLANT})))
    start = np.array([2.0, 18.0, 20.0 * 40.0 / 3600.0, *[0.1] * 2, 2.0, *[0.1] * 3, 0.95, 9.3, 3.15, 0.45])
    noise = np.array([0.02, 0.1, 0.002, 5e-4, 5e-4, 0.02, 5e-4, 5e-4, 5e-4, 0.002, 0.02, 0.004, 0.001])

    def references(step: int) -> np.ndarray:
        throughput_wanted = 20.0 if step < 60 else 25.0 if step < 160 else 18.0
        return np.array([100.0, 200.0, 2.4 if step < 210 else 2.0, throughput_wanted, 2.0])

    return ControlCase(problem, plant, start, np.array([2.0, 18.0, 0.95, 9.3, 3.15]), noise, references)


CASES: Mapping[str, Callable[..., ControlCase]] = {
    "bioreactor": bioreactor,
    "tablet": tablet,
    "bioreactor_tree": bioreactor_tree,
    "bioreactor_neural": bioreactor_neural,
}


def _plant(problem: OptimalControlProblem, rates: Any, steps: int = 10) -> Any:
    f = casadi.Function("f", [problem.x, problem.u], [rates])
    x, h = problem.x, problem.step / steps
    for _ in range(steps):
        k1 = f(x, problem.u)
        k2 = f(x + h / 2 * k1, problem.u)
        k3 = f(x + h / 2 * k2, problem.u)
        k4 = f(x + h * k3, problem.u)
        x = x + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return casadi.Function("plant", [problem.x, problem.u], [x])
