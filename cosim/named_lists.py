"""Lists whose entries may also be written by name, so that a variant changes one entry and leaves the others.

::

    disturbances:
      pulsation: {noise: {std: 4 %}}     # changes the base's entry of that name
      density lots: null                 # removes it
      force drift: {signal: force_sensor.bias, walk: {std: 0.1 kN}}   # adds one

An entry without a name of its own has that of its random numbers, such as ``press.yield_factor lots 1``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, get_args

from cosim.component import KeyPath
from cosim.disturbance_specs import Kind
from cosim.yaml_lines import Source

NAMED_LISTS = ("disturbances", "actions")
Merge = Callable[[Mapping[str, Any], Mapping[str, Any]], dict[str, Any]]


def numbered(source: Source) -> Source:
    """``source`` with what is written by name as lists, for a file that has no base."""
    for key in NAMED_LISTS:
        by_name = _by_name(source.data, key)
        if by_name is not None:
            kept = {name: entry for name, entry in by_name.items() if entry is not None}
            source = _with_list(source, key, [_named(name, entry) for name, entry in kept.items()])
            source = _moved(source, key, {name: position for position, name in enumerate(kept)})
    return source


def merged_by_name(base: Source, own: Source, merge: Merge) -> tuple[Source, Source]:
    """Both, with lists in ``own`` that hold the base's entries as well, where ``own`` says them by name.

    Args:
        base: the base, with lists.
        own: what extends it.
        merge: merges an entry's mapping into another.
    """
    for key in NAMED_LISTS:
        by_name = _by_name(own.data, key)
        inherited = base.data.get(key) if isinstance(base.data, Mapping) else None
        if by_name is None or not isinstance(inherited, list):
            continue
        entries: list[Any] = []
        moved_base: dict[str | int, int] = {}
        moved_own: dict[str | int, int] = {}
        for number, (name, entry) in enumerate(zip(_names(inherited), inherited, strict=True)):
            change = by_name.get(name, {}) if name is not None else {}
            if change is None:
                continue
            moved_base[number] = len(entries)
            if name in by_name:
                moved_own[str(name)] = len(entries)
                entry = merge(entry, change) if isinstance(change, Mapping) else change
            entries.append(entry)
        for name, entry in by_name.items():
            if name not in moved_own and entry is not None:
                moved_own[name] = len(entries)
                entries.append(_named(name, entry))
        own = _moved(_with_list(own, key, entries), key, moved_own)
        base = _moved(base, key, moved_base)
    return base, own


def _by_name(data: Any, key: str) -> Mapping[str, Any] | None:
    value = data.get(key) if isinstance(data, Mapping) else None
    return value if isinstance(value, Mapping) else None


def _named(name: str, entry: Any) -> Any:
    return {"name": name, **entry} if isinstance(entry, Mapping) else entry


def _names(entries: list[Any]) -> list[str | None]:
    """The name of each entry, as `cosim.disturbance_specs.names_of` makes them; None where it cannot have one."""
    counts: dict[tuple[Any, Any], int] = {}
    names: list[str | None] = []
    for entry in entries:
        name = None
        if isinstance(entry, Mapping):
            kind = next((kind for kind in get_args(Kind) if entry.get(kind) is not None), None)
            pair = (str(entry.get("signal")), kind)
            counts[pair] = counts.get(pair, 0) + 1
            name = entry.get("name") or (f"{pair[0]} {kind} {counts[pair]}" if kind else None)
        names.append(str(name) if name is not None else None)
    return names


def _with_list(source: Source, key: str, entries: list[Any]) -> Source:
    return replace(source, data={**source.data, key: entries})


def _moved(source: Source, key: str, positions: Mapping[Any, int]) -> Source:
    """``source`` whose lines, and those of what it extends, are those of the entries' new positions."""

    def moved(known: Mapping[KeyPath, int]) -> dict[KeyPath, int]:
        found: dict[KeyPath, int] = {}
        for path, number in known.items():
            if len(path) < 2 or path[0] != key:
                found[path] = number
            elif path[1] in positions:
                found[(key, positions[path[1]], *path[2:])] = number
        return found

    base = None if source.base is None else _moved(source.base, key, positions)
    return replace(source, lines=moved(source.lines), columns=moved(source.columns), base=base)
