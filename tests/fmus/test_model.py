from __future__ import annotations

from pathlib import Path

import pytest

import fmus
from fmus import GalenicError, Role, UnitModel

OWN_UNIT = """
from fmus import UnitModel


def tank() -> UnitModel:
    model = UnitModel("tank", "A stirred tank")
    inflow = model.input("inflow", 1.0, "kg/s", "mass flow in", minimum=0.0)
    tau = model.parameter("residence_time", 60.0, "s", "residence time", source="illustrative, uncalibrated")
    mass = model.state("mass", 30.0, "kg", "hold-up", minimum=0.0)
    model.derivative(mass, inflow - mass / tau)
    model.output("outflow", mass / tau, "kg/s", "mass flow out")
    return model
"""


def test_every_variable_says_what_it_is() -> None:
    for name in fmus.unit_names():
        model = fmus.unit_model(name)
        for variable in model.variables:
            assert variable.description, variable.name
            if variable.causality == "parameter":
                assert variable.source, variable.name
            if variable.role is Role.CPP and variable.causality == "input" and variable.kind == "Real":
                assert variable.minimum is not None, variable.name
        roles = {v.role for v in model.variables}
        assert Role.BALANCE in roles
        assert roles & {Role.CPP, Role.CQA, Role.DISTURBANCE}


def test_a_parameter_without_a_source_is_refused() -> None:
    with pytest.raises(GalenicError, match="states no source"):
        UnitModel("m", "").parameter("k", 1.0, "1", "gain", source=" ")


def test_a_name_declared_twice_is_refused() -> None:
    model = UnitModel("m", "")
    model.input("u", 0.0, "1", "")
    with pytest.raises(GalenicError, match="declared twice"):
        model.output("u", 1.0, "1", "")


def test_an_unknown_unit_is_refused() -> None:
    with pytest.raises(GalenicError, match="unknown unit"):
        UnitModel("m", "").input("u", 0.0, "furlongg", "")


def test_a_start_outside_its_range_is_refused() -> None:
    with pytest.raises(GalenicError, match="outside"):
        UnitModel("m", "").input("u", 5.0, "1", "", minimum=0.0, maximum=1.0)


def test_a_missing_residual_is_named() -> None:
    model = UnitModel("m", "")
    model.algebraic("z", 1.0, "1", "unknown")
    with pytest.raises(GalenicError, match="no residual for its unknown 'z'"):
        model.check()


def test_a_symbol_of_another_model_is_named() -> None:
    other = UnitModel("other", "").input("stranger", 0.0, "1", "")
    model = UnitModel("m", "")
    model.output("y", 2 * other, "1", "")
    with pytest.raises(GalenicError, match="undeclared symbols: stranger"):
        model.check()


def test_an_unknown_unit_model_gets_the_nearest_name() -> None:
    with pytest.raises(GalenicError) as caught:
        fmus.unit_model("tablet_pres")
    assert "tablet_press" in caught.value.cure


def test_a_users_own_unit_is_found_by_path(tmp_path: Path) -> None:
    file = tmp_path / "tank.py"
    file.write_text(OWN_UNIT, encoding="utf-8")
    assert fmus.unit_model(str(file)).name == "tank"
    assert fmus.unit_model(f"{file}:tank").name == "tank"
    with pytest.raises(GalenicError, match="defines no function"):
        fmus.unit_model(f"{file}:tanc")
    with pytest.raises(GalenicError, match="there is no file"):
        fmus.unit_model(str(tmp_path / "absent.py"))
    file.write_text("raise RuntimeError('broken')", encoding="utf-8")
    with pytest.raises(GalenicError, match="raises RuntimeError: broken"):
        fmus.unit_model(str(file))


def test_other_start_values_make_another_fmu_of_the_same_equations() -> None:
    press = fmus.unit_model("tablet_press")
    mine = press.with_starts({"label_dose": 40.0, "fill_depth_setpoint": 7.0}, "my_press")
    assert mine.name == "my_press"
    assert mine.variable("label_dose").start == 40.0
    assert press.variable("label_dose").start == 20.0
    with pytest.raises(GalenicError, match="outside 2"):
        press.with_starts({"fill_depth_setpoint": 99.0})
    with pytest.raises(GalenicError, match="calculated"):
        press.with_starts({"tablet_weight": 200.0})
