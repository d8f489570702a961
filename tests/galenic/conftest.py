from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

SUPERVISOR = '''
"""A supervisor that asks for a constant fill depth."""

import numpy as np

from cosim.component import Port


class Supervisor:
    """Holds the fill depth."""

    def __init__(self, name):
        self.name = name
        self.period = 10.0
        self.inputs = (Port("fallback.press.fill_depth_setpoint", "mm", 6.5),)
        self.outputs = (Port("fill_depth", "mm", 6.5), Port("active", "1", 1.0), Port("solve_time", "s", 0.0))
        self.input_values = np.array([6.5])
        self.output_values = np.array([6.5, 1.0, 0.0])
        self.reads = (None,)
        self.writes = ("press.fill_depth_setpoint", None, None)
        self.supervises = ("force_loop",)

    @classmethod
    def from_config(cls, name, config, context):
        return cls(name)

    def do_step(self, communication_point, step_size):
        self.output_values[:] = 6.5, 1.0, 0.002
'''

TINY = """\
scenario: galenic/1
description: A press alone, with a new powder after one minute
duration: 2 min
communication_step: 1 s
seed: 1

components:
  press:
    unit: tablet_press
    start: {turret_speed_setpoint: 120000 1/h}

sensors:
  force_sensor: {measures: press.main_compression_force, period: 10 s, noise: 0.02 kN}

disturbances:
  - {signal: press.inlet.bulk_density, step: {at: 1 min, by: 5 %}}
  - {signal: press.inlet.bulk_density, noise: {std: 5 kg/m^3, time_constant: 20 s}}

controllers:
  force_loop:
    type: pi
    period: 10 s
    measurement: force_sensor.value
    setpoint: 6.2 kN
    output: press.fill_depth_setpoint
    gain: 0.05 mm/kN
    integral_time: 30 s
    limits: [5 mm, 8 mm]
  fixed_depth:
    type: supervisor.py:Supervisor

kpis:
  product: {tablets: press.tablets_total, mass: press.tablets.mass, warm_up: 10 s}
  quality:
    weight: {signal: press.tablet_weight, target: 226 mg, limits: 5 %, reject: [200 mg, 240 mg]}
    hardness: {signal: press.hardness, target: 51 N, limits: [30 N, null], tablet_cv: 6 %}
  solver: {time: fixed_depth.solve_time}
  design_space: {file: space.yaml}
"""

SPACE = """\
design_space: galenic/1
setpoints:
  press.fill_depth_setpoint: {min: 5, max: 8, unit: mm}
critical_quality_attributes:
  weight: {min: 200, max: 250, unit: mg}
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Writes the tiny scenario, with replacements, into the working folder of the test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_COLOR", "1")
    (tmp_path / "supervisor.py").write_text(SUPERVISOR, encoding="utf-8")
    (tmp_path / "space.yaml").write_text(SPACE, encoding="utf-8")

    def write_tiny(*replacements: tuple[str, str], name: str = "tiny.yaml") -> Path:
        text = TINY
        for old, new in replacements:
            assert old in text
            text = text.replace(old, new)
        file = tmp_path / name
        file.write_text(text, encoding="utf-8")
        return file

    return write_tiny


@pytest.fixture
def command() -> Callable[..., Result]:
    """Runs `galenic ...`."""
    from galenic.cli import app

    def invoke(*arguments: object) -> Result:
        return CliRunner().invoke(app, [str(a) for a in arguments])

    return invoke
