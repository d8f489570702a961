"""The runs of an identification: what is excited, how, and in which order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Any

import numpy as np

from controllers.surrogates import excitation
from controllers.surrogates.plan import IdentificationPlan
from controllers.surrogates.realization import looks_integrating
from controllers.surrogates.records import Job, Record, Simulate, run_all
from controllers.surrogates.step_tests import Runner
from cosim.component import FloatArray
from fmus.quantity import parse_quantity

#: What a method excites with where the plan does not say.
_EXCITATION = {
    "era": "steps", "arx": "prbs", "subspace": "prbs", "mechanistic": "levels", "narx": "levels", "neural": "levels",
}  # fmt: skip
Progress = Callable[[float, str], None]


class Campaign:
    """Runs by a plan.

    Args:
        runner: knows units, operating point and steps.
        simulate_one: does one run: (rest, job) -> record.
        executor: where runs are computed; here where None.
        progress: called with the finished fraction and what is being done.

    Attributes:
        excitation: of the training runs.
        constants: smallest and largest time constant in s, as given or found.
        ramps: which outputs integrate, as step tests showed; empty without them.
        notes: what the training runs were.

    Raises:
        GalenicError: noise on what is no output.
    """

    def __init__(
        self, runner: Runner, simulate_one: Simulate, executor: Executor | None, progress: Progress | None
    ) -> None:
        plan = runner.plan
        self.plan: IdentificationPlan = plan
        self.runner, self._simulate, self._executor = runner, simulate_one, executor
        self.progress = progress or (lambda _share, _label: None)
        self.excitation = plan.excitation or _EXCITATION[plan.method]
        self.horizon = runner.samples
        self.length = round((plan.duration or plan.horizon) / plan.period)
        self.m = len(plan.inputs)
        self.noise = np.zeros(len(plan.outputs))
        for name, raw in plan.noise.items():
            if name not in plan.outputs:
                raise plan.source.error(("noise", name), f"'{name}' is no output of this plan", "name one of them")
            at = list(plan.outputs).index(name)
            self.noise[at] = parse_quantity(raw, runner.output_units[at])
        self.notes: dict[str, Any] = {}
        self.constants = (plan.period, plan.horizon)
        self.ramps: list[bool] = []

    def _job(self, label: str, shape: FloatArray, seed: int = 0, noise: bool = False) -> Job:
        values = self.runner.u0 + self.runner.steps * shape
        return Job(label, values, self.noise if noise else np.zeros_like(self.noise), seed)

    def _run(self, jobs: Sequence[Job], begin: float, end: float) -> list[Record]:
        def told(done: int) -> None:
            self.progress(begin + (end - begin) * done / max(len(jobs), 1), jobs[0].label if jobs else "")

        return run_all(self._simulate, self.runner.u0, jobs, self._executor, told)

    def _steps(self) -> list[Job]:
        """Each input's step up, then its step down."""
        shapes = [sign * np.tile(np.eye(self.m)[j], (self.horizon, 1)) for j in range(self.m) for sign in (1.0, -1.0)]
        names = [f"{name} {side}" for name in self.plan.inputs for side in ("up", "down")]
        return [self._job(name, shape) for name, shape in zip(names, shapes, strict=True)]

    def training(self, base: Record) -> list[Record]:
        """The runs to learn from; what they were is kept in `notes`."""
        plan, jobs = self.plan, []
        if plan.method == "mechanistic":
            return []
        if self.excitation == "steps":
            return self._run(self._steps(), 0.05, 0.7)
        fastest, slowest = plan.fastest, plan.slowest
        if not (fastest and slowest):
            ups = self._run(self._steps()[::2], 0.05, 0.3)
            response = np.stack([r.outputs - base.outputs[: len(r.outputs)] for r in ups], axis=2)
            found = excitation.time_constants(response, plan.period)
            fastest, slowest = fastest or found[0], slowest or max(found[1], fastest)
            self.ramps = looks_integrating(response)
        self.constants = fastest, max(slowest, 1.01 * fastest)
        design = excitation.design_prbs(plan.period, fastest, max(slowest, fastest))
        hold = max(1, round(3.0 * slowest / plan.period))
        for number in range(plan.runs):
            rng = np.random.default_rng([plan.seed, 1, number])
            if self.excitation == "prbs":
                start = round(number * (2**design.order - 1) / max(plan.runs, 1))
                shape = excitation.prbs(design, self.m, self.length, start)
            elif self.excitation == "lhs":
                shape = excitation.hypercube(rng, self.m, self.length, hold)
            else:
                shape = excitation.levels(rng, self.m, self.length, design.clock, hold)
            jobs.append(self._job(f"training {number + 1}", shape, number, noise=True))
        self.notes["excitation"] = {
            "kind": self.excitation,
            "runs": plan.runs,
            "samples": self.length,
            "seed": plan.seed,
            "fastest": float(fastest),
            "slowest": float(slowest),
            "clock": design.clock * plan.period,
            "prbs_order": design.order,
        }
        return self._run(jobs, 0.3, 0.75)

    def base(self) -> Record:
        """A run at the operating point, as long as the longest run that is compared with it."""
        samples = self.horizon if self.excitation == "steps" else max(self.horizon, self.length)
        return self._run([self._job("base line", np.zeros((samples, self.m)))], 0.0, 0.05)[0]

    def validation(self) -> list[Record]:
        """Random levels with other seeds than any training run, over the horizon."""
        shapes = [
            excitation.levels(np.random.default_rng([self.plan.seed, 9, number]), self.m, self.horizon)
            for number in range(self.plan.validations)
        ]
        return self._run([self._job(f"validation {n + 1}", shape) for n, shape in enumerate(shapes)], 0.75, 0.95)
