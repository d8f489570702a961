"""Whatever is measured, asked for or solved: setpoints inside the design space, a reason for each, no exception.

``GALENIC_SOAK=10000`` makes the soaks that long; ``-s`` shows what was counted.
"""

from __future__ import annotations

import gc
import math
import os
import time as clock
import tracemalloc
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from closed_loop import CONFIG, controller, feed, input_index
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from operated_law import ToldLaw, border
from synthetic_line import SENSORS, Sensors, SyntheticLine

from controllers.mpc import MPCController
from controllers.operation.law import ControlLaw, Outcome, Plan
from controllers.operation.reasons import Mode, Rung, StepReason
from controllers.operation.rules import OperationRules
from cosim import build_system, load_scenario
from cosim.component import FloatArray

STEPS = int(os.environ.get("GALENIC_SOAK", "400"))
ABSURD = (math.nan, math.inf, -math.inf, 1e300, -1e300, 1e12, 0.0)
DEADLINE = 0.02
#: The second one leaves out what the machine did for other programs; the last one has what the law did in its thread.
CLOCKS = {
    "by the clock": clock.perf_counter,
    "of work": clock.thread_time,
    "of work with the law's": clock.process_time,
}
OPERATION = {
    "deadline": f"{DEADLINE} s",
    "safe": {"press.turret_speed_setpoint": "100000 1/h"},
    "fallback": {"hold": 5},
}
SETPOINTS = {"label_claim": 100.0, "tablet_weight": 226.0, "hardness": 51.0, "level": 50.0}


def harden() -> dict[str, Any]:
    """The configuration of the closed loop with every check of a measurement."""
    measurements = {n: {**m, "gate": 6.0, "frozen_after": 40} for n, m in CONFIG["measurements"].items()}
    measurements["label_claim"] |= {"max_rate": "1 %/s", "limits": ["50 %", "150 %"], "max_missed": 2}
    measurements["level"] |= {"needed": False}
    return {"measurements": measurements, "operation": OPERATION, "max_missed": 1}


class Wrecker:
    """A law between controller and solver that fails now and then, in every way."""

    def __init__(self, law: ControlLaw, random: np.random.Generator) -> None:
        self._law, self._random = law, random

    def __getattr__(self, name: str) -> Any:
        return getattr(self._law, name)

    def solve(self, time: float, previous: Any, references: Any, **options: Any) -> Plan:
        chance = self._random.random()
        if chance < 0.02:
            raise RuntimeError("the solver broke")
        plan = self._law.solve(time, previous, references, **options)
        if chance < 0.04:
            clock.sleep(0.021)
        elif chance < 0.08 and plan.usable:
            plan = replace(plan, outcome=Outcome.OUT_OF_TIME)
        elif chance < 0.10 and plan.usable:
            plan = replace(plan, inputs=np.full_like(plan.inputs, math.nan))
        elif chance < 0.12 and plan.usable:
            plan = replace(plan, inputs=plan.inputs + 1e6)
        elif chance < 0.18:
            failures = (Outcome.INFEASIBLE, Outcome.FAILED, Outcome.TARGET_FAILED)
            plan = replace(plan, outcome=failures[self._random.integers(3)])
        return plan


def check(mpc: MPCController, seen: Counter[str], before: np.ndarray | None) -> np.ndarray:
    """Targets are inside their bounds and move limits while it drives, and the step has a reason."""
    outputs = mpc.output_values
    ports = {p.name: i for i, p in enumerate(mpc.outputs)}
    law = mpc.law
    after = np.array([outputs[c.index] * c.factor + c.offset for c in mpc.border.targets])
    for value, u in zip(after, law.inputs, strict=True):
        assert u.low - 1e-9 <= value <= u.high + 1e-9, (u.name, value)
    if outputs[ports["active"]] == 1.0 and before is not None:
        for old, new, u in zip(before, after, law.inputs, strict=True):
            assert abs(new - old) <= u.max_move * (1.0 + 1e-9) + 1e-12, (u.name, old, new)
    reason, rung = StepReason(int(outputs[ports["reason"]])), Rung(int(outputs[ports["rung"]]))
    assert outputs[ports["mode_in_force"]] in set(Mode)
    seen[f"rung {int(rung)} {reason.name.lower()}"] += 1
    return after


