"""The equations of a unit are compiled once for a processor, whatever is linked to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from fmpy import read_model_description, simulate_fmu

import fmus
from fmus import export

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The processors that objects were made for, beginning with an empty cache."""
    monkeypatch.setenv("GALENIC_CACHE", str(tmp_path))
    made: list[str] = []
    really = export.compile_object

    def noted(sources: Any, main: str, target: str, definitions: Any) -> bytes:
        made.append(target)
        return really(sources, main, target, definitions)

    monkeypatch.setattr(export, "compile_object", noted)
    return made


def _tank(emptying: float = 0.5, description: str = "A tank that empties") -> fmus.UnitModel:
    m = fmus.UnitModel("tank", description)
    inflow = m.input("inflow", 1.0, "kg/s", "what comes in")
    mass = m.state("mass", 1.0, "kg", "what is in it")
    m.derivative(mass, inflow - emptying * mass)
    m.output("outflow", emptying * mass, "kg/s", "what leaves")
    return m


def _ends_at(fmu: Path) -> float:
    return float(simulate_fmu(str(fmu), stop_time=10.0, output_interval=1.0, fmi_type="CoSimulation")["outflow"][-1])


def test_both_versions_link_one_object(compiled: list[str]) -> None:
    two = fmus.build_fmu(_tank(), fmi=2)
    three = fmus.build_fmu(_tank(), fmi=3)
    assert len(compiled) == 1
    assert _ends_at(two) == _ends_at(three)


def test_another_description_is_linked_to_the_same_object_and_not_taken_for_it(compiled: list[str]) -> None:
    first, second = (fmus.build_fmu(_tank(description=text)) for text in ("A tank", "The same tank"))
    assert len(compiled) == 1
    tokens = {read_model_description(str(fmu)).guid for fmu in (first, second)}
    assert len(tokens) == 2
    assert _ends_at(first) == _ends_at(second)


def test_other_equations_are_compiled_anew(compiled: list[str]) -> None:
    first, second = fmus.build_fmu(_tank()), fmus.build_fmu(_tank(emptying=2.0))
    assert len(compiled) == 2
    assert _ends_at(first) != _ends_at(second)


def test_a_processor_has_an_object_of_its_own(compiled: list[str]) -> None:
    for _ in range(2):
        fmus.build_fmu(_tank(), platforms=["linux64", "aarch64-linux"])
    assert sorted(compiled) == ["aarch64-linux-gnu.2.17", "x86_64-linux-gnu.2.17"]
