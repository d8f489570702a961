"""FMUs of OpenModelica and PythonFMU3, out of a wheel of the package index: against one another and against theory.

Nothing is installed: the wheel is downloaded once into the user's cache, and its FMUs are unpacked from there.
"""

from __future__ import annotations

import hashlib
import importlib.util
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
import pytest
from scipy.linalg import expm

from cosim import Scenario, Simulation
from fmus.errors import GalenicError

WHEEL, VERSION = "gemseo_fmu-3.1.1-py3-none-any.whl", "3.1.1"
DIGEST = "940b0200fe13cd00cc2b0a318bc4f1c8ddc147357fe3fe7ef8e53ae6ace5728e"
TIME_LIMIT = 120.0  # s
INTERFACES = ("co_simulation", "model_exchange")

pytestmark = pytest.mark.skipif(sys.platform == "darwin", reason="the wheel's FMUs are for Linux and Windows")


@pytest.fixture(scope="session")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the wheel's FMUs for this platform."""
    if importlib.util.find_spec("pip") is None:
        pytest.skip("pip is not installed, which would download the wheel of gemseo-fmu")
    folder = Path(platformdirs.user_cache_dir("galenic")) / "foreign"
    if not _is_right(folder / WHEEL):
        apart = tmp_path_factory.mktemp("wheel")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        try:
            subprocess.run(
                [*command, "--dest", str(apart), f"gemseo-fmu=={VERSION}"],
                check=True,
                capture_output=True,
                timeout=TIME_LIMIT,
            )
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
            pytest.skip(f"the package index does not give gemseo-fmu {VERSION}")
        assert _is_right(apart / WHEEL), "the wheel is not the one that this test knows"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{WHEEL}.{apart.parent.name}.tmp").write_bytes((apart / WHEEL).read_bytes())
        (folder / f"{WHEEL}.{apart.parent.name}.tmp").replace(folder / WHEEL)
    unpacked = tmp_path_factory.mktemp("foreign")
    inside = "win32" if sys.platform == "win32" else "linux"
    with zipfile.ZipFile(folder / WHEEL) as wheel:
        for name in wheel.namelist():
            if name.endswith(".fmu") and f"/fmu_files/{inside}/" in name:
                (unpacked / Path(name).name).write_bytes(wheel.read(name))
    return unpacked


def _is_right(file: Path) -> bool:
    return file.is_file() and hashlib.sha256(file.read_bytes()).hexdigest() == DIGEST


