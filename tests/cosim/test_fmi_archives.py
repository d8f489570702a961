"""Damaged and hostile FMU files: an error with a cure, never a traceback, a hang, or a file out of its folder."""

from __future__ import annotations

import io
import os
import re
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import pytest
from foreign_fmu import description as odd_description
from foreign_fmu import write_odd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lag_fmu import description as lag_description
from lag_fmu import write_fmu

from cosim.fmi.unpacking import unpack
from cosim.fmu_archive import open_archive
from cosim.fmu_component import FmuComponent
from fmus.errors import GalenicError

FUZZ = settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@cache
def whole(name: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "whole.fmu"
        return (write_fmu(file) if name == "lag" else write_odd(file)).read_bytes()


@contextmanager
def clear_errors() -> Iterator[None]:
    """Lets a GalenicError with a cure pass, and nothing else."""
    try:
        yield
    except GalenicError as error:
        if not error.cure:
            raise


def try_it(file: Path, *, run: bool = False) -> None:
    """Open a file in every way; only a GalenicError with a cure may come out. ``run``: initialise it too."""
    for to_run in (False, True):
        with clear_errors():
            archive = open_archive(file, to_run=to_run)
            with tempfile.TemporaryDirectory() as folder, clear_errors():
                (Path(folder) / "inside").mkdir()
                unpack(file, Path(folder) / "inside", "binaries/")
                assert [child.name for child in Path(folder).iterdir()] == ["inside"]
            for interface in ("co_simulation", "model_exchange") if to_run else ():
                with clear_errors():
                    try_component(FmuComponent("fuzzed", archive, interface=interface), run)


def try_component(component: FmuComponent, run: bool) -> None:
    for name in component.variables("input", "output", "parameter", "local"):
        component.variable(name)
        component.settable(name)
        component.why_not_connectable(name)
    if run:
        try:
            component.initialize(0.0)
            component.do_step(0.0, 0.01)
        finally:
            component.terminate()


@FUZZ
@given(name=st.sampled_from(["lag", "odd"]), share=st.floats(0.0, 1.0))
def test_a_truncated_archive_is_an_error(tmp_path, name, share):
    content = whole(name)
    file = tmp_path / "cut.fmu"
    file.write_bytes(content[: int(share * (len(content) - 1))])
    with pytest.raises(GalenicError) as caught:
        open_archive(file, to_run=False)
    assert caught.value.cure


@FUZZ
@given(
    name=st.sampled_from(["lag", "odd"]),
    places=st.lists(st.tuples(st.floats(0.0, 1.0, exclude_max=True), st.integers(1, 255)), min_size=1, max_size=8),
    tail=st.booleans(),
)
def test_flipped_bytes_are_an_error_or_harmless(tmp_path, name, places, tail):
    content = bytearray(whole(name))
    for share, flip in places:
        # the directory at the end is small and matters most
        begin = max(len(content) - 400, 0) if tail else 0
        content[begin + int(share * (len(content) - begin))] ^= flip
    file = tmp_path / "flipped.fmu"
    file.write_bytes(bytes(content))
    try_it(file)


@FUZZ
@given(content=st.binary(max_size=300), zipped=st.booleans())
def test_any_bytes_are_an_error_or_harmless(tmp_path, content, zipped):
    file = tmp_path / "any.fmu"
    if zipped:
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("modelDescription.xml", content)
    else:
        file.write_bytes(content)
    try_it(file)


VALUES = st.sampled_from(
    ["", "-1", "0", "1", "3", "7", "1e999", "nan", "99999999999999999999", "true", "x", "1 2 3", "../../x", "local",
     "input", "output", "parameter", "discrete", "continuous", "fixed", "é", "&lt;", "Real", "Colour", "{odd}"]
)  # fmt: skip


@FUZZ
@given(
    name=st.sampled_from(["lag", "odd"]),
    changes=st.lists(st.tuples(st.floats(0.0, 1.0, exclude_max=True), VALUES), min_size=1, max_size=4),
)
def test_any_value_of_an_attribute_is_an_error_or_runs(tmp_path, name, changes):
    xml = odd_description(event_mode=True) if name == "odd" else lag_description()
    for share, value in changes:
        found = list(re.finditer(r'="([^"]*)"', xml[60:]))
        chosen = found[int(share * len(found))]
        xml = xml[: 60 + chosen.start(1)] + value + xml[60 + chosen.end(1) :]
    file = tmp_path / "changed.fmu"
    (write_odd if name == "odd" else write_fmu)(file, xml=xml)
    try_it(file, run=True)


@FUZZ
@given(
    name=st.sampled_from(["lag", "odd"]),
    cut=st.tuples(st.floats(0.0, 1.0), st.floats(0.0, 0.2)),
    tags=st.booleans(),
)
def test_a_description_with_a_piece_missing_is_an_error_or_runs(tmp_path, name, cut, tags):
    xml = odd_description() if name == "odd" else lag_description()
    if tags:  # whole elements and attributes, so that it stays XML
        pieces = list(re.finditer(r'\s[\w]+="[^"]*"|<[\w]+ [^>]*/>', xml[60:]))
        chosen = pieces[min(int(cut[0] * len(pieces)), len(pieces) - 1)]
        xml = xml[: 60 + chosen.start()] + xml[60 + chosen.end() :]
    else:
        begin = int(cut[0] * len(xml))
        xml = xml[:begin] + xml[begin + int(cut[1] * len(xml)) :]
    file = tmp_path / "cut.fmu"
    (write_odd if name == "odd" else write_fmu)(file, xml=xml)
    try_it(file, run=True)


def archive_with(file: Path, *members: tuple[str | zipfile.ZipInfo, bytes]) -> Path:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("modelDescription.xml", lag_description())
        for name, content in members:
            archive.writestr(name, content)
    return file


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../out.txt", "leads out"),
        ("resources/../../out.txt", "leads out"),
        ("..\\out.txt", "leads out"),
        ("/tmp/out.txt", "absolute"),
        ("\\\\host\\share\\out.txt", "absolute"),
        ("C:\\out.txt", "absolute"),
        ("c:out.txt", "absolute"),
        ("resources/nul", "no name"),
        ("resources/COM1.txt", "no name"),
        ("resources/a:stream", "no name"),
        ("resources/what?.txt", "no name"),
        ("resources/end.", "no name"),
        ("..", "leads out"),
    ],
)
def test_a_member_that_leads_elsewhere_is_refused_by_name(tmp_path, name, reason):
    entry = zipfile.ZipInfo("x" * len(name))
    file = archive_with(tmp_path / "slip.fmu", (entry, b"out"))
    # zipfile would clean some names: write them as an attacker does
    file.write_bytes(file.read_bytes().replace(b"x" * len(name), name.encode()))
    with pytest.raises(GalenicError, match=f"is refused.*{reason}") as caught:
        open_archive(file, to_run=False)
    assert name in caught.value.message
    assert caught.value.cure
    assert not list(tmp_path.parent.glob("out.txt"))


