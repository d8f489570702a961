"""Model predictive control that supervises the regulatory loops: the ports around a shell around a control law."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from controllers.base import SampledController
from controllers.linear.section import build
from controllers.operation.advice import AnswerFile, Ask
from controllers.operation.border import Border
from controllers.operation.deadline import QUIET
from controllers.operation.labels import label_of
from controllers.operation.law import ControlLaw
from controllers.operation.margin import margin_of
from controllers.operation.reasons import Mode, StepReason
from controllers.operation.record import Recorder, record_file
from controllers.operation.shell import Shell, Step
from cosim.component import ControllerContext, Port


class MPCController(SampledController):
    r"""Estimates, plans and answers for what it sets; the law is linear (`surrogate:`) or nonlinear (`model:`).

    In each period `controllers.operation.shell.Shell` makes one step: the estimate follows what was applied and what
    arrived, the law plans, and the mode and the fallback ladder decide what is in force. Whatever happens, the outputs
    are inside their bounds and the record has a reason. While the controller is not in force, its outputs are the
    ``fallback`` inputs (what the supervised loops would do), ``active`` is 0, and the estimate follows them, so that
    taking over is bumpless; so is the start, from the inputs that are in force.

    Ports: in ``<output>.measured``, ``<output>.sample``, ``<output>.quality``, ``<output>.setpoint``,
    ``fallback.<target>``, ``mode`` (`Mode`); out one for each target, ``active``, ``mode_in_force``, ``rung`` (`Rung`),
    ``reason`` and ``status`` (`StepReason`; ``status`` has its first six only), ``failures``, ``missed_deadlines``,
    ``alarm``, ``mismatch``, ``solve_time``, ``design_space_margin``; for each controlled output ``<output>.estimate``,
    ``.reference``, ``.target``, for each disturbance ``disturbance.<name>``, and what the law decides beside.

    Args:
        name: the controller's name.
        law: what plans.
        border: its ports and how it is operated.
    """

    def __init__(self, name: str, law: ControlLaw, border: Border) -> None:
        self.border, self.law = border, law
        wiring = border.wiring
        self._mode = wiring.read(Port("mode", "1", float(border.rules.mode), 0.0, 3.0, _MODES), None)
        ports = {
            "active": wiring.write(Port("active", "1", 0.0, description="1: it drives, the loops below follow")),
            "mode": wiring.write(Port("mode_in_force", "1", float(border.rules.mode), description=_MODES)),
            "rung": wiring.write(Port("rung", "1", 0.0, description="of the fallback ladder; 0: solved")),
            "reason": wiring.write(Port("reason", "1", float(StepReason.WAITING), description="see StepReason")),
            "status": wiring.write(Port("status", "1", float(StepReason.WAITING), description="reason, up to 5")),
            "failures": wiring.write(Port("failures", "1", 0.0, description="periods without an answer")),
            "missed": wiring.write(Port("missed_deadlines", "1", 0.0, description="periods that took too long")),
            "alarm": wiring.write(Port("alarm", "1", 0.0, description="1: a person has to look")),
            "mismatch": wiring.write(Port("mismatch", "1", 0.0, description="prediction errors in sigmas, smoothed")),
            "time": wiring.write(Port("solve_time", "s", 0.0, description="time of one execution")),
        }
        self._ports = list(ports.values())
        self._margin = margin_of(border.space, law.inputs)
        self._margin_port = -1
        if self._margin is not None:
            self._margin_port = wiring.write(
                Port("design_space_margin", "1", 0.0, description="distance of the setpoints to the edge; 1: middle")
            )
        references = {i: k for k, i in enumerate(i for i, y in enumerate(law.outputs) if y.tracked)}
        self._shown = []
        for i in border.controlled:
            start, unit, label = border.operating_point[i], law.outputs[i].unit, border.labels[i]
            shown = [wiring.write(Port(f"{label}.{what}", unit, start)) for what in _SHOWN]
            self._shown.append((*shown, i, references.get(i)))
        self._disturbances = [
            wiring.write(Port(f"disturbance.{_short(d.name)}", d.unit, 0.0)) for d in law.disturbances
        ]
        self._decisions = [(n, wiring.write(Port(n, unit, start))) for n, unit, start in law.decisions]
        super().__init__(name, border.period, wiring, border.supervises)
        for channel in border.fallbacks:  # until a supervised loop is connected there is nothing to fall back to
            self.input_values[channel.index] = math.nan
        self.shell = Shell(law, border)
        self._loop_index = np.array([c.index for c in border.fallbacks], dtype=np.intp)
        self._loop_factor = np.array([c.factor for c in border.fallbacks])
        self._loop_offset = np.array([c.offset for c in border.fallbacks])
        self._target_index = np.array([c.index for c in border.targets], dtype=np.intp)
        self._target_factor = np.array([c.factor for c in border.targets])
        self._target_offset = np.array([c.offset for c in border.targets])
        bounds = [(self.outputs[c.index].min, self.outputs[c.index].max) for c in border.targets]
        self._target_low = np.array([-math.inf if low is None else low for low, _ in bounds])
        self._target_high = np.array([math.inf if high is None else high for _, high in bounds])
        self._record: Recorder | None = None
        self._record_size: int | None = None
        self._answers: AnswerFile | None = None
        if border.rules.advisory.answers:
            self._answers = AnswerFile(Path(border.rules.advisory.answers))
        self._answers_read = 0

    @classmethod
    def from_config(cls, name: str, config: Mapping[str, Any], context: ControllerContext) -> Self:
        """Build it from its section, see `controllers.linear.section`. Raises GalenicError at the key at fault."""
        return cls(name, *build(config, context))

    @property
    def notices(self) -> Sequence[str]:
        """What a user should be told of the model, such as that the plant has changed since."""
        return tuple(getattr(self.law, "notices", ()))

    def ask_with(self, ask: Ask | None) -> None:
        """In advisory mode, ask a person at once for each recommendation."""
        self.shell.advisor.ask = ask

    def open_record(self, folder: Path) -> None:
        """Record each step in this folder; after `restore`, go on from where the checkpoint was."""
        rules = self.border.rules
        if rules.record:
            file = record_file(folder, self.name)
            self._record = Recorder(file, self.name, self.law, self.border, size=self._record_size)
        if not rules.advisory.answers:
            file = record_file(folder, self.name, "answers")
            if self._record_size is None:
                file.unlink(missing_ok=True)
            self._answers = AnswerFile(file, self._answers_read)

    def close_record(self) -> None:
        """No step follows."""
        if self._record is not None:
            self._record.close()
            self._record = None

    def state(self) -> dict[str, Any]:
        """See `SampledController.state`."""
        record = None if self._record is None else self._record.size
        answers = 0 if self._answers is None else self._answers.offset
        return {**super().state(), "shell": self.shell.snapshot(), "record": record, "answers": answers}

    def restore(self, state: Mapping[str, Any]) -> None:
        """See `SampledController.restore`."""
        super().restore(state)
        self.shell.recall(state["shell"])
        self._record_size, self._answers_read = state["record"], state["answers"]
        if self._answers is not None:
            self._answers.offset = self._answers_read

    def do_step(self, communication_point: float, step_size: float) -> None:  # noqa: ARG002 (the contract's signature)
        """One execution at ``communication_point`` (s)."""
        if math.isinf(self.border.rules.deadline):
            self._execute(communication_point)
            return
        QUIET.hold(self)
        try:
            self._execute(communication_point)
        finally:
            QUIET.release(self)

    def _execute(self, communication_point: float) -> None:
        began = time.perf_counter()
        values = self.input_values
        loops = self._loop_factor * values[self._loop_index] + self._loop_offset
        references = np.array([r(values) for r in self.border.references], dtype=np.float64)
        asked = float(values[self._mode])
        advising = Mode.ADVISORY in (asked, self.output_values[self._ports[1]])
        answers = self._answers.poll() if self._answers is not None and advising else ()
        step = self.shell.step(communication_point, values, references, loops, asked, answers)
        margin = math.nan if self._margin is None else self._margin(step.inputs)
        self._show(step, margin)
        spent = time.perf_counter() - began
        self.output_values[self._ports[-1]] = spent
        if self._record is not None:
            self._record.write(step, self.shell, margin, spent)

    def _show(self, step: Step, margin: float) -> None:
        outputs, shell = self.output_values, self.shell
        targets = (step.inputs - self._target_offset) / self._target_factor
        outputs[self._target_index] = np.minimum(np.maximum(targets, self._target_low), self._target_high)
        outputs[self._ports[:-1]] = (
            step.active,
            step.mode,
            step.rung,
            step.reason,
            step.reason if step.reason <= StepReason.NOT_FINITE else StepReason.SOLVED,
            shell.failures,
            shell.missed_deadlines,
            step.alarm,
            shell.monitor.size,
        )
        if self._margin is not None:
            outputs[self._margin_port] = margin
        estimate, plan = shell.law.estimate, step.plan
        for estimated, reference, target, i, k in self._shown:
            outputs[estimated] = estimate[i]
            outputs[reference] = math.nan if k is None else step.references[k]
            if plan is not None and len(plan.target_outputs):
                outputs[target] = plan.target_outputs[i]
        outputs[self._disturbances] = shell.law.disturbance_estimate
        for name, port in self._decisions:
            if plan is not None and name in plan.decisions:
                outputs[port] = plan.decisions[name]


_SHOWN = ("estimate", "reference", "target")
_MODES = "0 off, 1 shadow, 2 advisory, 3 closed"


def _short(disturbance: str) -> str:
    """The last name of a disturbance's signal, with what follows it: ``level.ramp`` of ``feed_frame.level.ramp``."""
    signal, dot, suffix = disturbance.rpartition(".")
    return f"{label_of(signal)}.{suffix}" if dot and suffix == "ramp" else label_of(disturbance)
