"""Co-simulation: systems of connected FMUs, the master that steps them, scenario files, results.

- `scenario`, `values`, `disturbance_specs`, `action_specs`: what a scenario file may contain. `library`: finds and
  loads one. `extends`, `named_lists`, `overrides`: files on files, values beside them. `yaml_lines`: remembers lines.
- `distributions`: values that a run draws. `lots`, `typical_disturbances`: how materials vary, and what is usual.
- `expressions`, `conditions`, `actions`: what happens at a time or when something holds.
- `component`: the contract that FMUs, sensors, disturbances and controllers fulfil.
- `fmu_component`, `fmu_archive`, `fmi`: FMUs as components. `isolation`: in processes of their own. `sensors`,
  `disturbances`: what is no FMU.
- `assembly`, `wiring`, `system_builder`: from a scenario to a checked `system`. `registry` finds controllers;
  `python_files` reads their names.
- `graph`, `initial_values`, `fixed_point`: what depends on what, where a system starts, algebraic loops.
- `algorithms`: how it is stepped. `kernel`: what executes that, in C or Python.
- `master`: the loop; `simulate` runs a scenario, `Simulation` can be stepped. `checkpoint`: a run that goes on.
  `run_record`: what ran.
- `ssp`: systems to and from other tools.
- `recording`, `recorder`, `parts`: groups of signals as sealed Parquet parts while the run goes on.
- `results`, `result_query`, `result_export`, `result_summary`: the way back, to data frames and other tools' files.
- `follow`: what a run adds to its results. `pacing`: a run that keeps step with the clock.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cosim.component import (
        Component,
        Controller,
        ControllerContext,
        Measurement,
        Port,
        SampledComponent,
    )
    from cosim.library import find_scenario, load_scenario, scenario_names
    from cosim.master import Simulation, simulate
    from cosim.results import Results
    from cosim.scenario import Scenario
    from cosim.system import System
    from cosim.system_builder import build_system

__all__ = [
    "Component",
    "Controller",
    "ControllerContext",
    "Measurement",
    "Port",
    "Results",
    "SampledComponent",
    "Scenario",
    "Simulation",
    "System",
    "build_system",
    "find_scenario",
    "load_scenario",
    "scenario_names",
    "simulate",
]

_HOME = {
    **dict.fromkeys(
        ("Component", "Controller", "ControllerContext", "Measurement", "Port", "SampledComponent"), "component"
    ),
    **dict.fromkeys(("Simulation", "simulate"), "master"),
    "Results": "results",
    **dict.fromkeys(("find_scenario", "load_scenario", "scenario_names"), "library"),
    "Scenario": "scenario",
    "System": "system",
    "build_system": "system_builder",
}


def __getattr__(name: str) -> Any:
    """Import on first use: the command line must answer at once."""
    if name not in _HOME:
        raise AttributeError(f"module 'cosim' has no attribute '{name}'")
    return getattr(import_module(f"cosim.{_HOME[name]}"), name)
