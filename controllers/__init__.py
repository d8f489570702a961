"""Controllers: what reads measurements each period and returns setpoints, and what it needs to know of the plant.

- `regulatory`: PI, PID, feed-forward, ratio, split range, recipes, and their tuning.
- `mpc`: the predictive controller: the shell of `operation` (checks, modes, fallbacks, record of each step) around a
  control law, which is `linear` or `nonlinear`.
- `surrogates`: models for them, from the units' own equations or identified from runs of a scenario.
- `estimation`: EKF and MHE on nonlinear models. `optimal_control`: one nonlinear problem object and its engines.
- `design_space`: where setpoints may be. `export`: a predictive controller as an FMU.
- `base`: ports and configuration, shared by all.

Scenarios name controllers by type; their classes are the entry points ``galenic.controllers``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from controllers.design_space import DesignSpace
    from controllers.mpc import MPCController
    from controllers.regulatory.pid import PIDController
    from controllers.regulatory.ratio import RatioController
    from controllers.surrogates.linear_surrogate import LinearSurrogate
    from controllers.surrogates.plan import IdentificationPlan

__all__ = [
    "DesignSpace",
    "IdentificationPlan",
    "LinearSurrogate",
    "MPCController",
    "PIDController",
    "RatioController",
]

_HOME = {
    "DesignSpace": "design_space",
    "IdentificationPlan": "surrogates.plan",
    "LinearSurrogate": "surrogates.linear_surrogate",
    "MPCController": "mpc",
    "PIDController": "regulatory.pid",
    "RatioController": "regulatory.ratio",
}


def __getattr__(name: str) -> Any:
    """Import on first use: the command line must answer at once."""
    if name not in _HOME:
        raise AttributeError(f"module 'controllers' has no attribute '{name}'")
    return getattr(import_module(f"controllers.{_HOME[name]}"), name)
