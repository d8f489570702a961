from __future__ import annotations

import ctypes
import math
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fmpy import extract, read_model_description
from fmpy.fmi1 import FMICallException
from fmpy.validation import validate_fmu

import fmus

FMI2_FUNCTIONS = [
    "fmi2GetTypesPlatform",
    "fmi2GetVersion",
    "fmi2SetDebugLogging",
    "fmi2Instantiate",
    "fmi2FreeInstance",
    "fmi2SetupExperiment",
    "fmi2EnterInitializationMode",
    "fmi2ExitInitializationMode",
    "fmi2Terminate",
    "fmi2Reset",
    "fmi2GetReal",
    "fmi2GetInteger",
    "fmi2GetBoolean",
    "fmi2GetString",
    "fmi2SetReal",
    "fmi2SetInteger",
    "fmi2SetBoolean",
    "fmi2SetString",
    "fmi2GetFMUstate",
    "fmi2SetFMUstate",
    "fmi2FreeFMUstate",
    "fmi2SerializedFMUstateSize",
    "fmi2SerializeFMUstate",
    "fmi2DeSerializeFMUstate",
    "fmi2GetDirectionalDerivative",
    "fmi2SetRealInputDerivatives",
    "fmi2GetRealOutputDerivatives",
    "fmi2DoStep",
    "fmi2CancelStep",
    "fmi2GetStatus",
    "fmi2GetRealStatus",
    "fmi2GetIntegerStatus",
    "fmi2GetBooleanStatus",
    "fmi2GetStringStatus",
]

UNITS = fmus.unit_names()
Drive = Callable[..., Any]


@pytest.mark.parametrize("unit", UNITS)
def test_fmpy_finds_nothing_wrong(unit: str) -> None:
    path = fmus.build_fmu(fmus.unit_model(unit))
    assert validate_fmu(str(path)) == []
    description = read_model_description(str(path), validate=True)
    assert description.coSimulation.canGetAndSetFMUstate
    assert {u.name for u in description.unitDefinitions} >= {v.unit for v in description.modelVariables if v.unit}


@pytest.mark.parametrize("unit", UNITS)
def test_every_function_of_the_standard_is_exported(unit: str) -> None:
    folder = Path(extract(str(fmus.build_fmu(fmus.unit_model(unit)))))
    library = ctypes.CDLL(str(next(p for p in folder.glob("binaries/*/*") if p.is_file())))
    for name in FMI2_FUNCTIONS:
        assert hasattr(library, name), name
    assert not hasattr(library, "galenic_step")


def test_the_same_model_is_the_same_file(tmp_path: Path) -> None:
    one = fmus.build_fmu(fmus.unit_model("feed_frame"), tmp_path / "one").read_bytes()
    two = fmus.build_fmu(fmus.unit_model("feed_frame"), tmp_path / "two").read_bytes()
    assert one == two
    with zipfile.ZipFile(tmp_path / "one" / "feed_frame.fmu") as archive:
        assert not any("\\" in n or n.startswith("/") for n in archive.namelist())


def test_a_state_taken_and_set_repeats_the_run_exactly(drive: Drive) -> None:
    driver = drive("loss_in_weight_feeder").start()
    driver.record(1.0, 100, ["holdup.mass"])
    state = driver.fmu.getFMUState()
    stored = driver.fmu.serializeFMUState(state)
    first = driver.record(7.0, 100, ["holdup.mass", "last_refill_time"])
    driver.fmu.setFMUState(state)
    driver.time = 100.0
    assert np.array_equal(first, driver.record(7.0, 100, ["holdup.mass", "last_refill_time"]))
    other = drive("loss_in_weight_feeder").start()
    other.fmu.setFMUState(other.fmu.deserializeFMUState(stored))
    other.time = 100.0
    assert np.array_equal(first, other.record(7.0, 100, ["holdup.mass", "last_refill_time"]))
    assert first[-1, 1] > 0


def test_instances_in_one_process_do_not_meet(drive: Drive) -> None:
    a = drive("tablet_press").start(fill_depth_setpoint=6.0)
    b = drive("tablet_press").start(fill_depth_setpoint=7.0)
    for _ in range(5):
        a.step(1.0)
        b.step(1.0)
    alone = drive("tablet_press").start(fill_depth_setpoint=6.0)
    alone.record(1.0, 5, ["tablet_weight"])
    assert a.get("tablet_weight") == alone.get("tablet_weight") < b.get("tablet_weight")


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda d: d.set(fill_depth_setpoint=math.nan), ["tablet_press", "fill_depth_setpoint", "nan", "t = 3 s"]),
        (lambda d: d.set(fill_depth_setpoint=99.0), ["fill_depth_setpoint", "99", "range 2 to 12 mm", "t = 3 s"]),
        (lambda d: d.set(yield_pressure=90.0), ["yield_pressure", "only be set before the run"]),
        (lambda d: d.set(tablet_weight=90.0), ["tablet_weight", "calculated"]),
        (lambda d: d.fmu.doStep(17.0, 1.0), ["17", "t = 3 s"]),
        (lambda d: d.fmu.doStep(3.0, -1.0), ["step size -1"]),
        (lambda d: d.fmu.getReal([9999]), ["9999"]),
        (lambda d: d.fmu.enterInitializationMode(), ["not allowed in this state"]),
    ],
)
def test_a_wrong_call_is_named_and_reset_heals(act: Callable[[Any], object], words: list[str], drive: Drive) -> None:
    driver = drive("tablet_press").start()
    driver.record(1.0, 3, [])
    with pytest.raises(FMICallException):
        act(driver)
    assert all(word in driver.messages[-1] for word in words), driver.messages
    with pytest.raises(FMICallException):
        driver.step(1.0)
    driver.fmu.reset()
    driver.start()
    driver.step(1.0)
    assert driver.get("tablet_weight") > 0


def test_a_foreign_description_is_refused(drive: Drive) -> None:
    driver = drive("feed_frame")
    driver.fmu.guid = "{00000000-0000-0000-0000-000000000000}"
    with pytest.raises(Exception, match="Failed to instantiate"):
        driver.fmu.instantiate()
