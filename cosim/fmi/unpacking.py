"""Reading an FMU's zip archive, which may be damaged or hostile: nothing leaves the folder, nothing fills the disk."""

from __future__ import annotations

import re
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from xml.parsers import expat

from fmus.errors import GalenicError

_REBUILD = "export the FMU again, or copy it again if it was cut short"
_REFUSED = "do not use this file, unless you made it yourself; then export it again"
_LARGEST, _LARGEST_XML = 2 * 2**30, 64 * 2**20
#: deflate cannot reach more than 1032; real binaries stay below 50
_RATIO, _RATIO_FROM = 1000, 2**20
_MOST_MEMBERS = 100_000
_CHUNK = 2**20
_SYSTEM = re.compile(r'[<>:"|?*\x00-\x1f]|[. ]$')
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
#: what goes wrong inside `zipfile` for damaged archives
DAMAGE = (OSError, zipfile.BadZipFile, zlib.error, RuntimeError, EOFError, NotImplementedError, ValueError, IndexError)
#: what an instance never needs
_SKIPPED = ("sources/", "documentation/")


def members(file: Path) -> list[zipfile.ZipInfo]:
    """The members of an archive, none of which leads out of a folder or is larger than it should be.

    Raises:
        GalenicError: names the member at fault.
    """
    if not file.is_file() or not zipfile.is_zipfile(file):
        raise GalenicError(f"{file} is not an FMU: it is no zip archive", cure=_REBUILD)
    try:
        with zipfile.ZipFile(file) as archive:
            found = archive.infolist()
    except DAMAGE as error:
        raise GalenicError(f"{file} is damaged: {error}", cure=_REBUILD) from error
    if len(found) > _MOST_MEMBERS:
        raise GalenicError(f"{file} is refused: it has {len(found)} members", cure=_REFUSED)
    for member in found:
        if reason := _why_refused(member):
            raise GalenicError(f"{file} is refused: '{member.orig_filename[:200]}' {reason}", cure=_REFUSED)
    size = sum(member.file_size for member in found)
    if size > _LARGEST or size > max(_RATIO * file.stat().st_size, _RATIO_FROM):
        raise GalenicError(f"{file} is refused: it would unpack to {size / 2**20:.0f} MiB", cure=_REFUSED)
    return found


def member_name(member: zipfile.ZipInfo) -> str:
    """A member's path with forward slashes, which some tools forget."""
    return member.orig_filename.replace("\\", "/")


def _why_refused(member: zipfile.ZipInfo) -> str:
    name = member_name(member)
    if name.startswith("/") or re.match(r"[A-Za-z]:", name):
        return "is an absolute path"
    parts = [part for part in name.split("/") if part not in {"", "."}]
    if ".." in parts:
        return "leads out of the archive"
    odd = any(_SYSTEM.search(part) or _DEVICES.fullmatch(part) for part in parts)
    if not parts or (odd and not name.startswith(_SKIPPED)):  # what is never unpacked may be called as it likes
        return "is no name that every system takes"
    if stat.S_ISLNK(member.external_attr >> 16):
        return "is a symbolic link"
    if member.flag_bits & 1:
        return "is encrypted"
    if member.file_size > _RATIO_FROM and member.file_size > _RATIO * max(member.compress_size, 1):
        return f"would unpack to {member.file_size / 2**20:.0f} MiB from {member.compress_size / 2**20:.2f} MiB"
    if name == "modelDescription.xml" and member.file_size > _LARGEST_XML:
        return f"would have {member.file_size / 2**20:.0f} MiB"
    return ""


def check_content(file: Path) -> None:
    """Read every member once. Raises GalenicError: a checksum fails or the content is cut short or too long."""
    for _ in _contents(file, lambda _: True):
        pass


def unpack(file: Path, folder: Path, keep: str) -> None:
    """Unpack what an instance may need into ``folder``.

    Args:
        file: the archive.
        folder: exists and is empty.
        keep: the folder of binaries that is needed; those for other platforms stay packed.

    Raises:
        GalenicError: the archive is damaged or refused.
    """

    def wanted(name: str) -> bool:
        return not name.startswith(_SKIPPED) and (not name.startswith("binaries/") or name.startswith(keep))

    for name, chunks in _contents(file, wanted):
        target = folder.joinpath(*(part for part in name.split("/") if part not in {"", "."}))
        try:
            if name.endswith("/"):
                target.mkdir(parents=True, exist_ok=True)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as out:
                for chunk in chunks:
                    out.write(chunk)
        except OSError as error:
            raise GalenicError(f"{file}: '{name}' cannot be unpacked: {error}", cure=_REBUILD) from error


def _contents(file: Path, wanted: Callable[[str], bool]) -> Iterator[tuple[str, Iterator[bytes]]]:
    checked = members(file)
    with zipfile.ZipFile(file) as archive:
        for member in checked:
            name = member_name(member)
            if not wanted(name):
                continue
            content = _chunks(file, archive, member)
            yield name, content
            for _ in content:  # what the caller left unread is checked too
                pass


def _chunks(file: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[bytes]:
    """The content of a member, in parts, never longer than the archive says."""
    if member.is_dir():
        return
    length = 0
    try:
        with archive.open(member) as stream:
            while chunk := stream.read(_CHUNK):
                length += len(chunk)
                if length > member.file_size:
                    break
                yield chunk
    except DAMAGE as error:
        raise GalenicError(f"{file} is damaged: '{member.orig_filename}': {error}", cure=_REBUILD) from error
    if length != member.file_size:
        raise GalenicError(f"{file} is damaged: '{member.orig_filename}' has another length", cure=_REBUILD)


class _FoundError(Exception):
    """What was looked for in the XML is read."""


def interface_attributes(xml: bytes) -> dict[str, dict[str, str]]:
    """The attributes of the elements before the variables, by tag.

    Raises:
        ValueError: it has a document type, in which entities could be declared that grow without bound.
        expat.ExpatError: it is no XML.
    """
    found: dict[str, dict[str, str]] = {}

    def start(tag: str, attributes: dict[str, str]) -> None:
        if tag == "ModelVariables":
            raise _FoundError
        found.setdefault(tag, dict(attributes))

    def doctype(*_: object) -> None:
        raise ValueError("it declares a document type, which no FMU needs")

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    parser.StartDoctypeDeclHandler = doctype
    with suppress(_FoundError):
        parser.Parse(xml, True)
    return found
