from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from closed_loop import DESIGN_SPACE, STEPS, identify
from synthetic_line import OUTPUTS, SyntheticLine

from controllers.surrogates.plan import IdentificationPlan, InputPlan
from controllers.surrogates.realization import looks_integrating, realize
from fmus.errors import GalenicError

PLAN = IdentificationPlan(
    {n: InputPlan(s) for n, s in STEPS.items()}, dict.fromkeys(OUTPUTS), 10.0, 1200.0, 300.0, tolerance=0.01
)


class LinearPlant:
    """Dead time of 7 periods with a lag of the second order, and an integrator, both of two inputs."""

    def __init__(self) -> None:
        self.u = {"u1": 3.0, "u2": -1.0}
        self.queue = [0.0] * 7
        self.x1 = self.x2 = self.level = 0.0

    def unit(self, name: str) -> str:
        return "%" if name == "level" else "1"

    def set(self, name: str, value: float) -> None:
        self.u[name] = value

    def advance(self, seconds: float) -> None:
        for _ in range(round(seconds / 10.0)):
            u1, u2 = self.u["u1"] - 3.0, self.u["u2"] + 1.0
            self.queue.append(2.0 * u1 - 0.5 * u2)
            late = self.queue.pop(0)
            self.x1, self.x2 = 0.9 * self.x1 + 0.1 * late, 0.8 * self.x2 + 0.2 * self.x1
            self.level += 0.05 * u1 + 0.3 * u2

    def get(self, names: Sequence[str]) -> np.ndarray:
        values = {**self.u, "y": 10.0 + self.x2, "level": 50.0 + self.level}
        return np.array([values[n] for n in names])

    def close(self) -> None:
        pass


LINEAR = IdentificationPlan(
    {"u1": InputPlan(0.5), "u2": InputPlan(1.0)}, {"y": None, "level": None}, 10.0, 2000.0, 50.0, tolerance=1e-8
)


def test_a_linear_system_with_dead_time_and_an_integrator_is_recovered() -> None:
    surrogate = identify(LinearPlant, LINEAR)
    assert [y.integrating for y in surrogate.outputs] == [False, True]
    assert surrogate.a.shape == (11, 11)  # dead time 7, lag 2, integrator 1 and its rate
    modes = np.sort(np.abs(np.linalg.eigvals(surrogate.a)))
    np.testing.assert_allclose(modes[-3:], [0.8, 0.9, 1.0], atol=1e-6)
    assert modes[-1] == 1.0
    for j, name in enumerate(("u1", "u2")):
        plant = LinearPlant()
        plant.set(name, plant.u[name] + 1.0)
        response = surrogate.step_response(300)
        for k in range(300):
            y = plant.get(["y", "level"]) - [10.0, 50.0]
            np.testing.assert_allclose(response[k, :, j], y, atol=1e-6)
            plant.advance(10.0)
    assert all(y.fit > 99.999 and y.rmse < 1e-6 for y in surrogate.outputs)


def test_the_nonlinear_line_is_matched_on_unseen_data() -> None:
    seen: list[float] = []
    surrogate = identify(SyntheticLine, PLAN, progress=lambda done, _: seen.append(done), provenance={"scenario": "x"})
    assert {y.name for y in surrogate.outputs if y.integrating} == {"feed_frame.level"}
    assert all(y.fit > 97.0 for y in surrogate.outputs)
    assert surrogate.a.shape[0] <= 20
    gains = surrogate.step_response(120)[120]
    force, weight = surrogate.output_index("main_compression_force"), surrogate.output_index("tablet_weight")
    fill, gap = surrogate.input_index("fill_depth_setpoint"), surrogate.input_index("gap_setpoint")
    assert gains[force, fill] == pytest.approx(4.0, rel=0.01)
    assert gains[force, gap] == pytest.approx(-9.6, rel=0.01)
    assert gains[weight, fill] == pytest.approx(34.5, rel=0.01)
    assert surrogate.provenance["scenario"] == "x"
    assert seen == sorted(seen)
    assert seen[-1] == pytest.approx(0.95)  # the rest is left to methods that train


