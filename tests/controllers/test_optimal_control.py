"""Every engine is held to the same problem: the optimum, its conditions, and what happens when there is none."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import casadi
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from optimal_control_cases import ENGINES, cases, converged_hpipm, pendulum, shared

from controllers.optimal_control import (
    Answer,
    DoMPCEngine,
    HPIPMEngine,
    IPOPTEngine,
    SoftConstraint,
    Status,
)
from controllers.optimal_control.roll_out import RollOut
from fmus.errors import GalenicError
from fmus.toolchain import compile_shared_library, this_platform


def assert_no_plan(answer: Answer) -> None:
    assert not answer.usable
    assert np.isnan(answer.inputs).all()
    assert np.isnan(answer.states).all()
    assert math.isnan(answer.cost)


@pytest.mark.parametrize("name", ["bioreactor", "tablet"])
@pytest.mark.parametrize("grid", ["UNIFORM", "NON_UNIFORM"])
def test_engines_agree_on_the_optimum_of_the_two_benchmark_problems(name: str, grid: str) -> None:
    case = cases().CASES[name](getattr(cases(), grid))
    problem = case.problem
    engines = {label: make(problem) for label, make in ENGINES.items()}
    state, applied = case.start, case.start_input
    for step in (0, 60, 230):  # setpoints differ
        for engine in engines.values():
            engine.reset()
        answers = {label: e.solve(state, applied, (), case.references(step)) for label, e in engines.items()}
        best = answers["ipopt"]
        for label, answer in answers.items():
            assert answer.status is Status.SOLVED, (label, answer)
            assert answer.residual < 1e-4, label
            assert answer.cost == pytest.approx(best.cost, rel=1e-3, abs=1e-4), label
            apart = np.abs(answer.inputs - best.inputs) / problem.input_scale
            assert apart.max() < 1e-3, (label, apart.max())
        applied = best.inputs[0]
        for _ in range(20):
            state = np.array(case.plant(state, applied)).ravel()


@pytest.mark.parametrize("name", ["bioreactor", "tablet"])
def test_do_mpc_finds_nearly_the_same_first_input(name: str) -> None:
    pytest.importorskip("do_mpc", reason="do-mpc is an extra for development")
    case = cases().CASES[name]()
    ours = HPIPMEngine(case.problem, first_iterations=50)
    theirs = DoMPCEngine(case.problem)
    first = [e.solve(case.start, case.start_input, (), case.references(0)) for e in (ours, theirs)]
    assert all(answer.usable for answer in first)
    apart = np.abs(first[0].inputs[0] - first[1].inputs[0]) / case.problem.input_scale
    assert apart.max() < 0.01


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(
    matrix=st.lists(st.floats(-1.0, 1.0), min_size=4, max_size=4),
    gain=st.lists(st.floats(0.2, 1.0), min_size=2, max_size=2),
    state=st.lists(st.floats(-1.5, 1.5), min_size=2, max_size=2),
    target=st.lists(st.floats(-0.9, 0.9), min_size=2, max_size=2),
    before=st.floats(-1.0, 1.0),
)
def test_any_small_linear_problem_is_solved_to_the_optimum(
    matrix: list[float], gain: list[float], state: list[float], target: list[float], before: float
) -> None:
    engines = [shared("linear", name) for name in ("ipopt", "hpipm", "riccati")]
    for engine in engines:
        engine.reset()
    best, *answers = (e.solve(state, [before], matrix + gain, target) for e in engines)
    for answer in answers:
        assert answer.status is best.status is Status.SOLVED
        assert answer.residual < 1e-5
        assert answer.cost == pytest.approx(best.cost, rel=1e-4, abs=1e-5)
        assert np.abs(answer.inputs - best.inputs).max() < 2e-3


@pytest.mark.parametrize("engine", ENGINES)
def test_moves_and_inputs_stay_within_their_hard_limits(engine: str) -> None:
    answer = shared("pendulum", engine).solve([2.5, 0.0], [-1.9], [1.0], [0.0, 0.0], elapsed=0)
    assert answer.usable
    moves = np.diff(np.r_[[[-1.9]], answer.inputs], axis=0)
    assert np.abs(moves).max() < 0.5 + 1e-4
    assert np.abs(answer.inputs).max() <= 2.0


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("place", range(4))
def test_what_is_not_finite_gives_a_status_and_no_plan(engine: str, bad: float, place: int) -> None:
    solver = shared("pendulum", engine)
    good: list[list[float]] = [[1.0, 0.0], [0.0], [1.0], [0.0, 0.0]]
    solver.reset()
    before = solver.solve(*good)
    given = [list(values) for values in good]
    given[place][-1] = bad
    answer = solver.solve(*given)
    assert answer.status is Status.NOT_FINITE
    assert_no_plan(answer)
    after = solver.solve(*good)
    assert after.usable
    np.testing.assert_allclose(after.inputs, before.inputs, atol=1e-4)


@pytest.mark.parametrize("engine", ENGINES)
def test_an_infeasible_problem_gives_a_status_and_leaves_nothing_behind(engine: str) -> None:
    solver = ENGINES[engine](pendulum(state_bounds=([-3.0, -1.5], [3.0, 1.5])))
    good: list[list[float]] = [[1.0, 0.0], [0.0], [1.0], [0.0, 0.0]]
    before = solver.solve(*good)
    assert before.usable
    answer = solver.solve([1.0, 8.0], [0.0], [1.0], [0.0, 0.0])
    assert answer.status in (Status.INFEASIBLE, Status.FAILED)
    assert_no_plan(answer)
    after = solver.solve(*good)
    assert after.usable
    np.testing.assert_allclose(after.inputs, before.inputs, atol=1e-4)


def test_numbers_that_overflow_the_model_give_a_status() -> None:
    solver = shared("pendulum", "hpipm")
    solver.reset()
    for state in ([1e200, 1e200], [1e308, -1e308]):
        answer = solver.solve(state, [0.0], [1e150], [0.0, 0.0])
        if not answer.usable:
            assert_no_plan(answer)
        else:
            assert np.isfinite(answer.inputs).all()
            assert math.isfinite(answer.cost)
    assert solver.solve([1.0, 0.0], [0.0], [1.0], [0.0, 0.0]).status is Status.SOLVED


@pytest.mark.parametrize("riccati", [False, True])
@pytest.mark.parametrize("hot", [False, True])
def test_one_iteration_follows_the_optimum(hot: bool, riccati: bool) -> None:
    problem = pendulum()
    fast, exact = HPIPMEngine(problem, hot=hot, riccati=riccati), IPOPTEngine(problem)
    state, applied = np.array([1.0, 0.0]), np.zeros(1)
    follow = RollOut(problem)
    for _ in range(15):
        answer = fast.solve(state, applied, [1.0], [0.0, 0.0])
        best = exact.solve(state, applied, [1.0], [0.0, 0.0])
        assert answer.iterations <= 20
        assert answer.cost == pytest.approx(best.cost, rel=5e-3, abs=1e-4)
        values = np.tile([1.0, 0.0, 0.0], (len(problem.stages) + 1, 1))
        state, applied = follow(state, applied, values, answer.inputs).states[1], answer.inputs[0]


def test_a_spent_budget_ends_the_iterations_with_a_plan() -> None:
    engine = HPIPMEngine(pendulum(), first_iterations=20, tolerance=1e-12, budget=0.0)
    answer = engine.solve([2.0, 0.0], [0.0], [1.0], [0.0, 0.0])
    assert answer.status is Status.OUT_OF_TIME
    assert answer.iterations == 1
    assert np.isfinite(answer.inputs).all()


def test_the_answer_of_c_is_what_its_inputs_lead_to() -> None:
    problem = pendulum(grid=(1, 1, 2, 3, 5), substeps=(2,) * 5, blocks=(1, 2))
    answer = converged_hpipm(problem).solve([1.0, 0.2], [0.1], [1.0], [0.0, 0.0])
    values = np.tile([1.0, 0.0, 0.0], (6, 1))
    rolled = RollOut(problem)(np.array([1.0, 0.2]), np.array([0.1]), values, answer.inputs)
    np.testing.assert_allclose(answer.states, rolled.states, atol=1e-9)
    assert answer.cost == pytest.approx(rolled.cost, rel=1e-9)
    assert answer.violation == pytest.approx(rolled.violation, abs=1e-9)


@pytest.mark.parametrize("engine", ENGINES)
def test_blocked_inputs_are_held(engine: str) -> None:
    problem = pendulum(blocks=(1, 2, 4))
    answer = ENGINES[engine](problem).solve([1.0, 0.0], [0.0], [1.0], [0.0, 0.0])
    best = shared("pendulum", "ipopt")
    best.reset()
    u = answer.inputs.ravel()
    assert u[1] == pytest.approx(u[2], abs=1e-12)
    np.testing.assert_allclose(u[3:], u[3], atol=1e-12)
    assert answer.cost > best.solve([1.0, 0.0], [0.0], [1.0], [0.0, 0.0]).cost


@pytest.mark.parametrize("engine", ENGINES)
def test_the_better_rank_gives_way_last(engine: str) -> None:
    x = casadi.SX.sym("x", 2)
    u, p = casadi.SX.sym("u", 1), casadi.SX.sym("p", 1)
    conflict = [SoftConstraint("equipment", x[0], upper=0.5, rank=1), SoftConstraint("gain", x[0], lower=1.0, rank=3)]
    problem = pendulum(
        states=x,
        inputs=u,
        parameters=p,
        dynamics=casadi.vertcat(x[1], u - p * casadi.sin(x[0])),
        outputs=x,
        soft_constraints=conflict,
    )
    answer = ENGINES[engine](problem).solve([0.4, 0.0], [0.4], [1.0], [0.9, 0.0])
    assert answer.usable
    assert answer.states[:, 0].max() < 0.5 + 1e-3
    assert answer.violation[0] > 0.4


def test_engines_in_several_threads_do_not_disturb_each_other() -> None:
    problem = pendulum()
    starts = [np.array([angle, 0.0]) for angle in np.linspace(-2.0, 2.0, 8)]
    alone = shared("pendulum", "hpipm")

    def fresh(start: np.ndarray, engine: HPIPMEngine) -> np.ndarray:
        for _ in range(50):
            answer = engine.solve(start, [0.0], [1.0], [0.0, 0.0], elapsed=0)
        return answer.inputs

    expected = []
    for start in starts:
        alone.reset()
        expected.append(fresh(start, alone))
    with ThreadPoolExecutor(8) as pool:
        own = list(pool.map(fresh, starts, [converged_hpipm(problem) for _ in starts]))
        one = list(pool.map(fresh, [starts[0]] * 8, [alone] * 8))
    np.testing.assert_allclose(own, expected, atol=1e-5)
    np.testing.assert_allclose(one, [expected[0]] * 8, atol=1e-5)


COUNTER = """
#include <stddef.h>
void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);
static long long count;
__attribute__((visibility("default"))) long long galenic_allocations(void) { return count; }
__attribute__((visibility("default"))) void *malloc(size_t n) { count++; return __libc_malloc(n); }
__attribute__((visibility("default"))) void *calloc(size_t n, size_t m) { count++; return __libc_calloc(n, m); }
__attribute__((visibility("default"))) void *realloc(void *p, size_t n) { count++; return __libc_realloc(p, n); }
"""
COUNTING = """
import ctypes, sys
sys.path.insert(0, sys.argv[1])
from optimal_control_cases import converged_hpipm, pendulum
count = ctypes.CDLL(None).galenic_allocations
count.restype = ctypes.c_longlong
engine = converged_hpipm(pendulum())
answer = engine.solve([1.0, 0.0], [0.0], [1.0], [0.0, 0.0])
x, v, values, told = engine._arguments
def run():
    before = count()
    for _ in range(200):
        engine._solve_c(engine._solver, x, v, values, 1, 3, 1.0, 1, told)
    return count() - before
