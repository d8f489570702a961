"""A control law that does as it is told, for tests of the shell around it; two inputs, three outputs."""

from __future__ import annotations

import math
import time as clock
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from controllers.base import Wiring
from controllers.estimation.channels import Reason
from controllers.operation.border import Border, Channel, MeasuredChannel
from controllers.operation.law import LawDisturbance, LawInput, LawOutput, Outcome, Plan
from controllers.operation.rules import OperationRules
from cosim.component import FloatArray, Port

INPUTS = (LawInput("unit.u1", "kg/h", 0.0, 10.0, 0.5), LawInput("unit.u2", "mm", -1.0, 1.0, 0.1))
OUTPUTS = (
    LawOutput("unit.y1", "mg", (90.0, 110.0), tracked=True),
    LawOutput("unit.y2", "N", (-math.inf, 60.0), rank=3),
    LawOutput("unit.y3", "%"),
)
STAGES = 10


class ToldLaw:
    """Its plan goes to ``goal`` as fast as moves allow; ``outcome`` and the hooks make it fail.

    Attributes:
        outcome: of the next solutions.
        solvable_without: the rank from which limits have to be left out before there is a plan; 4: always solvable.
        delay: s that a solution takes.
        raises: names of methods that raise.
        absurd: what is put in place of the plan's first inputs.
        calls: of each method.
    """

    def __init__(self) -> None:
        self.inputs: Sequence[LawInput] = INPUTS
        self.outputs: Sequence[LawOutput] = OUTPUTS
        self.disturbances: Sequence[LawDisturbance] = (LawDisturbance("unit.y1", "mg"),)
        self.decisions: Sequence[tuple[str, str, float]] = ()
        self.goal = np.array([6.0, 0.4])
        self.outcome = Outcome.SOLVED
        self.solvable_without = 4
        self.delay = 0.0
        self.raises: set[str] = set()
        self.absurd: FloatArray | None = None
        self.predicted: Callable[[FloatArray], FloatArray] | None = None
        self.backup_inputs: FloatArray | None = None
        self.calls: dict[str, int] = {}
        self.innovations = np.zeros(2)
        self.budgets: list[float] = []
        self.state = np.array([100.0, 50.0, 20.0])

    def _called(self, name: str) -> None:
        self.calls[name] = self.calls.get(name, 0) + 1
        if name in self.raises:
            raise RuntimeError(f"{name} failed\nand more")

    @property
    def estimate(self) -> FloatArray:
        self._called("estimate")
        return self.state

    @property
    def estimate_std(self) -> FloatArray:
        return np.ones(3)

    @property
    def disturbance_estimate(self) -> FloatArray:
        return np.zeros(1)

    def initialize(self, time: float, inputs: FloatArray) -> None:
        self._called("initialize")
        self.state = np.array([100.0, 50.0, 20.0])

    def predict(self, inputs: FloatArray) -> bool:
        self._called("predict")
        return bool(np.isfinite(inputs).all())

    def correct(
        self,
        values: FloatArray,
        fresh: Sequence[bool] | None = None,
        ages: Sequence[int | None] | None = None,
    ) -> list[Reason]:
        self._called("correct")
        assert fresh is not None
        return [Reason.USED if f and math.isfinite(v) else Reason.NOT_FRESH for v, f in zip(values, fresh, strict=True)]

    def solve(
        self,
        time: float,
        previous: FloatArray,
        references: FloatArray,
        *,
        budget: float = math.inf,
        relax: int = 4,
    ) -> Plan:
        self._called("solve")
        self.budgets.append(budget)
        del self.budgets[:-10]
        if self.delay:
            clock.sleep(self.delay)
        outcome = self.outcome
        if relax > self.solvable_without:
            outcome = Outcome.INFEASIBLE
        if outcome not in (Outcome.SOLVED, Outcome.OUT_OF_TIME, Outcome.RELAXED):
            empty = np.empty((0, 2))
            return Plan(outcome, empty, np.empty(0), empty, empty, np.full(2, math.nan), np.full(3, math.nan))
        inputs = np.empty((STAGES, 2))
        here = previous
        for k in range(STAGES):
            here = self.admissible(self.goal, here)
            inputs[k] = here
        if self.absurd is not None:
            inputs[0] = self.absurd
        target = np.array([references[0], 50.0, 20.0])
        outputs = self.roll_out(inputs)
        return Plan(
            outcome,
            inputs,
            np.arange(10.0, 10.0 * STAGES + 1.0, 10.0),
            outputs,
            np.ones_like(outputs),
            self.goal,
            target,
        )

    def roll_out(self, inputs: FloatArray) -> FloatArray:
        self._called("roll_out")
        if self.predicted is not None:
            return self.predicted(inputs)
        return np.tile([100.0, 50.0, 20.0], (len(inputs), 1))

    def backup(self, previous: FloatArray, references: FloatArray) -> FloatArray | None:
        self._called("backup")
        return self.backup_inputs

    def admissible(self, inputs: FloatArray, previous: FloatArray) -> FloatArray:
        if "admissible" in self.raises:
            raise RuntimeError("admissible failed")
        low, high = np.array([u.low for u in INPUTS]), np.array([u.high for u in INPUTS])
        move = np.array([u.max_move for u in INPUTS])
        return np.clip(np.clip(inputs, low, high), previous - move, previous + move)

    def reset(self) -> None:
        self._called("reset")

    def snapshot(self) -> dict[str, Any]:
        return {"state": self.state.copy()}

    def recall(self, snapshot: Mapping[str, Any]) -> None:
        self.state = snapshot["state"]


def border(rules: OperationRules | None = None, **measured: Any) -> Border:
    """Ports for a `ToldLaw`: two measurements, one reference, two targets; ``measured`` changes the first channel."""
    wiring = Wiring()
    first = wiring.read(Port("y1.measured", "mg", 100.0), "probe.value")
    counter = wiring.read(Port("y1.sample", "1", 0.0), "probe.sample")
    quality = wiring.read(Port("y1.quality", "1", 1.0), "probe.quality")
    second = wiring.read(Port("y2.measured", "N", 50.0), "gauge.value")
    setpoint = wiring.read(Port("y1.setpoint", "mg", 100.0), None)
    fallbacks, targets = [], []
    for u, start in zip(INPUTS, (5.0, 0.0), strict=True):
        fallbacks.append(Channel(wiring.read(Port(f"fallback.{u.name}", u.unit, None), None)))
        targets.append(Channel(wiring.write(Port(u.name, u.unit, start, u.low, u.high), u.name)))
    channel: dict[str, Any] = {"name": "unit.y1", "sample": counter, "low": 0.0, "high": 200.0, "noise": 0.1}
    if measured.pop("with_quality", False):
        channel["quality"] = quality
    return Border(
        period=10.0,
        wiring=wiring,
        supervises=(),
        estimate_after=0.0,
        start_after=0.0,
        rules=rules or OperationRules(),
        measured=[
            MeasuredChannel(first, **{**channel, **measured}),
            MeasuredChannel(second, name="unit.y2", output=1, low=0.0, high=200.0),
        ],
        references=[lambda inputs: float(inputs[setpoint])],
        controlled=[0, 1],
        fallbacks=fallbacks,
        targets=targets,
        start=[5.0, 0.0],
        space=None,
        sizes=np.array([10.0, 5.0, 2.0]),
        labels=["y1", "y2", "y3"],
        operating_point=[100.0, 50.0, 20.0],
    )
