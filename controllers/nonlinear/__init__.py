"""A control law on a nonlinear process: estimator, target, optimal control over receding and shrinking horizons.

- `specification`: what is asked for, in plain numbers; `options`: how it computes. `section`: both read from a scenario
  file, whose keys are in `config`.
- `law`: fulfils `controllers.operation.law.ControlLaw`.
- Its parts: `horizon` (stages and their lengths), `formulation` (the optimal control problem), `engines`,
  `planner`, `steady_target`, `prediction` (roll-out and its uncertainty), `binding` (what binds in a plan), `harvest`,
  `disturbances` and `start` (where nobody says), `backup`, `native`.
"""
