"""What FMI 3.0 has over 2.0, shown on a unit with everything in it; FMPy is the importer."""

from __future__ import annotations

import ctypes
import shutil
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from demo_unit import demo_unit
from fmpy import extract, read_model_description
from fmpy.fmi1 import FMICallException
from fmpy.fmi3 import FMU3Model, FMU3Slave
from fmpy.validation import validate_fmu

import fmus
from fmus.export import FMI_VERSIONS


class Fmu:
    """One instance with its variables by name and what it logged."""

    def __init__(self, cls: type, folder: str, description: Any, **options: Any) -> None:
        self.messages: list[str] = []

        def keep(_environment: Any, _status: int, _category: bytes, message: bytes) -> None:
            self.messages.append(message.decode())

        kind = description.coSimulation if cls is FMU3Slave else description.modelExchange
        self.variables = {v.name: v for v in description.modelVariables}
        self.fmu = cls(
            guid=description.guid,
            unzipDirectory=folder,
            modelIdentifier=kind.modelIdentifier,
            instanceName="tank",
        )
        self.fmu.instantiate(logMessage=keep, **options)

    def __getitem__(self, name: str) -> Any:
        variable = self.variables[name]
        read = {"Float64": "getFloat64", "Int32": "getInt32", "Enumeration": "getInt64", "Boolean": "getBoolean"}
        count = int(np.prod([int(d.start) for d in variable.dimensions] or [1]))
        values = getattr(self.fmu, read[variable.type])([variable.valueReference], nValues=count)
        return np.array(values) if count > 1 else values[0]

    def __setitem__(self, name: str, value: Any) -> None:
        variable = self.variables[name]
        write = self.fmu.setBoolean if variable.type == "Boolean" else self.fmu.setFloat64
        write([variable.valueReference], np.atleast_1d(value).tolist())

    def references(self, *names: str) -> list[int]:
        return [self.variables[n].valueReference for n in names]

    def start(self) -> Fmu:
        self.fmu.enterInitializationMode(startTime=0.0)
        self.fmu.exitInitializationMode()
        return self

    def step_to(self, time: float, end: float) -> tuple[bool, float]:
        event, _, _, reached = self.fmu.doStep(time, end - time)
        return bool(getattr(event, "value", event)), float(getattr(reached, "value", reached))


Make = Callable[..., Fmu]


@pytest.fixture(scope="module")
def unpacked() -> Iterator[tuple[str, Any]]:
    file = fmus.build_fmu(demo_unit(), fmi=3)
    folder = extract(str(file))
    yield folder, read_model_description(folder)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def make(unpacked: tuple[str, Any]) -> Iterator[Make]:
    made: list[Fmu] = []

    def instantiate(cls: type = FMU3Slave, **options: Any) -> Fmu:
        made.append(Fmu(cls, *unpacked, **options))
        return made[-1]

    yield instantiate
    for one in made:
        one.fmu.freeInstance()


@pytest.mark.parametrize("fmi", FMI_VERSIONS)
def test_every_kind_of_variable_passes_fmpys_validation(fmi: int) -> None:
    assert validate_fmu(str(fmus.build_fmu(demo_unit(), fmi=fmi))) == []


def test_an_array_is_one_variable_and_every_type_is_read_as_itself(make: Make) -> None:
    tank = make().start()
    np.testing.assert_array_equal(tank["amount"], [1.0, 0.0, 0.0])
    np.testing.assert_array_equal(tank["der(amount)"], [1.0 - 0.01, 2.0, 3.0])
    assert (tank["tank_mode"], tank["turn_count"], tank["accepts"]) == (0, 0, True)
    tank["feed"] = [0.0, 5.0, 0.0]
    tank["valve_open"] = False
    assert tank["accepts"] is False or tank["accepts"] == 0
    np.testing.assert_allclose(tank["der(amount)"], [-0.01, 0.0, 0.0])
    level = tank["fill_level"]
    assert level + level**3 == pytest.approx(0.1, rel=1e-12)


