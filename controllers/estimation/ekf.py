"""Extended Kalman filter: constraints, gates, several sampling rates, dead times and late values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from controllers.estimation.bounds import project
from controllers.estimation.channels import Channel, Reason, Screen
from controllers.estimation.covariance import limited, repaired
from controllers.estimation.evaluation import Evaluation, with_jacobian
from controllers.estimation.history import History
from controllers.estimation.model import FAR, UNKNOWN, EstimationModel
from cosim.component import FloatArray
from fmus.errors import GalenicError

#: The covariance is widened by this factor at most when a gate reopens.
_WIDEST = 1e4


class ExtendedKalmanFilter:
    r"""An extended Kalman filter that filters anew from the time at which a late value was sampled.

    Time update with A = dF/ds at the estimate, then the values of that time, linearised at the prior (H = dH/ds), one
    after the other (their noises are independent, so this equals the joint update and needs no inverse):

        s <- F(s, u),  P <- A P A' + Q;     S = h P h' + r,   K = P h' / S
        s <- s + K e,  P <- (I - K h) P (I - K h)' + K r K'

    The prior of each of the last ``memory`` periods is kept, with its inputs and values. A value of age a is put where
    it belongs and the filter runs again from there, gates included: the result is that of a filter that had the value
    in time. A second value for the same time and channel replaces the first (a corrected laboratory result).

    A value outside its gate, e^2 / S > chi^2, is left out, but ``max_rejections`` times in a row at most: then the
    plant has moved, and P is widened until the value lies on the gate. After each update the estimate is projected
    into the states' bounds (`controllers.estimation.bounds`).

    Nothing that a measurement or an input holds raises. Where the model has no finite answer the estimate stays and
    its covariance grows; `predict` tells so.

    Args:
        model: with its disturbances.
        channels: the measurements.
        memory: how old a value may be, in periods.
        input_delays: dead time of each input in periods; none by default.

    Raises:
        GalenicError: an unknown output, or a number out of range.
    """

    def __init__(
        self,
        model: EstimationModel,
        channels: Sequence[Channel],
        *,
        memory: int = 0,
        input_delays: Sequence[int] = (),
    ) -> None:
        for c in channels:
            c.check()
        self.model, self.channels = model, tuple(channels)
        self.memory = max(memory, *(c.delay for c in channels), 1)
        self._delays = np.array(input_delays or [0] * len(model.inputs), dtype=np.int64)
        if len(self._delays) != len(model.inputs) or (self._delays < 0).any():
            raise GalenicError("input_delays needs one number for each input, none of them negative")
        self._outputs = [model.output_index(c.output) for c in channels]
        self._gates = [c.gate_squared for c in channels]
        self._screen = Screen(self.channels, model)
        self._step, self._measure = Evaluation(with_jacobian(model.step)), Evaluation(with_jacobian(model.measure))
        n, m = model.size, len(model.inputs)
        self._history = History(self.memory, n, m, len(channels))
        self._queue: FloatArray = np.zeros((int(self._delays.max(initial=0)) + 1, m))
        self._state: FloatArray = np.zeros(n)
        self._covariance: FloatArray = np.zeros((n, n))
        #: of the last `correct`, for each channel: innovation and its variance, NaN without a present value
        self.innovation: FloatArray = np.full(len(channels), math.nan)
        self.innovation_variance: FloatArray = np.full(len(channels), math.nan)

    @property
    def state(self) -> FloatArray:
        """The estimate of states and disturbances, shape (n,)."""
        return self._state

    @property
    def covariance(self) -> FloatArray:
        """Its covariance, shape (n, n)."""
        return self._covariance

    @property
    def now(self) -> int:
        """Periods since the start."""
        return self._history.now

    def initialize(self, state: FloatArray, covariance: FloatArray, inputs: FloatArray) -> None:
        """Forget everything and begin.

        Args:
            state: shape (n,), or of the process's states alone: then the disturbances begin at zero.
            covariance: shape (n, n), or the standard deviations, shape (n,).
            inputs: in force until now, shape (m,).

        Raises:
            GalenicError: a wrong size, or numbers that are not finite.
        """
        n = self.model.size
        given, spread = np.asarray(state, dtype=np.float64), np.asarray(covariance, dtype=np.float64)
        start = np.zeros(n)
        if given.shape not in ((n,), (len(self.model.process.states),)) or spread.shape not in ((n,), (n, n)):
            raise GalenicError(
                f"the start has shapes {given.shape} and {spread.shape}; the model has {n} states",
                cure="give a state (n,) and a covariance (n, n) or standard deviations (n,)",
            )
        start[: len(given)] = given
        spread = np.diag(spread**2) if spread.ndim == 1 else (spread + spread.T) / 2.0
        if not (np.isfinite(start).all() and np.isfinite(spread).all() and np.isfinite(inputs).all()):
            raise GalenicError("the estimator's start is not finite")
        size = np.maximum(np.abs(start), np.sqrt(np.maximum(spread.diagonal(), 0.0))) / self.model.nominal
        if size.max(initial=0.0) > UNKNOWN:
            name = self.model.states[int(size.argmax())].name
            raise GalenicError(
                f"the start of '{name}' or its standard deviation is {size.max():.3g} times its nominal",
                cure="give the state a nominal of its usual size",
            )
        self._screen.reset()
        self._history.clear()
        self._queue[:] = inputs
        self._history.inputs[0] = inputs
        self._begin(project(start, spread, self.model.low, self.model.high), spread, 0)

    def predict(self, inputs: FloatArray) -> bool:
        """Time update over one period.

        Args:
            inputs: that were applied in it, shape (m,); one that is not finite counts as the last one.

        Returns:
            whether the model and the inputs were usable; otherwise the estimate stays and its covariance grows.
        """
        h = self._history
        given = np.asarray(inputs, dtype=np.float64)
        finite = np.isfinite(given)
        self._queue[1:] = self._queue[:-1].copy()
        self._queue[0] = np.where(finite, given, self._queue[0])
        before = h.slot(h.now)
        slot = h.advance()
        h.inputs[slot] = self._queue[self._delays, np.arange(len(given))]
        fine = self._propagate(before, slot)
        self.innovation[:] = self.innovation_variance[:] = math.nan
        return fine and bool(finite.all())

    def correct(
        self, values: FloatArray, fresh: Sequence[bool] | None = None, ages: Sequence[int | None] | None = None
    ) -> list[Reason]:
        """Measurement update; may be called several times in a period, for several late values of one channel.

        Args:
            values: one for each channel, in its output's unit.
            fresh: whether each is new; all by default.
            ages: periods since each was sampled; None: the channel's ``delay``.

        Returns:
            what became of each.
        """
        h, reasons = self._history, []
        since = h.now + 1
        times = [h.now] * len(self.channels)
        for i, channel in enumerate(self.channels):
            if fresh is not None and not fresh[i]:
                reasons.append(Reason.NOT_FRESH)
                continue
            age = None if ages is None else ages[i]
            times[i] = h.now - (channel.delay if age is None else max(0, age))
            reason = self._screen.check(i, float(values[i]))
            if reason is Reason.USED and times[i] < h.oldest:
                reason = Reason.TOO_OLD
            reasons.append(reason)
            if reason is Reason.USED:
                h.values[h.slot(times[i]), i] = values[i]
                since = min(since, times[i])
        if since > h.now:
            return reasons
        told = self._refilter(since, times)
        return [told[i] if r is Reason.USED else r for i, r in enumerate(reasons)]

    def _refilter(self, since: int, times: Sequence[int]) -> list[Reason]:
        """Filter again from ``since``; what became of each channel's value at ``times``."""
        h, told = self._history, [Reason.NOT_FRESH] * len(self.channels)
        for time in range(since, h.now + 1):
            slot = h.slot(time)
            self._state, self._covariance = h.prior[slot].copy(), h.covariance[slot].copy()
            found = self._update(slot)
            told = [f if t == time else r for f, t, r in zip(found, times, told, strict=True)]
            if time < h.now:
                self._propagate(slot, h.slot(time + 1))
        return told

    def _begin(self, state: FloatArray, covariance: FloatArray, slot: int) -> None:
        self._history.prior[slot], self._history.covariance[slot] = state, covariance
        self._state, self._covariance = state.copy(), covariance.copy()

    def _propagate(self, before: int, slot: int) -> bool:
        """From the estimate at one time, values included, to the prior of the next."""
        h, m = self._history, self.model
        n = m.size
        h.noise[before] = noise = m.noise_std(self._state)
        self._step.arguments[0][:], self._step.arguments[1][:] = self._state, h.inputs[slot]
        fine = self._step.run()
        state, p = self._state, self._covariance
        if fine:
            a = self._step.results[1].reshape((n, n), order="F")
            with np.errstate(over="ignore", invalid="ignore"):
                moved = a @ p @ a.T
            fine = bool(np.isfinite(moved).all() and (np.abs(self._step.results[0]) <= FAR * m.nominal).all())
            if fine:
                state, p = self._step.results[0], (moved + moved.T) / 2.0
        p = limited(p + np.diag(noise**2 + (0.0 if fine else 1e-4) * m.nominal**2), UNKNOWN * m.nominal)
        h.misses[slot, 0] = h.misses[slot, 1] = h.misses[before, 1]
        self._begin(project(state, p, m.low, m.high), p, slot)
        return fine

    def _update(self, slot: int) -> list[Reason]:
        """Correct the estimate by the values of one time."""
        h, told = self._history, [Reason.NOT_FRESH] * len(self.channels)
        h.used[slot] = False
        h.misses[slot, 1] = h.misses[slot, 0]
        self.innovation[:] = self.innovation_variance[:] = math.nan
        present = np.isfinite(h.values[slot])
        if not present.any():
            return told
        prior = self._state
        self._measure.arguments[0][:], self._measure.arguments[1][:] = prior, h.inputs[slot]
        fine = self._measure.run()
        jacobian = self._measure.results[1].reshape((-1, self.model.size), order="F")
        for i in np.flatnonzero(present):
            told[i] = self._use(slot, int(i), prior, jacobian[self._outputs[i]]) if fine else Reason.NOT_USABLE
            h.used[slot, i] = told[i] in (Reason.USED, Reason.REOPENED)
        self._covariance = repaired(self._covariance)
        self._state = project(self._state, self._covariance, self.model.low, self.model.high)
        return told

    def _use(self, slot: int, i: int, prior: FloatArray, row: FloatArray) -> Reason:
        h, channel = self._history, self.channels[i]
        predicted = float(self._measure.results[0][self._outputs[i]])
        std = channel.std + channel.relative_std * abs(predicted)
        innovation = float(h.values[slot, i]) - predicted - float(row @ (self._state - prior))
        ph = self._covariance @ row
        spread = float(row @ ph)
        variance = spread + std**2
        if not (variance > 0.0 and math.isfinite(variance) and math.isfinite(innovation)):
            return Reason.NOT_USABLE
        self.innovation[i], self.innovation_variance[i] = innovation, variance
        reason = Reason.USED
        if innovation**2 > self._gates[i] * variance:
            h.misses[slot, 1, i] = h.misses[slot, 0, i] + 1
            if h.misses[slot, 0, i] < channel.max_rejections:
                return Reason.OUTLIER
            reason = Reason.REOPENED
            if spread > 0.0:
                wider = min(max((innovation**2 / self._gates[i] - std**2) / spread, 1.0), _WIDEST)
                self._covariance = limited(self._covariance * wider, UNKNOWN * self.model.nominal)
                ph = self._covariance @ row
                variance = float(row @ ph) + std**2
        h.misses[slot, 1, i], h.std[slot, i] = 0, std
        gain = ph / variance
        self._state = self._state + gain * innovation
        rest = np.eye(len(gain)) - np.outer(gain, row)
        p = rest @ self._covariance @ rest.T + np.outer(gain, gain) * std**2
        self._covariance = (p + p.T) / 2.0
        return reason

    @property
    def outputs(self) -> FloatArray:
        """All outputs of the model at the estimate, those that nothing measures included, shape (p,)."""
        return self._outputs_here()[0]

    @property
    def outputs_std(self) -> FloatArray:
        """Their standard deviations, of the outputs themselves and not of a measurement, shape (p,)."""
        _, jacobian = self._outputs_here()
        return np.asarray(np.sqrt(np.maximum(((jacobian @ self._covariance) * jacobian).sum(axis=1), 0.0)))

    def _outputs_here(self) -> tuple[FloatArray, FloatArray]:
        h = self._history
        self._measure.arguments[0][:], self._measure.arguments[1][:] = self._state, h.inputs[h.slot(h.now)]
        self._measure.run()
        value, jacobian = self._measure.results
        return value.copy(), jacobian.reshape((-1, self.model.size), order="F").copy()

    @property
    def nis(self) -> tuple[float, int]:
        """Normalised innovation squared of the present values, and how many they were: chi-square if consistent."""
        ratio = self.innovation**2 / self.innovation_variance
        there = np.isfinite(ratio)
        return float(ratio[there].sum()), int(there.sum())

    def snapshot(self) -> dict[str, Any]:
        """What it knows, in numbers and arrays."""
        return {
            "state": self._state.copy(),
            "covariance": self._covariance.copy(),
            "queue": self._queue.copy(),
            "innovation": self.innovation.copy(),
            "innovation_variance": self.innovation_variance.copy(),
            "history": self._history.snapshot(),
            "screen": self._screen.snapshot(),
        }

    def recall(self, snapshot: Mapping[str, Any]) -> None:
        """Know what `snapshot` gave, and go on bit-identically."""
        self._state, self._covariance = snapshot["state"].copy(), snapshot["covariance"].copy()
        self._queue[...] = snapshot["queue"]
        self.innovation, self.innovation_variance = (
            snapshot["innovation"].copy(),
            snapshot["innovation_variance"].copy(),
        )
        self._history.recall(snapshot["history"])
        self._screen.recall(snapshot["screen"])
