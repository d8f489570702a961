"""Manual mode and cascades in a scenario, on the press."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cosim import Simulation
from galenic.session import load

Write = Callable[..., Path]

ACTIONS = """\
actions:
  - {at: 60 s, set: {force_loop.manual.active: 1}}
  - {at: 90 s, set: {force_loop.manual.value: 6.9 mm}}
  - {at: 120 s, set: {force_loop.manual.active: 0}}

kpis:
"""


def test_an_action_takes_a_loop_in_hand_and_gives_it_back_without_a_bump(write: Write) -> None:
    file = write(
        ("duration: 2 min", "duration: 10 min"), ("kpis:\n", ACTIONS), ("{at: 1 min, by: 5 %}", "{at: 1 h, by: 5 %}")
    )
    depth = []
    with Simulation(load(str(file)), without=["fixed_depth"]) as simulation:
        for _ in range(600):
            simulation.step()
            depth.append(simulation.get("press.fill_depth_setpoint"))
    held = depth[65]
    assert depth[62:90] == [held] * 28
    assert depth[92:120] == [6.9] * 28
    assert abs(depth[122] - 6.9) < 0.05  # one step of the integral, no jump back
    assert abs(depth[-1] - held) < 0.05
    assert abs(depth[-1] - 6.9) > 0.1
