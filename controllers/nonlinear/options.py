"""How a nonlinear law computes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from controllers.nonlinear.horizon import spaced
from cosim.component import FloatArray


@dataclass(frozen=True)
class LawOptions:
    """How a law computes.

    Args:
        grid: stage lengths in periods; of a batch only their number counts.
        integration_step: longest integration step in s; None: the model's own, in a batch such that the longest stage
            has four.
        engine: see `controllers.nonlinear.engines`.
        passes: iterations of the engine a solve, each judged by the objective; None: 1, or 5 with economic terms.
        restart_every: after so many solves look for a better local optimum from other inputs; 0: never. Engines in C
            without economic terms.
        estimator: ``ekf`` or ``mhe``.
        window: of MHE, in periods.
        memory: how old a value may be, in periods.
        start: state that an estimator begins with; None: at rest under the inputs in force.
        from_zero: ``start`` is the state at the time 0; an estimator that begins later begins where the model goes from
            there under the inputs then in force.
        start_std: its standard deviations; None: a tenth of the nominals.
        target: whether a steady target is sought; None: where the horizon recedes.
        spread: whether predictions carry their standard deviation.
    """

    grid: Sequence[int] = field(default_factory=lambda: spaced(30))
    integration_step: float | None = None
    engine: str = "hpipm"
    passes: int | None = None
    restart_every: int = 0
    estimator: str = "ekf"
    window: int = 10
    memory: int = 0
    start: FloatArray | None = None
    start_std: FloatArray | None = None
    from_zero: bool = False
    target: bool | None = None
    spread: bool = True
