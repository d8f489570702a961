from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from closed_loop import CONFIG, controller, feed, input_index, output, run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from synthetic_line import INPUTS, OUTPUTS, SENSORS, SyntheticLine

from controllers.linear.quadratic_program import QPSolution, QuadraticProgram
from controllers.operation.reasons import Rung, StepReason
from cosim.component import Controller
from fmus.errors import GalenicError

INPUT_DISTURBANCE = [
    {"on": "press.fill_depth_setpoint"},
    {"on_output": "main_compression_force"},
    {"on_output": "label_claim"},
    {"on_output": "hardness"},
    {"ramp": "level"},
]
REFERENCES = {
    "press.label_claim": (100.0, 0.05),
    "press.tablet_weight": (226.0, 0.05),
    "press.hardness": (51.0, 0.05),
    "feed_frame.level": (50.0, 0.1),
}
BOUNDS = {
    "api_feeder.mass_flow_setpoint": (1.5, 3.5),
    "excipient_feeder.mass_flow_setpoint": (15.0, 32.0),
    "press.turret_speed_setpoint": (90000.0, 130000.0),
    "press.fill_depth_setpoint": (5.8, 7.4),
    "press.gap_setpoint": (1.85, 2.35),
}


def at_reference(history: dict[str, np.ndarray]) -> None:
    for name, (value, tolerance) in REFERENCES.items():
        assert history[name][-1] == pytest.approx(value, abs=tolerance), name


def values(**changes: float) -> dict[str, float]:
    signals = {f"{n}.value": SyntheticLine().outputs()[s[0]] for n, s in SENSORS.items()}
    signals |= {f"{n}.sample": 1.0 for n in SENSORS}
    return {**signals, **{n.replace("__", "."): v for n, v in changes.items()}}


def test_it_fulfils_the_contract(files: Path) -> None:
    mpc = controller(files)
    assert isinstance(mpc, Controller)
    assert {w for w in mpc.writes if w} == set(INPUTS)
    assert {f"fallback.{t}" for t in INPUTS} <= {p.name for p in mpc.inputs}
    assert len(mpc.reads) == len(mpc.inputs)
    assert len(mpc.writes) == len(mpc.outputs)


def test_at_rest_it_does_nothing(files: Path) -> None:
    history = run(controller(files), SyntheticLine(), 60)
    for name, (_, nominal) in INPUTS.items():
        np.testing.assert_allclose(history[name], nominal, rtol=1e-6)


@pytest.mark.parametrize("disturbances", [None, INPUT_DISTURBANCE], ids=["on outputs", "on an input"])
@pytest.mark.parametrize(
    "change",
    [
        {"density": 1.03},
        {"strength": 1.08},
        {"label_claim_bias": 1.5},
        {"force_bias": 0.4},
        {"excipient_loss": 0.03},
    ],
    ids=lambda c: next(iter(c)),
)
def test_no_offset_under_a_constant_disturbance(files: Path, change: dict[str, float], disturbances: Any) -> None:
    def disturb(k: int, plant: SyntheticLine) -> None:
        if k == 20:
            for name, value in change.items():
                setattr(plant, name, value)

    extra = {} if disturbances is None else {"disturbances": disturbances}
    history = run(controller(files, **extra), SyntheticLine(), 1500, before=disturb, observe=["active"])
    at_reference(history)
    assert history["active"].all()


@pytest.mark.parametrize("fill", [0.8, 1.2])
@pytest.mark.parametrize("force", [0.8, 1.2])
def test_no_offset_with_gains_that_are_a_fifth_off(files: Path, fill: float, force: float) -> None:
    plant = SyntheticLine(fill_gain=fill, force_gain=force, label_claim_gain=fill, density=1.02, excipient_loss=0.02)
    at_reference(run(controller(files, disturbances=INPUT_DISTURBANCE), plant, 1500))


