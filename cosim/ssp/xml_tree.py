"""XML as a tree of elements that know their file and line. Document types and entities are refused."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.parsers import expat

from fmus.errors import GalenicError

_MOST_BYTES = 256 * 2**20
_DEEPEST = 200
_TRUTH = {"true": True, "1": True, "false": False, "0": False}


@dataclass
class Element:
    """An element of an XML file.

    Args:
        tag: its name without the namespace.
        namespace: the namespace's URI, empty where there is none.
        attributes: by name, without namespaces.
        file: the file, as errors show it.
        line: where it begins, counted from 1.
    """

    tag: str
    namespace: str
    attributes: dict[str, str]
    file: Path
    line: int
    children: list[Element] = field(default_factory=list)

    def child(self, tag: str) -> Element | None:
        """The first child of this name."""
        return next(self.all(tag), None)

    def all(self, *tags: str) -> Iterator[Element]:
        """The children of these names."""
        return (child for child in self.children if child.tag in tags)

    def below(self, *tags: str) -> Iterator[Element]:
        """The children of a path of children, such as ``below("Connectors", "Connector")``."""
        found = [self]
        for tag in tags:
            found = [child for element in found for child in element.all(tag)]
        return iter(found)

    def walk(self) -> Iterator[Element]:
        """This element and all below it."""
        waiting = [self]
        while waiting:
            element = waiting.pop()
            yield element
            waiting.extend(reversed(element.children))

    def error(self, message: str, cure: str = "") -> GalenicError:
        """An error at this element."""
        return GalenicError(message, cure=cure, file=self.file, line=self.line)

    def required(self, name: str) -> str:
        """An attribute that must be there and not empty."""
        value = self.attributes.get(name, "")
        if not value:
            raise self.error(f"<{self.tag}> has no '{name}'", f'add {name}="..."')
        return value

    def number(self, name: str, default: float | None = None) -> float:
        """A finite number. Raises where it is missing and has no default."""
        text = self.attributes.get(name)
        if text is None and default is not None:
            return default
        try:
            value = float(self.required(name))
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise self.error(f"{name} of <{self.tag}> is '{text}', not a number", "write a number, such as 0.5")
        return value

    def truth(self, name: str, default: bool | None = None) -> bool:
        """``true`` or ``false``."""
        text = self.attributes.get(name)
        if text is None and default is not None:
            return default
        value = _TRUTH.get(self.required(name).strip())
        if value is None:
            raise self.error(f"{name} of <{self.tag}> is '{text}', not true or false", "write true or false")
        return value


def parse_xml(content: bytes, file: Path) -> Element:
    """Parse XML.

    Args:
        content: the bytes of the file.
        file: the file, as errors show it.

    Raises:
        GalenicError: it is not well-formed, too large or too deep, or has a document type.
    """
    if len(content) > _MOST_BYTES:
        raise GalenicError("this XML file is too large", cure=f"at most {_MOST_BYTES // 2**20} MiB", file=file)
    builder = _Builder(file)
    parser = builder.parser
    try:
        parser.Parse(content, True)
    except expat.ExpatError as error:
        raise GalenicError(
            f"this is not well-formed XML: {expat.ErrorString(error.code)}",
            cure="write or copy the file again",
            file=file,
            line=error.lineno,
        ) from error
    except (ValueError, LookupError) as error:  # an encoding that does not exist
        raise GalenicError(f"this XML cannot be read: {error}", cure="save it as UTF-8", file=file, line=1) from error
    assert builder.root is not None, "the parser accepts no file without a root"
    return builder.root


class _Builder:
    """Collects the elements while expat reads."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.root: Element | None = None
        self._open: list[Element] = []
        self.parser = expat.ParserCreate(namespace_separator="\n")
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.StartDoctypeDeclHandler = self._doctype

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        namespace, _, tag = name.rpartition("\n")
        plain = {key.rpartition("\n")[2]: value for key, value in attributes.items()}
        element = Element(tag, namespace, plain, self.file, self.parser.CurrentLineNumber)
        if self._open:
            self._open[-1].children.append(element)
        else:
            self.root = element
        self._open.append(element)
        if len(self._open) > _DEEPEST:
            raise element.error("the elements of this XML file are nested too deep", f"at most {_DEEPEST} levels")

    def _end(self, _name: str) -> None:
        self._open.pop()

    def _doctype(self, *_: Any) -> None:
        raise GalenicError(
            "this XML file declares a document type, which could define entities",
            cure="remove <!DOCTYPE ...>",
            file=self.file,
            line=self.parser.CurrentLineNumber,
        )
