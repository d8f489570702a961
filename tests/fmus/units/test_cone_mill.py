"""The cone mill, detailed and fast: sizes, balances, screen, limits, positivity."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import casadi as ca
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fmus.granules import N_SIZES, SIZE_EDGES, SIZES
from fmus.physics import population_balance as pb

Drive = Callable[..., Any]
UNITS = ["cone_mill", "cone_mill_fast"]
QUICK = settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
#: its d10, d50 and d90 are those of the table; the shared grid ends at 4 mm and keeps what is larger in its last class
FEED = pb.lognormal(SIZE_EDGES, 6.2231e-3, 1.02258)


def rows() -> list[dict[str, str]]:
    lines = Path(__file__).with_name("cone_mill.csv").read_text(encoding="utf-8").splitlines()
    return list(csv.DictReader(line for line in lines if not line.startswith("#")))


def feeding(mill: Any, size: np.ndarray) -> Any:
    mill.set(**{f"inlet__size[{k + 1}]": float(share) for k, share in enumerate(size)})
    return mill


def class_sizes(mill: Any) -> np.ndarray:
    return np.array([mill.get(f"outlet.size[{k + 1}]") for k in range(N_SIZES)])


def test_the_feed_is_that_of_the_table() -> None:
    found = [1e6 * float(pb.percentile(ca.DM(FEED), SIZE_EDGES, share)) for share in (0.1, 0.5, 0.9)]
    assert found == pytest.approx([1676, 3542, 3908], rel=0.002)


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("row", rows(), ids=lambda r: f"{r['screen']}-{r['impeller_speed']}")
def test_sizes_are_those_of_the_table_and_what_comes_in_leaves(unit: str, row: dict[str, str], drive: Drive) -> None:
    mill = drive(unit).start(screen_aperture=float(row["screen"]), impeller_speed=float(row["impeller_speed"]))
    feeding(mill, FEED)
    mill.step(300.0)
    mill.step(1.0)
    for name in ("d10", "d50", "d90"):
        assert mill.get(name) == pytest.approx(float(row[name]), rel=0.04), name
    assert mill.get("outlet.mass_flow") / mill.get("inlet.mass_flow") == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("unit", UNITS)
def test_solids_water_and_api_are_conserved(unit: str, drive: Drive) -> None:
    mill = drive(unit).start()
    random = np.random.default_rng(5)
    names = ("holdup.mass", "holdup.api_mass", "holdup.water")
    held = np.array([mill.get(n) for n in names])
    balance, arrived = np.zeros(3), np.zeros(3)
    for k in range(90):
        seconds = (0.5, 1.0, 5.0)[k % 3]
        dry, moisture, api = 5e-3 * random.uniform(0.2, 2), random.uniform(0.005, 0.08), random.uniform(0, 0.3)
        mill.set(
            inlet__mass_flow=dry * (1 + moisture),
            inlet__moisture=moisture,
            inlet__api_fraction=api,
            impeller_speed=random.uniform(300, 3000),
            screen_wear=random.uniform(0, 0.3),
            screen_blinding=random.uniform(0, 0.6),
        )
        if k % 10 == 0:
            feeding(mill, pb.lognormal(SIZE_EDGES, random.uniform(3e-4, 3e-3), 0.7))
        mill.step(seconds)
        water = mill.get("outlet.moisture")
        out = mill.get("outlet.mass_flow") / (1.0 + water)
        into = seconds * dry * np.array([1.0 + moisture, api, moisture])
        arrived += into
        balance += into - seconds * out * np.array([1.0 + water, mill.get("outlet.api_fraction"), water])
        assert class_sizes(mill).sum() == pytest.approx(1.0, rel=1e-9)
    now = np.array([mill.get(n) for n in names])
    np.testing.assert_array_less(np.abs(balance - (now - held)), 1e-9 * arrived)


@pytest.mark.parametrize("unit", UNITS)
def test_nothing_larger_than_the_screen_leaves_until_it_wears(unit: str, drive: Drive) -> None:
    mill = feeding(drive(unit).start(), FEED)
    mill.step(60.0)
    mill.step(1.0)
    assert class_sizes(mill)[SIZES > 1.0e-3].max() == pytest.approx(0.0, abs=1e-12)
    fresh = mill.get("d90")
    mill.set(screen_wear=0.4)
    mill.step(60.0)
    mill.step(1.0)
    assert mill.get("screen_opening") == pytest.approx(1.4)
    assert class_sizes(mill)[SIZES > 1.0e-3].sum() > 0.001
    assert mill.get("d90") > 1.1 * fresh


@pytest.mark.parametrize("unit", UNITS)
def test_a_blinded_screen_holds_more_and_mills_finer(unit: str, drive: Drive) -> None:
    clean, blinded, moist = (drive(unit).start(**v) for v in ({}, {"screen_blinding": 0.5}, {"inlet__moisture": 0.09}))
    for mill in (clean, blinded, moist):
        mill.step(200.0)
    assert blinded.get("holdup.mass") > 1.5 * clean.get("holdup.mass")
    assert blinded.get("d50") < clean.get("d50")
    assert moist.get("screen_open_share") == pytest.approx(0.5)
    assert moist.get("holdup.mass") > 1.5 * clean.get("holdup.mass")


@pytest.mark.parametrize("unit", UNITS)
def test_dry_or_weak_granules_make_fines(unit: str, drive: Drive) -> None:
    usual, dry, weak = (drive(unit).start(**v) for v in ({}, {"inlet__moisture": 0.003}, {"strength_factor": 0.7}))
    for mill in (usual, dry, weak):
        mill.step(60.0)
    assert dry.get("fines") > usual.get("fines")
    assert weak.get("fines") > usual.get("fines")


@pytest.mark.parametrize("unit", UNITS)
def test_granules_that_need_no_milling_pass_as_they_are(unit: str, drive: Drive) -> None:
    small = pb.lognormal(SIZE_EDGES, 60e-6, 0.3)
    mill = feeding(drive(unit).start(screen_aperture=1.5), small)
    mill.step(100.0)
    mill.step(1.0)
    np.testing.assert_allclose(class_sizes(mill), small, atol=1e-6)


@pytest.fixture
def running(unit: str, drive: Drive) -> Any:
    """One mill for all examples of a test: it goes on from where the last one left it."""
    return feeding(drive(unit).start(), FEED)


@pytest.mark.parametrize("unit", UNITS)
@QUICK
@given(
    st.lists(
        st.tuples(st.floats(0, 0.01), st.floats(0, 0.2), st.floats(0, 3500), st.floats(0, 1), st.floats(0, 0.95)),
        min_size=2,
        max_size=5,
    )
)
def test_it_stays_positive_and_finite(running: Any, moves: list[tuple[float, ...]]) -> None:
    mill = running
    outputs = [v.name for v in mill.description.modelVariables if v.causality == "output" and v.type == "Real"]
    bounded = ("outlet.mass_flow", "outlet.moisture", "holdup.mass", "holdup.api_mass", "holdup.water")
    for flow, moisture, speed, wear, blinding in moves:
        mill.set(inlet__mass_flow=flow, inlet__moisture=moisture, impeller_speed=speed)
        mill.set(screen_wear=wear, screen_blinding=blinding)
        for _ in range(3):
            mill.step(3.0)
            values = {n: mill.get(n) for n in outputs}
            assert np.all(np.isfinite(list(values.values())))
            assert all(values[n] >= -1e-9 for n in bounded)
            assert np.all(class_sizes(mill) >= -1e-9)
            assert -1e-9 <= values["outlet.api_fraction"] <= 1 + 1e-6
            assert 19.9 <= values["d10"] <= values["d50"] <= values["d90"] <= 4000.1


def test_the_fast_mill_follows_the_detailed_one(drive: Drive) -> None:
    both = [drive(unit).start() for unit in UNITS]
    for mill in both:
        mill.step(60.0)
    worst = np.zeros(3)
    for change in ({"impeller_speed": 1100.0}, {"screen_wear": 0.1}, {"inlet__mass_flow": 4.5e-3}):
        for mill in both:
            mill.set(**change)
        detailed, fast = (mill.record(1.0, 40, ["d50", "fines", "outlet.mass_flow"]) for mill in both)
        worst = np.maximum(worst, np.abs(fast / detailed - 1.0).max(axis=0))
        np.testing.assert_allclose(fast[-1], detailed[-1], rtol=1e-4)  # at rest again they agree
    assert np.all(worst < 0.05)