def test_the_force_corrects_the_weight_before_the_weight_is_measured(files: Path) -> None:
    def disturb(k: int, plant: SyntheticLine) -> None:
        if k == 61:  # weight and hardness are sampled at 60, and next at 90
            plant.density = 1.03

    errors = {}
    for name, disturbances in (("input", INPUT_DISTURBANCE), ("outputs", None)):
        extra = {} if disturbances is None else {"disturbances": disturbances}
        history = run(controller(files, **extra), SyntheticLine(), 90, before=disturb)
        errors[name] = abs(history["press.tablet_weight"][-1] - 226.0)
    assert errors["outputs"] > 5.0
    assert errors["input"] < 0.3 * errors["outputs"]


def test_a_reference_step_is_followed(files: Path) -> None:
    mpc = controller(files)
    index = input_index(mpc, "tablet_weight.setpoint")
    assert mpc.reads[index] is None

    def change(k: int, _: SyntheticLine) -> None:
        mpc.input_values[index] = 226.0 if k < 20 else 228.0

    history = run(mpc, SyntheticLine(), 200, before=change, observe=["tablet_weight.reference"])
    assert history["press.tablet_weight"][40] == pytest.approx(228.0, abs=0.3)
    assert history["press.label_claim"][-1] == pytest.approx(100.0, abs=0.1)
    assert history["tablet_weight.reference"][-1] == 228.0


def test_the_free_input_goes_to_its_ideal_value(files: Path) -> None:
    manipulated = {"press.turret_speed_setpoint": {"ideal": "110000 1/h"}}
    history = run(controller(files, manipulated=manipulated), SyntheticLine(), 800)
    assert history["press.turret_speed_setpoint"][-1] == pytest.approx(110000.0, rel=1e-3)
    at_reference(history)


def test_bounds_and_moves_are_hard_and_limits_soft(files: Path) -> None:
    # a hardness that no allowed gap gives: the controller goes to the edge, not beyond, and stays in force
    config = {
        "controlled": {**CONFIG["controlled"], "hardness": {"reference": "75 N", "limits": ["90 N", "99 N"]}},
        "design_space": None,
        "manipulated": {
            "press.gap_setpoint": {"limits": ["2.0 mm", "2.35 mm"], "max_move": "0.01 mm"},
            **{n: {"limits": list(BOUNDS[n])} for n in BOUNDS if n != "press.gap_setpoint"},
        },
    }
    history = run(controller(files, **config), SyntheticLine(), 300, observe=["active"])
    gap = history["press.gap_setpoint"]
    assert gap.min() == pytest.approx(2.0, abs=1e-9)
    assert gap.min() >= 2.0
    assert np.abs(np.diff(gap)).max() <= 0.01 + 1e-9
    assert history["active"].all()
    assert history["press.hardness"][-1] < 90.0


def test_a_soft_limit_is_kept_where_it_can_be(files: Path) -> None:
    # the reference lies outside the limit, so the limit decides
    controlled = {**CONFIG["controlled"], "tablet_weight": {"reference": "226 mg", "limits": ["226.8 mg", "232 mg"]}}
    history = run(controller(files, controlled=controlled), SyntheticLine(), 300)
    assert history["press.tablet_weight"][-1] == pytest.approx(226.8, abs=0.02)


def test_a_level_that_cannot_be_balanced_drifts_and_the_controller_stays_in_force(files: Path) -> None:
    plant = SyntheticLine(excipient_loss=0.5)
    history = run(controller(files), plant, 200, observe=["active", "status"])
    assert history["active"].all()
    assert history["excipient_feeder.mass_flow_setpoint"][-1] == pytest.approx(32.0, abs=0.01)


