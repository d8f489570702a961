from __future__ import annotations

import copy
import math

import numpy as np
import pytest
from estimation_cases import Plant, culture, linear, reaction

from controllers.estimation import Channel, DisturbanceState, ExtendedKalmanFilter, MovingHorizonEstimator, Reason
from controllers.estimation.window import Engine
from fmus.errors import GalenicError

NONE = np.zeros(0)
STD = np.array([0.3, 0.2])
START, SPREAD, FEED = np.array([15.0, 8.0, 1.0, 0.0]), np.array([1.0, 1.0, 0.2, 0.03]), np.array([0.15])


def channels() -> list[Channel]:
    return [Channel(f"y{i}", float(STD[i]), gate=None) for i in range(2)]


def culture_channels(gate: float | None = None) -> list[Channel]:
    return [Channel("od", 0.1, gate=gate), Channel("substrate", 0.1, gate=gate), Channel("product", 0.01, gate=gate)]


def wandering() -> DisturbanceState:
    return DisturbanceState("parameter", "growth_rate_max", 0.005)


@pytest.mark.parametrize("engine", ["qrqp", "hpipm"])
def test_on_a_linear_model_without_bounds_it_is_the_kalman_filter(engine: Engine) -> None:
    """Whatever the window holds, before it is full and after."""
    mhe = MovingHorizonEstimator(linear(), channels(), horizon=5, engine=engine)
    ekf = ExtendedKalmanFilter(linear(), channels())
    plant, rng = Plant(linear(), np.zeros(3), 0), np.random.default_rng(0)
    for e in (mhe, ekf):
        e.initialize(np.ones(3), np.array([1.0, 2.0, 3.0]), np.zeros(1))
    for _ in range(40):
        u = rng.normal(size=1)
        plant.step(u)
        y = plant.outputs(u) + STD * rng.normal(size=2)
        for e in (mhe, ekf):
            e.predict(u)
            e.correct(y)
        assert mhe.solved
        np.testing.assert_allclose(mhe.state, ekf.state, rtol=0, atol=1e-7)
        np.testing.assert_allclose(mhe.covariance, ekf.covariance, rtol=0, atol=1e-10)


def test_the_whole_path_stays_within_bounds_and_finds_what_the_filter_does_not() -> None:
    """2 A -> B from a start that is far off: pressure alone, a batch, ten periods in the window."""
    measured = [Channel("pressure", 0.1, gate=None)]
    mhe = MovingHorizonEstimator(reaction(), measured, horizon=10)
    ekf = ExtendedKalmanFilter(reaction(low=-math.inf), measured)
    plant, rng = Plant(reaction(), np.array([3.0, 1.0]), 1), np.random.default_rng(2)
    for e in (mhe, ekf):
        e.initialize(np.array([0.1, 4.5]), np.array([6.0, 6.0]), NONE)
    errors: dict[str, list[float]] = {"mhe": [], "ekf": []}
    for _ in range(100):
        y = plant.outputs(NONE)[:1] + 0.1 * rng.normal(size=1)
        for name, e in (("mhe", mhe), ("ekf", ekf)):
            e.correct(y)
            errors[name].append(float(np.abs(e.state - plant.state).max()))
        assert mhe.solved
        assert (mhe.path >= 0.0).all()
        assert len(mhe.path) == min(10, mhe.now) + 1
        plant.step(NONE)
        for e in (mhe, ekf):
            e.predict(NONE)
    assert np.mean(errors["mhe"][20:]) < 0.2
    assert np.mean(errors["mhe"][20:]) < 0.5 * np.mean(errors["ekf"][20:])


@pytest.mark.parametrize("age", [1, 4, 8])
def test_a_late_value_inside_the_window_counts_as_if_it_had_come_in_time(age: int) -> None:
    prompt, late = (MovingHorizonEstimator(culture(wandering()), culture_channels(), horizon=8) for _ in range(2))
    plant, rng = Plant(culture(wandering()), START + SPREAD, 3), np.random.default_rng(4)
    for e in (prompt, late):
        e.initialize(START, SPREAD, FEED)
    for k in range(1, 21):
        plant.step(FEED)
        y = plant.outputs(FEED) + np.array([0.1, 0.1, 0.01]) * rng.normal(size=3)
        if k == 12:
            sample = y[2]
        for e in (prompt, late):
            e.predict(FEED)
        prompt.correct(y, [True, True, k == 12])
        late.correct(y, [True, True, False])
        if k == 12 + age:
            assert abs(late.state - prompt.state).max() > 1e-4
            told = late.correct(np.array([0.0, 0.0, sample]), [False, False, True], [None, None, age])
            assert told[2] is Reason.USED
            np.testing.assert_allclose(late.state, prompt.state, rtol=0, atol=1e-6)


