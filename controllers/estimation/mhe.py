"""Moving horizon estimation: the filter's data over a window, fitted within bounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.linalg import solve_triangular

from controllers.estimation.channels import Channel, Reason
from controllers.estimation.ekf import ExtendedKalmanFilter
from controllers.estimation.model import EstimationModel
from controllers.estimation.window import Engine, Window
from cosim.component import FloatArray


class MovingHorizonEstimator(ExtendedKalmanFilter):
    r"""Least squares over the last ``horizon`` periods, on top of the extended Kalman filter.

    The filter screens and gates the values, keeps them where they belong in time, and gives the arrival cost: its prior
    at the window's first time, with its covariance (Rao, Rawlings & Mayne 2003). The estimate is the end of the fitted
    path, and the filter goes on from it. A late value inside the window takes its place in it; one that is older moves
    the arrival cost. On a linear model without bounds the estimate is the Kalman filter's.

    Where the program has no solution, the filter's estimate stands and ``solved`` is False.

    Args:
        model: with its disturbances.
        channels: the measurements.
        horizon: length of the window in periods; it grows to that from the start.
        memory: how old a value may be, in periods; at least the horizon.
        input_delays: dead time of each input in periods.
        engine: `controllers.estimation.window.Window`.
        iterations: of the SQP method at most.
        tolerance: of the solution, scaled.

    Attributes:
        solved: whether the last window was solved.
        failures: windows without a solution since the start.
    """

    def __init__(
        self,
        model: EstimationModel,
        channels: Sequence[Channel],
        *,
        horizon: int,
        memory: int = 0,
        input_delays: Sequence[int] = (),
        engine: Engine = "qrqp",
        iterations: int = 20,
        tolerance: float = 1e-8,
    ) -> None:
        super().__init__(model, channels, memory=max(memory, horizon), input_delays=input_delays)
        self._horizon = horizon
        self._window = Window(model, self._outputs, horizon, engine=engine, iterations=iterations, tolerance=tolerance)
        self._fitted = -1  # the time at which the window's guess ends
        self.solved, self.failures = True, 0

    def initialize(self, state: FloatArray, covariance: FloatArray, inputs: FloatArray) -> None:
        """See `ExtendedKalmanFilter.initialize`."""
        super().initialize(state, covariance, inputs)
        self._fitted, self.solved, self.failures = -1, True, 0

    def correct(
        self, values: FloatArray, fresh: Sequence[bool] | None = None, ages: Sequence[int | None] | None = None
    ) -> list[Reason]:
        """See `ExtendedKalmanFilter.correct`."""
        reasons = super().correct(values, fresh, ages)
        if any(r in (Reason.USED, Reason.REOPENED, Reason.OUTLIER) for r in reasons):
            self._fit()
        return reasons

    @property
    def path(self) -> FloatArray:
        """The fitted states from the window's first time to the present, shape (periods + 1, n)."""
        return self._window.guess[: min(self._horizon, self._fitted) + 1].copy()

    def _fit(self) -> None:
        h, w = self._history, self._window
        length = min(self._horizon, h.now)
        times = range(h.now - length, h.now + 1)
        slots = [h.slot(t) for t in times]
        self.solved = self._arrival(slots[0])
        if self.solved:
            w.active[:length], w.active[length:] = 1.0, 0.0
            w.inputs[: length + 1], w.inputs[length + 1 :] = h.inputs[slots], h.inputs[slots[-1]]
            w.noise[:length], w.noise[length:] = h.noise[slots[:-1]], 0.0
            w.precision[:], w.values[:] = 0.0, 0.0
            used = h.used[slots]
            w.values[: length + 1] = np.where(used, h.values[slots], 0.0)
            w.precision[: length + 1] = np.where(used, 1.0 / h.std[slots], 0.0)
            self._guess(times, slots)
            self.solved = w.solve()
        if not self.solved:
            self._fitted = -1
            self.failures += 1
            return
        np.clip(w.guess, self.model.low, self.model.high, out=w.guess)  # a solver keeps bounds to its tolerance
        self._fitted = h.now
        self._state = w.guess[length].copy()

    def _arrival(self, slot: int) -> bool:
        """The weight of the prior, W' W = P^-1; a state without variance gets a ten-millionth of its nominal."""
        h, w, nominal = self._history, self._window, self.model.nominal
        scaled = h.covariance[slot] / np.outer(nominal, nominal)
        try:
            root = np.linalg.cholesky(scaled + 1e-14 * np.eye(len(nominal)))
        except np.linalg.LinAlgError:
            return False
        w.weight[:] = solve_triangular(root, np.diag(1.0 / nominal), lower=True)
        w.prior[:] = h.prior[slot]
        return True

    def _guess(self, times: range, slots: Sequence[int]) -> None:
        """The last path where it reaches, then the filter's priors, then its estimate."""
        h, w = self._history, self._window
        begin = max(0, self._fitted - self._horizon)
        old = w.guess.copy()
        for i, (time, slot) in enumerate(zip(times, slots, strict=True)):
            w.guess[i] = old[time - begin] if begin <= time <= self._fitted else h.prior[slot]
        w.guess[len(slots) - 1 :] = self._state

    def snapshot(self) -> dict[str, Any]:
        """See `ExtendedKalmanFilter.snapshot`."""
        own = {"guess": self._window.guess.copy(), "fitted": self._fitted, "failures": self.failures}
        return {**super().snapshot(), **own, "solved": self.solved}

    def recall(self, snapshot: Mapping[str, Any]) -> None:
        """See `ExtendedKalmanFilter.recall`."""
        super().recall(snapshot)
        self._window.guess[:] = snapshot["guess"]
        self._fitted, self.failures = int(snapshot["fitted"]), int(snapshot["failures"])
        self.solved = bool(snapshot["solved"])
