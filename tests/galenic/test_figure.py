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
