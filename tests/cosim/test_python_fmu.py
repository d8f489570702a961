from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import textwrap
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fmpy import extract, read_model_description
from fmpy.validation import validate_fmu
from fmu_session import in_session
from hypothesis import given
from hypothesis import strategies as st

from cosim import load_scenario, simulate
from cosim.python_fmu import build_controller_fmus, build_python_fmu, build_python_fmus, is_python_component
from cosim.python_fmu.requirements import clauses, satisfies, unmet
from fmus import GalenicError
from fmus.check import Outcome, check_fmu
from fmus.toolchain import chosen_platforms, this_platform

EXAMPLES = Path(__file__).parents[2] / "docs" / "python_components"
HERE = this_platform().fmi_name

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("pythonfmu") is None, reason="pythonfmu is not installed"),
    pytest.mark.skipif(HERE not in {"linux64", "win64"}, reason="PythonFMU has no library for this platform"),
]

# Counts its executions, and adds up what it reads: sampled, every 0.5 s
SUMMING = '''
import numpy as np

from cosim import Port


class Summing:
    """Sum of an input over the executions."""

    def __init__(self, name):
        self.name, self.period = name, 0.5
        self.inputs = (Port("u", "kN", 2.0, 0.0, 10.0, "what is summed"),)
        self.outputs = (Port("sum", "kN"), Port("count", kind="integer"), Port("last.time", "s"))
        self.input_values, self.output_values = np.array([2.0]), np.array([5.0, 0.0, -1.0])

    def do_step(self, communication_point, step_size):
        if self.input_values[0] == 7.0:
            raise ArithmeticError("seven is too much: 100 % s")
        self.output_values += self.input_values[0], 1.0, 0.0
        self.output_values[2] = communication_point
'''

# Stepped: the whole contract of a component, with every kind of port
STEPPED = '''
import math
import os

import numpy as np

from cosim.component import Port


class Lag:
    """A first-order lag."""

    def __init__(self, name):
        self.name = name
        self.inputs = (
            Port("u", "degC", 20.0),
            Port("shift", kind="integer", start=0),
            Port("on", kind="boolean", start=1),
        )
        self.outputs = (Port("y", "degC"), Port("steps", kind="integer"), Port("above", kind="boolean"))
        self.input_values, self.output_values = np.array([20.0, 0.0, 1.0]), np.zeros(3)

    def bind(self, input_values, output_values):
        self.input_values, self.output_values = input_values, output_values

    def initialize(self, start_time):
        self.output_values[:] = self.input_values[0] + start_time, 0.0, 0.0

    def do_step(self, communication_point, step_size):
        u, shift, on = self.input_values
        y, steps, _ = self.output_values
        if on:
            y += (1.0 - math.exp(-step_size / 3.0)) * (u + shift - y)
        self.output_values[:] = y, steps + 1, y > u

    def terminate(self):
        if "GONE" in os.environ:
            with open(os.environ["GONE"], "a") as file:
                file.write("gone ")
'''


@pytest.fixture
def export(tmp_path: Path) -> Callable[..., Path]:
    """Writes a class to a file and exports it; keywords go to the exporter."""

    def build(source: str, file: str = "component.py", **keywords: Any) -> Path:
        path = tmp_path / file
        path.write_text(textwrap.dedent(source), encoding="utf-8")
        name = source.split("class ")[1].split(":")[0]
        return build_python_fmu(f"{path}:{name}", tmp_path / "fmus", **keywords)

    return build


