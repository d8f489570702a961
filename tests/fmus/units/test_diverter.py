"""The diverter: it sends everything one way or the other, in the time of its travel, in both kinds of FMU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import fmpy
import numpy as np
import pytest

import fmus

Drive = Callable[..., Any]
FLOW = 27.12 / 3600


def command(flap: Any, divert: bool) -> None:
    flap.fmu.setBoolean([flap.reference("divert")], [divert])


def test_a_command_moves_the_flap_in_its_travel_time(drive: Drive) -> None:
    flap = drive("diverter").start()
    flap.step(10.0)
    assert flap.get("rejected_total.mass") == 0.0
    command(flap, True)
    flap.step(10.0)
    # linear travel of 0.5 s: in it half of the stream is still accepted
    assert flap.get("accepted_total.mass") == pytest.approx(FLOW * 10.25, rel=1e-8)
    assert flap.get("position") == 1.0
    assert flap.get("flap_motion") == 0
    command(flap, False)
    flap.step(10.0)
    assert flap.get("rejected_total.mass") == pytest.approx(FLOW * 10.0, rel=1e-8)
    assert flap.get("position") == 0.0


def test_a_command_that_is_taken_back_turns_the_flap_on_its_way(drive: Drive) -> None:
    flap = drive("diverter").start()
    command(flap, True)
    flap.step(0.2)
    assert flap.get("position") == pytest.approx(0.4)
    command(flap, False)
    flap.step(0.1)
    assert flap.get("position") == pytest.approx(0.2)
    flap.step(1.0)
    assert flap.get("position") == 0.0


def test_what_arrives_leaves_with_its_composition(drive: Drive) -> None:
    flap = drive("diverter").start(inlet__api_fraction=0.3, travel_time=2.0)
    sent = np.zeros(2)
    for k in range(40):
        command(flap, k % 7 > 3)
        flap.step(0.7)
        for stream in ("accepted", "rejected"):
            flow = flap.get(f"{stream}.mass_flow")
            assert flow >= 0.0
            assert flap.get(f"{stream}.api_fraction") == pytest.approx(0.3, rel=1e-9)
            assert flap.get(f"{stream}.bulk_density") == pytest.approx(480.0, rel=1e-9)
            sent += 0.7 * flow * np.array([1.0, 0.3])
    assert sent == pytest.approx(FLOW * 28.0 * np.array([1.0, 0.3]), rel=1e-9)
    totals = [sum(flap.get(f"{s}_total.{k}") for s in ("accepted", "rejected")) for k in ("mass", "api_mass")]
    assert totals == pytest.approx(sent, rel=1e-9)


@pytest.mark.parametrize("fmi", [2, 3])
def test_model_exchange_moves_at_events_too(fmi: int) -> None:
    signal = np.array([(0.0, False), (5.0, True), (9.0, False)], dtype=[("time", float), ("divert", bool)])
    file = str(fmus.build_fmu(fmus.unit_model("diverter"), fmi=fmi))
    outputs = ["accepted_total.mass", "rejected_total.mass"]
    kinds = {}
    for kind in ("ModelExchange", "CoSimulation"):
        result = fmpy.simulate_fmu(
            file,
            fmi_type=kind,
            input=signal,
            stop_time=20.0,
            output_interval=0.5,
            relative_tolerance=1e-8,
            output=outputs,
        )
        kinds[kind] = [float(result[name][-1]) for name in outputs]
    assert kinds["ModelExchange"] == pytest.approx(kinds["CoSimulation"], rel=1e-5)
    assert kinds["ModelExchange"][1] == pytest.approx(FLOW * 4.0, rel=1e-5)


def test_the_flap_stops_at_its_end_though_a_step_ends_just_there(drive: Drive) -> None:
    flap = drive("diverter").start()
    command(flap, True)
    positions = []
    for _ in range(14):
        flap.step(0.05)
        positions.append(flap.get("position"))
    np.testing.assert_allclose(positions, np.minimum(0.1 * np.arange(1, 15), 1.0), atol=1e-9)
