"""Estimators on the equations of unit models."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fmus
from controllers.estimation import (
    Channel,
    DisturbanceState,
    EstimationModel,
    ExtendedKalmanFilter,
    MovingHorizonEstimator,
    Process,
    Reason,
    unit_process,
)
from controllers.estimation.consistency import check_detectable
from fmus.errors import GalenicError

STATES: dict[str, dict[str, float]] = {
    "volume": {"noise": 0.01, "low": 1.0},
    "amount.viable_cells": {"relative_noise": 0.003, "low": 0.0},
    "amount.dead_cells": {"relative_noise": 0.003, "low": 0.0},
    "amount.glucose": {"noise": 3.0, "low": 0.0},
    "amount.lactate": {"noise": 3.0, "low": 0.0},
    "amount.mab": {"noise": 0.02, "low": 0.0},
}
FEED = np.array([0.08, 1.0])
START = np.array([50.0, 1.6e10, 0.0, 2000.0, 0.0, 0.0])
SPREAD = np.array([0.5, 4e9, 1e8, 150.0, 5.0, 0.05, 0.1])


def bioreactor(**options: Any) -> Process:
    return unit_process(
        fmus.unit_model("bioreactor_badr2021_fast"),
        3600.0,
        inputs=["supplement.flow", "growth_rate_factor"],
        outputs=["viable_cell_density", "glucose", "titre"],
        states=STATES,
        values={"supplement.glucose": 1000.0},
        **options,
    )


def test_the_fixed_steps_follow_the_units_own_integrator() -> None:
    own, rk4 = bioreactor(method="own"), bioreactor(substeps=2)
    x = y = START
    for _ in range(100):
        x, y = own.step(x, FEED, []).full().ravel(), rk4.step(y, FEED, []).full().ravel()
    np.testing.assert_allclose(y, x, rtol=1e-7)


def test_the_units_own_integrator_gives_the_same_filter() -> None:
    """Its derivatives are the integrator's sensitivities."""
    found = []
    for options in ({"method": "own"}, {"substeps": 2}):
        model = EstimationModel(bioreactor(**options), [DisturbanceState("input", "growth_rate_factor", 0.01)])
        e = ExtendedKalmanFilter(model, [Channel("viable_cell_density", 1e4), Channel("glucose", 1.0)])
        e.initialize(START, SPREAD, FEED)
        for k in range(10):
            assert e.predict(FEED)
            e.correct(np.array([3.4e5 + 1.5e4 * k, 39.0 - 0.2 * k]))
        found.append((e.state, np.sqrt(e.covariance.diagonal())))
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-4, atol=1e-9)  # as the sensitivities' step control
    np.testing.assert_allclose(found[0][1], found[1][1], rtol=1e-4)


@pytest.mark.parametrize("kind", [ExtendedKalmanFilter, MovingHorizonEstimator])
def test_titre_is_known_between_laboratory_values_that_come_late(kind: type[ExtendedKalmanFilter]) -> None:
    """Cells hourly; glucose and titre once a day, 6 h late; growth 10 % slower than the model's."""
    model = EstimationModel(bioreactor(substeps=2), [DisturbanceState("input", "growth_rate_factor", 0.01)])
    channels = [Channel("viable_cell_density", 0.0, relative_std=0.05), Channel("glucose", 1.0), Channel("titre", 0.01)]
    options = {"horizon": 8} if kind is MovingHorizonEstimator else {}
    e = kind(model, channels, memory=8, **options)
    e.initialize(START, SPREAD, FEED)
    plant, x, rng = bioreactor(method="own"), START * np.array([1.0, 1.1, 1.0, 1.0, 1.0, 1.0]), np.random.default_rng(5)
    waiting, inside = {}, []
    for k in range(1, 169):
        x = plant.step(x, FEED * [1.0, 0.9], []).full().ravel()
        y = plant.measure(x, FEED * [1.0, 0.9], []).full().ravel()
        seen = y * (1.0 + np.array([0.05, 0.0, 0.0]) * rng.normal(size=3)) + np.array([0.0, 1.0, 0.01]) * rng.normal(
            size=3
        )
        if k % 24 == 0:
            waiting[k + 6] = seen
        e.predict(FEED)
        e.correct(seen, [True, False, False])
        if k in waiting:
            e.correct(waiting[k], [False, True, True], [None, 6, 6])
        inside.append(np.abs(y - e.outputs) < 3.0 * e.outputs_std)
    assert np.mean(inside, axis=0).min() > 0.95
    assert e.state[-1] == pytest.approx(-0.1, abs=0.05)
    assert e.outputs[2] == pytest.approx(y[2], rel=0.05)


def test_implicit_equations_are_solved_inside_the_model() -> None:
    """The press, whose force is the root of an equation: bulk density and tablet weight are found from force alone."""
    process = unit_process(
        fmus.unit_model("tablet_press"),
        5.0,
        inputs=["fill_depth_setpoint", "gap_setpoint", "inlet.bulk_density"],
        outputs=["main_compression_force", "tablet_weight"],
        states={
            "fill_depth_actual": {"noise": 0.01, "low": 0.1},
            "gap_actual": {"noise": 0.01, "low": 0.1},
            "zone.mass": {"relative_noise": 0.001},
            "zone.volume": {"relative_noise": 0.001},
            "zone.api_mass": {"relative_noise": 0.001},
        },
        method="own",
    )
    settings, powder = np.array([6.74, 2.1, 480.0]), np.array([6.74, 2.1, 470.0])
    x = np.array([6.74, 2.1, 0.2, 0.2 / 480.0, 0.0177])
    for _ in range(30):
        x = process.step(x, settings, []).full().ravel()
    model = EstimationModel(process, [DisturbanceState("input", "inlet.bulk_density", 20.0)])
    e = ExtendedKalmanFilter(model, [Channel("main_compression_force", 0.05)])
    e.initialize(x, np.concatenate([0.01 * x, [10.0]]), settings)
    for _ in range(60):
        x = process.step(x, powder, []).full().ravel()
        force, weight = process.measure(x, powder, []).full().ravel()
        assert e.predict(settings)
        assert e.correct(np.array([force])) == [Reason.USED]
    assert e.state[-1] == pytest.approx(-10.0, abs=0.1)
    assert e.outputs[1] == pytest.approx(weight, abs=0.1)


def test_what_a_batch_never_shows_is_named() -> None:
    model = EstimationModel(bioreactor(), [DisturbanceState("input", "growth_rate_factor", 0.01)])
    channels = [Channel(y, 1.0) for y in ("viable_cell_density", "glucose", "titre")]
    with pytest.raises(GalenicError, match=r"amount\.(dead_cells|lactate)"):
        check_detectable(model, channels, np.array([*START, 0.0]), FEED)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"outputs": ["titer"]}, "no output 'titer'"),
        ({"inputs": ["feed"]}, "no input 'feed'"),
        ({"states": {"amount.mabs": {}}}, "no state 'amount.mabs'"),
        ({"values": {"nothing": 1.0}}, "no input or parameter 'nothing'"),
    ],
)
def test_an_unknown_name_is_told_with_the_nearest(change: dict[str, Any], message: str) -> None:
    settings = {"inputs": [], "outputs": ["titre"], "states": STATES} | change
    with pytest.raises(GalenicError, match=message):
        unit_process(fmus.unit_model("bioreactor_badr2021_fast"), 3600.0, **settings)