class Plant:
    """Systems of the wheel's FMUs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def system(
        self, components: dict[str, Any], step: float, end: float, connections: Any = (), **master: Any
    ) -> Scenario:
        named = {
            name: {"fmu": (self.folder / f"{keys.pop('model')}.fmu").as_posix(), **keys}
            for name, keys in ((n, dict(k) if isinstance(k, dict) else {"model": k}) for n, k in components.items())
        }
        return Scenario.from_mapping(
            {
                "scenario": "galenic/1",
                "duration": end,
                "communication_step": step,
                "master": master,
                "components": named,
                "connections": list(connections),
            }
        )

    def whole(self, step: float, interface: str) -> np.ndarray:
        scenario = self.system({"a": {"model": "MassSpringSystem", "interface": interface}}, step, 4.0)
        return rows(scenario, "a.x1", "a.x2", "a.v1", "a.v2")

    def halves(self, step: float, interface: str, **master: Any) -> np.ndarray:
        components = {
            "a": {"model": "MassSpringSubSystem1", "interface": interface},
            "b": {"model": "MassSpringSubSystem2", "interface": interface},
        }
        connections = ["a.x1 -> b.x1", "b.x2 -> a.x2"]
        return rows(self.system(components, step, 4.0, connections, **master), "a.x1", "b.x2", "a.v1", "b.v2")


@pytest.fixture
def plant(foreign: Path) -> Plant:
    return Plant(foreign)


def rows(scenario: Scenario, *names: str) -> np.ndarray:
    """The signals at all communication points, shape (steps + 1, len(names))."""
    found = []
    with Simulation(scenario) as simulation:
        simulation.initialize()
        found.append([simulation.get(name) for name in names])
        for _ in range(simulation.steps):
            simulation.step()
            found.append([simulation.get(name) for name in names])
    return np.array(found)


def oscillation(step: float, count: int) -> np.ndarray:
    """Two masses of 1 kg between three springs of 1 N/m, from x = (0, 1) m, v = (1, 0) m/s."""
    forces = np.array([[0, 0, 1, 0], [0, 0, 0, 1], [-2, 1, 0, 0], [1, -2, 0, 0]], dtype=float)
    forward = expm(forces * step)
    found = [np.array([0.0, 1.0, 1.0, 0.0])]
    while len(found) < count:
        found.append(forward @ found[-1])
    return np.array(found)


STEPS = (0.02, 0.01, 0.005)


def orders(errors: list[float]) -> np.ndarray:
    return np.log2(np.array(errors[:-1]) / errors[1:])


@pytest.mark.parametrize("kernel", ["native", "python"])
def test_halves_coupled_by_jacobi_are_the_whole_system_to_the_bit(plant, kernel):
    """Inside, each FMU takes one explicit Euler step: so does then the whole of the two."""
    assert np.array_equal(plant.halves(0.01, "co_simulation", kernel=kernel), plant.whole(0.01, "co_simulation"))


@pytest.mark.parametrize("interface", INTERFACES)
@pytest.mark.parametrize("algorithm", ["jacobi", "gauss_seidel", "iterative"])
def test_coupled_halves_converge_to_the_solution_with_the_first_order(plant, algorithm, interface):
    errors, apart = [], []
    for step in STEPS:
        halves, whole = plant.halves(step, interface, algorithm=algorithm), plant.whole(step, interface)
        errors.append(float(np.max(np.abs(halves - oscillation(step, len(halves))))))
        apart.append(float(np.max(np.abs(halves - whole))))
    assert orders(errors) == pytest.approx(1.0, abs=0.15)
    assert errors[-1] < 0.03
    if interface == "co_simulation" and algorithm == "jacobi":
        assert max(apart) == 0.0
    else:
        assert orders(apart) == pytest.approx(1.0, abs=0.15)


def test_a_system_through_model_exchange_has_the_solvers_accuracy(plant):
    for step in STEPS:
        whole = plant.whole(step, "model_exchange")
        assert np.max(np.abs(whole - oscillation(step, len(whole)))) < 2e-6


def test_extrapolated_inputs_take_the_error_of_the_coupling_away(plant):
    """What is left is the error of the Euler steps inside, which is that of the whole."""
    held, carried = (
        [
            float(np.max(np.abs(plant.halves(h, "co_simulation", algorithm="gauss_seidel", extrapolation=e) - middle)))
            for h, middle in ((h, _half_euler(h)) for h in STEPS)
        ]
        for e in (0, 1)
    )
    assert orders(held) == pytest.approx(1.0, abs=0.15)
    assert orders(carried) == pytest.approx(2.0, abs=0.15)


def _half_euler(step: float) -> np.ndarray:
    """Explicit Euler with the other half's position in the middle of the step."""
    state = np.array([0.0, 1.0, 1.0, 0.0])
    found = [state]
    for _ in range(round(4.0 / step)):
        x, v = state[:2], state[2:]
        other = x[::-1] + 0.5 * step * v[::-1]
        state = np.concatenate([x + step * v, v + step * (other - 2.0 * x)])
        found.append(state)
    return np.array(found)


def test_without_states_nothing_is_iterated_where_nothing_has_to_be(plant):
    """The halves cannot go back, and their outputs do not depend on inputs at once."""
    once, iterated = (plant.halves(0.01, "co_simulation", algorithm=a) for a in ("gauss_seidel", "iterative"))
    assert np.array_equal(once, iterated)


def test_error_control_names_the_fmu_that_cannot_go_back(plant):
    with pytest.raises(GalenicError, match=r"'a' cannot go back.*canGetAndSetFMUstate"):
        plant.halves(0.01, "co_simulation", algorithm="error_controlled")


