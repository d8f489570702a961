from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from cosim.component import FloatArray
from cosim.fixed_point import FixedPoint


@given(st.floats(-50.0, 50.0).filter(lambda k: abs(k - 1.0) > 0.05))
def test_newton_solves_a_linear_loop_whatever_its_gain(gain: float) -> None:
    solver = FixedPoint(1e-12, 50)
    last = np.zeros(1)

    def residual(u: FloatArray) -> FloatArray:
        last[:] = u
        return u - (gain * u + 1.0)

    r = solver.solve(residual, np.zeros(1))
    assert solver.agrees(last, r)
    assert last[0] == pytest.approx(1.0 / (1.0 - gain), rel=1e-9)


def test_repeated_insertion_converges_only_where_the_gain_allows() -> None:
    def solve(gain: float, relaxation: float = 1.0) -> bool:
        solver = FixedPoint(1e-10, 200, relaxation, newton=False)
        seen = [np.zeros(1)]

        def residual(u: FloatArray) -> FloatArray:
            seen[0] = u
            return u - (gain * u + 1.0)

        with np.errstate(all="ignore"):
            r = solver.solve(residual, np.zeros(1))
        return solver.agrees(seen[0], r)

    assert solve(-0.5)
    assert not solve(-2.0)
    assert solve(-2.0, relaxation=0.5)
    assert not solve(3.0)


def test_a_nonlinear_system_is_solved_again_with_the_jacobian_of_before() -> None:
    calls = 0

    def residual(u: FloatArray) -> FloatArray:
        nonlocal calls
        calls += 1
        return u - np.array([np.cos(u[1]) + shift, 0.5 * np.sin(u[0])])

    solver = FixedPoint(1e-12, 50)
    shift, counts, u = 0.0, [], np.zeros(2)
    for k in range(5):
        shift, calls = 0.001 * k, 0
        seen = [u]

        def watched(v: FloatArray, seen: list[FloatArray] = seen) -> FloatArray:
            seen[0] = v
            return residual(v)

        assert solver.agrees(seen[0], solver.solve(watched, u))
        u = seen[0]
        counts.append(calls)
    assert counts[-1] < counts[0]


def test_given_derivatives_spare_the_differences() -> None:
    calls = 0

    def residual(u: FloatArray) -> FloatArray:
        nonlocal calls
        calls += 1
        return u - (-10.0 * u + 1.0)

    FixedPoint(1e-12, 50).solve(residual, np.zeros(1), lambda: np.array([[-10.0]]))
    assert calls == 2
