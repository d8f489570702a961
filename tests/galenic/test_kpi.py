from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from cosim import Scenario
from fmus.errors import GalenicError
from galenic.balance import balance_errors
from galenic.indicator import Kpi, format_value
from galenic.kpi import compute, share_outside, weighted_mean_and_sd
from galenic.kpi_section import BalanceSection, kpi_section

UNITS = {"p.weight": "mg", "p.claim": "%", "p.tablets": "1", "p.mass": "g", "c.time": "s", "c.failures": "1"}


def values(frame: pd.DataFrame, wall_time: float | None = None, **kpis: Any) -> dict[str, Kpi]:
    scenario = Scenario.from_mapping(
        {
            "scenario": "galenic/1",
            "duration": "1 h",
            "communication_step": "1 s",
            "components": {"p": {"unit": "tablet_press"}},
            "kpis": kpis,
        }
    )
    return {k.name: k for k in compute(scenario, kpi_section(scenario), frame, UNITS, wall_time)}


def frame_of(time: list[float], **columns: list[float]) -> pd.DataFrame:
    data = {name.replace("__", "."): np.array(column) for name, column in columns.items()}
    return pd.DataFrame(data, index=pd.Index(time, name="time"))


PRODUCT = {"tablets": "p.tablets", "mass": "p.mass", "warm_up": "1 s"}


def test_averages_weigh_each_record_by_the_tablets_made_in_it_after_the_warm_up() -> None:
    frame = frame_of([0, 1, 2, 3], p__weight=[500, 400, 100, 110], p__tablets=[0, 10, 40, 50])
    kpis = values(frame, product={"tablets": "p.tablets", "warm_up": "1 s"},
                  quality={"weight": {"signal": "p.weight", "target": "0.1 g"}})  # fmt: skip
    assert kpis["weight_mean"].value == pytest.approx(102.5)
    assert kpis["weight_rsd"].value == pytest.approx(100 * math.sqrt(0.25 * 0.75) * 10 / 102.5)
    assert kpis["weight_offset"].value == pytest.approx(2.5)
    assert kpis["weight_rmse"].value == pytest.approx(math.sqrt(0.25) * 10)
    assert kpis["tablets"].value == 50


def test_without_a_counter_averages_weigh_time() -> None:
    frame = frame_of([0, 1, 4], p__weight=[9, 1, 3])
    assert values(frame, quality={"w": {"signal": "p.weight"}})["w_mean"].value == pytest.approx((1 + 3 * 3) / 4)


def test_out_of_limits_is_the_normal_distribution_beyond_the_limits_times_the_tablets_made() -> None:
    frame = frame_of([1, 2], p__weight=[100, 103], p__tablets=[0, 1000])
    weight = {"signal": "p.weight", "target": 100, "limits": "5 %", "tablet_cv": "2 %"}
    kpis = values(frame, product={"tablets": "p.tablets"}, quality={"weight": weight})
    expected = norm.cdf(95, 103, 2.06) + norm.sf(105, 103, 2.06)
    assert kpis["weight_tablets_out_of_limits"].value == pytest.approx(1000 * expected)
    assert kpis["weight_out_of_limits"].value == pytest.approx(100 * expected)


def test_limits_about_a_target_in_percent_are_relative_where_one_number_and_absolute_where_two() -> None:
    frame = frame_of([1, 2], p__claim=[100, 100], p__tablets=[0, 100])
    for limits in ("5 %", ["95 %", "105 %"], [95, 105]):
        kpis = values(frame, product={"tablets": "p.tablets", "tablet_cv": "2.5 %"},
                      quality={"claim": {"signal": "p.claim", "target": "100 %", "limits": limits}})  # fmt: skip
        assert kpis["claim_out_of_limits"].value == pytest.approx(100 * 2 * norm.sf(2.0))


def test_the_worst_attribute_of_each_time_counts_once() -> None:
    frame = frame_of([1, 2, 3], p__weight=[100, 200, 100], p__claim=[100, 100, 200], p__tablets=[0, 50, 100])
    kpis = values(frame, product={"tablets": "p.tablets", "tablet_cv": "1 %"}, quality={
        "weight": {"signal": "p.weight", "limits": [90, 110]}, "claim": {"signal": "p.claim", "limits": [90, 110]},
    })  # fmt: skip
    assert kpis["tablets_out_of_limits"].value == pytest.approx(100.0)


