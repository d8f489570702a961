"""Reading a surrogate or plan file: every value with its line where it is wrong."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cosim.component import KeyPath
from cosim.yaml_lines import Source
from fmus.errors import GalenicError, nearest
from fmus.quantity import parse_quantity


class Section:
    """A mapping in a YAML file.

    Args:
        source: the parsed file.
        keys: what may stand in it.

    Raises:
        GalenicError: an unknown key.
    """

    def __init__(self, source: Source, keys: Sequence[str]) -> None:
        self.source = source
        self.data: dict[str, Any] = source.data
        for key in self.data:
            if key not in keys:
                raise self.error((key,), f"unknown key '{key}'", nearest(str(key), keys))

    def error(self, path: KeyPath, message: str, cure: str = "") -> GalenicError:
        """An error at a key."""
        return self.source.error(path, message, cure)

    def place_of(self, message: str) -> KeyPath:
        """The key that an error's text quotes, so that the error can name its line."""
        for section, entry in self.data.items():
            if isinstance(entry, Mapping | list):
                for position, key in enumerate(entry):
                    if f"'{key}'" in message:
                        return (section, key if isinstance(entry, Mapping) else position)
        return ()

    def file_of(self, key: str) -> Path:
        """A file, relative to this one."""
        if not self.data.get(key):
            raise self.error((), f"'{key}' is missing", f"add '{key}: FILE'")
        base = self.source.file.parent if self.source.file is not None else Path()
        file = base / str(self.data[key])
        if not file.is_file():
            raise self.error((key,), f"there is no file '{self.data[key]}'", "give a path relative to this file")
        return file

    def number(self, key: str, unit: str, default: float | None = None) -> float:
        """A number that is not negative, in ``unit``; without a default it has to be there and above zero."""
        if key not in self.data:
            if default is None:
                raise self.error((), f"'{key}' is missing", f"add '{key}:'")
            return default
        value = self._quantity((key,), self.data[key], unit)
        if not 0.0 <= value < math.inf or (default is None and value == 0.0):
            raise self.error((key,), f"'{key}' has to be greater than zero", "correct it")
        return value

    def numbers(self, key: str) -> dict[str, float]:
        """A mapping of names to positive numbers."""
        result = {}
        for name, raw in self.mapping(key).items():
            result[name] = self._quantity((key, name), raw, "1")
            if not 0.0 < result[name] < math.inf:
                raise self.error((key, name), f"'{name}' has to be greater than zero", "correct it")
        return result

    def names(self, key: str) -> list[str]:
        """A list of names."""
        found = self.data.get(key) or []
        if not isinstance(found, list):
            raise self.error((key,), f"'{key}' has to be a list", "write [first, second]")
        return [str(item) for item in found]

    def mapping(self, key: str, allowed: Sequence[str] | None = ()) -> dict[str, Any]:
        """A mapping; where ``allowed`` is not empty its entries are mappings with these keys (None: with any)."""
        found = self.data.get(key) or {}
        if not isinstance(found, dict):
            raise self.error((key,), f"'{key}' has to be a mapping", "write 'name: ..' below it")
        if allowed == ():
            return dict(found)
        result: dict[str, Any] = {}
        for name, entry in found.items():
            if entry is not None and not isinstance(entry, dict):
                raise self.error((key, name), f"'{name}' has to be a mapping", "write '{}' for the defaults")
            for inner in entry or {}:
                if allowed is not None and inner not in allowed:
                    raise self.error((key, name, inner), f"unknown key '{inner}'", nearest(str(inner), allowed))
            result[name] = dict(entry or {})
        return result

    def _quantity(self, path: KeyPath, raw: Any, unit: str) -> float:
        try:
            return parse_quantity(raw, unit)
        except GalenicError as error:
            raise self.error(path, error.message, error.cure) from error
