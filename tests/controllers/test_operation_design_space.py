from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from closed_loop import CONFIG, DESIGN_SPACE, controller, output, run
from synthetic_line import SyntheticLine

from controllers.design_space.space import DesignSpace
from controllers.surrogates.linear_surrogate import LinearSurrogate

FILL, GAP = "press.fill_depth_setpoint", "press.gap_setpoint"
REGION = """
region:
  kind: polytope
  domain:
    press.fill_depth_setpoint: {min: 5.8, max: 7.4, unit: mm}
    press.gap_setpoint: {min: 1.85, max: 2.35, unit: mm}
  rows:
    - {coefficients: {press.fill_depth_setpoint: 1, press.gap_setpoint: -2}, at_most: 2.45}
"""


@pytest.fixture
def with_region(surrogate: LinearSurrogate, tmp_path: Path) -> Path:
    """Files whose design space has an edge that is no range: fill depth - 2 gap <= 2.45 mm."""
    surrogate.save(tmp_path / "surrogate.yaml")
    text = DESIGN_SPACE.replace(
        "press.fill_depth_setpoint: {min: 5.8, max: 7.4", "press.fill_depth_setpoint: {min: 5.8, max: 6.2"
    )
    (tmp_path / "design_space.yaml").write_text(text.replace("{min: 1.85, max: 2.35", "{min: 1.9, max: 2.35") + REGION)
    return tmp_path


def test_a_reference_beyond_the_edge_is_followed_along_the_edge(with_region: Path) -> None:
    controlled = {**CONFIG["controlled"], "hardness": {"reference": "58 N"}}
    mpc = controller(with_region, controlled=controlled)
    history = run(mpc, SyntheticLine(), 400, observe=["design_space_margin", "rung"])
    edge = history[FILL] - 2.0 * history[GAP]
    assert edge.max() <= 2.45 + 1e-9
    assert edge[-1] == pytest.approx(2.45, abs=1e-3)
    assert history["design_space_margin"].min() >= -1e-9
    assert not history["rung"].any()
    assert history["press.tablet_weight"][-1] == pytest.approx(226.0, abs=1.0)  # what the edge leaves free is kept
    assert history["press.hardness"][-1] > 52.0
    here = np.array([history[u.name][-1] for u in mpc.law.inputs])
    plan = mpc.law.solve(4000.0, here, np.array([100.0, 226.0, 58.0, 50.0]))
    assert "design space" in {a.kind for a in plan.active}


def test_from_outside_it_comes_back_by_its_moves(with_region: Path) -> None:
    mpc = controller(with_region)
    law, outside = mpc.law, np.array([2.545, 24.575, 120000.0, 7.0, 2.0])
    assert DesignSpace.load(with_region / "design_space.yaml").margin({FILL: 7.0, GAP: 2.0}) < 0.0
    here = outside
    for _ in range(20):
        there = law.admissible(here, here)
        assert np.all(np.abs(there - here) <= np.array([u.max_move for u in law.inputs]) + 1e-12)
        here = there
    assert here[3] - 2.0 * here[4] <= 2.45 + 1e-9
    assert mpc.shell.law.inside(outside)[3] - 2.0 * mpc.shell.law.inside(outside)[4] <= 2.45 + 1e-9


def test_where_the_edge_does_not_bind_nothing_changes(with_region: Path, files: Path) -> None:
    inside, free = controller(with_region), controller(files)
    first, second = (run(c, SyntheticLine(density=1.01), 100) for c in (inside, free))
    assert (first[FILL] - 2.0 * first[GAP]).max() < 2.45 - 1e-3
    np.testing.assert_allclose(first["press.tablet_weight"], second["press.tablet_weight"], rtol=1e-5)
    assert output(inside, "design_space_margin") > 0.0
