"""How many times faster than real time whole lines run on one core, with their loops, sensors and disturbances.

    python benchmarks/lines.py [LINE ...] [--repeats 5]

A line in brackets has the detailed units instead of the fast ones. The last column is of the processor's time, which
other programs on the machine disturb less than the time that passes. Nothing is recorded.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator

import yaml

from cosim import Scenario, Simulation, load_scenario

LINES = ("tablet_line", "wet_granulation_line", "perfusion_line", "cho_fed_batch", "penicillin_batch")
#: seconds of a repeat, enough for some tenths of a second
SPAN = {"tablet_line": 1800.0, "wet_granulation_line": 1800.0}


def variants(name: str) -> Iterator[tuple[str, Scenario, float]]:
    """The line, and with detailed units where it has fast ones: its title, the scenario, the seconds of a repeat."""
    scenario = load_scenario(name)
    yield name, scenario, SPAN.get(name, scenario.duration)
    data = yaml.safe_load(scenario.text)
    parts = [part for part in data.get("components", {}).values() if str(part.get("unit")).endswith("_fast")]
    if parts:
        for part in parts:
            part["unit"] = part["unit"].removesuffix("_fast")
        detailed = Scenario.from_mapping(data, scenario.directory, f"{name}_detailed")
        yield f"({name})", detailed, 0.2 * SPAN.get(name, scenario.duration)


def measure(scenario: Scenario, seconds: float) -> tuple[float, float]:
    """Simulated time over the time that passes, and over the processor's time."""
    steps = round(seconds / scenario.communication_step)
    with Simulation(scenario) as simulation:
        simulation.initialize()
        passing, processor = time.perf_counter(), time.process_time()
        simulation.step(steps)
        passing, processor = time.perf_counter() - passing, time.process_time() - processor
    simulated = steps * scenario.communication_step
    return simulated / passing, simulated / processor


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lines", nargs="*", default=LINES, metavar="LINE", help=f"default: {' '.join(LINES)}")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    print(f"{'line':27}{'step [s]':>10}{'units':>8}{'over time':>14}{'processor':>14}")
    for name in arguments.lines:
        for title, scenario, seconds in variants(name):
            measured = [measure(scenario, seconds) for _ in range(arguments.repeats)]
            passing, processor = (statistics.median(column) for column in zip(*measured, strict=True))
            facts = f"{scenario.communication_step:10g}{len(scenario.components):8}"
            print(f"{title:27}{facts}{passing:14,.0f}{processor:14,.0f}", flush=True)


if __name__ == "__main__":
    main()
