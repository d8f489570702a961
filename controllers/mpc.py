"""Offset-free linear model predictive control that supervises the regulatory loops."""

from __future__ import annotations

import enum
import math
import time
from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from controllers.base import SampledController
from controllers.disturbance_model import output_scale
from controllers.dynamic import DynamicOptimizer
from controllers.estimator import Estimator
from controllers.mpc_config import MPCSettings
from controllers.target import TargetOptimizer
from cosim.component import ControllerContext, FloatArray, Port


class Status(enum.IntEnum):
    """Why the controller's answer is in force or not: its output ``status``."""

    SOLVED = 0
    WAITING = 1  # before start_after; the estimator runs
    MEASUREMENT_MISSING = 2  # more values in a row not finite, or absurd, than max_missed
    TARGET_FAILED = 3
    DYNAMIC_FAILED = 4
    NOT_FINITE = 5  # reference or estimate


class MPCController(SampledController):
    r"""Estimator, target optimiser and dynamic optimiser in one controller.

    In each period, with the inputs u_{k-1} that were applied in the last one,

        1. (x, d) <- Kalman filter (x, d; u_{k-1}, fresh measurements)                 `controllers.estimator`
        2. (u_t, y_t) <- steady state for d and the references, in hard bounds         `controllers.target`
        3. U <- path from (x, d, u_{k-1}) to the target, soft quality limits           `controllers.dynamic`
        4. u_k = first block of U

    No offset: the filter has as many integrating disturbances as measured outputs, so at rest its predicted outputs
    equal the measured ones; the target uses the same disturbances, so outputs with a reference sit on it wherever the
    bounds allow, under any constant disturbance and any mismatch that leaves the loop stable (Muske & Badgwell 2002,
    Pannocchia & Rawlings 2003).

    An answer is used only when both programs fulfil their optimality conditions. Otherwise, or while a measurement is
    missing, the outputs are the ``fallback`` inputs (what the supervised loops would do, inside the hard bounds; the
    last value where nothing is connected), ``active`` is 0, ``failures`` counts, and the programs forget their last
    answer. The filter runs on with what was applied, so coming back is bumpless; so is the start, from the inputs that
    are in force. Nothing leaves the controller outside the hard bounds.

    Ports: in ``<output>.measured``, ``<output>.sample``, ``<output>.setpoint``, ``fallback.<target>``; out one for each
    target, ``active``, ``status`` (`Status`), ``failures``, ``solve_time``, and for each controlled output
    ``<output>.estimate``, ``.reference``, ``.target``, and for each disturbance ``disturbance.<name>``.

    Args:
        name: the controller's name.
        settings: model, objective and channels in the surrogate's units.
    """

    remembered = ("_applied", "_seen", "_missed")

    def __init__(self, name: str, settings: MPCSettings) -> None:
        self._settings = s = settings
        wiring, outputs = s.wiring, s.surrogate.outputs
        self._active = wiring.write(Port("active", "1", 0.0, description="1: the answer is in force"))
        self._status = wiring.write(Port("status", "1", float(Status.WAITING), description="see Status"))
        self._failures = wiring.write(Port("failures", "1", 0.0, description="periods without an answer"))
        self._solve_time = wiring.write(Port("solve_time", "s", 0.0, description="time of one execution"))
        self._controlled = [y.index for y in s.objective.outputs]
        self._tracked = [y.tracked for y in s.objective.outputs]
        self._shown = []
        for i in self._controlled:
            y, label = outputs[i], outputs[i].name.rsplit(".", 1)[-1]
            self._shown.append([wiring.write(Port(f"{label}.{what}", y.unit, y.operating_point)) for what in _SHOWN])
        self._disturbance_ports = [wiring.write(Port(*port)) for port in _disturbance_ports(s)]
        super().__init__(name, s.period, wiring, s.supervises)
        for channel in s.fallbacks:  # until a supervised loop is connected there is nothing to fall back to
            self.input_values[channel.index] = math.nan
        self.estimator = Estimator(s.surrogate, s.disturbances, s.measurements, process_noise=s.process_noise)
        self._target = TargetOptimizer(s.surrogate, s.disturbances, s.objective, solver=s.solver)
        self._dynamic = DynamicOptimizer(
            s.surrogate, s.disturbances, s.objective, steps=s.steps, blocks=s.blocks, solver=s.solver
        )
        self._low, self._high = s.objective.low, s.objective.high
        self._applied: FloatArray | None = None
        self._seen = [0.0] * len(s.measured)
        self._missed = [0] * len(s.measured)
        size = output_scale(s.surrogate)
        self._plausible = [
            (y0 - _FAR * size[m.output], y0 + _FAR * size[m.output])
            for m, y0 in ((m, outputs[m.output].operating_point) for m in s.measurements)
        ]

    @classmethod
    def from_config(cls, name: str, config: Mapping[str, Any], context: ControllerContext) -> Self:
        """Build it from its section, see `controllers.mpc_config`. Raises GalenicError at the key at fault."""
        return cls(name, MPCSettings.from_config(config, context))

    def state(self) -> dict[str, Any]:
        """See `SampledController.state`."""
        parts: dict[str, Estimator | TargetOptimizer | DynamicOptimizer] = {
            "estimator": self.estimator,
            "target": self._target,
            "dynamic": self._dynamic,
        }
        known = self._applied is not None  # before the first execution the estimator has no state
        return {**super().state(), "parts": {name: part.snapshot() for name, part in parts.items()} if known else {}}

    def restore(self, state: Mapping[str, Any]) -> None:
        """See `SampledController.restore`."""
        super().restore(state)
        if state["parts"]:
            self.estimator.recall(state["parts"]["estimator"])
            self._target.recall(state["parts"]["target"])
            self._dynamic.recall(state["parts"]["dynamic"])

    def do_step(self, communication_point: float, step_size: float) -> None:  # noqa: ARG002 (the contract's signature)
        """One execution at ``communication_point`` (s)."""
        began = time.perf_counter()
        fallback = self._fallback()
        if self._applied is None:
            previous = np.where(np.isfinite(fallback), fallback, self._settings.start_inputs)
            previous = np.clip(previous, self._low, self._high)
            self.estimator.initialize(previous)
        else:
            previous = self._applied
            self.estimator.predict(previous)
        complete = self._measure()
        references = np.array([r(self.input_values) for r in self._settings.references], dtype=np.float64)
        answer: FloatArray | None = None
        if not complete:
            status = Status.MEASUREMENT_MISSING
        elif communication_point < self._settings.start_after:
            status = Status.WAITING
        else:
            status, answer = self._solve(previous, references)
        if answer is None:
            self._target.reset()
            self._dynamic.reset()
            answer = np.clip(np.where(np.isfinite(fallback), fallback, previous), self._low, self._high)
        self._applied = answer
        self._show(status, answer, references)
        self.output_values[self._solve_time] = time.perf_counter() - began

    def _fallback(self) -> FloatArray:
        return np.array([c.factor * self.input_values[c.index] + c.offset for c in self._settings.fallbacks])

    def _measure(self) -> bool:
        """Correct the estimate with what is fresh; whether nothing has been missing for too long."""
        values = np.empty(len(self._settings.measured))
        fresh = []
        for i, channel in enumerate(self._settings.measured):
            value = channel.factor * float(self.input_values[channel.index]) + channel.offset
            low, high = self._plausible[i]
            values[i] = value if low <= value <= high else math.nan
            if channel.sample is None:
                is_fresh = True
            else:
                count = float(self.input_values[channel.sample])
                is_fresh, self._seen[i] = count != self._seen[i], count
            if is_fresh:
                self._missed[i] = 0 if math.isfinite(values[i]) else self._missed[i] + 1
            fresh.append(is_fresh)
        self.estimator.correct(values, fresh)
        return max(self._missed) <= self._settings.max_missed

    def _solve(self, previous: FloatArray, references: FloatArray) -> tuple[Status, FloatArray | None]:
        estimator = self.estimator
        if not (np.isfinite(references).all() and np.isfinite(estimator.state).all()):
            if not np.isfinite(estimator.state).all():
                estimator.initialize(previous)
            return Status.NOT_FINITE, None
        target = self._target.solve(estimator.d, references)
        if not target.converged:
            return Status.TARGET_FAILED, None
        for ports, i in zip(self._shown, self._controlled, strict=True):
            self.output_values[ports[2]] = target.outputs[i]
        plan = self._dynamic.solve(estimator.x, estimator.d, previous, target)
        if not plan.converged:
            return Status.DYNAMIC_FAILED, None
        return Status.SOLVED, plan.inputs[0]

    def _show(self, status: Status, inputs: FloatArray, references: FloatArray) -> None:
        outputs, s = self.output_values, self._settings
        for channel, value in zip(s.targets, inputs, strict=True):
            port = self.outputs[channel.index]
            assert port.min is not None
            assert port.max is not None
            outputs[channel.index] = min(max((value - channel.offset) / channel.factor, port.min), port.max)
        outputs[self._active] = float(status is Status.SOLVED)
        outputs[self._status] = float(status)
        outputs[self._failures] += float(status not in (Status.SOLVED, Status.WAITING))
        estimate, tracked = self.estimator.outputs, iter(references)
        for ports, i, has_reference in zip(self._shown, self._controlled, self._tracked, strict=True):
            outputs[ports[0]] = estimate[i]
            outputs[ports[1]] = next(tracked) if has_reference else math.nan
        outputs[self._disturbance_ports] = self.estimator.d


#: A value further from the operating point than this many times the output's size is no measurement.
_FAR = 100.0
_SHOWN = ("estimate", "reference", "target")


def _disturbance_ports(settings: MPCSettings) -> list[tuple[str, str, float]]:
    """Name, unit and start of the port of each disturbance; a ramp is shown as the rise in one period."""
    s, result = settings.surrogate, []
    for d in settings.disturbances.disturbances:
        item = s.inputs[s.input_index(d.signal)] if d.kind == "input" else s.outputs[s.output_index(d.signal)]
        suffix = ".ramp" if d.kind == "ramp" else ""
        result.append((f"disturbance.{d.signal.rsplit('.', 1)[-1]}{suffix}", item.unit, 0.0))
    return result
