"""What operation costs: a step of a scenario's predictive controller, split into its law and the shell around it.

    python benchmarks/control_shell.py tablet_line --steps 100000

The controller is fed with what its own model expects, plus noise; no plant runs. CPU time of the thread, medians of
each fifth of the steps: they stay the same where nothing grows. The record is written to a folder that is deleted.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from controllers.mpc import MPCController
from cosim import build_system, load_scenario


class Timed:
    """A law whose time is added up."""

    def __init__(self, law: Any) -> None:
        self._law, self.spent, self._inside = law, 0.0, False

    def __getattr__(self, name: str) -> Any:
        if self._inside:
            return getattr(self._law, name)
        self._inside, began = True, time.thread_time()
        try:
            value = getattr(self._law, name)
        finally:
            self._inside = False
            self.spent += time.thread_time() - began
        return self._timed(value) if callable(value) else value

    def _timed(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **options: Any) -> Any:
            began = time.thread_time()
            try:
                return call(*arguments, **options)
            finally:
                self.spent += time.thread_time() - began

        return run


def controller_of(scenario: str) -> MPCController:
    """The first predictive controller of a scenario."""
    found = build_system(load_scenario(scenario)).controllers.values()
    return next(c for c in found if isinstance(c, MPCController))


def measure(mpc: MPCController, steps: int, record: bool) -> np.ndarray:
    """CPU time in us of the step and of the law in it, shape (steps, 2)."""
    law = Timed(mpc.law)
    mpc.shell.law.law = law
    random, spent = np.random.default_rng(1), np.empty((steps, 2))
    with tempfile.TemporaryDirectory() as folder:
        if record:
            mpc.open_record(Path(folder))
        for k in range(steps):
            expected = mpc.law.estimate
            for c in mpc.border.measured:
                value = expected[c.output] if k else mpc.border.operating_point[c.output]
                mpc.input_values[c.index] = (value + c.noise * random.normal() - c.offset) / c.factor
                if c.sample is not None:
                    mpc.input_values[c.sample] = float(k + 1)
            law.spent = 0.0
            began = time.thread_time()
            mpc.do_step(mpc.period * k, mpc.period)
            spent[k] = time.thread_time() - began, law.spent
        mpc.close_record()
    return 1e6 * spent


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("scenario", nargs="?", default="tablet_line")
    parser.add_argument("--steps", type=int, default=2000)
    arguments = parser.parse_args()
    for record in (False, True):
        spent = measure(controller_of(arguments.scenario), arguments.steps, record)[5:]
        fifths = [np.median(part, axis=0) for part in np.array_split(spent, 5)]
        step, law = np.median(spent, axis=0)
        shell = np.median(spent[:, 0] - spent[:, 1])
        print(
            f"{arguments.scenario}, {'with' if record else 'without'} record, {arguments.steps} steps, us of CPU time"
        )
        print(f"  step {step:.0f}   law {law:.0f}   shell {shell:.0f}")
        print("  step by fifths: " + "  ".join(f"{part[0]:.0f}" for part in fifths))


if __name__ == "__main__":
    main()
