"""The tablet line's MPC keeps every setpoint inside a design space that is no box, and off its edge by the back-off."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from controllers.design_space import DesignSpace
from cosim import Simulation
from galenic import session

BOX = "scenarios/design_spaces/tablet_line.yaml"
POLYTOPE = """\
region:
  kind: polytope
  domain: {press.fill_depth_setpoint: {min: 6.0, max: 7.5, unit: mm},
           press.gap_setpoint: {min: 1.85, max: 2.35, unit: mm}}
  rows:
    - {coefficients: {press.fill_depth_setpoint: 1, press.gap_setpoint: 1}, at_most: 8.83}
"""
#: Logit 6 - 40 (z1^2 + z2^2) about 6.65 mm and 2.1 mm: less than a fifth of the ranges.
PROBABILITY = """\
region:
  kind: probability
  at_least: 0.9
  confidence: 0.5
  domain: {press.fill_depth_setpoint: {min: 6.15, max: 7.15, unit: mm},
           press.gap_setpoint: {min: 1.9, max: 2.3, unit: mm}}
  coefficients: [6, 0, 0, -40, 0, -40]
  covariance: [[0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0],
               [0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0]]
"""
BACK_OFF = "back_off: {region: 0.5, attributes: {press.hardness: {low: 2, high: 2, unit: N}}}\n"


def space_file(folder: Path, region: str, back_off: str) -> Path:
    text = (Path(__file__).parents[2] / BOX).read_text(encoding="utf-8")
    narrow = {"press.fill_depth_setpoint": "{min: 6.55, max: 6.7, unit: mm}",
              "press.gap_setpoint": "{min: 2.08, max: 2.11, unit: mm}"}  # fmt: skip
    lines = []
    for line in text.splitlines():
        name = line.strip().partition(":")[0]
        lines.append(f"  {name}: {narrow[name]}" if name in narrow else line)
    file = folder / "space.yaml"
    file.write_text("\n".join([*lines, region, back_off]), encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("region", "back_off"),
    [(POLYTOPE, ""), (PROBABILITY, ""), (PROBABILITY, BACK_OFF)],
    ids=["polytope", "P", "back-off"],
)
def test_every_setpoint_is_inside(tmp_path: Path, region: str, back_off: str) -> None:
    file = space_file(tmp_path, region, back_off)
    space = DesignSpace.load(file)
    kept_off = space.back_off.region if space.back_off else 0.0
    scenario = session.load("tablet_line", None, [f"controllers.mpc.design_space={file.as_posix()}",
                                                  "controllers.mpc.start_after=1 min"])  # fmt: skip
    names = ("press.fill_depth_setpoint", "press.gap_setpoint")
    margins, shown, touched = [], [], 0
    with Simulation(scenario, seed=5) as simulation:
        simulation.step(300)  # the way back inside is limited by the moves
        for _ in range(90):
            simulation.step(10)
            assert simulation.get("mpc.active") == 1.0
            values = {name: simulation.get(name) for name in names}
            margins.append(space.margin(values) - kept_off)
            shown.append(simulation.get("mpc.design_space_margin"))
            touched += margins[-1] < 0.02
    assert min(margins) >= -1e-6
    assert min(shown) <= 0.5
    assert touched > 0 or region is not POLYTOPE  # it binds there, as the line wants more than 8.83 mm
    assert np.isfinite(shown).all()
