from __future__ import annotations

import pytest
from lag_fmu import description, write_fmu

from cosim import Simulation, build_system
from fmus.errors import GalenicError


def problem(scenario, body: str) -> GalenicError:
    with pytest.raises(GalenicError) as caught, Simulation(scenario(body)) as simulation:
        simulation.initialize()
    assert caught.value.cure
    assert caught.value.file is not None
    return caught.value


def test_a_missing_fmu_is_named_with_file_line_and_cure(scenario):
    error = problem(scenario, "components:\n  a:\n    fmu: nowhere.fmu\n")
    assert "there is no FMU file" in error.message
    assert "nowhere.fmu" in error.message
    assert error.line == 6
    assert error.file.name == "case.yaml"


def _not_a_zip(file):
    file.write_text("<html>404</html>")


def _cut_short(file):
    whole = write_fmu(file).read_bytes()
    file.write_bytes(whole[: len(whole) // 2])


def _flipped(file):
    content = bytearray(write_fmu(file).read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(bytes(content))


def _empty_zip(file):
    import zipfile

    with zipfile.ZipFile(file, "w"):
        pass


CORRUPT = {
    "not_a_zip": (_not_a_zip, "it is no zip archive"),
    "cut_short": (_cut_short, "it is no zip archive"),
    "flipped": (_flipped, "is damaged"),
    "empty": (_empty_zip, "it has no modelDescription.xml"),
    "bad_xml": (lambda f: write_fmu(f, xml="<fmiModelDescription"), "modelDescription.xml cannot be read"),
    "other_xml": (lambda f: write_fmu(f, xml="<html/>"), "modelDescription.xml cannot be read"),
    "fmi1": (lambda f: write_fmu(f, xml=description(version="1.0")), "FMI 1.0|cannot be read"),
    "exchange": (
        lambda f: write_fmu(f, xml=description().replace("CoSimulation", "ModelExchange")),
        "its binary has no function fmi2",
    ),
    "other_platform": (lambda f: write_fmu(f, platform="vax"), r"no binary for this platform .* it has vax"),
    "bad_binary": (lambda f: write_fmu(f, library=b"MZ not a library"), "its binary cannot be loaded"),
}


@pytest.mark.parametrize("case", CORRUPT)
def test_a_corrupt_fmu_is_refused_with_file_line_and_cure(scenario, fmus, case):
    make, message = CORRUPT[case]
    make(fmus / "corrupt.fmu")
    error = problem(scenario, "components:\n  a:\n    fmu: corrupt.fmu\n")
    import re

    assert re.search(message, error.message)
    assert "corrupt.fmu" in error.message
    assert error.line in {5, 6}


def test_a_binary_that_does_not_load_leaves_the_working_folder_alone(scenario, fmus, monkeypatch, tmp_path):
    import os

    monkeypatch.chdir(tmp_path)
    write_fmu(fmus / "corrupt.fmu", library=b"MZ")
    problem(scenario, "components: {a: {fmu: corrupt.fmu}}")
    assert os.getcwd() == str(tmp_path)


@pytest.mark.parametrize(
    ("keys", "line", "message"),
    [
        ("parameters: {tua: 1}", 7, "'a' has no parameter 'tua'"),
        ("parameters: {tau: 1 mm}", 7, "cannot be converted"),
        ("parameters: {tau: fast}", 7, "is not a number with a unit"),
        ("parameters: {tau: -1e7}", 7, "out of its bounds"),
        ("parameters: {u: 1}", 7, "'u' belongs under 'start'"),
        ("start: {tau: 1}", 7, "'tau' belongs under 'parameters'"),
        ("start: {y: 1}", 7, "no variable that takes a start value 'y'"),
        ("parameter_file: none.yaml", 7, "there is no parameter file"),
    ],
)
def test_values_that_do_not_fit_are_refused_with_their_line(scenario, keys, line, message):
    error = problem(scenario, f"components:\n  a:\n    fmu: lag.fmu\n    {keys}\n")
    assert message in error.message
    assert error.line == line


def test_parameters_of_a_file_apply_and_the_scenario_overrides_them(scenario, fmus):
    (fmus / "fit.yaml").write_text(
        "made_by: calibrate\nparameters:\n"
        "  tau: {value: 500, unit: ms}\n  gain: {value: 3, unit: '1', std_error: 0.1}\n"
    )
    system = build_system(scenario("components: {a: {fmu: lag.fmu, parameter_file: fit.yaml, parameters: {gain: 4}}}"))
    assert system.components[0].values == {"tau": pytest.approx(0.5), "gain": 4.0}


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("tau: 1\n", 1, "has no 'parameters'"),
        ("parameters:\n  tau: 1\n", 2, "'tau' has no number"),
        ("parameters:\n  gain: {value: 1}\n  tau: {value: 1, unit: kg}\n", 3, "cannot be converted"),
        ("parameters:\n  gian: {value: 1}\n", 2, "has no parameter 'gian'"),
    ],
)
def test_a_bad_parameter_file_is_named_with_its_own_line(scenario, fmus, text, line, message):
    (fmus / "bad.yaml").write_text(text)
    error = problem(scenario, "components: {a: {fmu: lag.fmu, parameter_file: bad.yaml}}")
    assert message in error.message
    assert error.file.name == "bad.yaml"
    assert error.line == line


def test_a_unit_that_does_not_exist_is_refused_with_the_nearest(scenario):
    error = problem(scenario, "components:\n  p:\n    unit: tablet_pres\n")
    assert error.line == 6
    assert "tablet_press" in error.cure


def test_a_shipped_unit_runs_as_a_component(scenario):
    with Simulation(scenario("components: {press: {unit: tablet_press}}")) as simulation:
        simulation.step(10)
        assert simulation.get("press.main_compression_force") > 0.0


def test_many_instances_of_one_fmu_do_not_share_state(scenario):
    body = "components:\n" + "".join(f"  c{i}: {{fmu: lag.fmu, start: {{u: {i}}}}}\n" for i in range(5))
    with Simulation(scenario(body)) as simulation:
        simulation.step(100)
        values = [simulation.get(f"c{i}.y") for i in range(5)]
    assert values == pytest.approx([i * 0.63396766 for i in range(5)], abs=1e-7)
