from __future__ import annotations

import pytest
from lag_fmu import write_fmu

from cosim import Simulation
from fmus.errors import GalenicError

COMPONENTS = """\
components:
  a: {fmu: lag.fmu}
  b: {fmu: lag.fmu}
  many: {fmu: bundled.fmu}
  more: {fmu: bundled.fmu}
  force: {fmu: force.fmu}
  grams: {fmu: grams.fmu}
"""


def refused(scenario, body: str, line: int, *parts: str) -> None:
    """The scenario is refused before it runs, at this line, with these words."""
    with pytest.raises(GalenicError) as caught:
        Simulation(scenario(body))
    text = str(caught.value)
    assert caught.value.line == line, text
    assert caught.value.file is not None
    assert caught.value.file.name == "case.yaml"
    assert caught.value.cure
    for part in parts:
        assert part in text


@pytest.mark.parametrize(
    ("connection", "parts"),
    [
        ("a.y -> c.u", ["there is no component 'c'"]),
        ("forse.y -> force.u", ["there is no component 'forse'", "did you mean 'force'"]),
        ("many.out.aa -> b.u", ["'many' has no variable 'out.aa'", "did you mean 'out.a'"]),
        ("a.y -> many.in.q", ["'many' has no variable 'in.q'", "'in.a'"]),
        ("many.outt -> more.in", ["'many' has no variable 'outt'", "did you mean 'out'"]),
        ("a.y -> b.y", ["'b.y' is an output"]),
        ("a.u -> b.u", ["'a.u' is an input"]),
        ("many.in -> more.in", ["'many.in' is an input"]),
        ("force.y -> grams.u", ["'force.y' in kN cannot drive 'grams.u' in g/L", "dimensions differ"]),
        ("a.y -> force.u", ["'a.y' in 1 cannot drive 'force.u' in kN"]),
        ("a.y -> many.in", ["joins one variable and a group"]),
        ("a -> b", ["'a' is not a signal"]),
        ("a.gain -> b.u", ["'a': 'gain' is a parameter, neither an input nor an output", "known names: y"]),
    ],
)
def test_a_connection_that_cannot_be_is_refused_with_its_line(scenario, connection, parts):
    refused(scenario, COMPONENTS + f"connections:\n  - {connection}\n", 12, *parts)


def test_an_input_with_two_drivers_is_refused_and_both_are_named(scenario):
    body = COMPONENTS + "connections:\n  - a.y -> b.u\n  - b.y -> b.u\n"
    refused(scenario, body, 13, "'b.u' is driven already, by 'a.y' in line 12")


def test_a_bundle_connects_every_variable_of_the_target(scenario):
    with Simulation(scenario(COMPONENTS + "connections: [many.out -> more.in]\n")) as simulation:
        assert simulation.system.drivers == {"more.in.a": "many.out.a", "more.in.b": "many.out.b"}


def test_a_bundle_that_lacks_a_variable_of_the_target_is_refused(scenario):
    import lag_fmu

    body = COMPONENTS + "  poor: {fmu: poor.fmu}\nconnections: [poor.out -> more.in]\n"
    loaded = scenario(body)
    lag_fmu.write_fmu(loaded.directory / "poor.fmu", {"in.a": ("input", 0, "Real"), "out.a": ("output", 1, "Real")})
    refused(scenario, body, 12, "'poor.out' has no variable for 'more.in.b'", "it offers a")


def test_a_disturbance_on_a_connected_input_is_refused(scenario):
    body = COMPONENTS + "connections: [a.y -> b.u]\ndisturbances:\n  - {signal: b.u, step: {at: 0, to: 1}}\n"
    refused(scenario, body, 13, "'b.u' is driven already, by 'a.y'")


@pytest.mark.parametrize(
    ("extra", "line", "parts"),
    [
        ("sensors:\n  s: {measures: a.z}\n", 12, ["'a' has no variable 'z'", "known names: u, y"]),
        ("sensors:\n  s:\n    measures: a.y\n    period: 15 ms\n", 14, ["not a multiple of the communication step"]),
        ("sensors:\n  s:\n    measures: force.y\n    noise: 3 mm\n", 14, ["cannot be converted"]),
        ("sensors:\n  s:\n    measures: force.y\n    noise: -3 N\n", 14, ["must not be negative"]),
        ("disturbances:\n  - {signal: a.y, step: {at: 0, to: 1}}\n", 12, ["'a.y' is an output"]),
        ("disturbances:\n  - signal: force.u\n    step: {at: 0, to: 1 mm}\n", 13, ["cannot be converted"]),
        ("disturbances:\n  - signal: force.u\n    noise: {std: -1}\n", 13, ["must not be negative"]),
        (
            "disturbances:\n  - signal: force.u\n    lots: {every: 1 s, rsd: 50 %}\n",
            13,
            ["relative standard deviation"],
        ),
        ("record: [a.y, b.z]\n", 11, ["no signal matches 'b.z'", "'b.y'"]),
        ("plot:\n  - title: x\n    signals: [a.x]\n", 13, ["no signal matches 'a.x'"]),
    ],
)
def test_what_does_not_fit_the_fmus_is_refused_with_its_line(scenario, extra, line, parts):
    refused(scenario, COMPONENTS + extra, line, *parts)


