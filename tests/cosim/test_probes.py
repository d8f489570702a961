"""Where other masters give a wrong number or none: each probe one behaviour.

Units that are converted or refused: `test_master`, `test_wiring`; crashes and hangs: `test_isolation`; checkpoints:
`test_checkpoint`; single FMUs of every type, with arrays, events and steps that return early: `test_fmi_*`.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from foreign_fmu import TYPES, write_odd
from lag_fmu import description, write_fmu

import fmus as units
from cosim import Scenario, Simulation
from fmus.errors import GalenicError

GAIN = f"{Path(__file__).with_name('small_units.py')}:gain"
MASS = f"{Path(__file__).with_name('small_units.py')}:mass"
GAINS = (-0.5, -2.0, -10.0, 3.0)
KERNELS = ("native", "python")
INTERFACES = ("co_simulation", "model_exchange")
#: what a model structure says of an output's dependencies
SAYS = ("all", "nothing of the output", "nothing at all")

Make = Callable[..., Path]


def system(components: dict[str, Any], step: float, steps: int, connections: Any = (), **master: Any) -> Scenario:
    return Scenario.from_mapping(
        {
            "scenario": "galenic/1",
            "duration": step * steps,
            "communication_step": step,
            "master": master,
            "components": components,
            "connections": list(connections),
        }
    )


@pytest.fixture(scope="module")
def gain(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """The unit y = k u + offset, or another, as an FMU whose model structure says what it is asked to say."""
    folder = tmp_path_factory.mktemp("gain")

    def make(fmi: int, says: str, unit: str = GAIN) -> Path:
        file = folder / f"{unit.rpartition(':')[2]}{fmi}_{SAYS.index(says)}.fmu"
        if file.exists():
            return file
        built = units.build_fmu(units.unit_model(unit), fmi=fmi)
        with zipfile.ZipFile(built) as source, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as target:
            for name in source.namelist():
                content = source.read(name)
                if name == "modelDescription.xml":
                    content = _silenced(content.decode("utf-8"), says).encode()
                target.writestr(name, content)
        return file

    return make


def _silenced(xml: str, says: str) -> str:
    if says == "all":
        return xml
    if says == "nothing at all":
        # the state stays, or it would not be one
        kept = re.sub(r"<Outputs>.*?</Outputs>|<Output [^>]*/>|<InitialUnknown [^>]*/>", "", xml, flags=re.S)
        return re.sub(r"<InitialUnknowns>.*?</InitialUnknowns>", "", kept, flags=re.S)
    head, structure = xml.split("<ModelStructure>")
    structure, changes = re.subn(r'(<(?:Output|Unknown|InitialUnknown) [^>]*?) dependencies="[^"]*"', r"\1", structure)
    assert changes
    return head + "<ModelStructure>" + structure


def loop(file: Path, k: float, interface: str = "co_simulation", **master: Any) -> Scenario:
    """y0 = k y1 + 1, y1 = y0."""
    components = {
        "a": {"fmu": file.as_posix(), "parameters": {"k": k, "offset": 1}, "interface": interface},
        "b": {"fmu": file.as_posix(), "parameters": {"k": 1, "offset": 0}, "interface": interface},
    }
    return system(components, 0.1, 10, ["b.y -> a.u", "a.y -> b.u"], **master)


# ---- algebraic loops -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", GAINS)
@pytest.mark.parametrize("says", SAYS)
@pytest.mark.parametrize("interface", INTERFACES)
@pytest.mark.parametrize("fmi", [2, 3])
def test_a_loop_is_solved_whatever_its_fmus_say_of_their_dependencies(gain, fmi, interface, says, k):
    with Simulation(loop(gain(fmi, says), k, interface, algorithm="iterative")) as simulation:
        simulation.initialize()
        for _ in range(4):
            for name in ("a.y", "b.y", "a.u", "b.u"):
                assert simulation.get(name) == pytest.approx(1.0 / (1.0 - k), rel=1e-10), name
            simulation.step()


@pytest.mark.parametrize("k", GAINS)
@pytest.mark.parametrize("says", SAYS)
@pytest.mark.parametrize("algorithm", ["jacobi", "gauss_seidel", "error_controlled"])
@pytest.mark.parametrize("fmi", [2, 3])
def test_a_loop_is_refused_by_default_whatever_its_fmus_say(gain, fmi, algorithm, says, k):
    with (
        pytest.raises(GalenicError, match=r"algebraic loop.*a\.u -> a\.y -> b\.u -> b\.y -> a\.u") as caught,
        Simulation(loop(gain(fmi, says), k, algorithm=algorithm)) as simulation,
    ):
        simulation.initialize()
    assert "algorithm: iterative" in (caught.value.cure or "")


def test_a_loop_whose_gain_comes_from_the_connections_is_solved(gain):
    file = gain(2, "all").as_posix()
    components = {"a": {"fmu": file}, "b": {"fmu": file}}
    connections = [{"from": "a.y", "to": "b.u", "factor": 500, "offset": 3}, {"from": "b.y", "to": "a.u", "factor": -2}]
    with Simulation(system(components, 0.1, 5, connections, algorithm="iterative", tolerance=1e-12)) as simulation:
        simulation.step(3)
        # a = -2 b + 1, b = 500 a + 3 + 1
        assert simulation.get("a.y") == pytest.approx(-7.0 / 1001.0, rel=1e-10)


def test_loops_that_share_an_fmu_are_solved_together(gain):
    """Two loops through one adder chain: x = 0.5 x - 2 y + 1, y = 3 x - y + 1, one after the other through gains."""
    file = gain(2, "all").as_posix()
    names = "abc"
    components = {name: {"fmu": file, "parameters": {"k": k}} for name, k in zip(names, (-2.0, 3.0, -0.5), strict=True)}
    connections = ["a.y -> b.u", "b.y -> c.u", "c.y -> a.u"]
    with Simulation(system(components, 0.1, 5, connections, algorithm="iterative")) as simulation:
        simulation.step(3)
        # a = -2 c + 1, b = 3 a + 1, c = -0.5 b + 1
        matrix, right = np.array([[1, 0, 2], [-3, 1, 0], [0, 0.5, 1]], dtype=float), np.ones(3)
        found = [simulation.get(f"{name}.y") for name in names]
        assert found == pytest.approx(np.linalg.solve(matrix, right), rel=1e-10)


@pytest.mark.parametrize("algorithm", ["jacobi", "gauss_seidel", "iterative"])
def test_a_connection_that_lags_on_purpose_is_one_step_late_under_every_algorithm(gain, algorithm):
    """y = 0.5 u + 1 with u = 2 y of the step before: one more in each step, and no value that would agree at once."""
    components = {"a": {"fmu": gain(2, "all").as_posix(), "parameters": {"k": 0.5}}}
    connections = [{"from": "a.y", "to": "a.u", "factor": 2, "lagged": True}]
    with Simulation(system(components, 0.1, 5, connections, algorithm=algorithm)) as simulation:
        simulation.initialize()
        for _ in range(5):
            before = simulation.get("a.y")
            simulation.step()
            assert simulation.get("a.y") == before + 1.0


def test_error_control_does_not_mind_whole_numbers_that_count_steps(odd):
    scenario = system(
        {"ball": {"fmu": odd.as_posix()}}, 0.1, 3, algorithm="error_controlled", tolerance=1e-3
    )  # its outputs count its calls
    with Simulation(scenario) as simulation:
        simulation.step(3)
        assert simulation.get("ball.calls") >= 3.0
        assert simulation.get("ball.h") == pytest.approx(1.0 - 0.5 * 9.81 * 0.3**2, abs=1e-3)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("algorithm", ["jacobi", "gauss_seidel"])
def test_a_ring_of_lags_that_say_nothing_is_no_loop(fmus, algorithm, kernel):
    """Their model structure is empty, but their outputs do not follow their inputs at once."""
    file = (fmus / "lag.fmu").as_posix()
    components = {
        "a": {"fmu": file, "parameters": {"gain": -2, "tau": 0.5}},
        "b": {"fmu": file, "parameters": {"gain": 3}},
    }
    scenario = system(components, 0.01, 200, ["b.y -> a.u", "a.y -> b.u"], algorithm=algorithm, kernel=kernel)
    with Simulation(scenario) as simulation:
        simulation.system.signals[simulation.system.index["a.u"]] = 0.0
        simulation.step(200)
        a = b = 0.0
        # what a cycle cuts keeps its start value of 1 while the others initialise, and has no effect after
        for _ in range(200):
            before = b
            new = a + 0.01 * (-2.0 * before - a) / 0.5
            b += 0.01 * (3.0 * (new if algorithm == "gauss_seidel" else a) - b)
            a = new
        assert simulation.get("a.y") == pytest.approx(a, abs=1e-12)
        assert simulation.get("b.y") == pytest.approx(b, abs=1e-12)


@pytest.mark.parametrize("start", [0.0, 0.7, 1.0 / 3.0, 1234.567, 3.3e7])
@pytest.mark.parametrize("says", SAYS)
def test_a_ring_with_one_gain_in_it_is_no_loop_wherever_it_starts(gain, says, start):
    """Nothing comes back at once through a mass. Where this had to be measured, the run's record tells it."""
    components = {
        "mass": {"fmu": gain(2, says, MASS).as_posix(), "parameters": {"x_start": start}},
        "gain": {"fmu": gain(2, says).as_posix(), "parameters": {"k": 1234.5}},
    }
    connections = [
        {"from": "mass.x", "to": "gain.u", "convert_units": False},
        {"from": "gain.y", "to": "mass.u", "convert_units": False},
    ]
    with Simulation(system(components, 0.1, 5, connections)) as simulation:
        simulation.initialize()
        assert simulation.get("gain.y") == pytest.approx(1234.5 * start + 1.0, rel=1e-14)
        noted = simulation.system.notes.get("no_loop_at_start", [])
        assert noted == ([] if says == "all" else ["gain.u -> gain.y -> mass.u -> mass.x -> gain.u"])


