"""The nonlinear law in closed loop with plants that differ from its model."""

from __future__ import annotations

import math
from typing import Any

import casadi as ca
import numpy as np
import pytest
from estimation_cases import HOUR, culture

from controllers.estimation import Channel, DisturbanceState, Output, Process, Reason, State
from controllers.nonlinear.law import LawOptions, NonlinearLaw
from controllers.nonlinear.specification import (
    Batch,
    Branch,
    Controlled,
    EconomicTerm,
    Manipulated,
    ScenarioTree,
    Specification,
)
from controllers.operation.law import ControlLaw, Outcome, Plan

PLANT = [0.27, 0.45]  # maximum growth rate and yield; the model has 0.3 and 0.5
FEED = Manipulated("feed", (0.05, 0.28), 0.1, "1/h", max_move=0.03, weight_move=0.05)
PROBES = [Channel("substrate", 0.05), Channel("od", 0.3)]


def chemostat(manipulated: Manipulated = FEED, **options: Any) -> NonlinearLaw:
    specification = Specification((Controlled("substrate", 2.0),), (manipulated,))
    return NonlinearLaw(culture().process, specification, PROBES, options=LawOptions(grid=[1] * 12, **options))


def run(
    law: NonlinearLaw, periods: int, reference: float, *, noise: float = 0.0, seed: int = 0, start: Any = None
) -> tuple[np.ndarray, np.ndarray]:
    """Outputs and inputs of every period of a plant that grows slower and yields less."""
    process, rng = law.model.process, np.random.default_rng(seed)
    u, x = np.array([0.15]), np.array([22.5, 5.0, 2.25]) if start is None else start
    law.initialize(0.0, u)
    outputs, inputs = [], []
    for k in range(periods):
        if k:
            assert law.predict(u)
        y = process.measure(x, u, PLANT).full().ravel()
        law.correct(np.array([y[1], y[0]]) + noise * rng.normal(size=2))
        plan = law.solve(k * HOUR, u, np.array([reference]))
        assert plan.usable, plan.message
        u = law.admissible(plan.inputs[0], u)
        outputs.append(y)
        inputs.append(u)
        x = process.step(x, u, PLANT).full().ravel()
    return np.array(outputs), np.array(inputs)


@pytest.mark.parametrize("estimator", ["ekf", "mhe"])
def test_the_output_settles_on_its_reference_whatever_the_mismatch(estimator: str) -> None:
    law = chemostat(estimator=estimator, window=5)
    assert [d.name for d in law.disturbances] == ["output.substrate", "output.od"]
    outputs, inputs = run(law, 80, 2.0)
    assert abs(outputs[-1, 1] - 2.0) < 1e-3
    assert np.abs(np.diff(inputs[:, 0])).max() <= FEED.max_move + 1e-12
    assert law.estimate[:2] == pytest.approx(outputs[-1, :2], abs=1e-3)


@pytest.mark.parametrize("engine", ["riccati", "casadi", "ipopt"])
def test_engines_are_interchangeable(engine: str) -> None:
    """Closed-loop paths by one real-time iteration and by a converged solver."""
    asked, given = run(chemostat(), 25, 2.0)[0], run(chemostat(engine=engine), 25, 2.0)[0]
    np.testing.assert_allclose(asked[:, 1], given[:, 1], atol=0.03)
    assert asked[-1, 1] == pytest.approx(given[-1, 1], abs=2e-3)


def test_do_mpc_can_solve_too() -> None:
    pytest.importorskip("do_mpc", reason="do-mpc is not installed")
    free = Manipulated("feed", (0.05, 0.28), 0.1, "1/h", weight_move=0.05)
    given, asked = (run(chemostat(free, engine=e), 20, 2.0)[0] for e in ("do_mpc", "ipopt"))
    assert given[-1, 1] == pytest.approx(asked[-1, 1], abs=5e-3)


def test_a_reference_beyond_the_bounds_is_approached_and_told() -> None:
    law = chemostat(Manipulated("feed", (0.05, 0.2), 0.1, "1/h", max_move=0.03, weight_move=0.05))
    outputs, inputs = run(law, 30, 40.0)
    plan = law.solve(30 * HOUR, inputs[-1], np.array([40.0]))
    assert inputs[-1, 0] == pytest.approx(0.2, abs=1e-3)
    assert ("feed", "bound", "high") in {(a.name, a.kind, a.side) for a in plan.active}
    assert plan.decisions["target"] == 1.0
    assert outputs[-1, 1] - 0.5 < plan.target_outputs[1] < 25.0


