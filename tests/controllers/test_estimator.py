from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.linalg import solve_discrete_are

from controllers.linear.disturbance_model import Disturbance, DisturbanceModel, default_disturbances
from controllers.linear.estimator import Estimator, MeasurementModel
from controllers.surrogates.linear_surrogate import LinearSurrogate, SurrogateInput, SurrogateOutput
from fmus.errors import GalenicError


def small(integrating: bool = False) -> LinearSurrogate:
    return LinearSurrogate(
        a=np.diag([0.9, 1.0 if integrating else 0.7]),
        b=np.array([[0.1, 0.0], [0.05, 0.3]]),
        c=np.array([[1.0, 0.5 if not integrating else 0.0], [0.0, 1.0]]),
        d=np.zeros((2, 2)),
        period=10.0,
        inputs=(SurrogateInput("u", "1", 1.0, 0.0, 2.0), SurrogateInput("v", "1", 2.0, 1.0, 3.0)),
        outputs=(SurrogateOutput("y", "1", 5.0), SurrogateOutput("z", "1", 7.0, integrating)),
    )


def estimator(s: LinearSurrogate, *measurements: MeasurementModel, **options: float) -> Estimator:
    models = list(measurements) or [MeasurementModel(0, 0.1), MeasurementModel(1, 0.2)]
    disturbances = DisturbanceModel.build(s, default_disturbances(s, [m.output for m in models]))
    return Estimator(s, disturbances, models, **options)


