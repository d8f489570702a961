"""Steps of several FMUs at the same time: a system of equal units with one thread and with more, in turns.

    python benchmarks/threads.py [--unit twin_screw_granulator] [--count 2] [--threads 2] [--steps 200] [--repeats 5]

Results are checked to be the same bits before times are told.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np

from cosim import Scenario, Simulation


def run(unit: str, count: int, threads: int, steps: int) -> tuple[float, np.ndarray]:
    """Seconds, and all signals at the end."""
    scenario = Scenario.from_mapping(
        {
            "scenario": "galenic/1",
            "duration": float(steps),
            "communication_step": 1.0,
            "master": {"threads": threads},
            "components": {f"unit_{number}": {"unit": unit} for number in range(count)},
        }
    )
    with Simulation(scenario) as simulation:
        simulation.initialize()
        began = time.perf_counter()
        simulation.step(steps)
        return time.perf_counter() - began, simulation.signals.copy()


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--unit", default="twin_screw_granulator")
    parser.add_argument("--count", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    ratios = []
    for _ in range(arguments.repeats):
        alone, first = run(arguments.unit, arguments.count, 1, arguments.steps)
        shared, second = run(arguments.unit, arguments.count, arguments.threads, arguments.steps)
        np.testing.assert_array_equal(first, second)
        ratios.append(alone / shared)
    per_step = 1e6 * alone / arguments.steps / arguments.count
    print(f"{arguments.count} x {arguments.unit}, {per_step:.0f} us a step each; results equal to the bit")
    spread = f"({min(ratios):.2f} to {max(ratios):.2f})"
    print(f"1 thread / {arguments.threads} threads   {statistics.median(ratios):.2f}   {spread}")


if __name__ == "__main__":
    main()
