"""A recipe plays its profiles, drives inputs, and is checked when it is read."""

from __future__ import annotations

from typing import Any

import pytest
from closed_loop import output
from synthetic_line import Context

from controllers.regulatory.recipe import RecipeController
from cosim.component import Controller, Port
from fmus.errors import GalenicError

FEED = "tank.feed"
CONFIG: dict[str, Any] = {
    "type": "recipe",
    "period": "12 min",
    "profiles": {
        FEED: [["0 h", "8 L/h"], ["1 h", "15 L/h"], ["1.5 h", "0.1 L/min"]],
        "by_recipe": [[0, 1], ["2 h", 0]],
    },
}


def make(**changes: Any) -> RecipeController:
    extra = {FEED: Port("feed", "L/h", 0.0, 0.0, 100.0)}
    return RecipeController.from_config("recipe", {**CONFIG, **changes}, Context(extra=extra).context)


def test_each_value_holds_until_the_next_ones_time() -> None:
    recipe = make()
    assert isinstance(recipe, Controller)
    played = []
    for k in range(12):
        recipe.do_step(k * 720.0, 720.0)
        played.append((output(recipe, FEED), output(recipe, "by_recipe")))
    # 1 h is the fifth execution; 1.5 h lies between the seventh and the eighth
    assert [feed for feed, _ in played] == pytest.approx([8.0] * 5 + [15.0] * 3 + [6.0] * 4)
    assert [by for _, by in played] == [1.0] * 10 + [0.0] * 2


def test_only_profiles_of_inputs_drive_something() -> None:
    recipe = make(units={"by_recipe": "1"})
    assert recipe.writes == (FEED, None)
    assert [p.unit for p in recipe.outputs] == ["L/h", "1"]
    assert recipe.output_values.tolist() == [8.0, 1.0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"profiles": {FEED: []}}, "empty"),
        ({"profiles": {FEED: [["1 h", "8 L/h"]]}}, "begins at 1 h"),
        ({"profiles": {FEED: [["0 h", "8 L/h"], ["0 h", "9 L/h"]]}}, "does not come after"),
        ({"profiles": {FEED: [["0 h", "800 L/h"]]}}, "outside 0 to 100"),
        ({"profiles": {FEED: [["0 h", "8 kg"]]}}, "cannot be converted"),
        ({"profiles": {"tank.fed": [["0 h", "8 L/h"]]}}, "tank.fed"),
        ({"units": {"other": "L/h"}}, "no profile"),
        ({"units": {FEED: "L/h"}}, "its own unit"),
        ({"period": "7.5 s"}, "multiple"),
    ],
)
def test_what_is_wrong_is_said(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(GalenicError, match=message):
        make(**changes)
