"""References known in advance, and the condition at which an MPC begins, on the synthetic line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from closed_loop import CONFIG, feed, make_surrogate, output, run, write_files
from estimation_cases import culture
from synthetic_line import INPUTS, Context, SyntheticLine

from controllers.estimation import Channel
from controllers.mpc import MPCController
from controllers.nonlinear.law import LawOptions, NonlinearLaw
from controllers.nonlinear.specification import Controlled, Manipulated, Specification
from controllers.operation.law import Plan
from controllers.operation.reasons import StepReason
from controllers.operation.schedule import ReferenceSchedule, by_stage
from controllers.regulatory.recipe import RecipeController
from cosim.component import ControllerContext, Port
from fmus.errors import GalenicError

WEIGHT = "press.tablet_weight"
STEP_AT = 900.0


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_files(tmp_path_factory.mktemp("preview"), make_surrogate())


def context(directory: Path) -> ControllerContext:
    """The line's, with a recipe that asks for 228 mg from `STEP_AT` on, in g."""
    base = Context(directory, {"shift.weight": Port("weight", "g", 0.226)}).context
    profile = {"type": "recipe", "period": "10 s", "units": {"weight": "g"}}
    profile |= {"profiles": {"weight": [["0 s", "226 mg"], [f"{STEP_AT} s", "228 mg"]]}}
    recipe = RecipeController.from_config("shift", profile, base)
    return replace(base, find_schedule=lambda s: recipe.schedule("weight") if s == "shift.weight" else None)


def config(reference: Any = "shift.weight", **weight: Any) -> dict[str, Any]:
    controlled = {**CONFIG["controlled"], "tablet_weight": {"reference": reference, **weight}}
    return {**CONFIG, "controlled": controlled}


def built(directory: Path, section: dict[str, Any]) -> MPCController:
    return MPCController.from_config("mpc", section, context(directory))


def test_a_profile_is_previewed_in_the_outputs_unit(directory: Path) -> None:
    schedules = built(directory, config(preview=True)).border.schedules
    (known,) = [s for s in schedules if s is not None]
    assert [s is not None for s in schedules] == [False, True, False, False]
    np.testing.assert_allclose(known.at(np.array([0.0, 899.9, 900.0, 5000.0])), [226.0, 226.0, 228.0, 228.0])


def test_without_the_key_nothing_is_previewed(directory: Path) -> None:
    assert not any(built(directory, config()).border.schedules)


@pytest.mark.parametrize("reference", ["226 mg", "weight_check.value", None])
def test_what_nobody_knows_in_advance_is_refused_with_a_cure(directory: Path, reference: str | None) -> None:
    with pytest.raises(GalenicError, match="nothing to preview") as error:
        built(directory, config(reference, preview=True, limits=["219 mg", "233 mg"]))
    assert "profile of a recipe" in error.value.cure
    assert str(error.value.file).endswith("preview")


def test_values_to_come_that_make_no_sense_are_replaced_by_the_present_one() -> None:
    schedule = ReferenceSchedule(np.array([0.0, 10.0]), np.array([1.0, 1e9]))
    table = by_stage([schedule, None], np.array([1.0, 5.0]), np.array([5.0, 15.0]), np.zeros(2), np.full(2, 100.0))
    np.testing.assert_array_equal(table, [[1.0, 1.0], [5.0, 5.0]])


def test_the_same_reference_at_each_stage_is_that_reference(directory: Path) -> None:
    law = built(directory, config()).law
    previous = np.array([INPUTS[u.name][1] for u in law.inputs])
    law.initialize(0.0, previous)
    references = np.array([100.0, 226.5, 51.0, 50.0])
    one = law.solve(0.0, previous, references)
    law.reset()
    stages = len(law.instants(0.0))
    many = law.solve(0.0, previous, np.tile(references[:, None], stages))
    np.testing.assert_allclose(many.inputs, one.inputs, rtol=1e-9)
    np.testing.assert_allclose(many.target_outputs, one.target_outputs, rtol=1e-9)


def test_the_target_is_that_of_the_last_stage_and_the_parts_still_add_up(directory: Path) -> None:
    law = built(directory, config()).law
    previous = np.array([INPUTS[u.name][1] for u in law.inputs])
    law.initialize(0.0, previous)
    references = np.tile(np.array([[100.0], [226.0], [51.0], [50.0]]), len(law.instants(0.0)))
    references[1, 20:] = 228.0
    plan = law.solve(0.0, previous, references)
    assert plan.target_outputs[[y.name for y in law.outputs].index(WEIGHT)] == pytest.approx(228.0, abs=1e-3)
    np.testing.assert_allclose(sum(plan.parts.values()), plan.inputs[0] - previous, atol=1e-9)
    assert law.backup(previous, references) is not None