def test_a_missing_measurement_hands_over_and_takes_back_without_a_bump(files: Path) -> None:
    mpc = controller(files)
    fallback = input_index(mpc, "fallback.press.fill_depth_setpoint")
    fill = [p.name for p in mpc.outputs].index("press.fill_depth_setpoint")
    seen, k = [], 0
    for value, count in ((6.0, 5), (math.nan, 5), (6.0, 5)):
        for _ in range(count):
            feed(mpc, {n: v if not n.endswith("sample") else float(k + 1) for n, v in values().items()})
            mpc.input_values[input_index(mpc, "main_compression_force.measured")] = value
            mpc.input_values[fallback] = 6.6 if k else math.nan
            mpc.do_step(10.0 * k, 10.0)
            seen.append((output(mpc, "active"), output(mpc, "status"), float(mpc.output_values[fill])))
            k += 1
    assert [s[0] for s in seen] == [1.0] * 5 + [0.0] * 5 + [1.0] * 5
    assert {s[1] for s in seen[5:10]} == {float(StepReason.MEASUREMENT_MISSING)}
    assert {s[2] for s in seen[5:10]} == {6.6}
    assert output(mpc, "failures") == 5.0
    assert abs(seen[10][2] - 6.6) <= (7.4 - 5.8) / 20.0 + 1e-12  # within the move limit


def test_missing_values_may_be_bridged(files: Path) -> None:
    mpc = controller(files, max_missed=2)
    active = []
    for k in range(6):
        feed(mpc, {n: v if not n.endswith("sample") else float(k + 1) for n, v in values().items()})
        if k >= 1:
            mpc.input_values[input_index(mpc, "label_claim.measured")] = math.nan
        mpc.do_step(10.0 * k, 10.0)
        active.append(output(mpc, "active"))
    assert active == [1.0, 1.0, 1.0, 0.0, 0.0, 0.0]


def test_without_a_fallback_it_holds(files: Path) -> None:
    mpc = controller(files)
    feed(mpc, values(nir__value=95.0))
    mpc.do_step(0.0, 10.0)
    held = mpc.output_values[: len(INPUTS)].copy()
    feed(mpc, {**values(nir__value=math.nan), "nir.sample": 2.0})
    mpc.do_step(10.0, 10.0)
    np.testing.assert_array_equal(mpc.output_values[: len(INPUTS)], held)


def test_an_answer_that_did_not_converge_is_never_applied(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mpc = controller(files)
    feed(mpc, values())
    mpc.do_step(0.0, 10.0)
    before = mpc.output_values[: len(INPUTS)].copy()
    plan = mpc.law.solve(0.0, before, np.array([100.0, 226.0, 51.0, 50.0]))
    planned = plan.inputs[1]
    solve = QuadraticProgram.solve

    def stopped(self: QuadraticProgram, *arguments: Any) -> QPSolution:
        return replace(solve(self, *arguments), converged=False)

    monkeypatch.setattr(QuadraticProgram, "solve", stopped)
    feed(mpc, {**values(force_sensor__value=9.0), "force_sensor.sample": 2.0})
    mpc.do_step(10.0, 10.0)
    assert output(mpc, "rung") == float(Rung.SHIFTED)
    assert output(mpc, "status") == output(mpc, "reason") == float(StepReason.TARGET_FAILED)
    np.testing.assert_allclose(mpc.output_values[: len(INPUTS)], planned, rtol=1e-12)  # of the plan that was good
    np.testing.assert_allclose(mpc.output_values[: len(INPUTS)], before, rtol=1e-6)
    monkeypatch.undo()
    feed(mpc, {**values(force_sensor__value=9.0), "force_sensor.sample": 3.0})
    mpc.do_step(20.0, 10.0)
    assert output(mpc, "rung") == 0.0


def test_it_starts_from_the_inputs_in_force(files: Path) -> None:
    mpc = controller(files, start_after="30 s")
    fallback = input_index(mpc, "fallback.press.fill_depth_setpoint")
    mpc.input_values[fallback] = 6.9
    for k in range(4):
        feed(mpc, values())
        mpc.do_step(10.0 * k, 10.0)
        fill = output(mpc, "press.fill_depth_setpoint")
        if k < 3:
            assert (output(mpc, "active"), output(mpc, "status")) == (0.0, float(StepReason.WAITING))
            assert fill == 6.9
    assert output(mpc, "active") == 1.0
    assert abs(fill - 6.9) <= 1.6 / 20.0 + 1e-12


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.floats(), min_size=len(OUTPUTS) + 2, max_size=len(OUTPUTS) + 2), min_size=1, max_size=8))
def test_whatever_is_measured_setpoints_stay_inside_the_design_space(files: Path, rows: list[list[float]]) -> None:
    mpc = controller(files)
    for k, row in enumerate(rows):
        signals = {f"{n}.value": v for n, v in zip(SENSORS, row, strict=False)}
        feed(mpc, {**signals, **{f"{n}.sample": float(k + 1) for n in SENSORS}})
        mpc.input_values[input_index(mpc, "fallback.press.gap_setpoint")] = row[-1]
        mpc.input_values[input_index(mpc, "hardness.setpoint")] = row[-2]
        mpc.do_step(10.0 * k, 10.0)
        for name, (low, high) in BOUNDS.items():
            assert low <= output(mpc, name) <= high
        assert output(mpc, "active") in (0.0, 1.0)


