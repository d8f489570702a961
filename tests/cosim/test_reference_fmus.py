"""The Modelica Association's Reference FMUs in our scenarios: equal to the CSVs they carry, and to theory.

Set GALENIC_REFERENCE_FMUS to a folder of built FMUs (docs/testing.md); none of their files is in the project.
"""

from __future__ import annotations

import csv
import io
import os
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.linalg import expm

from cosim import Results, Scenario, Simulation, simulate
from fmus.errors import GalenicError

FOLDER = os.environ.get("GALENIC_REFERENCE_FMUS")
FILES = sorted(Path(FOLDER).rglob("*.fmu")) if FOLDER else []
pytestmark = pytest.mark.skipif(not FILES, reason="GALENIC_REFERENCE_FMUS names no folder of built Reference FMUs")

MODELS = ("BouncingBall", "Dahlquist", "Feedthrough", "Resource", "Stair", "StateSpace", "VanDerPol")
#: communication step in s where the model description gives none
STEPS = {"Feedthrough": 0.1, "Resource": 1.0, "StateSpace": 1.0}
EVERY = [(model, version) for model in MODELS for version in (2, 3) if version == 3 or model != "StateSpace"]
ALIASES = {"h_ft": "h"}
WAYS = {
    "native": {},
    "python": {"kernel": "python"},
    "events": {"event_mode": True},
    "isolated": {"isolate": True},
}


def version_of(file: Path) -> int:
    with zipfile.ZipFile(file) as archive:
        found = re.search(rb'fmiVersion\s*=\s*"(\d)', archive.read("modelDescription.xml"))
    return int(found.group(1)) if found else 0


def file_of(model: str, version: int) -> Path:
    for file in FILES:
        if file.stem == model and version_of(file) == version:
            return file
    return pytest.fail(f"{FOLDER} has no {model}.fmu of FMI {version}.0")


def expected(file: Path) -> tuple[list[float], list[dict[str, float]]]:
    """Times and, by port, the outputs in the default experiment, as the FMU's authors expect them."""
    with zipfile.ZipFile(file) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith("_out.csv")]
        rows = list(csv.DictReader(io.StringIO(archive.read(name).decode())))
    times = [float(row.pop("time")) for row in rows]
    values = []
    for row in rows:
        found: dict[str, float] = {}
        for column, text in row.items():
            if column.startswith(("String", "Binary")):  # cannot be recorded
                continue
            words = text.split()
            names = [column] if len(words) == 1 else [f"{column}[{k + 1}]" for k in range(len(words))]
            found.update((n, float({"true": 1, "false": 0}.get(w, w))) for n, w in zip(names, words, strict=True))
        values.append(found)
    return times, values


def system(components: dict[str, Any], step: float, end: float, connections: Any = (), **master: Any) -> Scenario:
    return Scenario.from_mapping(
        {
            "scenario": "galenic/1",
            "duration": end,
            "communication_step": step,
            "master": master,
            "components": components,
            "connections": list(connections),
        }
    )


def alone(file: Path, step: float, end: float, kernel: str = "native", **options: Any) -> Scenario:
    """The FMU as the only component, ``fmu``."""
    return system({"fmu": {"fmu": file.as_posix(), **options}}, step, end, kernel=kernel)


def worst(frame: Any, times: list[float], values: list[dict[str, float]]) -> float:
    """The largest difference of a recorded run from the expected values, relative where these are above 1."""
    assert np.asarray(frame.index) == pytest.approx(times, abs=1e-9)
    apart = 0.0
    for column in frame:
        name = column.removeprefix("fmu.")
        if name.endswith("_input") or name.startswith("u["):
            continue
        name = ALIASES.get(name, name)
        right = np.array([row[name] for row in values])
        got = frame[column].to_numpy()
        apart = max(apart, float(np.max(np.abs(got - right) / np.maximum(np.abs(right), 1.0))))
    return apart


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("model", "version"), [case for case in EVERY if case[0] != "Stair"])
def test_co_simulation_gives_the_expected_outputs(model, version, way, tmp_path, record_property):
    file = file_of(model, version)
    times, values = expected(file)
    step = STEPS.get(model, times[1] - times[0])
    results = simulate(alone(file, step, times[-1], **WAYS[way]), out=tmp_path)
    apart = worst(results.frame(), times, values)
    record_property("largest_difference", apart)
    assert apart < 1e-12


