from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ssp_files import (
    EXPERIMENT,
    connection,
    lag,
    linear,
    mapping,
    parameter_set,
    real,
    structure,
    system,
    write_ssp,
)

from cosim import Scenario, Simulation, load_scenario
from cosim.ssp import read_ssp
from fmus.errors import GalenicError

A_TO_B = connection("a.y", "b.u")


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch) -> None:
    """Archives are unpacked here and not into the user's cache."""
    monkeypatch.setenv("GALENIC_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def ssp(tmp_path: Path, fmus: Path):
    """Writes an archive and reads it as a scenario."""

    def load(ssd: str, **more: str) -> Scenario:
        return load_scenario(write_ssp(tmp_path / "hand.ssp", ssd, fmus, **more))

    return load


def links(scenario: Scenario) -> dict[str, tuple[str | None, float, float]]:
    """What drives each input, with factor and offset, all units converted."""
    with Simulation(scenario) as simulation:
        gather, names = simulation.system.gather, simulation.system.names
        rows = zip(gather.source, gather.target, gather.factor, gather.offset, strict=True)
        return {names[t]: (names[s], float(f), float(o)) for s, t, f, o in rows}


def refused(load, line: int | None, inside: str, *parts: str) -> None:
    with pytest.raises(GalenicError) as caught:
        load()
    text = str(caught.value)
    assert caught.value.line == line, text
    assert inside in text.replace("\\", "/")
    assert caught.value.cure
    for part in parts:
        assert part in text


def test_components_and_connections_of_a_foreign_file_run(ssp) -> None:
    scenario = ssp(structure(system("plant", lag("a") + lag("b"), A_TO_B)))
    assert (scenario.name, scenario.duration, scenario.communication_step) == ("hand", 1.0, 0.002)
    assert links(scenario) == {"b.u": ("a.y", 1.0, 0.0)}
    with Simulation(scenario.model_copy(update={"communication_step": 0.01})) as simulation:
        simulation.run()
        # two explicit Euler lags, the second a step behind
        expected = np.zeros(2)
        for _ in range(100):
            expected += 0.01 * (np.array([1.0, expected[0]]) - expected)
        assert simulation.get("a.y") == pytest.approx(expected[0], rel=1e-12)
        assert simulation.get("b.y") == pytest.approx(expected[1], rel=1e-12)


def test_a_connection_is_read_in_the_direction_of_the_values(ssp) -> None:
    scenario = ssp(structure(system("plant", lag("a") + lag("b"), connection("b.u", "a.y"))))
    assert links(scenario) == {"b.u": ("a.y", 1.0, 0.0)}


@pytest.mark.parametrize(
    ("source", "target", "inside", "more", "expected"),
    [
        ("grams", "milligrams", "", "", (1000.0, 0.0)),
        ("grams", "milligrams", "", 'suppressUnitConversion="true"', (1.0, 0.0)),
        ("grams", "milligrams", linear(-2, 5), "", (-2000.0, 5.0)),
        ("grams", "milligrams", linear(-2, 5), 'suppressUnitConversion="true"', (-2.0, 5.0)),
        ("celsius", "kelvin", linear(2, 1), "", (2.0, 2 * 273.15 + 1)),
        ("lag", "force", linear(0.5, 0), 'suppressUnitConversion="1"', (0.5, 0.0)),
        ("lag", "lag", '<ssc:LinearTransformation offset="3"/>', "", (1.0, 3.0)),
    ],
)
def test_units_are_converted_before_the_linear_transformation(ssp, source, target, inside, more, expected) -> None:
    elements = lag("a", source) + lag("b", target)
    scenario = ssp(structure(system("plant", elements, connection("a.y", "b.u", inside, more))))
    (driver, factor, offset) = links(scenario)["b.u"]
    assert driver == "a.y"
    assert (factor, offset) == pytest.approx(expected, rel=1e-12)


def test_a_unit_that_only_the_file_defines_is_converted_by_its_definition(ssp) -> None:
    elements = lag("a", "lag", unit="zentner") + lag("b", "grams", unit="g/L")
    scenario = ssp(structure(system("plant", elements, A_TO_B)))
    assert links(scenario)["b.u"] == ("a.y", pytest.approx(50.0, rel=1e-12), 0.0)


IN, OUT = ('<ssd:Connector name="in" kind="input"/>', '<ssd:Connector name="out" kind="output"/>')
IN_MG, OUT_MG = (c.replace("/>", '><ssc:Real unit="mg/L"/></ssd:Connector>') for c in (IN, OUT))
INNER = system("inner", lag("b"), connection("in", "b.u"), IN)
CELL = system(
    "cell",
    lag("first", "milligrams") + INNER,
    connection("in", "first.u", linear(2, 0))
    + connection("first.y", "out")
    + connection("in", "inner.in", linear(3, 1)),
    IN_MG + OUT_MG,
)
NESTED = system(
    "plant",
    lag("a", "grams") + CELL + lag("last", "grams"),
    connection("a.y", "cell.in", linear(1, 7)) + connection("cell.out", "last.u", linear(1, 0.5)),
)


def test_nested_systems_are_flattened_with_all_changes_on_the_way(ssp) -> None:
    scenario = ssp(structure(NESTED))
    assert list(scenario.components) == ["a", "cell.first", "cell.inner.b", "last"]
    found = links(scenario)
    assert {target: driver for target, (driver, _, _) in found.items()} == {
        "cell.first.u": "a.y",
        "cell.inner.b.u": "a.y",
        "last.u": "cell.first.y",
    }
    # g/L to the mg/L of the connector, + 7; then times 2 for one component, times 3 plus 1 for the other
    assert found["cell.first.u"][1:] == pytest.approx((2000.0, 14.0))
    assert found["cell.inner.b.u"][1:] == pytest.approx((3000.0, 22.0))
    assert found["last.u"][1:] == pytest.approx((0.001, 0.5))


def test_components_of_nested_systems_are_signals_like_others(ssp, tmp_path) -> None:
    scenario = ssp(structure(NESTED)).model_copy(update={"record": ["cell.*"]})
    with Simulation(scenario, out=tmp_path / "run") as simulation:
        simulation.step()
        # what went into the step is what a.y was before it: 0
        assert simulation.get("cell.inner.b.u") == 22.0
        with pytest.raises(GalenicError, match=r"'cell\.inner\.b\.u' is driven by a\.y"):
            simulation.set("cell.inner.b.u", 1.0)


@pytest.mark.parametrize(
    ("asked", "interface"), [("CoSimulation", "co_simulation"), ("ModelExchange", "model_exchange")]
)
def test_the_interface_that_is_asked_for_is_taken(ssp, asked, interface) -> None:
    element = lag("a").replace('name="a"', f'name="a" implementation="{asked}"', 1)
    assert ssp(structure(system("plant", element))).components["a"].interface == interface


def test_an_open_connector_of_the_outermost_system_leaves_the_start_value(ssp) -> None:
    inlet = '<ssd:Connector name="inlet" kind="input"/>'
    scenario = ssp(structure(system("plant", lag("a"), connection("inlet", "a.u"), inlet)))
    assert scenario.connections == []
    with Simulation(scenario) as simulation:
        assert simulation.get("a.u") == 1.0


INLINE = "<ssd:ParameterBinding><ssd:ParameterValues>{}</ssd:ParameterValues></ssd:ParameterBinding>"


def bindings(*parts: str) -> str:
    return f"<ssd:ParameterBindings>{''.join(parts)}</ssd:ParameterBindings>"


def test_parameters_inline_and_from_files_are_converted_to_the_variables_unit(ssp) -> None:
    own = bindings(INLINE.format(parameter_set(real("tau", 1500, "ms") + real("u", 2.5))))
    elements = lag("a", inside=own) + lag("b", inside=bindings('<ssd:ParameterBinding source="resources/b.ssv"/>'))
    scenario = ssp(structure(system("plant", elements)), b__ssv=parameter_set(real("gain", 3) + real("nothing", 1)))
    assert scenario.components["a"].parameters == {"tau": 1.5}
    assert scenario.components["a"].start == {"u": 2.5}
    assert scenario.components["b"].parameters == {"gain": 3.0}


def test_what_stands_further_out_or_later_goes_before(ssp) -> None:
    own = bindings(
        INLINE.format(parameter_set(real("tau", 2) + real("gain", 2))),
        INLINE.format(parameter_set(real("gain", 3) + real("fail_at", 3))),
    )
    inner = system("cell", lag("a", inside=own), bindings=INLINE.format(parameter_set(real("a.fail_at", 4))))
    outer = system("plant", inner, bindings=INLINE.format(parameter_set(real("cell.a.fail_at", 5, "s"))))
    assert ssp(structure(outer)).components["cell.a"].parameters == {"tau": 2.0, "gain": 3.0, "fail_at": 5.0}


def test_a_mapping_renames_transforms_and_drops_what_it_does_not_name(ssp) -> None:
    entries = (
        f'<ssm:MappingEntry source="p.slow" target="a.tau">{linear(2, 1)}</ssm:MappingEntry>'
        '<ssm:MappingEntry source="p.slow" target="b.tau" suppressUnitConversion="true"/>'
        '<ssm:MappingEntry source="p.missing" target="b.gain"/>'
    )
    binding = (
        '<ssd:ParameterBinding source="resources/all.ssv" prefix="p.">'
        '<ssd:ParameterMapping source="resources/all.ssm"/></ssd:ParameterBinding>'
    )
    values = parameter_set(real("slow", 500, "ms") + real("gain", 9))
    outer = system("plant", lag("a") + lag("b"), bindings=binding)
    scenario = ssp(structure(outer), all__ssv=values, all__ssm=mapping(entries))
    assert scenario.components["a"].parameters == {"tau": 2.0}
    assert scenario.components["b"].parameters == {"tau": 500.0}


def test_a_value_for_a_systems_connector_reaches_the_component_behind_it(ssp) -> None:
    inlet = '<ssd:Connector name="inlet" kind="input"><ssc:Real unit="mg/L"/></ssd:Connector>'
    inner = system("cell", lag("a", "grams"), connection("inlet", "a.u", linear(1, 2)), inlet)
    outer = system("plant", inner, bindings=INLINE.format(parameter_set(real("cell.inlet", 3, "g/L"))))
    # 3 g/L are 3000 mg/L at the connector, 3 g/L again at the component, and 2 more
    assert ssp(structure(outer)).components["cell.a"].start == {"u": pytest.approx(5.0)}


def test_values_of_all_types_are_read(ssp) -> None:
    values = (
        '<ssv:Parameter name="level"><ssv:Integer value="3"/></ssv:Parameter>'
        '<ssv:Parameter name="invert"><ssv:Boolean value="true"/></ssv:Parameter>'
    )
    elements = (
        '<ssd:Component name="m" source="resources/mixed.fmu">' + bindings(INLINE.format(parameter_set(values)))
        + "</ssd:Component>"
    )  # fmt: skip
    scenario = ssp(structure(system("plant", elements)))
    with Simulation(scenario) as simulation:
        assert (simulation.get("m.level"), simulation.get("m.invert")) == (3.0, 1.0)


def test_systems_in_files_of_their_own_are_read(ssp, tmp_path, fmus) -> None:
    cell = system(
        "cell", lag("b").replace("resources/", ""), connection("in", "b.u"), '<ssd:Connector name="in" kind="input"/>'
    )
    port = f"<ssd:Connectors>{IN}</ssd:Connectors>"
    values = bindings(INLINE.format(parameter_set(real("b.tau", 4))))
    kind = 'type="application/x-ssp-definition" source="resources/cell.ssd"'
    part = f'<ssd:Component name="far" {kind}>{port}{values}</ssd:Component>'
    scenario = ssp(structure(system("plant", lag("a") + part, connection("a.y", "far.in"))), cell__ssd=structure(cell))
    assert links(scenario) == {"far.b.u": ("a.y", 1.0, 0.0)}
    assert scenario.components["far.b"].parameters == {"tau": 4.0}
    inner = write_ssp(tmp_path / "inner.ssp", structure(cell.replace('source="', 'source="resources/')), fmus)
    part = part.replace("x-ssp-definition", "x-ssp-package").replace("cell.ssd", "inner.ssp")
    file = write_ssp(
        tmp_path / "outer.ssp", structure(system("plant", lag("a") + part, connection("a.y", "far.in"))), fmus
    )
    import zipfile

    with zipfile.ZipFile(file, "a") as archive:
        archive.write(inner, "resources/inner.ssp")
    assert links(load_scenario(file)) == {"far.b.u": ("a.y", 1.0, 0.0)}


def test_an_ssd_in_its_folder_is_read_too(tmp_path, fmus) -> None:
    (tmp_path / "resources").mkdir()
    (tmp_path / "resources" / "lag.fmu").write_bytes((fmus / "lag.fmu").read_bytes())
    file = tmp_path / "variant.ssd"
    file.write_text(structure(system("plant", lag("a") + lag("b"), A_TO_B)), encoding="utf-8")
    assert links(load_scenario(file)) == {"b.u": ("a.y", 1.0, 0.0)}


def test_names_that_a_scenario_cannot_have_are_made_ones(ssp) -> None:
    elements = lag("Tank #1") + lag("Tank_#1") + lag("2nd") + lag("x.y")
    scenario = ssp(structure(system("plant", elements, connection("Tank #1.y", "2nd.u"))))
    assert list(scenario.components) == ["Tank__1", "Tank__1_2", "_2nd", "x.y"]
    assert links(scenario) == {"_2nd.u": ("Tank__1.y", 1.0, 0.0)}


def test_a_scenario_file_extends_a_foreign_system(ssp, tmp_path) -> None:
    ssp(structure(system("plant", lag("a") + lag("b"), A_TO_B)))
    file = tmp_path / "mine.yaml"
    file.write_text(
        "extends: hand.ssp\ncommunication_step: 10 ms\ncomponents: {b: {parameters: {tau: 2 s}}}\n"
        "disturbances: [{signal: a.u, step: {at: 0.5 s, to: 3}}]\n",
        encoding="utf-8",
    )
    scenario = load_scenario(file)
    assert scenario.components["b"].parameters == {"tau": "2 s"}
    with Simulation(scenario) as simulation:
        simulation.run()
        assert simulation.get("a.u") == 3.0


def test_what_was_assumed_is_noted(tmp_path, fmus) -> None:
    values = bindings(INLINE.format(parameter_set(real("tau", 2) + real("tua", 2))))
    ssd = structure(system("plant", lag("a", inside=values)), after="")
    system_file = read_ssp(write_ssp(tmp_path / "hand.ssp", ssd, fmus))
    assert len(system_file.notes) == 2
    assert system_file.unused[0].startswith("a.tua (")


def test_the_step_of_a_master_that_another_tool_noted_is_taken(ssp) -> None:
    note = (
        '<ssd:DefaultExperiment stopTime="1"><ssd:Annotations><ssc:Annotation type="com.opensimulationplatform">'
        '<osp:Algorithm xmlns:osp="urn:osp"><osp:FixedStepAlgorithm baseStepSize="0.04"/></osp:Algorithm>'
        "</ssc:Annotation></ssd:Annotations></ssd:DefaultExperiment>"
    )
    assert ssp(structure(system("plant", lag("a")), note)).communication_step == 0.04


DICTIONARY = '<ssd:SignalDictionaries><ssd:SignalDictionary name="bus"/></ssd:SignalDictionaries></ssd:System>'


def one(component: str, after: str = EXPERIMENT) -> str:
    """A system of one component, which begins in line 4."""
    return structure(system("p", "\n" + component), after)


def joined(inside: str, elements: str = lag("a") + lag("b")) -> str:
    """Two components, and connections in line 14."""
    return structure(system("p", elements, "\n" + inside))


MAPPED = connection("a.y", "b.u", "<ssc:BooleanMappingTransformation/>")
LATE = '\n<ssd:DefaultExperiment startTime="5" stopTime="9"/>'


@pytest.mark.parametrize(
    ("ssd", "line", "parts"),
    [
        (one(lag("a")).replace("</ssd:System>", DICTIONARY), 9, ["signal dictionaries"]),
        (one('<ssd:SignalDictionaryReference name="x" dictionary="bus"/>'), 4, ["signal dictionaries"]),
        (one(lag("a", "gone")), 4, ["no 'resources/gone.fmu'"]),
        (structure(system("p", lag("a")), version="3.0"), 2, ["SSP version '3.0'"]),
        (one(lag("a") + "\n" + lag("a")), 10, ["'a' stands twice"]),
        (joined(connection("a.y", "c.u")), 14, ["no element 'c'"]),
        (joined(connection("a.y", "b.v")), 14, ["'b' has no connector 'v'"]),
        (joined(connection("a.y", "b.y")), 14, ["values come from both ends"]),
        (joined(connection("a.u", "b.u")), 14, ["both ends take values"]),
        (joined(A_TO_B + "\n" + connection("b.y", "b.u")), 15, ["driven already, in line 14"]),
        (joined(A_TO_B, lag("a", "force") + lag("b", "grams")), 14, ["'kN'", "'g/L'", "dimensions"]),
        (joined(connection("a.y", "b.u", linear("x", 0))), 14, ["'x', not a number"]),
        (joined(MAPPED), 14, ["cannot be applied"]),
        (joined(connection("a.y", "b.tau")), 14, ["'b.tau' is a parameter"]),
        (joined(connection("a.y", "b.u", more='endIndices="2"')), 14, ["elements of arrays"]),
        (one(lag("a", unit="lb")), 6, ["the unit 'lb' is not defined"]),
        (one(lag("a").replace("x-fmu-sharedlibrary", "x-other")), 4, ["'application/x-other' cannot run"]),
        (one(lag("a").replace("resources/lag", "../lag")), 4, ["leaves the package"]),
        (one(lag("a").replace("resources/", "https://example.org/")), 4, ["not a file of this package"]),
        (one(lag("a"), LATE), 20, ["starts at 5 s"]),
        (one(lag("a"), '<ssd:DefaultExperiment stopTime="-1"/>'), 19, ["stopTime is -1 s"]),
        (structure("<ssd:System name='p'/>"), 2, ["no components"]),
        (one(lag("a")).replace("ssp-standard.org", "example.org"), 2, ["no system structure description"]),
        ('<!DOCTYPE x [<!ENTITY a "aaaa">]><x>&a;</x>', 1, ["declares a document type"]),
        ("<x>\n<y></x>", 2, ["not well-formed XML"]),
    ],
)
def test_what_cannot_be_read_is_refused_with_file_and_line(ssp, ssd, line, parts) -> None:
    refused(lambda: ssp(ssd), line, "hand.ssp/SystemStructure.ssd", *parts)


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        (real("tau", "x"), ["'x', not a number"]),
        (real("tau", 1, "kN"), ["'tau' in kN cannot be converted to s"]),
        (real("tau", 1, "h"), ["the unit 'h' is not defined"]),
        (real("tau", -1e7, "s"), ["out of its bounds"]),
        ('<ssv:Parameter name="tau"/>', ["'tau' has no value"]),
        (
            '<ssv:Parameter name="tau"><ssv:Enumeration value="slow"/></ssv:Parameter>',
            ["cannot be given the item 'slow'"],
        ),
        ('<ssv:Parameter name="tau"><ssv:String value="slow"/></ssv:Parameter>', ["cannot be given text"]),
        ('<ssv:Parameter name="tau"><ssv:Binary value="00"/></ssv:Parameter>', ["is binary"]),
    ],
)
def test_values_that_do_not_fit_are_located_in_their_own_file(ssp, values, parts) -> None:
    elements = lag("a", inside=bindings('<ssd:ParameterBinding source="resources/a.ssv"/>'))

    def load() -> None:
        with Simulation(ssp(structure(system("plant", elements)), a__ssv="\n\n" + parameter_set(values))):
            pass

    refused(load, 3, "hand.ssp/resources/a.ssv", *parts)


def test_systems_that_instantiate_each_other_without_end_are_refused(ssp) -> None:
    twice = "".join(
        f'<ssd:Component name="{n}" type="application/x-ssp-definition" source="#loop"/>' for n in ("one", "two")
    )
    loop = system("loop", twice).replace('name="loop"', 'name="loop" id="loop"', 1)
    refused(lambda: ssp(structure(system("plant", lag("a") + loop))), 8, "hand.ssp", "nested deeper")


def test_connections_in_a_ring_are_refused(ssp) -> None:
    cell = system("cell", lag("b"), connection("in", "out") + connection("in", "b.u"), IN + OUT)
    outer = system("plant", cell, connection("cell.out", "cell.in"))
    refused(lambda: ssp(structure(outer)), 8, "hand.ssp", "in a ring")
