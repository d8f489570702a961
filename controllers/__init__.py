"""Controllers: what reads measurements each period and returns setpoints, and what it needs to know of the plant.

- `pid`: PID loops and cascades with anti-windup; `feed_forward`: from measured disturbances. `ratio`: total mass flow and
  API fraction to feeder setpoints; `split_range`, `recipe`.
- `mpc`: offset-free linear MPC that supervises them; `mpc_config` reads its section of a scenario.
- Its parts: `estimator` (Kalman filter; late measurements, several rates), `disturbance_model`, `target` (steady
  state), `dynamic` (the path to it), `objective` (what is asked for), `quadratic_program` (solve and check).
- `identification_plan`: what to excite and to observe, from a file.
- `surrogate`: a reduced-order model in a file. `identify` makes one from step tests on a plant (`simulation_plant`: on
  a scenario's FMUs), with `realization` (ERA).
- `design_space`: where setpoints may be, soft limits on quality attributes, from a file; `design_space_region`,
  `design_space_box`, `design_space_fit` and `design_space_ranges` are its parts.
- `tuning`: SIMC rules and margins of PI loops, from step tests on a loop of a scenario (`open_loop`).
- `optimal_control`: one nonlinear problem object and its engines. `estimation`: EKF and MHE on nonlinear models. No
  scenario uses these two yet.
- `base`: ports and configuration, shared by all.

Scenarios name controllers by type; their classes are the entry points ``galenic.controllers``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from controllers.design_space import DesignSpace
    from controllers.identification_plan import IdentificationPlan
    from controllers.mpc import MPCController
    from controllers.pid import PIDController
    from controllers.ratio import RatioController
    from controllers.surrogate import LinearSurrogate

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
    "IdentificationPlan": "identification_plan",
    "LinearSurrogate": "surrogate",
    "MPCController": "mpc",
    "PIDController": "pid",
    "RatioController": "ratio",
}


def __getattr__(name: str) -> Any:
    """Import on first use: the command line must answer at once."""
    if name not in _HOME:
        raise AttributeError(f"module 'controllers' has no attribute '{name}'")
    return getattr(import_module(f"controllers.{_HOME[name]}"), name)
