"""The optimal control problem of a nonlinear law, with all that changes from solve to solve as parameters by node."""

from __future__ import annotations

import math
from typing import Any

import casadi as ca
import numpy as np

from controllers.estimation.model import DisturbanceState, EstimationModel
from controllers.nonlinear.horizon import Horizon
from controllers.nonlinear.specification import Specification
from controllers.optimal_control.problem import OptimalControlProblem
from controllers.optimal_control.soft_constraint import SoftConstraint
from controllers.optimal_control.tree import Scenarios
from cosim.component import FloatArray
from fmus.errors import GalenicError

_HOUR = 3600.0


class Formulation:
    r"""One `OptimalControlProblem` for a model and a specification.

    Disturbances, known inputs, references, the length of each stage, the weights of each rank and the centre of the
    inputs' cost are parameters by node, so nothing is compiled again when they change. With h_k the length of one
    application of the integration map in stage k and tau_k = h_k / period,

        cost of stage k = d_k tau_k [ 1/2 sum w ((y - r) / scale)^2 + 1/2 sum pull_k^2 ((u - centre_k) / scale)^2
                                      - value per period ] + moves + soft limits (price times d_k tau_k, or off by rank)

    The map is one integration step of the model, `EstimationModel.advance`.

    Args:
        model: process and disturbances; its functions have to be explicit.
        specification: what is asked for.
        horizon: stages.

    Raises:
        GalenicError: an unknown signal, a model with implicit equations, an input priced at the end.
    """

    def __init__(self, model: EstimationModel, specification: Specification, horizon: Horizon) -> None:
        self.model, self.specification, self.horizon = model, specification, horizon
        s, process = specification, model.process
        if not model.step.is_a("SXFunction") or not model.measure.is_a("SXFunction"):
            raise GalenicError(
                "the model has implicit equations or an integrator of its own; optimal control needs explicit steps",
                cure="take a surrogate, or a reduced model with fixed Runge-Kutta steps",
            )
        n, planned, scenarios = len(process.states), model, None
        if s.tree is not None:  # what differs by scenario enters as disturbances that nobody estimates
            more = [DisturbanceState(kind, name, 1.0) for kind, name in s.tree.uncertain]
            planned = EstimationModel(process, [*model.disturbances, *more])
        nd = len(planned.disturbances)
        self.manipulated = [process.index("input", u.input) for u in s.manipulated]
        self.others = [i for i in range(len(process.inputs)) if i not in self.manipulated]
        self.controlled = [process.index("output", y.output) for y in s.controlled]
        m, nt = len(s.manipulated), len(s.tracked)
        sizes = {"d": nd, "known": len(self.others), "reference": nt, "centre": m, "pull": m}
        sizes |= {"step": 1, "rank": 3}
        x, u = ca.SX.sym("x", n), ca.SX.sym("u", m)
        symbols = {name: ca.SX.sym(name, size) for name, size in sizes.items()}
        ends = np.cumsum([0, *sizes.values()])
        #: where each parameter stands
        self.at = {name: slice(int(a), int(b)) for name, a, b in zip(sizes, ends[:-1], ends[1:], strict=True)}
        self.parameters = int(ends[-1])
        p = ca.vertcat(*symbols.values())
        step, share = symbols["step"], symbols["step"] / model.period
        full = self.inputs_of(u, symbols["known"])
        both = ca.vertcat(x, symbols["d"])
        y = planned.measure(both, full)
        following = planned.advance(both, full, step)[:n]
        if s.tree is not None:
            offsets = np.zeros((len(s.tree.offsets), self.parameters))
            offsets[:, len(model.disturbances) : nd] = s.tree.offsets
            scenarios = Scenarios(offsets, s.tree.probabilities, s.tree.robust_horizon)
        rows, weights, terminal = self._rows(y, u, symbols, share)
        running, end = self._economics(y, u, share)
        self.problem = OptimalControlProblem(
            states=x,
            inputs=u,
            parameters=p,
            dynamics=following,
            discrete=True,
            step=1.0,
            grid=horizon.counts,
            outputs=rows,
            output_weights=weights,
            terminal_weights=terminal,
            economic=running,
            terminal_economic=end,
            move_weights=[w.weight_move / w.scale**2 for w in s.manipulated],
            # a limit as wide as the bounds is none, and not every engine has limits of moves
            move_limits=[w.max_move if w.max_move < w.bounds[1] - w.bounds[0] else math.inf for w in s.manipulated],
            input_bounds=([w.bounds[0] for w in s.manipulated], [w.bounds[1] for w in s.manipulated]),
            soft_constraints=self._limits(y, u, symbols["rank"], share),
            state_scale=model.nominal[:n],
            input_scale=[w.scale for w in s.manipulated],
            scenarios=scenarios,
        )
        #: whether nothing but moves and pulls curves the objective along some input
        self.economic = bool(s.economic)

    def inputs_of(self, manipulated: Any, known: Any) -> Any:
        """All inputs of the process from the manipulated and the other ones, as expressions."""
        order = [*self.manipulated, *self.others]
        stacked = ca.vertcat(manipulated, known)
        return stacked[[order.index(i) for i in range(len(order))]]

    def full_inputs(self, manipulated: FloatArray, known: FloatArray) -> FloatArray:
        """The same as numbers, for one or many rows."""
        result = np.empty((*np.shape(manipulated)[:-1], len(self.model.inputs)))
        result[..., self.manipulated], result[..., self.others] = manipulated, known
        return result

    def _rows(self, y: Any, u: Any, symbols: Any, share: Any) -> tuple[Any, list[float], list[float]]:
        root, rows, weights, terminal = ca.sqrt(share), [], [], []
        for i, c in enumerate(self.specification.tracked):
            error = (y[self.model.output_index(c.output)] - symbols["reference"][i]) / c.scale
            if c.weight > 0.0:
                rows.append(root * error)
                weights.append(c.weight)
                # the end counts as another stage: what is only asked for at its beginning is given up at the end
                terminal.append(0.0 if ca.depends_on(error, u) else c.weight)
            if c.terminal_weight > 0.0:
                rows.append(error)
                weights.append(0.0)
                terminal.append(c.terminal_weight)
        for j, v in enumerate(self.specification.manipulated):
            rows.append(root * symbols["pull"][j] * (u[j] - symbols["centre"][j]) / v.scale)
            weights.append(1.0)
            terminal.append(0.0)
        return ca.vertcat(*rows), weights, terminal

    def _economics(self, y: Any, u: Any, share: Any) -> tuple[Any, Any]:
        running, end, process = ca.SX(0), ca.SX(0), self.model.process
        names = [o.name for o in process.outputs]
        for term in self.specification.economic:
            if term.signal in names:
                quantity = y[names.index(term.signal)]
            else:
                index = process.index("input", term.signal)
                if index not in self.manipulated or term.at == "end":
                    raise GalenicError(
                        f"'{term.signal}' has a value at the end, or is not manipulated",
                        cure="an input has a running value, and is one of the manipulated ones",
                    )
                quantity = u[self.manipulated.index(index)]
            if term.at == "end":
                end -= term.value * quantity
            else:
                running -= term.value * quantity * share * (self.model.period / _HOUR)
        return running, end

    def _limits(self, y: Any, u: Any, rank: Any, share: Any) -> list[SoftConstraint]:
        found = []
        for c in self.specification.controlled:
            on = rank[c.rank - 1]
            value = y[self.model.output_index(c.output)]
            for side, sign, limit in (("low", -1.0, c.limits[0]), ("high", 1.0, c.limits[1])):
                if math.isfinite(limit):
                    # switched off it reads -1 <= 0
                    excess = share * (on * sign * (value - limit) / c.scale + on - 1.0)
                    found.append(SoftConstraint(f"{c.output} {side}", excess, upper=0.0, rank=c.rank, penalty=c.price))
        region = self.specification.region
        if region is not None:
            place = [[w.input for w in self.specification.manipulated].index(i) for i in region.inputs]
            margin, on = region.expression(u[place]), rank[1]
            found.append(
                SoftConstraint("design space", share * (on - 1.0 - on * margin), upper=0.0, rank=2, penalty=1000.0)
            )
        return found
