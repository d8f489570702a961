"""Subspace identification: known systems, noise, dead times, integrators, and what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from controllers.surrogates import excitation, subspace
from controllers.surrogates.linear_fit import fit_runs
from controllers.surrogates.plan import IdentificationPlan, InputPlan
from fmus.errors import GalenicError

# two inputs, three outputs: a slow mode that two share, an oscillation, and an output that integrates the first
A = np.array([[0.95, 0.0, 0.0], [0.0, 0.8, 0.3], [0.0, -0.3, 0.8]])
B = np.array([[0.05, 0.02], [0.1, 0.0], [0.0, 0.2]])
C = np.array([[2.0, 0.0, 0.5], [1.0, 1.0, 0.0], [0.3, 0.0, 0.0]])
INTEGRATING = (False, False, True)
LATE = (4, 0)
PLAN = IdentificationPlan(
    {"a": InputPlan(1.0), "b": InputPlan(1.0)},
    {"x": False, "y": False, "level": True},
    period=10.0,
    horizon=1000.0,
    settle=0.0,
    tolerance=1e-6,
    method="subspace",
)


def simulated(u: np.ndarray) -> np.ndarray:
    late = np.zeros_like(u)
    for j, dead in enumerate(LATE):
        late[dead:, j] = u[: len(u) - dead, j]
    x, level, result = np.zeros(3), 0.0, np.zeros((len(u) + 1, 3))
    for k in range(len(u) + 1):
        rates = C @ x
        level += rates[2]
        result[k] = [rates[0], rates[1], level]
        if k < len(u):
            x = A @ x + B @ late[k]
    return result


def runs(lengths: Sequence[int], noise: float = 0.0) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Inputs and outputs of runs of these lengths; noise relative to the size of each output."""
    rng = np.random.default_rng(5)
    design = excitation.design_prbs(10.0, 30.0, 200.0)
    inputs = [excitation.prbs(design, 2, n, 37 * i) for i, n in enumerate(lengths)]
    outputs = [simulated(u) for u in inputs]
    size = np.vstack(outputs).std(axis=0)
    return inputs, [y + noise * size * rng.standard_normal(y.shape) for y in outputs]


def true_steps(samples: int) -> np.ndarray:
    return np.stack([simulated(np.tile(np.eye(2)[j], (samples, 1))) for j in range(2)], axis=2)


def test_a_known_system_is_found_from_runs_of_unequal_lengths() -> None:
    inputs, outputs = runs((200, 320, 260))
    model = subspace.fit(inputs, outputs, INTEGRATING, [LATE] * 3)
    assert (model.order, model.dead_time) == (3, LATE)
    assert model.singular_values[3] < 1e-6 < 1e-2 < model.singular_values[2]
    modes = np.sort_complex(np.linalg.eigvals(model.a))
    np.testing.assert_allclose(modes, np.sort_complex(np.linalg.eigvals(A)), atol=1e-8)
    np.testing.assert_allclose(model.step_response(100), true_steps(100), atol=1e-7)


def test_dead_times_are_estimated_and_the_state_space_is_the_smallest() -> None:
    inputs, outputs = runs((200, 320, 260))
    found, notes = fit_runs(PLAN, inputs, outputs, INTEGRATING, 100)
    assert notes["subspace"]["dead_time"] == [40.0, 0.0]
    assert found.a.shape == (3 + LATE[0] + 1, 3 + LATE[0] + 1)
    assert found.error.max() < 1e-6


def test_noise_does_not_bend_the_responses() -> None:
    inputs, outputs = runs((400, 400, 400, 400), noise=0.1)
    model = subspace.fit(inputs, outputs, INTEGRATING, [LATE] * 3, max_order=10)
    assert model.order <= 4
    response, true = model.step_response(100), true_steps(100)
    size = np.abs(true).max(axis=(0, 2))
    assert (np.abs(response - true).max(axis=(0, 2)) < 0.01 * size).all()


def test_given_dead_times_stand_in_for_those_found() -> None:
    inputs, outputs = runs((200, 320, 260))
    given = {name: {"a": "40 s", "b": "0 s"} for name in PLAN.outputs}
    _, notes = fit_runs(replace(PLAN, dead_times=given), inputs, outputs, INTEGRATING, 100)
    assert notes["subspace"]["dead_time"] == [40.0, 0.0]
    too_short = {**given, "y": {"a": "20 s"}}
    _, notes = fit_runs(replace(PLAN, dead_times=too_short), inputs, outputs, INTEGRATING, 100)
    assert notes["subspace"]["dead_time"] == [20.0, 0.0]


@pytest.mark.parametrize(
    ("dead_times", "message"),
    [
        ({"z": {"a": "10 s"}}, "'z' is no output"),
        ({"y": {"c": "10 s"}}, "'c' is no input"),
        ({"y": {"a": "10 kg"}}, "kg"),
        ({"y": {"a": "2000 s"}}, "not inside the horizon"),
    ],
)
def test_dead_times_that_make_no_sense_are_refused(dead_times: dict[str, dict[str, str]], message: str) -> None:
    inputs, outputs = runs((200, 200))
    with pytest.raises(GalenicError, match=message):
        fit_runs(replace(PLAN, dead_times=dead_times), inputs, outputs, INTEGRATING, 100)


def test_too_little_data_is_told() -> None:
    inputs, outputs = runs((300,))
    with pytest.raises(GalenicError, match="one training run"):
        subspace.fit(inputs, outputs, INTEGRATING, [LATE] * 3)
    inputs, outputs = runs((40, 30))
    with pytest.raises(GalenicError, match="too few"):
        subspace.fit(inputs, outputs, INTEGRATING, [LATE] * 3)


def test_the_reference_implementation_finds_the_same_poles() -> None:
    nfoursid = pytest.importorskip("nfoursid.nfoursid", reason="nfoursid is not installed")
    import pandas as pd

    (u,), _ = runs((600,))
    y = simulated(u)[:-1, :2]
    table = pd.DataFrame(np.hstack([u, y]), columns=["a", "b", "x", "y"])
    other = nfoursid.NFourSID(table, output_columns=["x", "y"], input_columns=["a", "b"], num_block_rows=20)
    other.subspace_identification()
    theirs, _ = other.system_identification(rank=3 + LATE[0])
    ours = subspace.fit([u, u], [simulated(u)[:, :2]] * 2, (False, False), [(0, 0)] * 2)
    slow = [np.sort_complex(v[np.abs(v) > 0.7]) for v in map(np.linalg.eigvals, (theirs.a, ours.a))]
    np.testing.assert_allclose(slow[0], slow[1], atol=1e-6)
    np.testing.assert_allclose(slow[0], np.sort_complex(np.linalg.eigvals(A)), atol=1e-6)
