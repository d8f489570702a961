"""When a batch is harvested: where, along the predicted path, the objective is best."""

from __future__ import annotations

import math

import casadi as ca
import numpy as np

from controllers.nonlinear.formulation import Formulation
from controllers.nonlinear.native import evaluation
from controllers.nonlinear.specification import Batch
from cosim.component import FloatArray

#: Candidates over what remains; the share of the way to the best one that is gone in one solve, and at most how much of
#: what remains, as one plan that is not quite converged should not overturn it.
_CANDIDATES, _SHARE, _MOST = 120, 0.5, 0.03
#: Limits count as left beyond this share of the output's scale: exact penalties are kept to a solver's tolerance.
_TOLERANCE = 0.02


class HarvestChooser:
    r"""One half of a coordinate descent: inputs for a harvest time, then the harvest time for the inputs.

    The optimum over the inputs has, by the envelope theorem, the slope in T that the plan itself shows at its end; so
    the time moves towards the end T at which the plan, its last inputs held beyond its own end, has the best

        J(T) = economic terms and left limits until T + cost of the end at T - value_per_hour T

    Deviations from references on the way do not count: their weights are means to an end, and under held inputs they
    would grow beyond the plan's end. Limits count as the plan sees them, at its nodes. Half of the way a solve, and no
    more than a small part of what remains, keeps both halves together. A batch that is due is not put off.

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
        left = ca.SX(0)
        for i, c in enumerate(s.tracked):
            error = (y[model.output_index(c.output)] - r[i]) / c.scale
            end += c.terminal_weight / 2 * error**2
        for c in s.controlled:
            value = y[model.output_index(c.output)]
            for over in (c.limits[0] - value, value - c.limits[1]):
                left += share * c.price * ca.fmax(over / c.scale - _TOLERANCE, 0)
        path = ca.Function("path", [x, u, r, h], [model.advance(x, u, h), running, end, left])
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
        a, costs, left = self._step.arguments, np.full(count + 1, np.inf), np.zeros(count + 1)
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
            left[i] = self._step.results[3][0]
            a[0][:] = self._step.results[0]
        if not np.isfinite(costs).any():
            return harvest
        costs += _seen_at_nodes(left, step, ends)
        best = now + step * _refined(costs, int(np.argmin(costs)))
        most = _MOST * (high - now)
        return float(np.clip(harvest + np.clip(_SHARE * (best - harvest), -most, most), low, high))


def _seen_at_nodes(rate: FloatArray, step: float, ends: FloatArray) -> FloatArray:
    """The sum of a rate over steps until each candidate; the rate as a plan sees it, straight between its nodes."""
    last = ends[-1] - (ends[-2] if len(ends) > 1 else 0.0)
    times = step * np.arange(len(rate))
    nodes = np.r_[0.0, ends, np.arange(ends[-1] + last, times[-1] + last, max(last, step))]
    seen = np.interp(times, nodes, np.interp(nodes, times, rate))
    return np.asarray(np.r_[0.0, np.cumsum((seen[1:] + seen[:-1]) / 2.0)])


def _refined(costs: FloatArray, best: int) -> float:
    """The lowest point of the parabola through the best candidate and its neighbours."""
    if 0 < best < len(costs) - 1 and np.isfinite(costs[best - 1 : best + 2]).all():
        before, here, after = costs[best - 1 : best + 2]
        curvature = before - 2.0 * here + after
        if curvature > 0.0:
            return best + 0.5 * float((before - after) / curvature)
    return float(best)