run()
print(answer.usable, count(), run())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts the allocations of glibc")
def test_a_solve_allocates_nothing(tmp_path: Path) -> None:
    library = compile_shared_library({"counter.c": COUNTER}, "counter.c", this_platform(), "counter")[0]
    (tmp_path / "counter.so").write_bytes(library)
    command = [sys.executable, "-c", COUNTING, str(Path(__file__).parent)]
    environment = {**os.environ, "LD_PRELOAD": str(tmp_path / "counter.so")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    usable, all_told, in_solves = done.stdout.split()
    assert usable == "True"
    assert int(all_told) > 1000  # the counter counts
    assert int(in_solves) < 20  # in 200 solves of up to 3 iterations: now and then one by Python itself


def test_the_compiled_solver_is_kept() -> None:
    assert converged_hpipm(pendulum()) is not None
    assert not converged_hpipm(pendulum(step=0.2)).compiled  # a number is no reason to compile again


def test_a_problem_that_does_not_fit_is_refused() -> None:
    x = casadi.SX.sym("x", 2)
    with pytest.raises(GalenicError, match="neither a state"):
        pendulum(economic=casadi.SX.sym("stranger"))
    with pytest.raises(GalenicError, match="above its upper"):
        pendulum(input_bounds=([1.0], [-1.0]))
    with pytest.raises(GalenicError, match="equations"):
        pendulum(dynamics=casadi.SX(1, 1))
    with pytest.raises(GalenicError, match="rank"):
        SoftConstraint("c", x[0], upper=1.0, rank=4)
    with pytest.raises(GalenicError, match="shape"):
        shared("pendulum", "hpipm").solve([0.0, 0.0], [0.0], [1.0, 2.0], [0.0, 0.0])
