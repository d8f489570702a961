"""What an FMU brings beside its binary: model structure, terminals, icons, sources, names of platforms."""

from __future__ import annotations

from pathlib import Path

import pytest
from odd_fmu import BINARY, BINARY_3, DESCRIPTION, DESCRIPTION_3, MODEL_EXCHANGE, binary, write_odd_fmu

from fmus.check import Outcome, Verdict, check_fmu

PNG = b"\x89PNG\r\n\x1a\n"
TERMINALS = """<?xml version="1.0" encoding="UTF-8"?>
<fmiTerminalsAndIcons fmiVersion="3.0"><Terminals>
  <Terminal name="stream" matchingRule="plug">
    <TerminalMemberVariable variableName="y" memberName="a" variableKind="signal"/>
    <TerminalMemberVariable variableName="z" memberName="b" variableKind="signal"/>
    <TerminalGraphicalRepresentation x1="0" y1="0" x2="1" y2="1" iconBaseName="pipe"/>
  </Terminal>
</Terminals></fmiTerminalsAndIcons>
"""
BUILD = """<?xml version="1.0" encoding="UTF-8"?>
<fmiBuildDescription fmiVersion="3.0"><BuildConfiguration modelIdentifier="odd">
  <SourceFileSet language="C99"><SourceFile name="all.c"/><IncludeDirectory name="include"/></SourceFileSet>
</BuildConfiguration></fmiBuildDescription>
"""
FILES = {
    "terminalsAndIcons/terminalsAndIcons.xml": TERMINALS.encode(),
    "terminalsAndIcons/pipe.png": PNG,
    "terminalsAndIcons/icon.png": PNG,
    "terminalsAndIcons/icon.svg": b"<svg/>",
    "sources/buildDescription.xml": BUILD.encode(),
    "sources/all.c": b"",
    "sources/include/odd.h": b"",
}


def verdict(file: Path, check: str) -> Verdict:
    return next(v for v in check_fmu(file) if v.check == check)


def fmu(folder: Path, **changed: bytes | None) -> Path:
    """The FMI 3.0 FMU with these files, by the last part of their names; None leaves one out."""
    files = {BINARY_3: binary("", "odd_fmu3.c")}
    for name, content in FILES.items():
        own = changed.get(name.rsplit("/", 1)[1].replace(".", "_"), content)
        if own is not None:
            files[name] = own
    return write_odd_fmu(folder / "odd.fmu", description=DESCRIPTION_3, files=files)


def test_terminals_icons_and_sources_that_are_in_order_pass(tmp_path: Path) -> None:
    file = fmu(tmp_path)
    terminals, build = verdict(file, "terminals and icons"), verdict(file, "build description")
    assert (terminals.outcome, terminals.found) == (Outcome.OK, "1 terminals with 2 variables, all there")
    assert (build.outcome, build.found) == (Outcome.OK, "1 configurations with 1 source files")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('variableName="z"', 'variableName="q"', "terminal 'stream': there is no variable 'q'"),
        ('memberName="b"', 'memberName="a"', "the member 'a' is there twice"),
        (' memberName="b"', "", "the rule 'plug' matches member names, and a member has none"),
        ("</Terminals>", '<Terminal name="stream" matchingRule="bus"/></Terminals>', "'stream' is there twice"),
        ('matchingRule="plug"', "", "attribute 'matchingRule' is required"),
        ('iconBaseName="pipe"', 'iconBaseName="tube"', "there is no terminalsAndIcons/tube.png"),
        ("</fmiTerminalsAndIcons>", "", "terminalsAndIcons.xml: "),
    ],
)
def test_faults_of_terminals_are_named(tmp_path: Path, old: str, new: str, says: str) -> None:
    assert old in TERMINALS
    found = verdict(fmu(tmp_path, terminalsAndIcons_xml=TERMINALS.replace(old, new).encode()), "terminals and icons")
    assert found.outcome == Outcome.FAILED
    assert says in found.found


