"""Units as other tools write them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from lag_fmu import description, write_fmu

from cosim import Scenario, Simulation
from cosim.fmi.units import name_of
from fmus.errors import GalenicError
from fmus.quantity import BaseUnit, conversion

FORCE_TIMES_LENGTH = BaseUnit({"kg": 1, "m": 2, "s": -2}, 1.0, 0.0)


@pytest.mark.parametrize(
    ("name", "same"),
    [
        ("m3/s", "m^3/s"),
        ("kg.m2", "kg*m^2"),
        ("W/(m2.K)", "W/(m^2*K)"),
        ("N.m", "N*m"),
        ("mol/m3", "mol/m^3"),
        ("m s-1", "m/s"),
        ("K-1", "1/K"),
        ("-", "1"),
        ("kg/h", "kg/h"),
        ("degC", "degC"),
    ],
)
def test_modelicas_spelling_is_understood(name: str, same: str) -> None:
    assert conversion(name_of(name, None), same) == pytest.approx((1.0, 0.0))


def test_what_the_fmu_says_of_a_unit_counts_more_than_its_name() -> None:
    # 'Nm' by itself is a unit of yarn
    torque = name_of("Nm", FORCE_TIMES_LENGTH)
    assert conversion(torque, "N*m") == pytest.approx((1.0, 0.0))
    # a gallon of another country
    gallon = name_of("gallon", BaseUnit({"m": 3}, 4.54609e-3, 0.0))
    assert conversion(gallon, "L")[0] == pytest.approx(4.54609)
    assert conversion("gallon", "L")[0] == pytest.approx(3.785412, rel=1e-6)


def test_a_unit_without_a_name_here_gets_one_with_its_offset() -> None:
    made = name_of("deg of Réaumur", BaseUnit({"K": 1}, 1.25, 273.15))
    assert conversion(made, "degC") == pytest.approx((1.25, 0.0), abs=1e-9)
    assert name_of("deg of Réaumur", BaseUnit({"K": 1}, 1.25, 273.15)) == made
    assert name_of("deg of Réaumur", BaseUnit({"K": 1}, 1.3, 273.15)) != made


def test_fmus_with_units_of_their_own_are_connected_by_what_they_mean(
    scenario: Callable[..., Scenario], fmus: Path
) -> None:
    def write(file: str, unit: str, base: str) -> None:
        xml = description(units={"u": unit, "y": unit}).replace(
            f'<Unit name="{unit}"/>', f'<Unit name="{unit}"><BaseUnit {base}/></Unit>'
        )
        write_fmu(fmus / file, xml=xml)

    write("dots.fmu", "m3/s", 'm="3" s="-1"')
    write("barrels.fmu", "bbl/d", 'm="3" s="-1" factor="1.840131e-6"')
    write("torque.fmu", "Nm", 'kg="1" m="2" s="-2"')
    body = "components: {{a: {{fmu: {}, start: {{u: {}}}}}, b: {{fmu: {}}}}}\nconnections: [a.y -> b.u]\n"
    with Simulation(scenario(body.format("dots.fmu", "2 L/s", "barrels.fmu"))) as simulation:
        simulation.step(100)
        assert simulation.get("a.u") == pytest.approx(2e-3)
        simulation.step()
        assert simulation.get("b.u") == pytest.approx(simulation.get("a.y") / 1.840131e-6, rel=0.01)
    with pytest.raises(GalenicError, match="the dimensions differ"):
        Simulation(scenario(body.format("dots.fmu", "1", "torque.fmu")))
