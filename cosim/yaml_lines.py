"""YAML that remembers where each key stood, so that an error can name the line."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from cosim.component import KeyPath
from fmus.errors import GalenicError

_MAX_NODES = 200_000


class _Loader(yaml.SafeLoader):
    """The YAML 1.2 core schema: ``yes`` and ``1:30`` stay text, ``1e-3`` is a number."""


def _text(loader: Any, node: Any) -> str:
    return str(loader.construct_scalar(node))


_Loader.yaml_implicit_resolvers = {}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), "tTfF")
_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""])
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^[-+]?[0-9]+$"), list("-+0123456789"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$"),
    list("-+.0123456789"),
)
# the inherited constructors read 010 as octal and 1_0 as ten
_Loader.add_constructor("tag:yaml.org,2002:int", lambda loader, node: int(_text(loader, node)))
_Loader.add_constructor("tag:yaml.org,2002:float", lambda loader, node: float(_text(loader, node)))


@dataclass(frozen=True)
class Source:
    """A parsed file: its data, and the line of each key path (the line of the key, not of the value).

    ``columns`` has, for text in one line, how many characters stand before it. ``base`` is the file that this one
    extends; a path that only the base has is located there. ``labels`` tells of values that are from no file where they
    came from, and ``overrides`` lists these.
    """

    data: Any
    file: Path | None = None
    text: str = ""
    lines: dict[KeyPath, int] = field(default_factory=dict)
    base: Source | None = None
    columns: dict[KeyPath, int] = field(default_factory=dict)
    labels: dict[KeyPath, str] = field(default_factory=dict)
    overrides: tuple[str, ...] = ()

    def place(self, path: KeyPath) -> tuple[Path | None, int | None]:
        """File and line of ``path`` or, where no file has it, of what it would stand in."""
        for end in range(len(path), -1, -1):
            source: Source | None = self
            while source is not None:
                if path[:end] in source.lines:
                    return source.file, source.lines[path[:end]]
                source = source.base
        return self.file, None

    def line(self, path: KeyPath) -> int | None:
        """The line of `place`."""
        return self.place(path)[1]

    def column(self, path: KeyPath) -> int | None:
        """How many characters stand before the text at ``path``; None where it is no text in one line."""
        for end in range(len(path), 0, -1):  # what a section is read as may be written as text
            source: Source | None = self
            while source is not None:
                if path[:end] in source.lines:
                    return source.columns.get(path[:end])
                source = source.base
        return None

    def error(self, path: KeyPath, message: str, cure: str = "") -> GalenicError:
        """An error at ``path`` with file and line, or with the label of a value from no file."""
        for end in range(len(path), 0, -1):
            if path[:end] in self.labels:
                return GalenicError(f"{self.labels[path[:end]]}: {message}", cure=cure)
        file, line = self.place(path)
        return GalenicError(message, cure=cure, file=file, line=line)


def read_yaml(file: Path) -> Source:
    """Read and parse a YAML file.

    Raises:
        GalenicError: the file is missing, not text, not YAML, or repeats a key.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise GalenicError("this is not a text file in UTF-8", cure="save it as UTF-8", file=file) from error
    except OSError as error:
        raise GalenicError(f"cannot be read: {error.strerror or error}", cure="check the path", file=file) from error
    return parse_yaml(text, file)


def parse_yaml(text: str, file: Path | None = None) -> Source:
    """Parse YAML text. Raises like `read_yaml`."""
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            lines: dict[KeyPath, int] = {(): 1}
            columns: dict[KeyPath, int] = {}
            data = None if node is None else _Walk(loader, lines, columns, file).value(node, (), ())
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        # a key without its colon is noticed lines later; the context is where it stands
        late = "could not find expected" in (error.problem or "")
        mark = (late and error.context_mark) or error.problem_mark or error.context_mark
        message = f"not valid YAML: {error.problem or error.context}"
        raise GalenicError(
            message, cure=_yaml_cure(text, mark), file=file, line=mark.line + 1 if mark else 1
        ) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise GalenicError(
            f"not valid YAML: {reason}", cure="remove what is not plain text", file=file, line=1
        ) from error
    return Source(data, file, text, lines, None, columns)


def _yaml_cure(text: str, mark: Any) -> str:
    lines = text.splitlines()
    if mark is not None and mark.line < len(lines) and "\t" in lines[mark.line]:
        return "indent with spaces, not with tabs"
    return "check indentation, colons and quotes on this line and the one above"


class _Walk:
    """Turns nodes into data and notes the line of each key."""

    def __init__(
        self, loader: _Loader, lines: dict[KeyPath, int], columns: dict[KeyPath, int], file: Path | None
    ) -> None:
        self._loader, self._lines, self._columns, self._file, self._nodes = loader, lines, columns, file, 0

    def value(self, node: yaml.Node, path: KeyPath, above: tuple[yaml.Node, ...]) -> Any:
        self._nodes += 1
        if any(node is other for other in above) or self._nodes > _MAX_NODES:
            raise self._error(node, "an alias that contains itself, or too many of them", "write the section out")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, (*above, node))
        if isinstance(node, yaml.SequenceNode):
            items = []
            for index, item in enumerate(node.value):
                self._lines[(*path, index)] = item.start_mark.line + 1
                items.append(self.value(item, (*path, index), (*above, node)))
            return items
        begin, end = node.start_mark, node.end_mark
        if begin.line == end.line:
            self._columns[path] = begin.column + (getattr(node, "style", None) in {"'", '"'})
        return self._loader.construct_object(node)

    def _mapping(self, node: yaml.MappingNode, path: KeyPath, above: tuple[yaml.Node, ...]) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise self._error(key_node, "a key must be a plain name", "write 'name: value'")
            key = key_node.value
            if key in data:
                first = self._lines[(*path, key)]
                raise self._error(key_node, f"'{key}' stands twice, first in line {first}", "remove or rename one")
            self._lines[(*path, key)] = key_node.start_mark.line + 1
            data[key] = self.value(value_node, (*path, key), above)
        return data

    def _error(self, node: yaml.Node, message: str, cure: str) -> GalenicError:
        return GalenicError(message, cure=cure, file=self._file, line=node.start_mark.line + 1)
