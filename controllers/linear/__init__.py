"""The linear MPC: an offset-free control law on a linear surrogate.

- `law`: fulfils `controllers.operation.law.ControlLaw`. `section`: read from a scenario file.
- Its parts: `estimator` (Kalman filter; late measurements, several rates), `disturbance_model`, `target` (steady
  state), `dynamic` (the path to it), `objective` (what is asked for), `prediction` (and its uncertainty),
  `quadratic_program` (solve and check).
"""