def test_faults_of_icons_are_named(tmp_path: Path) -> None:
    assert "icon.png is no PNG image" in verdict(fmu(tmp_path, icon_png=b"GIF89a"), "terminals and icons").found
    assert "icon.svg without the icon.png" in verdict(fmu(tmp_path, icon_png=None), "terminals and icons").found


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('name="all.c"', 'name="some.c"', "there is no sources/some.c"),
        ('modelIdentifier="odd"', 'modelIdentifier="even"', "there is no model identifier 'even'"),
        ('name="include"', 'name="headers"', "there is no folder sources/headers"),
        (' fmiVersion="3.0"', "", "attribute 'fmiVersion' is required"),
    ],
)
def test_faults_of_the_build_description_are_named(tmp_path: Path, old: str, new: str, says: str) -> None:
    assert old in BUILD
    found = verdict(fmu(tmp_path, buildDescription_xml=BUILD.replace(old, new).encode()), "build description")
    assert found.outcome == Outcome.FAILED
    assert says in found.found


def test_sources_without_a_build_description_are_a_failure_in_fmi_3(tmp_path: Path) -> None:
    found = verdict(fmu(tmp_path, buildDescription_xml=None), "build description")
    assert found.found == "there are sources without sources/buildDescription.xml"


def test_a_source_file_that_fmi_2_lists_must_be_there(tmp_path: Path) -> None:
    listed = ('providesDirectionalDerivative="true"/>', 'providesDirectionalDerivative="true"><SourceFiles>'
              '<File name="odd.c"/></SourceFiles></CoSimulation>')  # fmt: skip
    without = write_odd_fmu(tmp_path / "odd.fmu", replace=listed)
    assert verdict(without, "build description").found == "there is no sources/odd.c"
    files = {BINARY: binary(), "sources/odd.c": b""}
    found = verdict(write_odd_fmu(tmp_path / "odd.fmu", replace=listed, files=files), "build description")
    assert (found.outcome, found.found) == (Outcome.OK, "1 source files listed, all there")
    unlisted = verdict(write_odd_fmu(tmp_path / "odd.fmu", files=files), "build description")
    assert unlisted.outcome == Outcome.WARNING


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            '<Unknown index="6" dependencies="1 5"/>',
            '<Unknown index="6"/><Unknown index="6"/>',
            "'der(x)' is listed twice",
        ),
        (
            '<Unknown index="6" dependencies="1 5"/>',
            '<Unknown index="3"/>',
            "'y' is listed as a derivative and does not",
        ),
        ('derivative="5"', 'derivative="1"', "the state 'u' is an input"),
        ('name="x" valueReference="4"', 'name="x" valueReference="4" variability="discrete"', "'x' is a discrete Real"),
    ],
)
def test_faults_of_the_model_structure_are_named(tmp_path: Path, old: str, new: str, says: str) -> None:
    file = write_odd_fmu(tmp_path / "odd.fmu", description=MODEL_EXCHANGE, replace=(old, new))
    found = verdict(file, "model structure")
    assert found.outcome == Outcome.FAILED
    assert says in found.found


def test_a_derivative_of_another_size_than_its_state_is_named(tmp_path: Path) -> None:
    old = '<Float64 name="der(x)" valueReference="5" unit="1" derivative="4"/>'
    new = old.replace("/>", '><Dimension start="2"/></Float64>')
    found = verdict(
        write_odd_fmu(tmp_path / "odd.fmu", description=DESCRIPTION_3, replace=(old, new)), "model structure"
    )
    assert "'der(x)' and its state 'x' have different sizes" in found.found


def test_fmi_2_s_names_of_platforms_are_doubted_in_fmi_3(tmp_path: Path) -> None:
    files = {"binaries/linux64/odd.so": binary("", "odd_fmu3.c")}
    file = write_odd_fmu(tmp_path / "odd.fmu", description=DESCRIPTION_3, files=files)
    found = verdict(file, "platforms")
    assert found.outcome == Outcome.WARNING
    assert "'linux64' is FMI 2.0's name of a platform" in found.found
    assert verdict(file, "run").found.startswith("not checked: it has no binary for this machine")


def test_each_interface_may_have_a_binary_of_its_own(tmp_path: Path) -> None:
    both = DESCRIPTION.replace("<CoSimulation", '<ModelExchange modelIdentifier="equations"/><CoSimulation')
    file = write_odd_fmu(tmp_path / "odd.fmu", replace=(DESCRIPTION, both))
    assert "has no equations" in verdict(file, "platforms").found
    other = BINARY.replace("odd.", "equations.")
    file = write_odd_fmu(tmp_path / "odd.fmu", replace=(DESCRIPTION, both), files={BINARY: binary(), other: binary()})
    folder = BINARY.split("/")[1]
    assert "all 34 functions" in verdict(file, f"binary {folder} odd").found
    assert "all 35 functions" in verdict(file, f"binary {folder} equations").found