def test_in_fmi_2_an_array_is_scalars_with_an_index(drive: Callable[..., Any]) -> None:
    tank = drive(demo_unit()).start()
    tank.fmu.setReal([tank.variables["feed[2]"].valueReference], [7.0])
    tank.step(1e-3)
    rates = [tank.get(f"der(amount[{i}])") for i in (1, 2, 3)]
    np.testing.assert_allclose(rates, [0.99, 7.0, 3.0], rtol=1e-3)
    assert tank.fmu.getInteger([tank.variables["tank_mode"].valueReference]) == [0]
    tank.fmu.setBoolean([tank.variables["valve_open"].valueReference], [False])
    assert tank.get("accepts") == 0.0


@pytest.mark.parametrize(("values", "words"), [([1.0, 2.0], "have 3 values"), ([1.0] * 4, "have 3 values")])
def test_too_few_or_too_many_values_are_refused(values: list[float], words: str, make: Make) -> None:
    tank = make().start()
    with pytest.raises(FMICallException):
        tank["feed"] = values
    assert words in tank.messages[-1]
    with pytest.raises(FMICallException):
        tank.fmu.doStep(0.0, 1.0)
    assert "an earlier call failed" in tank.messages[-1]
    tank.fmu.reset()
    assert tank.start().step_to(0.0, 1.0) == (False, 1.0)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("feed", [1.0, np.nan, 1.0], "tank: 'feed[2]' was set to nan at t = 1 s"),
        ("feed", [1.0, 2.0, 11.0], "tank: 'feed[3]' was set to 11 at t = 1 s, outside its range 0 to 10 kg/s"),
        ("weights", [1.0, 1.0, 1.0], "tank: 'weights[1]' can only be set before the run; the time is t = 1 s"),
        ("weighted", 1.0, "tank: 'weighted' is calculated and cannot be set"),
    ],
)
def test_a_refused_value_is_told_with_instance_variable_and_time(name: str, value: Any, words: str, make: Make) -> None:
    tank = make().start()
    tank.step_to(0.0, 1.0)
    with pytest.raises(FMICallException):
        tank[name] = value
    assert tank.messages[-1] == words


def test_a_tunable_parameter_changes_between_steps(make: Make) -> None:
    fast, slow = make().start(), make().start()
    for tank in (fast, slow):
        tank.step_to(0.0, 1.0)
    fast["gain"] = 5.0
    for tank in (fast, slow):
        tank.step_to(1.0, 2.0)
    assert fast["weighted"] < slow["weighted"]


def test_event_mode_stops_at_each_event_and_gives_the_same_run(make: Make) -> None:
    plain = make().start()
    stops, emptied, outflow = [], [], np.zeros(3)
    tank = make(eventModeUsed=True, earlyReturnAllowed=True).start()
    tank.fmu.updateDiscreteStates()
    tank.fmu.enterStepMode()
    time = 0.0
    for end in np.arange(1.0, 41.0):
        plain.step_to(end - 1.0, end)
        while time < end:
            event, reached = tank.step_to(time, end)
            outflow += tank["outflow"] * (reached - time)
            time = reached
            if event:
                stops.append((time, sum(tank["amount"]), tank["tank_mode"]))
                tank.fmu.enterEventMode()
                tank.fmu.updateDiscreteStates()
                emptied.append(tank["tank_mode"])
                tank.fmu.enterStepMode()
            else:
                assert reached == end
        np.testing.assert_allclose(tank["amount"], plain["amount"], rtol=1e-6)
        assert tank["turn_count"] == plain["turn_count"]
    assert tank["turn_count"] >= 3
    assert len(stops) >= 6
    for (_, total, before), after in zip(stops, emptied, strict=True):
        assert total == pytest.approx(30.0 if before == 0 else 1.0, rel=1e-9)
        assert after == 1 - before


def test_what_is_set_between_steps_may_cause_an_event_before_time_goes_on(make: Make) -> None:
    tank = make(eventModeUsed=True, earlyReturnAllowed=True).start()
    tank.fmu.enterStepMode()
    tank.step_to(0.0, 1.0)
    tank["limit"] = 3.0
    assert tank.step_to(1.0, 2.0) == (True, 1.0)
    assert tank["tank_mode"] == 0
    tank.fmu.enterEventMode()
    tank.fmu.updateDiscreteStates()
    assert tank["tank_mode"] == 1
    tank.fmu.enterStepMode()
    assert tank.step_to(1.0, 2.0) == (False, 2.0)


