"""Archives that are damaged or hostile: an error with a cure, never a traceback or a file elsewhere."""

from __future__ import annotations

import re
import stat
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ssp_files import connection, lag, linear, parameter_set, real, structure, system
from ssp_files import write_ssp as by_hand

from cosim import load_scenario
from cosim.ssp import read_ssp
from fmus.errors import GalenicError

BINDING = '<ssd:ParameterBindings><ssd:ParameterBinding source="resources/a.ssv"/></ssd:ParameterBindings>'
GOOD = structure(
    system("plant", lag("a", inside=BINDING) + lag("b"), connection("a.y", "b.u", linear(2, 1)))
)  # fmt: skip
VALUES = parameter_set(real("tau", 1500, "ms"))


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("GALENIC_CACHE", str(folder))
    return folder


@pytest.fixture
def good(tmp_path: Path, fmus: Path) -> Path:
    return by_hand(tmp_path / "good.ssp", GOOD, fmus, a__ssv=VALUES)


def archive(file: Path, *entries: tuple[str | zipfile.ZipInfo, bytes]) -> Path:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as content:
        content.writestr("SystemStructure.ssd", GOOD)
        for name, data in entries:
            content.writestr(name, data)
    return file


def link() -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("resources/link.fmu")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


@pytest.mark.parametrize(
    "entry",
    [
        ("../outside.txt", b"x"),
        ("/outside.txt", b"x"),
        ("C:/outside.txt", b"x"),
        ("resources/../../outside.txt", b"x"),
        ("..\\outside.txt", b"x"),
        (link(), b"/etc/passwd"),
        ("resources/bomb.fmu", b"\0" * 80 * 2**20),
    ],
    ids=["up", "absolute", "drive", "up from a folder", "backslash", "link", "bomb"],
)
def test_an_unsafe_archive_is_refused_and_leaves_nothing(tmp_path, cache, entry) -> None:
    with pytest.raises(GalenicError) as caught:
        read_ssp(archive(tmp_path / "bad.ssp", entry))
    assert caught.value.cure
    assert not [file for file in cache.rglob("*") if file.is_file()]
    assert not list(tmp_path.parent.rglob("outside.txt"))


@pytest.mark.parametrize("content", [b"", b"PK", b"not a zip archive at all"])
def test_what_is_no_archive_is_refused(tmp_path, content) -> None:
    file = tmp_path / "bad.ssp"
    file.write_bytes(content)
    with pytest.raises(GalenicError, match="no zip archive") as caught:
        load_scenario(file)
    assert caught.value.file == file.resolve()


def test_an_archive_without_a_structure_is_refused(tmp_path) -> None:
    with zipfile.ZipFile(tmp_path / "bad.ssp", "w") as content:
        content.writestr("readme.txt", "nothing")
    with pytest.raises(GalenicError, match=r"there is no 'SystemStructure\.ssd' in bad\.ssp"):
        load_scenario(tmp_path / "bad.ssp")


def test_xml_that_would_grow_by_entities_is_refused(tmp_path, fmus) -> None:
    laughs = "<!DOCTYPE l [<!ENTITY a 'ha'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;'>]>"
    ssd = GOOD.replace("\n", f"\n{laughs}\n", 1).replace("plant", "&b;")
    with pytest.raises(GalenicError, match="document type"):
        load_scenario(by_hand(tmp_path / "bad.ssp", ssd, fmus, a__ssv=VALUES))


def _read(file: Path) -> None:
    """Reading gives a scenario or a GalenicError; anything else fails the test."""
    caught = None
    try:
        load_scenario(file)
    except GalenicError as error:
        caught = error
    assert caught is None or (caught.cure and caught.file is not None), caught


SLOW = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@SLOW
@given(data=st.data())
def test_a_damaged_archive_is_an_error_with_a_cure(good, tmp_path, data) -> None:
    content = bytearray(good.read_bytes())
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content)))]
    for _ in range(data.draw(st.integers(0, 8))):
        if content:
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    file = tmp_path / "damaged.ssp"
    file.write_bytes(bytes(content))
    _read(file)


@SLOW
@given(data=st.data())
def test_a_damaged_structure_is_an_error_with_a_cure(fmus, tmp_path, data) -> None:
    texts = [GOOD, VALUES]
    for _ in range(data.draw(st.integers(1, 6))):
        which = data.draw(st.integers(0, 1))
        text = texts[which]
        begin = data.draw(st.integers(0, len(text)))
        end = min(len(text), begin + data.draw(st.integers(0, 12)))
        parts = ['"', "<", "/>", "1e999", "nan", "-1", "ssd:", "input", "\0", "]]>", "../", "b.u", "é", ""]
        piece = data.draw(st.sampled_from(parts))
        texts[which] = text[:begin] + piece + text[end:]
    _read(by_hand(tmp_path / "damaged.ssp", texts[0], fmus, a__ssv=texts[1]))


@SLOW
@given(data=st.data())
def test_attributes_of_any_text_are_an_error_or_a_system(fmus, tmp_path, data) -> None:
    values = [*re.finditer(r'="([^"]*)"', GOOD)]
    chosen = data.draw(st.sampled_from(values[6:]))
    text = data.draw(st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=8))
    text = text.replace("&", "").replace("<", "").replace('"', "")
    ssd = GOOD[: chosen.start(1)] + text + GOOD[chosen.end(1) :]
    _read(by_hand(tmp_path / "odd.ssp", ssd, fmus, a__ssv=VALUES))
