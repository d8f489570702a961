"""Closes the loop between the synthetic line, its sensors and controllers, as the master does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from synthetic_line import OUTPUTS, SENSORS, Context, Sensors, SyntheticLine

from controllers.mpc import MPCController
from controllers.surrogates.linear_surrogate import LinearSurrogate
from controllers.surrogates.plan import IdentificationPlan, InputPlan
from controllers.surrogates.records import Job, Record, simulate
from controllers.surrogates.step_tests import Plant
from controllers.surrogates.training import train
from cosim.component import FloatArray

STEPS = {
    "api_feeder.mass_flow_setpoint": 0.12,
    "excipient_feeder.mass_flow_setpoint": 1.0,
    "press.turret_speed_setpoint": 4000.0,
    "press.fill_depth_setpoint": 0.15,
    "press.gap_setpoint": 0.06,
}
DESIGN_SPACE = """\
design_space: galenic/1
setpoints:
  api_feeder.mass_flow_setpoint: {min: 1.5, max: 3.5, unit: kg/h}
  excipient_feeder.mass_flow_setpoint: {min: 15, max: 32, unit: kg/h}
  press.turret_speed_setpoint: {min: 90000, max: 130000, unit: 1/h}
  press.fill_depth_setpoint: {min: 5.8, max: 7.4, unit: mm}
  press.gap_setpoint: {min: 1.85, max: 2.35, unit: mm}
critical_quality_attributes:
  press.label_claim: {min: 95, max: 105, unit: "%"}
  press.tablet_weight: {min: 219, max: 233, unit: mg}
  press.hardness: {min: 42, max: 62, unit: N}
"""
CONFIG: dict[str, Any] = {
    "type": "mpc",
    "period": "10 s",
    "surrogate": "surrogate.yaml",
    "design_space": "design_space.yaml",
    "measurements": {
        "label_claim": {"sensor": "nir.value"},
        "tablet_weight": {"sensor": "weight_check.value"},
        "hardness": {"sensor": "hardness_check.value"},
        "main_compression_force": {"sensor": "force_sensor.value"},
        "level": {"sensor": "level_sensor.value"},
    },
    "controlled": {
        "label_claim": {"reference": "100 %"},
        "tablet_weight": {"reference": "226 mg"},
        "hardness": {"reference": "51 N"},
        "level": {"reference": "50 %", "weight": 0.05, "limits": ["20 %", "80 %"]},
    },
}


def identify(new_plant: Callable[[], Plant], plan: IdentificationPlan, **options: Any) -> LinearSurrogate:
    """The linear surrogate that a plan makes, its runs computed here."""

    def run(rest: FloatArray, job: Job) -> Record:
        plant = new_plant()
        try:
            return simulate(plant, plan, rest, job)
        finally:
            plant.close()

    surrogate = train(new_plant, plan, run, **options).linear
    assert surrogate is not None
    return surrogate


def make_surrogate() -> LinearSurrogate:
    plan = IdentificationPlan(
        {n: InputPlan(s) for n, s in STEPS.items()}, dict.fromkeys(OUTPUTS), 10.0, 1200.0, 600.0, tolerance=0.01
    )
    return identify(SyntheticLine, plan)


def write_files(directory: Path, surrogate: LinearSurrogate) -> Path:
    surrogate.save(directory / "surrogate.yaml")
    (directory / "design_space.yaml").write_text(DESIGN_SPACE)
    return directory


def feed(controller: Any, values: dict[str, float]) -> None:
    for i, signal in enumerate(controller.reads):
        if signal is not None:
            controller.input_values[i] = values[signal]


def output(controller: Any, name: str) -> float:
    return float(controller.output_values[[p.name for p in controller.outputs].index(name)])


def input_index(controller: Any, name: str) -> int:
    return [p.name for p in controller.inputs].index(name)


def run(
    controller: MPCController,
    plant: SyntheticLine,
    periods: int,
    *,
    noisy: bool = False,
    before: Callable[[int, SyntheticLine], None] | None = None,
    observe: Sequence[str] = (),
    seed: int = 1,
) -> dict[str, np.ndarray]:
    """Close the loop; returns plant outputs, and the controller's outputs that are named in ``observe``."""
    sensors = Sensors(SENSORS, seed, noisy)
    history: dict[str, list[float]] = {n: [] for n in (*OUTPUTS, *plant.inputs, *observe)}
    for k in range(periods):
        if before:
            before(k, plant)
        sensors.step(plant.outputs())
        values = {f"{n}.value": v for n, v in sensors.values.items()}
        values |= {f"{n}.sample": float(v) for n, v in sensors.samples.items()}
        feed(controller, values)
        controller.do_step(10.0 * k, 10.0)
        for i, target in enumerate(controller.writes):
            if target is not None:
                plant.set(target, float(controller.output_values[i]))
        for n, v in {**plant.outputs(), **plant.inputs}.items():
            history[n].append(v)
        for n in observe:
            history[n].append(output(controller, n))
        plant.advance(10.0)
    return {n: np.array(v) for n, v in history.items()}


def controller(directory: Path, **changes: Any) -> MPCController:
    return MPCController.from_config("mpc", {**CONFIG, **changes}, Context(directory).context)