def test_waste_is_what_was_made_while_a_mean_was_rejected_start_up_included() -> None:
    frame = frame_of([0, 1, 2, 3], p__weight=[80, 80, 100, float("nan")], p__tablets=[0, 10, 30, 60],
                     p__mass=[0, 1000, 3000, 6000])  # fmt: skip
    kpis = values(frame, product=PRODUCT, quality={"weight": {"signal": "p.weight", "reject": [95, 105]}})
    assert kpis["waste_tablets"].value == 40
    assert kpis["waste_share"].value == pytest.approx(100 * 40 / 60)
    assert kpis["waste_mass"].value == pytest.approx(4.0)
    assert kpis["waste_mass"].unit == "kg"


def test_solver_times_are_in_ms_and_leave_out_records_without_a_solve() -> None:
    frame = frame_of([1, 2, 3, 4], c__time=[0, 0.001, 0.003, 0.002], c__failures=[0, 0, 1, 2])
    kpis = values(frame, solver={"time": "c.time", "failures": "c.failures"})
    assert kpis["solver_median"].value == pytest.approx(2.0)
    assert kpis["solver_p99"].value == pytest.approx(2.98)
    assert kpis["solver_failures"].value == 2


def test_real_time_factor() -> None:
    assert values(frame_of([1, 100], p__weight=[1, 1]), 4.0)["real_time_factor"].value == 25


def test_nothing_made_gives_no_number_and_no_crash() -> None:
    frame = frame_of([0, 1], p__weight=[0, 0], p__tablets=[0, 0])
    kpis = values(frame, product={"tablets": "p.tablets"}, quality={"weight": {"signal": "p.weight", "limits": [1, 2]}})
    assert math.isnan(kpis["weight_mean"].value)
    assert kpis["weight_mean"].to_json()["value"] is None
    assert format_value(math.nan, "mg") == "-"


def test_a_relative_limit_needs_a_target() -> None:
    with pytest.raises(GalenicError, match="no target"):
        values(frame_of([0, 1], p__weight=[0, 0]), quality={"weight": {"signal": "p.weight", "limits": "5 %"}})


@given(st.floats(-1e3, 1e3), st.floats(0, 0.5), st.floats(-1e3, 0), st.floats(1e-3, 1e3))
def test_a_share_is_a_probability(mean: float, cv: float, low: float, high: float) -> None:
    (share,) = share_outside(np.array([mean]), cv, low, high)
    assert 0.0 <= share <= 1.0 + 1e-12


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=20), st.floats(-100, 100), st.floats(0.1, 10))
def test_a_shift_moves_the_mean_and_leaves_the_spread(data: list[float], shift: float, scale: float) -> None:
    x = np.array(data)
    weights = np.full(len(x), scale)
    mean, sd = weighted_mean_and_sd(x, weights)
    moved, same = weighted_mean_and_sd(x + shift, weights)
    assert moved == pytest.approx(mean + shift, abs=1e-8)
    assert same == pytest.approx(sd, abs=1e-6)


def synthetic_line(lost: float = 0.0) -> tuple[BalanceSection, pd.DataFrame]:
    """A feeder that is refilled and a tank that makes a product, coupled with one step in transit; exact sums."""
    h, steps, x = 0.5, 200, 0.1
    feeder, tank, refilled, made = 5.0, 2.0, 0.0, 0.0
    link = 0.01
    rows = []
    for k in range(steps + 1):
        rows.append((refilled, feeder, tank, link, made))
        outflow, drawn, refill = 0.02 + 0.01 * math.sin(k), 0.018, 1.5 if k == 90 else 0.0
        received = link
        feeder += refill - outflow * h
        refilled += refill
        tank += received * h - drawn * h - lost * h
        made += drawn * h
        link = outflow
    data = np.array(rows)
    columns = {"f.refilled": 0, "f.holdup": 1, "t.holdup": 2, "t.product": 4}
    frame = pd.DataFrame({f"{name}.mass": data[:, i] for name, i in columns.items()}, index=h * np.arange(steps + 1))
    for name in columns:
        frame[f"{name}.api_mass"] = x * frame[f"{name}.mass"]
    frame["f.outlet.mass_flow"], frame["f.outlet.api_fraction"] = data[:, 3], x
    section = BalanceSection(
        supplied=["f.refilled"], held=["f.holdup", "t.holdup"], links=["f.outlet"], produced=["t.product"]
    )
    return section, frame