def test_an_order_that_is_too_low_is_seen_in_the_error() -> None:
    good, poor = identify(LinearPlant, LINEAR), identify(LinearPlant, replace(LINEAR, max_order=3))
    assert poor.outputs[0].fit < 90.0 < good.outputs[0].fit


def test_a_growing_mode_is_kept_stable() -> None:
    k = np.arange(41)
    response = np.zeros((41, 1, 1))
    response[:, 0, 0] = (1.02**k - 1.0) / 0.02
    realized = realize(response, integrating=[False], max_order=2)
    assert np.abs(np.linalg.eigvals(realized.a)).max() < 1.0


def test_a_slow_lag_is_not_taken_for_an_integrator() -> None:
    k = np.arange(101)
    response = np.stack([1.0 - np.exp(-k / 40.0), 0.1 * np.maximum(k - 30.0, 0.0)], axis=1)[:, :, None]
    assert looks_integrating(response) == [False, True]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inputs": {"press.fil_depth_setpoint": InputPlan(0.1)}}, "no signal"),
        ({"inputs": {"press.gap_setpoint": InputPlan("1 kg")}}, "dimensions differ"),
        ({"inputs": {"press.gap_setpoint": InputPlan(-1.0)}}, "positive"),
        ({"outputs": {"press.wieght": None}}, "no signal"),
    ],
)
def test_plans_that_do_not_fit_the_plant_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(GalenicError, match=message):
        identify(SyntheticLine, replace(PLAN, **change))  # type: ignore[arg-type]


def test_a_plant_that_returns_nan_is_named() -> None:
    class Broken(SyntheticLine):
        def get(self, names: Sequence[str]) -> np.ndarray:
            return np.where(self.time > 400.0, math.nan, super().get(names))

    with pytest.raises(GalenicError, match=r"'press.label_claim' is not finite 110 s into the run 'base line'"):
        identify(Broken, PLAN)


def test_a_plan_takes_its_steps_from_the_design_space(tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text(DESIGN_SPACE)
    file = tmp_path / "plan.yaml"
    file.write_text(
        "identify: galenic/1\nscenario: line.yaml\ndesign_space: space.yaml\nfraction: 0.2\n"
        "inputs: {press.gap_setpoint: {}, press.fill_depth_setpoint: {step: 0.1 mm}}\n"
        "outputs: {press.hardness: {}, feed_frame.level: {integrating: true}}\n"
        "period: 10 s\nhorizon: 20 min\nsettle: 10 min\n"
        "parameters: {api_feeder: {refill_start_mass: 0.1 kg}}\n"
    )
    plan = IdentificationPlan.load(file)
    assert plan.inputs["press.gap_setpoint"].step == "0.05 mm"
    assert plan.outputs == {"press.hardness": None, "feed_frame.level": True}
    assert plan.scenario == tmp_path / "line.yaml"
    assert plan.parameters == {"api_feeder": {"refill_start_mass": "0.1 kg"}}
    surrogate = identify(SyntheticLine, plan)
    assert surrogate.inputs[0].max - surrogate.inputs[0].min == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("line", "number", "message"),
    [
        ("horizonn: 3 s", 7, "unknown key"),
        ("inputs: {press.gap_setpoint: {stp: 1}}", 7, "stands twice"),
        ("tolerance: -1", 7, "greater than zero"),
    ],
)
def test_a_faulty_plan_is_refused_with_its_line(tmp_path: Path, line: str, number: int, message: str) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text(
        "identify: galenic/1\ninputs: {press.gap_setpoint: {step: 0.1}}\noutputs: {press.hardness: {}}\n"
        f"period: 10 s\nhorizon: 20 min\nsettle: 10 min\n{line}\n"
    )
    with pytest.raises(GalenicError, match=message) as error:
        IdentificationPlan.load(file)
    assert error.value.line == number
