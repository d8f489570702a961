"""What may differ from solve to solve, and trees of scenarios: the same in every engine."""

from __future__ import annotations

import math
from typing import Any

import casadi
import numpy as np
import pytest
from optimal_control_cases import ENGINES, cases, converged_hpipm, pendulum, shared

from controllers.optimal_control import (
    Answer,
    CasADiEngine,
    DoMPCEngine,
    HPIPMEngine,
    IPOPTEngine,
    OptimalControlProblem,
    Scenarios,
    SoftConstraint,
    Status,
)
from controllers.optimal_control.roll_out import RollOut
from fmus.errors import GalenicError

START: tuple[list[float], ...] = ([1.0, 0.2], [0.1], [1.0], [0.0, 0.0])
OTHERS = [name for name in ENGINES if name != "hpipm"]


def both(engine: str, name: str = "pendulum", start: Any = START, **terms: Any) -> tuple[Answer, Answer]:
    """The same solve by the engine in C and by another one, both from nothing."""
    answers = []
    for label in ("hpipm", engine):
        solver = shared(name, label)
        solver.reset()
        answers.append(solver.solve(*start, **terms))
        solver.reset()
    return answers[0], answers[1]


def assert_same(ours: Answer, theirs: Answer) -> None:
    assert ours.status is theirs.status is Status.SOLVED, (ours, theirs)
    assert ours.cost == pytest.approx(theirs.cost, rel=1e-3, abs=1e-5)
    assert np.abs(ours.inputs - theirs.inputs).max() < 2e-3
    assert ours.residual < 1e-4


@pytest.mark.parametrize("engine", OTHERS)
def test_limits_of_moves_by_stage_are_kept_in_that_solve_alone(engine: str) -> None:
    limits = np.full((15, 1), 0.05)
    limits[5:] = 0.3
    ours, theirs = both(engine, move_limits=limits)
    assert_same(ours, theirs)
    moves = np.abs(np.diff(np.r_[[[0.1]], ours.inputs], axis=0))
    assert (moves < limits + 1e-4).all()
    assert moves[0] > 0.045  # it binds
    usual, _ = both(engine)
    assert abs(usual.inputs[0, 0] - 0.1) > 0.2


@pytest.mark.parametrize("engine", OTHERS)
def test_an_input_with_a_limit_of_zero_is_held_exactly(engine: str) -> None:
    problem = pendulum(move_limits=None)  # no constraint to build on
    limits = np.full((15, 1), np.inf)
    limits[[0, 1, 3, 4, 5, 9, 10]] = 0.0
    answers = [make(problem).solve(*START, move_limits=limits) for make in (ENGINES["hpipm"], ENGINES[engine])]
    assert_same(*answers)
    u = answers[0].inputs[:, 0]
    np.testing.assert_array_equal(u[[0, 1, 3, 4, 5, 9, 10]], np.r_[0.1, u[[0, 2, 3, 4, 8, 9]]])
    assert abs(u[2] - 0.1) > 0.1


def test_holding_inputs_is_the_same_as_blocks() -> None:
    limits = np.full((15, 1), 0.5)
    limits[[2, 4, 5, 6, *range(8, 15)]] = 0.0
    held = shared("pendulum", "hpipm")
    held.reset()
    blocked = converged_hpipm(pendulum(blocks=(1, 2, 4, 1)))
    ours, theirs = held.solve(*START, move_limits=limits), blocked.solve(*START)
    held.reset()
    np.testing.assert_allclose(ours.inputs, theirs.inputs, atol=1e-5)
    assert ours.cost == pytest.approx(theirs.cost, rel=1e-7)


@pytest.mark.parametrize("engine", OTHERS)
def test_the_stages_may_last_differently_in_each_solve(engine: str) -> None:
    problem = pendulum()
    times = np.linspace(0.05, 0.2, 15)
    ours, theirs = both(engine, durations=times)
    assert_same(ours, theirs)
    # the same problem built with a shorter step is the same problem
    short, _ = both(engine, durations=np.full(15, 0.05))
    fresh = IPOPTEngine(pendulum(step=0.05, output_weights=[0.5, 0.05], soft_constraints=()))
    half = pendulum(soft_constraints=())
    again = converged_hpipm(half).solve(*START, durations=np.full(15, 0.05))
    assert again.cost == pytest.approx(fresh.solve(*START).cost, rel=1e-4)
    assert short.usable
    assert len(problem.stages) == len(ours.inputs)