def test_fmus_that_say_nothing_and_cannot_go_back_are_named_where_a_loop_may_be(fmus):
    file = (fmus / "lag.fmu").as_posix()
    connections = ["b.y -> a.u", "a.y -> b.u"]
    with pytest.raises(GalenicError, match="'a' cannot go back") as caught:
        Simulation(system({"a": {"fmu": file}, "b": {"fmu": file}}, 0.1, 5, connections, algorithm="iterative"))
    assert caught.value.cure


# ---- unconnected inputs --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(("algorithm", "late"), [("jacobi", True), ("gauss_seidel", False), ("iterative", False)])
def test_an_unconnected_input_keeps_its_start_value_under_every_algorithm(fmus, algorithm, late, kernel):
    file = (fmus / "lag.fmu").as_posix()
    components = {"first": {"fmu": file}, "second": {"fmu": file, "start": {"u": 0}}}
    scenario = system(components, 0.01, 100, ["first.y -> second.u"], algorithm=algorithm, kernel=kernel)
    with Simulation(scenario) as simulation:
        simulation.step(100)
        first = second = 0.0
        for _ in range(100):
            before = first
            first += 0.01 * (1.0 - first)
            second += 0.01 * ((before if late else first) - second)
        assert simulation.get("first.u") == 1.0
        assert simulation.get("first.y") == pytest.approx(first, rel=1e-13)
        assert simulation.get("second.y") == pytest.approx(second, rel=1e-13)
        if late:
            assert [round(simulation.get(f"{name}.y"), 8) for name in components] == [0.63396766, 0.26423802]


