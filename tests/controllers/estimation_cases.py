"""Processes for the tests of estimators, and a plant that follows them with the noise that they state."""

from __future__ import annotations

import casadi as ca
import numpy as np

from controllers.estimation import DisturbanceState, EstimationModel, Output, Process, State

HOUR = 3600.0


def linear_process(a: np.ndarray, b: np.ndarray, c: np.ndarray, noise: np.ndarray, **bounds: float) -> Process:
    """x+ = A x + B u, y = C x, with a period of one hour, so that ``noise`` is the standard deviation of a period."""
    n, m = b.shape
    x, u, p = ca.SX.sym("x", n), ca.SX.sym("u", m), ca.SX.sym("p", 0)
    states = [State(f"x{i}", noise=float(noise[i]), **bounds) for i in range(n)]
    step = ca.Function("step", [x, u, p], [ca.DM(a) @ x + ca.DM(b) @ u])
    measure = ca.Function("measure", [x, u, p], [ca.DM(c) @ x])
    outputs = tuple(Output(f"y{i}") for i in range(len(c)))
    return Process(HOUR, tuple(states), tuple(f"u{i}" for i in range(m)), outputs, step, measure)


A = np.array([[0.9, 0.2, 0.0], [0.0, 0.8, 0.1], [0.0, 0.0, 0.95]])
B = np.array([[0.0], [0.5], [1.0]])
C = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, -0.5]])
NOISE = np.array([0.05, 0.1, 0.2])


def linear() -> EstimationModel:
    return EstimationModel(linear_process(A, B, C, NOISE))


def reaction(noise: float = 0.001, low: float = 0.0) -> EstimationModel:
    """2 A -> B in a batch of which the total pressure is measured (Haseltine & Rawlings 2005); period 0.1 s."""
    x, u, p = ca.SX.sym("x", 2), ca.SX.sym("u", 0), ca.SX.sym("p", 0)
    rate = 0.16 * x[0] ** 2
    hourly = noise * np.sqrt(HOUR / 0.1)
    return EstimationModel(
        Process.continuous(
            0.1,
            [State("a", noise=hourly, low=low), State("b", noise=hourly, low=low)],
            [],
            [Output("pressure"), Output("a")],
            ca.Function("rate", [x, u, p], [ca.vertcat(-2 * rate, rate)]),
            ca.Function("measure", [x, u, p], [ca.vertcat(x[0] + x[1], x[0])]),
        )
    )


def culture(*disturbances: DisturbanceState) -> EstimationModel:
    """Cells on a substrate in a continuous culture with Monod kinetics; u: dilution [1/h]; hourly."""
    x, u, p = ca.SX.sym("x", 3), ca.SX.sym("u", 1), ca.SX.sym("p", 2)
    cells, substrate, product = x[0], x[1], x[2]
    growth = p[0] * substrate / (5.0 + substrate)
    rates = ca.vertcat(
        (growth - u[0]) * cells,
        -growth * cells / p[1] + u[0] * (50.0 - substrate),
        0.1 * growth * cells - u[0] * product,
    )
    return EstimationModel(
        Process.continuous(
            HOUR,
            [
                State("cells", "g/L", 20.0, low=0.0, noise=0.1),
                State("substrate", "g/L", 5.0, low=0.0, noise=0.05),
                State("product", "g/L", 1.0, low=0.0, noise=0.005),
            ],
            ["feed"],
            [Output("od", "1", 30.0), Output("substrate", "g/L", 5.0), Output("product", "g/L", 1.0)],
            ca.Function("rate", [x, u, p], [rates / HOUR]),
            ca.Function("measure", [x, u, p], [ca.vertcat(2.0 * cells / (1.0 + 0.02 * cells), substrate, product)]),
            [("growth_rate_max", 0.3), ("yield", 0.5)],
            substeps=4,
        ),
        disturbances,
    )


class Plant:
    """The process itself, with process noise and measurement noise drawn from one generator."""

    def __init__(self, model: EstimationModel, state: np.ndarray, seed: int) -> None:
        self.model, self.state = model, np.array(state, dtype=float)
        self.rng = np.random.default_rng(seed)

    def step(self, inputs: np.ndarray) -> None:
        after = self.model.step(self.state, inputs).full().ravel()
        self.state = after + self.model.noise_std(self.state) * self.rng.normal(size=len(after))

    def outputs(self, inputs: np.ndarray) -> np.ndarray:
        return self.model.measure(self.state, inputs).full().ravel()
