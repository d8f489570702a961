"""A file that extends others: ``extends: tablet_line`` takes over everything that the file does not say itself.

Of several, ``extends: [tablet_line, faults.yaml]``, the later count more; one of them may be a fragment of a scenario.

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
from cosim.python_files import split_name
from cosim.yaml_lines import Source, read_yaml
from fmus.errors import GalenicError

KEY = "extends"
_FILES = {".yaml", ".yml", ".fmu", ".csv"}


def read_extended(file: Path, find: Callable[[str], Path]) -> Source:
    """Read a YAML file and what it extends, or a system of SSP.

    Args:
        file: the file.
        find: turns a name that is no file beside ``file`` into a path.

    Raises:
        GalenicError: a file cannot be read, the base does not exist, or a file extends itself.
    """
    if file.suffix.lower() in {".ssp", ".ssd"}:
        from cosim.ssp import read_ssp

        return read_ssp(file).source
    return numbered(_read(file, find, ()))


def _read(file: Path, find: Callable[[str], Path], above: tuple[Path, ...]) -> Source:
    """Like `read_extended`; ``above`` are the files that extend this one.

    What a file without a base says by name stays so, for it may be about another's entries.
    """
    if file.suffix.lower() in {".ssp", ".ssd"}:
        return read_extended(file, find)
    source = read_yaml(file)
    if not isinstance(source.data, dict) or KEY not in source.data:
        return source
    named = source.data.pop(KEY)
    names = named if isinstance(named, list) else [named]
    if not names or not all(isinstance(name, str) for name in names):
        raise source.error((KEY,), "'extends' names one scenario, or a list of them", "write 'extends: tablet_line'")
    chain = (*above, file.resolve())
    base: Source | None = None
    for name in names:
        base_file = _find(name, file, source, find)
        if base_file.resolve() in chain:
            raise source.error((KEY,), f"'{name}' extends itself", "name another scenario")
        read = _read(base_file, find, chain)
        if base_file.resolve().parent != file.resolve().parent:
            read = replace(read, data=_absolute(read.data, base_file.resolve().parent))
        base = numbered(read) if base is None else _over(base, read)
    assert base is not None
    both = _over(base, source)
    text = f"# {file.name} extends {', '.join(names)}; all together:\n" + yaml.safe_dump(both.data, sort_keys=False)
    return replace(both, text=text)


def _find(name: str, file: Path, source: Source, find: Callable[[str], Path]) -> Path:
    """The file that ``name`` is: beside the file that says it, or by name."""
    beside = file.parent / Path(name).expanduser()
    try:
        return beside if beside.is_file() else find(name)
    except GalenicError as error:
        raise source.error((KEY,), error.message, error.cure) from error


def _over(base: Source, own: Source) -> Source:
    """``own`` with everything of ``base`` that it does not say itself."""
    base, own = merged_by_name(base, own, _merge)
    own = numbered(own)
    data = own.data
    if isinstance(base.data, Mapping) and isinstance(own.data, Mapping):
        data = _merge(base.data, own.data)
    return replace(own, data=data, base=_below(own.base, base))


def _below(own: Source | None, base: Source) -> Source:
    """The chain of files ``own`` with ``base`` at its end."""
    return base if own is None else replace(own, base=_below(own.base, base))


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
    if isinstance(data, str):
        if Path(data).suffix.lower() in _FILES and (folder / data).is_file():
            return str(folder / data)
        if (parts := split_name(data)) is not None and (folder / parts[0]).is_file():
            return str(folder / parts[0]) + parts[1]
    return data
