"""Random systems of small FMUs: chains, rings and algebraic loops under every algorithm and both kernels.

Whatever the system, both kernels end with the same bits or the same error; what runs obeys the equations of its FMUs
and the rule by which its algorithm hands values on; an algebraic loop is solved or refused.

GALENIC_SOAK=1000 tries that many systems of each kind, at random; without it the same few are tried each time.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import pytest
from foreign_fmu import write_odd
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

import fmus as units
from cosim import Results, Scenario, Simulation, simulate
from cosim.algorithms import LAGGING
from fmus.errors import GalenicError

SOAK = int(os.environ.get("GALENIC_SOAK") or 0)
CHECKS = settings(
    max_examples=SOAK or 40,
    derandomize=not SOAK,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
SMALL = Path(__file__).with_name("small_units.py").as_posix()
STEP, STEPS = 0.05, 12
KERNELS = ("native", "python")
GAINS = st.sampled_from([0.5, -0.5, -2.0, -10.0, 3.0, 1.0, 0.0])
FACTORS = st.sampled_from([1.0, 1.0, 1.0, -1.0, 2.0, 0.1])


@dataclass(frozen=True)
class Part:
    """A component: its section of the scenario, its ports, and the parameters of its equation."""

    kind: str
    section: Mapping[str, Any]
    inputs: tuple[str, ...] = ("u",)
    outputs: tuple[str, ...] = ("y",)
    values: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """A random system; each connection is (source, target, factor, lagged)."""

    parts: Mapping[str, Part]
    connections: tuple[tuple[str, str, float, bool], ...]
    master: Mapping[str, Any]
    more: Mapping[str, Any] = field(default_factory=dict)

    def scenario(self, kernel: str) -> Scenario:
        return Scenario.from_mapping(
            {
                "scenario": "galenic/1",
                "duration": STEP * STEPS,
                "communication_step": STEP,
                "master": {**self.master, "kernel": kernel},
                "components": {name: dict(part.section) for name, part in self.parts.items()},
                "connections": [
                    {"from": source, "to": target, "factor": factor, "lagged": lagged, "convert_units": False}
                    for source, target, factor, lagged in self.connections
                ],
                **self.more,
            }
        )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made: Path = tmp_path_factory.mktemp("random")
    write_odd(made / "odd.fmu", event_mode=True)
    for name in ("gain", "mass"):
        for fmi in (2, 3):
            (made / f"{name}{fmi}.fmu").write_bytes(
                units.build_fmu(units.unit_model(f"{SMALL}:{name}"), fmi=fmi).read_bytes()
            )
    return made


@st.composite
def parts(draw: st.DrawFn, folder: Path, lag: Path, kinds: tuple[str, ...]) -> Part:
    kind = draw(st.sampled_from(kinds))
    if kind == "lag":
        values = {"gain": draw(GAINS), "tau": draw(st.sampled_from([0.05, 0.3, 2.0]))}
        return Part(kind, {"fmu": str(lag), "parameters": values}, values=values)
    if kind == "odd":
        way = draw(st.sampled_from([{}, {"event_mode": True}, {"interface": "model_exchange"}]))
        ports = ("float64", "float32", "int8", "boolean")
        inputs, outputs = tuple(f"{p}_in" for p in ports), tuple(f"{p}_out" for p in ports)
        return Part(kind, {"fmu": str(folder / "odd.fmu"), **way}, (*inputs, "u[1]"), (*outputs, "y[1]", "h"))
    fmi = draw(st.sampled_from([2, 3]))
    interface = draw(st.sampled_from(["co_simulation", "co_simulation", "model_exchange"]))
    section: dict[str, Any] = {"fmu": str(folder / f"{kind}{fmi}.fmu"), "interface": interface}
    if kind == "mass":
        section["parameters"] = {"x_start": draw(st.sampled_from([0.0, 1.0]))}
        return Part(kind, section, outputs=("x", "v"))
    values = {"k": draw(GAINS), "offset": draw(st.sampled_from([0.0, 1.0]))}
    return Part(kind, {**section, "parameters": values}, values=values)


@st.composite
def plans(draw: st.DrawFn, folder: Path, lag: Path, kinds: tuple[str, ...], algorithms: tuple[str, ...]) -> Plan:
    algorithm = draw(st.sampled_from(algorithms))
    if algorithm in {"iterative", "error_controlled"}:  # lags cannot go back
        kinds = tuple(kind for kind in kinds if kind != "lag")
    chosen = {f"c{k}": draw(parts(folder, lag, kinds)) for k in range(draw(st.integers(1, 5)))}
    outputs = [f"{name}.{port}" for name, part in chosen.items() for port in part.outputs]
    reals = [name for name in outputs if not name.endswith(("int8_out", "boolean_out"))]
    connections = []
    for name, part in chosen.items():
        for port in part.inputs:
            kept = {"int8_in": "int8_out", "boolean_in": "boolean_out"}.get(port)
            sources = reals if kept is None else [output for output in outputs if output.endswith(kept)]
            if draw(st.sampled_from([True, True, True, False])):
                factor = draw(FACTORS) if kept is None else 1.0
                lagged = draw(st.sampled_from([False, False, False, True]))
                connections.append((draw(st.sampled_from(sources)), f"{name}.{port}", factor, lagged))
    master: dict[str, Any] = {
        "algorithm": algorithm,
        "extrapolation": draw(st.sampled_from([0, 0, 1])),
        "method": draw(st.sampled_from(["newton", "newton", "fixed_point"])),
        "threads": draw(st.sampled_from([1, 1, 3])),
    }
    if master["algorithm"] == "error_controlled":  # at the default, chains of gains ask for steps of some microseconds
        master["tolerance"] = 1e-3
    return Plan(chosen, tuple(connections), master)


@st.composite
def around(draw: st.DrawFn, plan: Plan) -> Plan:
    """The system with what Python does beside it: disturbances, sensors, components with periods of their own."""
    driven = {target for _, target, _, _ in plan.connections}
    free = [
        f"{name}.u" for name, part in plan.parts.items() if part.kind in {"lag", "gain"} and f"{name}.u" not in driven
    ]
    kinds = [
        {"step": {"at": 3 * STEP, "by": 1.5}},
        {"noise": {"std": 0.1, "time_constant": 0.3}},
        {"sine": {"amplitude": 0.2, "period": 0.4}},
    ]
    disturbances = [{"signal": signal, **draw(st.sampled_from(kinds))} for signal in free if draw(st.booleans())]
    seen = [f"{name}.{part.outputs[0]}" for name, part in plan.parts.items()]
    sensors = {
        f"s{k}": {"measures": draw(st.sampled_from(seen)), "period": draw(st.sampled_from([STEP, 3 * STEP]))}
        for k in range(draw(st.integers(0, 2)))
    }
    chosen = {
        name: replace(part, section={**part.section, "period": 2 * STEP}) if draw(st.integers(0, 4)) == 0 else part
        for name, part in plan.parts.items()
    }
    record = [{"signals": [seen[0]], "every": 3 * STEP}, "*"] if draw(st.booleans()) else "all"
    more = {"disturbances": disturbances, "sensors": sensors, "record": record, "seed": 5}
    return replace(plan, parts=chosen, more=more)


Outcome = tuple[str, dict[str, np.ndarray], list[str]]


def outcome(plan: Plan, kernel: str, block: int) -> Outcome:
    """The error, the signals at each communication point that was reached, and the order of the components."""
    rows: list[np.ndarray] = []
    error, without_cure, names, order = "", False, [], []
    try:
        with Simulation(plan.scenario(kernel)) as simulation:
            names = simulation.system.names
            order = [simulation.system.components[number].name for number in simulation.system.order]
            simulation.initialize()
            rows.append(simulation.signals.copy())
            while simulation.completed_steps < STEPS:
                simulation.step(min(block, STEPS - simulation.completed_steps))
                rows.append(simulation.signals.copy())
    except GalenicError as raised:
        error = str(raised)
        without_cure = not raised.cure
    assert not (error and without_cure), error
    table = np.array(rows) if rows else np.zeros((0, len(names)))
    return error, {name: table[:, place] for place, name in enumerate(names)}, order


def same(one: Outcome, other: Outcome) -> None:
    assert one[0] == other[0]
    assert one[2] == other[2]
    for name, values in one[1].items():
        assert np.array_equal(values, other[1][name], equal_nan=True), name


def loops(plan: Plan) -> bool:
    """Whether some value depends on itself at once: through gains alone, and connections that do not lag."""
    after: dict[str, set[str]] = {name: set() for name in plan.parts}
    for source, target, _, lagged in plan.connections:
        to = target.partition(".")[0]
        if plan.parts[to].kind == "gain" and not lagged:
            after[source.partition(".")[0]].add(to)
    reached = {name: set(following) for name, following in after.items()}
    for _ in plan.parts:
        reached = {name: found.union(*(after[n] for n in found)) for name, found in reached.items()}
    return any(name in found and plan.parts[name].kind == "gain" for name, found in reached.items())


ALGORITHMS = ("jacobi", "gauss_seidel", "iterative", "error_controlled")


@CHECKS
@given(data=st.data())
def test_both_kernels_end_with_the_same_bits_or_the_same_error(folder, fmus, data):
    plan = data.draw(plans(folder, fmus / "lag.fmu", ("mass", "mass", "gain", "odd", "lag"), ALGORITHMS))
    native = outcome(plan, "native", 1)
    event(f"{plan.master['algorithm']}: {'error' if native[0] else 'runs'}")
    same(native, outcome(plan, "python", 1))


@settings(CHECKS, max_examples=SOAK or 15)
@given(data=st.data())
def test_what_both_kernels_record_is_the_same_to_the_bit(folder, fmus, data):
    """In one go, with disturbances, sensors, periods, and signals recorded less often than others."""
    plan = data.draw(plans(folder, fmus / "lag.fmu", ("mass", "gain", "lag", "lag"), ALGORITHMS))
    plan = data.draw(around(plan))
    frames, errors = [], []
    for kernel in KERNELS:
        with TemporaryDirectory() as out:
            error = ""
            try:
                frames.append(simulate(plan.scenario(kernel), out=Path(out)).frame())
            except GalenicError as raised:
                error = str(raised)
            errors.append(error)
    event(f"{plan.master['algorithm']}: {'error' if errors[0] else 'runs'}")
    assert errors[0] == errors[1]
    if frames:
        pd.testing.assert_frame_equal(*frames, check_exact=True)


@settings(CHECKS, max_examples=SOAK or 15)
@given(data=st.data(), middle=st.integers(1, STEPS - 1), kernels=st.sampled_from([KERNELS, KERNELS[::-1]]))
def test_a_run_goes_on_from_a_checkpoint_with_either_kernel_to_the_same_bit(folder, fmus, data, middle, kernels):
    plan = data.draw(plans(folder, fmus / "lag.fmu", ("mass", "mass", "gain", "odd"), ALGORITHMS))
    plan = data.draw(around(plan))
    with TemporaryDirectory() as out:
        whole, broken = Path(out) / "whole", Path(out) / "broken"
        try:
            for folder_, further in ((whole, STEPS - middle), (broken, (STEPS - middle) // 2)):
                with Simulation(plan.scenario(kernels[0]), out=folder_) as simulation:
                    simulation.step(middle)
                    simulation.checkpoint()
                    simulation.step(further)
        except GalenicError:
            event("error")
            return
        with Simulation(plan.scenario(kernels[1]), out=broken) as simulation:
            simulation.resume()
            assert simulation.completed_steps == middle
            simulation.run()
        frames = [Results.open(place).frame() for place in (whole, broken)]
    event(f"{plan.master['algorithm']}: runs")
    pd.testing.assert_frame_equal(*frames, check_exact=True)


@CHECKS
@given(data=st.data(), block=st.integers(2, STEPS))
def test_many_steps_at_once_are_the_same_steps(folder, fmus, data, block):
    plan = data.draw(plans(folder, fmus / "lag.fmu", ("mass", "mass", "gain", "lag"), ALGORITHMS))
    single, blocks = outcome(plan, "native", 1), outcome(plan, "native", block)
    assert single[0] == blocks[0]
    if not single[0]:
        for name, values in single[1].items():
            assert values[-1] == blocks[1][name][-1], name


@CHECKS
@given(data=st.data())
def test_an_algebraic_loop_is_refused_or_solved_and_nothing_else_is_refused(folder, fmus, data):
    plan = data.draw(plans(folder, fmus / "lag.fmu", ("mass", "gain"), ALGORITHMS))
    error, signals, _ = outcome(plan, "native", 1)
    algorithm = plan.master["algorithm"]
    event(f"{algorithm}: {'loop' if loops(plan) else 'no loop'}, {'error' if error else 'runs'}")
    if algorithm in LAGGING:
        assert ("algebraic loop" in error) == loops(plan)
        return
    if error:
        assert loops(plan), error
        assert "no solution" in error or "found no agreement" in error
        return
    for name, part in plan.parts.items():
        if part.kind == "gain":
            y, u = signals[f"{name}.y"], signals[f"{name}.u"]
            assert y == pytest.approx(part.values["k"] * u + part.values["offset"], rel=1e-9, abs=1e-9), name
    for source, target, factor, lagged in plan.connections:
        if not lagged and plan.parts[target.partition(".")[0]].kind == "gain":
            wanted = factor * signals[source]
            assert signals[target][1:] == pytest.approx(wanted[1:], rel=1e-4, abs=1e-4), (source, target)


@CHECKS
@given(data=st.data())
def test_what_runs_obeys_the_equations_and_the_rule_of_its_algorithm(folder, fmus, data):
    """Lags take one step of explicit Euler with their input, gains follow theirs; inputs are those of begin or end."""
    plan = data.draw(plans(folder, fmus / "lag.fmu", ("lag", "gain"), ("jacobi", "gauss_seidel")))
    error, signals, order = outcome(plan, "native", 1)
    event(f"{plan.master['algorithm']}: {'error' if error else 'runs'}")
    if error:
        assert "algebraic loop" in error
        return
    for name, part in plan.parts.items():
        y, u, values = signals[f"{name}.y"], signals[f"{name}.u"], part.values
        if part.kind == "lag":
            right = y[:-1] + STEP * (values["gain"] * u[1:] - y[:-1]) / values["tau"]
            assert y[1:] == pytest.approx(right, rel=1e-12, abs=1e-12), name
        else:
            assert y[1:] == pytest.approx(values["k"] * u[1:] + values["offset"], rel=1e-12, abs=1e-12), name
    if plan.master["extrapolation"]:
        return
    for source, target, factor, _ in plan.connections:
        owners = source.partition(".")[0], target.partition(".")[0]
        earlier = plan.master["algorithm"] == "gauss_seidel" and order.index(owners[0]) < order.index(owners[1])
        taken = signals[source][1:] if earlier else signals[source][:-1]
        assert np.array_equal(signals[target][1:], taken * factor), (source, target)
