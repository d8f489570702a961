"""The CasADi functions of a unit model: one set, from which C code, tests and surrogates are made.

Time is scaled, dx/dtau = h f(x, t0 + tau h) with tau in 0..1, so that one generated integrator serves every
communication step size h; states are scaled by their nominal values, so that one tolerance serves them all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import casadi as ca

from fmus.model import UnitModel


@dataclass(frozen=True)
class UnitFunctions:
    """CasADi functions of a model with columns x (states), z (unknowns), u (inputs), p (parameters), q (means).

    Attributes:
        initial: (u, p, x_start) -> x, the states at the start.
        algebraic: (t, x, u, p) -> z, the implicit equations solved by Newton's method.
        integrand: (t, x, z, u, p) -> q, what the means are means of, at one instant.
        outputs: (t, x, z, u, p, q) -> y.
        indicators: (t, x, z, u, p) -> e, each falls below zero when its event happens.
        transition: (index, t, x, u, p) -> x, the states after an event.
        step: (t, h, x, z, u, p) -> (x, z, q) over one communication step of h seconds.
        derivative: (t, x, z, u, p) -> dx/dt.
        sensitivity: (t, h, x, u, p, dx, du) -> (dx, dy), the exact directional derivative of a step: how states and
            outputs at its end move with the states at its start and the inputs held in it, events included.
    """

    initial: Any
    algebraic: Any
    integrand: Any
    outputs: Any
    indicators: Any
    transition: Any
    step: Any
    derivative: Any
    sensitivity: Any


def unit_functions(model: UnitModel) -> UnitFunctions:
    """Build the functions of ``model``. Raises GalenicError where the model is not complete."""
    model.check()
    t = model.time
    x, z = _column([s.symbol for s in model.states]), _column([a.symbol for a in model.algebraics])
    u, p = _column([s for _, s in model.inputs]), _column([s for _, s in model.parameters])
    q = _column([s for s, _ in model.means])
    x_start = ca.SX.sym("x_start", x.numel())
    ode = _column([ca.SX(0) if s.derivative is None else s.derivative for s in model.states])
    residual = _column([a.residual for a in model.algebraics])
    integrand = _column([expression for _, expression in model.means])
    indicators = _column([e.indicator for e in model.events])
    initial = _column([x_start[i] if s.initial is None else s.initial for i, s in enumerate(model.states)])
    y = _column([expression for _, expression in model.outputs])
    index = ca.SX.sym("index")
    jumped = _jumped(model, x, index)
    algebraic = _algebraic(model, t, x, z, u, p, residual)
    outputs = ca.Function("galenic_outputs", [t, x, z, u, p, q], [y])
    step = _step(model, x, z, u, p, ode, residual, integrand, indicators, jumped, index)

    return UnitFunctions(
        initial=ca.Function("galenic_initial", [u, p, x_start], [initial]),
        algebraic=algebraic,
        integrand=ca.Function("galenic_integrand", [t, x, z, u, p], [integrand]),
        outputs=outputs,
        indicators=ca.Function("galenic_indicators", [t, x, z, u, p], [indicators]),
        transition=ca.Function("galenic_transition", [index, t, x, u, p], [jumped]),
        step=step,
        derivative=ca.Function("galenic_derivative", [t, x, z, u, p], [ode]),
        sensitivity=_sensitivity(algebraic, step, outputs),
    )


def _column(items: list[Any]) -> Any:
    return ca.vertcat(*items) if items else ca.SX(0, 1)


def _jumped(model: UnitModel, x: Any, index: Any) -> Any:
    names = [s.variable.name for s in model.states]
    jumped = [x[i] for i in range(len(names))]
    for number, event in enumerate(model.events):
        for name, value in event.assign.items():
            i = names.index(name)
            jumped[i] = ca.if_else(index == number, value, jumped[i])
    return _column(jumped)


def _algebraic(model: UnitModel, t: Any, x: Any, z: Any, u: Any, p: Any, residual: Any) -> Any:
    if z.numel() == 0:
        return ca.Function("galenic_algebraic", [t, x, u, p], [ca.SX(0, 1)])
    known = ca.vertcat(t, x, u, p)
    solver = ca.rootfinder(
        "newton", "fast_newton", {"x": z, "p": known, "g": residual}, {"abstol": 1e-12, "max_iter": 100}
    )
    start = ca.Function("newton_start", [t, x, u, p], [_column([a.start for a in model.algebraics])])
    args = [ca.MX.sym(n, m.numel()) for n, m in (("t", t), ("x", x), ("u", u), ("p", p))]
    return ca.Function("galenic_algebraic", args, [solver(start(*args), ca.vertcat(*args))])


def _step(
    model: UnitModel,
    x: Any,
    z: Any,
    u: Any,
    p: Any,
    ode: Any,
    residual: Any,
    integrand: Any,
    indicators: Any,
    jumped: Any,
    index: Any,
) -> Any:
    t = model.time
    tau, t0, h = ca.SX.sym("tau"), ca.SX.sym("t0"), ca.SX.sym("h")
    xs, zs = ca.SX.sym("xs", x.numel()), ca.SX.sym("zs", z.numel())
    x_nominal = ca.DM([s.variable.nominal for s in model.states])
    z_nominal = ca.DM([a.variable.nominal for a in model.algebraics])
    old, new = [t, x, z], [t0 + tau * h, xs * x_nominal, zs * z_nominal]
    ode, residual, integrand, indicators, jumped = ca.substitute(
        [h * ode / x_nominal, residual, integrand, indicators, jumped / x_nominal], old, new
    )
    known = ca.vertcat(t0, h, u, p)
    dae = {"t": tau, "x": xs, "p": known, "ode": ode, "quad": integrand}
    if z.numel():
        dae |= {"z": zs, "alg": residual}
    options: dict[str, Any] = {
        "abstol": model.absolute_tolerance,
        "reltol": model.relative_tolerance,
        "max_num_steps": 100000,
    }
    if model.events:
        dae["zero"] = indicators
        slots = {"index": index, "t": tau, "x": xs, "p": known, "post_x": jumped}
        if z.numel():
            slots |= {"z": zs, "post_z": zs}
        options["transition"] = ca.Function(
            "transition", slots, ["index", "t", "x", "z", "p", "u"], ["post_x", "post_z"]
        )
    integrator = ca.integrator("integrator", model.integrator, dae, 0, 1, options)
    args = [
        ca.MX.sym(n, m)
        for n, m in (("t", 1), ("h", 1), ("x", x.numel()), ("z", z.numel()), ("u", u.numel()), ("p", p.numel()))
    ]
    mt, mh, mx, mz, mu, mp = args
    result = integrator(x0=mx / x_nominal, z0=mz / z_nominal, p=ca.vertcat(mt, mh, mu, mp))
    return ca.Function("galenic_step", args, [result["xf"] * x_nominal, result["zf"] * z_nominal, result["qf"]])


def _sensitivity(algebraic: Any, step: Any, outputs: Any) -> Any:
    t, h, x, u, p = (
        ca.MX.sym(n, m)
        for n, m in (("t", 1), ("h", 1), ("x", step.numel_in(2)), ("u", step.numel_in(4)), ("p", step.numel_in(5)))
    )
    dx, du = ca.MX.sym("dx", x.numel()), ca.MX.sym("du", u.numel())
    x_end, _, means = step(t, h, x, algebraic(t, x, u, p), u, p)
    y_end = outputs(t + h, x_end, algebraic(t + h, x_end, u, p), u, p, means)
    moved = ca.jtimes(ca.vertcat(x_end, y_end), ca.vertcat(x, u), ca.vertcat(dx, du))
    return ca.Function(
        "galenic_sensitivity", [t, h, x, u, p, dx, du], list(ca.vertsplit(moved, [0, x.numel(), moved.numel()]))
    )
