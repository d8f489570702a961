"""Values of a scenario that are given beside its file: ``granulator.screw_speed=700rpm``, ``duration=1h``.

A key is a path into the file (``controllers.force_loop.setpoint``), or begins with the name of a component, sensor or
controller. Of a component it then is a parameter or a start value, whichever the variable is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import yaml

from cosim.component import KeyPath
from cosim.named_lists import numbered
from cosim.yaml_lines import Source, parse_yaml
from fmus.errors import GalenicError, nearest

_NAMED = ("components", "sensors", "controllers")
#: Tells the section, ``parameters`` or ``start``, of a component's variable; raises GalenicError where there is none.
SectionOf = Callable[[str, str], str]


def overridden(source: Source, texts: Sequence[str], keys: Sequence[str], section_of: SectionOf) -> Source:
    """``source`` with the values of ``KEY=VALUE`` texts, each over the one before; its errors name the text.

    Args:
        source: the parsed scenario.
        texts: what is given.
        keys: what may stand at the top of a scenario.
        section_of: see `SectionOf`.

    Raises:
        GalenicError: a text is not of that form, or its key leads nowhere.
    """
    source = numbered(source)
    if not isinstance(source.data, Mapping):
        return source
    for text in texts:
        source = _one(source, text, keys, section_of)
    listed = "; ".join(texts)
    content = f"# with {listed}:\n" + yaml.safe_dump(source.data, sort_keys=False, allow_unicode=True)
    return replace(source, text=content, overrides=(*source.overrides, *texts))


def _one(source: Source, text: str, keys: Sequence[str], section_of: SectionOf) -> Source:
    label = f"--set {text}"
    key, equals, raw = text.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        raise GalenicError(
            f"{label}: this is not KEY=VALUE", cure="write for example --set granulator.screw_speed=700rpm"
        )
    try:
        value = parse_yaml(raw).data
        path = _path(source.data, parts, keys, section_of)
        data = _put(source.data, path, value)
    except GalenicError as error:
        raise GalenicError(f"{label}: {error.message}", cure=error.cure) from error
    return replace(_without_lines(source, path), data=data, labels={**source.labels, path: label})


def _path(data: Mapping[str, Any], parts: list[str], keys: Sequence[str], section_of: SectionOf) -> KeyPath:
    first = parts[0]
    if first in keys:
        return _below(data.get(first), parts[1:], (first,))
    for section in _NAMED:
        named = data.get(section)
        if not isinstance(named, Mapping):
            continue
        for count in range(len(parts) - 1, 0, -1):  # the name of a component in a nested system has dots
            name, rest = ".".join(parts[:count]), parts[count:]
            if name in named:
                if section == "components":
                    variable = ".".join(rest)
                    return section, name, section_of(name, variable), variable
                return _below(named[name], rest, (section, name))
    known = [*keys, *(name for section in _NAMED for name in data.get(section) or {})]
    raise GalenicError(f"there is nothing named '{first}'", cure=nearest(first, known))


def _below(data: Any, parts: list[str], path: KeyPath) -> KeyPath:
    """The path of keys that ``parts`` are; a key that is there already may have dots itself."""
    while parts:
        key: str | int
        if isinstance(data, list):
            names = [entry.get("name") if isinstance(entry, Mapping) else None for entry in data]
            wanted = next((count for count in range(len(parts), 0, -1) if ".".join(parts[:count]) in names), 1)
            text = ".".join(parts[:wanted])
            if text in names:
                key = names.index(text)
            elif text.isdecimal() and int(text) < len(data):
                key = int(text)
            else:
                known = [name for name in names if isinstance(name, str)]
                cure = nearest(text, known) if known else f"give its number, 0 to {len(data) - 1}"
                raise GalenicError(f"there is no '{text}' in the list of {path[-1]}", cure=cure)
            data = data[key]
        else:
            known_keys = data if isinstance(data, Mapping) else {}
            wanted = next((count for count in range(len(parts), 0, -1) if ".".join(parts[:count]) in known_keys), 1)
            key = ".".join(parts[:wanted])
            if wanted == 1 and len(path) == 3 and path[0] == "components" and path[2] in {"parameters", "start"}:
                wanted, key = len(parts), ".".join(parts)  # a variable that is not there yet
            data = known_keys.get(key)
        path, parts = (*path, key), parts[wanted:]
    return path


def _put(data: Any, path: KeyPath, value: Any) -> Any:
    """A copy of ``data`` with ``value`` at ``path``; None removes the key."""
    key, *rest = path
    if isinstance(data, list):
        assert isinstance(key, int)
        if not rest and value is None:
            raise GalenicError("an entry of a list cannot be removed so", cure="extend the scenario instead")
        entries = list(data)
        entries[key] = _put(data[key], tuple(rest), value) if rest else value
        return entries
    copy = dict(data) if isinstance(data, Mapping) else {}
    if rest:
        copy[str(key)] = _put(copy.get(str(key)), tuple(rest), value)
    elif value is None:
        copy.pop(str(key), None)
    else:
        copy[str(key)] = value
    return copy


def _without_lines(source: Source, path: KeyPath) -> Source:
    """``source`` that does not know any more where what stood at ``path`` and below it was."""

    def kept(known: Mapping[KeyPath, int]) -> dict[KeyPath, int]:
        return {other: number for other, number in known.items() if other[: len(path)] != path}

    base = None if source.base is None else _without_lines(source.base, path)
    labels = {other: label for other, label in source.labels.items() if other[: len(path)] != path}
    return replace(source, lines=kept(source.lines), columns=kept(source.columns), base=base, labels=labels)
