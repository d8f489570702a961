"""State and disturbance estimation: a Kalman filter for measurements that come late and at different rates."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import block_diag

from controllers.linear.disturbance_model import DisturbanceModel, integrating_directions, output_scale
from controllers.surrogates.linear_surrogate import LinearSurrogate
from cosim.component import FloatArray
from fmus.errors import GalenicError


@dataclass(frozen=True)
class MeasurementModel:
    """How one output is measured.

    Args:
        output: index in the surrogate.
        std: standard deviation of the noise in the output's unit.
        delay: age of a value when it is shown, in sampling periods of the surrogate.
        gate: reject a value whose innovation exceeds this many standard deviations; None accepts all.
    """

    output: int
    std: float
    delay: int = 0
    gate: float | None = None


class Estimator:
    r"""A Kalman filter on the surrogate with integrating disturbances and one shift register per late measurement.

    The state is s = (x, d, z). With deviations from the operating point,

        x_{k+1} = A x_k + B u_k + B_d d_k + w_x,     d_{k+1} = d_k + w_d,     y_k = C x_k + C_d d_k
        z^i_{1,k+1} = y^i_k,   z^i_{j+1,k+1} = z^i_{j,k},     measured: z^i_{delay,k} + v   (y^i_k + v where not late)

    so a value that is tau periods old corrects the state of tau periods ago and everything since, exactly. Time update
    s <- F s + G u, P <- F P F' + Q. Then each fresh value i by itself (the noises are independent, so this equals the
    joint update, and needs no inverse):

        S = h P h' + r,   e = value - h s,   K = P h' / S,   s <- s + K e,   P <- P - K S K'

    A value that is not fresh, or not finite, is left out. With a gate g, a value with e^2 / S > g^2 (chi-square, one
    degree of freedom) is left out as well, three times in a row at most: what persists is the plant.

    Q: w_d from the disturbance model; w_x is input noise of ``process_noise`` times the half training domain in each
    period through B, plus a floor that keeps every state correctable.

    Args:
        surrogate: with D = 0.
        disturbances: B_d, C_d and variances; the rank condition is checked.
        measurements: one or more.
        process_noise: as above.

    Raises:
        GalenicError: D is not zero, the rank condition fails, or a number is out of range.
    """

    max_rejections = 3

    def __init__(
        self,
        surrogate: LinearSurrogate,
        disturbances: DisturbanceModel,
        measurements: Sequence[MeasurementModel],
        *,
        process_noise: float = 0.003,
    ) -> None:
        if surrogate.d.any():
            raise GalenicError("a surrogate with direct feed-through (D) cannot be estimated causally here")
        for m in measurements:
            if not (m.std > 0.0 and math.isfinite(m.std)) or m.delay < 0:
                raise GalenicError(
                    f"the measurement of '{surrogate.outputs[m.output].name}' needs a standard deviation greater than"
                    " zero and a delay that is not negative"
                )
        disturbances.check_detectable(surrogate, [m.output for m in measurements])
        self._surrogate, self._disturbances, self._measurements = surrogate, disturbances, tuple(measurements)
        n, nd = surrogate.a.shape[0], disturbances.b.shape[1]
        delays = [m.delay for m in measurements]
        size = n + nd + sum(delays)
        f, g = np.zeros((size, size)), np.zeros((size, surrogate.b.shape[1]))
        f[:n, :n], f[:n, n : n + nd], f[n : n + nd, n : n + nd] = surrogate.a, disturbances.b, np.eye(nd)
        g[:n] = surrogate.b
        h = np.zeros((len(measurements), size))
        first = n + nd
        for i, m in enumerate(measurements):
            row = np.concatenate([surrogate.c[m.output], disturbances.c[m.output]])
            if m.delay == 0:
                h[i, : n + nd] = row
                continue
            f[first, : n + nd] = row
            for j in range(1, m.delay):
                f[first + j, first + j - 1] = 1.0
            h[i, first + m.delay - 1] = 1.0
            first += m.delay
        half = np.array([(u.max - u.min) / 2.0 for u in surrogate.inputs])
        half = np.where(half > 0.0, half, 1e-3 * np.maximum(np.abs(surrogate.u0), 1.0))
        qx = (surrogate.b * (process_noise * half) ** 2) @ surrogate.b.T
        qx += 1e-6 * max(float(np.trace(qx)) / max(n, 1), 1e-12) * np.eye(n)
        self.transition, self.input_matrix, self.output_matrix = f, g, h
        self.process_covariance: FloatArray = block_diag(
            qx, np.diag(disturbances.variance), np.zeros((sum(delays),) * 2)
        )
        self.measurement_variance: FloatArray = np.array([m.std**2 for m in measurements])
        self._n, self._nd = n, nd
        self._start = self._start_covariance(half)
        self.state: FloatArray = np.zeros(size)
        self.covariance: FloatArray = self._start.copy()
        self._rejections = [0] * len(measurements)
        #: Of the last `correct`, in standard deviations; NaN where no value came. Shape (number of measurements,).
        self.innovations: FloatArray = np.full(len(measurements), math.nan)

    def _start_covariance(self, half: FloatArray) -> FloatArray:
        """Wide: inputs off by a tenth of the domain, disturbances by an hour of wandering, levels anywhere."""
        s, d = self._surrogate, self._disturbances
        px = (s.b * (0.1 * half) ** 2) @ s.b.T + 10.0 * self.process_covariance[: self._n, : self._n]
        size = output_scale(s)
        for i, direction in integrating_directions(s).items():
            px += np.outer(direction, direction) * (0.5 * size[i]) ** 2
        pd = np.diag(d.variance * 3600.0 / s.period)
        return np.asarray(block_diag(px, pd, np.zeros((len(self.transition) - self._n - self._nd,) * 2)))

    @property
    def x(self) -> FloatArray:
        """Estimated surrogate state, shape (n,)."""
        return self.state[: self._n]

    @property
    def d(self) -> FloatArray:
        """Estimated disturbances, shape (n_d,)."""
        return self.state[self._n : self._n + self._nd]

    @property
    def outputs(self) -> FloatArray:
        """Estimated outputs, absolute, shape (p,)."""
        return np.asarray(self._surrogate.y0 + self._surrogate.c @ self.x + self._disturbances.c @ self.d)

    def snapshot(self) -> dict[str, Any]:
        """What it knows: state, covariance, and how often each measurement was rejected in a row."""
        return {
            "state": self.state.copy(),
            "covariance": self.covariance.copy(),
            "rejections": list(self._rejections),
        }

    def recall(self, snapshot: Mapping[str, Any]) -> None:
        """Know what `snapshot` gave."""
        self.state, self.covariance = snapshot["state"], snapshot["covariance"]
        self._rejections = list(snapshot["rejections"])

    def initialize(self, inputs: FloatArray) -> None:
        """Forget everything; the plant is taken to rest under ``inputs`` (absolute, shape (m,))."""
        a, n = self._surrogate.a, self._n
        self.state = np.zeros(len(self.transition))
        self.state[:n] = np.linalg.lstsq(np.eye(n) - a, self._surrogate.b @ (inputs - self._surrogate.u0), rcond=1e-9)[
            0
        ]
        for i, direction in integrating_directions(self._surrogate).items():  # the inputs do not tell the level
            self.state[:n] -= direction * float(self._surrogate.c[i] @ self.state[:n])
        y = self._surrogate.c @ self.state[:n]
        first = n + self._nd
        for m in self._measurements:
            self.state[first : first + m.delay] = y[m.output]
            first += m.delay
        self.covariance = self._start.copy()
        self._rejections = [0] * len(self._measurements)

    def predict(self, inputs: FloatArray) -> None:
        """Time update over one period with the inputs (absolute, shape (m,)) that were applied in it."""
        self.state = self.transition @ self.state + self.input_matrix @ (inputs - self._surrogate.u0)
        p = self.transition @ self.covariance @ self.transition.T + self.process_covariance
        self.covariance = (p + p.T) / 2.0

    def correct(self, values: FloatArray, fresh: Sequence[bool] | None = None) -> list[bool]:
        """Measurement update.

        Args:
            values: absolute, in the outputs' units, one for each measurement.
            fresh: whether each value is new; all by default.

        Returns:
            for each measurement whether it was used.
        """
        used = [False] * len(self._measurements)
        y0 = self._surrogate.y0
        self.innovations = np.full(len(self._measurements), math.nan)
        for i, m in enumerate(self._measurements):
            if (fresh is not None and not fresh[i]) or not math.isfinite(values[i]):
                continue
            h = self.output_matrix[i]
            ph = self.covariance @ h
            variance = float(h @ ph) + float(self.measurement_variance[i])
            innovation = float(values[i]) - float(y0[m.output]) - float(h @ self.state)
            self.innovations[i] = innovation / math.sqrt(variance)
            if (
                m.gate is not None
                and innovation**2 > m.gate**2 * variance
                and self._rejections[i] < self.max_rejections
            ):
                self._rejections[i] += 1
                continue
            self._rejections[i] = 0
            self.state = self.state + ph * (innovation / variance)
            self.covariance = self.covariance - np.outer(ph, ph) / variance
            used[i] = True
        return used
