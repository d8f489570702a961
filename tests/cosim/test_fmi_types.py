"""Variables of every type, arrays, structural parameters, texts: one FMU that has them all, through both interfaces."""

from __future__ import annotations

import numpy as np
import pytest
from foreign_fmu import TYPES, write_odd

from cosim.fmi.description import Interface
from cosim.fmu_archive import FmuArchive, open_archive
from cosim.fmu_component import FmuComponent
from fmus.errors import GalenicError

INTERFACES: tuple[Interface, ...] = ("co_simulation", "model_exchange")


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> FmuArchive:
    return open_archive(write_odd(tmp_path_factory.mktemp("odd") / "odd.fmu", event_mode=True))


def made(archive: FmuArchive, values: dict | None = None, **options) -> FmuComponent:
    return FmuComponent("odd", archive, values, **options)


def value(component: FmuComponent, output: str) -> float:
    return float(component.output_values[[port.name for port in component.outputs].index(output)])


def give(component: FmuComponent, name: str, number: float) -> None:
    component.input_values[[port.name for port in component.inputs].index(name)] = number


LARGEST = {
    "Int8": 2.0**7 - 1,
    "UInt8": 2.0**8 - 1,
    "Int16": 2.0**15 - 1,
    "UInt16": 2.0**16 - 1,
    "Int32": 2.0**31 - 1,
    "UInt32": 2.0**32 - 1,
    "Int64": 2.0**63,
    "UInt64": 2.0**64,
    "Boolean": 1.0,
    "Enumeration": 3.0,
    "Float32": 1.25,
    "Float64": 1e300,
}
LEAST = {
    "Int8": -(2.0**7),
    "Int16": -(2.0**15),
    "Int32": -(2.0**31),
    "Int64": -(2.0**63),
    "Float32": -1.25,
    "Float64": -1e300,
    "Enumeration": 1.0,
}


@pytest.mark.parametrize("interface", INTERFACES)
@pytest.mark.parametrize("event_mode", [True, False])
def test_every_numeric_type_goes_in_and_out_unchanged(odd, interface, event_mode):
    component = made(odd, interface=interface, event_mode=event_mode)
    try:
        component.initialize(0.0)
        for kind, start, _ in TYPES:
            right = float(start == "true") if kind == "Boolean" else float(start)
            assert value(component, f"{kind.lower()}_out") == right
        for extreme in (LARGEST, LEAST):
            for kind, _, _ in TYPES:
                give(component, f"{kind.lower()}_in", extreme.get(kind, 0.0))
            t = 0.0 if extreme is LARGEST else 0.1
            component.do_step(t, 0.1)
            for kind, _, _ in TYPES:
                assert value(component, f"{kind.lower()}_out") == extreme.get(kind, 0.0), kind
    finally:
        component.terminate()


@pytest.mark.parametrize(("number", "right"), [(2.5, 2), (3.5, 4), (-1.0, 0), (300.0, 255), (254.6, 255)])
def test_a_number_that_the_type_does_not_hold_becomes_the_nearest_that_it_does(odd, number, right):
    component = made(odd, event_mode=False)
    component.initialize(0.0)
    give(component, "uint8_in", number)
    component.do_step(0.0, 0.1)
    assert value(component, "uint8_out") == right
    component.terminate()


def test_scalars_of_one_native_call_stand_together(odd):
    component = made(odd, interface="model_exchange")
    component.instantiate(0.0)
    for accesses, count in (
        (component.accesses_in, len(component.inputs)),
        (component.accesses_out, len(component.outputs)),
    ):
        places = [k for access in accesses for k in range(access.first, access.first + access.values_count)]
        assert places == list(range(count))
        assert all(len(access.buffer) == access.values_count for access in accesses)
    assert {access.kind for access in component.accesses_out} >= {"float32", "uint64", "enumeration", "boolean3"}
    shared = next(access for access in component.accesses_in if access.kind == "float64")
    assert np.shares_memory(shared.buffer, component.input_values)
    component.terminate()


def test_an_array_is_a_port_for_each_element_with_its_start_value(odd):
    component = made(odd)
    ports = {port.name: port.start for port in component.inputs}
    assert (ports["u[1]"], ports["u[2]"]) == (1.0, 2.0)
    component.initialize(0.0)
    assert (value(component, "y[1]"), value(component, "y[2]")) == (3.0, 5.0)  # gain * u + h
    component.terminate()


@pytest.mark.parametrize("interface", INTERFACES)
def test_a_structural_parameter_sets_the_size_of_arrays(odd, interface):
    values = {"n": 3, "u[1]": 1.0, "u[2]": 10.0, "u[3]": 100.0}
    component = made(odd, values, interface=interface)
    assert [p.name for p in component.inputs if p.name.startswith("u[")] == ["u[1]", "u[2]", "u[3]"]
    component.initialize(0.0)
    assert [value(component, f"y[{k}]") for k in (1, 2, 3)] == [3.0, 21.0, 201.0]
    component.terminate()
    assert not any(name.startswith("u[") for name in made(odd, {"n": 0}).variables("input"))


def test_an_array_of_another_size_has_no_start_values_of_its_own(odd):
    ports = {port.name: port.start for port in made(odd, {"n": 3, "u[2]": 5.0}).inputs}
    assert (ports["u[1]"], ports["u[2]"], ports["u[3]"]) == (None, 5.0, None)


