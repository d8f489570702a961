from __future__ import annotations

import importlib.util
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from cosim import Results, Scenario, load_scenario, simulate
from cosim.ssp import VERSIONS, write_ssp
from fmus.errors import GalenicError

LINE = """\
components:
  a: {fmu: grams.fmu, parameters: {tau: 500 ms, gain: 2}, start: {u: 0.7 g/L}}
  b: {fmu: milligrams.fmu}
  hot: {fmu: celsius.fmu, start: {u: 80}}
  cold: {fmu: kelvin.fmu, parameters: {tau: 300 ms}}
  many: {fmu: bundled.fmu, start: {in.a: 3}}
  more: {fmu: bundled.fmu}
  mixed: {fmu: mixed.fmu, start: {u: 1, level: 2, invert: true}}
connections:
  - a.y -> b.u
  - {from: hot.y, to: cold.u, factor: -0.5, offset: 2 delta_degC}
  - {from: cold.y, to: mixed.u, convert_units: false}
  - many.out -> more.in
"""
CONTROLLED = """\
seed: 3
sensors: {probe: {measures: a.y, period: 50 ms, noise: 0.01 g/L}}
disturbances: [{signal: hot.u, noise: {std: 1 %, time_constant: 20 ms}}]
controllers:
  loop:
    {type: pi, period: 50 ms, measurement: probe.value, setpoint: 1 g/L, output: a.u, gain: 2, integral_time: 0.2 s}
record: [a.*, b.*, cold.y, probe.*, loop.*]
"""


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch) -> None:
    monkeypatch.setenv("GALENIC_CACHE", str(tmp_path_factory.mktemp("cache")))


def schemas(version: str) -> Path:
    """The folder of the standard's XML schemas, which are not ours to carry."""
    if version == "1.0":
        found = importlib.util.find_spec("fmpy")
        assert found is not None
        assert found.origin is not None
        return Path(found.origin).parent / "ssp" / "schema"
    shared = Path(os.environ.get("GALENIC_DATA") or Path(__file__).parents[3] / "shared" / "data")
    folder = shared / "ssp-standard-2.0" / "schema"
    if not folder.is_dir():
        pytest.skip(f"the XML schemas of SSP 2.0 are not in {folder}")
    return folder


@pytest.mark.parametrize("version", VERSIONS)
def test_written_files_are_valid_by_the_standards_schemas(scenario, tmp_path, version) -> None:
    etree = pytest.importorskip("lxml.etree")
    folder = schemas(version)
    file = tmp_path / "line.ssp"
    write_ssp(scenario(LINE + CONTROLLED), file, version=version)
    kinds = {".ssd": "Description", ".ssv": "ParameterValues"}
    with zipfile.ZipFile(file) as archive:
        checked = [name for name in archive.namelist() if Path(name).suffix in kinds]
        for name in checked:
            schema = etree.XMLSchema(file=str(folder / f"SystemStructure{kinds[Path(name).suffix]}.xsd"))
            tree = etree.fromstring(archive.read(name))
            schema.assertValid(tree)
            assert tree.get("version") == version
    assert {Path(name).suffix for name in checked} == set(kinds)


def trajectory(scenario: Scenario, folder: Path) -> tuple[list[str], np.ndarray]:
    frame = simulate(scenario, out=folder).frame()
    return list(frame.columns), frame.to_numpy()


@pytest.mark.parametrize("body", [LINE, LINE + CONTROLLED])
@pytest.mark.parametrize("version", VERSIONS)
def test_a_scenario_and_its_ssp_are_the_same_system(scenario, tmp_path, body, version) -> None:
    original = scenario(body)
    write_ssp(original, tmp_path / "line.ssp", version=version)
    again = load_scenario(tmp_path / "line.ssp")
    assert (again.duration, again.communication_step) == (original.duration, original.communication_step)
    names, values = trajectory(original, tmp_path / "one")
    names_again, values_again = trajectory(again, tmp_path / "two")
    assert names_again == names
    assert np.abs(values).max() > 100.0
    np.testing.assert_allclose(values_again, values, rtol=1e-12, atol=1e-12)


def test_written_twice_through_a_scenario_nothing_is_lost(scenario, tmp_path) -> None:
    write_ssp(scenario(LINE + CONTROLLED), tmp_path / "one.ssp")
    write_ssp(load_scenario(tmp_path / "one.ssp"), tmp_path / "two.ssp")
    one, two = (zipfile.ZipFile(tmp_path / f"{name}.ssp") for name in ("one", "two"))
    with one, two:
        assert one.namelist() == two.namelist()
        for name in one.namelist():
            # the names of the structures are those of the files
            texts = [z.read(name).replace(b'name="case"', b"").replace(b'name="one"', b"") for z in (one, two)]
            if not name.endswith((".fmu", ".yaml")):
                assert texts[0] == texts[1], name


def test_the_same_scenario_gives_the_same_bytes(scenario, tmp_path) -> None:
    for name in ("one.ssp", "two.ssp"):
        write_ssp(scenario(LINE), tmp_path / name)
    assert (tmp_path / "one.ssp").read_bytes() == (tmp_path / "two.ssp").read_bytes()


