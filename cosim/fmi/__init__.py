"""Instances of FMUs of any kind, under one set of names for both versions of the standard.

- `description`: what modelDescription.xml says, normalised across versions: `describe`, `Description`, `Variable`.
- `library`: the binary, loaded; `instance`: its calls (`fmi2`, `fmi3`), an `FmuFailureError` where one says no.
- `access`: how the master's values reach an instance without a copy: `Access`, `NativeStep`.
- `stepping`: Co-Simulation; `model_exchange`: a solver (`cvode`) around Model Exchange. Both are a `Stepper`.
"""