def test_limits_of_a_rank_can_be_left_out() -> None:
    """A limit on the substrate keeps it from its reference until its rank is relaxed."""
    limited = Controlled("substrate", 2.0, limits=(-math.inf, 2.5), rank=3)
    law = NonlinearLaw(culture().process, Specification((limited,), (FEED,)), PROBES, options=LawOptions(grid=[1] * 12))
    run(law, 40, 4.0)
    held = law.solve(40 * HOUR, np.array([0.1]), np.array([4.0]))
    free = law.solve(40 * HOUR, np.array([0.1]), np.array([4.0]), relax=3)
    assert (held.outcome, free.outcome) == (Outcome.SOLVED, Outcome.RELAXED)
    assert held.outputs[-1, 1] < 2.6 < 3.5 < free.outputs[-1, 1]


def test_an_input_with_its_own_period_moves_only_then() -> None:
    law = chemostat(Manipulated("feed", (0.05, 0.28), 0.1, "1/h", max_move=0.05, weight_move=0.05, period=4 * HOUR))
    _, inputs = run(law, 24, 2.0, noise=0.05)
    moved = np.flatnonzero(np.abs(np.diff(inputs[:, 0], prepend=0.15)) > 1e-9)
    assert len(moved) > 3
    assert (moved % 4 == 0).all()


def test_predictions_carry_an_uncertainty_that_holds() -> None:
    """On a plant like the model, one-step predictions are inside two standard deviations about as often as stated."""
    law, process, rng = chemostat(), culture().process, np.random.default_rng(4)
    u, x, inside = np.array([0.15]), np.array([22.5, 5.0, 2.25]), []
    plan: Plan | None = None
    law.initialize(0.0, u)
    nominal = [v for _, v in process.parameters]
    for k in range(150):
        y = process.measure(x, u, nominal).full().ravel()
        if plan is not None:
            law.predict(u)
            inside.append(abs(y[1] - plan.outputs[0, 1]) < 2.0 * plan.outputs_std[0, 1])
        law.correct(np.array([y[1], y[0]]) + np.array([0.05, 0.3]) * rng.normal(size=2))
        plan = law.solve(k * HOUR, u, np.array([4.0]))
        u = plan.inputs[0]
        x = process.step(x, u, nominal).full().ravel() + np.array([0.1, 0.05, 0.005]) * rng.normal(size=3)
        x = np.maximum(x, 0.0)
    assert plan is not None
    assert 0.85 < np.mean(inside) <= 1.0
    assert (np.diff(plan.outputs_std[:, 1]) > -1e-3).all()


def test_roll_out_of_a_plan_is_what_it_predicts() -> None:
    law = chemostat()
    run(law, 10, 2.0)
    plan = law.solve(10 * HOUR, np.array([0.1]), np.array([2.0]))
    np.testing.assert_allclose(law.roll_out(plan.inputs), plan.outputs, rtol=1e-12)


def test_references_come_in_the_order_of_the_outputs() -> None:
    """Whatever the order in which they were asked for; the process has od before substrate."""
    asked = (Controlled("substrate", 2.0), Controlled("od", 30.0, weight=1e-6))
    law = NonlinearLaw(culture().process, Specification(asked, (FEED,)), PROBES, options=LawOptions(grid=[1] * 12))
    law.initialize(0.0, np.array([0.15]))
    for _ in range(4):
        plan = law.solve(0.0, np.array([0.15]), np.array([30.0, 4.0]))
    assert plan.outputs[-1, 1] == pytest.approx(4.0, abs=0.2)


def test_late_values_correct_the_past() -> None:
    """A value five periods old gives the estimate of a law that had it in time."""
    timely, late = chemostat(memory=6), chemostat(memory=6)
    u, nan = np.array([0.12]), math.nan
    for law in (timely, late):
        law.initialize(0.0, u)
    cells, value = timely.estimate[0] + 0.2, timely.estimate[1] + 0.1
    for k in range(8):
        if k:
            timely.predict(u)
            late.predict(u)
        timely.correct(np.array([value if k == 2 else nan, cells]), [k == 2, True])
        late.correct(np.array([nan, cells]), [False, True])
    assert late.correct(np.array([value, nan]), [True, False], [5, None])[0] is Reason.USED
    np.testing.assert_allclose(late.estimate, timely.estimate, rtol=1e-9)
    assert late.correct(np.array([value, nan]), [True, False], [20, None])[0] is Reason.TOO_OLD