@pytest.mark.parametrize("size", [2.5, -1, "three"])
def test_a_size_that_is_no_whole_number_is_refused(odd, size):
    with pytest.raises(GalenicError, match="structural parameter 'n'") as caught:
        made(odd, {"n": size})
    assert caught.value.cure


def test_an_array_too_large_for_any_machine_is_refused(odd):
    with pytest.raises(GalenicError, match="elements"):
        made(odd, {"n": 1e9})


def test_elements_of_a_matrix_are_named_row_by_row(tmp_path):
    matrix = (
        '<Float64 name="A" valueReference="4" causality="parameter" variability="fixed" start="1 2 3 4 5 6">'
        '<Dimension start="2"/><Dimension start="3"/></Float64>'
    ).replace('name="A" valueReference="4"', 'name="A" valueReference="90"')
    component = made(open_archive(write_odd(tmp_path / "odd.fmu", variables=matrix)))
    names = [name for name in component.variables("parameter") if name.startswith("A")]
    assert names == ["A[1,1]", "A[1,2]", "A[1,3]", "A[2,1]", "A[2,2]", "A[2,3]"]
    assert component.variable("A[2,1]").start == 4.0


def test_texts_are_set_as_parameters(odd):
    component = made(odd, {"text": "granulé", "blob": "0102ff"})
    component.initialize(0.0)
    assert value(component, "length") == len("granulé".encode()) + 3
    component.terminate()
    with pytest.raises(GalenicError, match="'blob' is binary") as caught:
        made(odd, {"blob": "xyz"}).initialize(0.0)
    assert "hexadecimal" in caught.value.cure
    assert made(odd).texts("parameter") == ["text", "blob"]
    assert "text" not in made(odd).variables("parameter")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("text", "type String"),
        ("blob", "type Binary"),
        ("u", "is an array: connect its elements, such as 'u\\[1\\]'"),
        ("gain", "is a parameter"),
        ("u[1]", None),
        ("height", None),
        ("nowhere", None),
    ],
)
def test_what_cannot_be_connected_says_why(odd, name, reason):
    import re

    said = made(odd).why_not_connectable(name)
    assert (said is None) == (reason is None)
    if reason is not None:
        assert re.search(reason, said)


def test_another_name_of_an_output_is_an_output(odd):
    component = made(odd)
    component.initialize(0.0)
    assert value(component, "height") == value(component, "h") == 1.0
    component.terminate()


def test_a_variable_that_does_not_exist_is_refused(odd):
    with pytest.raises(GalenicError, match="there is no variable 'gian'"):
        made(odd, {"gian": 1.0}).initialize(0.0)


def test_outputs_depend_on_the_inputs_that_the_model_structure_names(odd):
    component = made(odd)
    inputs, outputs = ([p.name for p in ports] for ports in (component.inputs, component.outputs))
    depends = {outputs[k]: {inputs[j] for j in places} for k, places in component.feedthrough.items()}
    assert depends["y[1]"] == depends["y[2]"] == {"u[1]", "u[2]"}
    assert depends["int8_out"] == {"int8_in"}
    assert depends["h"] == set()


@pytest.mark.parametrize("structure", ["", '<Output valueReference="3"/>'])
def test_an_output_without_dependencies_depends_on_all_inputs(tmp_path, structure):
    component = made(open_archive(write_odd(tmp_path / "odd.fmu", structure=structure)))
    assert set(component.feedthrough.values()) == {frozenset(range(len(component.inputs)))}


def test_capabilities_are_those_of_the_chosen_interface(tmp_path):
    archive = open_archive(
        write_odd(tmp_path / "odd.fmu", derivatives=True, more='canBeInstantiatedOnlyOncePerProcess="true"')
    )
    for interface in INTERFACES:
        component = made(archive, interface=interface)
        assert component.once_per_process
        assert component.provides_directional_derivative
        assert component.can_save_state
        assert component.can_serialize_state
        assert component.can_variable_step
    assert not made(open_archive(write_odd(tmp_path / "plain.fmu"))).once_per_process


def test_the_interface_is_co_simulation_unless_there_is_none(tmp_path):
    assert made(open_archive(write_odd(tmp_path / "both.fmu"))).interface == "co_simulation"
    exchange = open_archive(write_odd(tmp_path / "exchange.fmu", interfaces="me"))
    assert made(exchange).interface == "model_exchange"
    with pytest.raises(GalenicError, match=r"has no Co-Simulation interface") as caught:
        made(exchange, interface="co_simulation")
    assert "Model Exchange" in caught.value.cure


def test_an_fmu_with_clocks_is_refused_by_name(tmp_path):
    clock = '<Clock name="tick" valueReference="91" causality="input" intervalVariability="triggered"/>'
    with pytest.raises(GalenicError, match=r"has clocks \('tick'\)") as caught:
        open_archive(write_odd(tmp_path / "odd.fmu", variables=clock))
    assert caught.value.cure
    assert open_archive(tmp_path / "odd.fmu", to_run=False).description.modelName == "odd"


def test_a_message_of_an_fmi_3_instance_reaches_the_error(odd):
    component = made(odd, event_mode=False)
    component.initialize(0.0)
    with pytest.raises(GalenicError, match=r"'odd' failed at t = 5 s \(fmi3DoStep: fmi3Error\).*a step from another"):
        component.do_step(5.0, 0.1)
    component.terminate()
