"""Master algorithms: how the components of a system are stepped over one communication step.

Each is one file with a function ``program`` that says it as stages of a kernel:

- `jacobi`: all inputs first, then all steps; each component sees the others as they were at the step's begin.
- `gauss_seidel`: one after the other in the order of the dependency graph; each sees what its sources just did.
- `iterative`: like Gauss-Seidel, but what forms a cycle is stepped again, with rollback, until its values agree.
- `error_controlled`: Gauss-Seidel in steps as small as the error of the coupling asks for, with rollback.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from fmus.errors import GalenicError

if TYPE_CHECKING:
    from cosim.graph import Loop
    from cosim.kernel.program import Program
    from cosim.system import System

#: Those in which a value that goes round an algebraic loop is one step old.
LAGGING = ("jacobi", "gauss_seidel", "error_controlled")


def program(system: System) -> Program:
    """The program of the scenario's algorithm.

    Raises:
        GalenicError: the components cannot be stepped in this way.
    """
    name = system.scenario.master.algorithm
    found: Program = import_module(f"cosim.algorithms.{name}").program(system)
    return found


def refuse_loop(system: System, loop: Loop, gain: float | None = None) -> GalenicError:
    """The error for an algebraic loop under an algorithm that does not solve it."""
    algorithm = system.scenario.master.algorithm
    measured = "" if gain is None else f" (what goes round it comes back times {gain:.3g})"
    return system.scenario.error(
        ("master",) if "master" in system.scenario.model_fields_set else ("connections",),
        f"the connections form an algebraic loop, which '{algorithm}' would compute with values one step old"
        f"{measured}: {loop}",
        "write 'master: {algorithm: iterative}', or mark the connection that may lag with 'lagged: true'",
    )


def need_rollback(system: System, numbers: list[int], why: str) -> None:
    """Check that components can go back.

    Raises:
        GalenicError: one cannot.
    """
    for number in numbers:
        component = system.components[number]
        if not component.can_save_state:
            raise system.scenario.error(
                ("components", component.name),
                f"'{component.name}' cannot go back to an earlier state (canGetAndSetFMUstate is not set), "
                f"but {why} steps it several times",
                "export the FMU with this capability, or choose 'master: {algorithm: jacobi}'",
            )