@pytest.fixture(scope="session")
def hardness_sensor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the example, its regression fitted as its page says."""
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    folder = tmp_path_factory.mktemp("sensor")
    for file in EXAMPLES.iterdir():
        if file.is_file():
            shutil.copy(file, folder)
    simulate(load_scenario(folder / "press_steps.yaml"), out=folder / "run")
    done = subprocess.run(
        [sys.executable, "fit_hardness_sensor.py", "run", "hardness_sensor.joblib"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    assert float(done.stdout.split()[-1]) > 0.99
    return folder


def hide_pythonfmu(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "pythonfmu" else found(name, *a))


def rewritten(fmu: Path, **changes: Any) -> Path:
    """A copy of an FMU whose component.json says something else."""
    copy = fmu.with_name(f"changed_{fmu.name}")
    with zipfile.ZipFile(fmu) as old, zipfile.ZipFile(copy, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "resources/component.json":
                content = json.dumps(json.loads(content) | changes).encode()
            new.writestr(name, content)
    return copy


def description(fmu: Path) -> ET.Element:
    with zipfile.ZipFile(fmu) as archive:
        return ET.fromstring(archive.read("modelDescription.xml"))


# ---- the two components that the issue names ------------------------------------------------------------------------


def test_a_scikit_learn_soft_sensor_computes_as_an_fmu_what_it_computes_in_process(
    hardness_sensor: Path, tmp_path: Path
) -> None:
    fmu = build_python_fmu(f"{hardness_sensor / 'hardness_sensor.py'}:HardnessSensor", tmp_path)
    assert validate_fmu(str(fmu)) == []
    forces = np.linspace(4.0, 8.0, 9).tolist()
    found = in_session(
        """
        sensor = load(args[0]).start()
        rows = [sensor.get("hardness", "trusted")]
        for k, force in enumerate(map(float, args[1:])):
            sensor.set(main_compression_force=force, fill_depth=6.5 + 0.05 * k)
            assert sensor.step(10.0) == 0
            rows.append(sensor.get("hardness", "trusted"))
        answer(rows)
        """,
        fmu,
        *forces,
    )
    spec = importlib.util.spec_from_file_location("hardness_sensor", hardness_sensor / "hardness_sensor.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sensor = module.HardnessSensor.from_config("sensor", {}, None)
    expected = [list(sensor.output_values)]
    for k, force in enumerate(forces):
        sensor.input_values[:] = force, 6.5 + 0.05 * k
        sensor.do_step(10.0 * k, 10.0)
        expected.append(list(sensor.output_values))
    assert found == expected
    assert {bool(trusted) for _, trusted in found[1:]} == {True, False}


def test_a_do_mpc_controller_computes_as_an_fmu_what_it_computes_in_process(tmp_path: Path) -> None:
    pytest.importorskip("do_mpc", reason="do-mpc is not installed")
    fmu = build_python_fmu(f"{EXAMPLES / 'blend_mpc.py'}:BlendMpc", tmp_path)
    assert validate_fmu(str(fmu)) == []
    loop = """
        import math
        rows, fraction = [], 0.08
        for k in range(30):
            total = 27.1 if k < 15 else 20.0
            feed = control(10.0 * k, fraction, total)
            rows.append([fraction, feed])
            fraction += (1.0 - math.exp(-total * 10.0 / 3600.0)) * (0.944 * feed / total - fraction)
        answer(rows)
        """
    in_fmu = in_session(
        """
        mpc = load(args[0]).start()
        def control(t, fraction, total):
            assert mpc.set(api_fraction=fraction, total_mass_flow=total) == 0
            assert mpc.step(10.0) == 0
            assert mpc.get("solved")
            return mpc.get("api_mass_flow_setpoint")
        """
        + loop,
        fmu,
    )
    in_process = in_session(
        """
        import sys
        sys.path.insert(0, args[0])
        from blend_mpc import BlendMpc
        mpc = BlendMpc("mpc")
        def control(t, fraction, total):
            mpc.input_values[:] = fraction, total, 0.0885
            mpc.do_step(t, 10.0)
            return float(mpc.output_values[0])
        """
        + loop,
        EXAMPLES,
    )
    assert in_fmu == in_process
    assert in_fmu[0][0] == 0.08
    assert in_fmu[14][0] == pytest.approx(0.0885, abs=1e-4)
    assert in_fmu[-1][0] == pytest.approx(0.0885, abs=1e-4)


def test_a_scenarios_own_controllers_become_fmus_that_compute_what_they_computed_in_it(
    hardness_sensor: Path, tmp_path: Path
) -> None:
    scenario_file = hardness_sensor / "controlled.yaml"
    scenario_file.write_text(
        textwrap.dedent("""\
            scenario: galenic/1
            duration: 60 s
            communication_step: 1 s
            components: {press: {unit: tablet_press}}
            connections: ["press.draw_mass_flow -> press.inlet.mass_flow"]
            sensors:
              force: {measures: press.main_compression_force, period: 5 s, delay: 1 s, noise: 0.05 kN}
            disturbances:
              - {signal: press.fill_depth_setpoint, noise: {std: 0.1 mm, time_constant: 10 s}}
            controllers:
              hardness: {type: "hardness_sensor.py:HardnessSensor", period: 5,
                         force: force.value, fill_depth: press.fill_depth}
              loop: {type: pi, period: 5 s, measurement: force.value, setpoint: 6 kN, gain: 0.05 mm/kN, output_unit: mm}
            """),
        encoding="utf-8",
    )
    scenario = load_scenario(scenario_file)
    (fmu,) = build_controller_fmus(scenario, tmp_path)
    assert fmu == tmp_path / "hardness.fmu"
    assert validate_fmu(str(fmu)) == []
    variables = {v.name: v for v in read_model_description(str(fmu)).modelVariables}
    assert "reads force.value" in variables["main_compression_force"].description
    run = simulate(scenario, out=tmp_path / "run")
    signals = ["force.value", "press.fill_depth", "hardness.hardness"]
    force, depth, hardness = run.frame(signals).iloc[::5].to_numpy().T
    found = in_session(
        """
        import json
        sensor = load(args[0]).start()
        rows = []
        for force, depth in json.loads(args[1]):
            sensor.set(main_compression_force=force, fill_depth=depth)
            sensor.step(5.0)
            rows.append(sensor.get("hardness"))
        answer(rows)
        """,
        fmu,
        json.dumps([list(row) for row in zip(force, depth, strict=True)]),
    )
    # a row of the results shows the inputs and what the controller, executed at that time, made of them
    assert found == hardness.tolist() or found[:-1] == hardness[1:].tolist()


# ---- what the file says ---------------------------------------------------------------------------------------------


def test_the_description_says_what_python_the_fmu_needs(export: Callable[..., Path]) -> None:
    fmu = export(SUMMING, requires=["numpy>=1.26,<9"])
    root = description(fmu)
    assert "Sum of an input over the executions." in root.attrib["description"]
    for said in ("needs Python >=3.11", "numpy>=1.26,<9", "process that has Python", "linux64, win64"):
        assert said in root.attrib["description"]
    environment = root.find("VendorAnnotations/Tool[@name='galenic']/PythonEnvironment")
    assert environment is not None
    assert environment.attrib == {"python": ">=3.11"}
    assert [package.text for package in environment] == ["numpy>=1.26,<9"]
    flags = root.find("CoSimulation")
    assert flags is not None
    assert flags.attrib["needsExecutionTool"] == "true"
    assert flags.attrib["canGetAndSetFMUstate"] == "false"
    with zipfile.ZipFile(fmu) as archive:
        page = archive.read("documentation/index.html").decode()
        assert archive.read("resources/requirements.txt").decode().split() == ["numpy>=1.26,<9"]
        assert {n.split("/")[1] for n in archive.namelist() if n.startswith("binaries/")} == {"linux64", "win64"}
    assert "needs Python &gt;=3.11" in page
    assert "pip install &quot;numpy&gt;=1.26,&lt;9&quot;" in page or 'pip install "numpy&gt;=1.26,&lt;9"' in page


def test_variables_are_declared_as_the_ports_are(export: Callable[..., Path]) -> None:
    fmu = export(SUMMING)
    assert validate_fmu(str(fmu)) == []
    described = read_model_description(str(fmu), validate=True)
    u, total, count, last = described.modelVariables
    assert (u.name, u.causality, u.unit, u.start, u.min, u.max) == ("u", "input", "kN", "2.0", "0.0", "10.0")
    assert u.description == "what is summed"
    assert (total.causality, total.type, total.unit, total.variability, total.initial, total.start) == (
        ("output", "Real", "kN", "discrete", "calculated", None)
    )
    assert (count.type, last.name, last.unit) == ("Integer", "last.time", "s")
    (kilonewton,) = (unit for unit in described.unitDefinitions if unit.name == "kN")
    assert (kilonewton.baseUnit.kg, kilonewton.baseUnit.s, kilonewton.baseUnit.factor) == (1, -2, 1000.0)


def test_the_same_component_gives_the_same_bytes(export: Callable[..., Path]) -> None:
    assert export(SUMMING).read_bytes() == export(SUMMING).read_bytes()


@pytest.mark.parametrize("source", [SUMMING, STEPPED])
def test_galenic_check_finds_nothing_wrong(export: Callable[..., Path], source: str) -> None:
    verdicts = {verdict.check: verdict for verdict in check_fmu(export(source))}
    assert not [v for v in verdicts.values() if v.outcome == Outcome.FAILED]
    for check in ("instantiation", "run", "state machine", "wrong calls", "variable step", "two instances"):
        assert verdicts[check].outcome == Outcome.OK, verdicts[check]


# ---- how it runs ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sizes", [[0.5] * 6, [0.25] * 12, [1.5, 1.5], [0.1] * 30, [0.7, 0.2, 1.1, 1.0], [3.0]])
def test_a_sampled_component_is_executed_at_the_multiples_of_its_period(
    export: Callable[..., Path], sizes: list[float]
) -> None:
    found = in_session(
        """
        import json
        summing = load(args[0]).start(100.0)
        before = summing.get("sum", "count", "last.time")
        for size in json.loads(args[1]):
            assert summing.step(size) == 0
        answer([before, summing.get("sum", "count", "last.time")])
        """,
        export(SUMMING),
        json.dumps(sizes),
    )
    assert found == [[5.0, 0, -1.0], [17.0, 6, 102.5]]


def test_a_stepped_component_is_initialised_stepped_and_terminated(export: Callable[..., Path], tmp_path: Path) -> None:
    gone = tmp_path / "gone.txt"
    rows = in_session(
        """
        lag = load(args[0]).start(2.0, u=30.0)
        rows = [lag.get("y", "steps", "above")]
        lag.set(u=40.0, shift=5)
        lag.step(1.0)
        rows.append(lag.get("y", "steps", "above"))
        lag.set(on=False)
        lag.step(1.0)
        rows.append(lag.get("y", "steps", "above"))
        assert lag.call("terminate") == 0
        lag.slave.freeInstance()
        answer(rows)
        """,
        export(STEPPED),
        GONE=str(gone),
    )
    y = 32.0 + (1.0 - np.exp(-1.0 / 3.0)) * (45.0 - 32.0)
    assert rows == [[32.0, 0, False], [pytest.approx(y), 1, False], [pytest.approx(y), 2, False]]
    assert gone.read_text().startswith("gone")


def test_fmpy_simulates_it(export: Callable[..., Path]) -> None:
    answer = in_session(
        """
        from fmpy import simulate_fmu
        result = simulate_fmu(args[0], stop_time=3.0, step_size=0.5, output_interval=0.5, start_values={"u": 1.0})
        answer([result["time"].tolist(), result["sum"].tolist()])
        """,
        export(SUMMING),
    )
    assert answer == [[0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0], [5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0]]


def test_an_error_in_the_component_is_an_error_with_its_last_line_and_a_reset_heals(
    export: Callable[..., Path],
) -> None:
    found = in_session(
        """
        one, other = load(args[0]), load(args[0])
        one.start(), other.start()
        one.step(0.5)
        one.set(u=7.0)
        statuses = [one.step(0.5), one.step(0.5)]
        said = list(one.messages)
        assert other.step(0.5) == 0
        assert other.get("sum") == 7.0 and not other.messages
        assert one.get("sum") == 7.0
        statuses.append(one.call("reset"))
        one.initialize()
        statuses.append(one.step(0.5))
        answer([statuses, said, one.get("sum", "count")])
        """,
        export(SUMMING),
    )
    statuses, said, values = found
    assert statuses == [3, 3, 0, 0]
    (first, second) = said
    assert first[:2] == [3, "logStatusError"]
    assert "'Summing': the execution at t = 0.5 s failed: ArithmeticError: seven is too much: 100 % s" in first[2]
    assert "component.py, line 18" in first[2]
    assert "not allowed while the instance is failed" in second[2]
    assert values == [7.0, 1]


def test_the_whole_traceback_is_logged_where_logging_is_on(export: Callable[..., Path]) -> None:
    messages = in_session(
        """
        summing = load(args[0], logging=True).start(u=7.0)
        summing.step(0.5)
        answer(summing.messages)
        """,
        export(SUMMING),
    )
    assert [category for _, category, _ in messages] == ["logTraceback", "logStatusError"]
    assert "in do_step" in messages[0][2]


@pytest.mark.parametrize("failure", ["sys.exit(5)", "raise KeyboardInterrupt", "self.output_values = np.zeros(7)"])
def test_no_failure_of_the_component_ends_the_process(export: Callable[..., Path], failure: str) -> None:
    source = SUMMING.replace('raise ArithmeticError("seven is too much: 100 % s")', failure)
    found = in_session(
        """
        summing = load(args[0]).start(u=7.0)
        answer([summing.step(0.5), summing.messages])
        """,
        export("import sys\n" + source),
    )
    assert found[0] == 3
    assert "failed" in found[1][0][2]


def test_calls_that_make_no_sense_are_refused_and_leave_the_instance_usable(export: Callable[..., Path]) -> None:
    found = in_session(
        """
        summing = load(args[0])
        summing.instantiate()
        statuses = [summing.step(0.5), summing.call("terminate")]
        summing.initialize()
        statuses += [
            summing.call("doStep", 0.0, -1.0),
            summing.call("doStep", float("nan"), 1.0),
            summing.call("setReal", [1], [3.0]),
            summing.call("setReal", [99], [3.0]),
            summing.call("setInteger", [0], [3]),
            summing.call("getString", [0]),
            summing.call("getFMUState"),
        ]
        summing.time = 0.0
        assert summing.step(0.5) == 0
        answer([statuses, [text for _, _, text in summing.messages], summing.get("sum")])
        """,
        export(SUMMING),
    )
    statuses, texts, total = found
    assert statuses == [3] * 9
    assert len(texts) == 9
    assert total == 7.0


@pytest.mark.skipif(HERE != "linux64", reason="needs /proc")
def test_instances_come_and_go_without_losing_more_than_pythonfmu_does(export: Callable[..., Path]) -> None:
    first, last = in_session(
        """
        import gc, os, sys
        summing = load(args[0])
        def cycle(count):
            for _ in range(count):
                summing.start()
                assert summing.step(0.5) == 0
                summing.call("terminate")
                summing.slave.fmi2FreeInstance(summing.slave.component)
            gc.collect()
            memory = next(line for line in open("/proc/self/status") if line.startswith("VmRSS"))
            return len(os.listdir("/proc/self/fd")), len(sys.path), int(memory.split()[1])
        answer([cycle(2000), cycle(8000)])
        """,
        export(SUMMING),
    )
    assert last[:2] == first[:2]
    assert last[2] - first[2] < 12000  # KiB: PythonFMU's library loses a KiB with each instance, we nothing


def test_the_folder_may_have_any_name(export: Callable[..., Path], tmp_path: Path) -> None:
    folder = tmp_path / "Übung 100% (1)"
    found = in_session("answer(load(args[0], folder=args[1]).start().step(0.5))", export(SUMMING), folder)
    assert found == 0


def test_several_fmus_live_in_one_process(export: Callable[..., Path]) -> None:
    found = in_session(
        """
        fmus = [load(fmu).start() for fmu in args]
        answer([fmu.step(0.5) for fmu in fmus] + [fmus[0].get("sum"), fmus[1].get("y"), fmus[2].get("sum")])
        """,
        export(SUMMING),
        export(STEPPED),
        export(SUMMING.replace("np.array([5.0, ", "np.array([50.0, ").replace("Summing", "Other")),
    )
    assert found == [0, 0, 0, 7.0, 20.0, 52.0]


def test_instances_run_in_threads(export: Callable[..., Path]) -> None:
    sums = in_session(
        """
        from concurrent.futures import ThreadPoolExecutor
        from fmpy import extract
        folder = extract(args[0])
        def run(number):
            summing = load(args[0], unpacked=folder).start(u=float(number))
            for _ in range(50):
                assert summing.step(0.5) == 0
            return summing.get("sum")
        with ThreadPoolExecutor(8) as pool:
            answer(list(pool.map(run, range(7))))
        """,
        export(SUMMING),
    )
    assert sums == [5.0 + 50.0 * number for number in range(7)]


HELPED = SUMMING.replace("import numpy as np", "import numpy as np\n\nfrom helper import GAIN").replace(
    "+= self.input_values[0]", "+= GAIN * self.input_values[0]"
)


def test_a_helper_beside_the_component_is_embedded(export: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("GAIN = 10.0\n", encoding="utf-8")
    fmu = export(HELPED, files=["helper.py"])
    (tmp_path / "helper.py").unlink()
    assert in_session("s = load(args[0]).start(); s.step(0.5); answer(s.get('sum'))", fmu) == 25.0


def test_an_fmu_is_unpacked_again_where_its_first_folder_is_gone(export: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("GAIN = 10.0\n", encoding="utf-8")
    (tmp_path / "gain.txt").write_text("3", encoding="utf-8")
    source = HELPED.replace(
        "self.name, self", "self.gain = float(open(__file__[:-12] + 'gain.txt').read())\n        self.name, self"
    )
    fmu = export(source, files=["helper.py", "gain.txt"])
    found = in_session(
        """
        from fmpy import simulate_fmu
        answer([float(simulate_fmu(args[0], stop_time=1.0, step_size=0.5)["sum"][-1]) for _ in range(3)])
        """,
        fmu,
    )
    assert found == [45.0] * 3


def test_bounds_may_be_infinite_and_numbers_numpys(export: Callable[..., Path]) -> None:
    fmu = export(SUMMING.replace("2.0, 0.0, 10.0", "np.int64(2), -np.inf, np.float32(10.0)"))
    u, *_ = read_model_description(str(fmu)).modelVariables
    assert (u.start, u.min, u.max) == ("2.0", None, "10.0")
    assert in_session("s = load(args[0]).start(); s.step(0.5); answer(s.get('sum'))", fmu) == 7.0


@pytest.mark.parametrize("layout", ["helper.py", "helper/__init__.py"])
def test_a_helper_that_another_module_hides_is_refused(
    export: Callable[..., Path], tmp_path: Path, layout: str
) -> None:
    helper = tmp_path / layout
    helper.parent.mkdir(exist_ok=True)
    helper.write_text("GAIN = 10.0\n", encoding="utf-8")
    first = export(HELPED, files=[layout.split("/")[0]])
    helper.write_text("GAIN = 20.0\n", encoding="utf-8")
    second = export(HELPED.replace("Summing", "Other"), files=[layout.split("/")[0]])
    found = in_session(
        """
        load(args[0]).start()
        other = load(args[1])
        answer([other.instantiate(), other.messages[0][2]])
        """,
        first,
        second,
    )
    assert found[0] is False
    assert "another module 'helper'" in found[1]


def test_a_class_may_stand_elsewhere_than_its_scenario_and_inherit_what_it_states(tmp_path: Path) -> None:
    for name in ("classes", "plant"):
        (tmp_path / name).mkdir()
    source = SUMMING.replace("class Summing:", "class Base:").replace(
        "    def __init__",
        "    files = ['gain.txt']\n    requires = ['numpy>=1.26', 'pytest>=1']\n\n    def __init__",
        1,
    )
    source += """