def test_a_plan_is_shifted_by_time_when_the_horizon_shrinks() -> None:
    engine = HPIPMEngine(pendulum(), qp_tolerance=1e-6)
    exact = shared("pendulum", "ipopt")
    state, applied = np.array(START[0]), np.array(START[1])
    follow = RollOut(engine.problem)
    values = np.tile([1.0, 0.0, 0.0], (16, 1))
    for left in range(15, 4, -1):
        times = np.full(15, 0.1 * left / 15)
        answer = engine.solve(state, applied, *START[2:], durations=times, elapsed=left < 15)
        exact.reset()
        best = exact.solve(state, applied, *START[2:], durations=times)
        assert answer.cost == pytest.approx(best.cost, rel=5e-3, abs=1e-4)
        state, applied = follow(state, applied, values, answer.inputs).states[1], answer.inputs[0]
    exact.reset()


@pytest.mark.parametrize("engine", OTHERS)
def test_prices_relax_constraints_by_rank(engine: str) -> None:
    x, u, p = (pendulum().x, pendulum().u, pendulum().p)
    problem = pendulum(
        states=x,
        inputs=u,
        parameters=p,
        dynamics=pendulum_rates(x, u, p),
        outputs=x,
        soft_constraints=[
            SoftConstraint("equipment", x[0], upper=0.5, rank=1),
            SoftConstraint("gain", x[0], lower=0.8, rank=3),
        ],
    )
    engines = [make(problem) for make in (ENGINES["hpipm"], ENGINES[engine])]
    start = ([0.4, 0.0], [0.4], [1.0], [0.9, 0.0])
    for prices, violation in ((None, 0.3), (problem.prices_without(3), 0.0), ([0.0, 1.0], 0.0), ([0.0, 0.0], 0.0)):
        for one in engines:
            one.reset()
        ours, theirs = (one.solve(*start, prices=prices) for one in engines)
        assert_same(ours, theirs)
        if violation:
            assert ours.violation[0] > violation
        else:
            assert ours.violation[0] < 0.5
    np.testing.assert_array_equal(problem.prices_without(3), [1.0, 0.0])
    np.testing.assert_array_equal(problem.prices_without(1), [0.0, 0.0])


def pendulum_rates(x: Any, u: Any, p: Any) -> Any:
    return casadi.vertcat(x[1], u - p * casadi.sin(x[0]))


def test_a_higher_price_in_one_solve_needs_no_compiler() -> None:
    engine = shared("pendulum", "hpipm")
    cheap, dear = (both("ipopt", prices=[factor])[0].violation[0] for factor in (1e-5, 10.0))
    assert dear < cheap
    assert not HPIPMEngine(pendulum()).compiled
    assert engine.solve(*START).usable


@pytest.mark.parametrize("engine", ENGINES)
def test_arguments_of_the_wrong_shape_are_refused(engine: str) -> None:
    solver = shared("pendulum", engine)
    wrong: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
        (([1.0], *START[1:]), {}),
        ((1.0, *START[1:]), {}),
        ((["one", 2.0], *START[1:]), {}),
        (([[1.0, 2.0], [3.0]], *START[1:]), {}),
        ((START[0], [0.1, 0.2], *START[2:]), {}),
        (START, {"move_limits": [0.1, 0.2]}),
        (START, {"move_limits": [-0.1]}),
        (START, {"durations": [0.1]}),
        (START, {"durations": [0.0] * 15}),
        (START, {"prices": [1.0, 1.0]}),
        (START, {"prices": [-1.0]}),
    ]
    for arguments, terms in wrong:
        with pytest.raises(GalenicError):
            solver.solve(*arguments, **terms)
    for terms in ({"move_limits": [math.nan]}, {"durations": [math.nan] * 15}, {"prices": [math.nan]}):
        assert solver.solve(*START, **terms).status is Status.NOT_FINITE
    with pytest.raises(GalenicError, match="none in the problem"):
        ENGINES[engine](pendulum(move_limits=None)).solve(*START, move_limits=[0.2])


