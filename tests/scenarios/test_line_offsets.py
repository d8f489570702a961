"""Step disturbances on every output of both lines leave no offset: what is measured goes back to its reference.

Everything steps at once, errors of all sensors as well as powder, lots and air, so that the corrections of the outputs
also have to leave each other alone. Sensors are without noise, while the controller trusts them as little as it does
with noise: what is left at the end is no chance. It is asked to be within half a standard deviation of one measurement.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from cosim import Scenario, load_scenario, simulate
from fmus.quantity import parse_quantity

AT = "10 min"
#: by sensor: its step; the output; its reference, None where it has none or yields to another
TABLET = {
    "nir": ("1.5 %", "press.label_claim", "100 %"),
    "weight_check": ("3 mg", "press.tablet_weight", "226 mg"),
    "hardness_check": ("4 N", "press.hardness", "52 N"),
    "force_sensor": ("0.3 kN", "press.main_compression_force", None),
    "level_sensor": ("8 %", "feed_frame.level", "50 %"),
}
WET = {
    "nir": ("1 %", "press.label_claim", "100 %"),
    "weight_check": ("3 mg", "press.tablet_weight", "226 mg"),
    "hardness_check": ("4 N", "press.hardness", "52 N"),
    "force_sensor": ("0.3 kN", "press.main_compression_force", None),
    "frame_level": ("8 %", "feed_frame.level", "50 %"),
    "lod_probe": ("0.3 %", "dryer.lod", "2 %"),
    "size_probe": ("20 um", "granulator.d50", "550 um"),
    "hopper_scale": ("0.3 kg", "hopper.holdup.mass", "4 kg"),
    "blend_nir": ("0.0005", "blender.outlet.api_fraction", None),
}
TABLET_POWDER = {
    "press.strength_factor": "-6 %",
    "press.yield_factor": "5 %",
    "api_feeder.lot.api_fraction": "-1.5 %",
    "excipient_feeder.lot.bulk_density": "6.8 %",
}
WET_POWDER = {
    "press.strength_factor": "-6 %",
    "press.yield_factor": "5 %",
    "api_feeder.lot.api_fraction": "-1 %",
    "granulator.lot_factor": "10 %",
    "dryer.inlet_air.humidity": "30 %",
}


def upset(line: str, duration: str, sensors: dict[str, Any], powder: dict[str, str], folder: Path) -> Scenario:
    """The line with steps on everything and without chance; as a file, so that it is checked like any other."""
    base = load_scenario(line)
    measurements = {output: {"std": str(base.sensors[s].noise)} for s, (_, output, _) in sensors.items()}
    own = base.controllers["mpc"]["measurements"]
    for output, entry in own.items():
        measurements[output] = {"std": entry.get("std", measurements[output]["std"])}
    steps = [{"signal": f"{s}.bias", "step": {"at": AT, "to": step}} for s, (step, _, _) in sensors.items()]
    steps += [{"signal": signal, "step": {"at": AT, "by": change}} for signal, change in powder.items()]
    data = {
        "extends": line,
        "duration": duration,
        "disturbances": steps,
        "sensors": {s: {"noise": 0} for s in sensors},
        "controllers": {"mpc": {"start_after": "2 min", "measurements": measurements}},
        "record": ["mpc.active", "mpc.failures", *(f"{s}.value" for s in sensors)],
    }
    file = folder / "upset.yaml"
    file.write_text(yaml.safe_dump(data), encoding="utf-8")
    return load_scenario(file)


@pytest.mark.parametrize(
    ("line", "duration", "sensors", "powder"),
    [("tablet_line", "3 h", TABLET, TABLET_POWDER), ("wet_granulation_line", "5 h", WET, WET_POWDER)],
)
def test_what_is_measured_goes_back_to_its_reference_after_steps_everywhere(
    line: str, duration: str, sensors: dict[str, Any], powder: dict[str, str], tmp_path: Path
) -> None:
    results = simulate(upset(line, duration, sensors, powder, tmp_path), out=tmp_path / "run", seed=5)
    frame, units = results.frame(), results.units
    end = frame.loc[frame.index[-1] - 1800.0 :]
    assert (end["mpc.active"] == 1.0).all()
    assert end["mpc.failures"].iloc[-1] == 0.0
    base, wrong = load_scenario(line), {}
    for sensor, (step, _, reference) in sensors.items():
        if reference is None:
            continue
        unit = units[f"{sensor}.value"]
        values = frame[f"{sensor}.value"]
        asked = parse_quantity(reference, unit)
        allowed = 0.5 * parse_quantity(base.sensors[sensor].noise, unit)
        if sensor == "hopper_scale":  # swings by 0.9 kg as the dryer discharges its cells
            allowed = 0.5 * 0.2  # of what the controller takes for its noise
        moved = (values.loc[600.0:] - asked).abs().max()
        assert moved > 2.0 * allowed, f"{sensor}: the step of {step} is not seen"
        error = end[f"{sensor}.value"].mean() - asked
        print(f"{sensor}: {error:.4g} of {allowed:.4g} {unit}")
        if abs(error) > allowed:
            wrong[sensor] = (error, allowed, unit)
    assert not wrong