def soak(
    mpc: MPCController, steps: int, seed: int, feed_plant: Any, period: float = 10.0
) -> tuple[Counter[str], FloatArray]:
    """What was seen, and the time of each step in s by each of the clocks, shape (steps, 3)."""
    random, seen, spent = np.random.default_rng(seed), Counter[str](), []
    inputs = {p.name: i for i, p in enumerate(mpc.inputs)}
    loops = [c.index for c in mpc.border.fallbacks]
    setpoints = {i: v for n, v in SETPOINTS.items() if (i := inputs.get(f"{n}.setpoint")) is not None}
    before = None  # the first step begins from the loops, or from where the inputs start
    for k in range(steps):
        feed_plant(k, random)
        if random.random() < 0.05:
            mpc.input_values[inputs["mode"]] = random.choice([*range(4), math.nan, 9.0])
        elif random.random() < 0.3:
            mpc.input_values[inputs["mode"]] = Mode.CLOSED
        for index, value in setpoints.items():
            if random.random() < 0.05:
                mpc.input_values[index] = random.choice([value * random.uniform(0.2, 2.0), *ABSURD])
            elif random.random() < 0.2:
                mpc.input_values[index] = value
        for index, c in zip(loops, mpc.border.targets, strict=True):
            held = float(mpc.output_values[c.index])
            mpc.input_values[index] = random.choice([held, held * random.uniform(0.9, 1.1), *ABSURD, math.nan])
        began = np.array([read() for read in CLOCKS.values()])
        mpc.do_step(period * k, period)
        spent.append(np.array([read() for read in CLOCKS.values()]) - began)
        before = check(mpc, seen, before)
        clock.sleep(1e-4)  # a machine does not leave its processor to one process alone
    return seen, np.array(spent)


def slow(spent: FloatArray) -> int:
    """Steps past the deadline by their own work; in others the machine, or the law in its thread, did something."""
    return int((spent[:, :2] > DEADLINE).all(axis=1).sum())


def report(capsys: pytest.CaptureFixture[str], what: str, seen: Counter[str], spent: FloatArray) -> None:
    if "GALENIC_SOAK" not in os.environ:
        return
    with capsys.disabled():
        print(f"\n{what}: {len(spent)} steps")
        for kind, times in zip(CLOCKS, spent.T, strict=True):
            shown = np.round(1e3 * np.quantile(times, [0.5, 0.9, 0.99, 1.0]), 2)
            print(f"  ms {kind}: median/p90/p99/max {shown}")
        print(f"  past the deadline: {(spent[:, 0] > DEADLINE).sum()}, of which by their own work: {slow(spent)}")
        print("\n".join(f"  {count:6d}  {name}" for name, count in seen.most_common()))


@pytest.mark.parametrize("wrecked", [False, True], ids=["sound solver", "failing solver"])
def test_a_soak_of_the_linear_law(files: Path, wrecked: bool, capsys: pytest.CaptureFixture[str]) -> None:
    mpc = controller(files, **harden())
    if wrecked:
        mpc = MPCController("mpc", Wrecker(mpc.law, np.random.default_rng(5)), controller(files, **harden()).border)
    plant, sensors = SyntheticLine(), Sensors(SENSORS, 3, True)
    frozen: dict[str, float] = {}

    def feed_plant(k: int, random: np.random.Generator) -> None:
        for i, target in enumerate(mpc.writes):
            if target is not None:
                plant.set(target, float(mpc.output_values[i]))
        plant.advance(10.0)
        plant.level = min(max(plant.level, 0.0), 100.0)
        if k % 97 == 0:
            plant.density = random.uniform(0.9, 1.1)
        sensors.step(plant.outputs())
        values = {f"{n}.value": v for n, v in sensors.values.items()}
        values |= {f"{n}.sample": float(v) for n, v in sensors.samples.items()}
        for name in SENSORS:
            chance = random.random()
            if chance < 0.03:
                values[f"{name}.value"] = float(random.choice(ABSURD))
            elif chance < 0.05:
                values[f"{name}.value"] *= random.uniform(0.3, 3.0)
            elif chance < 0.06:
                frozen[name] = values[f"{name}.value"]
            elif chance < 0.07:
                values[f"{name}.sample"] = math.nan
            if name in frozen:
                values[f"{name}.value"] = frozen[name]
                if random.random() < 0.02:
                    del frozen[name]
        feed(mpc, values)

    seen, spent = soak(mpc, STEPS, 2, feed_plant)
    assert len({name[:6] for name in seen}) >= (5 if wrecked else 2)  # it was not merely idle
    assert sum(count for name, count in seen.items() if name.startswith("rung 0")) > 0.2 * STEPS
    report(capsys, f"linear law, {'failing' if wrecked else 'sound'} solver", seen, spent)
    assert not slow(spent)


