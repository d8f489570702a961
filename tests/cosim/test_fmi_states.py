"""States that are saved, restored and carried to another process; derivatives of outputs along inputs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from foreign_fmu import write_odd

import fmus
from cosim.fmu_archive import FmuArchive, open_archive
from cosim.fmu_component import FmuComponent
from fmus.errors import GalenicError

WAYS = {
    "co_simulation": {"interface": "co_simulation", "event_mode": False},
    "event_mode": {"interface": "co_simulation", "event_mode": True},
    "model_exchange": {"interface": "model_exchange"},
}
UNITS = [(2, "co_simulation"), (2, "model_exchange"), (3, "co_simulation"), (3, "model_exchange")]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_odd(tmp_path_factory.mktemp("odd") / "odd.fmu", event_mode=True)


@pytest.fixture
def odd(file: Path) -> FmuArchive:
    return open_archive(file)


def trajectory(component: FmuComponent, first: int, last: int) -> list[list[float]]:
    rows = []
    for k in range(first, last):
        component.input_values[0] = 0.01 * k
        component.do_step(0.1 * k, 0.1)
        rows.append(component.output_values.tolist())
    return rows


def without_calls(component: FmuComponent, rows: list[list[float]]) -> list[list[float]]:
    return [[v for v, port in zip(row, component.outputs, strict=True) if port.name != "calls"] for row in rows]


@pytest.mark.parametrize("way", WAYS)
def test_a_restored_state_goes_on_with_the_same_bits(odd, way):
    component = FmuComponent("odd", odd, **WAYS[way])
    component.initialize(0.0)
    trajectory(component, 0, 5)
    state = component.save_state()
    first = trajectory(component, 5, 15)
    component.restore_state(state)
    assert trajectory(component, 5, 15) == first
    component.restore_state(state)
    assert trajectory(component, 5, 15) == first
    component.free_state(state)
    component.free_state(state)
    component.terminate()


CONTINUE = """
import json, sys
from pathlib import Path
from cosim.fmu_archive import open_archive
from cosim.fmu_component import FmuComponent
sys.path.insert(0, sys.argv[1])
from test_fmi_states import WAYS, trajectory
component = FmuComponent("odd", open_archive(Path(sys.argv[2])), **WAYS[sys.argv[3]])
component.initialize(0.0)
state = component.deserialize_state(Path(sys.argv[4]).read_bytes())
component.restore_state(state)
component.free_state(state)
print(json.dumps(trajectory(component, 5, 15)))
component.terminate()
"""


@pytest.mark.parametrize("way", WAYS)
def test_a_state_goes_on_in_another_process_with_the_same_bits(odd, file, way, tmp_path):
    import json

    component = FmuComponent("odd", odd, **WAYS[way])
    component.initialize(0.0)
    trajectory(component, 0, 5)
    state = component.save_state()
    (tmp_path / "state").write_bytes(component.serialize_state(state))
    component.free_state(state)
    here = trajectory(component, 5, 15)
    component.terminate()
    command = [sys.executable, "-c", CONTINUE, str(Path(__file__).parent), str(file), way, str(tmp_path / "state")]
    there = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert json.loads(there) == here


@pytest.mark.parametrize(("fmi", "interface"), UNITS)
def test_states_of_our_units_hold_to_the_bit(fmi, interface):
    component = FmuComponent(
        "unit", open_archive(fmus.build_fmu(fmus.unit_model("feed_frame"), fmi=fmi)), interface=interface
    )
    component.initialize(0.0)
    for k in range(5):
        component.do_step(float(k), 1.0)
    assert component.verify_state(5.0, 1.0) == 0.0
    component.do_step(5.0, 1.0)
    component.terminate()


@pytest.mark.parametrize("way", WAYS)
def test_an_fmu_that_does_not_come_back_is_found_out(odd, way):
    honest = FmuComponent("odd", odd, **WAYS[way])
    honest.initialize(0.0)
    assert honest.verify_state(0.0, 0.1) == 0.0
    honest.terminate()
    forgetful = FmuComponent("odd", odd, {"forgetful": 1.0}, **WAYS[way])
    forgetful.initialize(0.0)
    assert forgetful.verify_state(0.0, 0.1) > 0.01
    forgetful.terminate()


def test_a_state_of_another_fmu_or_a_damaged_one_is_refused(odd, tmp_path):
    component = FmuComponent("odd", odd)
    component.initialize(0.0)
    state = component.save_state()
    data = component.serialize_state(state)
    for wrong, message in (
        (b"", "damaged"),
        (data[:100], "damaged"),
        (data.replace(b"{odd}", b"{new}"), "another FMU"),
    ):
        with pytest.raises(GalenicError, match=message) as caught:
            component.deserialize_state(wrong)
        assert caught.value.cure
    with pytest.raises(GalenicError, match="DeserializeFMUState"):
        component.deserialize_state(data[:-1])
    component.terminate()
    other = FmuComponent("other", odd)
    other.initialize(0.0)
    with pytest.raises(GalenicError, match="not one of component 'other'"):
        other.restore_state(state)
    other.terminate()


def test_an_fmu_without_states_says_so_and_names_the_cure(tmp_path):
    from lag_fmu import write_fmu

    component = FmuComponent("lag", open_archive(write_fmu(tmp_path / "lag.fmu")))
    component.initialize(0.0)
    assert not component.can_save_state
    with pytest.raises(GalenicError, match="'lag' cannot save its state") as caught:
        component.save_state()
    assert "rollback" in caught.value.cure
    component.terminate()


@pytest.mark.parametrize("own", [True, False])
def test_derivatives_along_inputs_are_those_of_the_equations(tmp_path, own):
    archive = open_archive(write_odd(tmp_path / "odd.fmu", derivatives=own))
    component = FmuComponent("odd", archive, {"n": 3, "gain": 5.0}, interface="model_exchange")
    names = [port.name for port in component.inputs]
    outputs = [port.name for port in component.outputs]
    wanted = [outputs.index(f"y[{k}]") for k in (1, 2, 3)] + [outputs.index("int8_out")]
    moved = [names.index("u[3]"), names.index("u[1]")]
    for stage in ("initialisation", "running"):
        if stage == "initialisation":
            component.instantiate(0.0)
        else:
            component.exit_initialization()
            component.get_outputs()
        before = component.output_values.copy()
        found = component.derivative(wanted, moved, np.array([2.0, -1.0]))
        assert found == pytest.approx([-5.0, 0.0, 10.0, 0.0], rel=1e-8)
        assert component.output_values.tolist() == before.tolist()
    component.terminate()


def test_differences_are_refused_where_the_standard_forbids_them(odd):
    component = FmuComponent("odd", odd)
    component.initialize(0.0)
    assert not component.answers_at_once
    with pytest.raises(GalenicError, match="no directional derivatives") as caught:
        component.derivative([0], [0], np.array([1.0]))
    assert caught.value.cure
    component.terminate()


@pytest.mark.parametrize("fmi", [2, 3])
def test_our_units_give_the_same_derivatives_as_differences(fmi):
    archive = open_archive(fmus.build_fmu(fmus.unit_model("feed_frame"), fmi=fmi))
    component = FmuComponent("unit", archive, interface="model_exchange")
    component.initialize(0.0)
    everything = list(range(len(component.outputs)))
    rounding = 1e-8 * np.maximum(1.0, np.abs(component.output_values))  # of a difference, for steps of 1e-6
    for place in range(len(component.inputs)):
        own = component.derivative(everything, [place], np.array([1.0]))
        component.can = type(component.can)(directional_derivative=False)
        differences = component.derivative(everything, [place], np.array([1.0]))
        component.can = component.description.can
        assert np.all(np.abs(own - differences) <= rounding + 1e-5 * np.abs(own)), component.inputs[place].name
    component.terminate()
