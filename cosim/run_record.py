"""What the record of a run tells beside its numbers: what ran, from what, and on what."""

from __future__ import annotations

import platform
import sys
from datetime import UTC, datetime
from importlib import metadata as distributions
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cosim.system import System

_PACKAGES = ("galenic", "numpy", "fmpy", "duckdb", "casadi")


def run_record(system: System) -> dict[str, Any]:
    """The metadata of a run that begins now, for JSON: scenario, seed, values and hashes of the FMUs, versions."""
    scenario = system.scenario
    return {
        "scenario": scenario.name,
        "scenario_file": str(scenario.file or ""),
        "scenario_text": scenario.text,
        "description": scenario.description,
        "seed": system.seed,
        "without": sorted(system.removed),
        "step_size": system.step_size,
        "duration": scenario.duration,
        "started": now(),
        **system.notes,
        "fmus": {
            c.name: {"file": c.archive.file.name, "sha256": c.archive.sha256, "values": c.values}
            for c in system.components
        },
        "versions": {
            "python": sys.version.split()[0],
            "platform": platform.platform(),
            **{name: _version(name) for name in _PACKAGES},
        },
    }


def now() -> str:
    """The clock's time, for people and machines."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _version(distribution: str) -> str:
    try:
        return distributions.version(distribution)
    except distributions.PackageNotFoundError:
        return "not installed"
