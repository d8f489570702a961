"""Opening an FMU file: description, checks, and what is wrong with it in plain words."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from cosim.fmi import unpacking
from cosim.fmi.description import INTERFACE_NAMES, Description, interfaces, major_version
from cosim.fmi.library import library_name, platform_name
from fmus.errors import GalenicError

_REBUILD = "export the FMU again, or copy it again if it was cut short"


@dataclass(frozen=True)
class FmuArchive:
    """An FMU file that passed the checks.

    Args:
        file: the .fmu file.
        description: FMPy's model description.
        sha256: hash of the file, for the results' metadata.
        names: the members of the archive.
        attributes: those of the elements before the variables, by tag (``CoSimulation``); FMPy drops some.
    """

    file: Path
    description: Any
    sha256: str
    names: frozenset[str] = frozenset()
    attributes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def open_archive(file: Path, *, to_run: bool = True) -> FmuArchive:
    """Read the description of an FMU and, ``to_run``, check that it can run here. An unchanged file is read once.

    Raises:
        GalenicError: missing, not an FMU, damaged, unsafe to unpack, of another FMI version or kind, with clocks, or
            without a binary for this platform. The error has no place; the caller knows which line of the scenario
            asked for the file.
    """
    try:
        state = file.stat()
    except (OSError, ValueError) as error:
        raise GalenicError(
            f"there is no FMU file {file}", cure="check the path; it is relative to the scenario's file"
        ) from error
    return _open(file, state.st_mtime_ns, state.st_size, to_run)


@lru_cache(maxsize=64)
def _open(file: Path, _modified: int, _size: int, to_run: bool) -> FmuArchive:
    names = {unpacking.member_name(member) for member in unpacking.members(file)}
    unpacking.check_content(file)
    if "modelDescription.xml" not in names:
        raise GalenicError(f"{file} is not an FMU: it has no modelDescription.xml", cure=_REBUILD)
    description, attributes = _read_description(file)
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    archive = FmuArchive(file, description, digest, frozenset(names), attributes)
    if to_run:
        _check_interface(archive)
    return archive


def _read_description(file: Path) -> tuple[Any, dict[str, dict[str, str]]]:
    from fmpy import read_model_description

    try:
        with zipfile.ZipFile(file) as content:
            xml = content.read("modelDescription.xml")
        attributes = unpacking.interface_attributes(xml)
        # FMPy gets these bytes alone, which were looked at; without the schema check, because many FMUs that run well
        # violate it somewhere
        alone = io.BytesIO()
        with zipfile.ZipFile(alone, "w") as content:
            content.writestr("modelDescription.xml", xml)
        return read_model_description(alone, validate=False), attributes
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise GalenicError(f"{file}: modelDescription.xml cannot be read: {reason}", cure=_REBUILD) from error


def _check_interface(archive: FmuArchive) -> None:
    file, description = archive.file, archive.description
    cure = "export it as FMI 2.0 or 3.0 for Co-Simulation or Model Exchange"
    version = major_version(description)
    if not version:
        raise GalenicError(f"{file} is an FMI {description.fmiVersion} FMU, which cannot run here", cure=cure)
    offered = interfaces(description)
    if not offered:
        if description.scheduledExecution is not None:
            raise GalenicError(f"{file} has Scheduled Execution alone, whose clocks cannot run here", cure=cure)
        names = " and no ".join(INTERFACE_NAMES.values())
        raise GalenicError(f"{file} has no {names} interface", cure=cure)
    ticking = [v.name for v in description.modelVariables if v.type == "Clock" or v.clocks]
    if ticking:
        shown = ", ".join(f"'{name}'" for name in ticking[:3]) + (", ..." if len(ticking) > 3 else "")
        raise GalenicError(f"{file} has clocks ({shown}), which cannot run here", cure="export it without clocks")
    identifiers = {said.modelIdentifier for said in offered.values()}
    if not any(library_name(version, str(identifier), archive.names) for identifier in identifiers):
        raise _no_binary(archive, version)


def library_member(archive: FmuArchive, description: Description) -> str:
    """The member that is the binary of an interface for this platform.

    Raises:
        GalenicError: there is none.
    """
    found = library_name(description.version, description.identifier, archive.names)
    if found is None:
        raise _no_binary(archive, description.version)
    return found


def unpack(archive: FmuArchive, folder: Path, library: str) -> None:
    """Unpack into ``folder`` what an instance needs.

    Raises:
        GalenicError: the file was damaged since it was opened.
    """
    unpacking.unpack(archive.file, folder, library.rpartition("/")[0] + "/")


def _no_binary(archive: FmuArchive, version: int) -> GalenicError:
    folder = platform_name(version)
    has = sorted({n.split("/")[1] for n in archive.names if n.startswith("binaries/") and n.count("/") > 1})
    return GalenicError(
        f"{archive.file} has no binary for this platform ({folder}); it has {', '.join(has) or 'none'}",
        cure=f"export it for {folder}",
    )