@pytest.mark.parametrize("wrecked", [False, True], ids=["sound solver", "failing solver"])
def test_a_soak_of_the_nonlinear_law(wrecked: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """The controller of the CHO fed-batch, fed with what it expects itself, and with everything that can be wrong."""
    overrides = (
        f"controllers.mpc.operation.deadline={DEADLINE} s",
        "controllers.mpc.operation.fallback.hold=5",
        "controllers.mpc.start_after=0 h",
        "controllers.mpc.max_missed=1",
    )
    built = build_system(load_scenario("cho_fed_batch_mpc", overrides)).controllers["mpc"]
    assert isinstance(built, MPCController)
    mpc = built
    if wrecked:
        fresh = build_system(load_scenario("cho_fed_batch_mpc", overrides)).controllers["mpc"]
        assert isinstance(fresh, MPCController)
        fresh.shell.law.law = Wrecker(fresh.law, np.random.default_rng(5))  # type: ignore[assignment]
        mpc = fresh
    mpc.input_values[[p.name for p in mpc.inputs].index("mode")] = Mode.CLOSED

    def feed_plant(k: int, random: np.random.Generator) -> None:
        expected = mpc.shell.law.estimate  # of a law that may be busy
        for channel in mpc.border.measured:
            value = (expected[channel.output] + channel.noise * random.normal() - channel.offset) / channel.factor
            chance = random.random()
            if chance < 0.03:
                value = float(random.choice(ABSURD))
            elif chance < 0.05:
                value *= random.uniform(0.3, 3.0)
            if chance > 0.02:
                mpc.input_values[channel.index] = value
            if channel.sample is not None and random.random() < 0.8:
                mpc.input_values[channel.sample] = float(k)

    seen, spent = soak(mpc, max(STEPS // 4, 40) if STEPS < 1000 else STEPS, 2, feed_plant, period=mpc.period)
    assert any(name.startswith("rung 0") for name in seen)
    report(capsys, f"nonlinear law, {'failing' if wrecked else 'sound'} solver", seen, spent)
    assert not slow(spent)


_NUMBER = st.one_of(st.floats(), st.floats(50.0, 150.0))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            _NUMBER, _NUMBER, _NUMBER, st.floats(), st.floats(), st.sampled_from(list(Outcome)), st.integers(2, 4)
        ),
        min_size=1,
        max_size=12,
    )
)
def test_whatever_comes_setpoints_stay_inside_and_have_a_reason(rows: list[tuple[Any, ...]]) -> None:
    law = ToldLaw()
    mpc = MPCController("mpc", law, border(OperationRules(uses=dict.fromkeys(Rung, 1), safe={"unit.u1": 2.0})))
    before = None
    for k, (y1, y2, setpoint, loops, mode, outcome, relax) in enumerate(rows):
        law.outcome, law.solvable_without = outcome, relax
        for name, value in {
            "y1.measured": y1,
            "y1.sample": float(k),
            "y2.measured": y2,
            "y1.setpoint": setpoint,
            "fallback.unit.u1": loops,
            "mode": mode,
        }.items():
            mpc.input_values[input_index(mpc, name)] = value
        mpc.do_step(10.0 * k, 10.0)
        before = check(mpc, Counter(), before)


def test_nothing_grows_with_the_number_of_steps(tmp_path: Path) -> None:
    mpc = MPCController("mpc", ToldLaw(), border())
    mpc.open_record(tmp_path)
    for name, value in {"y1.measured": 100.0, "y2.measured": 50.0}.items():
        mpc.input_values[input_index(mpc, name)] = value
    steps = 60

    def run(first: int) -> int:
        for k in range(first, first + steps):
            mpc.input_values[input_index(mpc, "y1.sample")] = float(k)
            mpc.do_step(10.0 * k, 10.0)
        gc.collect()  # the interpreter's own lists of free objects do not count
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        run(0)
        first = run(steps)
        last = [run((2 + i) * steps) for i in range(3)][-1]
    finally:
        tracemalloc.stop()
    mpc.close_record()
    assert last - first < 5_000