@pytest.mark.parametrize("interface", ["co_simulation", "model_exchange"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("version", [2, 3])
def test_a_stair_is_climbed_until_its_fmu_ends_the_simulation(version, way, interface, tmp_path):
    file = file_of("Stair", version)
    times, values = expected(file)
    assert (times[-1], values[-1]) == (9.0, {"counter": 10.0})
    results = simulate(alone(file, 0.2, 10.0, interface=interface, **WAYS[way]), out=tmp_path)
    assert results.complete
    assert "'fmu' asked to end the simulation at t = 9 s" in results.metadata["stopped"]
    # the step in which an FMU ends the run gives no row
    assert worst(results.frame(), times[:-1], values[:-1]) == 0.0


def exact(model: str, times: Any) -> Any:
    """The solution of the equations, one row for each time."""
    if model == "Dahlquist":
        return np.exp(-times)[:, None]
    if model == "VanDerPol":
        solution = solve_ivp(
            lambda _, x: [x[1], (1.0 - x[0] ** 2) * x[1] - x[0]],
            (0.0, times[-1]),
            [2.0, 0.0],
            "DOP853",
            t_eval=times,
            rtol=1e-12,
            atol=1e-12,
        )
        return solution.y.T
    gravity, begin, height, speed, rows = 9.81, 0.0, 1.0, 0.0, []
    for t in times:
        while t > (lands := begin + (speed + np.sqrt(speed**2 + 2.0 * gravity * height)) / gravity):
            begin, height, speed = lands, 0.0, 0.7 * (gravity * (lands - begin) - speed)
        since = t - begin
        rows.append([height + speed * since - 0.5 * gravity * since**2, speed - gravity * since])
    return np.array(rows)


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize(
    # the solver's tolerance of 1e-6 is that of a step
    ("model", "end", "within"),
    [("Dahlquist", 10.0, 1e-5), ("VanDerPol", 20.0, 5e-4), ("BouncingBall", 2.4, 2e-5)],
)
def test_model_exchange_gives_the_solution_of_the_equations(model, end, within, version, tmp_path, record_property):
    scenario = alone(file_of(model, version), 0.03 if model == "BouncingBall" else 0.1, end, interface="model_exchange")
    frame = simulate(scenario, out=tmp_path).frame().drop(columns="fmu.h_ft", errors="ignore")
    apart = float(np.max(np.abs(frame.to_numpy() - exact(model, frame.index.to_numpy()))))
    record_property("largest_error", apart)
    assert apart < within


@pytest.mark.parametrize("interface", ["co_simulation", "model_exchange"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("size", [2, 3])
def test_a_state_space_of_any_size_follows_its_matrices(size, way, interface, tmp_path, record_property):
    """Sizes are equal, because the FMU takes one for another where they are not; 3 is its own. Its x0 has no effect."""
    random = np.random.default_rng(size)
    a, b, c, d = random.uniform(-1.0, 1.0, (4, size, size))
    u = random.uniform(-1.0, 1.0, size)
    parameters: dict[str, float] = dict.fromkeys("mnr" if size != 3 else "", size)
    for name, matrix in (("A", a), ("B", b), ("C", c), ("D", d)):
        parameters |= {f"{name}[{i + 1},{j + 1}]": float(v) for (i, j), v in np.ndenumerate(matrix)}
    inputs = {f"u[{k + 1}]": float(v) for k, v in enumerate(u)}
    options = {"parameters": parameters, "start": inputs, "interface": interface, **WAYS[way]}
    try:
        frame = simulate(alone(file_of("StateSpace", 3), 0.5, 5.0, **options), out=tmp_path).frame()
    except GalenicError as error:
        if "Expected nValues" in error.message:
            pytest.skip("this build of StateSpace refuses every size: its setUInt64 counts each value twice")
        raise
    apart = 0.0
    rest = np.linalg.solve(a, b @ u)
    for t, row in zip(frame.index, frame.filter(like="y[").to_numpy(), strict=True):
        if interface == "co_simulation":  # explicit Euler with steps of 1 ms
            x = np.linalg.matrix_power(np.eye(size) + 1e-3 * a, round(t / 1e-3)) @ rest - rest
        else:
            x = expm(a * t) @ rest - rest
        apart = max(apart, float(np.max(np.abs(c @ x + d @ u - row) / np.maximum(np.abs(row), 1.0))))
    record_property("largest_difference", apart)
    assert apart < (1e-11 if interface == "co_simulation" else 1e-4)


SIGNED, UNSIGNED = ("Int8", "Int16", "Int32", "Int64"), ("UInt8", "UInt16", "UInt32", "UInt64")


@pytest.mark.parametrize("way", [*WAYS, "exchange"])
@pytest.mark.parametrize("version", [2, 3])
def test_what_goes_into_a_feedthrough_comes_out(version, way):
    """The ends of every whole-number type, as the authors' own input file has them, and something of every other."""
    low, high = {}, {}
    for kind in (*SIGNED, *UNSIGNED):
        bits = int(kind.removeprefix("U").removeprefix("Int"))
        low[kind], high[kind] = (-(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1) if kind in SIGNED else (0, 2.0**bits - 1)
    others = {"Float64_continuous": -1e-300, "Float64_discrete": 1e300, "Float32_continuous": 0.25}
    options = {"interface": "model_exchange"} if way == "exchange" else WAYS[way]
    with Simulation(alone(file_of("Feedthrough", version), 0.1, 2.0, **options)) as simulation:
        names = [name.removesuffix("_output") for name in simulation.system.names if name.endswith("_output")]
        assert len(names) == (5 if version == 2 else 14)
        for given in (low, high, low):
            given = given | others | {"Boolean": float(given is low), "Enumeration": 1.0 + (given is high)}
            for name in names:
                simulation.set(f"{name}_input", given.get(name.removeprefix("fmu."), 0.5))
            simulation.step()
            for name in names:
                assert simulation.get(f"{name}_output") == given.get(name.removeprefix("fmu."), 0.5), name


GAINS = (-0.5, -2.0, -10.0, 3.0)


@pytest.mark.parametrize("gain", GAINS)
@pytest.mark.parametrize("version", [2, 3])
def test_a_loop_of_foreign_fmus_of_both_versions_is_solved(version, gain, record_property):
    first, second = (file_of("Feedthrough", v).as_posix() for v in (version, 5 - version))
    connections = [
        {"from": "b.Float64_continuous_output", "to": "a.Float64_continuous_input", "factor": gain, "offset": 1},
        "a.Float64_continuous_output -> b.Float64_continuous_input",
    ]
    components = {"a": {"fmu": first}, "b": {"fmu": second}}
    with Simulation(system(components, 0.1, 1.0, connections, algorithm="iterative")) as simulation:
        simulation.step(10)
        apart = abs(simulation.get("b.Float64_continuous_output") * (1.0 - gain) - 1.0)
    record_property("relative_error", apart)
    assert apart < 1e-10
    with pytest.raises(GalenicError, match=r"algebraic loop.*Float64_continuous_input"):
        Simulation(system(components, 0.1, 1.0, connections))


@pytest.mark.parametrize("interface", ["co_simulation", "model_exchange"])
@pytest.mark.parametrize(("model", "version"), [case for case in EVERY if case[0] != "Stair"])
def test_a_run_that_goes_on_from_a_checkpoint_is_the_same_to_the_bit(model, version, interface, tmp_path):
    file = file_of(model, version)
    times, _ = expected(file)
    step = STEPS.get(model, times[1] - times[0])
    scenario = alone(file, step, times[-1], interface=interface)
    with Simulation(scenario, out=tmp_path / "whole") as simulation:
        simulation.step(simulation.steps // 2)
        simulation.checkpoint()  # the solver of Model Exchange begins anew there
        simulation.run()
    with Simulation(scenario, out=tmp_path / "broken") as simulation:
        simulation.step(simulation.steps // 2)
        simulation.checkpoint()
        simulation.step(simulation.steps // 3)
    resumed = Simulation(scenario, out=tmp_path / "broken")
    resumed.resume()
    resumed.run()
    broken, whole = (Results.open(tmp_path / name).frame() for name in ("broken", "whole"))
    assert len(broken) == len(times)
    assert np.array_equal(broken.to_numpy(), whole.to_numpy())


def test_a_robertson_problem_is_solved_through_both_interfaces(tmp_path):
    runs = [
        simulate(alone(file_of("Roberts", 3), 0.5, 5.0, interface=interface), out=tmp_path / interface).frame()
        for interface in ("co_simulation", "model_exchange")
    ]

    def rates(_: float, y: Any) -> list[float]:
        slow, fast = 0.04 * y[0] - 1e4 * y[1] * y[2], 3e7 * y[1] ** 2
        return [-slow, slow - fast, fast]

    right = solve_ivp(rates, (0.0, 5.0), [1.0, 0.0, 0.0], "Radau", t_eval=runs[0].index, rtol=1e-10, atol=1e-14).y.T
    for frame, within in zip(runs, (5e-6, 5e-5), strict=True):
        assert frame.to_numpy() == pytest.approx(right, abs=within)


def test_what_is_driven_by_clocks_alone_is_refused_with_the_reason():
    with pytest.raises(GalenicError, match=r"Clocks\.fmu has Scheduled Execution alone") as caught:
        Simulation(alone(file_of("Clocks", 3), 0.1, 1.0))
    assert "Co-Simulation or Model Exchange" in (caught.value.cure or "")
