"""The granulator, detailed and fast: sizes, balances, convergence with the grid, limits, positivity."""

from __future__ import annotations

import csv
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import casadi as ca
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

import fmus
from fmus.granules import N_SIZES, SIZE_EDGES
from fmus.physics import population_balance as pb
from fmus.physics.granulation import CELLS, Granulator
from fmus.physics.granulation_map import CENTRE, WIDTH, sizes, sizes_at_rest
from fmus.units.twin_screw_granulator import arriving, chain, split

Drive = Callable[..., Any]
UNITS = ["twin_screw_granulator", "twin_screw_granulator_fast"]
POWDER = 20.0 / 3600
QUICK = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def rows() -> list[dict[str, str]]:
    lines = Path(__file__).with_name("twin_screw_granulator.csv").read_text(encoding="utf-8").splitlines()
    return list(csv.DictReader(line for line in lines if not line.startswith("#")))


def class_sizes(granulator: Any) -> np.ndarray:
    return np.array([granulator.get(f"outlet.size[{k + 1}]") for k in range(N_SIZES)])


@pytest.mark.parametrize("unit", UNITS)
def test_sizes_and_fines_are_those_of_the_table(unit: str, drive: Drive) -> None:
    granulator = drive(unit).start()
    for row in rows():
        granulator.set(liquid__mass_flow=float(row["liquid_to_solid"]) * POWDER, screw_speed=float(row["screw_speed"]))
        granulator.step(150.0)
        granulator.step(1.0)
        for name in ("d10", "d50", "d90"):
            if row[name]:
                assert granulator.get(name) == pytest.approx(float(row[name]), rel=0.015), (name, row)
        if row["fines"]:
            assert granulator.get("fines") == pytest.approx(float(row["fines"]), abs=0.5), row
        assert granulator.get("outlet.moisture") == pytest.approx(float(row["liquid_to_solid"]), rel=1e-6)


@pytest.mark.parametrize("unit", UNITS)
def test_solids_water_and_api_are_conserved(unit: str, drive: Drive) -> None:
    granulator = drive(unit).start()
    random = np.random.default_rng(4)
    names = ("holdup.mass", "holdup.api_mass", "holdup.water")
    held = np.array([granulator.get(n) for n in names])
    balance, arrived = np.zeros(3), np.zeros(3)
    for k in range(120):
        size = (0.5, 1.0, 5.0)[k % 3]
        powder, liquid = POWDER * random.uniform(0.3, 1.3), 0.2 * POWDER * random.uniform(0.3, 1.6)
        api, pulsation = random.uniform(0.0, 0.3), random.uniform(0.97, 1.03)
        granulator.set(
            inlet__mass_flow=powder,
            inlet__api_fraction=api,
            liquid__mass_flow=liquid,
            pump_factor=pulsation,
            screw_speed=random.uniform(300, 950),
            lot_factor=random.uniform(0.8, 1.2),
        )
        granulator.step(size)
        water = liquid * pulsation
        moisture = granulator.get("outlet.moisture")
        dry = granulator.get("outlet.mass_flow") / (1.0 + moisture)
        into = size * np.array([powder + water, powder * api, water])
        arrived += into
        balance += into - size * dry * np.array([1.0 + moisture, granulator.get("outlet.api_fraction"), moisture])
        assert class_sizes(granulator).sum() == pytest.approx(1.0, rel=1e-9)
    now = np.array([granulator.get(n) for n in names])
    np.testing.assert_array_less(np.abs(balance - (now - held)), 1e-9 * arrived)


@cache
def barrel(classes: int) -> dict[str, float]:
    """The detailed equations at rest on a grid of any number of classes."""
    grid = pb.Grid.geometric(SIZE_EDGES[0], SIZE_EDGES[-1], classes)
    values = {v.name: v.start for v in fmus.unit_model("twin_screw_granulator").variables}
    values |= {
        "powder": POWDER,
        "api_fraction": 0.1,
        "bulk_density": 480.0,
        "liquid": 0.2 * POWDER,
        "liquid_temperature": 298.15,
        "barrel_temperature": 298.15,
        "speed": 675.0,
        "wetting": values["wetting_constant"],
        "wall": 1.0,
    }
    powder = ca.DM(pb.lognormal(grid.edges, 102e-6, 0.56))
    g = Granulator({k: ca.MX(v) for k, v in values.items() if v is not None}, powder)
    entering = ca.vertcat(*arriving(g, grid).values())
    contents = ca.MX.sym("contents", CELLS * entering.numel())
    rates, leaving, *_ = chain(g, grid, contents, entering)
    model = ca.Function("barrel", [contents], [rates, leaving])
    start = np.tile(2.0 * ca.evalf(entering).full().ravel(), CELLS)
    end = solve_ivp(lambda _, x: model(x)[0].full().ravel(), (0, 100), start, rtol=1e-7, atol=1e-12).y[:, -1]
    out = split(model(end)[1], grid)
    solids = out["solids"].full().ravel()
    flow = (solids + float(out["powder"]) * powder.full().ravel()) / POWDER
    return {
        "number": float(np.sum(solids / grid.volumes) / POWDER),
        "mass": float(flow.sum()),
        "d50": float(pb.percentile(ca.DM(flow), grid.edges, 0.5)),
        "d90": float(pb.percentile(ca.DM(flow), grid.edges, 0.9)),
    }


