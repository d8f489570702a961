"""The nonlinear control law: EKF or MHE, a steady target, and optimal control on the same model and disturbances."""

from __future__ import annotations

import math
import time as clock
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from controllers.estimation.channels import Channel, Reason
from controllers.estimation.ekf import ExtendedKalmanFilter
from controllers.estimation.mhe import MovingHorizonEstimator
from controllers.estimation.model import DisturbanceState, EstimationModel, Process
from controllers.nonlinear.backup import LinearBackup
from controllers.nonlinear.binding import active_constraints
from controllers.nonlinear.disturbances import check_disturbances, default_disturbances
from controllers.nonlinear.engines import NATIVE
from controllers.nonlinear.formulation import Formulation
from controllers.nonlinear.harvest import HarvestChooser
from controllers.nonlinear.horizon import Horizon, Profile
from controllers.nonlinear.options import LawOptions
from controllers.nonlinear.planner import Planner
from controllers.nonlinear.prediction import Predictor
from controllers.nonlinear.specification import Specification
from controllers.nonlinear.start import Start
from controllers.nonlinear.steady_target import SteadyTarget, SteadyTargetOptimizer
from controllers.operation.law import LawDisturbance, LawInput, LawOutput, Outcome, Plan
from cosim.component import FloatArray

__all__ = ["LawOptions", "NonlinearLaw"]


