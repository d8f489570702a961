"""The command line and what composes the rooms into a run.

From Python: ``galenic.simulate("tablet_line")`` is what ``galenic run tablet_line`` is; see docs/python_api.md.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cosim import Results, Scenario, Simulation, System, build_system, load_scenario
    from galenic.api import kpis, plot, simulate

__all__ = [
    "Results",
    "Scenario",
    "Simulation",
    "System",
    "build_system",
    "kpis",
    "load_scenario",
    "plot",
    "simulate",
]

_OWN = ("kpis", "plot", "simulate")


def __getattr__(name: str) -> Any:
    """Import on first use: the command line must answer at once."""
    if name not in __all__:
        raise AttributeError(f"module 'galenic' has no attribute '{name}'")
    return getattr(import_module("galenic.api" if name in _OWN else "cosim"), name)
