"""Every unit under random admissible inputs: finite, positive, in the ranges that it and its receivers declare."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fmus
from fmus.variable import Variable

Drive = Callable[..., Any]

#: outputs that may be negative, and why
SIGNED = {
    "carbon_dioxide_transfer_rate": "gas may bring more than it takes",
    "collapse_margin": "a difference of temperatures",
    "balance.heat": "counts from 0 degC",
    "balance.air_heat": "cold air takes heat",
    "balance.lost_heat": "warm surroundings give heat",
    "thickness": "of a die without powder, cups counted",
    "oxygen_uptake": "of a culture that shrinks, as published",
    "measured.oxygen": "of a probe that drifts",
}
#: seconds
STEPS = (1.0, 20.0, 300.0)
MOST = {"twin_screw_granulator": 20.0}


@cache
def receivers() -> dict[tuple[str, str], tuple[float, float]]:
    """What every inlet of a kind of stream takes: (kind, member) -> narrowest range of all units."""
    ranges: dict[tuple[str, str], tuple[float, float]] = {}
    for name in fmus.unit_names():
        model = fmus.unit_model(name)
        inputs = {v.array or v.name: v for v, _ in model.inputs}
        for terminal in model.terminals:
            for member, variable in terminal.members.items():
                if variable in inputs:
                    low, high = _limits(inputs[variable])
                    known = ranges.get((terminal.kind, member), (-math.inf, math.inf))
                    ranges[terminal.kind, member] = max(low, known[0]), min(high, known[1])
    return ranges


def _limits(variable: Variable) -> tuple[float, float]:
    low, high = variable.minimum, variable.maximum
    return -math.inf if low is None else low, math.inf if high is None else high


def _drawn(variable: Variable, share: float) -> float:
    """A value of the variable's range; where that is open, up to three times what is usual."""
    usual = 3.0 * max(abs(variable.start or 0.0), variable.nominal)
    low = -usual if variable.minimum is None else variable.minimum
    if -2e-3 * variable.nominal < low < 0.0:
        low = 0.0  # what it is less is a solver's tolerance, not a value
    high = max(usual, low) if variable.maximum is None else variable.maximum
    value = low + share * (high - low)
    return value if variable.kind == "Real" else round(value)


def _allowed(model: fmus.UnitModel) -> dict[str, tuple[float, float]]:
    """For each output the range it must stay in."""
    allowed = {}
    members = {v: (t.kind, m) for t in model.terminals for m, v in t.members.items()}
    for variable, _ in model.outputs:
        low, high = _limits(variable)
        if variable.name not in SIGNED:
            low = max(low, 0.0)
        taken = receivers().get(members.get(variable.array or variable.name, ("", "")), (-math.inf, math.inf))
        slack = 1e-6 * variable.nominal
        allowed[variable.name] = (max(low, taken[0]) - slack, min(high, taken[1]) + slack)
    return allowed


shares = st.one_of(st.sampled_from([0.0, 1.0, 1e-6]), st.floats(0.0, 1.0))


@pytest.fixture
def unit_driver(unit: str, drive: Drive) -> Any:
    """Loaded once for all examples."""
    return drive(unit)


@pytest.mark.parametrize("unit", fmus.unit_names())
@settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_outputs_are_finite_and_where_they_belong(unit: str, unit_driver: Any, data: st.DataObject) -> None:
    model = fmus.unit_model(unit)
    singles = [v for v, _ in model.inputs if not v.array]
    arrays: dict[str, list[Variable]] = {}
    for variable, _ in model.inputs:
        if variable.array:
            arrays.setdefault(variable.array, []).append(variable)
    allowed = _allowed(model)
    unit_driver.fmu.reset()
    unit_driver.start()
    for _ in range(data.draw(st.integers(1, 4), "moves")):
        moved = data.draw(st.lists(st.sampled_from(singles), min_size=1, max_size=8, unique_by=lambda v: v.name))
        values = {v.name: _drawn(v, data.draw(shares, v.name)) for v in moved}
        for name, elements in arrays.items():
            only = data.draw(st.integers(0, len(elements)), name)  # all in one class, or as at the start
            values |= {
                v.name: (v.start or 0.0) if only == len(elements) else float(k == only) for k, v in enumerate(elements)
            }
        unit_driver.set(**values)
        for _ in range(3):
            unit_driver.step(min(data.draw(st.sampled_from(STEPS), "step"), MOST.get(unit, math.inf)))
            for name, (low, high) in allowed.items():
                found = unit_driver.get(name)
                assert math.isfinite(found), (name, found, values)
                assert low <= found <= high, (name, found, (low, high), values)


def test_signed_outputs_exist() -> None:
    known = {v.name for unit in fmus.unit_names() for v, _ in fmus.unit_model(unit).outputs}
    assert set(SIGNED) <= known


FAST = [name for name in fmus.unit_names() if name.endswith("_fast")]


@pytest.mark.parametrize("fast", FAST)
def test_a_fast_unit_has_the_interface_of_the_detailed_one(fast: str) -> None:
    models = [fmus.unit_model(name) for name in (fast, fast.removesuffix("_fast"))]
    interfaces = [
        ([v for v, _ in m.inputs], [v for v, _ in m.outputs], {t.name: (t.kind, t.members) for t in m.terminals})
        for m in models
    ]
    assert interfaces[0] == interfaces[1]


def test_four_units_have_a_fast_variant() -> None:
    names = ("twin_screw_granulator", "fluid_bed_dryer", "cone_mill", "bioreactor_badr2021")
    assert {f"{name}_fast" for name in names} <= set(FAST)
