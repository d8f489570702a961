"""Problems, and engines that solve them to the optimum, for the tests of optimal control."""

from __future__ import annotations

import importlib.util
import sys
from functools import cache
from pathlib import Path
from typing import Any

import casadi

from controllers.optimal_control import (
    CasADiEngine,
    HPIPMEngine,
    IPOPTEngine,
    OptimalControlProblem,
    SoftConstraint,
)

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def converged_hpipm(problem: OptimalControlProblem, *, riccati: bool = False) -> HPIPMEngine:
    return HPIPMEngine(
        problem,
        iterations=50,
        first_iterations=50,
        tolerance=1e-7,
        qp_tolerance=1e-8,
        verify=True,
        riccati=riccati,
    )


ENGINES = {
    "hpipm": converged_hpipm,
    "riccati": lambda problem: converged_hpipm(problem, riccati=True),
    "sqpmethod": lambda problem: CasADiEngine(problem, iterations=50),
    "ipopt": IPOPTEngine,
}


@cache
def cases() -> Any:
    spec = importlib.util.spec_from_file_location("control_problems", BENCHMARKS / "control_problems.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["control_problems"] = module
    spec.loader.exec_module(module)
    return module


def pendulum(**changes: Any) -> OptimalControlProblem:
    """A forced pendulum whose gravity is a parameter."""
    x, u, p = casadi.SX.sym("x", 2), casadi.SX.sym("u", 1), casadi.SX.sym("p", 1)
    given = {
        "states": x,
        "inputs": u,
        "parameters": p,
        "dynamics": casadi.vertcat(x[1], u - p * casadi.sin(x[0])),
        "step": 0.1,
        "grid": (1,) * 15,
        "outputs": x,
        "output_weights": [1.0, 0.1],
        "terminal_weights": [10.0, 1.0],
        "move_weights": [0.1],
        "move_limits": [0.5],
        "input_bounds": ([-2.0], [2.0]),
        "soft_constraints": [SoftConstraint("speed", x[1], -0.6, 0.6)],
    }
    return OptimalControlProblem(**{**given, **changes})


def linear() -> OptimalControlProblem:
    """A discrete system of order two whose matrices are its parameters: compiled once for all of them."""
    x, u, p = casadi.SX.sym("x", 2), casadi.SX.sym("u", 1), casadi.SX.sym("p", 6)
    return OptimalControlProblem(
        states=x,
        inputs=u,
        parameters=p,
        dynamics=casadi.reshape(p[:4], 2, 2) @ x + p[4:] * u,
        discrete=True,
        step=1.0,
        grid=(1,) * 8,
        outputs=x,
        output_weights=[1.0, 1.0],
        terminal_weights=[2.0, 2.0],
        move_weights=[0.3],
        move_limits=[0.8],
        input_bounds=([-1.0], [1.0]),
        soft_constraints=[SoftConstraint("first", x[0], -1.0, 1.0, penalty=20.0, quadratic=1.0)],
    )


@cache
def shared(problem: str, engine: str) -> Any:
    return ENGINES[engine]({"pendulum": pendulum, "linear": linear}[problem]())
