"""Instances of FMUs of any kind, under one set of names for both versions of the standard.

- `unpacking`: the archive, safely. `description`: what modelDescription.xml says, normalised across versions;
  `variables`: its variables as ports; `feedthrough`: which inputs an output depends on.
- `library`: the binary, loaded. `instance`, `fmi2`, `fmi3`: its calls. `start`: parameters and start values.
- `access`, `exchange`: how the master's values reach an instance without a copy.
- `stepping`: Co-Simulation, with Event Mode or without. `model_exchange`: a solver around Model Exchange, CVODE
  (`cvode`) or, where that is not shipped, `rosenbrock`. Both are a `Stepper`.
- `life`: an instance from made to freed. `state`, `derivatives`: what `cosim.fmu_component.FmuComponent` adds.
"""