def test_documentation_may_have_any_name_because_it_stays_packed(tmp_path):
    file = write_fmu(tmp_path / "documented.fmu")
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("documentation/what is it?.html", b"<html/>")
    component = FmuComponent("documented", open_archive(file))
    component.initialize(0.0)
    component.terminate()


@FUZZ
@given(name=st.text(st.characters(codec="utf-8"), min_size=1, max_size=40))
def test_any_name_is_refused_or_stays_inside(tmp_path, name):
    file = tmp_path / "name.fmu"
    with suppress(IndexError):  # zipfile itself stumbles over a name that begins with a null
        archive_with(file, (name, b"content"))
    try_it(file)


def test_a_symbolic_link_is_refused_by_name(tmp_path):
    link = zipfile.ZipInfo("resources/link")
    link.create_system = 3
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with pytest.raises(GalenicError, match="'resources/link' is a symbolic link"):
        open_archive(archive_with(tmp_path / "link.fmu", (link, b"/etc/passwd")))


def test_backslashes_in_names_are_understood(tmp_path):
    file = write_fmu(tmp_path / "windows.fmu")
    content = file.read_bytes()
    import fmpy

    right = f"binaries/{fmpy.platform}/lag{fmpy.sharedLibraryExtension}".encode()
    file.write_bytes(content.replace(right, right.replace(b"/", b"\\")))
    component = FmuComponent("lag", open_archive(file))
    component.initialize(0.0)
    component.terminate()


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path):
    file = archive_with(tmp_path / "bomb.fmu", ("resources/zeros", bytes(64 * 2**20)))
    with pytest.raises(GalenicError, match=r"'resources/zeros' would unpack to 64 MiB from 0\.06 MiB"):
        open_archive(file)


