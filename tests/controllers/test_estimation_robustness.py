"""Whatever arrives, an estimator neither raises nor loses its numbers, and says what became of each value."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from estimation_cases import Plant, culture
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from controllers.estimation import Channel, DisturbanceState, ExtendedKalmanFilter, MovingHorizonEstimator, Reason

START, SPREAD, FEED = np.array([15.0, 8.0, 1.0, 0.0]), np.array([1.0, 1.0, 0.2, 0.03]), np.array([0.15])
CHANNELS = [
    Channel("od", 0.1, relative_std=0.01, frozen_after=5, low=0.0),
    Channel("substrate", 0.1),
    Channel("product", 0.01, delay=3, gate=None),
]


def make(kind: str) -> ExtendedKalmanFilter:
    model = culture(DisturbanceState("parameter", "growth_rate_max", 0.005, low=-0.2, high=0.2))
    if kind == "ekf":
        estimator = ExtendedKalmanFilter(model, CHANNELS, memory=8)
    else:
        estimator = MovingHorizonEstimator(model, CHANNELS, horizon=4, memory=8)
    estimator.initialize(START, SPREAD, FEED)
    return estimator


ESTIMATORS = {kind: make(kind) for kind in ("ekf", "mhe")}

anything = st.one_of(
    st.floats(0.0, 40.0), st.floats(allow_nan=True, allow_infinity=True), st.sampled_from([0.0, 1e6, -1e6, 1e300, 25.0])
)
period = st.tuples(
    st.one_of(st.floats(0.0, 1.0), st.sampled_from([math.nan, -math.inf, 1e12, -5.0])),
    st.tuples(anything, anything, anything),
    st.tuples(st.booleans(), st.booleans(), st.booleans()),
    st.tuples(*[st.one_of(st.none(), st.integers(-2, 12))] * 3),
)


@pytest.mark.parametrize("kind", ["ekf", "mhe"])
@settings(
    max_examples=50, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.explicit, Phase.generate]
)
@given(periods=st.lists(period, min_size=1, max_size=20))
def test_any_sequence_of_measurements_and_inputs_leaves_a_finite_estimate_in_bounds(kind: str, periods: list) -> None:
    e = ESTIMATORS[kind]
    e.initialize(START, SPREAD, FEED)
    for feed, values, fresh, ages in periods:
        e.predict(np.array([feed]))
        reasons = e.correct(np.array(values), fresh, ages)
        assert len(reasons) == 3
        for value, new, reason in zip(values, fresh, reasons, strict=True):
            assert isinstance(reason, Reason)
            assert (reason is Reason.NOT_FRESH) == (not new)
            if new:
                assert (reason is Reason.NOT_FINITE) == (not math.isfinite(value))
        assert np.isfinite(e.state).all()
        assert (e.state >= e.model.low).all()
        assert (e.state <= e.model.high).all()
        assert np.isfinite(e.covariance).all()
        scale = 1.0 / np.sqrt(np.maximum(e.covariance.diagonal(), 1e-300))
        assert np.linalg.eigvalsh(e.covariance * np.outer(scale, scale)).min() > -1e-6
        assert np.isfinite(e.outputs).all()


@pytest.mark.parametrize(("kind", "steps"), [("ekf", 5000), ("mhe", 500)])
def test_a_long_run_with_faults_of_all_kinds_stays_near_the_plant(kind: str, steps: int) -> None:
    """Outliers, NaN, a frozen probe, laboratory values up to nine periods late; none of it takes the estimate away."""
    e = make(kind)
    plant, rng = Plant(e.model, START + 0.5 * SPREAD, 3), np.random.default_rng(4)
    told: dict[Reason, int] = dict.fromkeys(Reason, 0)
    waiting: list[tuple[int, int, float]] = []
    ratios, frozen = [], 0.0
    for k in range(1, steps + 1):
        plant.state[3] *= 0.98  # the walk of the disturbance is held near zero
        plant.step(FEED)
        y = plant.outputs(FEED)
        seen = y + (0.1 + np.array([0.01, 0.0, 0.0]) * np.abs(y)) * np.array([1.0, 1.0, 0.1]) * rng.normal(size=3)
        if rng.random() < 0.03:
            seen[rng.integers(2)] = rng.choice([math.nan, math.inf, 0.0, 500.0, -1e9])
        frozen = seen[0] if k % 200 == 150 or not math.isfinite(frozen) else frozen
        if 150 <= k % 200 < 175:
            seen[0] = frozen
        if k % 12 == 0:
            waiting.append((k + int(rng.integers(1, 10)), k, float(seen[2])))
        e.predict(FEED)
        for r in e.correct(seen, [True, rng.random() < 0.5, False])[:2]:
            told[r] += 1
        for arrival, sampled, value in [w for w in waiting if w[0] == k]:
            told[e.correct(np.array([0.0, 0.0, value]), [False, False, True], [None, None, arrival - sampled])[2]] += 1
        if k > 50:
            ratios.append((plant.state - e.state) / np.sqrt(e.covariance.diagonal()))
    for reason in (Reason.OUTLIER, Reason.NOT_FINITE, Reason.OUT_OF_RANGE, Reason.FROZEN, Reason.TOO_OLD):
        assert told[reason] > 0, reason
    assert told[Reason.USED] > 0.9 * sum(told[r] for r in (Reason.USED, Reason.OUTLIER, Reason.REOPENED))
    assert np.median(np.abs(ratios), axis=0).max() < 1.5


def test_a_period_of_the_filter_takes_well_under_a_millisecond() -> None:
    e = make("ekf")
    values, times = np.array([25.0, 8.0, 1.0]), []
    for _ in range(500):
        began = time.process_time_ns()
        e.predict(FEED)
        e.correct(values + 0.01, [True, True, False])
        times.append(time.process_time_ns() - began)
    assert np.median(times) < 1e6
