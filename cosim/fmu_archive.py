"""Opening an FMU file: description, checks, and what is wrong with it in plain words."""

from __future__ import annotations

import hashlib
import os
import zipfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from fmus.errors import GalenicError
from fmus.toolchain import this_platform

_REBUILD = "export the FMU again, or copy it again if it was cut short"


@dataclass(frozen=True)
class FmuArchive:
    """An FMU file that passed the checks.

    Args:
        file: the .fmu file.
        description: FMPy's model description.
        sha256: hash of the file, for the results' metadata.
    """

    file: Path
    description: Any
    sha256: str


def open_archive(file: Path, *, to_run: bool = True) -> FmuArchive:
    """Read the description of an FMU and, ``to_run``, check that it can run here. An unchanged file is read once.

    Raises:
        GalenicError: missing, not an FMU, damaged, of another FMI version or kind, or without a binary for this
            platform. The error has no place; the caller knows which line of the scenario asked for the file.
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
    from fmpy import read_model_description

    if file.is_dir() or not zipfile.is_zipfile(file):
        raise GalenicError(f"{file} is not an FMU: it is no zip archive", cure=_REBUILD)
    try:
        with zipfile.ZipFile(file) as archive:
            names = set(archive.namelist())
            damaged = archive.testzip()
    except (OSError, zipfile.BadZipFile, RuntimeError, EOFError, NotImplementedError) as error:
        raise GalenicError(f"{file} is damaged: {error}", cure=_REBUILD) from error
    if damaged is not None:
        raise GalenicError(f"{file} is damaged: the content of '{damaged}' fails its checksum", cure=_REBUILD)
    if "modelDescription.xml" not in names:
        raise GalenicError(f"{file} is not an FMU: it has no modelDescription.xml", cure=_REBUILD)
    try:
        # without the schema check: many FMUs that run well violate it somewhere
        description = read_model_description(str(file), validate=False)
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise GalenicError(f"{file}: modelDescription.xml cannot be read: {reason}", cure=_REBUILD) from error
    if to_run:
        _check_interface(file, description)
        _check_binary(file, description.coSimulation.modelIdentifier, names)
    return FmuArchive(file, description, hashlib.sha256(file.read_bytes()).hexdigest())


def _check_interface(file: Path, description: Any) -> None:
    cure = "export it as FMI 2.0 for Co-Simulation"
    if description.fmiVersion != "2.0":
        raise GalenicError(
            f"{file} is an FMI {description.fmiVersion} FMU, which cannot run in a system yet", cure=cure
        )
    if description.coSimulation is None:
        raise GalenicError(f"{file} has no Co-Simulation interface", cure=cure)


def _check_binary(file: Path, identifier: str, names: set[str]) -> None:
    from fmpy import sharedLibraryExtension

    folder = _platform_folder()
    if f"binaries/{folder}/{identifier}{sharedLibraryExtension}" in names:
        return
    has = sorted({name.split("/")[1] for name in names if name.startswith("binaries/") and name.count("/") > 1})
    raise GalenicError(
        f"{file} has no binary for this platform ({folder}); it has {', '.join(has) or 'none'}",
        cure=f"export it for {folder}",
    )


def _platform_folder() -> str:
    """The folder of this platform's binaries. FMPy's name for Linux on arm64 is that of Linux on x86-64."""
    import fmpy

    try:
        return this_platform().fmi_name
    except GalenicError:
        return str(fmpy.platform)


def load_library(archive: FmuArchive, directory: Path, instance_name: str) -> Any:
    """Unpack an FMU into ``directory`` and load its library.

    Returns:
        FMPy's FMU2Slave.

    Raises:
        GalenicError: the binary cannot be loaded.
    """
    from fmpy import extract, sharedLibraryExtension
    from fmpy.fmi2 import FMU2Slave

    here = os.getcwd()
    try:
        extract(str(archive.file), str(directory))
        identifier = archive.description.coSimulation.modelIdentifier
        library = directory / "binaries" / _platform_folder() / (identifier + sharedLibraryExtension)
        return FMU2Slave(
            guid=archive.description.guid,
            unzipDirectory=str(directory),
            modelIdentifier=identifier,
            libraryPath=str(library.absolute()),
            instanceName=instance_name,
        )
    except Exception as error:
        raise GalenicError(
            f"{archive.file}: its binary cannot be loaded: {error}", cure="export it for this platform and architecture"
        ) from error
    finally:
        # FMPy enters the library's folder to load it, and stays there if that fails
        os.chdir(here)