def test_two_sensors_of_one_output_share_it() -> None:
    probes = [*PROBES, Channel("substrate", 0.01, delay=2)]
    specification = Specification((Controlled("substrate", 2.0),), (FEED,))
    law = NonlinearLaw(culture().process, specification, probes, options=LawOptions(grid=[1] * 4))
    assert len(law.disturbances) == 2
    law.initialize(0.0, np.array([0.15]))
    for _ in range(3):
        law.predict(np.array([0.15]))
    before = law.estimate_std[1]
    assert law.correct(np.array([math.nan, math.nan, 5.0]), [False, False, True])[2] is Reason.USED
    assert law.estimate_std[1] < before


@pytest.mark.parametrize("engine", ["hpipm", "casadi"])
def test_a_recalled_law_goes_on_bit_identically(engine: str) -> None:
    one, other = chemostat(engine=engine), chemostat(engine=engine)
    outputs, inputs = run(one, 12, 2.0, noise=0.05)
    kept = one.snapshot()

    def onwards(law: NonlinearLaw) -> list[np.ndarray]:
        law.recall(kept)
        u, found = inputs[-1], []
        for k in range(12, 18):
            law.predict(u)
            law.correct(np.array([outputs[-1, 1], outputs[-1, 0]]))
            plan = law.solve(k * HOUR, u, np.array([2.0]))
            u = law.admissible(plan.inputs[0], u)
            found.append(np.r_[u, plan.outputs.ravel(), plan.outputs_std.ravel(), law.estimate])
        return found

    first = onwards(one)
    np.testing.assert_array_equal(onwards(other), first)
    np.testing.assert_array_equal(onwards(one), first)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1e300, -1e300])
def test_no_number_raises_and_the_law_recovers(bad: float) -> None:
    law = chemostat()
    _, inputs = run(law, 5, 2.0)
    u = inputs[-1]
    law.predict(np.array([bad]))
    law.correct(np.array([bad, bad]))
    for previous, reference in ((u, bad), (np.array([bad]), 2.0), (np.array([bad]), bad)):
        plan = law.solve(6 * HOUR, previous, np.array([reference]))
        if plan.usable:
            assert (plan.inputs >= 0.05).all()
            assert (plan.inputs <= 0.28).all()
        law.backup(previous, np.array([reference]))
        assert np.isfinite(law.admissible(np.array([bad]), u)).all()
        assert np.isfinite(law.admissible(u, previous)).all() or not np.isfinite(previous).all() or abs(bad) > 1e10
    law.solve(bad, u, np.array([2.0]))
    law.roll_out(np.full((12, 1), bad))
    law.initialize(bad, np.array([bad]))
    law.initialize(0.0, u)
    assert run(law, 5, 2.0)[1].shape == (5, 1)


def test_the_backup_leads_to_the_target_without_a_solver() -> None:
    law, process = chemostat(), culture().process
    outputs, inputs = run(law, 30, 2.0)
    u, x = inputs[-1], np.array([30.0, outputs[-1, 1], outputs[-1, 2]])
    for _ in range(60):
        law.predict(u)
        y = process.measure(x, u, PLANT).full().ravel()
        law.correct(np.array([y[1], y[0]]))
        backup = law.backup(u, np.array([3.0]))
        assert backup is not None
        u = backup
        x = process.step(x, u, PLANT).full().ravel()
    assert y[1] == pytest.approx(3.0, abs=0.05)


def test_a_scenario_tree_keeps_away_from_limits_that_slower_growth_would_pass() -> None:
    """Slower cells leave more substrate; its limit counts in that scenario too, so that less is fed at once."""
    slower = ScenarioTree((Branch(0.3, (("parameter", "growth_rate_max", -0.045),)),))
    limited = Controlled("substrate", 0.2, tracked=False, limits=(-math.inf, 5.3))
    eager = EconomicTerm("feed", 50.0)
    plans = {}
    for name, tree, engine in (("model", None, "hpipm"), ("tree", slower, "hpipm"), ("again", slower, "ipopt")):
        law = NonlinearLaw(
            culture().process,
            Specification((limited,), (FEED,), (eager,), tree=tree),
            PROBES,
            options=LawOptions(grid=[1] * 8, engine=engine, passes=30, target=False),
        )
        law.initialize(0.0, np.array([0.15]))
        for _ in range(3):
            plans[name] = law.solve(0.0, np.array([0.15]), np.zeros(0))
        assert plans[name].usable
    assert plans["tree"].inputs[0, 0] < plans["model"].inputs[0, 0] - 0.003
    assert plans["tree"].inputs[0, 0] == pytest.approx(plans["again"].inputs[0, 0], abs=1e-3)


