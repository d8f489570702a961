"""Surrogate files of every kind: reading, and telling whether the plant's model has changed since."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import casadi as ca
import numpy as np

from controllers.estimation.model import Output, Process, State
from controllers.surrogate import SCHEMA, LinearSurrogate
from controllers.surrogates import mechanistic
from controllers.surrogates.domain import Domain
from controllers.surrogates.model import HorizonError, SurrogateModel
from controllers.surrogates.section import Section
from cosim.component import FloatArray
from cosim.yaml_lines import Source, read_yaml
from fmus.errors import nearest

KINDS = ("linear", "mechanistic")
_COMMON = ("surrogate", "kind", "description", "provenance", "validation")


def load_model(file: Path | str, *, check: bool = True) -> SurrogateModel:
    """Read a surrogate of any kind.

    Args:
        file: the surrogate file.
        check: whether to compare the plant's model with that of the training; what differs is told in ``notices``.

    Raises:
        GalenicError: missing, malformed, of another schema, or inconsistent; with file, line and cure.
    """
    source = read_yaml(Path(file))
    data = source.data
    if not isinstance(data, dict) or "surrogate" not in data:
        raise source.error(
            (), "this is not a surrogate file", "name a file that 'galenic identify' wrote, with 'surrogate:'"
        )
    if data["surrogate"] != SCHEMA:
        raise source.error(
            ("surrogate",),
            f"schema '{data['surrogate']}' is not one that this version reads ({SCHEMA})",
            "identify the surrogate again with this version",
        )
    kind = data.get("kind", "linear")
    if kind not in KINDS:
        raise source.error(("kind",), f"there is no kind '{kind}' of surrogate", nearest(str(kind), KINDS))
    if kind == "linear":
        return linear_model(LinearSurrogate.load(file))
    section = Section(source, (*_COMMON, *mechanistic.KEYS))
    model = mechanistic.build(section).model
    return replace(_with_validation(model, source), notices=_notices(model, data) if check else ())


def _notices(model: SurrogateModel, data: dict[str, Any]) -> tuple[str, ...]:
    known = (data.get("provenance") or {}).get("model_digest")
    if known is None or known == model.digest:
        return ()
    return (
        "the scenario's model has changed since this surrogate was validated: its equations follow, its errors do not",
    )


def _with_validation(model: SurrogateModel, source: Source) -> SurrogateModel:
    validation = source.data.get("validation") or {}
    errors = {
        name: HorizonError(tuple(map(float, entry["rmse"])), tuple(map(float, entry["fit"])))
        for name, entry in (validation.get("errors") or {}).items()
    }
    outputs = tuple(
        replace(y, rmse=errors[y.name].rmse[-1], fit=errors[y.name].fit[-1]) if y.name in errors else y
        for y in model.outputs
    )
    return replace(
        model,
        outputs=outputs,
        errors=errors,
        horizon=float(validation.get("horizon", "nan")),
        provenance=source.data.get("provenance") or {},
    )


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
    names = [i.name for i in surrogate.inputs]
    return SurrogateModel(
        "linear",
        process,
        surrogate.inputs,
        surrogate.outputs,
        np.zeros(n),
        Domain(names, low, high),
        description=surrogate.description,
        provenance=surrogate.provenance,
        digest=found.hexdigest(),
    )


def _sizes(surrogate: LinearSurrogate, widths: FloatArray) -> list[float]:
    """How large each state becomes when the inputs step over their ranges."""
    x, most = np.zeros_like(surrogate.b), np.zeros(surrogate.a.shape[0])
    for _ in range(200):
        x = surrogate.a @ x + surrogate.b
        most = np.maximum(most, np.abs(x * widths).sum(axis=1))
    return [float(v) if v > 0.0 else 1.0 for v in most]