@pytest.mark.parametrize("riccati", [False, True])
def test_a_budget_ends_the_interior_point_method_with_a_plan_within_the_limits(riccati: bool) -> None:
    engine = HPIPMEngine(pendulum(), qp_tolerance=1e-8, riccati=riccati)
    exact = shared("pendulum", "ipopt")
    exact.reset()
    best = exact.solve(*START).cost
    for _ in range(3):
        engine.solve(*START, elapsed=0)
    whole = engine.qp_iterations
    engine.reset()
    answer = engine.solve(*START, budget=0.0)
    assert answer.status is Status.OUT_OF_TIME
    assert engine.qp_iterations < max(whole, 3)
    moves = np.diff(np.r_[[START[1]], answer.inputs], axis=0)
    assert np.abs(moves).max() < 0.5 + 1e-3
    for _ in range(30):  # what one solve leaves the next one takes up
        answer = engine.solve(*START, budget=0.0, elapsed=0)
        assert answer.usable
    assert answer.cost == pytest.approx(best, rel=0.02)


@pytest.mark.parametrize("engine", ["sqpmethod", "ipopt"])
def test_the_other_engines_keep_a_budget_too(engine: str) -> None:
    solver = {"sqpmethod": CasADiEngine, "ipopt": IPOPTEngine}[engine](pendulum(), iterations=50)
    answer = solver.solve(*START, budget=0.0)
    assert answer.status is Status.OUT_OF_TIME
    assert np.isfinite(answer.inputs).all()
    assert answer.iterations <= 1
    assert solver.solve(*START).status is Status.SOLVED


@pytest.mark.parametrize("engine", ENGINES)
def test_an_engine_goes_on_from_a_snapshot_bit_identically(engine: str) -> None:
    make: Any = {"hpipm": HPIPMEngine, "sqpmethod": CasADiEngine, "ipopt": IPOPTEngine}.get(engine)
    make = make or (lambda problem: HPIPMEngine(problem, riccati=True))
    first, second = make(pendulum()), make(pendulum())
    for angle in (1.0, 0.9):
        first.solve([angle, 0.0], *START[1:])
    kept = first.snapshot()
    expected = [first.solve([angle, 0.1], *START[1:]) for angle in (0.8, 0.7)]
    second.solve([-1.0, 0.0], *START[1:])
    second.recall(kept)
    for angle, answer in zip((0.8, 0.7), expected, strict=True):
        np.testing.assert_array_equal(second.solve([angle, 0.1], *START[1:]).inputs, answer.inputs)
    with pytest.raises(GalenicError, match="not of this problem"):
        make(pendulum(grid=(1,) * 3)).recall(kept)


