"""Estimation on nonlinear models: states, disturbances, and what nothing measures.

- `model`: the process in discrete time, and the disturbances that are estimated with it. `unit`: the process of a unit
  model, by its own equations.
- `channels`: how an output is measured, and the reason that each value gets.
- `base`: what every estimator can be asked. `ekf`: the extended Kalman filter. `mhe`: moving horizon estimation on it.
- Their parts: `history` (the ring from which late values are filtered), `bounds`, `covariance`, `window` (the nonlinear
  program), `evaluation` (CasADi functions on fixed arrays).
- `consistency`: NEES, NIS and their bounds; what the measurements cannot see.
"""

from controllers.estimation.base import StateEstimator
from controllers.estimation.channels import Channel, Reason
from controllers.estimation.ekf import ExtendedKalmanFilter
from controllers.estimation.mhe import MovingHorizonEstimator
from controllers.estimation.model import DisturbanceState, EstimationModel, Output, Process, State
from controllers.estimation.unit import unit_process

__all__ = [
    "Channel",
    "DisturbanceState",
    "EstimationModel",
    "ExtendedKalmanFilter",
    "MovingHorizonEstimator",
    "Output",
    "Process",
    "Reason",
    "State",
    "StateEstimator",
    "unit_process",
]
