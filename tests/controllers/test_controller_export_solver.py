"""The quadratic program's solver of the exported controller, against others."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import casadi
import numpy as np
import pytest

from controllers.export.build import RUNTIME

HOST = """
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "quadratic_program.c"
#if defined(_WIN32)
__declspec(dllexport)
#endif
int solve(int n, int k, const double *h, const double *a, const double *g, const double *low,
          const double *high, double *x) {
    double *w = malloc(QP_WORK(n, k) * sizeof(double));
    int *iw = malloc(QP_IWORK(n, k) * sizeof(int)), failed = qp_solve(n, k, h, a, g, low, high, x, w, iw);
    free(w), free(iw);
    return failed;
}
"""
SOLVED, NOT_FINITE, NOT_CONVEX, INFEASIBLE = range(4)
Solve = Callable[..., tuple[int, np.ndarray]]


@pytest.fixture(scope="module")
def solve(tmp_path_factory: pytest.TempPathFactory) -> Solve:
    folder: Path = tmp_path_factory.mktemp("solver")
    (folder / "host.c").write_text(HOST, encoding="utf-8")
    (folder / "quadratic_program.c").write_bytes((RUNTIME / "quadratic_program.c").read_bytes())
    command = [sys.executable, "-m", "ziglang", "cc", "-O2", "-shared", "-fPIC", "host.c", "-o", "host.so", "-lm"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    library = ctypes.CDLL(str(folder / "host.so"))
    array = np.ctypeslib.ndpointer(np.float64, flags="C")
    library.solve.argtypes = [ctypes.c_int, ctypes.c_int, *[array] * 6]

    def call(h: np.ndarray, a: np.ndarray, g: np.ndarray, low: np.ndarray, high: np.ndarray) -> tuple[int, np.ndarray]:
        x = np.zeros(len(g))
        return library.solve(len(g), len(a), h.copy(), a.copy(), g.copy(), low.copy(), high.copy(), x), x

    return call


def program(rng: np.random.Generator, n: int, k: int, spread: float) -> tuple[np.ndarray, ...]:
    """A feasible program: H of the condition 10^spread, some equalities, one-sided and absent bounds."""
    basis = np.linalg.qr(rng.normal(size=(n, n)))[0]
    h = (basis * np.logspace(-spread / 2.0, spread / 2.0, n)) @ basis.T
    a, inside = rng.normal(size=(k, n)), rng.normal(size=n)
    value = np.concatenate([inside, a @ inside])
    low, high = (value + side * rng.exponential(0.3, n + k) for side in (-1.0, 1.0))
    for absent, bound in ((-np.inf, low), (np.inf, high)):
        bound[rng.random(n + k) < 0.3] = absent
    equal = n + rng.choice(k, size=min(2, k), replace=False)
    low[equal] = high[equal] = value[equal]
    return (h + h.T) / 2.0, a, 10.0 * rng.normal(size=n), low, high


def _off(h: np.ndarray, a: np.ndarray, g: np.ndarray, low: np.ndarray, high: np.ndarray, x: np.ndarray) -> float:
    """How far x is from the conditions of Karush, Kuhn and Tucker, by the best multipliers of the right sign."""
    from scipy.optimize import nnls

    n = len(g)
    rows = np.vstack([np.eye(n), a])
    value = rows @ x
    size = 1.0 + np.abs(value)
    left = float(np.maximum(np.maximum(low - value, value - high) / size, 0.0).max())
    normals = [rows[i] for i in range(len(value)) if value[i] - low[i] < 1e-7 * size[i]]
    normals += [-rows[i] for i in range(len(value)) if high[i] - value[i] < 1e-7 * size[i]]
    gradient = h @ x + g
    rest = float(np.linalg.norm(gradient)) if not normals else nnls(np.array(normals).T, gradient)[1]
    return max(left, rest / (1.0 + float(np.abs(gradient).max()) + float(np.abs(g).max())))


@pytest.mark.parametrize("spread", [0.0, 4.0, 8.0])
def test_its_answers_fulfil_the_optimality_conditions(spread: float, solve: Solve) -> None:
    rng = np.random.default_rng(int(spread))
    for _ in range(60):
        given = program(rng, int(rng.integers(1, 25)), int(rng.integers(1, 40)), spread)
        failed, x = solve(*given)
        assert failed == SOLVED
        assert _off(*given, x) < 1e-7


def test_it_agrees_with_another_solver(solve: Solve) -> None:
    rng = np.random.default_rng(1)
    for _ in range(30):
        h, a, g, low, high = program(rng, 12, 20, 2.0)
        shape = {"h": casadi.DM(h).sparsity(), "a": casadi.DM(a).sparsity()}
        other = casadi.conic("other", "daqp", shape, {"daqp": {"primal_tol": 1e-10}})
        n = len(g)
        answer = other(h=h, a=a, g=g, lbx=low[:n], ubx=high[:n], lba=low[n:], uba=high[n:])
        failed, x = solve(h, a, g, low, high)
        assert failed == SOLVED
        np.testing.assert_allclose(x, np.asarray(answer["x"]).ravel(), rtol=1e-7, atol=1e-7)


def test_constraints_that_repeat_each_other_do_no_harm(solve: Solve) -> None:
    rng = np.random.default_rng(2)
    for _ in range(30):
        h, a, g, low, high = program(rng, 8, 10, 2.0)
        n = len(g)
        a = np.vstack([a, a, 2.0 * a])
        low, high = (np.concatenate([b, b[n:], 2.0 * b[n:]]) for b in (low, high))
        failed, x = solve(h, a, g, low, high)
        assert failed == SOLVED
        assert _off(h, a, g, low, high, x) < 1e-7


def test_what_has_no_answer_is_told(solve: Solve) -> None:
    eye, row, two = np.eye(2), np.array([[1.0, 1.0]]), np.zeros(2)
    wide = np.full(3, np.inf)
    assert solve(eye, row, two, np.array([1.0, 1.0, -np.inf]), np.array([2.0, 2.0, 1.0]))[0] == INFEASIBLE
    assert solve(eye, row, two, np.array([0.0, 0.0, 1.0]), np.array([0.0, 0.0, 1.0]))[0] == INFEASIBLE
    assert solve(eye, row, np.array([np.nan, 0.0]), -wide, wide)[0] == NOT_FINITE
    assert solve(eye, row, two, np.ones(3), np.zeros(3))[0] == NOT_FINITE
    assert solve(-eye, row, two, -wide, wide)[0] == NOT_CONVEX
