"""When a batch is harvested: where, along the predicted path, the objective is best."""

from __future__ import annotations

import math

import casadi as ca
import numpy as np

from controllers.nonlinear.formulation import Formulation
from controllers.nonlinear.native import evaluation
from controllers.nonlinear.specification import Batch
from cosim.component import FloatArray

#: Candidates over what remains, and the share of the way to the best one that is gone in one solve.
_CANDIDATES, _SHARE = 120, 0.5


class HarvestChooser:
    r"""One half of a coordinate descent: inputs for a harvest time, then the harvest time for the inputs.

    The optimum over the inputs has, by the envelope theorem, the slope in T that the plan itself shows at its end; so
    the time moves towards the end T at which the plan, its last inputs held beyond its own end, has the best

        J(T) = economic terms and left limits until T + cost of the end at T - value_per_hour T

    Deviations from references on the way do not count: their weights are means to an end, and between the stages of a
    coarse grid the plan does not see them. Half of the way a solve keeps both halves together. A batch that is due is
    not put off.

    Args:
        formulation: model and specification, with a batch.
        native: compile what is evaluated, where that is possible.
    """

    def __init__(self, formulation: Formulation, *, native: bool = False) -> None:
        f, model, s = formulation, formulation.model, formulation.specification
        assert s.batch is not None
        self.batch: Batch = s.batch
        x, u = ca.SX.sym("x", model.size), ca.SX.sym("u", len(model.inputs))
        r, h = ca.SX.sym("r", len(s.tracked)), ca.SX.sym("h")
        y = model.measure(x, u)
        share = h / model.period
        running, end = f._economics(y, u[f.manipulated], share)
        for i, c in enumerate(s.tracked):
            error = (y[model.output_index(c.output)] - r[i]) / c.scale
            end += c.terminal_weight / 2 * error**2
        for c in s.controlled:
            value = y[model.output_index(c.output)]
            for over in (c.limits[0] - value, value - c.limits[1]):
                running += share * c.price * ca.fmax(over, 0) / c.scale
        path = ca.Function("path", [x, u, r, h], [model.advance(x, u, h), running, end])
        self._step = evaluation(path, native=native)

    def choose(
        self,
        now: float,
        harvest: float,
        state: FloatArray,
        inputs: FloatArray,
        ends: FloatArray,
        references: FloatArray,
        resolution: float,
    ) -> float:
        """The next harvest time in s since the batch began; ``harvest`` where nothing is better.

        Args:
            now: in s since the batch began.
            harvest: as decided so far.
            state: shape (n,).
            inputs: all of the process's, planned, shape (K, m_all).
            ends: of the stages in s from now, shape (K,).
            references: shape (n_t,).
            resolution: longest step of the integration map in s.
        """
        low, high = max(self.batch.earliest, now), self.batch.latest
        if harvest <= now or high <= low:
            return min(max(harvest, self.batch.earliest), self.batch.latest)
        count = max(_CANDIDATES, math.ceil((high - now) / resolution))
        step = (high - now) / count
        a, costs = self._step.arguments, np.full(count + 1, np.inf)
        a[0][:], a[2][:], a[3][0] = state, references, step
        total = 0.0
        for i in range(count + 1):
            a[1][:] = inputs[min(int(np.searchsorted(ends, i * step, side="right")), len(inputs) - 1)]
            if not self._step.run():
                break
            end = float(self._step.results[2][0])
            time = now + i * step
            if low - 1e-9 <= time:
                costs[i] = total + end - self.batch.value_per_hour * time / 3600.0
            total += float(self._step.results[1][0])
            a[0][:] = self._step.results[0]
        if not np.isfinite(costs).any():
            return harvest
        best = now + step * _refined(costs, int(np.argmin(costs)))
        return float(np.clip(harvest + _SHARE * (best - harvest), low, high))


def _refined(costs: FloatArray, best: int) -> float:
    """The lowest point of the parabola through the best candidate and its neighbours."""
    if 0 < best < len(costs) - 1 and np.isfinite(costs[best - 1 : best + 2]).all():
        before, here, after = costs[best - 1 : best + 2]
        curvature = before - 2.0 * here + after
        if curvature > 0.0:
            return best + 0.5 * float((before - after) / curvature)
    return float(best)
