"""A control law that never fails: whatever a law does, its answers have the right shape and stay inside the bounds."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from controllers.estimation.channels import Reason
from controllers.operation.law import ControlLaw, LawDisturbance, LawInput, LawOutput, Outcome, Plan
from cosim.component import FloatArray

T = TypeVar("T")


class GuardedLaw:
    """Passes everything on to a law; an error of the law becomes an answer that says so.

    Args:
        law: any law.
        measurements: how many values it is corrected with.
    """

    def __init__(self, law: ControlLaw, measurements: int) -> None:
        self.law = law
        self.inputs: Sequence[LawInput] = law.inputs
        self.outputs: Sequence[LawOutput] = law.outputs
        self.disturbances: Sequence[LawDisturbance] = law.disturbances
        self.decisions = law.decisions
        self.low = np.array([u.low for u in law.inputs])
        self.high = np.array([u.high for u in law.inputs])
        self._max_move = np.array([u.max_move for u in law.inputs])
        self._measurements = measurements
        self._known: Sequence[tuple[str, int, float, float]] = tuple(getattr(law, "known_ports", ()))
        #: What the law's last error said; empty where there was none in this step.
        self.error = ""

    def _try(self, call: Callable[[], T], instead: T) -> T:
        try:
            return call()
        except Exception as error:  # a law may do anything; the ladder has an answer
            self.error = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
            return instead

    def _array(self, call: Callable[[], FloatArray | None], size: int) -> FloatArray:
        """An array of that size; NaN where the law has none."""
        values = np.asarray(self._try(call, None), dtype=np.float64)
        return values if values.shape == (size,) else np.full(size, math.nan)

    @property
    def estimate(self) -> FloatArray:
        """See `ControlLaw`."""
        return self._array(lambda: self.law.estimate, len(self.outputs))

    @property
    def estimate_std(self) -> FloatArray:
        """See `ControlLaw`."""
        return self._array(lambda: self.law.estimate_std, len(self.outputs))

    @property
    def disturbance_estimate(self) -> FloatArray:
        """See `ControlLaw`."""
        return self._array(lambda: self.law.disturbance_estimate, len(self.disturbances))

    @property
    def innovations(self) -> FloatArray:
        """See `ControlLaw`."""
        return self._array(lambda: self.law.innovations, self._measurements)

    def observe(self, port_values: FloatArray) -> None:
        """Tell a law the known inputs that it reads from ports of its own."""
        if self._known:
            known = {name: f * float(port_values[i]) + o for name, i, f, o in self._known}
            self._try(lambda: self.law.set_known(known), None)  # type: ignore[attr-defined]  # where it has such ports

    def initialize(self, time: float, inputs: FloatArray) -> None:
        """See `ControlLaw`."""
        self._try(lambda: self.law.initialize(time, inputs), None)

    def predict(self, inputs: FloatArray) -> bool:
        """See `ControlLaw`."""
        return self._try(lambda: self.law.predict(inputs), False)

    def correct(
        self, values: FloatArray, fresh: Sequence[bool] | None = None, ages: Sequence[int | None] | None = None
    ) -> list[Reason]:
        """See `ControlLaw`."""
        nothing = [Reason.NOT_USABLE] * len(values)
        reasons = self._try(lambda: self.law.correct(values, fresh, ages), nothing)
        return reasons if len(reasons) == len(values) else nothing

    def solve(
        self, time: float, previous: FloatArray, references: FloatArray, *, budget: float = math.inf, relax: int = 4
    ) -> Plan:
        """See `ControlLaw`."""
        empty, nothing = np.empty((0, 0)), np.empty(0)
        failed = Plan(Outcome.FAILED, empty, nothing, empty, empty, nothing, nothing, message="the law failed")
        plan = self._try(lambda: self.law.solve(time, previous, references, budget=budget, relax=relax), failed)
        if plan.usable and (
            plan.inputs.ndim != 2
            or plan.inputs.shape[1:] != (len(self.inputs),)
            or np.shape(plan.ends) != (len(plan.inputs),)
        ):
            return failed
        return plan

    def spread(self, plan: Plan, stages: npt.NDArray[np.intp]) -> FloatArray:
        """Standard deviations of a plan's outputs at some stages; empty where the law does not know them."""
        nothing = np.empty((0, len(self.outputs)))
        if len(plan.outputs_std):
            return plan.outputs_std[stages]
        if not hasattr(self.law, "spread"):
            return nothing
        spread: FloatArray = self._try(lambda: self.law.spread(stages), nothing)  # type: ignore[attr-defined]
        return spread

    def roll_out(self, inputs: FloatArray) -> FloatArray:
        """See `ControlLaw`."""
        unknown = np.full((len(inputs), len(self.outputs)), math.nan)
        outputs: FloatArray = np.asarray(self._try(lambda: self.law.roll_out(inputs), unknown), dtype=np.float64)
        fits = outputs.ndim == 2 and outputs.shape[1] == len(self.outputs)
        return outputs if fits else unknown

    def backup(self, previous: FloatArray, references: FloatArray) -> FloatArray | None:
        """See `ControlLaw`."""
        inputs = self._try(lambda: self.law.backup(previous, references), None)
        return inputs if inputs is not None and np.shape(inputs) == previous.shape else None

    def admissible(self, inputs: FloatArray, previous: FloatArray) -> FloatArray:
        """What the law says, and inside bounds and move limits whatever it says."""
        nearest: FloatArray = np.asarray(
            self._try(lambda: self.law.admissible(inputs, previous), inputs), dtype=np.float64
        )
        if nearest.shape != previous.shape:
            nearest = previous
        nearest = np.where(np.isfinite(nearest), nearest, previous)
        nearest = np.minimum(np.maximum(nearest, previous - self._max_move), previous + self._max_move)
        inside: FloatArray = np.minimum(np.maximum(nearest, self.low), self.high)
        return inside

    def inside(self, inputs: FloatArray) -> FloatArray:
        """The nearest inputs inside bounds, and the design space's region where the law has one; moves not heard."""
        clipped: FloatArray = np.minimum(np.maximum(inputs, self.low), self.high)
        if not hasattr(self.law, "inside"):
            return clipped
        nearest: FloatArray = np.asarray(
            self._try(lambda: self.law.inside(clipped), clipped),  # type: ignore[attr-defined]
            dtype=np.float64,
        )
        fits = nearest.shape == clipped.shape and bool(np.isfinite(nearest).all())
        return np.minimum(np.maximum(nearest, self.low), self.high) if fits else clipped

    def reset(self) -> None:
        """See `ControlLaw`."""
        self._try(self.law.reset, None)

    def snapshot(self) -> dict[str, Any]:
        """See `ControlLaw`."""
        return self.law.snapshot()

    def recall(self, snapshot: Mapping[str, Any]) -> None:
        """See `ControlLaw`."""
        self.law.recall(snapshot)