class Own(Base):
    def __init__(self, name, config):
        super().__init__(name)
        with open(__file__[:-6] + "gain.txt") as file:
            self.output_values[0] = float(file.read()) + len(config["note"])
        self.reads, self.writes, self.supervises = (None,), (None, None, None), ()

    @classmethod
    def from_config(cls, name, config, context):
        return cls(name, config | {"note": (context.directory / config["note"]).read_text()})
"""
    (tmp_path / "classes" / "own.py").write_text(source, encoding="utf-8")
    (tmp_path / "classes" / "gain.txt").write_text("3", encoding="utf-8")
    (tmp_path / "plant" / "note.txt").write_text("four", encoding="utf-8")
    scenario = """\
        scenario: galenic/1
        duration: 1 s
        communication_step: 500 ms
        components: {press: {unit: tablet_press}}
        controllers: {mine: {type: "../classes/own.py:Own", note: note.txt}}
        """
    (tmp_path / "plant" / "plant.yaml").write_text(textwrap.dedent(scenario), encoding="utf-8")
    (fmu,) = build_controller_fmus(load_scenario(tmp_path / "plant" / "plant.yaml"), tmp_path)
    assert in_session("answer(load(args[0]).start().get('sum'))", fmu) == 7.0
    assert "pytest>=1" in description(fmu).attrib["description"]


# ---- what it needs --------------------------------------------------------------------------------------------------

MARKED = "from pathlib import Path\nimport os\nif 'MARK' in os.environ: Path(os.environ['MARK']).touch()\n" + SUMMING


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"packages": ["numpy>=99", "no-such-package>=1.2,<2"]},
            [
                f"numpy>=99 ({np.__version__} is there)",
                "no-such-package>=1.2,<2 (not installed)",
                '-m pip install "numpy>=99" "no-such-package>=1.2,<2"',
            ],
        ),
        ({"python": ">=3.99"}, ["needs Python >=3.99; this is Python 3."]),
    ],
)
def test_an_unmet_need_is_a_message_and_no_instance_before_the_component_is_imported(
    export: Callable[..., Path], tmp_path: Path, changes: dict[str, Any], said: list[str]
) -> None:
    fmu = export(MARKED)
    code = """
        summing = load(args[0])
        answer([summing.instantiate(), summing.messages])
        """
    mark = tmp_path / "imported"
    made, messages = in_session(code, rewritten(fmu, **changes), MARK=str(mark))
    assert made is False
    ((status, category, text),) = messages
    assert (status, category) == (3, "logStatusError")
    assert text.startswith("'Summing' needs ")
    for part in said:
        assert part in text
    assert not mark.exists()
    assert in_session(code, fmu, MARK=str(mark)) == [True, []]
    assert mark.exists()


def test_an_import_that_fails_is_a_message_and_no_instance(export: Callable[..., Path]) -> None:
    source = "import os\nif 'BROKEN' in os.environ: import no_such_module\n" + SUMMING
    made, messages = in_session(
        """
        summing = load(args[0])
        answer([summing.instantiate(), summing.messages])
        """,
        export(source),
        BROKEN="1",
    )
    assert made is False
    assert "ModuleNotFoundError: No module named 'no_such_module' (component.py, line 2)" in messages[0][2]


def test_another_guid_is_refused(export: Callable[..., Path]) -> None:
    found = in_session(
        """
        summing = load(args[0], guid="{other}")
        answer([summing.instantiate(), summing.messages[0][2]])
        """,
        export(SUMMING),
    )
    assert found[0] is False
    assert "the GUID is '{other}'" in found[1]


@pytest.mark.parametrize("source", [SUMMING, STEPPED])
def test_it_runs_where_galenic_is_not_installed(export: Callable[..., Path], source: str) -> None:
    found = in_session(
        """
        import importlib.machinery, sys
        class Hidden(importlib.machinery.PathFinder):
            @classmethod
            def find_spec(cls, name, path=None, target=None):
                if name in ("cosim", "fmus"):
                    path = [p for p in sys.path if p.endswith("contract")]
                return super().find_spec(name, path, target)
        sys.meta_path = [f for f in sys.meta_path if f is not importlib.machinery.PathFinder] + [Hidden]
        instance = load(args[0]).start()
        assert instance.step(0.5) == 0
        answer(sys.modules["cosim"].__file__.startswith(str(instance.folder)))
        """,
        export(source),
    )
    assert found is True


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Steps an FMU in a process that has no Python; the first argument is a platform."""
    programs: dict[str, Path] = {}

    def run(
        platform: str, fmu: Path, output: int, runner: tuple[str, ...] = (), **environment: str
    ) -> subprocess.CompletedProcess[str]:
        (target,) = chosen_platforms([platform])
        if platform not in programs:
            programs[platform] = tmp_path_factory.mktemp("host") / "host.exe"
            command = [sys.executable, "-m", "ziglang", "cc", "-target", target.targets[0], "-O1", "-w"]
            command += [str(Path(__file__).with_name("python_fmu_host.c")), "-o", str(programs[platform])]
            subprocess.run([*command, *(["-ldl"] if target.suffix == ".so" else [])], check=True)
        folder = Path(extract(str(fmu)))
        described = read_model_description(str(fmu))
        library = folder / "binaries" / platform / f"{described.coSimulation.modelIdentifier}{target.suffix}"
        uri = f"file:///Z:{folder}/resources" if platform == "win64" else (folder / "resources").as_uri()
        command = [*runner, str(programs[platform]), str(library), described.guid, uri, "3", "0.5", str(output)]
        clean = {k: v for k, v in os.environ.items() if k not in {"LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME"}}
        return subprocess.run(
            command, env=clean | environment, capture_output=True, text=True, check=False, timeout=120
        )

    return run