class NonlinearLaw:
    r"""Fulfils `controllers.operation.law.ControlLaw` on a `Process`.

    Each solve: (1) states and disturbances from the estimator; (2) a steady target by the same disturbances, so that
    outputs with a reference rest on it under any constant disturbance that they can be rid of (Pannocchia & Rawlings
    2003); (3) the plan, with the disturbances held over the horizon. A batch has no target; its horizon ends at the
    harvest, which moves towards where the objective is best (`controllers.nonlinear.harvest`). Where no target is found
    the references stand in for it, and ``decisions["target"]`` is 0.

    Args:
        process: the model.
        specification: what is asked for.
        channels: the measurements; ``correct`` takes their values in this order.
        disturbances: estimated; None: one for each measured output, see `default_disturbances`.
        options: how it computes.

    Raises:
        GalenicError: signals, numbers or an engine that do not fit, or disturbances that cannot be seen.
    """

    def __init__(
        self,
        process: Process,
        specification: Specification,
        channels: Sequence[Channel],
        disturbances: Sequence[DisturbanceState] | None = None,
        options: LawOptions | None = None,
    ) -> None:
        self.options = o = options or LawOptions()
        if o.engine == "do_mpc":  # it knows stages of one sampling period alone
            process = replace(process, advance=None)
        # references come in the order of the outputs
        ordered = sorted(specification.controlled, key=lambda c: process.index("output", c.output))
        self.specification = s = replace(specification, controlled=tuple(ordered))
        period = process.period
        step = period if process.advance is None else o.integration_step or period / process.substeps
        if s.batch is not None and process.advance is not None and o.integration_step is None:
            # stages of a batch are long, and what is unrolled takes long to compile
            step = max(step, float(Horizon(period, o.grid, step, s.batch).durations(s.batch.latest).max()) / _STEPS)
        self._horizon = Horizon(period, o.grid, step, s.batch)
        self._resolution = step
        self._known = {k.input: k for k in s.known}
        self._profiles = {k.input: Profile(k.times, k.values) for k in s.known}
        start_inputs = self._operating(process)
        self._start = Start(process, o.start)
        start = self._start.settled(start_inputs)
        span = float(self._horizon.durations(s.batch.duration if s.batch else math.inf).sum())
        if disturbances is None:
            disturbances = default_disturbances(process, channels, start, start_inputs, span)
        self.model = EstimationModel(process, disturbances)
        rests = s.batch is None and o.target is not False
        check_disturbances(
            self.model, channels, start, start_inputs, 0 if rests else min(_PATH, max(1, round(span / period)))
        )
        self._f = Formulation(self.model, s, self._horizon)
        self._operating_others = start_inputs[self._f.others]
        memory = max(o.memory, *(c.delay for c in channels), 1)
        self.estimator: ExtendedKalmanFilter = (
            MovingHorizonEstimator(self.model, channels, horizon=o.window, memory=memory)
            if o.estimator == "mhe"
            else ExtendedKalmanFilter(self.model, channels, memory=memory)
        )
        self._planner = Planner(self._f, o.engine, o.passes, o.restart_every)
        native = self._planner.engine_name in NATIVE  # where one thing can be compiled, another one can
        self._predictor = Predictor(self.model, self._horizon, native=native)
        wanted = rests if o.target is None else o.target
        self._target = SteadyTargetOptimizer(self._f) if wanted else None
        self._backup = LinearBackup(self._f) if wanted else None
        self._chooser = HarvestChooser(self._f, native=native) if s.batch is not None and s.batch.decides else None
        self._low, self._high, self._max_move = (
            np.array([u.bounds[0] for u in s.manipulated]),
            np.array([u.bounds[1] for u in s.manipulated]),
            np.array([u.max_move for u in s.manipulated]),
        )
        self._describe(process)
        self._now = 0.0
        self._harvest = s.batch.duration if s.batch else math.inf
        self._solved_at = -math.inf
        self._misses = 0
        self._told: dict[str, float] = {}
        #: measured known inputs: name, index of the port that is read, and model = factor * port + offset
        self.known_ports: tuple[tuple[str, int, float, float], ...] = ()
        #: factor on the standard deviations of predictions under inputs, shape (m_all,): outside the training domain
        self.inflation: Callable[[FloatArray], float] | None = None
        #: what a user should be told
        self.notices: tuple[str, ...] = ()
        if self.engine != o.engine:
            self.notices += (f"engine {o.engine} cannot be had here, {self.engine} solves",)
        self._begin(0.0, start_inputs[self._f.manipulated])

    def _describe(self, process: Process) -> None:
        s = self.specification
        self.inputs: Sequence[LawInput] = tuple(LawInput(u.input, u.unit, *u.bounds, u.max_move) for u in s.manipulated)
        controlled = {c.output: c for c in s.controlled}
        self.outputs: Sequence[LawOutput] = tuple(
            LawOutput(y.name, y.unit, c.limits, c.tracked, c.rank)
            if (c := controlled.get(y.name)) is not None
            else LawOutput(y.name, y.unit)
            for y in process.outputs
        )
        n = len(process.states)
        self.disturbances: Sequence[LawDisturbance] = tuple(
            LawDisturbance(d.name, d.unit) for d in self.model.states[n:]
        )
        #: what a plan decides beside inputs: name, unit, start
        self.decisions: Sequence[tuple[str, str, float]] = ()
        if s.batch is not None:
            self.decisions = (("harvest_time", "s", s.batch.duration), ("time_to_harvest", "s", s.batch.duration))
        if self._target is not None:
            self.decisions = (*self.decisions, ("target", "1", 0.0))

    @property
    def engine(self) -> str:
        """The engine that solves: where nothing can be compiled it is not the one that was asked for."""
        return self._planner.engine_name

    # ---- estimate ----------------------------------------------------------------------------------------------------

    @property
    def estimate(self) -> FloatArray:
        """Estimated outputs, measured or not, shape (p,)."""
        return self.estimator.outputs

    @property
    def estimate_std(self) -> FloatArray:
        """Their standard deviations, shape (p,)."""
        return self.estimator.outputs_std

    @property
    def disturbance_estimate(self) -> FloatArray:
        """Shape (n_d,)."""
        return self.estimator.state[len(self.model.process.states) :]

    @property
    def innovations(self) -> FloatArray:
        """Normalised innovations of the last `correct`, one for each measurement, NaN where there was none."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(self.estimator.innovation / np.sqrt(self.estimator.innovation_variance))

    def initialize(self, time: float, inputs: FloatArray) -> None:
        """Begin at ``time`` (s) from the inputs in force, shape (m,); everything before is forgotten."""
        given = np.asarray(inputs, dtype=np.float64)
        middle = np.where(np.isfinite(self._operating_manipulated), self._operating_manipulated, self._low)
        self._begin(time, np.where(np.isfinite(given), given, middle))

    def _begin(self, time: float, inputs: FloatArray) -> None:
        process, o = self.model.process, self.options
        self._now = time
        self._harvest = self.specification.batch.duration if self.specification.batch else math.inf
        full = self._f.full_inputs(inputs, self._others(time, time))
        n = len(process.states)
        elapsed = round(time / process.period) if o.from_zero and math.isfinite(time) else 0
        state = self._start.settled(full, elapsed)
        std = 0.1 * self.model.nominal[:n] if o.start_std is None else np.asarray(o.start_std, dtype=np.float64)
        for i, one in enumerate(process.states):
            if one.name == "time":
                state[i], std = time, np.where(np.arange(n) == i, 0.0, std)
        wander = np.array([d.wander for d in self.model.disturbances])
        self.estimator.initialize(state, np.r_[std, wander], full)
        self.reset()

    def predict(self, inputs: FloatArray) -> bool:
        """Over one period with the inputs that were applied in it; whether the model had a finite answer."""
        begin, self._now = self._now, self._now + self.model.period
        return self.estimator.predict(
            self._f.full_inputs(np.asarray(inputs, dtype=np.float64), self._others(begin, self._now))
        )

    def correct(
        self, values: FloatArray, fresh: Sequence[bool] | None = None, ages: Sequence[int | None] | None = None
    ) -> list[Reason]:
        """By what arrived, one value for each channel (NaN: missing); see `ControlLaw.correct`."""
        return self.estimator.correct(values, fresh, ages)

    def set_known(self, values: Mapping[str, float]) -> None:
        """Present values of measured known inputs, held over the horizon; one that is not finite changes nothing."""
        self._told |= {k: float(v) for k, v in values.items() if math.isfinite(v)}

    # ---- plan --------------------------------------------------------------------------------------------------------

    def instants(self, time: float) -> FloatArray:
        """The beginnings of the stages in s from now, shape (K,), see `ControlLaw.instants`."""
        ends = np.cumsum(self._horizon.durations(self._harvest - time))
        return np.concatenate([[0.0], ends[:-1]])

    def solve(
        self, time: float, previous: FloatArray, references: FloatArray, *, budget: float = math.inf, relax: int = 4
    ) -> Plan:
        """The plan from here, see `ControlLaw.solve`; the target is for the references of the last stage."""
        deadline = clock.perf_counter() + budget
        previous, references = np.asarray(previous, dtype=np.float64), np.asarray(references, dtype=np.float64)
        state, f, s = self.estimator.state, self._f, self.specification
        if not all(np.isfinite(a).all() for a in (previous, references, state)) or not math.isfinite(time):
            return self._nothing(Outcome.NOT_FINITE, "previous inputs, references or the estimate are not finite")
        durations = self._horizon.durations(self._harvest - time)
        ends = np.cumsum(durations)
        last_reference = references if references.ndim == 1 else references[:, -1]
        on = np.array([float(rank < relax) for rank in (1, 2, 3)])
        n = len(self.model.process.states)
        known = self._others_by_stage(time, ends)
        target: SteadyTarget | None = None
        if self._target is not None and (self._misses < _MISSES or self._misses & (self._misses - 1) == 0):
            if self._misses >= _MISSES:
                self._target.reset()
            target = self._target.solve(state[:n], state[n:], previous, known[0], last_reference, on, deadline)
        if self._target is not None:
            self._misses = 0 if target is not None and target.found else self._misses + 1
        answer = self._planner.solve(
            state=state,
            previous=np.clip(previous, self._low - 0.99 * self._room, self._high + 0.99 * self._room),
            known=known,
            references=references,
            durations=durations,
            on=on,
            target=target.inputs if target is not None and target.found else None,
            moves=self._moves(time, ends),
            elapsed=round((time - self._solved_at) / self.model.period) if math.isfinite(self._solved_at) else 0,
            deadline=deadline,
        )
        if not answer.usable:
            self._solved_at = -math.inf
            return self._nothing(_OUTCOME.get(answer.status.name, Outcome.FAILED), answer.message)
        self._solved_at = time
        full = f.full_inputs(answer.inputs, known)
        told = self._predictor(state, self.estimator.covariance if self.options.spread else None, full, durations)
        if not told.finite:
            self.reset()
            return self._nothing(Outcome.FAILED, "the model has no finite answer under the plan")
        decisions = {} if self._target is None else {"target": float(target is not None and target.found)}
        if s.batch is not None:
            if self._chooser is not None and clock.perf_counter() < deadline:
                self._harvest = self._chooser.choose(
                    time, self._harvest, state, full, ends, last_reference, self._resolution
                )
            decisions |= {"harvest_time": self._harvest, "time_to_harvest": max(0.0, self._harvest - time)}
        outcome = Outcome.RELAXED if relax < 4 else Outcome.SOLVED
        if answer.status.name == "OUT_OF_TIME":
            outcome = Outcome.OUT_OF_TIME
        goal = self._goal(target, last_reference, told.outputs)
        return Plan(
            outcome,
            answer.inputs,
            ends,
            told.outputs,
            told.std if self.inflation is None else told.std * np.array([[min(self.inflation(u), _FAR)] for u in full]),
            *goal,
            active=active_constraints(
                s.manipulated, s.controlled, f.controlled, answer.inputs, previous, told.outputs, s.region
            ),
            cost=answer.cost,
            iterations=answer.iterations,
            decisions=decisions,
            message=answer.message,
        )

    def _goal(
        self, target: SteadyTarget | None, references: FloatArray, outputs: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Where it is going: the target, or the references where there is none."""
        if target is not None and target.found:
            return target.inputs, target.outputs
        goal = np.full(outputs.shape[1], math.nan)
        for c, r in zip(self.specification.tracked, references, strict=True):
            goal[self.model.output_index(c.output)] = r
        return np.full(len(self.inputs), math.nan), goal

    def _nothing(self, outcome: Outcome, message: str) -> Plan:
        m, p = len(self.inputs), len(self.outputs)
        empty, nan = np.zeros((0, p)), math.nan
        return Plan(
            outcome, np.zeros((0, m)), np.zeros(0), empty, empty, np.full(m, nan), np.full(p, nan), message=message
        )

    def _moves(self, now: float, ends: FloatArray) -> FloatArray | None:
        """Move limits by stage, shape (K, m): none at a stage where an input of its own period is not due."""
        s = self.specification
        if all(u.period is None for u in s.manipulated):
            return None
        result = np.tile(self._max_move, (len(ends), 1))
        starts = now + np.r_[0.0, ends[:-1]]
        before = np.r_[now - self.model.period, starts[:-1]]
        for j, u in enumerate(s.manipulated):
            if u.period is not None:
                eps = 1e-6 * u.period
                due = np.floor((starts + eps) / u.period) > np.floor((before + eps) / u.period)
                result[:, j] = np.where(due, self._max_move[j], 0.0)
        return result

    @property
    def _room(self) -> FloatArray:
        return np.where(np.isfinite(self._max_move), self._max_move, self._high - self._low)

    def roll_out(self, inputs: FloatArray) -> FloatArray:
        """Outputs at the ends of the stages, shape (K, p), from the present estimate under ``inputs`` (K, m)."""
        durations = self._horizon.durations(self._harvest - self._now)[: len(inputs)]
        known = self._others_by_stage(self._now, np.cumsum(durations))
        full = self._f.full_inputs(np.asarray(inputs, dtype=np.float64), known)
        return self._predictor(self.estimator.state, None, full, durations).outputs

    def backup(self, previous: FloatArray, references: FloatArray) -> FloatArray | None:
        """A linear-quadratic regulator about the steady target, or None (always for a batch)."""
        if self._backup is None or self._target is None:
            return None
        state, n = self.estimator.state, len(self.model.process.states)
        previous, references = np.asarray(previous, dtype=np.float64), np.asarray(references, dtype=np.float64)
        if not all(np.isfinite(a).all() for a in (state, previous, references)):
            return None
        known = self._others(self._now, self._now)
        reference = references if references.ndim == 1 else references[:, 0]
        target = self._target.solve(state[:n], state[n:], previous, known, reference, np.ones(3))
        if not target.found:
            return None
        inputs = self._backup(state, known, target)
        return None if inputs is None else self.admissible(inputs, previous)

    def admissible(self, inputs: FloatArray, previous: FloatArray) -> FloatArray:
        """The nearest inputs inside bounds, move limits and the region, shape (m,), see `ControlLaw.admissible`."""
        previous = np.asarray(previous, dtype=np.float64)
        held = np.where(np.isfinite(previous), previous, np.clip(self._operating_manipulated, self._low, self._high))
        wanted = np.where(np.isfinite(inputs), inputs, held)
        wanted = np.clip(wanted, self._low, self._high)
        region = self.specification.region
        if region is not None:
            place = [[u.input for u in self.specification.manipulated].index(i) for i in region.inputs]
            projected = np.asarray(region.project(wanted[place]), dtype=np.float64)
            if np.isfinite(projected).all():
                wanted[place] = np.clip(projected, self._low[place], self._high[place])
        move = wanted - held
        # the whole move is shortened, so that it stays on the line to what is admissible
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.where(move != 0.0, self._max_move / np.abs(move), np.inf).min(initial=1.0)
        if region is None or share >= 1.0:
            return np.asarray(np.clip(wanted, held - self._max_move, held + self._max_move))
        shortened: FloatArray = held + share * move
        return shortened

    def reset(self) -> None:
        """Forget the last plan and what solvers keep, not the estimate."""
        self._planner.reset()
        self._solved_at, self._misses = -math.inf, 0
        if self._target is not None:
            self._target.reset()

    # ---- known inputs and starts -------------------------------------------------------------------------------------

    def _operating(self, process: Process) -> FloatArray:
        """Inputs of the process at the start: the middle of the bounds, or the ideal; operating values of the rest."""
        values = np.array([float(self.specification.operating.get(name, 0.0)) for name in process.inputs])
        for k in self.specification.known:
            values[process.index("input", k.input)] = k.values[0]
        for u in self.specification.manipulated:
            middle = sum(u.bounds) / 2.0 if u.ideal is None else u.ideal
            index = process.index("input", u.input)
            values[index] = np.clip(self.specification.operating.get(u.input, middle), *u.bounds)
        self._operating_manipulated = np.array(
            [values[process.index("input", u.input)] for u in self.specification.manipulated]
        )
        return values

    def _others(self, begin: float, end: float) -> FloatArray:
        """Values of inputs that are not manipulated, means over an interval (s)."""
        return np.asarray(self._others_by_stage(begin, np.array([end - begin]))[0])

    def _others_by_stage(self, time: float, ends: FloatArray) -> FloatArray:
        starts, stops = time + np.r_[0.0, ends[:-1]], time + ends
        result = np.tile(self._operating_others, (len(ends), 1))
        for i, index in enumerate(self._f.others):
            name = self.model.inputs[index]
            known = self._known.get(name)
            if known is not None and known.measured:
                result[:, i] = self._told.get(name, known.values[0])
            elif known is not None:
                result[:, i] = self._profiles[name].mean(starts, stops)
        return result

    # ---- memory ------------------------------------------------------------------------------------------------------

    def snapshot(self) -> dict[str, Any]:
        """All it knows."""
        return {
            "estimator": self.estimator.snapshot(),
            "target": None if self._target is None else self._target.snapshot(),
            "planner": self._planner.snapshot(),
            "told": dict(self._told),
            "times": [self._now, self._harvest, self._solved_at],
            "misses": self._misses,
        }

    def recall(self, snapshot: Mapping[str, Any]) -> None:
        """Go on from what `snapshot` gave, bit-identically."""
        self.estimator.recall(snapshot["estimator"])
        if self._target is not None:
            self._target.recall(snapshot["target"])
        self._planner.recall(snapshot["planner"])
        self._told, self._misses = dict(snapshot["told"]), int(snapshot["misses"])
        self._now, self._harvest, self._solved_at = (float(t) for t in snapshot["times"])


#: After so many solves without a target it is looked for anew when their number has doubled.
_MISSES = 8
#: Longest path, in periods, along which disturbances have to show where nothing rests.
_PATH = 300
#: A standard deviation is widened so much at most.
_FAR = 1e3
#: Integration steps in the longest stage of a batch, where nobody says.
_STEPS = 4
_OUTCOME = {"INFEASIBLE": Outcome.INFEASIBLE, "FAILED": Outcome.FAILED, "NOT_FINITE": Outcome.NOT_FINITE}
