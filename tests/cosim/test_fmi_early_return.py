"""FMI 2.0 steps that are broken off: gone on with from where they came, an error where they came nowhere."""

from __future__ import annotations

import pytest
from lag_fmu import MIXED, description, write_fmu

from cosim.fmu_archive import open_archive
from cosim.fmu_component import FmuComponent
from fmus.errors import GalenicError

STOPS = "".join(
    f'<ScalarVariable name="{name}" valueReference="{reference}" causality="parameter" variability="fixed">'
    '<Real start="1e300"/></ScalarVariable>'
    for name, reference in (("discard_at", 6), ("stuck_at", 7))
)


@pytest.fixture(params=["real", "mixed"])
def archive(request, tmp_path):
    variables = MIXED if request.param == "mixed" else None
    xml = description(variables) if variables else description()
    return open_archive(
        write_fmu(tmp_path / "lag.fmu", xml=xml.replace("</ModelVariables>", STOPS + "</ModelVariables>"))
    )


def lagged(component: FmuComponent) -> float:
    return float(component.output_values[0])


def test_a_step_that_was_broken_off_is_gone_on_with(archive):
    component = FmuComponent("lag", archive, {"discard_at": 0.25, "u": 1.0})
    component.initialize(0.0)
    component.do_step(0.0, 0.2)
    component.do_step(0.2, 0.2)
    # explicit Euler with the steps 0.2, 0.05, 0.15
    assert lagged(component) == pytest.approx(1.0 - 0.8 * 0.95 * 0.85, rel=1e-14)
    component.terminate()


def test_advance_tells_how_far_it_came(archive):
    component = FmuComponent("lag", archive, {"discard_at": 0.25, "u": 1.0})
    component.initialize(0.0)
    assert component.advance(0.0, 0.2) is None
    assert component.advance(0.2, 0.2) == 0.25
    assert component.advance(0.25, 0.15) is None
    component.terminate()


def test_a_native_loop_goes_on_with_resume(archive):
    """As the kernel does it: it steps by itself, and asks for help where a step was broken off."""
    component = FmuComponent("lag", archive, {"discard_at": 0.25, "u": 1.0})
    component.initialize(0.0)
    step, handle = component.instance.function("DoStep"), component.instance.handle
    assert step(handle, 0.0, 0.2, 1) == 0
    assert step(handle, 0.2, 0.2, 1) == 2
    component.resume(None, 0.4)
    assert lagged(component) == pytest.approx(1.0 - 0.8 * 0.95 * 0.85, rel=1e-14)
    component.terminate()


def test_a_step_that_comes_nowhere_is_an_error_with_its_time(archive):
    component = FmuComponent("lag", archive, {"stuck_at": 0.25})
    component.initialize(0.0)
    component.do_step(0.0, 0.2)
    with pytest.raises(GalenicError, match=r"'lag' failed at t = 0\.2 s \(fmi2DoStep: fmi2Discard\)") as caught:
        component.do_step(0.2, 0.2)
    assert caught.value.cure
    component.terminate()
