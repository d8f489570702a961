"""The wet-granulation line as a whole: API and water are accounted for from the feeders to the tablets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cosim import load_scenario, simulate

STEP = 1.0  # s


@pytest.fixture(scope="module")
def shift(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    scenario = load_scenario("wet_granulation_line").model_copy(update={"duration": 5400.0, "record": "all"})
    return simulate(scenario, out=Path(tmp_path_factory.mktemp("line")) / "run", seed=3).frame()


def powder(frame: pd.DataFrame, stream: str) -> pd.Series:
    """API in one communication step of a powder stream [kg]."""
    return STEP * frame[f"{stream}.mass_flow"] * frame[f"{stream}.api_fraction"]


def granules(frame: pd.DataFrame, stream: str, part: str) -> pd.Series:
    """API or water in one communication step of a granule stream [kg]: fractions are of dry solids."""
    dry = STEP * frame[f"{stream}.mass_flow"] / (1.0 + frame[f"{stream}.moisture"])
    return dry * frame[f"{stream}.{'moisture' if part == 'water' else 'api_fraction'}"]


def test_api_is_accounted_for(shift: pd.DataFrame) -> None:
    units = ("api_feeder", "excipient_feeder", "blender", "granulator", "dryer", "mill", "hopper", "lubricant_feeder",
             "lubricant_blender", "feed_frame", "press")  # fmt: skip
    held = sum(shift[f"{unit}.holdup.api_mass"] for unit in units)
    mixed = ("api_feeder", "excipient_feeder", "blender", "lubricant_feeder", "lubricant_blender", "feed_frame")
    links = [powder(shift, f"{unit}.outlet") for unit in mixed]
    links += [granules(shift, f"{unit}.outlet", "api") for unit in ("granulator", "dryer", "mill", "hopper")]
    total = held + sum(links) + shift["press.tablets.api_mass"]
    supplied = shift["api_feeder.refilled.api_mass"] + shift["excipient_feeder.refilled.api_mass"]
    lost = np.diff(total.iloc[[1, -1]])[0] - np.diff(supplied.iloc[[1, -1]])[0]
    assert shift["press.tablets.api_mass"].iloc[-1] > 1.0
    assert abs(lost) < 1e-6 * shift["press.tablets.api_mass"].iloc[-1]


def test_water_is_accounted_for_from_the_pump_to_the_lubricant_blender(shift: pd.DataFrame) -> None:
    pumped = STEP * shift["granulator.liquid.mass_flow"] * shift["granulator.pump_factor"]
    held = shift["granulator.holdup.water"] + shift["dryer.balance.water"]
    held += shift["mill.holdup.water"] + shift["hopper.holdup.water"]
    links = sum(granules(shift, f"{unit}.outlet", "water") for unit in ("granulator", "dryer", "mill"))
    left = granules(shift, "hopper.outlet", "water").cumsum() + shift["dryer.balance.evaporated"]
    total = held + links + left
    # inputs recorded at a time are those of the step that ends there
    gained = np.diff(total.iloc[[1, -1]])[0] - pumped.iloc[2:].sum()
    assert shift["dryer.balance.evaporated"].iloc[-1] > 3.0
    assert abs(gained) < 1e-6 * shift["dryer.balance.evaporated"].iloc[-1]


def test_water_is_accounted_for_from_the_lubricant_blender_to_the_tablets(shift: pd.DataFrame) -> None:
    def water(unit: str, attributes: str) -> pd.Series:
        moisture = shift[f"{attributes}.moisture"]
        return STEP * shift[f"{unit}.mass_flow"] * moisture / (1.0 + moisture)

    total = shift["feed_frame.holdup.water"] + shift["press.holdup.water"] + shift["press.tablets.water"]
    total += water("feed_frame.outlet", "feed_frame.outlet_attributes")
    arrived = water("feed_frame.inlet", "feed_frame.inlet_attributes").iloc[2:].sum()
    assert shift["press.tablets.water"].iloc[-1] > 0.1
    assert abs(np.diff(total.iloc[[1, -1]])[0] - arrived) < 1e-6 * arrived


def test_what_the_granules_are_like_reaches_the_press(shift: pd.DataFrame) -> None:
    last = shift.iloc[-1]
    assert last["press.inlet_attributes.granule_porosity"] == pytest.approx(
        last["granulator.granule_porosity"], abs=0.02
    )
    assert last["press.inlet_attributes.granule_size"] == pytest.approx(last["lubricant_blender.d50"], rel=0.1)
    assert last["press.inlet_attributes.lubrication"] == pytest.approx(1.5, rel=0.1)
    assert 0.5 < last["press.pre_compression_force"] < 3.0
    assert 20.0 < last["press.ejection_force"] < 338.0  # 5 and 95 % of the plant's batches
    assert 76.0 < last["press.dissolved_30_min"] < 98.0  # three standard deviations of the lots about 90.3 %


def test_tablets_come_from_granules_dried_to_the_setpoint(shift: pd.DataFrame) -> None:
    last = shift.iloc[-1]
    assert shift["dryer.discharge_count"].iloc[-1] > 20
    assert 1.0 < last["dryer.lod"] < 3.0
    assert last["lubricant_blender.moisture"] == pytest.approx(last["dryer.lod"] / 100.0, abs=5e-3)
    assert last["press.tablet_weight"] == pytest.approx(226.0, rel=0.02)
    assert last["press.label_claim"] == pytest.approx(100.0, abs=2.0)
