from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize

from controllers.linear.quadratic_program import SOLVERS, QuadraticProgram
from fmus.errors import GalenicError

FREE = (np.full(2, -math.inf), np.full(2, math.inf))


def random_problem(seed: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    root = random.normal(size=(6, 6))
    return {
        "h": root @ root.T + 0.5 * np.eye(6),
        "a": random.normal(size=(8, 6)),
        "g": random.normal(size=6) * 3.0,
        "lbx": np.full(6, -0.5),
        "ubx": np.full(6, 0.7),
        "lba": np.full(8, -1.0),
        "uba": random.uniform(0.1, 1.0, size=8),
    }


def reference(p: dict[str, np.ndarray]) -> float:
    result: Any = minimize(
        lambda x: 0.5 * x @ p["h"] @ x + p["g"] @ x,
        np.zeros(6),
        jac=lambda x: p["h"] @ x + p["g"],
        method="SLSQP",
        bounds=list(zip(p["lbx"], p["ubx"], strict=True)),
        constraints=[
            {"type": "ineq", "fun": lambda x: p["uba"] - p["a"] @ x, "jac": lambda _: -p["a"]},
            {"type": "ineq", "fun": lambda x: p["a"] @ x - p["lba"], "jac": lambda _: p["a"]},
        ],
        options={"ftol": 1e-10, "maxiter": 500},
    )
    assert result.success
    return float(result.fun)


@pytest.mark.parametrize("solver", ["daqp", "osqp", "hpipm"])
def test_solutions_agree_with_an_independent_solver(solver: str) -> None:
    for seed in range(10):
        p = random_problem(seed)
        qp = QuadraticProgram(p["h"], p["a"], solver=solver)
        for _ in range(2):  # cold, then warm
            answer = qp.solve(p["g"], p["lbx"], p["ubx"], p["lba"], p["uba"])
            assert answer.converged
            cost = 0.5 * answer.x @ p["h"] @ answer.x + p["g"] @ answer.x
            assert cost == pytest.approx(reference(p), abs=1e-6)


def test_a_known_solution() -> None:
    qp = QuadraticProgram(2.0 * np.eye(2), np.array([[1.0, 1.0]]))
    answer = qp.solve(np.array([-2.0, -4.0]), *FREE, np.array([-math.inf]), np.array([1.0]))
    np.testing.assert_allclose(answer.x, [0.0, 1.0], atol=1e-9)
    assert answer.converged


@pytest.mark.parametrize(
    ("lba", "uba", "g"),
    [(3.0, 4.0, 0.0), (2.0, 1.0, 0.0), (0.0, 1.0, math.nan), (math.nan, 1.0, 0.0)],
    ids=["infeasible", "crossed", "nan in the gradient", "nan in a bound"],
)
def test_what_has_no_answer_is_not_converged_and_is_forgotten(lba: float, uba: float, g: float) -> None:
    qp = QuadraticProgram(2.0 * np.eye(2), np.array([[1.0, 1.0]]))
    box = (-np.ones(2), np.ones(2))
    assert not qp.solve(np.full(2, g), *box, np.array([lba]), np.array([uba])).converged
    after = qp.solve(np.zeros(2), *box, np.array([0.5]), np.array([1.0]))
    assert after.converged
    np.testing.assert_allclose(after.x, [0.25, 0.25], atol=1e-9)


def test_the_check_does_not_take_the_solvers_word(monkeypatch: pytest.MonkeyPatch) -> None:
    qp = QuadraticProgram(2.0 * np.eye(2), np.array([[1.0, 1.0]]))
    true = qp._run

    def slightly_wrong() -> None:
        true()
        qp._found["x"] += 1e-3

    monkeypatch.setattr(qp, "_run", slightly_wrong)
    answer = qp.solve(np.array([-2.0, -4.0]), *FREE, np.array([-math.inf]), np.array([1.0]))
    assert not answer.converged


def test_an_unknown_solver_and_a_flat_cost_are_refused() -> None:
    with pytest.raises(GalenicError, match="unknown QP solver") as error:
        QuadraticProgram(np.eye(1), np.eye(1), solver="magic")
    assert all(name in error.value.cure for name in SOLVERS)
    with pytest.raises(GalenicError, match="strictly convex"):
        QuadraticProgram(np.diag([1.0, 0.0]), np.eye(2))
