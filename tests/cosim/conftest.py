from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from lag_fmu import BUNDLED, MIXED, write_fmu

from cosim import Scenario, load_scenario

HEADER = """\
scenario: galenic/1
duration: 1 s
communication_step: 10 ms
"""


@pytest.fixture(scope="session")
def fmus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with small FMUs."""
    folder = tmp_path_factory.mktemp("fmus")
    write_fmu(folder / "lag.fmu")
    write_fmu(folder / "mixed.fmu", MIXED)
    write_fmu(folder / "bundled.fmu", BUNDLED)
    write_fmu(folder / "grams.fmu", units={"u": "g/L", "y": "g/L"})
    write_fmu(folder / "milligrams.fmu", units={"u": "mg/L", "y": "mg/L"})
    write_fmu(folder / "force.fmu", units={"u": "kN", "y": "kN"})
    write_fmu(folder / "celsius.fmu", units={"u": "degC", "y": "degC"})
    write_fmu(folder / "kelvin.fmu", units={"u": "K", "y": "K"})
    return folder


@pytest.fixture
def scenario(fmus: Path) -> Callable[..., Scenario]:
    """Writes a scenario file beside the FMUs and loads it; the header fills lines 1 to 3."""

    def load(body: str, header: str = HEADER) -> Scenario:
        file = fmus / "case.yaml"
        file.write_text(header + textwrap.dedent(body), encoding="utf-8")
        return load_scenario(file)

    return load
