"""Optimal control: one problem object, and engines that solve it.

- `problem`: states, inputs, dynamics, costs, constraints and the grid. `soft_constraint`: limits that may give way.
- `tree`: scenarios of uncertain parameters, and the nodes they make. `terms`: what may differ from solve to solve.
- `answer`: what every engine returns, and the engines' interface.
- `engine_hpipm`: real-time iteration in C (`rti_kernel.c`) around HPIPM or an interior-point method of our own
  (`riccati_ipm.c`), with the generated functions of `stage_functions`, put together by `rti_setup`, compiled and cached
  by `native_library`. The engine for operation.
- `engine_nlp`: the whole problem (`transcription`) for CasADi's solvers: sqpmethod with HPIPM where nothing can be
  compiled, IPOPT as the reference.
- `engine_do_mpc`: the same problem in do-mpc, where that is installed.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from controllers.optimal_control.answer import Answer, Engine, Status
    from controllers.optimal_control.engine_do_mpc import DoMPCEngine
    from controllers.optimal_control.engine_hpipm import HPIPMEngine
    from controllers.optimal_control.engine_nlp import CasADiEngine, IPOPTEngine
    from controllers.optimal_control.problem import OptimalControlProblem
    from controllers.optimal_control.soft_constraint import SoftConstraint
    from controllers.optimal_control.tree import Scenarios

__all__ = [
    "Answer",
    "CasADiEngine",
    "DoMPCEngine",
    "Engine",
    "HPIPMEngine",
    "IPOPTEngine",
    "OptimalControlProblem",
    "Scenarios",
    "SoftConstraint",
    "Status",
]

_HOME = {
    "Answer": "answer",
    "CasADiEngine": "engine_nlp",
    "DoMPCEngine": "engine_do_mpc",
    "Engine": "answer",
    "HPIPMEngine": "engine_hpipm",
    "IPOPTEngine": "engine_nlp",
    "OptimalControlProblem": "problem",
    "Scenarios": "tree",
    "SoftConstraint": "soft_constraint",
    "Status": "answer",
}


def __getattr__(name: str) -> Any:
    """Import on first use: the command line must answer at once."""
    if name not in _HOME:
        raise AttributeError(f"module 'controllers.optimal_control' has no attribute '{name}'")
    return getattr(import_module(f"controllers.optimal_control.{_HOME[name]}"), name)
