"""FMUs of every kind in a scenario file: what an engineer writes, and what is said when it does not fit."""

from __future__ import annotations

import pytest
from foreign_fmu import write_odd

from cosim import Simulation
from fmus.errors import GalenicError


@pytest.fixture
def odd(fmus):
    return write_odd(fmus / "odd.fmu", event_mode=True)


@pytest.mark.parametrize("way", ["", ", event_mode: true", ", interface: model_exchange", ", interface: co_simulation"])
def test_an_fmu_runs_through_the_interface_that_is_asked_for(scenario, odd, way):
    body = (
        "components:\n"
        "  lag: {fmu: lag.fmu}\n"
        f"  odd: {{fmu: odd.fmu, parameters: {{n: 3, gain: 4, text: hello}}, start: {{'u[3]': 1}}{way}}}\n"
        "connections:\n  - lag.y -> odd.u[1]\n  - lag.y -> odd.u[2]\n"
    )
    with Simulation(scenario(body)) as simulation:
        simulation.step(100)
        assert simulation.get("odd.length") == 5
        lagged, height = simulation.get("odd.u[1]"), simulation.get("odd.h")
        assert lagged == pytest.approx(0.62, abs=0.02)
        assert simulation.get("odd.y[2]") == pytest.approx(4.0 * lagged + height)
        assert simulation.get("odd.y[3]") == pytest.approx(4.0 + height)
        # 1.1 s lies 0.016 s behind the second bounce
        assert simulation.get("odd.bounces") == 1
        assert simulation.get("odd.ticks") == 3


@pytest.mark.parametrize(
    ("keys", "line", "message"),
    [
        ("parameters: {n: 2.5}", 7, "n is integer"),
        ("start: {'u[3]': 1}", 7, r"no variable that takes a start value 'u\[3\]'"),
        ("interface: co_sim", 7, "co_sim"),
        ("parameters: {blob: xyz}", 5, "'blob' is binary"),
        ("parameters: {n: 3}", 5, r"'a.u\[1\]' is not connected and has no start value"),
    ],
)
def test_what_does_not_fit_is_named_with_its_line(scenario, odd, keys, line, message):
    with (
        pytest.raises(GalenicError, match=message) as caught,
        Simulation(scenario(f"components:\n  a:\n    fmu: odd.fmu\n    {keys}\n")) as simulation,
    ):
        simulation.initialize()
    assert caught.value.cure
    assert caught.value.line in {line, 5}
