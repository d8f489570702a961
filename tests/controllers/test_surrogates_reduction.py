"""How a composition of units is made small, on a unit whose answers are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from controllers.surrogates import SurrogateModel, load_model
from controllers.surrogates.mechanistic import KEYS, build
from controllers.surrogates.section import Section
from cosim.yaml_lines import Source
from fmus.errors import GalenicError

UNIT = '''
from fmus.model import UnitModel
import casadi as ca


def plant():
    """An actuator (10 ms), a lag (100 s), a chain of cells, a root, a total and a drift with time."""
    m = UnitModel("plant", "A plant")
    u = m.input("u", 1.0, "1", "what is asked for")
    hours = m.parameter("drift", 0.0, "1/s", "of the drift", source="a test")
    fast = m.state("fast", 1.0, "1", "actuator")
    slow = m.state("slow", 1.0, "1", "lag")
    total = m.state("total", 0.0, "1", "what nothing depends on")
    m.derivative(fast, (u - fast) / 0.01)
    m.derivative(slow, (fast - slow) / 100.0)
    m.derivative(total, slow)
    cells = [m.state(f"cell[{k}]", 1.0, "1", "of the chain", nominal=1.0) for k in (1, 2, 3, 4)]
    before = u
    for cell in cells:
        m.derivative(cell, (before - cell) / 5.0)
        before = cell
    z = m.algebraic("z", 1.0, "1", "a root")
    m.residual(z, z**2 - slow - 3.0)
    m.output("slow_seen", slow, "1", "lag")
    m.output("root", z, "1", "root")
    m.output("carried", before, "1", "end of the chain")
    m.output("held", cells[0] + cells[1] + cells[2] + cells[3], "1", "in the chain")
    m.output("echo", u, "1", "what is asked for, at once")
    m.output("drifting", slow + hours * m.time, "1", "with time")
    return m
'''


def folder_with(tmp_path: Path, connections: list[str] | None = None) -> Path:
    (tmp_path / "plant.py").write_text(UNIT, encoding="utf-8")
    scenario = {
        "scenario": "galenic/1",
        "duration": "1 h",
        "communication_step": "1 s",
        "components": {"p": {"unit": "plant.py", "parameters": {"drift": 0.01}}},
        "connections": connections or [],
    }
    (tmp_path / "line.yaml").write_text(yaml.safe_dump(scenario), encoding="utf-8")
    return tmp_path


def model_of(
    folder: Path, outputs: list[str], connections: list[str] | None = None, **reduction: Any
) -> SurrogateModel:
    folder_with(folder, connections)
    data = {
        "surrogate": "galenic/1",
        "kind": "mechanistic",
        "scenario": "line.yaml",
        "period": "10 s",
        "inputs": {"p.u": {"operating_point": 1.0}},
        "outputs": {f"p.{n}": {} for n in outputs},
        **reduction,
    }
    file = folder / "surrogate.yaml"
    file.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    return load_model(file)


def names(model: SurrogateModel) -> list[str]:
    return [s.name for s in model.process.states]


STEP = np.full((30, 1), 2.0)
LAG = 2.0 - np.exp(-10.0 * np.arange(31) / 100.0)


@pytest.mark.parametrize("how", [{"residual": ["p.fast"]}, {"residual_below": "1 s"}, {"stiff_below": "1 s"}])
def test_a_fast_state_no_longer_limits_the_step(tmp_path: Path, how: dict[str, Any]) -> None:
    """The Runge-Kutta method alone would need steps of 28 ms."""
    model = model_of(tmp_path, ["slow_seen"], **how)
    assert names(model) == (["p.fast", "p.slow"] if "stiff_below" in how else ["p.slow"])
    np.testing.assert_allclose(model.simulate(STEP)[1:, 0], LAG[1:], atol=2e-4)


def test_what_is_named_is_told(tmp_path: Path) -> None:
    folder_with(tmp_path)
    data = {
        "surrogate": "galenic/1",
        "scenario": "line.yaml",
        "period": "10 s",
        "residual": ["p.fast"],
        "inputs": {"p.u": {}},
        "outputs": {"p.slow_seen": {}},
    }
    built = build(Section(Source(data, tmp_path / "surrogate.yaml"), (*KEYS, "surrogate")))
    assert built.reduced.residual == ("p.fast",)
    assert {"p.total", "p.cell[1]"} <= set(built.reduced.dropped)


def test_roots_are_found_inside_the_model(tmp_path: Path) -> None:
    model = model_of(tmp_path, ["slow_seen", "root"], residual=["p.fast"])
    slow, root = model.simulate(STEP).T
    np.testing.assert_allclose(root, np.sqrt(slow + 3.0), rtol=1e-12)
    assert model.process.measure.is_a("SXFunction")  # a plain function, which generates code


def test_too_few_steps_of_newton_are_refused(tmp_path: Path) -> None:
    with pytest.raises(GalenicError, match="not solved at the start"):
        model_of(tmp_path, ["root"], residual=["p.fast"], newton=1)


def test_a_lumped_chain_holds_as_much_and_as_long(tmp_path: Path) -> None:
    """The delay of a chain is the area that its step response misses, whatever the number of cells."""
    whole = model_of(tmp_path, ["carried", "held"], substeps=10)
    lumped = model_of(tmp_path, ["carried", "held"], substeps=10, lump={"p.cell[*]": 2})
    assert (len(whole.initial), len(lumped.initial)) == (4, 2)
    assert lumped.initial.sum() == pytest.approx(whole.initial.sum())
    delays = []
    for model in (whole, lumped):
        seen = model.simulate(np.full((40, 1), 2.0))
        np.testing.assert_allclose(seen[-1], [2.0, 8.0], rtol=1e-4)
        fine = seen[:, 1]  # what is held is the integral of what has gone in and not come out
        delays.append(fine[-1] - fine[0])
    assert delays[0] == pytest.approx(delays[1], rel=1e-4) == pytest.approx(4.0, rel=1e-3)


def test_a_frozen_state_keeps_its_value(tmp_path: Path) -> None:
    model = model_of(tmp_path, ["slow_seen"], frozen={"p.fast": 3.0})
    assert names(model) == ["p.slow"]
    np.testing.assert_allclose(model.simulate(STEP)[:, 0], 3.0 - 2.0 * np.exp(-np.arange(31) / 10.0), atol=1e-5)


def test_slowing_down_keeps_the_rest(tmp_path: Path) -> None:
    model = model_of(tmp_path, ["slow_seen"], slow_down={"p.fast": 1000.0})
    seen = model.simulate(np.full((200, 1), 2.0))
    assert seen[-1, 0] == pytest.approx(2.0, abs=1e-6)


def test_time_is_a_state_where_something_depends_on_it(tmp_path: Path) -> None:
    model = model_of(tmp_path, ["drifting"], residual=["p.fast"])
    assert names(model) == ["p.slow", "time"]
    seen = model.simulate(np.full((10, 1), 1.0))
    np.testing.assert_allclose(seen[:, 0], 1.0 + 0.01 * 10.0 * np.arange(11), rtol=1e-12)
    assert "time" not in names(model_of(tmp_path, ["slow_seen"], residual=["p.fast"]))


def test_steps_of_any_length_add_up(tmp_path: Path) -> None:
    process = model_of(tmp_path, ["slow_seen"], stiff_below="1 s", substeps=2).process
    x = y = np.array([1.5, 1.0])
    for _ in range(2):
        x = process.advance(x, [2.0], [], 5.0).full().ravel()
    np.testing.assert_allclose(process.step(y, [2.0], []).full().ravel(), x, rtol=1e-14)


def test_an_algebraic_loop_is_refused(tmp_path: Path) -> None:
    folder_with(tmp_path, ["p.echo -> p.u"])
    with pytest.raises(GalenicError, match=r"algebraic loop through p\.u"):
        model_of(tmp_path, ["carried"], ["p.echo -> p.u"], inputs={})


def test_an_input_that_is_named_is_cut_off(tmp_path: Path) -> None:
    model = model_of(tmp_path, ["carried"], ["p.echo -> p.u"], substeps=10)
    assert model.simulate(np.full((20, 1), 2.0))[-1, 0] == pytest.approx(2.0, rel=1e-3)


def test_a_start_outside_the_bounds_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GalenicError, match=r"'p\.slow' starts at 1, outside its bounds 2 to inf"):
        model_of(tmp_path, ["slow_seen"], residual=["p.fast"], states={"p.slow": {"low": 2.0}})