# ---- types, arrays, steps that return early, in a system -----------------------------------------------------------


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_odd(tmp_path_factory.mktemp("odd") / "odd.fmu", event_mode=True)


WAYS = {
    "native": ({"event_mode": False}, "native"),
    "python": ({"event_mode": False}, "python"),
    "events": ({"event_mode": True}, "native"),
    "exchange": ({"interface": "model_exchange"}, "native"),
}


@pytest.mark.parametrize("way", WAYS)
def test_values_of_every_type_go_from_fmu_to_fmu(odd, way):
    options, kernel = WAYS[way]
    kinds = [kind.lower() for kind, _, _ in TYPES]
    components = {name: {"fmu": odd.as_posix(), **options} for name in ("a", "b")}
    connections = [f"a.{kind}_out -> b.{kind}_in" for kind in kinds]
    given = {"float64": 0.1, "float32": 0.25, "boolean": 0.0, "enumeration": 3.0, "int64": -(2.0**60), "uint8": 200.0}
    with Simulation(system(components, 0.25, 8, connections, kernel=kernel)) as simulation:
        simulation.initialize()
        for kind, start, _ in TYPES:
            assert simulation.get(f"b.{kind.lower()}_out") == float({"true": 1}.get(start, start))
        for kind in kinds:
            simulation.set(f"a.{kind}_in", given.get(kind, 7.0))
        simulation.step(2)
        for kind in kinds:
            assert simulation.get(f"b.{kind}_out") == given.get(kind, 7.0), kind


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(
    ("source", "number", "target", "right"),
    [
        ("int32", 300.0, "int8", 127.0),
        ("int32", -1.0, "uint16", 0.0),
        ("uint64", 2.0**63, "int64", 2.0**63),
        ("int32", -3.0, "float64", -3.0),
        ("boolean", 1.0, "int16", 1.0),
        ("uint8", 2.0, "enumeration", 2.0),
    ],
)
def test_a_value_becomes_the_nearest_that_the_targets_type_holds(odd, source, number, target, right, kernel):
    components = {name: {"fmu": odd.as_posix()} for name in ("a", "b")}
    connections = [f"a.{source}_out -> b.{target}_in"]
    with Simulation(system(components, 0.25, 8, connections, kernel=kernel)) as simulation:
        simulation.initialize()
        simulation.set(f"a.{source}_in", number)
        simulation.step(2)
        assert simulation.get(f"b.{target}_out") == right