def test_two_runs_are_the_same_but_for_the_solve_time(files: Path) -> None:
    first, second = (run(controller(files), SyntheticLine(density=1.02), 100, noisy=True) for _ in range(2))
    for name in first:
        np.testing.assert_array_equal(first[name], second[name])


@pytest.mark.parametrize("solver", ["osqp", "hpipm"])
def test_other_solvers_agree(files: Path, solver: str) -> None:
    plant: dict[str, Any] = {"density": 1.03, "strength": 0.95}
    daqp, other = (run(controller(files, solver=s), SyntheticLine(**plant), 60) for s in ("daqp", solver))
    np.testing.assert_allclose(other["press.tablet_weight"], daqp["press.tablet_weight"], rtol=1e-4)


def test_an_execution_is_fast(files: Path) -> None:
    history = run(controller(files), SyntheticLine(), 200, noisy=True, observe=["solve_time"])
    assert np.median(history["solve_time"]) < 0.05


@pytest.mark.parametrize(
    ("changes", "where", "message"),
    [
        ({"surrogate": "nowhere.yaml"}, "surrogate", "no file"),
        ({"period": "20 s"}, "period", "the surrogate is for 10 s"),
        ({"solver": "qpoases2"}, "solver", "unknown solver"),
        ({"prediction_horizn": "3 min"}, "prediction_horizn", "unknown key"),
        ({"control_horizon": "1 h"}, "control_horizon", "longer"),
        ({"controlled": {"label_clam": {"reference": 100}}}, "controlled/label_clam", "no output"),
        ({"controlled": {"label_claim": {"reference": "3 mm"}}}, "controlled/label_claim/reference", "dimensions"),
        ({"controlled": {"label_claim": {"weihgt": 1}}}, "controlled/label_claim/weihgt", "unknown key"),
        ({"controlled": {"main_compression_force": {}}}, "controlled/main_compression_force", "neither"),
        ({"measurements": {"hardness": {"sensor": "nirr.value"}}}, "measurements/hardness/sensor", "no signal"),
        ({"manipulated": {"press.gap": {}}}, "manipulated/press.gap", "no input"),
        ({"design_space": None}, "surrogate", "no finite bounds"),
        ({"disturbances": [{"on": "press.gap_setpoint", "ramp": "level"}]}, "disturbances/0", "one place"),
        ({"disturbances": [{"ramp": "hardness"}]}, "disturbances", "does not integrate"),
        ({"disturbances": [{"on_output": "level"}]}, "disturbances", "told apart"),
    ],
)
def test_errors_point_at_the_key(files: Path, changes: dict[str, Any], where: str, message: str) -> None:
    with pytest.raises(GalenicError, match=message) as error:
        controller(files, **changes)
    assert str(error.value.file) == where
    assert error.value.cure
