"""Kind ``linear``: a linear surrogate as a process."""

from __future__ import annotations

import hashlib

import casadi as ca
import numpy as np

from controllers.estimation.model import Output, Process, State
from controllers.surrogates.domain import Domain
from controllers.surrogates.linear_surrogate import LinearSurrogate
from controllers.surrogates.model import SurrogateModel
from cosim.component import FloatArray

_PERIODS = 200


def linear_model(surrogate: LinearSurrogate) -> SurrogateModel:
    """A linear surrogate as a process: states of no meaning, 0 at rest."""
    n, m = surrogate.a.shape[0], len(surrogate.inputs)
    x, u, p = (ca.SX.sym(name, size) for name, size in (("x", n), ("u", m), ("p", 0)))
    off = u - ca.DM(surrogate.u0)
    step = ca.Function("step", [x, u, p], [ca.densify(ca.DM(surrogate.a) @ x + ca.DM(surrogate.b) @ off)])
    y = ca.DM(surrogate.y0) + ca.DM(surrogate.c) @ x + ca.DM(surrogate.d) @ off
    low, high = (np.array([getattr(i, side) for i in surrogate.inputs]) for side in ("min", "max"))
    process = Process(
        surrogate.period,
        tuple(State(f"x[{i + 1}]", nominal=size) for i, size in enumerate(_sizes(surrogate, high - low))),
        tuple(i.name for i in surrogate.inputs),
        tuple(Output(o.name, o.unit, abs(o.operating_point) or 1.0) for o in surrogate.outputs),
        step,
        ca.Function("measure", [x, u, p], [ca.densify(y)]),
    )
    found = hashlib.sha256(b"".join(np.ascontiguousarray(v).tobytes() for v in (surrogate.a, surrogate.b, surrogate.c)))
    return SurrogateModel(
        "linear",
        process,
        surrogate.inputs,
        surrogate.outputs,
        np.zeros(n),
        Domain([i.name for i in surrogate.inputs], low, high),
        description=surrogate.description,
        provenance=surrogate.provenance,
        digest=found.hexdigest(),
    )


def _sizes(surrogate: LinearSurrogate, widths: FloatArray) -> list[float]:
    """How large each state becomes when the inputs step over their ranges."""
    x, most = np.zeros_like(surrogate.b), np.zeros(surrogate.a.shape[0])
    for _ in range(_PERIODS):
        x = surrogate.a @ x + surrogate.b
        most = np.maximum(most, np.abs(x * widths).sum(axis=1))
    return [float(v) if v > 0.0 else 1.0 for v in most]
