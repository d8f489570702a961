"""The fit of the press model to plateaus: nonlinear least squares with random density effects.

Each batch's powder has its own density, and it shifts again after each stop, so log-density effects of batch and run
are estimated beside the parameters, shrunk to zero by their spread. Production means and laboratory weights anchor
the level; the measured gains hold the slopes. All derivatives are CasADi's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import least_squares

from fmus import GalenicError
from twin.press_function import Gains, PressFunction

FloatArray = npt.NDArray[np.float64]

FREE = ("fill_density", "cup_volume", "machine_stiffness")


@dataclass(frozen=True)
class FitWeights:
    """Standard deviations that weigh the kinds of residuals; relative ones are differences of logarithms.

    Attributes:
        force: of a plateau's force, kN; a plateau of two samples, grows with fewer.
        outlier: force residual from which a plateau counts as an outlier, kN.
        weight: relative, of a batch's laboratory weight.
        production_force: of a batch's mean production force, kN.
        batch: relative, density between batches.
        run: relative, density between the runs of a batch's start-up.
        production: relative, a batch's production against its start-up.
        startup: relative, the common shift of start-up against production.
        stiffness: log of the machine stiffness about ``stiffness_mean`` kN/mm (wide).
        gains: relative, of the measured gains. Not their accuracy: the gains are what a controller uses, so the fit
            is made to hold them.
    """

    force: float = 0.25
    outlier: float = 0.3
    weight: float = 0.005
    production_force: float = 0.3
    batch: float = 0.034
    run: float = 0.02
    production: float = 0.01
    startup: float = 0.03
    stiffness: float = 1.0
    stiffness_mean: float = 60.0
    gains: float = 0.04


@dataclass(frozen=True)
class FitData:
    """What is fitted.

    Attributes:
        steps: start-up plateaus as of `twin.startup.plateaus`.
        production: production means as of `twin.startup.production_means`, with ``weight`` mg (NaN where unknown).
        gains: measured (dF/dfill, dF/dgap) in kN/mm, or None to fit without them.
    """

    steps: pd.DataFrame
    production: pd.DataFrame
    gains: FloatArray | None = None

    @property
    def operating_point(self) -> tuple[float, float, float, float]:
        """Mean over the batches of production: fill mm, gap mm, speed 1/h, force kN."""
        p = self.production
        return float(p.fill.mean()), float(p.gap.mean()), float(p.speed.mean()), float(p.force.mean())


@dataclass(frozen=True)
class PressFit:
    """A fit.

    Attributes:
        theta: natural logarithms of the free parameters, in the order of `PressFunction.free`.
        gains: of the fitted model at the operating point.
        predicted: force of each plateau with its batch's and run's density, kN.
        predicted_batch: with its batch's density only.
        predicted_mean: with the common density of all start-ups.
        startup_shift: common log density of start-up over production.
    """

    theta: FloatArray
    gains: Gains
    predicted: FloatArray
    predicted_batch: FloatArray
    predicted_mean: FloatArray
    startup_shift: float = 0.0


def fit_press(
    function: PressFunction,
    data: FitData,
    start: Mapping[str, float] | FloatArray | None = None,
    weights: FitWeights | None = None,
) -> PressFit:
    """Estimate the free parameters of ``function``.

    Args:
        function: the press with its free parameters.
        data: plateaus, production means and measured gains.
        start: values or logarithms of the free parameters to start from; the unit model's defaults otherwise.
        weights: how the kinds of residuals are weighed.

    Raises:
        GalenicError: too few plateaus or batches, or the fit does not converge.
    """
    if len(data.steps) < 3 * len(function.free) or len(data.production) < 2:
        raise GalenicError(
            f"{len(data.steps)} start-up plateaus and {len(data.production)} production batches are too few to fit",
            cure="give more batches; plateaus come from start-up phases in which fill depth or gap is moved",
        )
    problem = _Problem(function, data, weights or FitWeights())
    theta = _start(function, start)
    guess = np.r_[theta, np.zeros(problem.size - len(theta))]
    result = least_squares(problem.residuals, guess, jac=problem.jacobian, x_scale="jac", max_nfev=300)
    if not result.success or not np.isfinite(result.x).all():
        raise GalenicError(
            f"the fit did not converge: {result.message}", cure="look at the data report; leave out the odd batch"
        )
    return problem.result(np.asarray(result.x, dtype=float))


def _start(function: PressFunction, start: Mapping[str, float] | FloatArray | None) -> FloatArray:
    if isinstance(start, np.ndarray):
        return start
    values = {**function.values, **(start or {})}
    return np.log([values[name] for name in function.free])


class _Problem:
    """Residuals and their Jacobian; unknowns: parameters, batch, run and production effects, shift, point's effect."""

    def __init__(self, function: PressFunction, data: FitData, weights: FitWeights) -> None:
        self._f, self._d, self._w = function, data, weights
        steps, production = data.steps, data.production
        batch_numbers = sorted(set(steps.batch) | set(production.index))
        runs = sorted(set(steps.run))
        place = {b: i for i, b in enumerate(batch_numbers)}
        nf, nb, nr, npr = len(function.free), len(batch_numbers), len(runs), len(production)
        self._step_batch = nf + np.array([place[b] for b in steps.batch])
        run_place = {r: i for i, r in enumerate(runs)}
        self._step_run = nf + nb + np.array([run_place[r] for r in steps.run])
        self._production_batch = nf + np.array([place[b] for b in production.index])
        self._production_own = nf + nb + nr + np.arange(npr)
        self._shift = nf + nb + nr + npr
        self._point = self._shift + 1
        self.size = self._point + 1
        self._nf, self._nb, self._nr = nf, nb, nr
        self._scale = np.sqrt(np.minimum(steps.samples.to_numpy(dtype=float), 4.0) / 2.0) / weights.force
        self._force = steps.force.to_numpy(dtype=float)
        self._known = np.flatnonzero(np.isfinite(production.weight.to_numpy(dtype=float)))
        self._log_weight = np.log(production.weight.to_numpy(dtype=float)[self._known])
        self._cache: tuple[FloatArray, FloatArray, FloatArray] | None = None

    def residuals(self, v: FloatArray) -> FloatArray:
        """All residuals in units of their standard deviations."""
        return self._both(v)[0]

    def jacobian(self, v: FloatArray) -> FloatArray:
        """Their derivatives, shape (residuals, unknowns)."""
        return self._both(v)[1]

    def _both(self, v: FloatArray) -> tuple[FloatArray, FloatArray]:
        if self._cache is not None and np.array_equal(self._cache[0], v):
            return self._cache[1], self._cache[2]
        parts = [self._plateaus(v), *self._production(v), *self._shrinkage(v), *self._gains(v)]
        r, j = np.concatenate([p[0] for p in parts]), np.vstack([p[1] for p in parts])
        self._cache = (v.copy(), r, j)
        return r, j

    def _plateaus(self, v: FloatArray) -> tuple[FloatArray, FloatArray]:
        effect = v[self._step_batch] + v[self._step_run] + v[self._shift]
        force, _, slope = self._at(self._d.steps, effect, v)
        j = np.zeros((len(force), self.size))
        rows = np.arange(len(force))
        j[:, : self._nf] = slope[:, 0, 4:]
        for columns in (self._step_batch, self._step_run, np.full(len(force), self._shift)):
            j[rows, columns] = slope[:, 0, 3]
        r = (force - self._force) * self._scale
        # soft L1: a square near zero, linear for outliers
        bend = np.sqrt(1.0 + (r * self._w.force / self._w.outlier) ** 2)
        soft = np.sqrt(2.0 / (1.0 + bend))
        return r * soft, j * (self._scale / (soft * bend))[:, None]

    def _production(self, v: FloatArray) -> list[tuple[FloatArray, FloatArray]]:
        production = self._d.production
        force, weight, slope = self._at(production, v[self._production_batch] + v[self._production_own], v)
        rows = np.arange(len(force))
        jacobians = []
        for k in (0, 1):
            j = np.zeros((len(force), self.size))
            j[:, : self._nf] = slope[:, k, 4:]
            j[rows, self._production_batch] = slope[:, k, 3]
            j[rows, self._production_own] = slope[:, k, 3]
            jacobians.append(j)
        known, sd = self._known, self._w.weight
        log_weight = (np.log(weight[known]) - self._log_weight) / sd
        scaled = jacobians[1][known] / weight[known, None] / sd
        sd = self._w.production_force
        return [(log_weight, scaled), ((force - production.force.to_numpy()) / sd, jacobians[0] / sd)]

    def _shrinkage(self, v: FloatArray) -> list[tuple[FloatArray, FloatArray]]:
        w = self._w
        sd = np.r_[
            np.full(self._nb, w.batch),
            np.full(self._nr, w.run),
            np.full(len(self._production_own), w.production),
            w.startup,
        ]
        j = np.zeros((len(sd), self.size))
        j[np.arange(len(sd)), self._nf + np.arange(len(sd))] = 1.0 / sd
        parts = [(v[self._nf : self._point] / sd, j)]
        if "machine_stiffness" in self._f.free:
            i = self._f.free.index("machine_stiffness")
            prior = np.zeros((1, self.size))
            prior[0, i] = 1.0 / w.stiffness
            parts.append((np.array([(v[i] - np.log(w.stiffness_mean)) / w.stiffness]), prior))
        return parts

    def _gains(self, v: FloatArray) -> list[tuple[FloatArray, FloatArray]]:
        """The model gives the mean force at the operating point (by the point's own density), and there the gains."""
        fill, gap, speed, force = self._d.operating_point
        row = self._f.rows(fill, gap, speed, v[self._point], v[: self._nf])
        at, _, slope = self._f.force_and_weight(row)
        columns = [*range(self._nf), self._point]
        j = np.zeros((1, self.size))
        j[0, columns] = np.r_[slope[0, 0, 4:], slope[0, 0, 3]] / 0.01
        parts = [((at - force) / 0.01, j)]
        if self._d.gains is not None:
            gains, gain_slope = self._f.force_gains(row[0])
            sd = self._w.gains * np.abs(self._d.gains)
            j = np.zeros((2, self.size))
            j[:, columns] = np.c_[gain_slope[:, 4:], gain_slope[:, 3]] / sd[:, None]
            parts.append(((gains - self._d.gains) / sd, j))
        return parts

    def _at(self, frame: pd.DataFrame, effect: FloatArray, v: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        rows = self._f.rows(frame.fill, frame.gap, frame.speed, effect, v[: self._nf])
        return self._f.force_and_weight(rows)

    def result(self, v: FloatArray) -> PressFit:
        """The fit at the solution ``v``."""
        theta, steps = v[: self._nf], self._d.steps
        batch, run = v[self._step_batch], v[self._step_run]
        shift = float(v[self._shift])
        mean = np.full(len(steps), shift)
        return PressFit(
            theta=theta,
            gains=self._f.gains_at_force(*self._d.operating_point, theta),
            predicted=self._at(steps, mean + batch + run, v)[0],
            predicted_batch=self._at(steps, mean + batch, v)[0],
            predicted_mean=self._at(steps, mean, v)[0],
            startup_shift=shift,
        )
