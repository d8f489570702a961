"""The CasADi functions of a nonlinear law as C."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import casadi

from controllers.estimation.model import EstimationModel
from controllers.export.model_slopes import measure_function, steady_function, step_function
from controllers.nonlinear.harvest import HarvestChooser
from controllers.nonlinear.law import NonlinearLaw
from controllers.optimal_control.stage_functions import StageFunctions

_KINDS = ("linearised", "rolled")


class GeneratedFunctions:
    """Those that the law itself evaluates: of its model, stages, steady target and harvest.

    Args:
        law: the law.

    Attributes:
        stages: of the optimal control problem.
    """

    def __init__(self, law: NonlinearLaw) -> None:
        self.stages = StageFunctions(law._f.problem)
        self._keys = list(self.stages.kinds)
        step, measure = step_function(law.model, "model_step"), measure_function(law.model, "model_measure")
        self._functions = [
            _advance(law.model),
            step,
            measure,
            *(getattr(self.stages, kind)(first) for kind in _KINDS for first in self.stages.kinds.values()),
        ]
        if law._target is not None:
            self._functions.append(steady_function(law, step, measure, "steady"))
        if law._chooser is not None:
            evaluation: Any = HarvestChooser(law._f, native=False)._step
            self._functions.append(_named("harvest_step", evaluation._function))

    def number(self, stage: int) -> int:
        """Which of the functions of stages a stage has."""
        return self._keys.index(self.stages.key(stage))

    def sizes(self) -> dict[str, int]:
        """Room for their workings."""
        return {
            "FUNCTION_WORK": max(f.sz_w() for f in self._functions),
            "FUNCTION_INTEGERS": max(f.sz_iw() for f in self._functions),
            "FUNCTION_ARGUMENTS": max(f.sz_arg() for f in self._functions),
            "FUNCTION_RESULTS": max(f.sz_res() for f in self._functions),
        }

    def source(self) -> str:
        """functions.c."""
        generator = casadi.CodeGenerator("functions", {"with_header": False, "with_export": False, "verbose": False})
        for function in self._functions:
            generator.add(function)
        with tempfile.TemporaryDirectory() as folder:
            generator.generate(folder + "/")
            text = (Path(folder) / "functions.c").read_text(encoding="utf-8")
        text += "\ntypedef int (*Generated)(const double **, double **, casadi_int *, double *, int);\n"
        for kind in _KINDS:
            names = ", ".join(f"{kind}_{key}" for key in self._keys)
            text += f"static const Generated {kind}_functions[] = {{{names}}};\n"
        return text


def _advance(model: EstimationModel) -> Any:
    s, u, h = (casadi.SX.sym(name, size) for name, size in (("s", model.size), ("u", len(model.inputs)), ("h", 1)))
    return casadi.Function("model_advance", [s, u, h], [casadi.densify(model.advance(s, u, h))])


def _named(name: str, function: Any) -> Any:
    symbols = [casadi.SX.sym(f"i{i}", function.sparsity_in(i)) for i in range(function.n_in())]
    return casadi.Function(name, symbols, [casadi.densify(r) for r in function.call(symbols)])