def test_without_early_return_events_happen_inside_the_step(make: Make) -> None:
    tank = make(eventModeUsed=True, earlyReturnAllowed=False).start()
    tank.fmu.enterStepMode()
    assert tank.step_to(0.0, 40.0) == (False, 40.0)
    plain = make().start()
    plain.step_to(0.0, 40.0)
    np.testing.assert_array_equal(tank["amount"], plain["amount"])


def test_intermediate_update_shows_the_step_and_may_end_it(make: Make) -> None:
    seen: list[tuple[float, float]] = []
    holder: list[Fmu] = []

    def update(
        _environment: Any, time: float, _set: bool, _get: bool, _finished: bool, can_end: bool, end: Any, at: Any
    ) -> None:
        seen.append((time, holder[0]["weighted"]))
        if can_end and time > 0.55:
            ctypes.cast(end, ctypes.POINTER(ctypes.c_bool))[0] = True
            ctypes.cast(at, ctypes.POINTER(ctypes.c_double))[0] = time

    reference = demo_unit().variables.index(demo_unit().variable("weighted"))
    options = {"intermediateUpdate": update, "requiredIntermediateVariables": [reference]}
    holder.append(make(earlyReturnAllowed=False, **options).start())
    assert holder[0].step_to(0.0, 1.0) == (False, 1.0)
    assert [t for t, _ in seen] == pytest.approx(np.arange(1, 11) / 10)
    assert all(b > a for (_, a), (_, b) in pairwise(seen))
    plain = make().start()
    plain.step_to(0.0, 1.0)
    assert holder[0]["weighted"] == pytest.approx(plain["weighted"], rel=1e-8)
    np.testing.assert_allclose(holder[0]["outflow"], plain["outflow"], rtol=1e-8)

    seen.clear()
    holder[0] = make(earlyReturnAllowed=True, **options).start()
    assert holder[0].step_to(0.0, 1.0) == (False, pytest.approx(0.6))


@pytest.mark.parametrize("point", ["start", "step", "instant"])
def test_adjoint_and_directional_derivatives_are_transposes(point: str, make: Make) -> None:
    knowns, unknowns = ["feed", "temperature", "amount"], ["outflow", "weighted", "fill_level"]
    if point == "instant":
        tank = make(FMU3Model).start()
        unknowns.append("der(amount)")
    else:
        tank = make()
        tank.fmu.enterInitializationMode(startTime=0.0)
        if point == "start":
            knowns += ["gain", "weights"]
        else:
            tank.fmu.exitInitializationMode()
            tank.step_to(0.0, 6.0)
    sizes = [sum(int(np.prod([int(d.start) for d in tank.variables[n].dimensions] or [1])) for n in names)
             for names in (knowns, unknowns)]  # fmt: skip
    generator = np.random.default_rng(1)
    forward, backward = generator.standard_normal(sizes[0]), generator.standard_normal(sizes[1])
    references = tank.references(*unknowns), tank.references(*knowns)
    moved = tank.fmu.getDirectionalDerivative(*references, forward.tolist(), len(backward))
    pulled = tank.fmu.getAdjointDerivative(*references, backward.tolist(), len(forward))
    assert np.dot(moved, backward) == pytest.approx(np.dot(pulled, forward), rel=1e-9)
    assert np.any(np.asarray(moved) != 0.0)


def test_functions_that_do_not_apply_say_so(make: Make) -> None:
    tank = make().start()
    with pytest.raises(FMICallException):
        tank.fmu.enterConfigurationMode()
    assert "no structural parameters" in tank.messages[-1]
    tank.fmu.reset()
    tank.start()
    with pytest.raises(FMICallException):
        tank.fmu.getString([0])
    assert "another type" in tank.messages[-1]


def test_events_are_logged_when_asked_for(make: Make) -> None:
    tank = make(eventModeUsed=True, earlyReturnAllowed=True, loggingOn=True).start()
    tank.fmu.enterStepMode()
    _, reached = tank.step_to(0.0, 20.0)
    tank.fmu.enterEventMode()
    tank.fmu.updateDiscreteStates()
    assert tank.messages == [f"tank: full at t = {reached:.9g} s"]