@pytest.mark.parametrize(("source", "target"), [("float64", "int8"), ("float32", "boolean"), ("int8", "boolean")])
def test_a_connection_that_would_lose_values_is_refused(odd, source, target):
    components = {name: {"fmu": odd.as_posix()} for name in ("a", "b")}
    with pytest.raises(GalenicError, match=rf"'a\.{source}_out' is .* would lose its value in 'b\.{target}_in'"):
        Simulation(system(components, 0.25, 8, [f"a.{source}_out -> b.{target}_in"]))


@pytest.mark.parametrize("way", WAYS)
def test_elements_of_arrays_are_connected_one_by_one_whatever_the_size(odd, way):
    options, kernel = WAYS[way]
    components = {
        "a": {"fmu": odd.as_posix(), "parameters": {"n": 3}, "start": {f"u[{k}]": 10.0**k for k in (1, 2, 3)}},
        "b": {"fmu": odd.as_posix(), "parameters": {"gain": 5}},
    }
    for component in components.values():
        component |= options
    connections = ["a.y[3] -> b.u[1]", "a.y[1] -> b.u[2]"]
    with Simulation(system(components, 0.25, 4, connections, kernel=kernel)) as simulation:
        simulation.step(2)
        plus = simulation.get("a.y[1]") - 20.0  # what the ball's height adds to every element
        for place, source in ((1, 1000.0), (2, 10.0)):
            assert simulation.get(f"b.u[{place}]") == pytest.approx(2.0 * source, abs=2.0)
            assert simulation.get(f"b.y[{place}]") == pytest.approx(
                5.0 * simulation.get(f"b.u[{place}]") + plus, abs=1e-3
            )


STOPS = (
    '<ScalarVariable name="discard_at" valueReference="6" causality="parameter" variability="fixed">'
    '<Real start="1e300"/></ScalarVariable></ModelVariables>'
)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("algorithm", ["jacobi", "gauss_seidel"])
def test_a_step_that_an_fmu_breaks_off_is_gone_on_with(tmp_path, algorithm, kernel):
    """The first lag does one step of 0.2 s as 0.05 s and 0.15 s; the second knows nothing of it."""
    xml = description().replace("</ModelVariables>", STOPS)
    file = write_fmu(tmp_path / "lag.fmu", xml=xml).as_posix()
    components = {"first": {"fmu": file, "parameters": {"discard_at": 0.25}}, "second": {"fmu": file}}
    scenario = system(components, 0.2, 3, ["first.y -> second.u"], algorithm=algorithm, kernel=kernel)
    with Simulation(scenario) as simulation:
        simulation.step(3)
        first = [0.0, 0.2, 1.0 - 0.8 * 0.95 * 0.85, 1.0 - 0.8 * 0.95 * 0.85 * 0.8]
        second = 0.0
        for k in range(3):
            second += 0.2 * (first[k + (algorithm == "gauss_seidel")] - second)
        assert simulation.get("first.y") == pytest.approx(first[3], rel=1e-13)
        assert simulation.get("second.y") == pytest.approx(second, rel=1e-13)
