"""A unit as a PythonFMU slave: the same CasADi functions, evaluated in `do_step`. Built by `unit_step.py`.

The unit's name is in the environment variable GALENIC_UNIT, because PythonFMU makes instances without arguments.
"""

from __future__ import annotations

import os
from functools import partial
from typing import Any

import numpy as np
from pythonfmu import Fmi2Causality, Fmi2Slave, Real

import fmus
from fmus.codegen import unit_functions_quietly


class PythonUnit(Fmi2Slave):
    """Inputs and outputs of a unit under their names, all of them Real."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        model = fmus.unit_model(os.environ["GALENIC_UNIT"])
        self.functions = unit_functions_quietly(model)
        self.u = np.array([v.start for v, _ in model.inputs])
        self.p = np.array([v.start for v, _ in model.parameters])
        self.x = self.functions.initial(self.u, self.p, [s.variable.start or 0.0 for s in model.states])
        self.y = np.zeros(len(model.outputs))
        for causality, values, variables in (
            (Fmi2Causality.input, self.u, model.inputs),
            (Fmi2Causality.output, self.y, model.outputs),
        ):
            for i, (variable, _) in enumerate(variables):
                get, put = partial(values.__getitem__, i), partial(values.__setitem__, i)
                self.register_variable(Real(variable.name, causality=causality, getter=get, setter=put))

    def do_step(self, time: float, size: float) -> bool:
        f = self.functions
        self.x = f.settle(time, self.x, self.u, self.p)
        z = f.algebraic(time, self.x, self.u, self.p)
        self.x, _, means = f.step(time, size, self.x, z, self.u, self.p)
        self.x = f.settle(time + size, self.x, self.u, self.p)
        z = f.algebraic(time + size, self.x, self.u, self.p)
        self.y[:] = np.asarray(f.outputs(time + size, self.x, z, self.u, self.p, means)).ravel()
        return True
