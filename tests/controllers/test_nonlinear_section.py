"""A nonlinear law from its section of a scenario file, on the synthetic line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from closed_loop import CONFIG, run
from synthetic_line import Context, SyntheticLine

from controllers.mpc import MPCController
from controllers.nonlinear.horizon import Horizon, Profile, spaced
from controllers.nonlinear.law import NonlinearLaw
from controllers.nonlinear.specification import Batch
from cosim.component import Port
from fmus.errors import GalenicError

SECTION: dict[str, Any] = {
    **{k: v for k, v in CONFIG.items() if k != "surrogate"},
    "model": "surrogate.yaml",
    "grid": [1] * 12,
}
GAP = "press.gap_setpoint"


def made(directory: Path, **changes: Any) -> MPCController:
    context = Context(directory, {"recipe.gap": Port("gap", "mm", 2.07)}).context
    return MPCController.from_config("mpc", {**SECTION, **changes}, context)


def law_of(directory: Path, **changes: Any) -> NonlinearLaw:
    law = made(directory, engine="casadi", **changes).law
    assert isinstance(law, NonlinearLaw)
    return law


def test_a_known_input_is_as_a_recipe_will_drive_it(files: Path) -> None:
    """By the schedule of a controller above, converted; the same law as by a profile written out."""
    schedule = ((0.0, 30.0), (2070.0, 2100.0))
    ports = {f"recipe.{GAP}": Port(GAP, "um", 2070.0)}
    context = replace(
        Context(files, ports).context, find_schedule=lambda signal: schedule if signal == f"recipe.{GAP}" else None
    )
    controller = MPCController.from_config(
        "mpc", {**SECTION, "engine": "casadi", "known": {GAP: {"profile_of": "recipe"}}}, context
    )
    written = law_of(files, known={GAP: {"profile": [["0 s", "2.07 mm"], ["30 s", "2.1 mm"]]}})
    assert isinstance(controller.law, NonlinearLaw)
    (of_recipe,), (profile,) = controller.law.specification.known, written.specification.known
    assert (of_recipe.input, of_recipe.times) == (profile.input, profile.times)
    assert of_recipe.values == pytest.approx(profile.values)


def test_the_line_returns_to_its_references_with_gains_that_are_off(files: Path) -> None:
    plant = SyntheticLine(fill_gain=1.1, force_gain=0.9, label_claim_gain=1.02)
    history = run(made(files), plant, 200, observe=("status", "rung"))
    assert not history["rung"].any()
    last = {n: v[-1] for n, v in history.items()}
    assert last["press.label_claim"] == pytest.approx(100.0, abs=0.1)
    assert last["press.tablet_weight"] == pytest.approx(226.0, abs=0.3)
    assert last["press.hardness"] == pytest.approx(51.0, abs=0.2)


def test_a_known_input_is_not_decided(files: Path) -> None:
    """Its profile reaches the estimator and the plan; measured ones are read through a port."""
    given = law_of(files, known={GAP: {"profile": [["0 s", "2.07 mm"], ["30 s", "2.1 mm"]]}})
    assert GAP not in [u.name for u in given.inputs]
    controller = made(files, engine="casadi", known={GAP: {"signal": "recipe.gap"}})
    assert "recipe.gap" in controller.reads
    law = controller.law
    assert isinstance(law, NonlinearLaw)
    start = np.array([2.545, 24.575, 120000.0, 6.55])
    plans = []
    for one, told in ((given, 2.07), (law, 2.07), (law, 2.1)):
        one.initialize(0.0, start)
        one.set_known({GAP: told})
        plans.append(one.roll_out(np.tile(start, (12, 1))))
    hardness = [y.name for y in law.outputs].index("press.hardness")
    np.testing.assert_allclose(plans[0][:2], plans[1][:2], rtol=1e-9)
    assert abs(plans[0][-1, hardness] - plans[2][-1, hardness]) < abs(plans[1][-1, hardness] - plans[2][-1, hardness])


def test_keys_reach_the_law(files: Path) -> None:
    law = law_of(
        files,
        batch={"duration": "2 min", "min_harvest": "90 s", "max_harvest": "150 s", "value_per_hour": -2},
        economic={"press.tablet_weight": {"value": 3, "per": "1 g", "at": "end"}},
        manipulated={n: {"every": "1 min"} for n in ("press.gap_setpoint", "fill_depth_setpoint")},
        known={"turret_speed_setpoint": {"profile": [[0, 120000]]}},
        disturbances=[{"on_output": "press.hardness", "wander": "0.5 N"}],
        estimator="mhe",
        window=4,
        memory="2 min",
        initial={"x[1]": {"value": 0.1, "std": 0.2}},
    )
    s = law.specification
    assert s.batch is not None
    assert (s.batch.earliest, s.batch.latest, s.batch.value_per_hour) == (90.0, 150.0, -2.0)
    assert s.economic[0].value == pytest.approx(0.003)
    assert [u.period for u in s.manipulated] == [60.0, 60.0]
    assert law.options.start is not None
    assert law.options.start[0] == 0.1
    assert law.options.memory == 12
    assert [d.wander for d in law.model.disturbances] == [0.5]
    assert [(d.name, d.unit) for d in law.disturbances] == [("output.press.hardness", "N")]
    assert [n for n, _, _ in law.decisions] == ["harvest_time", "time_to_harvest"]


@pytest.mark.parametrize(
    ("changes", "where", "message"),
    [
        ({"engine": "hipm"}, "engine", "no engine 'hipm'"),
        ({"model": "nothing.yaml"}, "model", "no file"),
        ({"grid": [0, 1]}, "grid", "from 1 on"),
        ({"grid": [1, 2], "prediction_horizon": "10 min"}, "grid", "the horizon 60"),
        ({"economic": {"press.weight": {"value": 1}}}, "economic/press.weight", "no signal"),
        ({"economic": {GAP: {"value": 1, "at": "end"}}}, "economic", "value at the end"),
        ({"known": {GAP: {}}}, f"known/{GAP}", "known from nowhere"),
        ({"known": {GAP: {"profile": [[0, 2]], "signal": "recipe.gap"}}}, f"known/{GAP}", "from profile and signal"),
        (
            {"known": {GAP: {"profile_of": "recipe"}}},
            f"known/{GAP}/profile_of",
            "has a profile of 'press.gap_setpoint'",
        ),
        ({"known": {GAP: {"profile": [[1, 2], [0, 2]]}}}, f"known/{GAP}/profile", "have to rise"),
        ({"batch": {"duration": "1 h", "horizon": "0 s"}}, "batch/horizon", "greater than zero"),
        ({"known": {GAP: {"signal": "recipe.gab"}}}, f"known/{GAP}/signal", "no signal 'recipe.gab'"),
        ({"known": {GAP: {"profile": [[0, 2]]}}, "manipulated": {GAP: {}}}, "known", "known and manipulated"),
        ({"batch": {"duration": "1 h", "min_harvest": "1 h"}}, "batch", "one of min_harvest and max_harvest"),
        ({"batch": {"duration": "1 h", "min_harvest": "2 h", "max_harvest": "3 h"}}, "batch", "min_harvest <="),
        ({"disturbances": [{"on": GAP, "rate": "x[1]"}]}, "disturbances/0", "acts in one place"),
        ({"disturbances": [{"rate": "x[99]"}]}, "disturbances/0/rate", "no rate 'x"),
        ({"disturbances": [{"on_output": "press.hardness"}, {"on_output": "press.hardness"}]}, "disturbances", "tell"),
        ({"initial": {"x[99]": {"value": 1}}}, "initial/x", "no state"),
        ({"scenario_tree": [{"probability": 0.5, "changes": {"z": 1}}]}, "scenario_tree/0/changes/z", "no parameter"),
        (
            {"scenario_tree": [{"probability": 0.5, "changes": {"press.hardness": "1 %"}}] * 3},
            "scenario_tree",
            "sum of 1",
        ),
        ({"outside_domain": "refuse"}, "manipulated", "only known from"),
        ({"manipulated": {GAP: {"every": "0 s"}}}, f"manipulated/{GAP}/every", "greater than zero"),
    ],
)
def test_a_wrong_key_is_told_with_its_place(files: Path, changes: dict[str, Any], where: str, message: str) -> None:
    with pytest.raises(GalenicError, match=message) as caught:
        made(files, **{"engine": "casadi", **changes})
    assert str(caught.value.file).startswith(where.split("/", maxsplit=1)[0])
    assert str(caught.value.file).startswith(where)


def test_a_scenario_tree_reaches_the_law(files: Path) -> None:
    changes = {"press.hardness": "1 N", "fill_depth_setpoint": "-2 %"}
    controller = made(files, grid=[1, 1], scenario_tree=[{"probability": 0.2, "changes": changes}])
    assert isinstance(controller.law, NonlinearLaw)
    tree = controller.law.specification.tree
    assert tree is not None
    assert tree.probabilities == pytest.approx((0.8, 0.2))
    assert tree.uncertain == (("output", "press.hardness"), ("input", "press.fill_depth_setpoint"))
    assert tree.offsets[0] == (0.0, 0.0)
    assert tree.offsets[1] == pytest.approx((1.0, -0.02 * 6.55), rel=0.05)


def test_a_long_horizon_has_stages_that_grow() -> None:
    assert spaced(10) == [1] * 10
    lengths = spaced(180)
    assert sum(lengths) == 180
    assert len(lengths) == 24
    assert lengths[0] == 1
    assert lengths[-1] > 15


def test_a_horizon_recedes_until_the_harvest_comes_into_sight() -> None:
    horizon = Horizon(720.0, [1] * 24, 3600.0, Batch(230 * 3600.0, horizon=24 * 3600.0))
    assert horizon.counts == (1,) * 24
    for remaining, length in ((100.0, 24.0), (24.0, 24.0), (6.0, 6.0)):
        durations = horizon.durations(remaining * 3600.0)
        assert durations == pytest.approx([length / 24 * 3600.0] * 24)
    assert horizon.durations(0.0).min() > 0.0


def test_the_stages_of_a_batch_end_at_its_harvest() -> None:
    horizon = Horizon(3600.0, [1] * 10, 900.0, Batch(100 * 3600.0))
    assert horizon.counts[0] == 4
    for left in (100.0, 40.0, 10.0, 4.0, 0.5):
        durations = horizon.durations(left * 3600.0)
        assert durations.sum() == pytest.approx(left * 3600.0)
        assert (durations / np.array(horizon.counts)).max() <= 900.0 + 1e-9
    assert horizon.durations(40 * 3600.0)[:4].tolist() == [3600.0] * 4


def test_a_held_profile_is_averaged_over_a_stage() -> None:
    known = Profile((0.0, 10.0, 20.0), (1.0, 3.0, 5.0))
    ends = np.array([5.0, 15.0, 40.0])
    assert known.mean(np.r_[0.0, ends[:-1]], ends).tolist() == pytest.approx([1.0, 2.0, (5 * 3 + 20 * 5) / 25])
