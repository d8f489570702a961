"""The linear control law: Kalman filter, steady-state target and condensed quadratic program on a surrogate."""

from __future__ import annotations

import math
import time as clock
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from controllers.design_space.constraint import RegionConstraint
from controllers.estimation.channels import Reason
from controllers.linear.disturbance_model import DisturbanceModel
from controllers.linear.dynamic import DynamicOptimizer, checkpoints
from controllers.linear.estimator import Estimator, MeasurementModel
from controllers.linear.objective import Objective
from controllers.linear.prediction import LinearPrediction
from controllers.linear.target import Edges, Target, TargetOptimizer
from controllers.operation.law import (
    ActiveConstraint,
    ConstraintKind,
    LawDisturbance,
    LawInput,
    LawOutput,
    Outcome,
    Plan,
    Side,
)
from controllers.surrogates.linear_surrogate import LinearSurrogate
from cosim.component import FloatArray

#: A constraint counts as binding within this share of the signal's scale.
_BINDS = 1e-6


class LinearLaw:
    r"""Offset-free linear MPC as a `controllers.operation.law.ControlLaw`.

    1. (x, d) <- Kalman filter (x, d; u_{k-1}, fresh measurements)                 `controllers.linear.estimator`
    2. (u_t, y_t) <- steady state for d and the references, in hard bounds         `controllers.linear.target`
    3. U <- path from (x, d, u_{k-1}) to the target, soft quality limits           `controllers.linear.dynamic`

    No offset: the filter has as many integrating disturbances as measured outputs, so at rest its predicted outputs
    equal the measured ones; the target uses the same disturbances, so outputs with a reference sit on it wherever the
    bounds allow, under any constant disturbance and any mismatch that leaves the loop stable (Muske & Badgwell 2002,
    Pannocchia & Rawlings 2003).

    The stages of its plans are the instants at which soft limits are checked and the ends of the moves' blocks. A
    program cannot be stopped on its way: ``budget`` only tells a solution that came too late.

    Args:
        surrogate: with D = 0.
        disturbances: as many as measured outputs at most.
        measurements: one or more.
        objective: references, limits, bounds, weights.
        steps: prediction horizon in periods.
        blocks: lengths of the moves' blocks in periods.
        process_noise: see `Estimator`.
        solver: see `QuadraticProgram`.
        region: of the design space, in the surrogate's units: soft in the programs, with a price above all others, and
            what `admissible` brings the first move into.

    Raises:
        GalenicError: like its parts.
    """

    def __init__(
        self,
        surrogate: LinearSurrogate,
        disturbances: DisturbanceModel,
        measurements: Sequence[MeasurementModel],
        objective: Objective,
        *,
        steps: int,
        blocks: Sequence[int],
        process_noise: float = 0.003,
        solver: str = "daqp",
        region: RegionConstraint | None = None,
    ) -> None:
        self.estimator = Estimator(surrogate, disturbances, measurements, process_noise=process_noise)
        self.region, edges = region, 0 if region is None else region.size
        self._target = TargetOptimizer(surrogate, disturbances, objective, solver=solver, edges=edges)
        self._dynamic = DynamicOptimizer(
            surrogate, disturbances, objective, steps=steps, blocks=blocks, solver=solver, edges=edges
        )
        self._objective, self._surrogate = objective, surrogate
        self.decisions: Sequence[tuple[str, str, float]] = ()
        #: what a user should be told
        self.notices: tuple[str, ...] = ()
        controlled = {y.index: y for y in objective.outputs}
        self.inputs: Sequence[LawInput] = tuple(
            LawInput(u.name, u.unit, *given.bounds, given.max_move)
            for u, given in zip(surrogate.inputs, objective.inputs, strict=True)
        )
        self.outputs: Sequence[LawOutput] = tuple(
            LawOutput(y.name, y.unit, asked.limits, asked.tracked, asked.rank)
            if (asked := controlled.get(i)) is not None
            else LawOutput(y.name, y.unit)
            for i, y in enumerate(surrogate.outputs)
        )
        self.disturbances: Sequence[LawDisturbance] = tuple(
            LawDisturbance(f"{d.signal}.ramp" if d.kind == "ramp" else d.signal, _unit(surrogate, d.kind, d.signal))
            for d in disturbances.disturbances
        )
        order = [y.index for y in objective.tracked]
        self._references = [sorted(order).index(i) for i in order]  # from the outputs' order to the objective's
        ends = sorted({*checkpoints(steps), *(int(e) for e in np.cumsum(blocks[:-1]))})
        self._ends = np.array(ends)
        starts = np.concatenate([[0], self._ends[:-1]])
        self._block = np.minimum(np.searchsorted(np.cumsum(blocks), starts, side="right"), len(blocks) - 1)
        self._ends_s = self._ends * surrogate.period
        self._periods: FloatArray = np.arange(1.0, steps + 1.0) * surrogate.period
        n = surrogate.a.shape[0] + disturbances.b.shape[1]
        self._n = n
        self._prediction = LinearPrediction(
            self.estimator.transition[:n, :n],
            self.estimator.input_matrix[:n],
            np.hstack([surrogate.c, disturbances.c]),
            self.estimator.process_covariance[:n, :n],
            self._ends,
        )
        self._low, self._high, self._max_move = objective.low, objective.high, objective.max_move
        self._near_input = _BINDS * objective.input_scale
        scales = np.array([controlled[i].scale if i in controlled else 1.0 for i in range(len(surrogate.outputs))])
        self._near_output = _BINDS * scales
        self._limits = np.array([y.limits for y in self.outputs], dtype=np.float64)
        self._u0, self._y0 = surrogate.u0, surrogate.y0

    @property
    def estimate(self) -> FloatArray:
        """Estimated outputs, shape (p,)."""
        return self._y0 + self._prediction.now @ self.estimator.state[: self._n]

    @property
    def estimate_std(self) -> FloatArray:
        """Their standard deviations, shape (p,)."""
        return self._prediction.present_std(self.estimator.covariance[: self._n, : self._n])

    @property
    def disturbance_estimate(self) -> FloatArray:
        """Shape (n_d,); a ramp is the rise in one period."""
        return self.estimator.d

    @property
    def innovations(self) -> FloatArray:
        """Of the last correction, in standard deviations, NaN where no value came; shape (number of measurements,)."""
        return self.estimator.innovations

    def initialize(self, time: float, inputs: FloatArray) -> None:  # noqa: ARG002 (the contract's signature)
        """The plant is taken to rest under ``inputs``."""
        self.estimator.initialize(inputs)
        self.reset()

    def predict(self, inputs: FloatArray) -> bool:
        """Over one period with the inputs that were applied in it; whether the estimate is finite."""
        self.estimator.predict(inputs)
        return bool(np.isfinite(self.estimator.state).all())

    def correct(
        self,
        values: FloatArray,
        fresh: Sequence[bool] | None = None,
        ages: Sequence[int | None] | None = None,  # noqa: ARG002 (each measurement has the delay that it was given)
    ) -> list[Reason]:
        """By what arrived; what became of each value."""
        used = self.estimator.correct(values, fresh)
        return [
            Reason.USED
            if taken
            else Reason.NOT_FRESH
            if fresh is not None and not fresh[i]
            else Reason.OUTLIER
            if math.isfinite(values[i])
            else Reason.NOT_FINITE
            for i, taken in enumerate(used)
        ]

    def instants(self, time: float) -> FloatArray:  # noqa: ARG002 (the contract's signature)
        """The ends of all periods of the horizon in s from now, shape (N,), see `ControlLaw.instants`."""
        return self._periods

    def solve(
        self,
        time: float,  # noqa: ARG002 (a linear law does not know the time)
        previous: FloatArray,
        references: FloatArray,
        *,
        budget: float = math.inf,
        relax: int = 4,
    ) -> Plan:
        """The plan from here, see `ControlLaw.solve`."""
        began = clock.perf_counter()
        estimator = self.estimator
        if not (np.isfinite(references).all() and np.isfinite(estimator.state).all()):
            return self._nothing(Outcome.NOT_FINITE, "a reference or the estimate is not finite")
        edges = self._edges(previous)
        aim = self._target.solve if references.ndim == 1 else self._target.path
        target = aim(estimator.d, references[self._references], relax, edges)
        if not target.converged:
            return self._nothing(Outcome.TARGET_FAILED, target.message)
        moves = self._dynamic.solve(estimator.x, estimator.d, previous, target, relax, edges)
        if not moves.converged:
            return self._nothing(Outcome.FAILED, moves.message, target)
        inputs = moves.inputs[self._block]
        outputs = self.roll_out(inputs)
        late = clock.perf_counter() - began > budget
        return Plan(
            Outcome.OUT_OF_TIME if late else Outcome.SOLVED,
            inputs,
            self._ends_s,
            outputs,
            np.empty((0, len(self.outputs))),
            np.atleast_2d(target.inputs)[-1],
            np.atleast_2d(target.outputs)[-1],
            self._active(inputs, previous, outputs, edges),
            parts=moves.parts,
            message="converged after its time" if late else "",
        )

    def _nothing(self, outcome: Outcome, message: str, target: Target | None = None) -> Plan:
        m, p = len(self.inputs), len(self.outputs)
        empty = np.empty((0, p))
        inputs, outputs = np.full(m, math.nan), np.full(p, math.nan)
        if target is not None:
            inputs, outputs = np.atleast_2d(target.inputs)[-1], np.atleast_2d(target.outputs)[-1]
        return Plan(outcome, np.empty((0, m)), np.empty(0), empty, empty, inputs, outputs, message=message)

    def spread(self, stages: npt.NDArray[np.intp]) -> FloatArray:
        """Standard deviations of the predicted outputs at some stages from the present estimate, shape (n, p)."""
        return self._prediction.std(self.estimator.covariance[: self._n, : self._n], stages)

    def roll_out(self, inputs: FloatArray) -> FloatArray:
        """Outputs at the ends of the stages, shape (K, p), from the present estimate under ``inputs`` (K, m)."""
        return self._y0 + self._prediction.mean(self.estimator.state[: self._n], inputs - self._u0)

    def backup(self, previous: FloatArray, references: FloatArray) -> FloatArray | None:
        """The first move where no constraint is heard, which is linear in the estimate; shape (m,)."""
        estimator = self.estimator
        present = references if references.ndim == 1 else references[:, 0]
        target = self._target.unconstrained(estimator.d, present[self._references])
        parts = self._dynamic.first_move(estimator.x, estimator.d, previous, target)
        inputs = previous + sum(parts.values())
        return self.admissible(inputs, previous) if np.isfinite(inputs).all() else None

    def admissible(self, inputs: FloatArray, previous: FloatArray) -> FloatArray:
        """The nearest inputs inside bounds, move limits and the design space's region, shape (m,)."""
        low = np.maximum(self._low, previous - self._max_move)
        high = np.minimum(self._high, previous + self._max_move)
        inside = np.minimum(np.maximum(inputs, self._low), self._high)
        inside = np.minimum(np.maximum(inside, previous - self._max_move), previous + self._max_move)
        return self._projected(inside, low, high)

    def inside(self, inputs: FloatArray) -> FloatArray:
        """The nearest inputs inside bounds and region, whatever was in force before; shape (m,)."""
        return self._projected(np.minimum(np.maximum(inputs, self._low), self._high), self._low, self._high)

    def _projected(self, inputs: FloatArray, low: FloatArray, high: FloatArray) -> FloatArray:
        region = self.region
        if region is None or region.margin(inputs) >= 0.0:
            return inputs
        result, places = inputs.copy(), region.places
        result[places] = region.project(inputs[places], low[places], high[places])
        return result

    def _edges(self, inputs: FloatArray) -> Edges | None:
        """The region as half spaces, linear at ``inputs``; a row counts shares of half the inputs' ranges."""
        if self.region is None:
            return None
        rows, bounds = self.region.rows(inputs)
        size = np.maximum(np.abs(rows) @ (self._high - self._low) / 2.0, 1e-12)
        return rows / size[:, None], bounds / size

    def target_sensitivity(self) -> dict[str, FloatArray]:
        """How the resting inputs go with each reference and each disturbance, where no constraint is heard; (m,)."""
        tracked = [y.name for y in self.outputs if y.tracked]
        r, d = np.zeros(len(tracked)), np.zeros(len(self.disturbances))
        base = self._target.unconstrained(d, r).inputs
        rows: dict[str, FloatArray] = {}
        for i, name in enumerate(tracked):
            asked = np.eye(len(r))[i][self._references]
            rows[f"reference {name}"] = self._target.unconstrained(d, asked).inputs - base
        for i, disturbance in enumerate(self.disturbances):
            rows[f"disturbance {disturbance.name}"] = self._target.unconstrained(np.eye(len(d))[i], r).inputs - base
        return rows

    def reset(self) -> None:
        """Forget the last plan, not the estimate."""
        self._target.reset()
        self._dynamic.reset()

    def snapshot(self) -> dict[str, Any]:
        """All it knows."""
        return {
            "estimator": self.estimator.snapshot(),
            "target": self._target.snapshot(),
            "dynamic": self._dynamic.snapshot(),
        }

    def recall(self, snapshot: Mapping[str, Any]) -> None:
        """Go on from what `snapshot` gave."""
        self.estimator.recall(snapshot["estimator"])
        self._target.recall(snapshot["target"])
        self._dynamic.recall(snapshot["dynamic"])

    def _active(
        self, inputs: FloatArray, previous: FloatArray, outputs: FloatArray, edges: Edges | None
    ) -> tuple[ActiveConstraint, ...]:
        moves = inputs - np.concatenate([previous[None], inputs[:-1]])
        found: list[ActiveConstraint] = []
        limits: tuple[tuple[ConstraintKind, FloatArray, FloatArray, FloatArray, FloatArray], ...] = (
            ("bound", inputs, self._low, self._high, self._near_input),
            ("move", moves, -self._max_move, self._max_move, self._near_input),
            ("limit", outputs, self._limits[:, 0], self._limits[:, 1], self._near_output),
        )
        for kind, values, low, high, near in limits:
            sides: tuple[tuple[Side, FloatArray], ...] = (("low", low - values), ("high", values - high))
            for side, beyond in sides:
                binds = beyond >= -near
                if not binds.any():
                    continue
                for i in np.flatnonzero(binds.any(axis=0)).tolist():
                    item: LawInput | LawOutput = self.outputs[i] if kind == "limit" else self.inputs[i]
                    rank = item.rank if isinstance(item, LawOutput) else 1
                    excess = max(0.0, float(beyond[:, i].max())) if kind == "limit" else 0.0
                    stage = int(binds[:, i].argmax())
                    found.append(ActiveConstraint(item.name, kind, side, stage, rank, excess))
        if edges is not None:
            left = (inputs @ edges[0].T - edges[1]).max(axis=1)
            if (left >= -_BINDS).any():
                stage = int((left >= -_BINDS).argmax())
                found.append(ActiveConstraint("design space", "design space", "high", stage, 2, max(0.0, left.max())))
        return tuple(found)


def _unit(surrogate: LinearSurrogate, kind: str, signal: str) -> str:
    if kind == "input":
        return surrogate.inputs[surrogate.input_index(signal)].unit
    return surrogate.outputs[surrogate.output_index(signal)].unit
