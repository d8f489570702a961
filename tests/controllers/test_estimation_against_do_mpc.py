"""The same estimates as do-mpc's EKF and MHE where both solve the same problem."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import casadi as ca
import numpy as np
import pytest
from estimation_cases import Plant, reaction

from controllers.estimation import Channel, ExtendedKalmanFilter, MovingHorizonEstimator

NONE = np.zeros(0)
START, SPREAD = np.array([2.0, 1.5]), np.array([0.8, 0.6])
STD, NOISE = 0.1, 0.02


@pytest.fixture(scope="module")
def do_mpc() -> Iterator[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield pytest.importorskip("do_mpc", reason="do-mpc is not installed")


def their_model(do_mpc: Any, *, input_is_measured: bool) -> Any:
    """The reaction in discrete time, by the same Runge-Kutta step, with process noise on both states."""
    model = do_mpc.model.Model("discrete", "SX")
    a, b = model.set_variable("_x", "a"), model.set_variable("_x", "b")
    idle = model.set_variable("_u", "idle")  # its estimators expect an input
    end = reaction(NOISE).step(ca.vertcat(a, b), ca.SX(0, 1))
    model.set_rhs("a", end[0] + 0.0 * idle, process_noise=True)
    model.set_rhs("b", end[1], process_noise=True)
    model.set_meas("pressure", a + b, meas_noise=True)
    if input_is_measured:
        model.set_meas("idle", idle, meas_noise=False)
    model.setup()
    return model


def measurements(steps: int) -> np.ndarray:
    plant, rng = Plant(reaction(NOISE), np.array([3.0, 1.0]), 1), np.random.default_rng(2)
    values = np.empty(steps)
    for k in range(steps):
        plant.step(NONE)
        values[k] = plant.outputs(NONE)[0] + STD * rng.normal()
    return values


def test_the_filter_agrees_with_theirs(do_mpc: Any) -> None:
    """do-mpc linearises at the last estimate, as an EKF does, and the measurement too, which is linear here."""
    model = their_model(do_mpc, input_is_measured=False)
    theirs = do_mpc.estimator.EKF(model)
    theirs.settings.t_step = 0.1
    theirs.setup()
    theirs.x0, theirs.P0 = START, np.diag(SPREAD**2)
    theirs.set_initial_guess()
    ours = ExtendedKalmanFilter(reaction(NOISE, low=-np.inf), [Channel("pressure", STD, gate=None)])
    ours.initialize(START, SPREAD, NONE)
    for y in measurements(60):
        x = theirs.make_step(np.array([[y]]), np.zeros((1, 1)), np.eye(2) * NOISE**2, np.array([[STD**2]]))
        ours.predict(NONE)
        ours.correct(np.array([y]))
        np.testing.assert_allclose(ours.state, np.asarray(x).ravel(), rtol=0, atol=1e-9)
        np.testing.assert_allclose(ours.covariance, theirs.P0, rtol=0, atol=1e-9)


@pytest.mark.parametrize("low", [0.0, 1.6])
def test_the_horizon_estimate_agrees_with_theirs(do_mpc: Any, low: float) -> None:
    """One window of 15 periods with the same prior; with bounds that bind (b begins at 1, a ends at 1.2) or not."""
    horizon = 15
    values = measurements(horizon)
    theirs = do_mpc.estimator.MHE(their_model(do_mpc, input_is_measured=True), [])
    settings = theirs.settings
    settings.n_horizon, settings.t_step, settings.meas_from_data, settings.store_full_solution = (
        horizon,
        0.1,
        True,
        True,
    )
    settings.nlpsol_opts = {"ipopt.print_level": 0, "print_time": False, "ipopt.sb": "yes", "ipopt.tol": 1e-12}
    theirs.set_default_objective(P_x=np.diag(1.0 / SPREAD**2), P_v=np.array([[1.0 / STD**2]]), P_w=np.eye(2) / NOISE**2)
    template = theirs.get_y_template()

    def data(_: float) -> Any:
        for k in range(horizon):
            template["y_meas", k] = np.array([values[k], 0.0])
        return template

    theirs.set_y_fun(data)
    for name in "ab":
        theirs.bounds["lower", "_x", name] = low
    theirs.setup()
    theirs.x0 = START
    theirs.set_initial_guess()
    expected = np.asarray(theirs.make_step(np.array([[values[-1]], [0.0]]))).ravel()

    ours = MovingHorizonEstimator(reaction(NOISE, low=low), [Channel("pressure", STD, gate=None)], horizon=horizon)
    ours.initialize(START, SPREAD, NONE)
    for y in values:
        ours.predict(NONE)
        ours.correct(np.array([y]))
        assert ours.solved
    np.testing.assert_allclose(ours.state, expected, rtol=0, atol=1e-6)
    assert (ours.path.min() == low) == (low > 0.0)
