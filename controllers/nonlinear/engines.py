"""The engine of a law, by name."""

from __future__ import annotations

from typing import Any

from controllers.optimal_control.answer import Engine
from controllers.optimal_control.problem import OptimalControlProblem
from fmus.errors import GalenicError, nearest

ENGINES = ("hpipm", "riccati", "casadi", "ipopt", "do_mpc")
#: Those that are compiled.
NATIVE = ("hpipm", "riccati")


def make_engine(name: str, problem: OptimalControlProblem, **options: Any) -> tuple[Engine, str]:
    """An engine and its name: without a compiler those in C give way to ``casadi``, for trees to ``ipopt``.

    Args:
        name: one of `ENGINES`.
        problem: to be solved.
        options: of the engine's constructor.

    Raises:
        GalenicError: an unknown name, or an engine that cannot take the problem.
    """
    if name in NATIVE:
        from controllers.optimal_control.engine_hpipm import HPIPMEngine

        try:
            return HPIPMEngine(problem, riccati=name == "riccati", **options), name
        except GalenicError:
            name = "casadi" if problem.scenarios is None else "ipopt"
    if name == "casadi":
        from controllers.optimal_control.engine_nlp import CasADiEngine

        return CasADiEngine(problem, iterations=options.get("iterations", 1)), "casadi"
    if name == "ipopt":
        from controllers.optimal_control.engine_nlp import IPOPTEngine

        return IPOPTEngine(problem), "ipopt"
    if name == "do_mpc":
        from controllers.optimal_control.engine_do_mpc import DoMPCEngine

        return DoMPCEngine(problem, scaled=True), "do_mpc"
    raise GalenicError(f"there is no engine '{name}'", cure=nearest(name, ENGINES))