def test_the_nonlinear_law_moves_before_a_reference_changes_and_aims_at_the_last_one() -> None:
    feed = Manipulated("feed", (0.05, 0.28), 0.1, "1/h", max_move=0.03, weight_move=0.05)
    asked = Specification((Controlled("substrate", 2.0),), (feed,))
    probes = [Channel("substrate", 0.05), Channel("od", 0.3)]
    law = NonlinearLaw(culture().process, asked, probes, options=LawOptions(grid=[1] * 12, engine="casadi"))
    u = np.array([0.15])

    def plan(references: np.ndarray) -> Plan:
        law.initialize(0.0, u)
        found = law.solve(0.0, u, references)
        assert found.usable, found.message
        return found

    stages = len(law.instants(0.0))
    now, later = plan(np.array([2.0])), plan(np.full((1, stages), 2.0))
    np.testing.assert_allclose(later.inputs, now.inputs, atol=1e-9)
    changing = np.full((1, stages), 2.0)
    changing[0, 6:] = 4.0
    ahead = plan(changing)
    substrate = [y.name for y in law.outputs].index("substrate")
    assert ahead.target_outputs[substrate] == pytest.approx(4.0, abs=0.05)
    assert np.abs(ahead.inputs - now.inputs)[:6].max() > 1e-3
    assert law.backup(u, changing) is not None


def test_the_plant_is_nearer_to_a_scheduled_reference_with_preview(directory: Path) -> None:
    def squared(preview: bool) -> float:
        mpc, line = built(directory, config(preview=preview)), SyntheticLine()
        at = [p.name for p in mpc.inputs].index("tablet_weight.setpoint")

        def asked(k: int, _plant: SyntheticLine) -> None:
            mpc.input_values[at] = 0.226 if 10.0 * k < STEP_AT else 0.228

        mpc.reads = [None if i == at else signal for i, signal in enumerate(mpc.reads)]
        weight = run(mpc, line, 150, before=asked)[WEIGHT]
        reference = np.where(10.0 * np.arange(150) < STEP_AT, 226.0, 228.0)
        return float(((weight - reference)[60:] ** 2).sum())

    assert squared(True) < 0.7 * squared(False)


def test_a_linear_law_tells_that_the_plant_it_is_of_has_gone(directory: Path, tmp_path: Path) -> None:
    notes = {"model_digest": "0", "scenario_file": "gone.yaml"}
    write_files(tmp_path, replace(make_surrogate(), provenance=notes))
    assert built(directory, CONFIG).notices == ()
    (notice,) = built(tmp_path, CONFIG).notices
    assert "gone.yaml" in notice


def stepped(mpc: MPCController, level: float, k: int) -> tuple[float, float]:
    """Whether it drives, and why, after one execution with a level as measured."""
    names = ("force_sensor", "level_sensor", "nir", "weight_check", "hardness_check")
    values = dict(zip((f"{n}.value" for n in names), (6.0, level, 100.0, 226.0, 51.0), strict=True))
    feed(mpc, values | {f"{n}.sample": float(k) for n in names})
    mpc.do_step(10.0 * k, 10.0)
    return output(mpc, "active"), output(mpc, "reason")


def test_it_begins_when_its_condition_has_held_once_and_goes_on(directory: Path) -> None:
    mpc = built(directory, {**CONFIG, "enable": "level_sensor.value > 40 % and time > 15 s"})
    waiting, solved = (0.0, StepReason.WAITING), (1.0, StepReason.SOLVED)
    assert stepped(mpc, 50.0, 0) == waiting
    assert stepped(mpc, 30.0, 1) == waiting
    assert stepped(mpc, 30.0, 2) == waiting
    kept = mpc.state()
    assert stepped(mpc, 50.0, 3) == solved
    assert stepped(mpc, 30.0, 4)[0] == 1.0
    later = mpc.state()
    mpc.restore(kept)
    assert stepped(mpc, 30.0, 3) == waiting
    mpc.restore(later)
    assert stepped(mpc, 30.0, 5)[0] == 1.0


def test_switched_off_and_on_it_asks_its_condition_again(directory: Path) -> None:
    mpc = built(directory, {**CONFIG, "enable": "level_sensor.value > 40 %"})
    assert stepped(mpc, 50.0, 0)[0] == 1.0
    at = [p.name for p in mpc.inputs].index("mode")
    mpc.input_values[at] = 0.0
    assert stepped(mpc, 50.0, 1)[0] == 0.0
    mpc.input_values[at] = 3.0
    assert stepped(mpc, 30.0, 2)[0] == 0.0
    assert stepped(mpc, 50.0, 3)[0] == 1.0


def test_a_condition_is_not_fulfilled_by_a_missing_value(directory: Path) -> None:
    mpc = built(directory, {**CONFIG, "enable": "not level_sensor.value < 40 %"})
    assert stepped(mpc, float("nan"), 0)[0] == 0.0
    assert stepped(mpc, 50.0, 1)[0] == 1.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("level_sensor.value", "is no condition"),
        ("level_sensor.valu > 40 %", "no signal 'level_sensor.valu'"),
        ("level_sensor.value > 40 kg", "kg"),
    ],
)
def test_a_condition_that_makes_no_sense_is_refused(directory: Path, text: str, message: str) -> None:
    with pytest.raises(GalenicError, match=message) as error:
        built(directory, {**CONFIG, "enable": text})
    assert error.value.cure
    assert str(error.value.file).endswith("enable")
