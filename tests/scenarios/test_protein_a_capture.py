"""Surge tank -> three-column capture: nothing is lost on the way, columns switch in turn, drift and titre matter."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cosim import load_scenario, simulate

LEFT = ("eluted.mab", "lost.flow_through", "lost.buffers", "holdup.mab")


def test_the_harvest_is_captured_and_accounted_for(tmp_path: Path) -> None:
    results = simulate(load_scenario("protein_a_capture"), out=tmp_path / "run", seed=2)
    names = ["surge_tank.outlet.flow", "surge_tank.outlet.mab", "surge_tank.holdup.mab"]
    names += [f"capture.{name}" for name in ("loaded.mab", *LEFT, "eluate.flow", "eluate.mab")]
    names += [
        f"capture.{name}" for name in ("yield", "switch_count", "late_count", "productivity", "resin_utilisation")
    ]
    frame = results.frame(names)
    at = {name: frame[name].to_numpy() for name in names}
    hours = 30.0 / 3600.0

    loaded = at["capture.loaded.mab"][-1]
    # what the tank sent in the last step is on its way
    sent = hours * float(np.sum((at["surge_tank.outlet.flow"] * at["surge_tank.outlet.mab"])[1:-1]))
    assert sent == pytest.approx(loaded, rel=1e-9)
    assert sum(at[f"capture.{name}"][-1] for name in LEFT) == pytest.approx(loaded, rel=1e-9)
    pooled = hours * float(np.sum((at["capture.eluate.flow"] * at["capture.eluate.mab"])[1:]))
    assert pooled == pytest.approx(at["capture.eluted.mab"][-1], rel=1e-9)

    assert at["capture.switch_count"][-1] >= 9
    assert at["capture.late_count"][-1] == 0
    assert at["capture.yield"][-1] > 98.0
    assert 80.0 < at["capture.resin_utilisation"][-1] < 95.0
    assert 10.0 < at["capture.productivity"][-1] < 25.0
