"""The process of a unit model: its own equations, in the estimator's period."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import casadi as ca

from controllers.estimation.model import Output, Process, State
from fmus.equations import unit_functions
from fmus.errors import GalenicError, nearest
from fmus.model import UnitModel

Method = Literal["rk4", "own"]


def unit_process(
    model: UnitModel,
    period: float,
    *,
    inputs: Sequence[str],
    outputs: Sequence[str],
    states: Mapping[str, Mapping[str, Any]],
    parameters: Sequence[str] = (),
    values: Mapping[str, float] | None = None,
    method: Method = "rk4",
    substeps: int = 1,
) -> Process:
    """A process whose equations are those of a unit model.

    Args:
        model: the unit model.
        period: of the estimator, in s.
        inputs: that vary; the others keep their value in ``values`` or their start.
        outputs: measured or soft-sensed; those that are means are taken at the instant.
        states: name -> what `State` takes beside name and unit (``noise``, ``low``, ``nominal``, ...). States that are
            not named keep their start: totals that nothing depends on need not be estimated.
        parameters: that may carry a disturbance.
        values: of inputs and parameters that differ from the unit model's.
        method: ``rk4`` with ``substeps`` in a period, or ``own``: the unit's adaptive integrator, events included.
        substeps: of ``rk4``.

    Raises:
        GalenicError: an unknown name.
    """
    functions = unit_functions(model)
    values = dict(values or {})
    names = {
        "state": [s.variable.name for s in model.states],
        "input": [v.name for v, _ in model.inputs],
        "output": [v.name for v, _ in model.outputs],
        "parameter": [v.name for v, _ in model.parameters],
    }
    for kind, asked in (("state", states), ("input", inputs), ("output", outputs), ("parameter", parameters)):
        _check(model.name, kind, asked, names[kind])
    _check(model.name, "input or parameter", values, names["input"] + names["parameter"])
    declared = {v.name: float(values.get(v.name, v.start or 0.0)) for v, _ in (*model.inputs, *model.parameters)}
    x, u, p = (ca.MX.sym(n, len(items)) for n, items in (("x", states), ("u", inputs), ("p", parameters)))
    given = {name: u[i] for i, name in enumerate(inputs)} | {name: p[i] for i, name in enumerate(parameters)}
    fixed_u = ca.DM([declared[n] for n in names["input"]])
    fixed_p = ca.DM([declared[n] for n in names["parameter"]])
    starts = [float(s.variable.start or 0.0) for s in model.states]
    fixed_x = functions.initial(fixed_u, fixed_p, starts)
    order = list(states)
    full_x = ca.vertcat(*(x[order.index(n)] if n in states else fixed_x[i] for i, n in enumerate(names["state"])))
    full_u = _filled(names["input"], given, declared)
    full_p = _filled(names["parameter"], given, declared)
    full_z = functions.algebraic(0.0, full_x, full_u, full_p)
    pick = [names["state"].index(n) for n in order]
    q = functions.integrand(0.0, full_x, full_z, full_u, full_p)
    y = functions.outputs(0.0, full_x, full_z, full_u, full_p, q)
    shown = [names["output"].index(n) for n in outputs]
    measure = ca.Function("measure", [x, u, p], [y[shown]])
    variables = {s.variable.name: s.variable for s in model.states}
    items = [
        State(**{"name": n, "unit": variables[n].unit, "nominal": variables[n].nominal, **states[n]}) for n in order
    ]
    known = {v.name: v for v, _ in model.outputs}
    results = [Output(n, known[n].unit, known[n].nominal) for n in outputs]
    defaults = [(n, declared[n]) for n in parameters]
    if method == "own":
        end = functions.step(0.0, period, full_x, full_z, full_u, full_p)[0]
        step = ca.Function("step", [x, u, p], [end[pick]])
        return Process(period, tuple(items), tuple(inputs), tuple(results), step, measure, tuple(defaults))
    rate = ca.Function("rate", [x, u, p], [functions.derivative(0.0, full_x, full_z, full_u, full_p)[pick]])
    return Process.continuous(period, items, inputs, results, rate, measure, defaults, substeps=substeps)


def _filled(names: Sequence[str], given: Mapping[str, Any], declared: Mapping[str, float]) -> Any:
    return ca.vertcat(*(given.get(n, declared[n]) for n in names)) if names else ca.MX(0, 1)


def _check(model: str, kind: str, asked: Sequence[str] | Mapping[str, Any], known: Sequence[str]) -> None:
    for name in asked:
        if name not in known:
            raise GalenicError(f"unit '{model}' has no {kind} '{name}'", cure=nearest(name, known))