@pytest.mark.parametrize("blocks", [None, (1, 2)])
@pytest.mark.parametrize("unrolled", [0, 12])
def test_many_substeps_are_calls_of_one_function_with_the_same_result(
    blocks: Any, unrolled: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = pendulum(grid=(1, 2, 3), substeps=3, blocks=blocks)
    inline = converged_hpipm(problem).solve(*START)
    monkeypatch.setattr("controllers.optimal_control.stage_functions.CHAINED", 10)
    monkeypatch.setattr("controllers.optimal_control.stage_functions.UNROLLED", unrolled)
    chained = converged_hpipm(problem).solve(*START)
    np.testing.assert_allclose(chained.inputs, inline.inputs, atol=1e-9)
    np.testing.assert_allclose(chained.states, inline.states, atol=1e-9)
    assert chained.cost == pytest.approx(inline.cost, rel=1e-12)
    assert chained.residual < 1e-4


@pytest.mark.parametrize("engine", ENGINES)
def test_an_integrator_of_ones_own_replaces_runge_kutta(engine: str) -> None:
    x, u, p, h = (casadi.SX.sym(name, size) for name, size in (("x", 2), ("u", 1), ("p", 1), ("h", 1)))
    rate = pendulum_rates(x, u, p)
    implicit = casadi.Function(
        "implicit", [x, u, p, h], [x + casadi.solve(casadi.SX.eye(2) - h * casadi.jacobian(rate, x), h * rate)]
    )
    problem = pendulum(integrator=implicit, substeps=1)
    ours, usual = (ENGINES[engine](problem).solve(*START), ENGINES[engine](pendulum(substeps=20)).solve(*START))
    assert ours.status is Status.SOLVED
    state = np.array(implicit(START[0], ours.inputs[0], START[2], 0.1)).ravel()
    np.testing.assert_allclose(ours.states[1], state, atol=1e-9)
    finer = ENGINES[engine](pendulum(integrator=implicit, substeps=20)).solve(*START)
    assert abs(finer.cost / usual.cost - 1.0) < abs(ours.cost / usual.cost - 1.0) / 5


# ---- trees -----------------------------------------------------------------------------------------------------------


def uncertain(**changes: Any) -> OptimalControlProblem:
    return pendulum(**{"scenarios": Scenarios([[0.0], [-0.6], [0.8]], [0.5, 0.2, 0.3]), **changes})


@pytest.mark.parametrize("robust_horizon", [1, 2])
def test_the_tree_in_c_is_solved_to_the_optimum(robust_horizon: int) -> None:
    scenarios = Scenarios([[0.0], [-0.6], [0.8]], [0.5, 0.2, 0.3], robust_horizon)
    problem = uncertain(grid=(1,) * 8, scenarios=scenarios)
    ours, theirs = (make(problem).solve(*START) for make in (converged_hpipm, IPOPTEngine))
    assert_same(ours, theirs)
    assert ours.branches is not None
    assert theirs.branches is not None
    inputs, states = ours.branches
    assert inputs.shape == (3**robust_horizon, 8, 1)
    np.testing.assert_allclose(inputs, theirs.branches[0], atol=2e-3)
    np.testing.assert_allclose(states, theirs.branches[1], atol=2e-3)
    assert np.ptp(inputs[:, 0]) == 0.0  # what is applied now does not know what will be
    assert np.ptp(inputs[:, robust_horizon]) > 1e-3
    rolled = RollOut(problem)
    values = np.tile([1.0, 0.0, 0.0], (9, 1))
    by_node = np.zeros((len(problem.nodes), 1))
    by_node[problem.branches[:, :-1]] = inputs
    assert ours.cost == pytest.approx(rolled(np.array(START[0]), np.array(START[1]), values, by_node).cost, rel=1e-9)


def test_one_scenario_that_changes_nothing_is_the_problem_without() -> None:
    alone = converged_hpipm(pendulum()).solve(*START)
    tree = converged_hpipm(uncertain(scenarios=Scenarios([[0.0]]))).solve(*START)
    np.testing.assert_allclose(tree.inputs, alone.inputs, atol=1e-5)
    assert tree.cost == pytest.approx(alone.cost, rel=1e-7)


def test_equal_scenarios_are_the_problem_without() -> None:
    alone = converged_hpipm(pendulum()).solve(*START)
    tree = converged_hpipm(uncertain(scenarios=Scenarios(np.zeros((3, 1)), [0.2, 0.5, 0.3]))).solve(*START)
    np.testing.assert_allclose(tree.inputs, alone.inputs, atol=1e-4)
    assert tree.cost == pytest.approx(alone.cost, rel=1e-5)


def test_a_probable_scenario_weighs_more() -> None:
    def first(probability: float) -> float:
        pair = Scenarios([[-0.9], [2.0]], [probability, 1.0 - probability])
        return float(converged_hpipm(pendulum(scenarios=pair, soft_constraints=())).solve(*START).inputs[0, 0])

    alone = converged_hpipm(pendulum(soft_constraints=()))
    ends = []
    for offset in (-0.9, 2.0):
        alone.reset()
        ends.append(float(alone.solve(START[0], START[1], [1.0 + offset], START[3]).inputs[0, 0]))
    mixed = [first(share) for share in (0.99, 0.5, 0.01)]
    assert sorted(mixed, reverse=mixed[0] > mixed[-1]) == mixed
    assert abs(mixed[0] - ends[0]) < abs(mixed[-1] - ends[0])


def test_a_tree_follows_the_optimum_with_one_iteration() -> None:
    problem = uncertain()
    fast, exact = HPIPMEngine(problem), IPOPTEngine(problem)
    state, applied = np.array(START[0]), np.array(START[1])
    follow = RollOut(pendulum())
    for _ in range(6):
        answer, best = (e.solve(state, applied, *START[2:]) for e in (fast, exact))
        assert answer.cost == pytest.approx(best.cost, rel=1e-2, abs=1e-4)
        values = np.tile([1.8, 0.0, 0.0], (16, 1))  # the third scenario is the truth
        state, applied = follow(state, applied, values, answer.inputs).states[1], answer.inputs[0]


def test_trees_take_terms_too() -> None:
    problem = uncertain(grid=(1,) * 8)
    limits = np.full((8, 1), 0.3)
    limits[[1, 2, 5]] = 0.0
    terms: dict[str, Any] = {"move_limits": limits, "durations": np.linspace(0.05, 0.15, 8), "prices": [0.5]}
    ours, theirs = (make(problem).solve(*START, **terms) for make in (converged_hpipm, IPOPTEngine))
    assert_same(ours, theirs)


def test_scenarios_that_do_not_fit_are_refused() -> None:
    with pytest.raises(GalenicError, match="sum 1"):
        Scenarios([[0.0], [1.0]], [0.5, 0.4])
    with pytest.raises(GalenicError, match="matrix"):
        Scenarios([0.0, 1.0])
    with pytest.raises(GalenicError, match="there are 1"):
        uncertain(scenarios=Scenarios([[0.0, 1.0]]))
    with pytest.raises(GalenicError, match="chains"):
        CasADiEngine(uncertain())


# ---- collocation -----------------------------------------------------------------------------------------------------


def test_collocation_agrees_with_runge_kutta_within_the_error_of_both() -> None:
    apart = []
    for substeps in (1, 2, 4):
        problem = pendulum(step=0.4, grid=(1,) * 6, substeps=substeps)
        ours, radau = (engine.solve(*START) for engine in (IPOPTEngine(problem), IPOPTEngine(problem, collocation=3)))
        assert ours.status is radau.status is Status.SOLVED
        apart.append(np.abs(ours.inputs - radau.inputs).max())
    assert apart[0] < 2e-2
    assert apart[2] < apart[0] / 20  # order 4, and 5 for the collocation


# ---- local optima ----------------------------------------------------------------------------------------------------


def two_valleys() -> OptimalControlProblem:
    """A bead on a line with a good valley on the right, a bad one on the left, and a price of moves."""
    x, u = casadi.SX.sym("x", 1), casadi.SX.sym("u", 1)
    return OptimalControlProblem(
        states=x,
        inputs=u,
        dynamics=u - x,
        step=0.5,
        grid=(1,) * 8,
        outputs=casadi.vertcat(x**2 - 1.0, 0.3 * (x - 1.0)),
        output_weights=[4.0, 4.0],
        move_weights=[0.01],
        input_bounds=([-1.5], [1.5]),
    )


def test_restarts_leave_a_local_optimum() -> None:
    start = ([-1.0], [-1.0], (), [0.0, 0.0])
    caught = HPIPMEngine(two_valleys(), first_iterations=50)
    freed = HPIPMEngine(two_valleys(), first_iterations=50, restart_every=3)
    for _ in range(12):
        stays, leaves = (engine.solve(*start) for engine in (caught, freed))
        assert stays.usable
        assert leaves.usable
    assert freed.improved >= 1
    assert leaves.cost < 0.9 * stays.cost
    assert leaves.states[-1, 0] > 0.9 > 0.0 > stays.states[-1, 0]
    other = HPIPMEngine(two_valleys(), first_iterations=50, restart_every=3)
    other.solve(*start)
    other.recall(freed.snapshot())
    for _ in range(4):
        assert np.array_equal(other.solve(*start).inputs, freed.solve(*start).inputs)
    hurried = HPIPMEngine(two_valleys(), first_iterations=50, restart_every=1)
    for _ in range(6):
        hurried.solve(*start, budget=1e-7)
    assert hurried.improved == 0


def test_the_tree_of_do_mpc_has_nearly_the_same_first_input() -> None:
    pytest.importorskip("do_mpc", reason="do-mpc is an extra for development")
    case = cases().CASES["bioreactor_tree"]()
    ours = HPIPMEngine(case.problem, first_iterations=50)
    theirs = DoMPCEngine(case.problem)
    first = [e.solve(case.start, case.start_input, [0.0, 0.0], case.references(0)) for e in (ours, theirs)]
    assert all(answer.usable for answer in first)
    apart = np.abs(first[0].inputs[0] - first[1].inputs[0]) / case.problem.input_scale
    assert apart.max() < 0.01
    with pytest.raises(GalenicError, match="equally probable"):
        DoMPCEngine(uncertain(move_limits=None))
