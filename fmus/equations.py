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
        slopes: (t, x, u, p) -> de/dt, of the indicators along the solution.
        transition: (index, t, x, u, p) -> x, the states after an event.
        step: (t, h, x, z, u, p) -> (x, z, q) over one communication step of h seconds.
        step_to_event: (t, h, x, z, u, p) -> (x, z, q, (event, share)) up to the first event, which does not happen
            yet: its index and where in the step it is, 0 to 1; -1 and 1 if there is none. None without events.
        scaled: (tau, xs, zs, (t, h, u, p)) -> (dxs/dtau, residual, q) within a step, tau from 0 to 1, states and
            unknowns in multiples of their nominals: what `step` integrates.
        derivative: (t, x, z, u, p) -> dx/dt.
        sensitivity: (t, h, x, u, p, dx, du) -> (dx, dy), the exact directional derivative of a step: how states and
            outputs at its end move with the states at its start and the inputs held in it, events included.
        tangent: (t, x, u, p, dx, du) -> (d(dx/dt), dy), the directional derivative at one instant.
        cotangent: (t, x, u, p, lx, ly) -> (x, u), the adjoint of the same.
        initial_tangent: (t, x_start, u, p, dx_start, du, dp) -> (dx, d(dx/dt), dy), that of the initialisation.
    """

    initial: Any
    algebraic: Any
    integrand: Any
    outputs: Any
    indicators: Any
    slopes: Any
    transition: Any
    step: Any
    step_to_event: Any | None
    scaled: Any
    derivative: Any
    sensitivity: Any
    tangent: Any
    cotangent: Any
    initial_tangent: Any

    def settle(self, t: float, x: Any, u: Any, p: Any) -> Any:
        """The states after the events that are due, as the FMU settles them before and after each step."""
        if self.step_to_event is None:
            return x
        for _ in range(10 + self.indicators.numel_out(0)):
            e = self.indicators(t, x, self.algebraic(t, x, u, p), u, p).full().ravel()
            due = (e < 0) | ((e == 0) & (self.slopes(t, x, u, p).full().ravel() < 0))
            if not due.any():
                break
            x = self.transition(int(due.argmax()), t, x, u, p)
        return x


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
    dae = _Dae(model, x, z, u, p, ode, residual, integrand, indicators)
    step = dae.step(jumped, index)
    instant = ca.Function("instant", [t, x, z, u, p], [ode, ca.substitute(y, q, integrand)])
    start = ca.Function("galenic_initial", [u, p, x_start], [initial])
    # of events with implicit equations CasADi's own derivative, exact for the steps that the integrator took
    own_variations = bool(model.states) and not (model.events and model.algebraics)

    return UnitFunctions(
        initial=start,
        algebraic=algebraic,
        integrand=ca.Function("galenic_integrand", [t, x, z, u, p], [integrand]),
        outputs=outputs,
        indicators=ca.Function("galenic_indicators", [t, x, z, u, p], [indicators]),
        slopes=_slopes(algebraic, ca.Function("crossing", [t, x, z, u, p], [ode, indicators])),
        transition=ca.Function("galenic_transition", [index, t, x, u, p], [jumped]),
        step=step,
        step_to_event=dae.step_to_event() if model.events else None,
        scaled=dae.scaled(),
        derivative=ca.Function("galenic_derivative", [t, x, z, u, p], [ode]),
        sensitivity=dae.sensitivity(algebraic, outputs, jumped, index)
        if own_variations
        else _sensitivity(algebraic, step, outputs),
        tangent=_tangent(algebraic, instant),
        cotangent=_cotangent(algebraic, instant),
        initial_tangent=_initial_tangent(start, algebraic, instant),
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


class _Dae:
    """The equations over one communication step, in scaled time and scaled states."""

    def __init__(
        self,
        model: UnitModel,
        x: Any,
        z: Any,
        u: Any,
        p: Any,
        ode: Any,
        residual: Any,
        integrand: Any,
        indicators: Any,
    ) -> None:
        self.model = model
        self.sizes = (1, 1, x.numel(), z.numel(), u.numel(), p.numel())
        self.tau, self.t0, self.h = ca.SX.sym("tau"), ca.SX.sym("t0"), ca.SX.sym("h")
        self.xs, self.zs = ca.SX.sym("xs", x.numel()), ca.SX.sym("zs", z.numel())
        self.x_nominal = ca.DM([s.variable.nominal for s in model.states])
        self.z_nominal = ca.DM([a.variable.nominal for a in model.algebraics])
        self.old = [model.time, x, z]
        self.new = [self.t0 + self.tau * self.h, self.xs * self.x_nominal, self.zs * self.z_nominal]
        self.u, self.known = u, ca.vertcat(self.t0, self.h, u, p)
        self.ode, self.residual, self.integrand, self.indicators = ca.substitute(
            [self.h * ode * (1.0 / self.x_nominal), residual, integrand, indicators], self.old, self.new
        )

    def scaled(self) -> Any:
        """What the integrators integrate."""
        known = [self.tau, self.xs, self.zs, self.known]
        return ca.Function("galenic_scaled", known, [self.ode, self.residual, self.integrand])

    def step(self, jumped: Any, index: Any) -> Any:
        """The whole step, events included."""
        (after,) = ca.substitute([jumped / self.x_nominal], self.old, self.new)
        dae = {"t": self.tau, "x": self.xs, "p": self.known, "ode": self.ode, "quad": self.integrand}
        if self.zs.numel():
            dae |= {"z": self.zs, "alg": self.residual}
        integrator = self._integrator("integrator", dae, self.indicators, after, index)
        args = self._arguments()
        t, h, x, z, u, p = args
        end = integrator(x0=x / self.x_nominal, z0=z / self.z_nominal, p=ca.vertcat(t, h, u, p))
        states, unknowns = end["xf"] * self.x_nominal, end["zf"] * self.z_nominal
        return ca.Function("galenic_step", args, [states, unknowns, end["qf"]])

    def step_to_event(self) -> Any:
        """The step up to its first event: from there on time and states stand still.

        Three states more: whether an event was met, at which scaled time, and which.
        """
        met, at, which, index = (ca.SX.sym(n) for n in ("met", "at", "which", "index"))
        standing = ca.if_else(met > 0.5, at, self.tau)
        ode, residual, integrand, indicators = ca.substitute(
            [self.ode, self.residual, self.integrand, self.indicators], [self.tau], [standing]
        )
        moving = 1.0 - met
        x = ca.vertcat(self.xs, met, at, which)
        dae = {
            "t": self.tau,
            "x": x,
            "p": self.known,
            "ode": ca.vertcat(moving * ode, 0, 0, 0),
            "quad": moving * integrand,
        }
        if self.zs.numel():
            dae |= {"z": self.zs, "alg": residual}
        armed = ca.if_else(met > 0.5, 1.0, indicators)
        integrator = self._integrator(
            "integrator_to_event", dae, armed, ca.vertcat(self.xs, 1.0, self.tau, index), index
        )
        args = self._arguments()
        t, h, states, z, u, p = args
        start = ca.vertcat(states / self.x_nominal, 0.0, 0.0, -1.0)
        end = integrator(x0=start, z0=z / self.z_nominal, p=ca.vertcat(t, h, u, p))
        n = self.xs.numel()
        xf, met_f, at_f, which_f = (end["xf"][i] for i in (slice(n), n, n + 1, n + 2))
        share = ca.if_else(met_f > 0.5, at_f, 1.0)
        results = [
            xf * self.x_nominal,
            end["zf"] * self.z_nominal,
            end["qf"] / ca.fmax(share, 1e-300),
            ca.vertcat(which_f, share),
        ]
        return ca.Function("galenic_step_to_event", args, results)

    def sensitivity(self, algebraic: Any, outputs: Any, jumped: Any, index: Any) -> Any:
        """The directional derivative of a step by the variational equations, integrated under the same error control.

        The steps that the solution alone takes where it rests are too long for them. How quadratures move is carried as
        states, because it jumps at events too.
        """
        moved, moved_z = ca.SX.sym("moved", self.xs.numel()), ca.SX.sym("moved_z", self.zs.numel())
        du = ca.SX.sym("du", self.sizes[4])
        by, seeds = ca.vertcat(self.xs, self.zs, self.u), ca.vertcat(moved, moved_z, du)
        dq = ca.SX.sym("dq", self.integrand.numel())
        rates, flows = (ca.jtimes(of, by, seeds) for of in (self.ode, self.integrand))
        dae = {
            "t": self.tau,
            "x": ca.vertcat(self.xs, moved, dq),
            "p": ca.vertcat(self.known, du),
            "ode": ca.vertcat(self.ode, rates, flows),
            "quad": self.integrand,
        }
        if self.zs.numel():
            dae |= {
                "z": ca.vertcat(self.zs, moved_z),
                "alg": ca.vertcat(self.residual, ca.jtimes(self.residual, by, seeds)),
            }
        after = self._moved_by_event(moved, dq, du, jumped, index) if self.model.events else None
        integrator = self._integrator("integrator_moved", dae, self.indicators, after, index)
        t, h, x, _, u, p = self._arguments()
        dx, du = _symbols("dx du", x.numel(), u.numel())
        # seeds of size 1, so that the tolerances mean the same for every seed
        u_nominal = ca.DM([v.nominal for v, _ in self.model.inputs])
        size = ca.norm_inf(ca.vertcat(dx / self.x_nominal, du / u_nominal, 1e-300))
        start_z, start_dz = self._moved_unknowns(algebraic, t, x, u, p, dx / size, du / size)
        n_x, n_q = x.numel(), self.integrand.numel()
        end = integrator(
            x0=ca.vertcat(x / self.x_nominal, dx / size / self.x_nominal, ca.DM.zeros(n_q)),
            z0=ca.vertcat(start_z, start_dz) / ca.vertcat(*[self.z_nominal] * 2),
            p=ca.vertcat(t, h, u, p, du / size),
        )
        q, (x_end, dx_end, dq_end) = end["qf"], _split(end["xf"], n_x, n_x, n_q)
        x_end, dx_end = x_end * self.x_nominal, dx_end * self.x_nominal * size
        at = _symbols("x u q", x.numel(), u.numel(), q.numel())
        y = outputs(t + h, at[0], algebraic(t + h, at[0], at[1], p), at[1], p, at[2])
        seeded = _symbols("dx du dq", x.numel(), u.numel(), q.numel())
        dy = ca.Function("dy", [t, h, p, *at, *seeded], [ca.jtimes(y, ca.vertcat(*at), ca.vertcat(*seeded))])
        dy_end = dy(t, h, p, x_end, u, q, dx_end, du, dq_end * size)
        return ca.Function("galenic_sensitivity", [t, h, x, u, p, dx, du], [dx_end, dy_end])

    def _moved_by_event(self, moved: Any, dq: Any, du: Any, jumped: Any, index: Any) -> Any:
        """States, their movement and that of the quadratures after an event, which moves in time itself.

        With e the indicator, f the rates and g the jump, the event moves by
        dtau = -(e_x dx + e_u du)/(e_t + e_x f), and dx+ = g_x (dx + f dtau) + g_t dtau + g_u du - f+ dtau.
        """
        (g,) = ca.substitute([jumped / self.x_nominal], self.old, self.new)
        e = sum((ca.if_else(index == k, self.indicators[k], 0.0) for k in range(len(self.model.events))), ca.SX(0))
        slope = ca.jtimes(e, ca.vertcat(self.xs, self.tau), ca.vertcat(self.ode, 1.0))
        shift = -ca.jtimes(e, ca.vertcat(self.xs, self.u), ca.vertcat(moved, du)) / slope
        rates, flows = ca.substitute([self.ode, self.integrand], [self.xs], [g])
        by, seeds = ca.vertcat(self.xs, self.tau, self.u), ca.vertcat(moved + self.ode * shift, shift, du)
        dx = ca.jtimes(g, by, seeds) - rates * shift
        return ca.vertcat(g, dx, dq + (self.integrand - flows) * shift)

    def _moved_unknowns(self, algebraic: Any, t: Any, x: Any, u: Any, p: Any, dx: Any, du: Any) -> tuple[Any, Any]:
        """The unknowns at the start, and how they move with states and inputs."""
        at, seeds = _symbols("x u", x.numel(), u.numel()), _symbols("dx du", x.numel(), u.numel())
        moved = ca.jtimes(algebraic(t, *at, p), ca.vertcat(*at), ca.vertcat(*seeds))
        derivative = ca.Function("moved_unknowns", [t, p, *at, *seeds], [moved])
        return algebraic(t, x, u, p), derivative(t, p, x, u, dx, du)

    def _integrator(self, name: str, dae: dict[str, Any], indicators: Any, after: Any, index: Any) -> Any:
        options: dict[str, Any] = {
            "abstol": self.model.absolute_tolerance,
            "reltol": self.model.relative_tolerance,
            "max_num_steps": 100000,
        }
        if self.model.events:
            options["event_tol"] = 1e-10  # in multiples of the communication step
            dae = dae | {"zero": indicators}
            slots = {"index": index, "t": self.tau, "x": dae["x"], "p": dae["p"], "post_x": after}
            if self.zs.numel():
                slots |= {"z": self.zs, "post_z": self.zs}
            options["transition"] = ca.Function(
                "transition", slots, ["index", "t", "x", "z", "p", "u"], ["post_x", "post_z"]
            )
        return ca.integrator(name, self.model.integrator, dae, 0, 1, options)

    def _arguments(self) -> list[Any]:
        return [ca.MX.sym(n, size) for n, size in zip("thxzup", self.sizes, strict=True)]


def _sensitivity(algebraic: Any, step: Any, outputs: Any) -> Any:
    t, h, x, u, p = _symbols("t h x u p", 1, 1, step.size1_in(2), step.size1_in(4), step.size1_in(5))
    dx, du = _symbols("dx du", x.numel(), u.numel())
    x_end, _, means = step(t, h, x, algebraic(t, x, u, p), u, p)
    y_end = outputs(t + h, x_end, algebraic(t + h, x_end, u, p), u, p, means)
    moved = ca.jtimes(ca.vertcat(x_end, y_end), ca.vertcat(x, u), ca.vertcat(dx, du))
    return ca.Function("galenic_sensitivity", [t, h, x, u, p, dx, du], _split(moved, x.numel(), y_end.numel()))


def _tangent(algebraic: Any, instant: Any) -> Any:
    t, x, u, p = _symbols("t x u p", 1, *(instant.size1_in(i) for i in (1, 3, 4)))
    dx, du = _symbols("dx du", x.numel(), u.numel())
    ode, y = instant(t, x, algebraic(t, x, u, p), u, p)
    moved = ca.jtimes(ca.vertcat(ode, y), ca.vertcat(x, u), ca.vertcat(dx, du))
    return ca.Function("galenic_tangent", [t, x, u, p, dx, du], _split(moved, x.numel(), y.numel()))


def _cotangent(algebraic: Any, instant: Any) -> Any:
    t, x, u, p = _symbols("t x u p", 1, *(instant.size1_in(i) for i in (1, 3, 4)))
    ode, y = instant(t, x, algebraic(t, x, u, p), u, p)
    lx, ly = _symbols("lx ly", x.numel(), y.numel())
    pulled = ca.jtimes(ca.vertcat(ode, y), ca.vertcat(x, u), ca.vertcat(lx, ly), True)
    return ca.Function("galenic_cotangent", [t, x, u, p, lx, ly], _split(pulled, x.numel(), u.numel()))


def _slopes(algebraic: Any, crossing: Any) -> Any:
    t, x, u, p = _symbols("t x u p", 1, *(crossing.size1_in(i) for i in (1, 3, 4)))
    ode, indicators = crossing(t, x, algebraic(t, x, u, p), u, p)
    slopes = ca.jtimes(indicators, ca.vertcat(t, x), ca.vertcat(1.0, ode))
    return ca.Function("galenic_slopes", [t, x, u, p], [ca.densify(slopes)])


def _initial_tangent(initial: Any, algebraic: Any, instant: Any) -> Any:
    t, xs, u, p = _symbols("t xs u p", 1, *(instant.size1_in(i) for i in (1, 3, 4)))
    dxs, du, dp = _symbols("dxs du dp", xs.numel(), u.numel(), p.numel())
    x = initial(u, p, xs)
    ode, y = instant(t, x, algebraic(t, x, u, p), u, p)
    moved = ca.jtimes(ca.vertcat(x, ode, y), ca.vertcat(xs, u, p), ca.vertcat(dxs, du, dp))
    parts = _split(moved, x.numel(), x.numel(), y.numel())
    return ca.Function("galenic_initial_tangent", [t, xs, u, p, dxs, du, dp], parts)


def _symbols(names: str, *sizes: int) -> list[Any]:
    return [ca.MX.sym(n, size) for n, size in zip(names.split(), sizes, strict=True)]


def _split(column: Any, *sizes: int) -> list[Any]:
    ends = [sum(sizes[:i]) for i in range(len(sizes) + 1)]
    return list(ca.vertsplit(ca.densify(column), ends))
