"""Surrogates learned from runs: excitation, ARX, NARX and neural models, their domain and their files."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from controllers.surrogates import arx, excitation, load_model, records
from controllers.surrogates import narx as sparse
from controllers.surrogates.data_driven import Lagged, read
from controllers.surrogates.domain import Domain
from controllers.surrogates.files import write
from controllers.surrogates.lagged import Scale, Window, data_of, step_of
from controllers.surrogates.linear_surrogate import LinearSurrogate, SurrogateInput, SurrogateOutput
from controllers.surrogates.multistep import refine
from controllers.surrogates.neural import Network
from controllers.surrogates.plan import IdentificationPlan, InputPlan
from controllers.surrogates.records import Job, Record
from controllers.surrogates.training import train
from controllers.surrogates.training_task import Trained
from fmus.errors import GalenicError

PERIOD = 10.0


class Tanks:
    """Two lags behind a dead time of 5 periods, a product of two inputs, and an integrator."""

    def __init__(self, gain: float = 0.0) -> None:
        self.u = {"a": 1.0, "b": 2.0}
        self.late = [1.0] * 5
        self.x = [1.0, 2.0]
        self.level, self.gain = 50.0, gain

    def unit(self, name: str) -> str:
        return {"a": "kg/h", "b": "1"}.get(name, "%")

    def set(self, name: str, value: float) -> None:
        self.u[name] = value

    def advance(self, seconds: float) -> None:
        for _ in range(round(seconds / PERIOD)):
            self.late.append(self.u["a"])
            arriving = self.late.pop(0)
            self.x = [0.9 * self.x[0] + 0.1 * arriving, 0.8 * self.x[1] + 0.2 * self.u["b"]]
            self.level += 0.2 * (self.u["a"] - 1.0) - 0.1 * (self.u["b"] - 2.0)

    def get(self, names: Sequence[str]) -> np.ndarray:
        y = 3.0 * self.x[0] + self.x[1] + self.gain * (self.x[0] - 1.0) * (self.x[1] - 2.0)
        values = {**self.u, "y": y, "level": self.level}
        return np.array([values[n] for n in names])

    def close(self) -> None:
        pass


PLAN = IdentificationPlan(
    {"a": InputPlan(0.5), "b": InputPlan("1 1")},
    {"y": False, "level": True},
    period=PERIOD,
    horizon=1500.0,
    settle=300.0,
    tolerance=1e-6,
    runs=2,
    duration=6000.0,
    fastest=40.0,
    slowest=150.0,
)


def trained(plan: IdentificationPlan, gain: float = 0.0) -> Trained:
    return train(lambda: Tanks(gain), plan, lambda rest, job: records.simulate(Tanks(gain), plan, rest, job))


@pytest.mark.parametrize("order", range(2, 13))
def test_a_maximum_length_sequence_is_white(order: int) -> None:
    bits = excitation.maximum_length_sequence(order)
    length = 2**order - 1
    assert len(bits) == length
    assert bits.sum() in (1.0, -1.0)
    correlation = np.fft.ifft(np.abs(np.fft.fft(bits)) ** 2).real
    np.testing.assert_allclose(correlation, [length, *[-1.0] * (length - 1)], atol=1e-8 * length)


def test_the_clock_and_the_length_of_a_prbs_follow_the_time_constants() -> None:
    design = excitation.design_prbs(10.0, 30.0, 300.0)
    assert design.clock * 10.0 <= 2.8 * 30.0 / 2.0 < (design.clock + 1) * 10.0
    assert design.samples * 10.0 >= 2.0 * np.pi * 3.0 * 300.0
    shape = excitation.prbs(design, 3, design.samples)
    assert np.abs(np.corrcoef(shape, rowvar=False) - np.eye(3)).max() < 0.01
    changes = np.flatnonzero(np.diff(shape[:, 0])) + 1
    assert (changes % design.clock == 0).all()


def test_a_hypercube_fills_every_part_of_every_range_once() -> None:
    points = excitation.hypercube(np.random.default_rng(1), 3, 160, 10)[::10]
    for column in points.T:
        assert sorted(np.floor((column + 1.0) * 8.0)) == list(range(16))


def test_time_constants_are_read_from_step_responses() -> None:
    k = np.arange(200.0)
    response = np.stack([1.0 - np.exp(-k / 5.0), np.where(k > 20, 1.0 - np.exp(-(k - 20.0) / 30.0), 0.0)], axis=1)
    fastest, slowest = excitation.time_constants(response[:, :, None], 2.0)
    assert fastest == pytest.approx(10.0, abs=2.1)
    assert slowest == pytest.approx(60.0, abs=4.1)


def test_arx_finds_a_linear_system_its_dead_times_and_its_integrator() -> None:
    result = trained(replace(PLAN, method="arx"))
    surrogate = result.linear
    assert isinstance(surrogate, LinearSurrogate)
    assert surrogate.provenance["arx"]["y"] == {"order": 2, "dead_time": [50.0, 0.0]}
    modes = np.sort(np.abs(np.linalg.eigvals(surrogate.a)))
    np.testing.assert_allclose(modes[-3:], [0.8, 0.9, 1.0], atol=1e-4)
    np.testing.assert_allclose(surrogate.step_response(150)[150], [[3.0, 1.0], [30.0, -15.0]], rtol=1e-3)
    assert all(y.fit > 99.9 for y in surrogate.outputs)
    assert set(surrogate.provenance["excitation"]) >= {"kind", "clock", "prbs_order"}


def test_a_subspace_method_finds_it_too(tmp_path: Path) -> None:
    result = trained(replace(PLAN, method="subspace"))
    surrogate = result.linear
    assert isinstance(surrogate, LinearSurrogate)
    assert surrogate.provenance["subspace"]["dead_time"] == [0.0, 0.0]  # the level answers at once
    np.testing.assert_allclose(surrogate.step_response(150)[150], [[3.0, 1.0], [30.0, -15.0]], rtol=1e-3)
    assert all(y.fit > 99.9 for y in surrogate.outputs)
    model = load_model(saved(result, tmp_path))
    assert (model.kind, model.horizon, model.notices) == ("linear", 1500.0, ())
    assert model.inflation(np.array([1.0, 4.0])) > 1.0


def test_arx_finds_the_dead_time_in_noise() -> None:
    rng = np.random.default_rng(3)
    design = excitation.design_prbs(PERIOD, 40.0, 150.0)
    job = Job("run", np.array([1.0, 2.0]) + 0.5 * excitation.prbs(design, 2, 2000), np.zeros(2), 0)
    run = records.simulate(Tanks(), PLAN, np.array([1.0, 2.0]), job)
    y = run.outputs + 0.05 * rng.standard_normal(run.outputs.shape)
    data = [run.inputs - [1.0, 2.0]], [y - run.outputs[0]], [False, True]
    model = arx.fit_outputs(*data, arx.find_dead_times(*data))[0]
    assert model.dead_time == (5, 0)
    np.testing.assert_allclose(model.step_response(150)[150], [3.0, 1.0], rtol=0.05)


@pytest.fixture(scope="module")
def narx() -> Trained:
    pytest.importorskip("sklearn")
    plan = replace(PLAN, method="narx", runs=4, lags={"outputs": 0, "filters": [95.0, 45.0], "inputs": [0, 5]})
    return trained(plan, 2.0)


def test_narx_learns_a_product_that_a_linear_model_cannot(narx: Trained) -> None:
    linear = trained(replace(PLAN, method="arx"), 2.0)
    assert narx.model.errors["y"].rmse[-1] < 0.35 * linear.model.errors["y"].rmse[-1]
    assert narx.model.errors["level"].fit[-1] > 99.0


def test_narx_finds_a_known_system() -> None:
    """y+ = 0.7 y + 0.2 u y + u, from windows that hold all of it."""
    pytest.importorskip("sklearn")
    runs = []
    for seed in range(3):
        u = excitation.levels(np.random.default_rng(seed), 1, 300, 1, 20)
        y = np.ones((301, 1))
        for k in range(300):
            y[k + 1] = 0.7 * y[k] + 0.2 * u[k] * y[k] + u[k]
        runs.append(Record("run", u, y, np.zeros(1)))
    window = Window(1, (0,))
    phi, change = data_of(window, runs, 1.0, [False])
    (model,) = sparse.paths(phi, change, [3])
    found = {term: coefficient for coefficient, term in model.terms[0] if abs(coefficient) > 1e-9}
    assert found == pytest.approx({(0,): -0.3, (1,): 1.0, (0, 1): 0.2}, rel=1e-6)


def test_a_network_learns_it_too() -> None:
    pytest.importorskip("sklearn")
    plan = replace(
        PLAN,
        method="neural",
        runs=4,
        duration=3000.0,
        units=6,
        lags={"outputs": 0, "filters": [95.0, 45.0], "inputs": [0]},
    )
    result = trained(plan, 2.0)
    assert result.model.kind == "neural"
    assert min(e.fit[-1] for e in result.model.errors.values()) > 85.0


def test_training_on_many_steps_removes_the_bias_of_noise() -> None:
    """y+ = 0.9 y + 0.1 u, y with noise: single steps give a pole that is too fast."""
    pytest.importorskip("sklearn")
    rng = np.random.default_rng(1)
    u = excitation.levels(rng, 1, 1000, 1, 40)
    y = np.zeros((1001, 1))
    for k in range(1000):
        y[k + 1] = 0.9 * y[k] + 0.1 * u[k]
    run = Record("run", u, y + 0.1 * rng.standard_normal(y.shape), np.zeros(1))
    window, ends = Window(1, (0,)), (SurrogateInput("u", "1", 0.0, -1.0, 1.0),)
    scale = Scale(np.zeros(2), np.ones(2), np.ones(1), np.zeros(1))
    phi, change = data_of(window, [run], 1.0, [False])
    (single,) = sparse.paths(phi, change, [2], 1)
    outputs = (SurrogateOutput("y", "1", 0.0),)
    many = refine(
        single,
        [run],
        1.0,
        lambda symbols: step_of(1.0, ends, outputs, window, scale, single, symbols),
        window,
        lambda _share: None,
    )
    poles = [1.0 + next(c for c, term in m.terms[0] if term == (0,)) for m in (single, many)]
    assert poles[0] < 0.87
    assert poles[1] == pytest.approx(0.9, abs=0.01)


def saved(result: Trained, folder: Path) -> Path:
    file = folder / "surrogate.yaml"
    result.save(file)
    return file


def test_a_file_reads_back_to_the_same_model(narx: Trained, tmp_path: Path) -> None:
    model = load_model(saved(narx, tmp_path))
    assert (model.kind, model.digest, model.notices) == ("narx", narx.model.digest, ())
    assert model.errors.keys() == narx.model.errors.keys()
    assert model.outputs[0].rmse == pytest.approx(narx.model.outputs[0].rmse, rel=1e-4)
    inputs = narx.records[0].inputs
    np.testing.assert_array_equal(model.simulate(inputs), narx.model.simulate(inputs))
    assert model.inflation(np.array([1.6, 2.0])) == pytest.approx(narx.model.inflation(np.array([1.6, 2.0])))


def test_a_linear_file_keeps_its_domain_and_errors(tmp_path: Path) -> None:
    result = trained(replace(PLAN, method="arx"))
    model = load_model(saved(result, tmp_path))
    assert model.errors["y"].fit[0] > 99.0
    assert model.horizon == 1500.0
    assert LinearSurrogate.load(tmp_path / "surrogate.yaml").a.shape == result.linear.a.shape  # type: ignore[union-attr]
    np.testing.assert_allclose(
        model.simulate(result.records[0].inputs),
        result.linear.predict(result.records[0].inputs),  # type: ignore[union-attr]
    )


def test_large_networks_have_their_numbers_in_a_file_beside(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    sizes = (12, 80, 60, 2)
    layers = [(0.1 * rng.standard_normal((n, m)), np.zeros(m)) for n, m in itertools.pairwise(sizes)]
    scale = Scale(np.zeros(12), np.ones(12), np.ones(2), np.zeros(2))
    inputs = SurrogateInput("a", "1", 0.0, -1.0, 1.0), SurrogateInput("b", "1", 0.0, -1.0, 1.0)
    outputs = SurrogateOutput("y", "%", 0.0), SurrogateOutput("level", "%", 0.0, True)
    window = Window(0, (0, 1), (20.0, 50.0))
    initial = window.state(np.zeros(2), np.zeros(2))
    lagged = Lagged(PERIOD, inputs, outputs, window, scale, Network(tuple(layers)), initial)
    file = tmp_path / "surrogate.yaml"
    write(file, lagged.sections(file, {}))
    excited = rng.uniform(-1.0, 1.0, (50, 2))
    np.testing.assert_array_equal(load_model(file).simulate(excited), lagged.model().simulate(excited))
    content = (tmp_path / "surrogate.npz").read_bytes()
    (tmp_path / "surrogate.npz").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(GalenicError, match="not the file that belongs"):
        load_model(file)


def test_a_changed_plant_is_told(narx: Trained, tmp_path: Path) -> None:
    from controllers.surrogates.equations import digest_of
    from cosim import load_scenario

    scenario = {
        "scenario": "galenic/1",
        "duration": "1 h",
        "communication_step": "1 s",
        "components": {"tank": {"unit": "media_tank", "parameters": {"initial_volume": 60}}},
    }
    plant = tmp_path / "plant.yaml"
    plant.write_text(yaml.safe_dump(scenario), encoding="utf-8")
    file = saved(narx, tmp_path)
    data = yaml.safe_load(file.read_text(encoding="utf-8"))
    data["provenance"] |= {"scenario_file": "plant.yaml", "model_digest": digest_of(load_scenario(plant))}
    file.write_text(yaml.safe_dump(data), encoding="utf-8")
    assert load_model(file).notices == ()
    scenario["components"]["tank"]["parameters"]["initial_volume"] = 61  # type: ignore[index]
    plant.write_text(yaml.safe_dump(scenario), encoding="utf-8")
    (notice,) = load_model(file).notices
    assert "has changed since" in notice
    plant.unlink()
    assert "not there any more" in load_model(file).notices[0]
    assert load_model(file, check=False).notices == ()


def test_the_digest_of_a_plant_of_fmus_alone_follows_their_content(tmp_path: Path) -> None:
    from controllers.surrogates.equations import digest_of
    from cosim import load_scenario

    (tmp_path / "plant.yaml").write_text(
        "scenario: galenic/1\nduration: 1 h\ncommunication_step: 1 s\ncomponents: {tank: {fmu: tank.fmu}}\n",
        encoding="utf-8",
    )
    digests = set()
    for content in (b"one", b"another", b"one"):
        (tmp_path / "tank.fmu").write_bytes(content)
        digests.add(digest_of(load_scenario(tmp_path / "plant.yaml")))
    assert len(digests) == 2


@pytest.mark.parametrize("section", ["window", "scale", "terms", "initial"])
def test_a_damaged_file_is_refused(narx: Trained, tmp_path: Path, section: str) -> None:
    file = saved(narx, tmp_path)
    data = yaml.safe_load(file.read_text(encoding="utf-8"))
    data[section] = {"y": 1} if section == "terms" else [1.0]
    file.write_text(yaml.safe_dump(data), encoding="utf-8")
    with pytest.raises(GalenicError, match=r"does not fit together|needs \d+ numbers"):
        load_model(file)


def test_combinations_that_no_run_visited_are_outside_the_domain() -> None:
    rng = np.random.default_rng(0)
    line = rng.uniform(-1.0, 1.0, 500)
    visited = np.stack([line, line + 0.05 * rng.standard_normal(500)], axis=1)
    domain = Domain.of(["a", "b"], np.array([-1.1, -1.1]), np.array([1.1, 1.1]), visited)
    assert domain.contains(np.array([0.8, 0.8]))
    assert domain.inflation(np.array([0.8, -0.8])) > 3.0
    with pytest.raises(GalenicError, match="'b' may go from"):
        domain.check(np.array([-1.0, -1.0]), np.array([1.0, 1.2]))


def test_known_inputs_are_refused_by_linear_methods() -> None:
    with pytest.raises(GalenicError, match="no known inputs"):
        trained(replace(PLAN, method="arx", known=["a"]))


def test_noise_is_added_to_training_only() -> None:
    plan = replace(PLAN, method="arx", noise={"y": "0.2 %"})
    job = Job("run", np.tile([1.0, 2.0], (50, 1)), np.array([1.0, 0.0]), 4)
    run = records.simulate(Tanks(), plan, np.array([1.0, 2.0]), job)
    assert 0.7 < run.outputs[:, 0].std() < 1.3
    assert run.outputs[:, 1].std() == 0.0
    result = trained(plan)
    assert result.model.errors["y"].fit[-1] > 90.0
    quiet = trained(replace(plan, noise={}))
    np.testing.assert_array_equal(result.records[0].outputs, quiet.records[0].outputs)


def test_runs_are_the_same_again() -> None:
    first, second = (records.digest(trained(replace(PLAN, method="arx")).records) for _ in range(2))
    assert first == second


def test_the_reader_gives_what_the_file_keeps(narx: Trained, tmp_path: Path) -> None:
    from controllers.surrogates.data_driven import KEYS
    from controllers.surrogates.section import Section
    from cosim.yaml_lines import read_yaml

    common: tuple[Any, ...] = ("surrogate", "kind", "description", "provenance", "validation", "domain")
    lagged = read(Section(read_yaml(saved(narx, tmp_path)), (*common, *KEYS)))
    assert lagged.digest() == narx.model.digest