@pytest.mark.parametrize("interface", INTERFACES)
@pytest.mark.parametrize(("algorithm", "late"), [("jacobi", 1), ("gauss_seidel", 0)])
def test_ramps_are_added(plant, algorithm, late, interface):
    """Under Jacobi a sum is of what its terms were a step before."""
    components = {
        "sum": {"model": "add", "interface": interface, "parameters": {"add.k2": -2}},
        "up": {"model": "ramp", "interface": interface, "parameters": {"ramp.duration": 2}},
        "later": {"model": "ramp", "interface": interface, "parameters": {"ramp.startTime": 1, "ramp.offset": 3}},
    }
    connections = ["up.out -> sum.u1", "later.out -> sum.u2"]
    step = 0.125
    found = rows(plant.system(components, step, 4.0, connections, algorithm=algorithm), "up.out", "later.out", "sum.y")
    t = np.arange(len(found)) * step
    up, later = np.clip(t / 2.0, 0.0, 1.0), 3.0 + np.clip(t - 1.0, 0.0, 1.0)
    assert found[:, 0] == pytest.approx(up, abs=1e-12)
    assert found[:, 1] == pytest.approx(later, abs=1e-12)
    total = up - 2.0 * later
    assert found[late:, 2] == pytest.approx(total[: len(total) - late], abs=1e-12)
    assert found[0, 2] == pytest.approx(total[0], abs=1e-12)  # initial values are consistent


@pytest.mark.parametrize("algorithm", ["jacobi", "gauss_seidel"])
def test_a_sum_that_feeds_itself_is_refused_and_its_loop_named(plant, algorithm):
    connections = ["first.y -> second.u1", "second.y -> first.u1"]
    with pytest.raises(GalenicError, match=r"algebraic loop.*first\.u1 -> first\.y -> second\.u1 -> second\.y"):
        Simulation(plant.system({"first": "add", "second": "add"}, 0.1, 1.0, connections, algorithm=algorithm))


def test_a_loop_of_fmus_that_cannot_go_back_names_them_where_it_would_have_to_iterate(plant):
    connections = ["first.y -> second.u1", "second.y -> first.u1"]
    with pytest.raises(GalenicError, match=r"'first' cannot go back"):
        Simulation(plant.system({"first": "add", "second": "add"}, 0.1, 1.0, connections, algorithm="iterative"))


@pytest.mark.parametrize("interface", INTERFACES)
def test_a_damped_mass_comes_to_rest_where_its_load_and_spring_say(plant, interface):
    """1 kg on a spring of 100 N/m and a damper of 20 N s/m, where aperiodic motion begins; then 25 N more."""
    parameters = {"spring.c": 100, "damper.d": 20}
    component = {"model": "Mass_Damper", "interface": interface, "parameters": parameters}
    with Simulation(plant.system({"mass": component}, 0.001, 8.0)) as simulation:
        simulation.step(4000)
        rest = simulation.get("mass.y")
        simulation.set("mass.f", 25.0)
        simulation.step(100)
        moved = 0.25 * (1.0 - (1.0 + 1.0) * np.exp(-1.0))  # after 1 / (10 rad/s)
        assert simulation.get("mass.y") - rest == pytest.approx(moved, abs=1e-3)
        simulation.step(3900)
        assert simulation.get("mass.y") - rest == pytest.approx(0.25, abs=1e-6)


def test_arrays_of_an_fmi_3_fmu_of_another_tool_are_ports(plant):
    try:
        component = {"model": "FMU3Model", "parameters": {"increment": 2.5}, "start": {"input": 4}}
        with Simulation(plant.system({"python": component}, 0.1, 1.0)) as simulation:
            simulation.step(3)
            # it adds its increment and turns its vector by one in each step
            assert simulation.get("python.output") == 3.0 + 2.5 * 4.0 + 3 * 2.5
            assert [simulation.get(f"python.vector[{k + 1}]") for k in range(5)] == [2.0, 3.0, 4.0, 0.0, 1.0]
    except GalenicError as error:
        if "cannot be loaded" in error.message or "libpython" in error.message:
            pytest.skip(f"this FMU needs a Python of its own: {error.message}")
        raise
