"""Operation of a model predictive controller: checks, modes, fallbacks and the record of each step.

- `law`: what a control law offers, so that it can be operated; the linear and the nonlinear MPC are laws.
"""