def test_the_cure_for_a_change_relative_to_zero_is_an_absolute_one(scenario):
    body = COMPONENTS + (
        "sensors: {s: {measures: force.y}}\ndisturbances:\n  - {signal: s.bias, step: {at: 0, by: +5 %}}\n"
    )
    refused(scenario, body, 13, "of a start value of 0 is nothing", "give the change in kN")


def test_a_controller_to_leave_out_must_exist(scenario):
    with pytest.raises(GalenicError, match="there is no controller 'mpc' to leave out"):
        Simulation(scenario(COMPONENTS), without=["mpc"])


@pytest.mark.parametrize(
    ("connection", "expected"),
    [
        ("{from: a.y, to: b.u, factor: -1, offset: 2}", (-1.0, 2.0)),
        ("{from: a.y, to: b.u}", (1.0, 0.0)),
        ("{from: force.y, to: newton.u, factor: 0.5, offset: 1 kN}", (500.0, 1000.0)),
        ("{from: hot.y, to: cold.u, factor: 2, offset: 5 delta_degF}", (2.0, 2.0 * 273.15 + 25.0 / 9.0)),
        ("{from: force.y, to: newton.u, convert_units: false, factor: 3}", (3.0, 0.0)),
        ("{from: a.y, to: force.u, convert_units: false}", (1.0, 0.0)),
    ],
)
def test_a_connection_may_scale_and_shift_the_value_in_the_targets_unit(fmus, scenario, connection, expected):
    write_fmu(fmus / "newton.fmu", units={"u": "N", "y": "N"})
    more = "  newton: {fmu: newton.fmu}\n  hot: {fmu: celsius.fmu}\n  cold: {fmu: kelvin.fmu}\n"
    with Simulation(scenario(COMPONENTS + more + f"connections:\n  - {connection}\n")) as simulation:
        gather = simulation.system.gather
        assert (gather.factor[0], gather.offset[0]) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize(
    ("connection", "parts"),
    [
        ("{from: a.y, to: force.u, factor: 2}", ["'a.y' in 1 cannot drive 'force.u' in kN"]),
        ("{from: force.y, to: force.u, offset: 2 mm}", ["'mm' cannot be converted to 'kN'"]),
        ("{from: force.y, to: force.u, offset: lots}", ["'lots' is not a number with a unit"]),
        ("{from: many.out, to: more.in, factor: 2}", ["changes the values of a whole group"]),
        ("{from: a.y, to: mixed.level, factor: 2}", ["'a.y' is real and would lose its value in 'mixed.level'"]),
        ("{from: a.y, to: b.u, gain: 2}", ["unknown key 'gain'"]),
        ("{from: a.y}", ["'to' is missing"]),
        ("{from: a.y, to: b.u, factor: 2 kg}", ["connections.0.factor is '2 kg', not a number"]),
        ("a.y - b.u", ["'a.y - b.u' is not a connection"]),
    ],
)
def test_a_changed_connection_that_cannot_be_is_refused_with_its_line(scenario, connection, parts):
    refused(scenario, COMPONENTS + f"  mixed: {{fmu: mixed.fmu}}\nconnections:\n  - {connection}\n", 13, *parts)


def test_components_of_nested_systems_have_dots_in_their_names(scenario):
    body = "components:\n  cell.a: {fmu: lag.fmu}\n  cell.b: {fmu: bundled.fmu}\n"
    body += "connections: [cell.a.y -> cell.b.in.a, cell.b.out.a -> cell.a.u]\n"
    with Simulation(scenario(body)) as simulation:
        assert simulation.system.drivers == {"cell.b.in.a": "cell.a.y", "cell.a.u": "cell.b.out.a"}


def test_a_component_is_not_named_like_a_variable_of_another(scenario):
    refused(scenario, COMPONENTS + "  a.y: {fmu: lag.fmu}\n", 11, "'a.y' looks like a variable of 'a'")