def test_a_value_older_than_the_window_moves_the_arrival_cost() -> None:
    mhe = MovingHorizonEstimator(linear(), channels(), horizon=4, memory=12)
    ekf = ExtendedKalmanFilter(linear(), channels(), memory=12)
    rng = np.random.default_rng(5)
    for e in (mhe, ekf):
        e.initialize(np.zeros(3), np.ones(3), np.zeros(1))
    for _ in range(20):
        y = rng.normal(size=2)
        for e in (mhe, ekf):
            e.predict(np.zeros(1))
            e.correct(y)
    for e in (mhe, ekf):
        assert e.correct(np.array([3.0, 0.0]), [True, False], [10, None])[0] is Reason.USED
    np.testing.assert_allclose(mhe.state, ekf.state, rtol=0, atol=1e-7)


def test_the_engines_agree() -> None:
    estimates = {}
    for engine in ("qrqp", "hpipm", "ipopt"):
        mhe = MovingHorizonEstimator(culture(wandering()), culture_channels(), horizon=6, engine=engine)
        plant, rng = Plant(culture(wandering()), START + SPREAD, 3), np.random.default_rng(4)
        mhe.initialize(START, SPREAD, FEED)
        for _ in range(12):
            plant.step(FEED)
            mhe.predict(FEED)
            mhe.correct(plant.outputs(FEED) + np.array([0.1, 0.1, 0.01]) * rng.normal(size=3))
            assert mhe.solved
        estimates[engine] = mhe.state
    np.testing.assert_allclose(estimates["hpipm"], estimates["qrqp"], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(estimates["ipopt"], estimates["qrqp"], rtol=1e-5, atol=1e-6)


def test_without_a_solution_the_filters_estimate_stands() -> None:
    measured = [Channel("pressure", 0.1, gate=None)]
    mhe = MovingHorizonEstimator(reaction(), measured, horizon=5, iterations=1)
    ekf = ExtendedKalmanFilter(reaction(), measured)
    for e in (mhe, ekf):
        e.initialize(np.array([0.1, 4.5]), np.array([6.0, 6.0]), NONE)
        e.correct(np.array([4.0]))
        e.predict(NONE)
        e.correct(np.array([9.0]))
    assert not mhe.solved
    assert mhe.failures > 0
    np.testing.assert_array_equal(mhe.state, ekf.state)


def test_an_unknown_parameter_is_found_without_offset() -> None:
    """The plant's growth rate is 10 % above the model's; noise-free measurements."""
    mhe = MovingHorizonEstimator(culture(wandering()), culture_channels(gate=0.9999), horizon=8)
    mhe.initialize(START, SPREAD, FEED)
    true = culture(DisturbanceState("parameter", "growth_rate_max", 0.0))
    x = np.array([15.0, 8.0, 1.0, 0.03])
    for _ in range(150):
        x = true.step(x, FEED).full().ravel()
        mhe.predict(FEED)
        mhe.correct(true.measure(x, FEED).full().ravel())
    np.testing.assert_allclose(mhe.state, x, rtol=1e-5)


def test_a_recalled_snapshot_goes_on_bit_identically() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(size=(40, 3)) * 0.2 + np.array([25.0, 8.0, 1.0])
    first, second = (MovingHorizonEstimator(culture(wandering()), culture_channels(), horizon=6) for _ in range(2))
    first.initialize(START, SPREAD, FEED)
    for e, rows in ((first, values[:20]), (first, values[20:]), (second, values[20:])):
        for y in rows:
            e.predict(FEED)
            e.correct(y)
        if e is first and rows is not values[20:] and second.now == 0:
            second.recall(copy.deepcopy(first.snapshot()))
    np.testing.assert_array_equal(first.state, second.state)
    np.testing.assert_array_equal(first.path, second.path)


def test_a_window_of_nothing_or_an_unknown_engine_is_refused() -> None:
    with pytest.raises(GalenicError, match="horizon"):
        MovingHorizonEstimator(linear(), channels(), horizon=0)
    with pytest.raises(GalenicError, match="engine"):
        MovingHorizonEstimator(linear(), channels(), horizon=3, engine="gurobi")  # type: ignore[arg-type]