def test_it_is_a_control_law() -> None:
    law: ControlLaw = chemostat()
    assert [u.name for u in law.inputs] == ["feed"]
    assert [y.name for y in law.outputs if y.tracked] == ["substrate"]


def decaying(noise: float = 0.0) -> Process:
    """A catalyst c that decays at 2 %/h makes p at the rate c u; u in [0, 1] and every unit of u costs .2 an hour."""
    x, u, p = ca.SX.sym("x", 2), ca.SX.sym("u", 1), ca.SX.sym("p", 1)
    rate = ca.vertcat(-0.02 * p[0] * x[0], x[0] * u[0]) / HOUR
    return Process.continuous(
        HOUR,
        [State("catalyst", nominal=1.0, low=0.0, noise=noise), State("product", nominal=50.0, low=0.0, noise=noise)],
        ["activity"],
        [Output("catalyst"), Output("product", nominal=50.0)],
        ca.Function("rate", [x, u, p], [rate]),
        ca.Function("measure", [x, u, p], [x]),
        [("decay", 1.0)],
    )


def batch(**changes: Any) -> NonlinearLaw:
    lasts = Batch(**({"duration": 40 * HOUR, "min_harvest": 10 * HOUR, "max_harvest": 90 * HOUR} | changes))
    specification = Specification(
        (),
        (Manipulated("activity", (0.0, 1.0), 0.5, weight_move=1e-4),),
        (EconomicTerm("product", 1.0, "end"), EconomicTerm("activity", -0.2)),
        batch=lasts,
    )
    return NonlinearLaw(
        decaying(),
        specification,
        [Channel("catalyst", 0.01), Channel("product", 0.05)],
        [DisturbanceState("parameter", "decay", 0.02)],
        LawOptions(grid=[1] * 10, start=np.array([1.0, 0.0]), start_std=np.array([0.02, 0.01])),
    )


@pytest.mark.parametrize("decay", [1.0, 1.4])
def test_a_batch_is_harvested_when_another_hour_earns_nothing(decay: float) -> None:
    """u = 1 while c > .2; an hour costs .3: the best end is where c - .2 = .3, at ln 2 / (.02 decay) h."""
    law, process = batch(value_per_hour=-0.3), decaying()
    u, x = np.array([1.0]), np.array([1.0, 0.0])
    law.initialize(0.0, u)
    best = math.log(2.0) / (0.02 * decay)
    for k in range(100):
        if k:
            law.predict(u)
        law.correct(x)
        plan = law.solve(k * HOUR, u, np.zeros(0))
        assert plan.usable
        assert plan.ends[-1] <= 90 * HOUR
        if plan.decisions["time_to_harvest"] <= 0.0:
            break
        if k == 10 and decay == 1.0:  # long before the end the plan knows it
            assert plan.decisions["harvest_time"] / HOUR == pytest.approx(best, rel=0.05)
        u = law.admissible(plan.inputs[0], u)
        assert u[0] > 0.98
        x = process.step(x, u, [decay]).full().ravel()
    assert k == pytest.approx(best, abs=2.5)


def test_a_batch_without_a_decision_ends_when_it_has_to() -> None:
    law = batch(min_harvest=None, max_harvest=None)
    law.initialize(0.0, np.array([0.5]))
    for hour in (0.0, 20.0, 39.5, 45.0):
        plan = law.solve(hour * HOUR, np.array([0.5]), np.zeros(0))
        assert plan.usable
        assert plan.ends[-1] == pytest.approx(max((40.0 - hour) * HOUR, 3.6), rel=1e-9)
        assert plan.decisions["time_to_harvest"] == pytest.approx(max(0.0, 40.0 - hour) * HOUR)
    assert law.backup(np.array([0.5]), np.zeros(0)) is None
