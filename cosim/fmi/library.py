"""The binary of an FMU: where it is in the archive, loading it, its functions."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Set as AbstractSet
from contextlib import suppress
from pathlib import Path
from typing import Any

from fmus.errors import GalenicError


class Library:
    """A loaded binary. Each unpacked FMU has its own copy, with its own global variables.

    Args:
        file: the shared library.
        version: 2 or 3.

    Raises:
        GalenicError: it cannot be loaded.
    """

    def __init__(self, file: Path, version: int) -> None:
        from fmus.check.prototypes import arguments

        self.version = version
        self.prefix = f"fmi{version}"
        self._arguments = arguments
        self._functions: dict[str, Any] = {}
        try:
            self._dll: Any = ctypes.CDLL(str(file.absolute()))
        except OSError as error:
            raise GalenicError(
                f"its binary cannot be loaded: {error}", cure="export it for this platform and architecture"
            ) from error

    def function(self, name: str) -> Any:
        """The native function of this name, given without prefix.

        Raises:
            GalenicError: the binary has none.
        """
        found = self._functions.get(name)
        if found is None:
            try:
                found = self._dll[self.prefix + name]
            except AttributeError as error:
                raise GalenicError(
                    f"its binary has no function {self.prefix}{name}",
                    cure="'galenic check' tells what else is missing; export it again",
                ) from error
            found.argtypes, found.restype = self._arguments(self.version, name), ctypes.c_int
            if name.startswith("Instantiate"):
                found.restype = ctypes.c_void_p
            elif name == "FreeInstance":
                found.restype = None
            self._functions[name] = found
        return found

    def unload(self) -> None:
        """Unload it; no function may be called afterwards. May be called twice."""
        dll, self._dll, self._functions = self._dll, None, {}
        if dll is None:
            return
        with suppress(Exception):
            if sys.platform == "win32":
                free = ctypes.windll.kernel32.FreeLibrary
                free.argtypes = (ctypes.c_void_p,)
                free(dll._handle)
            else:
                close = ctypes.CDLL(None).dlclose
                close.argtypes = (ctypes.c_void_p,)
                close(dll._handle)


def library_name(version: int, identifier: str, names: AbstractSet[str]) -> str | None:
    """The member of an archive that is the binary for this machine."""
    from fmus.check.interfaces import library_of

    return library_of(version, identifier, set(names))


def platform_name(version: int) -> str:
    """What the standard calls this platform."""
    from fmus.check.interfaces import platform_names

    return platform_names(version)[0]


def resource_location(folder: Path, version: int) -> bytes | None:
    """What an instance is told about its resources: a URI (FMI 2.0), a path or nothing (FMI 3.0)."""
    resources = (folder / "resources").resolve()
    if version == 2:
        return resources.as_uri().encode()
    return f"{resources}{os.sep}".encode() if resources.is_dir() else None
