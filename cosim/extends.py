"""A file that extends another: ``extends: tablet_line`` takes over everything that the file does not say itself.

Mappings are merged key by key; lists and values replace what the base has; ``null`` removes a key. Entries of lists
that may be written by name (`cosim.named_lists`) are merged by that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from cosim.named_lists import merged_by_name, numbered
from cosim.yaml_lines import Source, read_yaml
from fmus.errors import GalenicError

KEY = "extends"
_FILES = {".yaml", ".yml", ".fmu", ".csv"}


def read_extended(file: Path, find: Callable[[str], Path], above: tuple[Path, ...] = ()) -> Source:
    """Read a YAML file and what it extends, or a system of SSP.

    Args:
        file: the file.
        find: turns a name that is no file beside ``file`` into a path.
        above: the files that extend this one.

    Raises:
        GalenicError: a file cannot be read, the base does not exist, or a file extends itself.
    """
    if file.suffix.lower() in {".ssp", ".ssd"}:
        from cosim.ssp import read_ssp

        return read_ssp(file).source
    source = read_yaml(file)
    if not isinstance(source.data, dict) or KEY not in source.data:
        return numbered(source)
    name = source.data.pop(KEY)
    if not isinstance(name, str):
        raise source.error((KEY,), "'extends' names one scenario", "write 'extends: tablet_line'")
    beside = file.parent / Path(name).expanduser()
    try:
        base_file = beside if beside.is_file() else find(name)
    except GalenicError as error:
        raise source.error((KEY,), error.message, error.cure) from error
    chain = (*above, file.resolve())
    if base_file.resolve() in chain:
        raise source.error((KEY,), f"'{name}' extends itself", "name another scenario")
    base = read_extended(base_file, find, chain)
    inherited = base.data
    if base_file.resolve().parent != file.resolve().parent:
        inherited = _absolute(inherited, base_file.resolve().parent)
    base, source = merged_by_name(replace(base, data=inherited), source, _merge)
    source = numbered(source)
    data = _merge(inherited, source.data) if isinstance(inherited, Mapping) else source.data
    text = f"# {file.name} extends {base_file.name}; both together:\n" + yaml.safe_dump(data, sort_keys=False)
    return Source(data, source.file, text, source.lines, base, source.columns)


def _merge(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in own.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            merged[key] = _merge(merged[key], value)
        else:
            merged[key] = value
    return merged


def _absolute(data: Any, folder: Path) -> Any:
    """``data`` with the names of files beside the base made absolute, for a file that stands elsewhere."""
    if isinstance(data, Mapping):
        return {key: _absolute(value, folder) for key, value in data.items()}
    if isinstance(data, list):
        return [_absolute(value, folder) for value in data]
    if isinstance(data, str) and Path(data).suffix.lower() in _FILES and (folder / data).is_file():
        return str(folder / data)
    return data
