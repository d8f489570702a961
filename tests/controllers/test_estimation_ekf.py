from __future__ import annotations

import copy
import math

import numpy as np
import pytest
from estimation_cases import NOISE, A, B, C, Plant, culture, linear, linear_process, reaction

from controllers.estimation import Channel, DisturbanceState, EstimationModel, ExtendedKalmanFilter, Reason
from controllers.estimation.bounds import project
from controllers.estimation.consistency import check_detectable, consistency_bounds, normalized_error_squared
from fmus.errors import GalenicError

STD = np.array([0.3, 0.2])
START, FEED = np.array([15.0, 8.0, 1.0, 0.0]), np.array([0.15])  # of the culture


def channels(**options: object) -> list[Channel]:
    return [Channel(f"y{i}", float(STD[i]), **{"gate": None, **options}) for i in range(2)]


def series(steps: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and measurements of the linear plant."""
    rng = np.random.default_rng(seed)
    plant = Plant(linear(), np.zeros(3), seed)
    inputs, values = rng.normal(size=(steps, 1)), np.empty((steps, 2))
    for k, u in enumerate(inputs):
        plant.step(u)
        values[k] = plant.outputs(u) + STD * rng.normal(size=2)
    return inputs, values


def test_on_a_linear_model_it_is_the_kalman_filter() -> None:
    ekf = ExtendedKalmanFilter(linear(), channels())
    ekf.initialize(np.ones(3), np.array([1.0, 2.0, 3.0]), np.zeros(1))
    x, p = np.ones(3), np.diag([1.0, 4.0, 9.0])
    q, r = np.diag(NOISE**2), np.diag(STD**2)
    for u, y in zip(*series(200), strict=True):
        x, p = A @ x + B @ u, A @ p @ A.T + q
        gain = np.linalg.solve(C @ p @ C.T + r, C @ p).T
        x, p = x + gain @ (y - C @ x), (np.eye(3) - gain @ C) @ p
        ekf.predict(u)
        assert ekf.correct(y) == [Reason.USED, Reason.USED]
        np.testing.assert_allclose(ekf.state, x, rtol=0, atol=1e-10)
        np.testing.assert_allclose(ekf.covariance, p, rtol=0, atol=1e-10)


def test_its_errors_are_as_large_as_it_says() -> None:
    """NEES and NIS of 40 runs over 30 h of a culture lie within their 99.9 % bounds."""
    model = culture(DisturbanceState("parameter", "growth_rate_max", 0.005))
    runs, steps = 40, 30
    start, spread = START, np.array([0.1, 0.3, 0.05, 0.03])
    measured = [Channel("od", 0.05, gate=None), Channel("substrate", 0.1, gate=None)]
    nees, nis = np.empty((runs, steps)), np.empty((runs, steps))
    u = FEED
    for run in range(runs):
        rng = np.random.default_rng(1000 + run)
        plant = Plant(model, start + spread * rng.normal(size=4), run)
        ekf = ExtendedKalmanFilter(model, measured)
        ekf.initialize(start, spread, u)
        for k in range(steps):
            plant.step(u)
            ekf.predict(u)
            ekf.correct(plant.outputs(u)[:2] + np.array([0.05, 0.1]) * rng.normal(size=2))
            nees[run, k] = normalized_error_squared(plant.state - ekf.state, ekf.covariance)
            nis[run, k] = ekf.nis[0]
            assert ekf.nis[1] == 2
    for values, degrees in ((nees, 4), (nis, 2)):
        low, high = consistency_bounds(degrees, runs, 0.999)
        inside = (low < values.mean(axis=0)) & (values.mean(axis=0) < high)
        assert inside.mean() >= 0.95, (degrees, values.mean(axis=0))
    low, high = consistency_bounds(2, runs * steps, 0.999)  # innovations are independent in time
    assert low < nis.mean() < high


def test_a_filter_that_is_told_too_little_noise_is_inconsistent() -> None:
    """So the test above can fail."""
    wrong = EstimationModel(linear_process(A, B, C, 0.3 * NOISE))
    ekf = ExtendedKalmanFilter(wrong, channels())
    ekf.initialize(np.zeros(3), np.ones(3), np.zeros(1))
    total, inputs_values = 0.0, zip(*series(400), strict=True)
    for u, y in inputs_values:
        ekf.predict(u)
        ekf.correct(y)
        total += ekf.nis[0]
    assert total / 400 > consistency_bounds(2, 400, 0.999)[1]


@pytest.mark.parametrize("age", [1, 5, 20])
@pytest.mark.parametrize("gate", [None, 0.99])
def test_a_late_value_counts_as_if_it_had_come_in_time(age: int, gate: float | None) -> None:
    """A nonlinear model; product comes from the laboratory every 6 h, ``age`` hours late."""
    model = culture(DisturbanceState("parameter", "growth_rate_max", 0.005))
    measured = [
        Channel("od", 0.05, gate=gate),
        Channel("substrate", 0.1, gate=gate),
        Channel("product", 0.01, gate=gate),
    ]
    start, spread, u = START, np.array([0.3, 0.5, 0.05, 0.05]), FEED
    prompt, late = (ExtendedKalmanFilter(model, measured, memory=20) for _ in range(2))
    plant, rng = Plant(model, start + spread, 3), np.random.default_rng(4)
    for estimator in (prompt, late):
        estimator.initialize(start, spread, u)
    waiting: dict[int, float] = {}
    compared = 0
    for k in range(1, 61):
        plant.step(u)
        y = plant.outputs(u) + np.array([0.05, 0.1, 0.01]) * rng.normal(size=3) * (10.0 if k % 7 == 0 else 1.0)
        sampled = k % 6 == 0
        prompt.predict(u)
        prompt.correct(y, [True, True, sampled])
        late.predict(u)
        late.correct(y, [True, True, False])
        if sampled:
            waiting[k] = y[2]
        if k - age in waiting:
            reasons = late.correct(np.array([0.0, 0.0, waiting.pop(k - age)]), [False, False, True], [None, None, age])
            assert reasons[:2] == [Reason.NOT_FRESH] * 2
        if not waiting:
            np.testing.assert_allclose(late.state, prompt.state, rtol=0, atol=1e-9)
            np.testing.assert_allclose(late.covariance, prompt.covariance, rtol=0, atol=1e-9)
            compared += 1
    assert compared >= 5 if age < 20 else compared >= 1


def test_a_channel_that_is_always_late_states_its_delay_once() -> None:
    inputs, values = series(60)
    prompt = ExtendedKalmanFilter(linear(), channels())
    late = ExtendedKalmanFilter(linear(), [channels()[0], Channel("y1", float(STD[1]), gate=None, delay=4)])
    for e in (prompt, late):
        e.initialize(np.zeros(3), np.ones(3), np.zeros(1))
    for k, (u, y) in enumerate(zip(inputs, values, strict=True)):
        prompt.predict(u)
        prompt.correct(y)
        late.predict(u)
        late.correct(np.array([y[0], values[k - 4, 1] if k >= 4 else 0.0]), [True, k >= 4])
    for k in range(4):  # and what is still on its way
        reasons = late.correct(np.array([0.0, values[56 + k, 1]]), [False, True], [None, 3 - k])
        assert reasons[1] is Reason.USED
    np.testing.assert_allclose(late.state, prompt.state, rtol=0, atol=1e-10)


def test_a_corrected_laboratory_value_replaces_the_first_one() -> None:
    once, twice = (ExtendedKalmanFilter(linear(), channels(), memory=8) for _ in range(2))
    inputs, values = series(10)
    for e in (once, twice):
        e.initialize(np.zeros(3), np.ones(3), np.zeros(1))
    for k, (u, y) in enumerate(zip(inputs, values, strict=True)):
        once.predict(u)
        once.correct(y)
        twice.predict(u)
        twice.correct(y + (np.array([0.0, 3.0]) if k == 5 else 0.0))
    assert abs(once.state - twice.state).max() > 1e-3
    twice.correct(np.array([0.0, values[5, 1]]), [False, True], [None, 4])
    np.testing.assert_allclose(twice.state, once.state, rtol=0, atol=1e-12)


def test_a_value_older_than_the_memory_or_the_start_is_told_so() -> None:
    e = ExtendedKalmanFilter(linear(), channels(), memory=3)
    e.initialize(np.zeros(3), np.ones(3), np.zeros(1))
    assert e.correct(np.zeros(2), None, [None, 1]) == [Reason.USED, Reason.TOO_OLD]
    for _ in range(10):
        e.predict(np.zeros(1))
    assert e.correct(np.zeros(2), None, [3, 4]) == [Reason.USED, Reason.TOO_OLD]


def test_the_dead_time_of_an_input_is_waited_for() -> None:
    inputs, _ = series(40)
    e = ExtendedKalmanFilter(linear(), channels(), input_delays=[3])
    e.initialize(np.zeros(3), np.zeros(3), np.zeros(1))
    x = np.zeros(3)
    for k, u in enumerate(inputs):
        e.predict(u)
        x = A @ x + B @ (inputs[k - 3] if k >= 3 else np.zeros(1))
        np.testing.assert_allclose(e.state, x, atol=1e-12)


def test_memory_does_not_grow() -> None:
    e = ExtendedKalmanFilter(linear(), channels(), memory=5)
    e.initialize(np.zeros(3), np.ones(3), np.zeros(1))
    inputs, values = series(50)
    sizes = set()
    for u, y in zip(inputs, values, strict=True):
        e.predict(u)
        e.correct(y)
        sizes.add(sum(np.asarray(v).nbytes for v in e.snapshot()["history"].values()))
    assert len(sizes) == 1


def test_an_input_disturbance_and_a_drifting_probe_are_found_without_offset() -> None:
    disturbances = (DisturbanceState("input", "u0", 0.05), DisturbanceState("output", "y1", 0.05))
    model = EstimationModel(linear_process(A, B, C, NOISE), disturbances)
    measured = channels()
    check_detectable(model, measured, np.zeros(5), np.zeros(1))
    e = ExtendedKalmanFilter(model, measured)
    e.initialize(np.zeros(3), np.ones(5), np.zeros(1))
    x, u = np.zeros(3), np.array([0.4])
    for _ in range(3000):
        x = A @ x + B @ (u + 0.7)
        e.predict(u)
        e.correct(C @ x + np.array([0.0, -0.3]))
    np.testing.assert_allclose(e.state[3:], [0.7, -0.3], atol=1e-6)
    np.testing.assert_allclose(e.state[:3], x, atol=1e-6)


def test_what_is_not_measured_is_soft_sensed_with_its_uncertainty() -> None:
    """Product, from optical density and substrate alone; the truth lies within three of the stated deviations."""
    model = culture(DisturbanceState("parameter", "growth_rate_max", 0.005))
    e = ExtendedKalmanFilter(model, [Channel("od", 0.05), Channel("substrate", 0.1)])
    start, spread, u = START, np.array([0.3, 0.5, 0.2, 0.05]), FEED
    e.initialize(start, spread, u)
    plant, rng = Plant(model, start + np.array([0.2, -0.3, 0.1, 0.04]), 8), np.random.default_rng(9)
    z = []
    for _ in range(48):
        plant.step(u)
        e.predict(u)
        e.correct(plant.outputs(u)[:2] + np.array([0.05, 0.1]) * rng.normal(size=2))
        z.append((plant.outputs(u)[2] - e.outputs[2]) / e.outputs_std[2])
    assert np.abs(z).max() < 3.0
    assert e.outputs_std[2] < 0.1  # it began at 0.2
    assert e.state[3] == pytest.approx(plant.state[3], abs=3.0 * math.sqrt(e.covariance[3, 3]))


def test_disturbances_that_cannot_be_told_apart_are_refused_by_name() -> None:
    model = EstimationModel(
        linear_process(A, B, C, NOISE), [DisturbanceState("output", "y0", 0.1), DisturbanceState("input", "u0", 0.1)]
    )
    with pytest.raises(GalenicError, match=r"output\.y0"):
        check_detectable(model, channels()[:1], np.zeros(5), np.zeros(1))


def test_the_gate_leaves_out_an_outlier_and_gives_way_to_a_new_level() -> None:
    e = ExtendedKalmanFilter(linear(), channels(gate=0.9999))
    e.initialize(np.zeros(3), np.ones(3), np.zeros(1))
    for _ in range(100):
        e.predict(np.zeros(1))
        e.correct(np.zeros(2))
    before = e.state.copy()
    assert e.correct(np.array([20.0, 0.0])) == [Reason.OUTLIER, Reason.USED]
    np.testing.assert_allclose(e.state, before, atol=1e-12)
    told = []
    for _ in range(8):
        e.predict(np.zeros(1))
        told.append(e.correct(np.array([20.0, 0.0]))[0])
    assert told[:2] == [Reason.OUTLIER] * 2
    assert told[2] is Reason.REOPENED
    assert Reason.OUTLIER not in told[3:5]
    assert e.outputs[0] > 15.0


def test_a_value_that_is_no_measurement_changes_nothing_and_is_told() -> None:
    measured = [Channel("y0", 0.3, low=-5.0, high=5.0), Channel("y1", 0.2, frozen_after=3)]
    e = ExtendedKalmanFilter(linear(), measured)
    e.initialize(np.zeros(3), np.ones(3), np.zeros(1))
    before = copy.deepcopy(e.snapshot())
    assert e.correct(np.array([math.nan, math.inf])) == [Reason.NOT_FINITE] * 2
    assert e.correct(np.array([5.1, 1e30])) == [Reason.OUT_OF_RANGE] * 2
    assert e.correct(np.array([0.0, 0.0]), [False, False]) == [Reason.NOT_FRESH] * 2
    np.testing.assert_array_equal(e.state, before["state"])
    np.testing.assert_array_equal(e.covariance, before["covariance"])
    told = []
    for _ in range(4):
        e.predict(np.zeros(1))
        told.append(e.correct(np.array([0.0, 0.125]), [False, True])[1])
    assert told == [Reason.USED, Reason.USED, Reason.FROZEN, Reason.FROZEN]


def test_an_input_that_is_not_finite_counts_as_the_last_one_and_is_told() -> None:
    e, other = (ExtendedKalmanFilter(linear(), channels()) for _ in range(2))
    for f in (e, other):
        f.initialize(np.zeros(3), np.ones(3), np.array([0.5]))
    assert not e.predict(np.array([math.nan]))
    assert other.predict(np.array([0.5]))
    np.testing.assert_array_equal(e.state, other.state)


def test_where_the_model_has_no_finite_answer_the_estimate_stays_and_grows_uncertain() -> None:
    e = ExtendedKalmanFilter(culture(), [Channel("od", 0.1)])
    e.initialize(START[:3], np.ones(3), FEED)
    for feed in (1e200, 1e12):
        before = e.covariance.copy()
        assert not e.predict(np.array([feed]))
        np.testing.assert_array_equal(e.state, START[:3])
        assert (np.diag(e.covariance) > np.diag(before)).all()
    assert e.predict(FEED)


def test_a_start_without_a_sensible_nominal_is_refused() -> None:
    e = ExtendedKalmanFilter(reaction(), [Channel("pressure", 0.1)])
    with pytest.raises(GalenicError, match=r"start of 'b'.*nominal"):
        e.initialize(np.array([1.0, 1e7]), np.ones(2), np.zeros(0))


def test_estimates_stay_within_bounds_where_an_unbounded_filter_leaves_them() -> None:
    """2 A -> B with a wrong start: the unbounded filter finds a negative pressure (Haseltine & Rawlings 2005)."""
    lowest = {}
    for low in (0.0, -math.inf):
        model = reaction(low=low)
        plant, rng = Plant(reaction(), np.array([3.0, 1.0]), 1), np.random.default_rng(2)
        e = ExtendedKalmanFilter(model, [Channel("pressure", 0.1, gate=None)])
        e.initialize(np.array([0.1, 4.5]), np.array([6.0, 6.0]), np.zeros(0))
        states = []
        for _ in range(100):
            e.correct(plant.outputs(np.zeros(0))[:1] + 0.1 * rng.normal(size=1))
            states.append(e.state.copy())
            plant.step(np.zeros(0))
            e.predict(np.zeros(0))
            states.append(e.state.copy())
        lowest[low] = np.min(states)
    assert lowest[0.0] >= 0.0
    assert lowest[-math.inf] < -0.1


def test_the_projection_is_the_most_likely_point_within_bounds() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        root = rng.normal(size=(3, 3))
        p, s = root @ root.T + 0.01 * np.eye(3), 2.0 * rng.normal(size=3)
        low, high = -rng.uniform(0.1, 1.0, 3), rng.uniform(0.1, 1.0, 3)
        x = project(s, p, low, high)
        assert ((x >= low) & (x <= high)).all()
        gradient = np.linalg.solve(p, x - s)  # optimal: zero inside, pointing out of the box at its bounds
        for i in range(3):
            if low[i] < x[i] < high[i]:
                assert abs(gradient[i]) < 1e-6 * max(1.0, np.abs(gradient).max())
            else:
                assert gradient[i] * (1.0 if x[i] == low[i] else -1.0) >= -1e-6 * max(1.0, np.abs(gradient).max())


def test_a_recalled_snapshot_goes_on_bit_identically() -> None:
    model = culture(DisturbanceState("parameter", "growth_rate_max", 0.005))
    measured = [Channel("od", 0.05), Channel("substrate", 0.1, frozen_after=4), Channel("product", 0.01, delay=6)]
    u, rng = FEED, np.random.default_rng(1)
    values = rng.normal(size=(60, 3)) * 0.2 + np.array([25.0, 8.0, 1.0])

    def run(e: ExtendedKalmanFilter, rows: np.ndarray) -> None:
        for y in rows:
            e.predict(u)
            e.correct(y)

    first, second = (ExtendedKalmanFilter(model, measured) for _ in range(2))
    first.initialize(START[:3], np.ones(4), u)
    run(first, values[:30])
    kept = copy.deepcopy(first.snapshot())
    run(first, values[30:])
    second.recall(kept)
    run(second, values[30:])
    np.testing.assert_array_equal(first.state, second.state)
    np.testing.assert_array_equal(first.covariance, second.covariance)


@pytest.mark.parametrize(
    ("channel", "message"),
    [
        (Channel("z", 0.1), "no output 'z'"),
        (Channel("y0", 0.0), "out of range"),
        (Channel("y0", 0.1, gate=1.5), "gate"),
    ],
)
def test_a_channel_that_makes_no_sense_is_refused(channel: Channel, message: str) -> None:
    with pytest.raises(GalenicError, match=message):
        ExtendedKalmanFilter(linear(), [channel])