def test_other_tools_are_told_that_they_run_in_open_loop(scenario, tmp_path) -> None:
    assert write_ssp(scenario(LINE), tmp_path / "line.ssp") == []
    (note,) = write_ssp(scenario(LINE + CONTROLLED), tmp_path / "line.ssp")
    assert "1 sensor, 1 disturbance and 1 controller" in note
    assert "open loop" in note


def test_every_change_of_a_value_is_written_out_with_its_units(scenario, tmp_path) -> None:
    write_ssp(scenario(LINE), tmp_path / "line.ssp")
    with zipfile.ZipFile(tmp_path / "line.ssp") as archive:
        text = archive.read("SystemStructure.ssd").decode()
    # g/L to mg/L; degC to K times -0.5 and 2 more; K as a bare number
    changes = [line.strip() for line in text.splitlines() if "LinearTransformation" in line]
    assert len(changes) == 3
    assert text.count('suppressUnitConversion="true"') == 3
    assert 'factor="-0.5" offset="-134.575"' in changes[1]
    assert 'factor="1.0" offset="0.0"' in changes[2]
    assert '<ssc:BaseUnit K="1" offset="273.15" />' in text
    # an input without a connection has no connector, so that no tool writes 0 to it
    assert text.count('name="u" kind="input"') == 3


@pytest.fixture(scope="module")
def mill() -> str:
    """An FMU with arrays, from the user's cache: made before a test has a cache of its own."""
    from fmus import build_fmu, unit_model

    return str(build_fmu(unit_model("cone_mill"), fmi=3))


@pytest.mark.parametrize("version", VERSIONS)
def test_arrays_of_fmi_3_are_joined_whole_where_ssp_has_arrays(mill, tmp_path, version) -> None:
    case = Scenario.from_mapping(
        {
            "scenario": "galenic/1",
            "duration": 5,
            "communication_step": 1,
            "components": {"coarse": {"fmu": mill}, "fine": {"fmu": mill}},
            "connections": ["coarse.outlet -> fine.inlet"],
        }
    )
    notes = write_ssp(case, tmp_path / "mills.ssp", version=version)
    with zipfile.ZipFile(tmp_path / "mills.ssp") as archive:
        text = archive.read("SystemStructure.ssd").decode()
    joined = 'startConnector="outlet.size" endElement="fine" endConnector="inlet.size"'
    assert text.count(joined) == (version == "2.0")
    assert bool(notes) == (version == "1.0")
    one, two = (trajectory(s, tmp_path / s.name) for s in (case, load_scenario(tmp_path / "mills.ssp")))
    assert one[0] == two[0]
    np.testing.assert_array_equal(one[1], two[1])


def test_files_of_controllers_and_kpis_go_along(scenario, fmus, tmp_path) -> None:
    space = fmus / "spaces" / "box.yaml"
    space.parent.mkdir(exist_ok=True)
    space.write_text("design_space: galenic/1\n", encoding="utf-8")
    (fmus / "own.py").write_text("class Own:\n    pass\n", encoding="utf-8")
    body = LINE + "controllers: {c: {type: 'own.py:Own'}}\nkpis: {design_space: {file: spaces/box.yaml}}\n"
    write_ssp(scenario(body), tmp_path / "line.ssp")
    again = load_scenario(tmp_path / "line.ssp")
    kept = Path(again.kpis["design_space"]["file"])
    assert kept.is_absolute()
    assert kept.read_bytes() == space.read_bytes()
    module, _, member = str(again.controllers["c"]["type"]).rpartition(":")
    assert member == "Own"
    assert Path(module).read_text(encoding="utf-8").startswith("class Own")


def test_files_with_names_that_uris_cannot_have_are_found_again(scenario, fmus, tmp_path) -> None:
    name = "a lag, 50 %, Größe #1.fmu"
    (fmus / name).write_bytes((fmus / "lag.fmu").read_bytes())
    write_ssp(scenario(f"components: {{a: {{fmu: '{name}', start: {{u: 2}}}}}}\n"), tmp_path / "line.ssp")
    again = load_scenario(tmp_path / "line.ssp")
    assert Path(str(again.components["a"].fmu)).name == name
    assert again.components["a"].start == {"u": 2.0}


def test_results_of_an_ssp_are_drawn_again_from_their_folder_alone(scenario, tmp_path) -> None:
    from galenic.session import scenario_of

    write_ssp(scenario(LINE + CONTROLLED), tmp_path / "line.ssp")
    simulate(load_scenario(tmp_path / "line.ssp"), out=tmp_path / "run")
    again = scenario_of(Results.open(tmp_path / "run"))
    assert again.name == "line"
    assert set(again.sensors) == {"probe"}


def test_an_unknown_version_is_refused(scenario, tmp_path) -> None:
    with pytest.raises(GalenicError, match=r"no export to SSP 1\.1"):
        write_ssp(scenario(LINE), tmp_path / "line.ssp", version="1.1")
    assert not (tmp_path / "line.ssp").exists()