def test_number_and_mass_converge_with_the_grid() -> None:
    coarse, middle, fine = (barrel(n) for n in (15, 30, 60))
    for found in (coarse, middle, fine):
        assert found["mass"] == pytest.approx(1.0, rel=1e-9)
    # sizes are of second order; the number of first, as most fragments are in the smallest class, which has a lower end
    for name, share_left, close in (("number", 0.62, 0.06), ("d90", 0.4, 0.03)):
        assert abs(fine[name] - middle[name]) < share_left * abs(middle[name] - coarse[name]), name
        assert middle[name] == pytest.approx(fine[name], rel=close), name
    assert middle["d50"] == pytest.approx(fine["d50"], rel=0.005)


def test_a_uniform_blend_has_its_api_in_every_class(drive: Drive) -> None:
    granulator = drive(UNITS[0]).start(inlet__api_fraction=0.17)
    granulator.step(60.0)
    solids, api = (
        np.array([granulator.get(f"cell_4.{n}[{k + 1}]") for k in range(N_SIZES)]) for n in ("solids", "api")
    )
    np.testing.assert_allclose(api, 0.17 * solids, rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize("unit", UNITS)
def test_without_liquid_powder_leaves_as_it_came(unit: str, drive: Drive) -> None:
    granulator = drive(unit).start(liquid__mass_flow=0.0)
    granulator.step(200.0)
    powder = pb.lognormal(SIZE_EDGES, 102e-6, 0.56)
    np.testing.assert_allclose(class_sizes(granulator), powder, atol=1e-6)
    assert granulator.get("outlet.moisture") == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("unit", UNITS)
def test_a_barrel_that_is_fed_no_more_runs_empty(unit: str, drive: Drive) -> None:
    granulator = drive(unit).start()
    granulator.step(30.0)
    held = granulator.get("holdup.mass")
    granulator.set(inlet__mass_flow=0.0, liquid__mass_flow=0.0)
    out = granulator.record(5.0, 400, ["outlet.mass_flow", "holdup.mass"])
    assert np.all(out >= 0)
    assert np.all(np.diff(out[:, 1]) <= 1e-12)
    assert out[-1, 1] < 0.01 * held
    assert 5.0 * out[:, 0].sum() + out[-1, 1] == pytest.approx(held, rel=1e-8)
    assert 50 < granulator.get("d50") < 1000


@pytest.mark.parametrize("unit", UNITS)
def test_liquid_that_finds_no_powder_runs_out_by_itself(unit: str, drive: Drive) -> None:
    granulator = drive(unit).start()
    held = granulator.get("holdup.water")
    pumped = spilled = left = 0.0
    for k in range(240):
        powder = POWDER * max(1.0 - k / 60.0, 0.0)  # runs dry within a minute, the pump goes on
        granulator.set(inlet__mass_flow=powder)
        granulator.step(1.0)
        moisture = granulator.get("outlet.moisture")
        assert moisture <= 1.5 + 1e-9
        pumped += granulator.get("liquid.mass_flow")
        spilled += granulator.get("spilled_liquid")
        left += granulator.get("outlet.mass_flow") * moisture / (1.0 + moisture)
    assert granulator.get("spilled_liquid") == pytest.approx(granulator.get("liquid.mass_flow"), rel=1e-12)
    assert pumped == pytest.approx(spilled + left + granulator.get("holdup.water") - held, abs=1e-8 * pumped)
    granulator.set(inlet__mass_flow=POWDER)
    granulator.step(60.0)
    assert granulator.get("spilled_liquid") == 0.0


@pytest.mark.parametrize("unit", UNITS)
def test_residence_time_follows_speed_and_flow(unit: str, drive: Drive) -> None:
    granulator = drive(unit).start()

    def seconds(**inputs: float) -> float:
        granulator.set(**inputs)
        granulator.step(300.0)
        granulator.step(1.0)
        return float(granulator.get("holdup.mass") / granulator.get("outlet.mass_flow"))

    rest = seconds()
    assert rest == pytest.approx(8.0, rel=1e-3)
    assert seconds(screw_speed=900.0) / rest == pytest.approx((675 / 900) ** 0.6, rel=1e-3)
    half = seconds(screw_speed=675.0, inlet__mass_flow=0.5 * POWDER, liquid__mass_flow=0.1 * POWDER)
    assert half / rest == pytest.approx(2**0.3, rel=1e-3)


def test_more_liquid_coarser_faster_screws_finer_dry_lot_more_fines(drive: Drive) -> None:
    granulator = drive(UNITS[0]).start()
    names = ["d50", "fines", "torque", "granule_porosity", "powder_feed_number"]

    def rest(**inputs: float) -> dict[str, float]:
        before = {name: granulator.get(name.replace("__", ".")) for name in inputs}
        granulator.set(**inputs)
        granulator.step(120.0)
        found = {name: granulator.get(name) for name in names}
        granulator.set(**before)
        return found

    base, faster = rest(), rest(screw_speed=900.0)
    assert rest(pump_factor=1.1)["d50"] > base["d50"] > faster["d50"]
    assert rest(lot_factor=1.3)["fines"] > base["fines"]
    assert rest(wall_factor=1.5)["torque"] == pytest.approx(1.5 * base["torque"], rel=1e-6)
    assert 1.0 < base["torque"] < 6.0
    assert faster["granule_porosity"] < base["granule_porosity"]
    assert base["powder_feed_number"] == pytest.approx(POWDER / (480 * 675 / 60 * 0.025**3), rel=1e-9)


def test_heat_comes_from_barrel_and_screws(drive: Drive) -> None:
    granulator = drive(UNITS[0]).start()
    granulator.step(120.0)
    cold = granulator.get("outlet.temperature")
    assert 0.0 < cold - 298.15 < 25.0
    granulator.set(barrel_temperature=313.15)
    granulator.step(120.0)
    assert 5.0 < granulator.get("outlet.temperature") - cold < 15.0


@pytest.fixture
def running(unit: str, drive: Drive) -> Any:
    """One granulator for all examples of a test: it goes on from where the last one left it."""
    return drive(unit).start()


@pytest.mark.parametrize("unit", UNITS)
@QUICK
@given(
    st.lists(
        st.tuples(st.floats(0, 0.01), st.floats(0, 0.004), st.floats(0, 1500), st.floats(0, 1), st.floats(0.3, 3)),
        min_size=2,
        max_size=5,
    )
)
def test_it_stays_positive_and_finite(running: Any, moves: list[tuple[float, ...]]) -> None:
    granulator = running
    outputs = [v.name for v in granulator.description.modelVariables if v.causality == "output" and v.type == "Real"]
    bounded = ("outlet.mass_flow", "outlet.moisture", "holdup.mass", "holdup.api_mass", "holdup.water", "torque")
    for powder, liquid, speed, api, lot in moves:
        granulator.set(inlet__mass_flow=powder, liquid__mass_flow=liquid, screw_speed=speed)
        granulator.set(inlet__api_fraction=api, lot_factor=lot)
        for _ in range(3):
            granulator.step(4.0)
            values = {n: granulator.get(n) for n in outputs}
            assert np.all(np.isfinite(list(values.values())))
            assert all(values[n] >= -1e-9 for n in bounded)
            assert np.all(class_sizes(granulator) >= -1e-8)  # the integrator's absolute tolerance
            assert -1e-9 <= values["outlet.api_fraction"] <= 1 + 1e-6
            assert values["outlet.moisture"] <= 1.5 + 1e-6
            assert 20.0 <= values["d10"] <= values["d50"] <= values["d90"] <= 4000.1


def test_the_fast_map_is_the_detailed_solution_within_half_a_percent() -> None:
    random = np.random.default_rng(1)
    for _ in range(15):
        numbers = [c * np.exp(w * random.uniform(-1, 1)) for c, w in zip(CENTRE, WIDTH, strict=True)]
        exact, found = sizes_at_rest(*numbers), ca.evalf(sizes(*(ca.MX(x) for x in numbers))).full().ravel()
        assert np.abs(found - exact).sum() < 0.01
        for share in (0.1, 0.5, 0.9):
            ours, true = (float(pb.percentile(ca.DM(f), SIZE_EDGES, share)) for f in (found, exact))
            assert ours == pytest.approx(true, rel=0.005)


def test_the_fast_granulator_follows_the_detailed_one(drive: Drive) -> None:
    both = [drive(unit).start() for unit in UNITS]
    names = ["d50", "fines", "outlet.moisture", "torque", "outlet.temperature"]
    for granulator in both:
        granulator.step(60.0)
    worst = np.zeros(len(names))
    for change in ({"liquid__mass_flow": 0.24 * POWDER}, {"screw_speed": 850.0}, {"inlet__mass_flow": 0.8 * POWDER}):
        for granulator in both:
            granulator.set(**change)
        detailed, fast = (granulator.record(1.0, 40, names) for granulator in both)
        worst = np.maximum(worst, np.abs(fast / detailed - 1.0).max(axis=0))
        # at rest again they agree
        np.testing.assert_allclose(fast[-1], detailed[-1], rtol=0.002)
    assert np.all(worst[:2] < 0.03)
    assert np.all(worst[2:] < 1e-4)
