"""Our units through both versions and both interfaces of the standard give one answer."""

from __future__ import annotations

import numpy as np
import pytest

import fmus
from cosim.fmu_archive import open_archive
from cosim.fmu_component import FmuComponent


def outputs(unit: str, fmi: int, interface: str, steps: int = 30, h: float = 1.0, **options) -> np.ndarray:
    component = FmuComponent(
        "unit", open_archive(fmus.build_fmu(fmus.unit_model(unit), fmi=fmi)), interface=interface, **options
    )
    try:
        component.initialize(0.0)
        rows = [component.output_values.copy()]
        for k in range(steps):
            for place, port in enumerate(component.inputs):
                # a little of everything moves
                start = port.start or 0.0
                component.input_values[place] = start if port.kind != "real" else start * (1.0 + 0.01 * np.sin(0.3 * k))
            component.do_step(k * h, h)
            rows.append(component.output_values.copy())
        return np.array(rows)
    finally:
        component.terminate()


@pytest.mark.parametrize("interface", ["co_simulation", "model_exchange"])
@pytest.mark.parametrize("unit", ["feed_frame", "loss_in_weight_feeder", "tablet_press"])
def test_fmi_2_and_3_agree(unit, interface):
    second, third = (outputs(unit, fmi, interface, event_mode=False) for fmi in (2, 3))
    assert third == pytest.approx(second, rel=1e-10, abs=1e-10)


@pytest.mark.parametrize("unit", ["feed_frame", "loss_in_weight_feeder"])
@pytest.mark.parametrize("fmi", [2, 3])
def test_event_mode_changes_nothing_but_who_handles_the_events(unit, fmi):
    ours, theirs = (outputs(unit, fmi, "co_simulation", event_mode=mode) for mode in (True, False))
    assert ours == pytest.approx(theirs, rel=1e-7, abs=1e-9)


def test_model_exchange_follows_co_simulation():
    """What a feed frame holds is a state; its outlet is a mean over the step in Co-Simulation alone."""
    whole = outputs("feed_frame", 2, "co_simulation")
    exchanged = outputs("feed_frame", 2, "model_exchange", tolerance=1e-9)
    names = [
        port.name for port in FmuComponent("unit", open_archive(fmus.build_fmu(fmus.unit_model("feed_frame")))).outputs
    ]
    held = [place for place, name in enumerate(names) if name.startswith("holdup")]
    assert held
    assert exchanged[:, held] == pytest.approx(whole[:, held], rel=1e-6)