def simulate(s: LinearSurrogate, steps: int, d: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Inputs, and outputs with constant output disturbances."""
    inputs = s.u0 + np.random.default_rng(seed).normal(size=(steps, 2)) * 0.3
    return inputs, s.predict(inputs) + d


@pytest.mark.parametrize("integrating", [False, True])
def test_the_steady_covariance_solves_the_riccati_equation(integrating: bool) -> None:
    e = estimator(small(integrating))
    f, h = e.transition, e.output_matrix
    expected = solve_discrete_are(f.T, h.T, e.process_covariance, np.diag(e.measurement_variance))
    for _ in range(3000):
        e.correct(np.array([5.0, 7.0]))
        e.predict(np.array([1.0, 2.0]))
    np.testing.assert_allclose(e.covariance, expected, rtol=1e-6, atol=1e-12)


def test_sequential_updates_equal_the_joint_one() -> None:
    e = estimator(small())
    p, h, r = e.covariance.copy(), e.output_matrix, np.diag(e.measurement_variance)
    innovation = np.array([0.3, -0.4])
    gain = p @ h.T @ np.linalg.inv(h @ p @ h.T + r)
    e.correct(np.array([5.0, 7.0]) + innovation)
    np.testing.assert_allclose(e.state, gain @ innovation, atol=1e-12)
    np.testing.assert_allclose(e.covariance, p - gain @ h @ p, atol=1e-12)


def test_output_disturbances_are_found_exactly() -> None:
    s, d = small(), np.array([0.8, -0.5])
    e = estimator(s)
    inputs, outputs = simulate(s, 2000, d)
    for u, y in zip(inputs, outputs, strict=False):
        e.correct(y)
        e.predict(u)
    np.testing.assert_allclose(e.d, d, atol=1e-6)
    np.testing.assert_allclose(e.outputs, outputs[-1], atol=1e-6)


def test_a_late_and_slow_measurement_corrects_the_present() -> None:
    s, d = small(), np.array([0.8, -0.5])
    late = 4
    e = estimator(s, MeasurementModel(0, 0.1, delay=late), MeasurementModel(1, 0.1))
    inputs, outputs = simulate(s, 3000, d)
    for k, u in enumerate(inputs):
        shown = np.array([outputs[max(0, k - late), 0], outputs[k, 1]])
        e.correct(shown, [k % 5 == 0 and k >= late, True])
        e.predict(u)
    np.testing.assert_allclose(e.d, d, atol=1e-5)
    np.testing.assert_allclose(e.outputs, outputs[-1], atol=1e-5)


def test_a_delay_that_is_not_told_gives_a_worse_estimate() -> None:
    s = small()
    late = 6
    errors = []
    for told in (late, 0):
        e = estimator(s, MeasurementModel(0, 0.1, delay=told), MeasurementModel(1, 0.1))
        inputs, outputs = simulate(s, 500, np.zeros(2))
        sum_of_squares = 0.0
        for k, u in enumerate(inputs):
            e.correct(np.array([outputs[max(0, k - late), 0], outputs[k, 1]]))
            sum_of_squares += float((e.outputs[0] - outputs[k, 0]) ** 2)
            e.predict(u)
        errors.append(sum_of_squares)
    assert errors[0] < 0.1 * errors[1]


def test_the_ramp_of_an_integrating_output_is_found() -> None:
    s = small(integrating=True)
    e = estimator(s)
    level = 7.0
    for _ in range(3000):
        e.correct(np.array([5.0, level]))
        e.predict(s.u0)
        level += 0.02
    assert e.d[1] == pytest.approx(0.02, rel=1e-4)
    assert e.outputs[1] == pytest.approx(level, abs=1e-3)


def test_values_that_are_not_finite_or_not_fresh_change_nothing() -> None:
    e = estimator(small())
    before = e.covariance.copy()
    assert e.correct(np.array([math.nan, math.inf])) == [False, False]
    assert e.correct(np.array([99.0, 99.0]), [False, False]) == [False, False]
    assert not e.state.any()
    np.testing.assert_array_equal(e.covariance, before)


def test_the_gate_rejects_an_outlier_but_not_a_new_level() -> None:
    e = estimator(small(), MeasurementModel(0, 0.1, gate=4.0), MeasurementModel(1, 0.2))
    for _ in range(200):
        e.correct(np.array([5.0, 7.0]))
        e.predict(np.array([1.0, 2.0]))
    assert e.correct(np.array([50.0, 7.0])) == [False, True]
    assert e.correct(np.array([5.0, 7.0])) == [True, True]
    used = [e.correct(np.array([9.0, 7.0]))[0] for _ in range(4)]
    assert used == [False, False, False, True]


def test_it_starts_at_rest_under_the_inputs_that_are_in_force() -> None:
    s = small()
    e = estimator(s, MeasurementModel(0, 0.1, delay=2), MeasurementModel(1, 0.2))
    u = np.array([1.5, 1.0])
    e.initialize(u)
    rest = s.predict(np.tile(u, (500, 1)))[-1]
    np.testing.assert_allclose(e.outputs, rest, atol=1e-9)
    e.predict(u)
    np.testing.assert_allclose(e.outputs, rest, atol=1e-9)


@pytest.mark.parametrize(
    ("disturbances", "message"),
    [
        ([Disturbance("output", "y", 1.0), Disturbance("output", "z", 1.0), Disturbance("input", "u", 1.0)], "3 dist"),
        ([Disturbance("output", "y", 1.0), Disturbance("output", "y", 1.0)], "told apart"),
        ([Disturbance("output", "y", 1.0), Disturbance("output", "z", 1.0)], "told apart"),
    ],
)
def test_disturbances_that_cannot_be_told_apart_are_refused(disturbances: list[Disturbance], message: str) -> None:
    # z integrates, so its output disturbance cannot be told from its level
    s = small(integrating=True)
    with pytest.raises(GalenicError, match=message) as error:
        DisturbanceModel.build(s, disturbances).check_detectable(s, [0, 1])
    assert error.value.cure


def test_an_input_disturbance_beside_an_output_disturbance_is_accepted() -> None:
    s = small()
    model = DisturbanceModel.build(s, [Disturbance("input", "v", 1.0), Disturbance("output", "y", 1.0)])
    model.check_detectable(s, [0, 1])
    np.testing.assert_array_equal(model.b[:, 0], s.b[:, 1])


def test_a_ramp_needs_an_integrating_output() -> None:
    with pytest.raises(GalenicError, match="does not integrate"):
        DisturbanceModel.build(small(), [Disturbance("ramp", "y", 1.0)])
