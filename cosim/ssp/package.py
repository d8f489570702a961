"""An SSP archive or the folder of an `.ssd`: its files by the relative URIs that are used within it."""

from __future__ import annotations

import hashlib
import re
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from cosim.fmi import unpacking
from cosim.ssp.xml_tree import Element, parse_xml
from fmus.errors import GalenicError

STRUCTURE = "SystemStructure.ssd"
_AGAIN = "write the file again, or copy it again if it was cut short"
_UNSAFE = re.compile(r'[\\:*?"<>|\x00-\x1f]')


@dataclass(frozen=True)
class Package:
    """Files of an SSP.

    Args:
        folder: where they are on disk.
        shown: what errors call that folder: the archive itself, or the folder.
        structure: name of the `.ssd`.
    """

    folder: Path
    shown: Path
    structure: str = STRUCTURE

    def file(self, uri: str, asked: Element | None = None) -> Path:
        """The file behind a URI that is relative to the `.ssd`.

        Raises:
            GalenicError: the URI is not relative, leaves the package, or there is no such file.
        """

        def refuse(message: str, cure: str) -> GalenicError:
            return GalenicError(message, cure=cure, file=self.shown) if asked is None else asked.error(message, cure)

        try:
            parts = urlsplit(uri)
        except ValueError as error:
            raise refuse(f"'{uri}' is not a URI: {error}", "name a file of the package") from error
        name = unquote(parts.path)
        if parts.scheme or parts.netloc or not name or name.startswith("/") or _UNSAFE.search(name):
            raise refuse(f"'{uri}' is not a file of this package", "copy it into resources/ and name it relatively")
        if ".." in PurePosixPath(name).parts:
            raise refuse(f"'{uri}' leaves the package", "copy the file into resources/")
        file = self.folder / name
        if not file.is_file():
            raise refuse(f"there is no '{name}' in {self.shown.name}", "add the file, or correct its name")
        return file

    def shown_file(self, uri: str) -> Path:
        """What errors call a file."""
        return self.shown / unquote(uri)

    def xml(self, uri: str, asked: Element | None = None) -> Element:
        """The root of an XML file of the package. Raises as `file`, or where the XML is not usable."""
        file = self.file(uri, asked)
        try:
            content = file.read_bytes()
        except OSError as error:
            raise GalenicError(
                f"cannot be read: {error.strerror or error}", cure="check the file", file=file
            ) from error
        return parse_xml(content, self.shown_file(uri))


def open_package(file: Path) -> Package:
    """The package of an `.ssp` archive, unpacked into the user's cache, or of an `.ssd` in a folder.

    Raises:
        GalenicError: it is missing, no zip archive, damaged, or not safe to unpack.
    """
    if file.suffix.lower() == ".ssd":
        if not file.is_file():
            raise GalenicError("there is no such file", cure="check the path", file=file)
        return Package(file.resolve().parent, file.parent, file.name)
    try:
        with file.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
    except (OSError, ValueError) as error:
        raise GalenicError(f"cannot be read: {error}", cure="check the path", file=file) from error
    from fmus.export import cache_directory

    folder = cache_directory().parent / "ssp" / digest[:20]
    if not folder.is_dir():
        _unpack(file, folder)
    return Package(folder, file)


def _unpack(file: Path, folder: Path) -> None:
    """Unpack to a temporary folder beside, then rename: ``folder`` is whole or not there."""
    if not zipfile.is_zipfile(file):
        raise GalenicError("this is not an SSP: it is no zip archive", cure=_AGAIN, file=file)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, ignore_cleanup_errors=True) as temporary:
            target = Path(temporary) / "content"
            target.mkdir()
            try:
                unpacking.unpack(file, target, "")
            except GalenicError as error:
                raise GalenicError(error.message.removeprefix(f"{file} "), cure=_AGAIN, file=file) from error
            try:
                target.rename(folder)
            except OSError:
                if not folder.is_dir():  # else another process was faster
                    raise
    except OSError as error:
        raise GalenicError(f"cannot be unpacked: {error}", cure=_AGAIN, file=file) from error
