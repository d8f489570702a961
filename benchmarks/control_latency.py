"""Latency of the optimal control engines in closed loop, beside do-mpc with its defaults.

    python benchmarks/control_latency.py [bioreactor tablet bioreactor_tree bioreactor_neural]
        [--engines "C, one iteration" Radau | acados] [--steps 260] [--block 20] [--seed 1] [--long 100000 [--riccati]]
        [--scenarios tablet_line cho_fed_batch_mpc ...] [--hours 24]

Every engine controls a plant of its own, with the same noise; the plant differs from the model. They take turns in
blocks of steps, so that what else the machine does falls on all of them; with ``--block 1`` each finds the caches
filled by the others. Times are of one `solve` as Python sees it: the processor's (all threads) and the wall's. Also:

- cost: of the closed loop with the plant's true states, relative to the converged solution's loop;
- gap: at every tenth step, how much the engine's plan costs by the model on the uniform grid above what IPOPT finds
  from the same state: the median and the worst, relative to the mean of the latter's size;
- violation: of soft limits in the loop, in scales: mean and worst. A limit may be impossible to keep.

With ``--scenarios`` it is the controllers of shipped scenarios, in closed loop with their plants: the law alone
(estimate and plan, without ports and record), deadline misses and rungs of the fallback ladder. acados, where it is
installed, is measured beside do-mpc with ``--engines acados``.

Set OMP_NUM_THREADS=1 to keep linear algebra on one core.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import numpy as np
from control_acados import AcadosEngine, acados_template
from control_problems import CASES, NON_UNIFORM, UNIFORM, ControlCase

from controllers.mpc import MPCController
from controllers.optimal_control import Answer, CasADiEngine, DoMPCEngine, Engine, HPIPMEngine, IPOPTEngine
from controllers.optimal_control.roll_out import RollOut
from controllers.optimal_control.stage_functions import StageFunctions
from controllers.optimal_control.terms import terms_of
from cosim import Simulation, load_scenario

DEADLINES = (1e-3, 5e-3, 20e-3, 100e-3)
YARDSTICK, REFERENCE = "do-mpc, defaults", "IPOPT, converged"

ENGINES: dict[str, tuple[Sequence[int], Callable[..., Engine]]] = {
    YARDSTICK: (UNIFORM, DoMPCEngine),
    "do-mpc, scaled": (UNIFORM, lambda problem: DoMPCEngine(problem, scaled=True)),
    REFERENCE: (UNIFORM, IPOPTEngine),
    "IPOPT, Radau collocation": (UNIFORM, lambda problem: IPOPTEngine(problem, collocation=2, tolerance=1e-5)),
    "sqpmethod + hpipm, one iteration": (UNIFORM, CasADiEngine),
    "C, converged": (UNIFORM, lambda problem: HPIPMEngine(problem, iterations=20)),
    "C, one iteration": (UNIFORM, HPIPMEngine),
    "C, one iteration, never hot": (UNIFORM, lambda problem: HPIPMEngine(problem, hot=False)),
    "C, one iteration, restarts": (UNIFORM, lambda problem: HPIPMEngine(problem, restart_every=10)),
    "C, one iteration, Riccati": (UNIFORM, lambda problem: HPIPMEngine(problem, riccati=True)),
    "C, one iteration, 12 stages": (NON_UNIFORM, HPIPMEngine),
    "C, 12 stages, never hot": (NON_UNIFORM, lambda problem: HPIPMEngine(problem, hot=False)),
    "C, 12 stages, Riccati": (NON_UNIFORM, lambda problem: HPIPMEngine(problem, riccati=True)),
}


ACADOS = "acados, SQP_RTI"


@dataclass
class Loop:
    """One engine with its plant."""

    name: str
    case: ControlCase
    engine: Engine
    build: float
    cached_build: float
    state: np.ndarray
    applied: np.ndarray
    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)
    compared: list[tuple[float, float]] = field(default_factory=list)
    violations: list[np.ndarray] = field(default_factory=list)
    cost: float = 0.0
    failures: Counter[str] = field(default_factory=Counter)

    def solve(self, measured: np.ndarray, references: np.ndarray) -> Answer:
        wall, cpu = time.perf_counter(), time.process_time()
        answer = self.engine.solve(measured, self.applied, np.zeros(self.case.problem.np), references)
        self.cpu.append(time.process_time() - cpu)
        self.wall.append(time.perf_counter() - wall)
        if not answer.usable:
            self.failures[answer.status.value] += 1
        return answer


class Judge:
    """Costs of plans and of what happened, by the problem on the uniform grid."""

    def __init__(self, case: ControlCase) -> None:
        self.problem = case.problem
        self.roll_out, self.reference = RollOut(case.problem), IPOPTEngine(case.problem)
        functions = StageFunctions(case.problem)
        self.stage, self.moves = functions.rolled(1), functions.moves(1)
        terms = terms_of(case.problem)
        assert terms is not None
        rows = functions.rows(terms)
        self.bounds = rows.lower[1], rows.upper[1]
        self.soft = case.problem.constraints_at(1)

    def happened(self, x: np.ndarray, before: np.ndarray, u: np.ndarray, r: np.ndarray) -> tuple[float, np.ndarray]:
        """Cost of one period and violations in scales."""
        p = self.problem
        given = (x / p.state_scale, before / p.input_scale, u / p.input_scale, np.r_[np.zeros(p.np), r])
        _, rows, cost = self.stage(*given, p.step, 1.0, 1.0)
        c = np.array(rows).ravel()
        over = np.maximum(np.maximum(self.bounds[0] - c, c - self.bounds[1]), 0.0)[self.moves :]
        return float(cost) + sum(s.l1 * o + s.l2 / 2 * o * o for s, o in zip(self.soft, over, strict=True)), over

    def compare(self, x: np.ndarray, before: np.ndarray, r: np.ndarray, inputs: np.ndarray) -> tuple[float, float]:
        """What a plan on the uniform grid costs, and what the best from here; NaN for trees, whose plan is more."""
        if self.problem.scenarios is not None:
            return float("nan"), float("nan")
        self.reference.reset()
        best = self.reference.solve(x, before, np.zeros(self.problem.np), r)
        if not best.usable:
            return float("nan"), float("nan")
        values = np.tile(np.r_[np.zeros(self.problem.np), r], (len(self.problem.stages) + 1, 1))
        return self.roll_out(x, before, values, inputs).cost, best.cost


def loops_of(name: str, chosen: Sequence[str]) -> list[Loop]:
    """Every engine, built twice: with nothing in the cache, and again."""
    made = []
    engines = {**ENGINES, ACADOS: (UNIFORM, AcadosEngine)} if "acados" in chosen else ENGINES
    for label, (grid, engine) in engines.items():
        if chosen and label not in (YARDSTICK, REFERENCE) and not any(part in label for part in chosen):
            continue
        case = CASES[name](grid)
        tree, discrete = case.problem.scenarios is not None, case.problem.discrete
        if (tree and ("sqpmethod" in label or "acados" in label)) or (discrete and "Radau" in label):
            continue  # what these cannot do
        folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        with folder, mock.patch.dict(os.environ, GALENIC_CACHE=folder.name), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # do-mpc's about its optional parts
            began = time.perf_counter()
            engine(case.problem)
            middle = time.perf_counter()
            built = engine(case.problem)
            end = time.perf_counter()
        made.append(Loop(label, case, built, middle - began, end - middle, case.start, case.start_input))
    return made


def run(name: str, steps: int, block: int, seed: int, chosen: Sequence[str]) -> list[Loop]:
    """The closed loops, in turns."""
    loops, judge = loops_of(name, chosen), Judge(CASES[name]())
    draws = np.random.default_rng(seed).standard_normal((steps, len(loops[0].state)))
    for first in range(0, steps, block):
        for loop in loops:
            late: list[tuple[np.ndarray, ...]] = []
            for step in range(first, min(first + block, steps)):
                one_step(loop, judge, step, draws[step], late)
            loop.compared += [judge.compare(*plan) for plan in late]
    return loops


def one_step(loop: Loop, judge: Judge, step: int, draw: np.ndarray, late: list[tuple[np.ndarray, ...]]) -> None:
    """Measure, solve, apply; every tenth plan goes to ``late``, to be compared when nothing is timed."""
    case, r = loop.case, loop.case.references(step)
    measured = loop.state + case.noise * draw
    answer = loop.solve(measured, r)
    if answer.usable and step % 10 == 5:
        repeats = [stage.steps for stage in case.problem.stages]
        late.append((measured, loop.applied, r, np.repeat(answer.inputs, repeats, axis=0)))
    before, loop.applied = loop.applied, answer.inputs[0] if answer.usable else loop.applied
    loop.state = np.array(case.plant(loop.state, loop.applied)).ravel()
    cost, over = judge.happened(loop.state, before, loop.applied, r)
    loop.cost += cost
    loop.violations.append(over)


def report(name: str, loops: list[Loop]) -> None:
    """The table, and how much faster than do-mpc."""
    by_name = {loop.name: loop for loop in loops}
    slow, best = np.median(by_name[YARDSTICK].cpu[1:]), by_name[REFERENCE].cost
    print(f"\n{name}: {len(loops[0].cpu)} steps, ms; deadline misses by wall time at 1, 5, 20, 100 ms")
    heads = ("cpu median", "p90", "p99", "max", "wall median", "p99", "first", "build s", "cached s")
    print(f"{'':34}" + "".join(f"{h:>12}" for h in heads))
    for loop in loops:
        # the first solve stands apart
        cpu, wall = np.array(loop.cpu[1:]) * 1e3, np.array(loop.wall[1:]) * 1e3
        figures = [np.median(cpu), *np.percentile(cpu, [90, 99]), cpu.max(), np.median(wall), np.percentile(wall, 99)]
        figures += [loop.wall[0] * 1e3, loop.build, loop.cached_build]
        print(f"{loop.name:34}" + "".join(f"{v:12.3f}" for v in figures))
    heads = (
        "x do-mpc",
        "cost %",
        "to do-mpc %",
        "gap % med",
        "gap % max",
        "viol. mean",
        "viol. max",
        "failures",
        "misses",
    )
    print(f"{'':34}" + "".join(f"{h:>12}" for h in heads))
    for loop in loops:
        over, (costs, optima) = np.array(loop.violations), np.array(loop.compared).T
        gaps = 100 * (costs - optima) / np.nanmean(np.abs(optima))
        misses = "/".join(str(sum(w > d for w in loop.wall[1:])) for d in DEADLINES)
        figures = [
            slow / np.median(loop.cpu[1:]),
            *((loop.cost / c - 1) * 100 for c in (best, by_name[YARDSTICK].cost)),
        ]
        figures += [np.nanmedian(gaps), np.nanmax(gaps), over.mean(), over.max()] if np.isfinite(gaps).any() else []
        figures += [] if np.isfinite(gaps).any() else [np.nan, np.nan, over.mean(), over.max()]
        failures = ", ".join(f"{count} {status}" for status, count in loop.failures.items()) or "0"
        print(f"{loop.name:34}" + "".join(f"{v:12.3f}" for v in figures) + f"{failures:>12}{misses:>16}")


def report_long(name: str, count: int, riccati: bool) -> None:
    """Whether a step costs the same after many."""
    case = CASES[name]()
    engine, noise = HPIPMEngine(case.problem, riccati=riccati), np.random.default_rng(0)
    state, applied, times = case.start, case.start_input, []
    for step in range(count):
        if step % 260 == 0:
            state, applied = case.start, case.start_input
        measured = state + case.noise * noise.standard_normal(len(state))
        began = time.process_time()
        answer = engine.solve(measured, applied, np.zeros(case.problem.np), case.references(step % 260))
        times.append(time.process_time() - began)
        applied = answer.inputs[0] if answer.usable else applied
        state = np.array(case.plant(state, applied)).ravel()
    part = max(count // 10, 1)
    first, last = (np.median(times[s]) * 1e3 for s in (slice(None, part), slice(-part, None)))
    print(f"{name}: {count} steps, median of the first tenth {first:.3f} ms, of the last {last:.3f} ms")


def report_scenarios(names: Sequence[str], hours: float) -> None:
    """The laws of shipped scenarios in closed loop."""
    heads = ("calls", "cpu median", "p90", "p99", "max", "wall median", "p99", "first", "build s")
    print("laws of scenarios, ms of estimate and plan; misses by wall time at 1, 5, 20, 100 ms; steps by rung")
    print(f"{'':34}" + "".join(f"{h:>12}" for h in heads) + f"{'misses':>20}  rungs")
    for name in names:
        began = time.perf_counter()
        with Simulation(load_scenario(name)) as simulation:
            simulation.initialize()
            build = time.perf_counter() - began
            for controller in simulation.system.controllers.values():
                if isinstance(controller, MPCController):
                    report_scenario(f"{name}: {controller.name}", simulation, controller, hours, build)


def report_scenario(title: str, simulation: Simulation, controller: MPCController, hours: float, build: float) -> None:
    """One law for so many hours of the plant, or to the end."""
    law, cpu, wall, rungs = controller.law, [0.0], [0.0], Counter[int]()

    def timed(method: Callable[..., Any], *, last: bool) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            started, spent = time.perf_counter(), time.process_time()
            result = method(*arguments, **named)
            cpu[-1] += time.process_time() - spent
            wall[-1] += time.perf_counter() - started
            if last:
                cpu.append(0.0)
                wall.append(0.0)
            return result

        return call

    scenario = simulation.scenario
    steps = round(min(hours * 3600.0, scenario.duration) / scenario.communication_step)
    rung = next(i for i, port in enumerate(controller.outputs) if port.name == "rung")
    with (
        mock.patch.object(law, "predict", timed(law.predict, last=False)),
        mock.patch.object(law, "correct", timed(law.correct, last=False)),
        mock.patch.object(law, "solve", timed(law.solve, last=True)),
    ):
        solved = len(cpu)
        for _ in range(steps):
            simulation.step(1)
            if len(cpu) > solved:
                solved = len(cpu)
                rungs[int(controller.output_values[rung])] += 1
    if len(cpu) < 3:
        print(f"{title:34} was not executed in {hours:g} h")
        return
    c, w = np.array(cpu[1:-1]) * 1e3, np.array(wall[1:-1]) * 1e3
    figures = [
        np.median(c),
        *np.percentile(c, [90, 99]),
        c.max(),
        np.median(w),
        np.percentile(w, 99),
        wall[0] * 1e3,
        build,
    ]
    misses = "/".join(str(int((w > d * 1e3).sum())) for d in DEADLINES)
    told = ", ".join(f"{count} at {number}" for number, count in sorted(rungs.items()))
    print(f"{title:34}{len(c):12}" + "".join(f"{v:12.3f}" for v in figures) + f"{misses:>20}  {told}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "problems", nargs="*", default=["bioreactor", "tablet"], metavar="problem", help=", ".join(CASES)
    )
    parser.add_argument("--steps", type=int, default=260)
    parser.add_argument("--block", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--long", type=int, default=0, metavar="N", help="instead: N steps of the engine in C")
    parser.add_argument("--riccati", action="store_true", help="with --long: its own interior-point method")
    parser.add_argument("--engines", nargs="+", default=(), metavar="PART", help="those with such a part in their name")
    parser.add_argument("--scenarios", nargs="+", metavar="NAME", help="instead: the laws of these scenarios")
    parser.add_argument("--hours", type=float, default=24.0, help="of each scenario's plant")
    chosen = parser.parse_args()
    if "acados" in chosen.engines and (len(chosen.engines) > 1 or acados_template() is None):
        parser.error("acados needs acados_template, and a process without our engines: each brings an HPIPM of its own")
    if chosen.scenarios:
        report_scenarios(chosen.scenarios, chosen.hours)
        return
    for name in chosen.problems:
        if name not in CASES:
            parser.error(f"unknown problem '{name}'; choose from {', '.join(CASES)}")
        if chosen.long:
            report_long(name, chosen.long, chosen.riccati)
        else:
            report(name, run(name, chosen.steps, chosen.block, chosen.seed, chosen.engines))


if __name__ == "__main__":
    main()