def test_the_balance_of_a_line_that_conserves_closes_to_rounding() -> None:
    section, frame = synthetic_line()
    mass, api = balance_errors(section, frame, 0.5)
    assert mass.value < 1e-12
    assert api.value < 1e-12


def test_the_balance_shows_a_leak() -> None:
    section, frame = synthetic_line(lost=1e-4)
    mass, _ = balance_errors(section, frame, 0.5)
    assert mass.value == pytest.approx(1e-4 * 100 / 1.8, rel=1e-6)


def test_the_balance_needs_what_is_on_the_links() -> None:
    section, frame = synthetic_line()
    mass, _ = balance_errors(section.model_copy(update={"links": []}), frame, 0.5)
    assert mass.value > 1e-4


def test_a_value_at_the_end_is_reported_with_its_unit_and_direction() -> None:
    frame = frame_of([0, 1, 2], p__mass=[0.0, 5.0, 8.0])
    kpis = values(frame, final={"batch_yield": {"signal": "p.mass", "better": "higher"}})
    kpi = kpis["final_batch_yield"]
    assert (kpi.value, kpi.unit, kpi.label, kpi.better) == (8.0, "g", "batch yield", "higher")


def test_settling_is_the_time_until_the_signal_is_within_the_band_to_stay() -> None:
    frame = frame_of([0, 60, 120, 180, 240, 300], p__weight=[90, 100, 80, 99, 80, 100])
    band = {"signal": "p.weight", "target": 100, "within": "5 %"}
    kpis = values(
        frame,
        settling={
            "whole": {**band, "after": "1 min"},
            "part": {**band, "after": "1 min", "until": "200 s"},
            "never_left": {**band, "after": "5 min"},
            "too_late": {**band, "after": "10 min"},
        },
    )
    assert kpis["settling_whole"].value == 3.0
    assert kpis["settling_part"].value == 1.0
    assert kpis["settling_never_left"].value == 0.0
    assert math.isnan(kpis["settling_too_late"].value)


def test_the_start_up_ends_when_the_attributes_have_held_and_counts_what_was_made_until_then() -> None:
    frame = frame_of(
        [0, 60, 120, 180, 240, 300],
        p__weight=[100, 80, 100, 100, 100, 100],
        p__tablets=[0, 10, 30, 60, 100, 150],
        p__mass=[0, 1, 3, 6, 10, 15],
    )
    product = {"tablets": "p.tablets", "mass": "p.mass"}
    quality = {"weight": {"signal": "p.weight", "target": 100, "reject": "5 %"}}
    kpis = values(frame, product=product, quality=quality, start_up={"hold": "2 min"})
    assert kpis["start_up_time"].value == 4.0
    assert kpis["start_up_tablets"].value == 100.0
    assert kpis["start_up_mass"].value == pytest.approx(0.010)
    late = values(frame, product=product, quality=quality, start_up={"hold": "1 h"})["start_up_time"]
    assert late.value == 5.0
    assert "did not get there" in late.definition


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"settling": {"w": {"signal": "p.weight", "within": "5 %", "after": "1 h"}}}, "no target"),
        (
            {"settling": {"w": {"signal": "p.weight", "within": [1, 2], "after": "1 h", "until": "1 h"}}},
            "not later than",
        ),
        ({"start_up": {"hold": "1 min"}}, "no quality attribute has 'reject' limits"),
        ({"start_up": {"hold": "-1 min"}}, "negative"),
    ],
)
def test_transients_that_mean_nothing_are_refused(section: dict[str, Any], said: str) -> None:
    with pytest.raises(GalenicError, match=said):
        values(frame_of([0, 1], p__weight=[1, 1]), **section)


def test_the_margin_to_the_edge_is_that_of_the_setpoints_in_the_files_unit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = "design_space: galenic/1\nsetpoints:\n  p.weight: {min: 0.1, max: 0.3, unit: g}\n"
    Path("space.yaml").write_text(text, encoding="utf-8")
    frame = frame_of([0, 1, 2, 3], p__weight=[200, 250, 300, 310])
    kpis = values(frame, design_space={"file": str(tmp_path / "space.yaml")})
    assert kpis["design_space_margin"].value == pytest.approx(-0.1)
    assert kpis["design_space_margin_mean"].value == pytest.approx((0.5 + 0.0 - 0.1) / 3)
    assert kpis["design_space_setpoints"].value == pytest.approx(100 / 3)