def shared_python() -> dict[str, str]:
    """The environment in which the loader finds this Python's library, and that the packages of this environment."""
    library = Path(sysconfig.get_config_var("LIBDIR")) / str(sysconfig.get_config_var("INSTSONAME"))
    if not (sysconfig.get_config_var("Py_ENABLE_SHARED") and library.is_file()):
        pytest.skip("this Python has no shared library")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return {"LD_LIBRARY_PATH": str(library.parent), "PATH": path}


@pytest.mark.skipif(HERE != "linux64", reason="the loader of Linux is meant")
def test_a_process_without_python_gets_a_message_or_a_python_that_the_loader_finds(
    export: Callable[..., Path], tmp_path: Path, host: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    fmu = export(SUMMING)
    nothing = rewritten(fmu)
    with zipfile.ZipFile(fmu) as old, zipfile.ZipFile(nothing, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "resources/front.txt":
                content = content.split(b"\n")[0] + b"\nlibpython-of-nobody.so.1.0\n"
            new.writestr(name, content)
    done = host("linux64", nothing, 1)
    assert done.returncode == 3
    assert "this FMU runs in Python, and this process has none" in done.stderr
    assert "libpython-of-nobody.so.1.0" in done.stderr
    done = host("linux64", fmu, 1, **shared_python())
    assert done.returncode == 0, done.stderr
    assert [float(line) for line in done.stdout.split()] == [7.0, 9.0, 11.0]


@pytest.mark.skipif(HERE != "linux64", reason="the library that fails is that for Linux")
@pytest.mark.skipif(shutil.which("valgrind") is None, reason="valgrind is not installed")
def test_the_end_of_a_process_frees_nothing_twice(
    export: Callable[..., Path], host: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    valgrind = ("valgrind", "--undef-value-errors=no")
    done = host("linux64", export(SUMMING), 1, valgrind, PYTHONMALLOC="malloc", **shared_python())
    assert done.returncode == 0, done.stderr
    errors = re.split(r"\n==\d+== \n", done.stderr)
    assert any("Memcheck" in error for error in errors)
    assert not [error for error in errors if "pythonfmu" in error and "Command:" not in error]


@pytest.mark.skipif(shutil.which("wine") is None, reason="wine is not installed")
def test_a_windows_process_without_python_gets_a_message(
    export: Callable[..., Path], host: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    done = host("win64", export(SUMMING), 1, ("wine",), WINEDEBUG="-all")
    assert done.returncode == 3, done.stderr
    assert "libraries tried: python3.dll" in done.stderr


# ---- versions -------------------------------------------------------------------------------------------------------

versions = st.lists(st.integers(0, 30), min_size=1, max_size=4).map(lambda parts: ".".join(map(str, parts)))


@given(versions, st.lists(st.tuples(st.sampled_from(["==", "!=", "<=", ">=", "<", ">"]), versions), max_size=3))
def test_versions_are_compared_as_packaging_compares_them(version: str, wanted: list[tuple[str, str]]) -> None:
    specifiers = pytest.importorskip("packaging.specifiers", reason="packaging is not installed")
    text = ",".join(operator + bound for operator, bound in wanted)
    assert clauses(text) == wanted
    assert satisfies(version, wanted) == specifiers.SpecifierSet(text).contains(version, prereleases=True)


@pytest.mark.parametrize(
    ("version", "text", "met"),
    [("1.5.2", "==1.5.*", True), ("1.50", "==1.5.*", False), ("1.6", "!=1.5.*", True), ("2.0.dev3+g1", ">=2", True)],
)
def test_versions_may_have_wildcards_and_suffixes(version: str, text: str, met: bool) -> None:
    assert satisfies(version, clauses(text)) is met


def test_all_that_is_missing_is_named_at_once() -> None:
    there = {"alpha": "1.4.9", "gamma": "3.0"}
    said = unmet(">=3.11", ["alpha>=1.5", "beta", "gamma<4"], there.get)
    assert "needs alpha>=1.5 (1.4.9 is there), beta (not installed), in the Python" in said
    assert 'pip install "alpha>=1.5" "beta"' in said
    assert unmet(">=3.11", ["gamma>=3,<4"], there.get) == ""


# ---- what is refused at export --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "message", "cure"),
    [
        (SUMMING.replace("import numpy", "import pytest\nimport numpy"), "imports 'pytest'", 'requires = ["pytest>='),
        (SUMMING.replace("cosim import Port", "cosim import Port, Results"), "more of Galenic", "galenic"),
        (SUMMING.replace("import numpy", "import beside\nimport numpy"), "'beside' is a module beside it", "files ="),
        (SUMMING.replace("    def __", "    files = ('no.csv',)\n\n    def __", 1), "no.csv' to embed", "files"),
        (
            SUMMING.replace("    def __", "    requires = ('numpy~=2',)\n\n    def __", 1),
            "requirement that can be",
            ">=",
        ),
        (SUMMING.replace("    def __", "    requires = ('numpy>=99',)\n\n    def __", 1), "is there", "pip install"),
        (SUMMING.replace("    def __", "    requires = 'numpy'\n\n    def __", 1), "list of texts", "requires ="),
        (SUMMING.replace("    def __", "    requires_python = 'new'\n\n    def __", 1), "range of versions", ">=3.11"),
        (SUMMING.replace("0.5\n", "-0.5\n", 1), "the period of 'Summing' is -0.5", "above 0"),
        (SUMMING.replace("[2.0]", "[2.0, 3.0]"), "has 1 inputs and 2 values", "one value for each port"),
        (SUMMING.replace('"last.time"', '"sum"'), "two ports 'sum'", "rename"),
        (SUMMING.replace('"kN"', '"florins"'), "unknown unit", "units are written"),
        (SUMMING.replace("self.period = name, 0.5", "self.period = name, 1 / 0"), "ZeroDivisionError", "correct"),
        (SUMMING.replace("def do_step", "def step"), "it has no do_step", "cosim.Component"),
        (SUMMING.replace("def do_step(", "def do_step["), "SyntaxError", "correct the component's file"),
    ],
)
def test_what_is_wrong_with_a_component_is_said_with_a_cure(
    export: Callable[..., Path], tmp_path: Path, source: str, message: str, cure: str
) -> None:
    (tmp_path / "beside.py").write_text("", encoding="utf-8")
    with pytest.raises(GalenicError) as raised:
        export(source)
    assert message in str(raised.value)
    assert cure in raised.value.cure + raised.value.message
    assert not list(tmp_path.glob("fmus/*"))


def test_an_error_in_the_constructor_is_said_with_its_line(export: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(GalenicError) as raised:
        export(SUMMING.replace("self.period = name, 0.5", "self.period = name, 1 / 0"))
    assert raised.value.file == tmp_path / "component.py"
    assert raised.value.line == 11


def test_a_component_that_needs_a_system_is_exported_with_its_scenario(export: Callable[..., Path]) -> None:
    source = SUMMING + (
        "\n    @classmethod\n    def from_config(cls, name, config, context):\n"
        "        context.port('press.hardness')\n        return cls(name)\n"
    )
    with pytest.raises(GalenicError, match=r"press\.hardness") as raised:
        export(source)
    assert "galenic export SCENARIO" in raised.value.cure


def test_macos_has_no_library_of_pythonfmu(export: Callable[..., Path]) -> None:
    with pytest.raises(GalenicError, match="darwin64") as raised:
        export(SUMMING, platforms=["darwin64"])
    assert "linux64 and win64" in raised.value.cure


def test_without_pythonfmu_the_export_says_how_to_install_it(
    export: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    hide_pythonfmu(monkeypatch)
    with pytest.raises(GalenicError, match="not installed") as raised:
        export(SUMMING)
    assert "pip install" in raised.value.cure


def test_a_class_is_a_component_and_a_function_a_unit_model(tmp_path: Path) -> None:
    file = tmp_path / "both.py"
    file.write_text("class Sensor: pass\ndef unit(): pass\n", encoding="utf-8")
    assert is_python_component(f"{file}:Sensor")
    assert not is_python_component(f"{file}:unit")
    assert not is_python_component(str(file))
    assert not is_python_component("tablet_press")
    assert not is_python_component(f"{tmp_path / 'no.py'}:Sensor")


def test_what_is_python_in_a_target_is_exported(export: Callable[..., Path], tmp_path: Path) -> None:
    export(SUMMING)
    target = f"{tmp_path / 'component.py'}:Summing"
    (fmu,) = build_python_fmus(target, tmp_path / "again", fmi=(2, 3), platforms=["linux64", "darwin64"])
    with zipfile.ZipFile(fmu) as archive:
        assert {n.split("/")[1] for n in archive.namelist() if n.startswith("binaries/")} == {"linux64"}
    assert build_python_fmus("tablet_press", tmp_path) == []
    assert build_python_fmus("tablet_line", tmp_path) == []
    with pytest.raises(GalenicError, match=r"FMI 2\.0 only"):
        build_python_fmus(target, tmp_path, fmi=(3,))


@pytest.mark.parametrize(
    ("wanted", "why"), [({"fmi": (3,)}, "FMI 2.0 only"), ({"platforms": ["darwin64"]}, "darwin64"), ({}, "installed")]
)
def test_a_scenarios_controllers_that_cannot_be_exported_are_left_out_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: dict[str, Any], why: str
) -> None:
    (tmp_path / "own.py").write_text("class Own: ...\n", encoding="utf-8")
    file = tmp_path / "own.yaml"
    text = """\
        scenario: galenic/1
        duration: 1 s
        communication_step: 1 s
        components: {press: {unit: tablet_press}}
        controllers: {mine: {type: "own.py:Own"}}
        """
    file.write_text(textwrap.dedent(text), encoding="utf-8")
    if not wanted:
        hide_pythonfmu(monkeypatch)
    said: list[str] = []
    assert build_python_fmus(str(file), tmp_path, on_left_out=said.append, **wanted) == []
    (message,) = said
    assert "'mine'" in message
    assert why in message


def test_an_fmu_of_a_python_component_is_a_component_of_a_scenario(export: Callable[..., Path], tmp_path: Path) -> None:
    export(SUMMING.replace("== 7.0", "> 6.0"))
    file = tmp_path / "with_fmu.yaml"
    text = """\
        scenario: galenic/1
        duration: 2 s
        communication_step: 500 ms
        components: {summing: {fmu: fmus/Summing.fmu}}
        disturbances:
          - {signal: summing.u, step: {at: 1 s, to: %s kN}}
        """
    file.write_text(textwrap.dedent(text % 3.0), encoding="utf-8")
    frame = simulate(load_scenario(file), out=tmp_path / "run").frame(["summing.sum"])
    assert frame["summing.sum"].tolist() == [5.0, 7.0, 9.0, 12.0, 15.0]
    file.write_text(textwrap.dedent(text % 7.0), encoding="utf-8")
    with pytest.raises(GalenicError, match=r"t = 1 s.*seven is too much: 100 % s \(component\.py, line 18\)"):
        simulate(load_scenario(file), out=tmp_path / "failed")


def test_the_class_of_the_page_is_exported_and_runs(export: Callable[..., Path]) -> None:
    page = (EXAMPLES.parent / "python_components.md").read_text(encoding="utf-8")
    fmu = export(page.split("```python\n")[1].split("```")[0])
    assert validate_fmu(str(fmu)) == []
    code = (
        "m = load(args[0]).start(); m.set(value=9.0); m.step(5.0); m.set(value=3.0); m.step(5.0); answer(m.get('mean'))"
    )
    assert in_session(code, fmu) == 6.0


@pytest.mark.parametrize("importer", ["libcosimpy", "ecospy"])
def test_other_importers_get_what_fmpy_gets(export: Callable[..., Path], tmp_path: Path, importer: str) -> None:
    program = Path(__file__).parents[1] / "fmus" / "importers.py"
    rows = {}
    for name in ("fmpy", importer):
        job = {
            "fmu": str(export(SUMMING)),
            "answer": str(tmp_path / f"{name}.json"),
            "steps": 10,
            "size": 0.5,
            "inputs": {"u": [0, [2.0]]},
            "outputs": {"sum": [1, 1], "last.time": [3, 1]},
        }
        done = subprocess.run(
            [sys.executable, str(program), name], input=json.dumps(job), capture_output=True, text=True, check=False
        )
        if done.returncode == 77:
            pytest.skip(done.stderr.strip())
        assert done.returncode == 0, done.stderr
        rows[name] = json.loads(Path(job["answer"]).read_text(encoding="utf-8"))
    assert len(rows["fmpy"]) == 10
    assert rows[importer] == rows["fmpy"]