def test_a_bomb_that_lies_about_its_size_is_found_while_it_is_read(tmp_path):
    size = 8 * 2**20
    file = archive_with(tmp_path / "liar.fmu", ("resources/zeros", bytes(size)))
    file.write_bytes(file.read_bytes().replace(size.to_bytes(4, "little"), (1000).to_bytes(4, "little")))
    with pytest.raises(GalenicError, match="is damaged"):
        open_archive(file)


def test_members_that_share_their_bytes_do_not_multiply(tmp_path):
    """Many entries of the directory on one member, each within the limits (Fifield's overlapping bomb)."""
    data, count = bytes(900 * 1000), 2000
    packed = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = packed.compress(data) + packed.flush()
    single = io.BytesIO()
    with zipfile.ZipFile(single, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("modelDescription.xml", lag_description())
        for k in range(count):
            archive.writestr(f"resources/{k:06d}", b"")
    content = bytearray(single.getvalue())
    crc, sizes = (
        zlib.crc32(data).to_bytes(4, "little"),
        len(body).to_bytes(4, "little") + len(data).to_bytes(4, "little"),
    )
    at = 0
    while (at := content.find(b"PK\x01\x02", at)) >= 0:
        name = bytes(content[at + 46 : at + 46 + int.from_bytes(content[at + 28 : at + 30], "little")])
        if name.startswith(b"resources/"):
            content[at + 16 : at + 28] = crc + sizes
        at += 4
    file = tmp_path / "overlap.fmu"
    file.write_bytes(bytes(content) + body)
    with pytest.raises(GalenicError, match=r"refused|damaged"):
        open_archive(file)


def test_a_huge_description_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "huge.fmu", "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("modelDescription.xml", b"<a>" + bytes(65 * 2**20))
    with pytest.raises(GalenicError, match=r"'modelDescription\.xml' would have 65 MiB"):
        open_archive(tmp_path / "huge.fmu")


LAUGHS = '<!DOCTYPE lolz [<!ENTITY a "ha">' + "".join(
    f'<!ENTITY {chr(98 + k)} "{("&" + chr(97 + k) + ";") * 10}">' for k in range(9)
)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("doctype", [LAUGHS + "]>", '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]>'])
def test_entities_are_refused_before_they_grow(tmp_path, doctype, encoding):
    head = f'<?xml version="1.0" encoding="{encoding}"?>'
    body = lag_description().partition("?>")[2].replace('modelName="lag"', 'modelName="&j;"')
    file = tmp_path / "laughs.fmu"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("modelDescription.xml", (head + doctype + body).encode(encoding))
    with pytest.raises(GalenicError, match="document type"):
        open_archive(file)


def test_a_file_where_a_folder_should_be_is_an_error(tmp_path):
    file = write_fmu(tmp_path / "both.fmu")
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("resources", b"a file")
        archive.writestr("resources/inside", b"a file in it")
    component = FmuComponent("both", open_archive(file))
    with pytest.raises(GalenicError, match="cannot be unpacked"):
        component.initialize(0.0)


def test_nothing_is_left_behind_by_a_run(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    component = FmuComponent("lag", open_archive(write_fmu(tmp_path / "lag.fmu")))
    component.initialize(0.0)
    assert len(list(tmp_path.glob("galenic-*"))) == 1
    component.terminate()
    assert not list(tmp_path.glob("galenic-*"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.fmu")
    with pytest.raises(GalenicError, match="no zip archive"):
        open_archive(tmp_path / "pipe.fmu")
