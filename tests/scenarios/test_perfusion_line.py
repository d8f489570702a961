"""The bioreactor line: medium -> perfused bioreactor -> surge tank, with its loops and disturbances."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cosim import load_scenario, simulate

FLOWS = ("media_tank.outlet.flow", "reactor.harvest.flow", "reactor.bleed.flow", "surge_tank.outlet.flow")


def test_perfusion_holds_its_cells_and_loses_nothing_on_the_way(tmp_path: Path) -> None:
    results = simulate(load_scenario("perfusion_line"), out=tmp_path / "run", seed=3)
    streams = ("reactor.harvest", "reactor.bleed", "surge_tank.outlet")
    names = [*FLOWS, *(f"{s}.mab" for s in streams), "surge_tank.outlet.glucose", "media_tank.holdup.volume"]
    names += ["reactor.holdup.mab", "surge_tank.holdup.mab", "reactor.holdup.volume", "surge_tank.holdup.volume"]
    names += ["reactor.produced.mab", "reactor.added.base", "reactor.viable_cell_density", "reactor.oxygen"]
    frame = results.frame(names)
    hours = 5.0 / 60.0
    at = {name: frame[name].to_numpy() for name in names}

    def moved(stream: str, last: int | None = None) -> float:
        """Antibody that a stream has carried, up to the step ``last``."""
        return hours * float(np.sum((at[f"{stream}.flow"] * at[f"{stream}.mab"])[1:last]))

    produced = at["reactor.produced.mab"][-1]
    assert produced > 10.0
    # what the harvest carried in the last step is on its way
    kept = at["reactor.holdup.mab"][-1] + moved("reactor.bleed") + moved("reactor.harvest")
    assert kept == pytest.approx(produced, rel=1e-9)
    passed = at["surge_tank.holdup.mab"][-1] + moved("surge_tank.outlet")
    assert passed == pytest.approx(moved("reactor.harvest", -1), rel=1e-9)

    given = hours * float(np.sum(at["media_tank.outlet.flow"][1:-1])) + at["reactor.added.base"][-1]
    left = hours * float(np.sum((at["reactor.harvest.flow"] + at["reactor.bleed.flow"])[1:]))
    change = at["reactor.holdup.volume"][-1] - at["reactor.holdup.volume"][0]
    assert given - left == pytest.approx(change, abs=1e-9 * given)

    cells = at["reactor.viable_cell_density"][frame.index.to_numpy() > 10 * 86400]
    assert np.mean(cells) == pytest.approx(20e6, rel=0.01)
    assert np.std(cells) < 0.03 * 20e6
    # the oxygen probe drifts by 5 % and takes the true value along
    assert at["reactor.oxygen"][-1] == pytest.approx(35.0, abs=0.7)
