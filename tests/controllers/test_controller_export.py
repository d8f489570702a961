from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fmpy
import numpy as np
import pytest
import yaml
from fmpy.fmi2 import FMU2Slave
from fmpy.validation import validate_fmu

from controllers.export.build import build_controller_fmu, controller_model
from controllers.export.source import exported_mpc
from controllers.linear.law import LinearLaw
from controllers.mpc import MPCController
from controllers.operation.reasons import Mode, Rung, StepReason
from cosim import Simulation, find_scenario, load_scenario
from cosim.system_builder import build_system
from cosim.yaml_lines import read_yaml
from fmus.check import check_fmu
from fmus.check.verdict import Outcome
from fmus.errors import GalenicError

PERIOD = 10.0


def the_mpc() -> MPCController:
    """A new controller of the tablet line."""
    controller = build_system(load_scenario("tablet_line")).controllers["mpc"]
    assert isinstance(controller, MPCController)
    return controller


@pytest.fixture(scope="module")
def fmus(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """The controller of the tablet line by FMI version, for this platform."""
    model = controller_model("line_mpc", "The controller of the tablet line", exported_mpc(the_mpc()))
    folder = tmp_path_factory.mktemp("export")
    return {fmi: build_controller_fmu(model, folder, fmi=fmi) for fmi in (2, 3)}


class Session:
    """An FMI 2.0 controller, read and set by name."""

    def __init__(self, file: Path, folder: str, values: Mapping[str, float]) -> None:
        description = fmpy.read_model_description(str(file))
        self.variables = {v.name: v for v in description.modelVariables}
        identifier = description.coSimulation.modelIdentifier
        self.slave = FMU2Slave(guid=description.guid, unzipDirectory=folder, modelIdentifier=identifier)
        self.slave.instantiate()
        self.slave.setupExperiment(startTime=0.0)
        self.set(values)
        self.slave.enterInitializationMode()
        self.slave.exitInitializationMode()

    def set(self, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            variable = self.variables[name]
            where = [variable.valueReference]
            if variable.type == "Real":
                self.slave.setReal(where, [float(value)])
            elif variable.type == "Integer":
                self.slave.setInteger(where, [int(value)])
            else:
                self.slave.setBoolean(where, [bool(value)])

    def get(self, name: str) -> float:
        variable = self.variables[name]
        read = {"Real": self.slave.getReal, "Integer": self.slave.getInteger, "Boolean": self.slave.getBoolean}
        return float(read[variable.type]([variable.valueReference])[0])

    def outputs(self) -> dict[str, float]:
        return {n: self.get(n) for n, v in self.variables.items() if v.causality == "output"}

    def nominal(self, name: str) -> float:
        return float(self.variables[name].nominal or 1.0)


@contextmanager
def session(file: Path, folder: Path, **values: float) -> Iterator[Session]:
    opened = Session(file, fmpy.extract(str(file), str(folder)), values)
    try:
        yield opened
    finally:
        opened.slave.terminate()
        opened.slave.freeInstance()


def plant(controller: MPCController, steps: int, wild: float, seed: int) -> Iterator[np.ndarray]:
    """What arrives at the controller's ports: wandering measurements, some missing or absurd, references that jump."""
    rng = np.random.default_rng(seed)
    law, border = controller.law, controller.border
    middle = np.array([0.0 if p.start is None else p.start for p in controller.inputs])
    for channel in border.measured:
        middle[channel.index] = (border.operating_point[channel.output] - channel.offset) / channel.factor
    for channel, start in zip(border.fallbacks, border.start, strict=True):
        middle[channel.index] = (start - channel.offset) / channel.factor
    setpoints = [i for i, p in enumerate(controller.inputs) if p.name.endswith(".setpoint")]
    wander, values = np.zeros(len(middle)), middle.copy()
    assert len(setpoints) == sum(y.tracked for y in law.outputs)
    for _ in range(steps):
        for channel in border.measured:
            i = channel.index
            wander[i] = 0.99 * wander[i] + rng.normal() * 0.004 * wild * middle[i]
            values[i] = middle[i] + wander[i] + rng.normal() * 0.002 * middle[i]
            if channel.sample is not None:
                values[channel.sample] += rng.random() < 0.4
            if rng.random() < 0.01 * wild:
                values[i] = rng.choice([np.nan, 1e9])
        for i in setpoints:
            if rng.random() < 0.02:
                values[i] = middle[i] * (1.0 + rng.normal() * 0.02 * wild) if rng.random() < 0.9 else np.nan
        for channel in border.fallbacks:
            values[channel.index] = middle[channel.index] * (1.0 + 0.01 * rng.normal())
        yield values


def differences(file: Path, folder: Path, rows: Any, controller: MPCController, **start: float) -> dict[str, float]:
    """The largest difference of each output, by its nominal value, over an open loop with the same inputs."""
    worst: dict[str, float] = {}
    names = [p.name for p in controller.outputs]
    with session(file, folder, fallback_connected=1, **start) as fmu:
        for k, row in enumerate(rows):
            controller.input_values[:] = row
            controller.do_step(k * PERIOD, PERIOD)
            fmu.set({p.name: v for p, v in zip(controller.inputs, row, strict=True)})
            fmu.slave.doStep(k * PERIOD, PERIOD)
            for name, value in fmu.outputs().items():
                expected = controller.output_values[names.index(name)]
                if name == "mismatch" and np.isnan(expected):
                    expected = 0.0  # nothing measured yet
                off = abs(value - expected) / fmu.nominal(name)
                worst[name] = max(worst.get(name, 0.0), off)
    return worst


def test_the_fmu_returns_what_the_controller_returns(fmus: dict[int, Path], tmp_path: Path) -> None:
    controller = the_mpc()
    worst = differences(fmus[2], tmp_path, plant(controller, 300, 1.0, 1), controller)
    assert {p.name for p in controller.outputs} > set(worst) > {y.name for y in controller.law.inputs}
    assert all(np.isfinite(v) for v in worst.values())
    assert {n for n, off in worst.items() if off > 1e-6} == set()


def test_it_steps_back_and_returns_as_the_controller_does(fmus: dict[int, Path], tmp_path: Path) -> None:
    controller = the_mpc()
    seen: set[tuple[int, int]] = set()
    modes = [Mode.CLOSED] * 40 + [Mode.OFF] * 3 + [Mode.SHADOW] * 5 + [Mode.CLOSED] * 42
    mode = [p.name for p in controller.inputs].index("mode")
    rung, reason = ([p.name for p in controller.outputs].index(n) for n in ("rung", "reason"))

    def rows() -> Iterator[np.ndarray]:
        for k, row in enumerate(plant(controller, 360, 3.0, 2)):
            row[mode] = modes[k % len(modes)]
            yield row
            seen.add((int(controller.output_values[rung]), int(controller.output_values[reason])))

    worst = differences(fmus[2], tmp_path, rows(), controller)
    assert {(Rung.SOLVED, StepReason.MISMATCH), (Rung.BACKUP, StepReason.MEASUREMENT_MISSING)} <= seen
    assert (Rung.BACKUP, StepReason.SWITCHED_OFF) in seen
    assert {n: worst[n] for n in ("status", "reason", "rung", "active", "failures")} == dict.fromkeys(
        ("status", "reason", "rung", "active", "failures"), 0.0
    )
    assert {n for n, off in worst.items() if off > 1e-5} == set()


@pytest.mark.parametrize(("follows", "below"), [(1, Rung.BACKUP), (0, Rung.BACKUP)])
def test_after_a_failed_solve_it_gives_what_the_ladder_gives(
    follows: int, below: Rung, fmus: dict[int, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bounds that cross by nothing worth speaking of leave no target: the last plan goes on, then what is below."""
    controller = the_mpc()
    law = controller.law
    assert isinstance(law, LinearLaw)
    place, name = 4, law.inputs[4].name
    low, high = law._low.copy(), law._high.copy()
    monkeypatch.setattr(type(law._objective), "low", property(lambda _: law._low))
    monkeypatch.setattr(type(law._objective), "high", property(lambda _: law._high))
    names = [p.name for p in controller.outputs]
    rungs: list[tuple[int, int]] = []
    worst: dict[str, float] = {}
    with session(fmus[2], tmp_path, fallback_connected=follows) as fmu:
        for k, row in enumerate(plant(controller, 90, 0.3, 4)):
            if k in (60, 75):
                applied = controller.shell._applied
                assert applied is not None
                pinned = float(applied[place]) if k == 60 else None
                for bounds, usual, more in ((law._low, low, 1e-9), (law._high, high, 0.0)):
                    bounds[place] = usual[place] if pinned is None else pinned + more
                controller.shell.law.low[place], controller.shell.law.high[place] = law._low[place], law._high[place]
                channel = controller.border.targets[place]
                for side, value in (("min", law._low[place]), ("max", law._high[place])):
                    fmu.set({f"{name}.{side}": (value - channel.offset) / channel.factor})
            if not follows:
                row[[c.index for c in controller.border.fallbacks]] = np.nan
            controller.input_values[:] = row
            controller.do_step(k * PERIOD, PERIOD)
            fmu.set({p.name: v for p, v in zip(controller.inputs, row, strict=True) if follows or not np.isnan(v)})
            fmu.slave.doStep(k * PERIOD, PERIOD)
            rungs.append((int(controller.output_values[names.index("rung")]), int(fmu.get("rung"))))
            for u in law.inputs:
                off = abs(fmu.get(u.name) - controller.output_values[names.index(u.name)]) / fmu.nominal(u.name)
                worst[u.name] = max(worst.get(u.name, 0.0), off)
    assert [ours for ours, _ in rungs] == [theirs for _, theirs in rungs]
    assert {Rung.SOLVED, Rung.SHIFTED, below} <= {rung for rung, _ in rungs}
    assert {n for n, off in worst.items() if off > 1e-6} == set()


def test_in_a_closed_loop_it_takes_the_controllers_place(fmus: dict[int, Path], tmp_path: Path) -> None:
    """The tablet line without regulatory loops, steered by the controller or by its FMU as a component."""
    source = find_scenario("tablet_line")
    text: dict[str, Any] = json.loads(json.dumps(read_yaml(source).data))
    for key in ("kpis", "plot"):
        del text[key]
    section = text["controllers"]["mpc"]
    del section["supervises"]
    for owner, key in (
        (section, "surrogate"),
        (section, "design_space"),
        (text["components"]["press"], "parameter_file"),
    ):
        owner[key] = str(source.parent / owner[key])
    text |= {"controllers": {"mpc": section}, "master": {"algorithm": "gauss_seidel"}, "duration": "20 min"}
    columns = list(section["manipulated"])

    def run(name: str) -> np.ndarray:
        file = tmp_path / f"{name}.yaml"
        file.write_text(yaml.safe_dump(text, sort_keys=False), encoding="utf-8")
        with Simulation(load_scenario(file)) as simulation:
            rows = []
            for _ in range(120):
                simulation.step(10)
                rows.append([simulation.system.signals[simulation.system.index[c]] for c in columns])
        return np.array(rows)

    python = run("python")
    del text["controllers"]
    text["components"] = {"mpc": {"fmu": str(fmus[2])}, **text["components"]}
    for name, entry in section["measurements"].items():
        sensor, label = entry["sensor"].split(".")[0], name.split(".")[-1]
        text["connections"] += [f"{sensor}.{port} -> mpc.{label}.{to}" for port, to in PORTS]
    text["connections"] += [f"mpc.{name} -> {name}" for name in columns]
    native = run("native")
    assert (np.ptp(python, axis=0) > 1e-3 * np.abs(python[0])).all()
    np.testing.assert_allclose(native, python, rtol=1e-8)


PORTS = (("value", "measured"), ("sample", "sample"))


@pytest.mark.parametrize("size", [2.5, 30.0])
def test_communication_steps_may_be_parts_or_multiples_of_the_period(
    size: float, fmus: dict[int, Path], tmp_path: Path
) -> None:
    """Inputs move every 30 s, so that all see the same."""
    controller = the_mpc()
    rows = [row.copy() for row in plant(controller, 40, 1.0, 3)]

    def trace(h: float) -> list[dict[str, float]]:
        found = []
        with session(fmus[2], tmp_path / str(h), fallback_connected=1) as fmu:
            for k, row in enumerate(rows):
                fmu.set({p.name: v for p, v in zip(controller.inputs, row, strict=True) if not np.isnan(v)})
                for i in range(round(30.0 / h)):
                    fmu.slave.doStep(30.0 * k + i * h, h)
                found.append(fmu.outputs())
        return found

    assert trace(size) == trace(PERIOD)


def test_between_executions_the_outputs_hold(fmus: dict[int, Path], tmp_path: Path) -> None:
    with session(fmus[2], tmp_path, start_after=0.0) as fmu:
        changes = []
        for k in range(40):
            fmu.set({"hardness.measured": 50.0 + 0.1 * k, "hardness.sample": k})
            fmu.slave.doStep(float(k), 1.0)
            changes.append(fmu.get("press.gap_setpoint"))
    moved = np.flatnonzero(np.diff(changes)) + 1
    assert set(moved) == {10, 20, 30}


def test_bounds_moves_and_limits_are_parameters_that_may_change_on_the_way(
    fmus: dict[int, Path], tmp_path: Path
) -> None:
    name = "press.turret_speed_setpoint"
    with session(fmus[2], tmp_path, start_after=0.0, **{f"{name}.max_move": 50.0}) as fmu:
        speeds = []
        for k in range(60):
            if k == 30:
                fmu.set({f"{name}.max": 119000.0, f"{name}.max_move": 1000.0})
            fmu.set({"level.measured": 48.0, "level.sample": k})
            fmu.slave.doStep(k * PERIOD, PERIOD)
            speeds.append(fmu.get(name))
    assert np.abs(np.diff(speeds[:30])).max() <= 50.0 * (1.0 + 1e-9)
    assert max(speeds[30:]) <= 119000.0


def test_without_an_answer_it_holds_or_follows_the_fallback_inputs(fmus: dict[int, Path], tmp_path: Path) -> None:
    name = "press.gap_setpoint"
    for follows, rung in ((0, Rung.HOLD), (1, Rung.BACKUP)):
        with session(fmus[2], tmp_path / str(follows), start_after=0.0, fallback_connected=follows) as fmu:
            for k in range(12):
                value = np.nan if k >= 8 else 52.0 + 0.3 * k
                fmu.set({"hardness.measured": value, "hardness.sample": k, f"fallback.{name}": 2.0 + 0.01 * k})
                before = fmu.get(name)
                fmu.slave.doStep(k * PERIOD, PERIOD)
            assert fmu.get("status") == StepReason.MEASUREMENT_MISSING
            assert fmu.get("rung") == rung
            assert fmu.get("failures") > 0
            assert fmu.get("active") == 0
            assert fmu.get(name) == pytest.approx(2.11 if follows else before, abs=1e-12)


def test_a_region_of_setpoints_is_refused_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    controller = the_mpc()
    monkeypatch.setattr(controller.law, "region", object())
    with pytest.raises(GalenicError, match="design space") as caught:
        exported_mpc(controller)
    assert "--python" in str(caught.value)


@pytest.mark.parametrize("fmi", [2, 3])
def test_the_file_is_valid(fmi: int, fmus: dict[int, Path]) -> None:
    assert validate_fmu(str(fmus[fmi])) == []


def test_galenic_check_finds_nothing_wrong(fmus: dict[int, Path]) -> None:
    failed = [f"{v.check}: {v.found}" for v in check_fmu(fmus[3]) if v.outcome is Outcome.FAILED]
    assert failed == []


@pytest.mark.parametrize("fmi", [2, 3])
def test_the_page_has_the_law_its_settings_and_every_variable(fmi: int, fmus: dict[int, Path]) -> None:
    with zipfile.ZipFile(fmus[fmi]) as archive:
        page = archive.read("documentation/index.html").decode()
        sources = {n for n in archive.namelist() if n.startswith("sources/") and n.endswith((".c", ".h"))}
    plain = page.replace("<wbr/>", "")
    for variable in fmpy.read_model_description(str(fmus[fmi])).modelVariables:
        assert variable.name == "time" or f"<code>{variable.name}</code>" in plain
        assert variable.type != "Real" or variable.unit
    assert "Goldfarb" in page
    assert "integrating disturbances" in page
    assert {"sources/controller.c", "sources/linear_law.c", "sources/quadratic_program.c"} <= sources
