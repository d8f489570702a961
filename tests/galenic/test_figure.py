from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from galenic import session
from galenic.events import events_of
from galenic.panels import panels_of


@pytest.fixture
def outcome(write: Callable[..., Path]) -> tuple[session.Outcome, object]:
    scenario = session.load(str(write()))
    return session.run_quietly(scenario, Path("run"), without=("fixed_depth",)), scenario


def test_the_figure_is_a_png_of_a_size_for_a_report(outcome: tuple[session.Outcome, object]) -> None:
    result, scenario = outcome
    file = session.draw_run(result, scenario)  # type: ignore[arg-type]
    header = file.read_bytes()[:24]
    assert header[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", header[16:24])
    assert 1200 <= width <= 2400
    assert 600 <= height <= 3600


def test_without_a_plot_section_every_quality_attribute_has_a_panel(outcome: tuple[session.Outcome, object]) -> None:
    result, scenario = outcome
    weight, hardness = panels_of(scenario, result.results.units)  # type: ignore[arg-type]
    assert weight.limits == pytest.approx((214.7, 237.3))
    assert weight.target == 226.0
    assert hardness.limits == (30.0, float("inf"))


def test_a_panel_shows_its_limits_in_its_own_unit(write: Callable[..., Path]) -> None:
    file = write()
    file.write_text(
        file.read_text(encoding="utf-8")
        + "\nplot:\n  - {title: Tablet, signals: [press.tablet_weight, fixed_depth.active], unit: g}\n",
        encoding="utf-8",
    )
    scenario = session.load(str(file))
    (panel,) = panels_of(scenario, {"press.tablet_weight": "mg"})
    assert panel.signals == ("press.tablet_weight",)
    assert panel.target == pytest.approx(0.226)
    assert panel.limits == pytest.approx((0.2147, 0.2373))


def test_a_step_of_the_scenario_is_an_event(outcome: tuple[session.Outcome, object]) -> None:
    result, scenario = outcome
    (event,) = events_of(scenario, result.results)  # type: ignore[arg-type]
    assert event.time == 60.0
    assert "bulk density" in event.kind


def test_an_action_is_an_event_when_it_begins_and_when_it_ends(write: Callable[..., Path]) -> None:
    file = write()
    text = file.read_text(encoding="utf-8")
    file.write_text(
        text
        + "\nactions:\n  - {name: slow_press, at: 20 s, lasting: 30 s, set: {press.turret_speed_setpoint: 1e5 1/h}}\n",
        encoding="utf-8",
    )
    scenario = session.load(str(file))
    results = session.run_quietly(scenario, Path("run"), without=("fixed_depth",)).results
    found = {event.kind: event.time for event in events_of(scenario, results)}
    assert found["slow press"] == 20.0
    assert found["slow press ends"] == 50.0


def test_a_panel_takes_patterns_and_elements_of_arrays(write: Callable[..., Path]) -> None:
    file = write()
    text = file.read_text(encoding="utf-8")
    units = {"a.flow[1]": "g/s", "a.flow[2]": "g/s", "a.mass": "g", "b.flow[1]": "g/s"}
    plot = "\nplot:\n  - {title: flows, signals: ['a.flow*']}\n  - {title: first, signals: ['b.flow*', 'a.flow[1]']}\n"
    file.write_text(text + plot, encoding="utf-8")
    flows, first = panels_of(session.load(str(file)), units)
    assert flows.signals == ("a.flow[1]", "a.flow[2]")
    assert first.signals == ("b.flow[1]", "a.flow[1]")
