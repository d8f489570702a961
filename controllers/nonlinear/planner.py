"""Plans by an engine: node parameters, passes that are judged by the objective, and what is kept for the next solve."""

from __future__ import annotations

import math
import time as clock
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from controllers.nonlinear.engines import make_engine
from controllers.nonlinear.formulation import Formulation
from controllers.optimal_control.answer import Answer, Status, no_plan
from controllers.optimal_control.roll_out import RollOut
from cosim.component import FloatArray

#: Weight that holds a pass near the best plan so far: where it begins, and between which it adapts.
_PROXIMAL, _LEAST, _MOST = 0.1, 1e-4, 1e3
_ENOUGH = 1e-5


class Planner:
    r"""Solves a `Formulation`.

    An objective with economic terms has little curvature of its own, and Gauss-Newton sees none of it. So each pass
    adds rho/2 |(u - u_best) / scale|^2, a proximal term that vanishes at the optimum (Rockafellar 1976, SIAM J. Control
    Optim. 14, 877), and is judged by the objective without it, rolled out: better plans are kept and rho falls, worse
    ones are dropped and rho rises (Levenberg & Marquardt). The shifted last plan is the first to be beaten.

    Args:
        formulation: the problem.
        engine: its name.
        passes: at most, in a solve; None: 5 with economic terms, else 1 (a real-time iteration).
        restart_every: see `controllers.optimal_control.engine_hpipm.HPIPMEngine`; not with economic terms, whose passes
            are judged one by one.
    """

    def __init__(
        self, formulation: Formulation, engine: str, passes: int | None = None, restart_every: int = 0
    ) -> None:
        self._f = formulation
        self.engine, self.engine_name = make_engine(engine, formulation.problem, restart_every=restart_every)
        exact = self.engine_name in ("ipopt", "do_mpc")
        self._proximal = formulation.economic and not exact
        # what a tree costs is not what one plan for all its scenarios does
        self._judged = self._proximal and formulation.problem.scenarios is None
        self._passes = 1 if exact else passes or (5 if self._proximal else 1)
        self._roll_out = RollOut(formulation.problem) if self._judged or self._passes > 1 else None
        self.reset()

    def reset(self) -> None:
        """Forget the last plan."""
        self.engine.reset()
        self._last: FloatArray | None = None
        self._ends: FloatArray | None = None
        self._rho = _PROXIMAL

    def solve(
        self,
        *,
        state: FloatArray,
        previous: FloatArray,
        known: FloatArray,
        references: FloatArray,
        durations: FloatArray,
        on: FloatArray,
        target: FloatArray | None,
        moves: FloatArray | None,
        elapsed: int,
        deadline: float,
    ) -> Answer:
        """The plan.

        Args:
            state: with disturbances.
            previous: inputs in force.
            known: other inputs by stage, shape (K, k).
            references: shape (n_t,) or (n_t, K).
            durations: of the stages in s.
            on: 0 or 1 for each rank.
            target: inputs to rest at, or None.
            moves: move limits by stage, shape (K, m), or None.
            elapsed: periods since the last solve.
            deadline: when the budget ends, by `time.perf_counter`.
        """
        f, n = self._f, len(self._f.model.process.states)
        values = self._values(state[n:], known, references, durations, on, target)
        x = state[:n]
        shift = 0 if f.horizon.batch is not None else elapsed * f.horizon.counts[0] // self._first
        best, cost = self._shifted(elapsed, durations), math.inf
        answer = no_plan(f.problem, Status.FAILED)
        if self._judged and best is not None and self._roll_out is not None:
            cost = self._roll_out(x, previous, values, best).cost
        kept: Answer | None = None
        for number in range(self._passes):
            given = values
            if self._proximal:
                given = self._with_proximal(values, previous if best is None else best)
            answer = self._engine(x, previous, given, moves, shift if number == 0 else 0, deadline)
            if not answer.usable and number == 0 and clock.perf_counter() < deadline:
                self.engine.reset()
                answer = self._engine(x, previous, given, moves, 0, deadline)
            if not answer.usable:
                break
            if not self._judged or self._roll_out is None:
                kept, best = answer, answer.inputs
                if answer.status is Status.SOLVED or clock.perf_counter() > deadline:
                    break
                continue
            rolled = self._roll_out(x, previous, values, answer.inputs).cost
            if (kept is None and best is None) or rolled < cost or not math.isfinite(cost):
                gain = cost - rolled
                cost, best, kept = rolled, answer.inputs, replace(answer, cost=rolled)
                self._rho = max(self._rho / 3.0, _LEAST)
                if gain < _ENOUGH * max(1.0, abs(cost)):
                    break
            else:
                self._rho = min(self._rho * 4.0, _MOST)
            if clock.perf_counter() > deadline:
                kept = replace(kept or answer, status=Status.OUT_OF_TIME)
                break
        if kept is None and answer.usable and best is not None:  # nothing beat the shifted plan
            kept = replace(answer, inputs=self._allowed(best, previous, moves), cost=cost)
        if kept is None:
            self.reset()
            return answer
        self._last, self._ends = kept.inputs.copy(), np.cumsum(durations)
        return kept

    @property
    def _first(self) -> int:
        """Periods in the first stage."""
        return max(1, round(float(self._f.horizon.durations()[0]) / self._f.model.period))

    def _engine(
        self,
        x: FloatArray,
        previous: FloatArray,
        values: FloatArray,
        moves: FloatArray | None,
        elapsed: int,
        deadline: float,
    ) -> Answer:
        if math.isfinite(deadline) and hasattr(self.engine, "budget"):
            self.engine.budget = max(deadline - clock.perf_counter(), 1e-4)
        elif hasattr(self.engine, "budget"):
            self.engine.budget = math.inf
        more: dict[str, Any] = {} if moves is None else {"move_limits": moves}
        parameters, references = values[:, : self._f.problem.np], values[:, self._f.problem.np :]
        return self.engine.solve(x, previous, parameters, references, elapsed=elapsed, **more)

    def _values(
        self,
        disturbances: FloatArray,
        known: FloatArray,
        references: FloatArray,
        durations: FloatArray,
        on: FloatArray,
        target: FloatArray | None,
    ) -> FloatArray:
        """Parameters and references by node, shape (K + 1, np + ny)."""
        f, at, s = self._f, self._f.at, self._f.specification
        problem, count = f.problem, f.horizon.stages
        values = np.zeros((count + 1, problem.np + problem.ny))
        values[:, at["d"].start : at["d"].start + len(disturbances)] = disturbances
        values[:, at["known"]] = np.vstack([known, known[-1:]])
        reference = np.asarray(references)
        if reference.ndim == 2:
            reference = np.vstack([reference.T, reference.T[-1:]])
        values[:, at["reference"]] = reference
        values[:-1, at["step"]] = (durations / np.array(f.horizon.counts))[:, None]
        values[-1, at["step"]] = durations[-1]
        values[:, at["rank"]] = on
        for j, u in enumerate(s.manipulated):
            rest = None if target is None else float(target[j])
            centre = u.ideal if rest is None else rest
            if centre is not None:
                values[:, at["centre"].start + j] = centre
                values[:, at["pull"].start + j] = math.sqrt(u.weight_target)
        return values

    def _with_proximal(self, values: FloatArray, centre: FloatArray) -> FloatArray:
        """The two squares about target and best plan as one about their weighted mean."""
        at, result = self._f.at, values.copy()
        # relative to a period each stage weighs as its steps, so that the term is the same for every stage
        pull, here = result[:-1, at["pull"]] ** 2, result[:-1, at["centre"]]
        length = result[:-1, at["step"]] * np.array(self._f.horizon.counts)[:, None] / self._f.model.period
        rho = self._rho / np.maximum(length, 1e-9)
        result[:-1, at["centre"]] = (pull * here + rho * centre) / (pull + rho)
        result[:-1, at["pull"]] = np.sqrt(pull + rho)
        return result

    def _shifted(self, elapsed: int, durations: FloatArray) -> FloatArray | None:
        """The last plan at the stages of now."""
        if self._last is None or self._ends is None:
            return None
        middles = np.cumsum(durations) - durations / 2.0 + elapsed * self._f.model.period
        return self._last[np.minimum(np.searchsorted(self._ends, middles), len(self._last) - 1)]

    def _allowed(self, plan: FloatArray, previous: FloatArray, moves: FloatArray | None) -> FloatArray:
        """A shifted plan inside bounds and moves."""
        p, result = self._f.problem, plan.copy()
        before = previous
        for k in range(len(result)):
            most = p.move_limits if moves is None else moves[k]
            before = np.clip(np.clip(result[k], p.input_lower, p.input_upper), before - most, before + most)
            result[k] = before
        return result

    def snapshot(self) -> dict[str, Any]:
        """The last plan, and what the engine keeps where it tells."""
        kept = getattr(self.engine, "snapshot", None)
        return {
            "last": None if self._last is None else self._last.copy(),
            "ends": None if self._ends is None else self._ends.copy(),
            "rho": self._rho,
            "engine": None if kept is None else kept(),
        }

    def recall(self, snapshot: Mapping[str, Any]) -> None:
        """Go on from what `snapshot` gave."""
        self._last = None if snapshot["last"] is None else np.array(snapshot["last"])
        self._ends = None if snapshot["ends"] is None else np.array(snapshot["ends"])
        self._rho = float(snapshot["rho"])
        recall = getattr(self.engine, "recall", None)
        if recall is not None and snapshot["engine"] is not None:
            recall(snapshot["engine"])
        else:
            self.engine.reset()
